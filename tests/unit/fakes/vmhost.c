/* SPDX-License-Identifier: MIT */
/* vmhost.c - what toolstack/vm stands on, faked (see vmhost.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "runtime/event.h"
#include "runtime/log.h"
#include "runtime/start.h"
#include "runtime/time.h"
#include "runtime/xs.h"
#include "tests/unit/fakes/vmhost.h"
#include "toolstack/builder/builder.h"
#include "toolstack/builder/image.h"
#include "toolstack/vm/console.h"
#include "toolstack/vm/hv.h"
#include "toolstack/vm/kernels.h"
#include "toolstack/vm/vm.h"

/* The runtime ------------------------------------------------------------------------------- */

static struct list works = LIST_INIT(works);
static struct timer *timers[32];
uint64_t clock_ns;
event_fn dom_exc;

void work_queue(struct work *w)
{
    if (!w->queued)
        list_push_back(&works, &w->link);
    w->queued = true;
}

void work_queue_last(struct work *w)
{
    work_queue(w);
}

void work_cancel(struct work *w)
{
    list_remove(&w->link);
    w->queued = false;
}

void timer_cancel(struct timer *t)
{
    if (t->slot)
        timers[t->slot - 1] = NULL;
    t->slot = 0;
}

void timer_set(struct timer *t, uint64_t due)
{
    timer_cancel(t);
    t->due = due;
    for (uint32_t i = 0; i < ARRAY_SIZE(timers) && !t->slot; i++) {
        if (!timers[i]) {
            timers[i] = t;
            t->slot = i + 1;
        }
    }
    assert_true(t->slot != 0);
}

void timer_set_after(struct timer *t, uint64_t ns)
{
    timer_set(t, clock_ns + ns);
}

unsigned int timers_set(void)
{
    unsigned int n = 0;

    for (uint32_t i = 0; i < ARRAY_SIZE(timers); i++)
        n += timers[i] != NULL;
    return n;
}

uint64_t now_ns(void)
{
    return clock_ns += 1000;
}

uint64_t wallclock(uint32_t *ns)
{
    *ns = (uint32_t)(clock_ns % NS_PER_S);
    return clock_ns / NS_PER_S;
}

void random_bytes(void *p, size_t n)
{
    static uint8_t next;

    next++;
    memset(p, next ? next : ++next, n);
}

void log_at(enum log_level level, const char *fmt, ...)
{
}

const struct boot_module *boot_module(unsigned int i)
{
    return NULL;
}

int event_bind_virq(unsigned int virq, event_fn fn, void *arg, evtchn_port_t *port)
{
    assert_int_equal(virq, VIRQ_DOM_EXC);
    dom_exc = fn;
    *port = 1;
    return 0;
}

int event_bind_interdomain(domid_t dom, evtchn_port_t remote, event_fn fn, void *arg,
                           evtchn_port_t *port)
{
    return -XEN_ENOSYS;
}

void event_close(evtchn_port_t port)
{
}

void event_send(evtchn_port_t port)
{
}

/* One turn. */
bool turn(void)
{
    struct list now;
    bool any = !list_empty(&works);

    list_init(&now);
    while (!list_empty(&works)) {
        struct work *w = list_first(&works, struct work, link);

        list_remove(&w->link);
        list_push_back(&now, &w->link);
    }
    while (!list_empty(&now)) {
        struct work *w = list_first(&now, struct work, link);

        list_remove(&w->link);
        w->queued = false;
        w->fn(w);
    }
    return any;
}

void run(void)
{
    while (turn())
        ;
}

void run_timer(void)
{
    struct timer *t = NULL;

    for (uint32_t i = 0; i < ARRAY_SIZE(timers); i++) {
        if (timers[i] && (!t || timers[i]->due < t->due))
            t = timers[i];
    }
    assert_non_null(t);
    clock_ns = MAX(clock_ns, t->due);
    timer_cancel(t);
    t->fn(t);
    run();
}

/* The hypervisor ----------------------------------------------------------------------------- */

struct fake_dom dom[DOMS];
domid_t next_dom;
uint64_t host_free_pages;
bool slow, refuse_unpause, refuse_resume;

int hv_destroy(domid_t d)
{
    assert_true(dom[d].exists);
    if (slow)
        clock_ns += NS_PER_S;
    if (dom[d].destroy_steps) {
        dom[d].destroy_steps--;
        return 1;
    }
    dom[d].exists = false;
    return 0;
}

int hv_unpause(domid_t d)
{
    if (refuse_unpause)
        return -XEN_EINVAL;
    dom[d].unpaused = true;
    return 0;
}

int hv_resume(domid_t d)
{
    if (refuse_resume || dom[d].flags != (XEN_DOMINF_shutdown | SHUTDOWN_suspend << XEN_DOMINF_shutdownshift))
        return -XEN_EINVAL;
    dom[d].flags = 0;
    return 0;
}

int hv_pause(domid_t d)
{
    dom[d].unpaused = false;
    return 0;
}

int hv_get_info(domid_t d, struct xen_domctl_getdomaininfo *info)
{
    memset(info, 0, sizeof(*info));
    info->tot_pages = dom[d].tot_pages;
    info->max_pages = dom[d].max_pages;
    return dom[d].exists ? 0 : -XEN_ESRCH;
}

