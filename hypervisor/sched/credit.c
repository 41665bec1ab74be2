/* SPDX-License-Identifier: MIT */
/* credit.c - scheduling policy, pure. See credit.h. */
#include "sched/credit.h"

/* ns of CPU time as virtual time of a vCPU of that weight. */
static uint64_t scaled(uint64_t ns, uint32_t weight)
{
    return ns * CREDIT_WEIGHT_NORMAL / weight;
}

static int64_t quota(const struct credit_domain *d)
{
    return (int64_t)(CREDIT_PERIOD_NS / 100) * d->cap;
}

void credit_domain_init(struct credit_domain *d)
{
    *d = (struct credit_domain){ .weight = CREDIT_WEIGHT_NORMAL };
}

bool credit_domain_set(struct credit_domain *d, uint32_t weight, uint32_t cap)
{
    if (weight < CREDIT_WEIGHT_MIN || weight > CREDIT_WEIGHT_MAX || cap > CREDIT_CAP_MAX)
        return false;
    d->weight = weight;
    d->cap = cap;
    d->budget_ns = MIN(d->budget_ns, quota(d));
    return true;
}

/* The bounds of what a vCPU may be ahead of a CPU's time and behind it. */
static void clamp(struct credit_vcpu *v, uint64_t vnow, uint64_t ahead, uint64_t behind)
{
    if (vtime_before(v->vtime, vnow - ahead))
        v->vtime = vnow - ahead;
    else if (vtime_before(vnow + behind, v->vtime))
        v->vtime = vnow + behind;
}

void credit_place_behind(struct credit_vcpu *v, uint32_t weight, uint64_t vnow)
{
    clamp(v, vnow, CREDIT_WAKE_BONUS_NS, 2 * scaled(CREDIT_SLICE_NS, weight));
}

void credit_migrate(struct credit_vcpu *v, uint32_t weight, uint64_t vnow)
{
    clamp(v, vnow, 5 * CREDIT_STEAL_NS, 2 * scaled(CREDIT_SLICE_NS, weight));
}

void credit_lone(struct credit_vcpu *v, uint32_t weight, uint64_t vnow)
{
    clamp(v, vnow, 5 * CREDIT_STEAL_NS, 10 * scaled(CREDIT_SLICE_NS, weight));
}

void credit_spare_add(struct credit_spare *s, uint64_t now, uint64_t ns, bool idle)
{
    s->idle_ns += idle ? ns : 0;
    if (now - s->start < CREDIT_WINDOW_NS)
        return;
    s->percent = (uint32_t)MIN(s->idle_ns * 100 / (now - s->start), 100UL);
    s->start = now;
    s->idle_ns = 0;
}

bool credit_spare_better(const struct credit_spare *own, const struct credit_spare *other)
{
    return READ_ONCE(other->percent) > READ_ONCE(own->percent) + 2;
}

bool credit_spare_serves(const struct credit_spare *s)
{
    return READ_ONCE(s->percent) > 5;
}

bool credit_should_steal(uint64_t own_vtime, uint64_t other_vtime)
{
    return vtime_before(other_vtime + CREDIT_STEAL_NS, own_vtime);
}

/* Starts the periods up to now. What was overdrawn is paid back; of what was not used, no more
 * than `kept` periods' worth is left. */
static void start_periods(struct credit_domain *d, uint64_t now, int64_t kept)
{
    uint64_t periods = (now - d->period_start) / CREDIT_PERIOD_NS;

    if (now - d->period_start < CREDIT_PERIOD_NS)
        return;
    d->period_start += periods * CREDIT_PERIOD_NS;
    if (periods > CREDIT_REPAY_PERIODS)
        d->budget_ns = kept * quota(d);
    else
        d->budget_ns += (int64_t)periods * quota(d);
    d->budget_ns = MIN(d->budget_ns, kept * quota(d));
}

uint64_t credit_cap_left(struct credit_domain *d, uint64_t now)
{
    if (d->cap == 0)
        return UINT64_MAX;
    start_periods(d, now, CREDIT_KEPT_PERIODS);
    return d->budget_ns > 0 ? (uint64_t)d->budget_ns : 0;
}

void credit_cap_wake(struct credit_domain *d, uint64_t now)
{
    if (d->cap)
        start_periods(d, now, 1);
}

void credit_cap_charge(struct credit_domain *d, uint64_t ns)
{
    d->budget_ns -= (int64_t)ns;
}

uint64_t credit_cap_refill_time(const struct credit_domain *d)
{
    uint64_t periods = 1;

    if (d->budget_ns < 0 && d->cap)
        periods += (uint64_t)-d->budget_ns / (uint64_t)quota(d);
    return d->period_start + periods * CREDIT_PERIOD_NS;
}
