/* SPDX-License-Identifier: MIT */
/* events.c - what happened to domains, in order (see events.h). */
#include "toolstack/vm/events.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/time.h"
#include "toolstack/vm/vm.h"

static struct vm_event ring[VM_EVENTS];     /* event n is in slot n % VM_EVENTS */
static uint64_t end = 1;
static struct list listeners = LIST_INIT(listeners);

const char *vm_event_name(enum vm_event_type t)
{
    static const char *const names[] = {
        [VM_EVENT_CREATED] = "created",
        [VM_EVENT_RUNNING] = "running",
        [VM_EVENT_PAUSED] = "paused",
        [VM_EVENT_UNPAUSED] = "unpaused",
        [VM_EVENT_SUSPENDED] = "suspended",
        [VM_EVENT_SUSPEND_FAILED] = "suspend-failed",
        [VM_EVENT_RESUMED] = "resumed",
        [VM_EVENT_SHUTDOWN] = "shutdown",
        [VM_EVENT_CRASHED] = "crashed",
        [VM_EVENT_REBOOTING] = "rebooting",
        [VM_EVENT_DESTROYED] = "destroyed",
        [VM_EVENT_RENAMED] = "renamed",
        [VM_EVENT_ATTACHED] = "device-attached",
        [VM_EVENT_DETACHED] = "device-detached",
        [VM_EVENT_DETACH_FAILED] = "device-detach-failed",
        [VM_EVENT_LOST] = "lost",
    };

    return names[t];
}

void vm_event(const struct vm *vm, enum vm_event_type t, const char *fmt, ...)
{
    struct vm_event *e = &ring[end % VM_EVENTS];
    struct vm_event_listener *l, *tmp;
    va_list ap;

    memset(e, 0, sizeof(*e));
    e->seq = end++;
    e->seconds = wallclock(&e->nanoseconds);
    e->type = t;
    e->has_domid = vm->has_domid;
    e->domid = vm->domid;
    strlcpy(e->domain, vm->cfg.name, sizeof(e->domain));
    va_start(ap, fmt);
    (void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    list_for_each_safe(l, tmp, &listeners, link)
        l->fn(l);
}

bool vm_events_next(uint64_t *seq, struct vm_event *e)
{
    uint64_t oldest = end > VM_EVENTS ? end - VM_EVENTS : 1;

    if (*seq == 0)
        *seq = 1;
    if (*seq >= end)
        return false;
    if (*seq < oldest) {
        memset(e, 0, sizeof(*e));
        e->seq = oldest - 1;
        e->seconds = wallclock(&e->nanoseconds);
        e->type = VM_EVENT_LOST;
        (void)snprintf(e->text, sizeof(e->text), "%lu", oldest - *seq);
        *seq = oldest;
        return true;
    }
    *e = ring[*seq % VM_EVENTS];
    ++*seq;
    return true;
}

uint64_t vm_events_end(void)
{
    return end;
}

void vm_events_listen(struct vm_event_listener *l)
{
    list_push_back(&listeners, &l->link);
}

void vm_events_unlisten(struct vm_event_listener *l)
{
    list_remove(&l->link);
}