int hv_host_info(struct hv_host *h)
{
    *h = (struct hv_host){ .cpus = 4, .free_pages = host_free_pages };
    return 0;
}

int hv_max_mem(domid_t d, uint64_t pages)
{
    assert_true(dom[d].exists);
    dom[d].max_pages = pages;
    return 0;
}

int hv_set_scheduling(domid_t d, uint32_t weight, uint32_t cap)
{
    assert_true(dom[d].exists);
    dom[d].weight = weight;
    dom[d].cap = cap;
    return 0;
}

int hv_set_affinity(domid_t d, uint32_t vcpu, struct hv_affinity a)
{
    assert_true(dom[d].exists && vcpu < VM_VCPUS);
    dom[d].affinity[vcpu] = a;
    return 0;
}

int hv_get_vcpu(domid_t d, uint32_t vcpu, struct xen_domctl_getvcpuinfo *info, struct hv_affinity *affinity)
{
    assert_true(dom[d].exists);
    memset(info, 0, sizeof(*info));
    info->online = vcpu == 0;
    info->cpu_time = 1000 * vcpu;
    *affinity = dom[d].affinity[vcpu];
    return 0;
}

int hv_list(domid_t first, struct xen_domctl_getdomaininfo *list, uint32_t max)
{
    int n = 0;

    for (domid_t d = first; d < DOMS && n < (int)max; d++) {
        if (dom[d].exists)
            list[n++] = (struct xen_domctl_getdomaininfo){ .domain = d, .flags = dom[d].flags };
    }
    return n;
}

unsigned int doms_alive(void)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < DOMS; i++)
        n += dom[i].exists;
    return n;
}

/* A domain ends by itself. */
void ends(domid_t d, uint32_t reason)
{
    dom[d].flags = XEN_DOMINF_shutdown | reason << XEN_DOMINF_shutdownshift;
    dom_exc(NULL);
    run();
}

/* Builder and kernels ------------------------------------------------------------------------ */

struct build {
    unsigned int steps;
};
unsigned int builds, kernels_held, build_steps, kernel_steps;
int start_error, step_error, kernel_error;

struct build *build_start(const struct build_request *r, domid_t *d, int *rc, char *why)
{
    struct build *b;

    *rc = start_error;
    if (start_error) {
        why_set(why, start_error, "%s: not enough memory", r->name);
        return NULL;
    }
    b = calloc(1, sizeof(*b));
    b->steps = build_steps;
    builds++;
    *d = ++next_dom;
    memset(&dom[*d], 0, sizeof(dom[*d]));
    dom[*d].exists = true;
    memset(dom[*d].affinity, 0xff, sizeof(dom[*d].affinity));
    dom[*d].destroy_steps = 3;
    dom[*d].tot_pages = dom[*d].max_pages = r->pages;
    return b;
}

int build_step(struct build *b, char *why)
{
    if (slow)
        clock_ns += NS_PER_S;
    if (b->steps == 0)
        return step_error ? why_set(why, step_error, "x: refused") : 0;
    b->steps--;
    return 1;
}

struct build_result build_result(const struct build *b)
{
    return (struct build_result){ mfn(10), mfn(11), 1, 2 };
}

void build_free(struct build *b)
{
    builds -= b != NULL;
    free(b);
}

struct image image = { .notes.suspend_cancel = true };

struct kernel *kernel_get(struct file *f, char *why)
{
    struct kernel *k = calloc(1, sizeof(*k));

    k->image = &image;
    kernels_held++;
    k->refs = kernel_steps;
    return k;
}

int kernel_step(struct kernel *k, char *why)
{
    if (slow)
        clock_ns += NS_PER_S;
    if (k->refs == 0)
        return kernel_error ? why_set(why, kernel_error, "corrupt") : 0;
    k->refs--;
    return 1;
}

void kernel_put(struct kernel *k)
{
    kernels_held -= k != NULL;
    free(k);
}

void console_rename(const char *old, const char *name)
{
}

/* ------------------------------------------------------------------------------------------- */

void vmhost_reset(void)
{
    slow = refuse_unpause = refuse_resume = false;
    image.notes.suspend_cancel = true;
    start_error = step_error = kernel_error = 0;
    build_steps = kernel_steps = 3;
    next_dom = 0;
    host_free_pages = 1 << 20;
}

void vmhost_assert_clean(void)
{
    char names[256];

    assert_true(vm_none_left());
    assert_int_equal(doms_alive(), 0);
    assert_int_equal(builds + kernels_held, 0);
    assert_int_equal(timers_set(), 0);
    /* At most dom0's own directory. */
    assert_true(xs_directory(XS_NO_TXN, "/local/domain", names, sizeof(names)) <= 2);
    assert_true(xs_directory(XS_NO_TXN, "/local/domain/0/backend/vif", names, sizeof(names)) <= 0);
    assert_true(xs_directory(XS_NO_TXN, "/local/domain/0/backend/vbd", names, sizeof(names)) <= 0);
    assert_true(xs_directory(XS_NO_TXN, "/vm", names, sizeof(names)) <= 0);
}
