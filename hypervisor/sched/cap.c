/* SPDX-License-Identifier: MIT */
/*
 * cap.c - domains with a cap: their budget, and the vCPUs that are parked while it is used up.
 *
 * A parked vCPU is on the list of its domain, under cap_lock; its other scheduling fields stay
 * under the lock of its CPU's queue, which is taken first.
 */
#include "sched/runq.h"
#include "dev/panic.h"

void cap_charge(struct domain *d, uint64_t ns)
{
    spin_lock(&d->cap_lock);
    credit_cap_charge(&d->credit, ns);
    spin_unlock(&d->cap_lock);
}

uint64_t cap_left_or_park(struct vcpu *v, uint64_t now)
{
    struct domain *d = v->domain;
    uint64_t left;

    if (likely(!READ_ONCE(d->credit.cap)))
        return UINT64_MAX;
    spin_lock(&d->cap_lock);
    left = credit_cap_left(&d->credit, now);
    if (!left) {
        v->state = VCPU_PARKED;
        list_push_back(&d->parked, &v->run_link);
        timer_set(&d->cap_timer, credit_cap_refill_time(&d->credit));
    }
    spin_unlock(&d->cap_lock);
    return left;
}

void cap_wake(struct domain *d, uint64_t now)
{
    spin_lock(&d->cap_lock);
    credit_cap_wake(&d->credit, now);
    spin_unlock(&d->cap_lock);
}

void cap_unpark(struct vcpu *v)
{
    spin_lock(&v->domain->cap_lock);
    list_remove(&v->run_link);
    spin_unlock(&v->domain->cap_lock);
    v->state = VCPU_OFFLINE;
}

static struct vcpu *unpark_one(struct domain *d)
{
    uint64_t irq = spin_lock_irqsave(&d->cap_lock);
    struct vcpu *v = list_first(&d->parked, struct vcpu, run_link);

    if (v)
        list_remove(&v->run_link);
    spin_unlock_irqrestore(&d->cap_lock, irq);
    return v;
}

/* A new period began: all parked vCPUs try again; those for whom nothing is left park again. */
static void cap_refilled(void *arg)
{
    struct domain *d = arg;
    struct vcpu *v;
    uint64_t irq;

    /* The timer may be late: what came due meanwhile is theirs. */
    irq = spin_lock_irqsave(&d->cap_lock);
    (void)credit_cap_left(&d->credit, now_ns());
    spin_unlock_irqrestore(&d->cap_lock, irq);
    for (uint32_t n = 0; n < d->max_vcpus && (v = unpark_one(d)) != NULL; n++) {
        struct run_queue *rq = run_queue_of(v, &irq);

        if (v->state == VCPU_PARKED)
            v->state = VCPU_OFFLINE;
        run_queue_put(rq, irq);
        sched_wake(v, true);
    }
}

void sched_domain_init(struct domain *d)
{
    credit_domain_init(&d->credit);
    spin_lock_init(&d->cap_lock, LOCK_CAP);
    list_init(&d->parked);
    timer_init(&d->cap_timer, cap_refilled, d, 0);
}

bool sched_set_params(struct domain *d, uint32_t weight, uint32_t cap)
{
    uint64_t irq = spin_lock_irqsave(&d->cap_lock);
    bool ok = credit_domain_set(&d->credit, weight, cap);

    if (ok)
        credit_cap_wake(&d->credit, now_ns());
    spin_unlock_irqrestore(&d->cap_lock, irq);
    /* With a greater cap, or none, nobody needs to wait for the next period. */
    if (ok)
        cap_refilled(d);
    return ok;
}

void sched_domain_destroy(struct domain *d)
{
    timer_kill(&d->cap_timer);
}
