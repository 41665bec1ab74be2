/* SPDX-License-Identifier: MIT */
/*
 * destroy.c - a domain ends: stages that each do a bounded amount of work, so that the toolstack's
 * destroydomain can be preempted and taken up again.
 *
 * After the last stage the domain is dead: not found any more, but its number stays taken until
 * nobody refers to it or to one of its frames. The last domain_put() can happen under any lock,
 * so the struct is freed from a softirq.
 */
#include "domain/domain.h"
#include "domain/domain_impl.h"
#include "dev/console.h"
#include "dev/panic.h"
#include "event/evtchn.h"
#include "event/irq.h"
#include "grant/grant.h"
#include "mm/buddy.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "mm/mm.h"
#include "sched/clock.h"
#include "sched/sched.h"
#include "sched/softirq.h"
#include "atomic.h"

enum destroy_stage {
    DESTROY_STOP,           /* nothing of it runs any more */
    DESTROY_WINDOWS,        /* no frame of it is flipped any more */
    DESTROY_CHANNELS,
    DESTROY_GRANTS,         /* what it mapped of others */
    DESTROY_VCPUS,
    DESTROY_MEMORY,
    DESTROY_DONE,
};

/* Domains whose last reference went, linked by free_next; pushed from anywhere. */
static struct domain *free_list;

void domain_free_later(struct domain *d)
{
    struct domain *head = load_relaxed(&free_list);

    do {
        d->free_next = head;
    } while (!atomic_cmpxchg(&free_list, &head, d));
    softirq_raise_local(SOFTIRQ_WORK);
}

static void domain_free(struct domain *d)
{
    uint32_t id = d->id;
    uint64_t ran = 0;
    struct vcpu *v;

    for_each_vcpu(d, v)
        ran += vcpu_cpu_ns(v);
    /* What leaked here is our fault: stop while the trace is warm. */
    ASSERT(d->tot_pages == 0);
    ASSERT(d->nr_evtchns == 0);
    domain_free_parts(d);
    ASSERT(d->shared_pages == 0);
    domain_unlist(d);
    evtchn_raise_global_virq(VIRQ_DOM_EXC);
    printk(LOG_DEBUG, "domain %u: freed, ran %lu ms; %lu frames free, %lu heap objects\n", id,
           ran / NS_PER_MS, frames_free_count(), heap_objects());
}

static void free_softirq(void)
{
    struct domain *d = atomic_xchg(&free_list, NULL), *next;

    for (; d; d = next) {
        next = d->free_next;
        domain_free(d);
    }
}

void destroy_init(void)
{
    softirq_register(SOFTIRQ_WORK, free_softirq);
}

static void stop(struct domain *d)
{
    struct vcpu *v;

    WRITE_ONCE(d->state, DOMAIN_DYING);
    domain_pause(d);
    for_each_vcpu(d, v)
        vcpu_timers_destroy(v);
    watchdog_destroy(d);
    pirq_destroy_all(d);
}

static int do_stage(struct domain *d, enum destroy_stage stage)
{
    struct vcpu *v;

    switch (stage) {
    case DESTROY_STOP:
        stop(d);
        return 0;
    case DESTROY_WINDOWS:
        return grant_release_windows(d);
    case DESTROY_CHANNELS:
        return evtchn_destroy(d);
    case DESTROY_GRANTS:
        return grant_release_mappings(d);
    case DESTROY_VCPUS:
        for_each_vcpu(d, v)
            vcpu_drop_references(v);
        return 0;
    case DESTROY_MEMORY:
        return domain_relinquish_memory(d);
    case DESTROY_DONE:
        break;
    }
    return 0;
}

int domain_destroy_step(struct domain *d)
{
    BUG_ON(d == dom0 || d->is_idle);
    while (d->destroy_stage < DESTROY_DONE) {
        int rc = do_stage(d, d->destroy_stage);

        if (rc)
            return rc;
        d->destroy_stage++;
        if (hypercall_preempt_check())
            return -XEN_ERESTART;
    }
    if (d->state != DOMAIN_DEAD) {
        WRITE_ONCE(d->state, DOMAIN_DEAD);
        domain_put(d);          /* the table's reference */
    }
    return 0;
}
