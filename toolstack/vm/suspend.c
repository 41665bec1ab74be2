/* SPDX-License-Identifier: MIT */
/* suspend.c - suspends and resumes a domain where it is (see suspend.h). */
#include "toolstack/vm/suspend.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/time.h"
#include "toolstack/store/server.h"
#include "toolstack/vm/devices.h"
#include "toolstack/vm/events.h"
#include "toolstack/vm/hv.h"

#define REQUEST "suspend"

/* A domain that was asked. */
struct suspend {
    struct vm *vm;
    struct timer timer;
    vm_suspended_fn done;
    void *arg;
    uint32_t seconds;
    uint64_t began_ns;
};

static void answer(struct vm *vm, int rc, const char *why)
{
    struct suspend s = *vm->suspend;

    timer_cancel(&vm->suspend->timer);
    free(vm->suspend);
    vm->suspend = NULL;
    if (s.done)
        s.done(s.arg, rc ? NULL : vm, rc, why);
}

/* True: it was still there, and the guest will not see it any more. */
static bool withdraw(const struct vm *vm)
{
    char now[16];

    devices_requested_shutdown(vm, now, sizeof(now));
    return strcmp(now, REQUEST) == 0 && devices_request_shutdown(vm, "") == 0;
}

static void too_late(struct timer *t)
{
    struct suspend *s = container_of(t, struct suspend, timer);
    struct vm *vm = s->vm;
    bool taken = !withdraw(vm);
    char why[WHY_MAX];

    why_set(why, -XEN_ETIMEDOUT, "%s: %s within %u s; it goes on", vm->cfg.name,
            taken ? "took the request to suspend, but did not stop" : "did not take the request to suspend", s->seconds);
    vm->suspend_overdue = taken;
    log_warn("%s", why);
    vm_event(vm, VM_EVENT_SUSPEND_FAILED, "%s", taken ? "did not stop in time" : "no answer");
    answer(vm, -XEN_ETIMEDOUT, why);
}

static int check(const struct vm *vm, char *why)
{
    const char *name = vm->cfg.name;
    char pending[16];

    if (vm->state != VM_RUNNING)
        return why_set(why, -XEN_EBUSY, "%s: cannot suspend: domain is %s", name, vm_state_name(vm->state));
    if (vm->suspend)
        return why_set(why, -XEN_EBUSY, "%s: cannot suspend: it is being suspended", name);
    if (!devices_shutdown_offered(vm, REQUEST))
        return why_set(why, -XEN_EBUSY, "%s: cannot suspend: the guest does not offer it (control/feature-suspend)", name);
    if (!vm->can_cancel)
        return why_set(why, -XEN_EBUSY, "%s: cannot suspend: its kernel could not be resumed (no SUSPEND_CANCEL note)", name);
    devices_requested_shutdown(vm, pending, sizeof(pending));
    if (pending[0])
        return why_set(why, -XEN_EBUSY, "%s: cannot suspend: it has not answered another request yet (control/shutdown)", name);
    return 0;
}

int vm_suspend(struct vm *vm, uint32_t seconds, vm_suspended_fn done, void *arg, char *why)
{
    int rc = check(vm, why);
    struct suspend *s;

    if (rc)
        return rc;
    s = calloc(1, sizeof(*s));
    if (!s)
        return why_set(why, -XEN_ENOMEM, "%s: cannot suspend: dom0 is out of memory", vm->cfg.name);
    rc = devices_request_shutdown(vm, REQUEST);
    if (rc) {
        free(s);
        return why_set(why, rc, "%s: cannot write control/shutdown (error %d)", vm->cfg.name, -rc);
    }
    *s = (struct suspend){ .vm = vm, .done = done, .arg = arg, .seconds = seconds, .began_ns = now_ns() };
    timer_init(&s->timer, too_late);
    timer_set_after(&s->timer, seconds * NS_PER_S);
    vm->suspend = s;
    vm->suspend_overdue = false;
    log_info("%s: domain %u is asked to suspend", vm->cfg.name, vm->domid);
    return 0;
}

static void set_suspended(struct vm *vm)
{
    vm->suspend_was = vm->state;
    vm->state = VM_SUSPENDED;
    (void)withdraw(vm);         /* one who never took the request does not find it afterwards */
    store_domain_shutdown(vm->domid);
    vm_event(vm, VM_EVENT_SUSPENDED, "%s", "");
}

bool suspend_happened(struct vm *vm)
{
    bool overdue = vm->suspend_overdue;
    char why[WHY_MAX];

    if (!vm->can_cancel)
        return false;
    vm->suspend_overdue = false;
    set_suspended(vm);
    if (vm->suspend) {
        log_info("%s: domain %u is suspended after %lu ms", vm->cfg.name, vm->domid,
                 (now_ns() - vm->suspend->began_ns) / NS_PER_MS);
        answer(vm, 0, "");
    } else if (overdue) {
        log_warn("%s: domain %u is suspended, too late: it goes on", vm->cfg.name, vm->domid);
        (void)vm_resume(vm, why);       /* else it stays suspended, and the line is in the log */
    } else {
        log_warn("%s: domain %u suspended itself; nobody asked for it", vm->cfg.name, vm->domid);
    }
    return true;
}

int vm_resume(struct vm *vm, char *why)
{
    const char *name = vm->cfg.name;
    int rc;

    if (vm->state != VM_SUSPENDED)
        return why_set(why, -XEN_EBUSY, "%s: cannot resume: domain is %s", name, vm_state_name(vm->state));
    rc = hv_resume(vm->domid);
    if (rc) {
        log_error("%s: domain %u cannot be resumed (error %d)", name, vm->domid, -rc);
        return why_set(why, rc, "%s: cannot resume: the hypervisor refuses (error %d)", name, -rc);
    }
    store_domain_resumed(vm->domid);
    vm->state = vm->suspend_was;
    vm_event(vm, VM_EVENT_RESUMED, "%s", "");
    log_info("%s: domain %u goes on", name, vm->domid);
    return 0;
}

void suspend_domain_ends(struct vm *vm)
{
    char why[WHY_MAX];

    vm->suspend_overdue = false;
    if (!vm->suspend)
        return;
    why_set(why, -XEN_ESRCH, "%s: it ended instead of being suspended", vm->cfg.name);
    answer(vm, -XEN_ESRCH, why);
}
