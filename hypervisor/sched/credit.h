/* SPDX-License-Identifier: MIT */
/*
 * credit.h - scheduling policy, pure: who runs next, for how long, who may interrupt whom.
 *
 * Every vCPU has a virtual time that advances while it runs, the slower the greater its weight;
 * each CPU runs the vCPU with the least. The virtual time of a CPU (vnow) is the least of what
 * runs and waits there, and never goes back. Virtual times of different CPUs are comparable, so
 * that a CPU can tell when another one's waiting vCPU is worse off than its own and take it over;
 * whatever crosses CPUs or wakes up is clamped to a window around the CPU's own time, which bounds
 * both how long a newcomer may keep others off and how long it may have to wait.
 *
 * Caps: a capped domain has a budget of CPU time per period, shared by its vCPUs.
 *
 * Virtual time is counted in nanoseconds of a vCPU of weight 256 and may wrap: compare with
 * vtime_before().
 */
#ifndef SCHED_CREDIT_H
#define SCHED_CREDIT_H

#include "compiler.h"

#define CREDIT_WEIGHT_NORMAL    256u
#define CREDIT_WEIGHT_MIN       1u
#define CREDIT_WEIGHT_MAX       65535u

/* One turn, when others wait: of those who are lighter than normal in proportion to that, so that
 * one turn more or less is not much of what they are due. */
#define CREDIT_SLICE_NS         10000000u
#define CREDIT_TURN_MIN_NS      1000000u
/* How much a vCPU that slept is put ahead of the CPU's time: it may use that much at once. */
#define CREDIT_WAKE_BONUS_NS    5000000u
/* Whoever runs is not interrupted by a better-placed vCPU before it ran this long: batches the
 * work that many wake-ups would otherwise split into many switches. */
#define CREDIT_MIN_RUN_NS       100000u
/* ... which is less, in proportion to its weight, before one that is more than so many times as
 * heavy: it can hold up little of what matters more; */
#define CREDIT_MUCH_HEAVIER     8u
/* ... and only by one that is better placed by that much: two that both do short pieces of work
 * take turns when one blocks, not at each wake-up. */
#define CREDIT_PREEMPT_NS       1000000u
/* A CPU takes over another's vCPU only when that is this much worse off. */
#define CREDIT_STEAL_NS         (CREDIT_SLICE_NS * 2)
/* A CPU that was idle for so long since it last caught up has had all that it wanted. */
#define CREDIT_IDLED_NS         (CREDIT_SLICE_NS / 5)
/* How much of its time a CPU was idle is looked at over so long. */
#define CREDIT_WINDOW_NS        100000000u
#define CREDIT_PERIOD_NS        20000000u       /* of caps */
#define CREDIT_CAP_MAX          6400u           /* percent of one CPU: 64 CPUs */
/* A domain that wanted the CPU and had to wait for it keeps that much of what it could not use. */
#define CREDIT_KEPT_PERIODS     10
/* Debt of a domain that overdrew its budget is forgotten after that many periods. */
#define CREDIT_REPAY_PERIODS    1000u

/* Of a domain. cap: percent of one CPU, 0 = none. The rest changes under the mechanism's lock
 * and is used only when there is a cap. */
struct credit_domain {
    uint32_t weight, cap;
    uint64_t period_start;      /* system time */
    int64_t budget_ns;          /* left in this period; negative: overdrawn */
};

struct credit_vcpu {
    uint64_t vtime;
    uint32_t remainder;         /* of the last charge's division by the weight */
};

static inline bool vtime_before(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b) < 0;
}

void credit_domain_init(struct credit_domain *d);
/* False, and nothing changed: out of range. */
bool credit_domain_set(struct credit_domain *d, uint32_t weight, uint32_t cap);

/* v ran for ns. */
static inline void credit_charge(struct credit_vcpu *v, uint32_t weight, uint64_t ns)
{
    uint64_t n = ns * CREDIT_WEIGHT_NORMAL + v->remainder;

    /* The normal weight costs no division. */
    if (weight == CREDIT_WEIGHT_NORMAL) {
        v->vtime += n / CREDIT_WEIGHT_NORMAL;
        v->remainder = (uint32_t)(n % CREDIT_WEIGHT_NORMAL);
    } else {
        v->vtime += n / weight;
        v->remainder = (uint32_t)(n % weight);
    }
}

/* The time of a CPU, so far vnow, that runs one at running_vtime while the best of those who wait
 * is at *waiting_vtime (NULL: nobody waits). */
static inline uint64_t credit_vnow(uint64_t vnow, uint64_t running_vtime, const uint64_t *waiting_vtime)
{
    uint64_t least = running_vtime;

    if (waiting_vtime && vtime_before(*waiting_vtime, least))
        least = *waiting_vtime;
    return vtime_before(vnow, least) ? least : vnow;
}

/* v wakes up on a CPU whose time is vnow. What it is behind that is kept, if it is no more than two turns. */
#define CREDIT_BEHIND_MIN_NS    (2 * (uint64_t)CREDIT_SLICE_NS * CREDIT_WEIGHT_NORMAL / CREDIT_WEIGHT_MAX)
void credit_place_behind(struct credit_vcpu *v, uint32_t weight, uint64_t vnow);
static inline void credit_place(struct credit_vcpu *v, uint32_t weight, uint64_t vnow)
{
    if (vtime_before(v->vtime, vnow - CREDIT_WAKE_BONUS_NS))
        v->vtime = vnow - CREDIT_WAKE_BONUS_NS;
    else if (unlikely(vtime_before(vnow + CREDIT_BEHIND_MIN_NS, v->vtime)))
        credit_place_behind(v, weight, vnow);
}

/* v is taken over by such a CPU while it waits: what it is behind is kept, within reason. */
void credit_migrate(struct credit_vcpu *v, uint32_t weight, uint64_t vnow);

/*
 * v has a CPU for itself while others wait on one whose time is vnow. If its weight asks for more
 * than a CPU it falls behind them more and more: time that it can never use, but would keep them
 * off with once its weight or theirs changes. So that is bounded, and so is what it is ahead
 * without anybody coming over.
 */
void credit_lone(struct credit_vcpu *v, uint32_t weight, uint64_t vnow);

/* Idle time of a CPU, window by window. */
struct credit_spare {
    uint64_t start, idle_ns;    /* the present window: since when, idle so far */
    uint32_t percent;           /* of the window before */
};

/* The CPU was idle or busy for the last ns. */
void credit_spare_add(struct credit_spare *s, uint64_t now, uint64_t ns, bool idle);
/* A vCPU whose cap was refilled has a choice of CPUs, none of them idle now, and comes from one
 * with `own`: is one with `other` better? It would push aside whoever has the CPU for himself where
 * another is idle at times. */
bool credit_spare_better(const struct credit_spare *own, const struct credit_spare *other);
/* Who waits on such a CPU has it soon: a busy CPU need not take him over. */
bool credit_spare_serves(const struct credit_spare *s);

/* Is a waiting vCPU so much better placed that it interrupts the running one? */
static inline bool credit_preempts(uint64_t waiting_vtime, uint64_t running_vtime)
{
    return vtime_before(waiting_vtime + CREDIT_PREEMPT_NS, running_vtime);
}
/* How long one of weight `running` runs before another of weight `waiting` may interrupt it. */
static inline uint64_t credit_min_run(uint32_t running, uint32_t waiting)
{
    if (likely(waiting <= running * CREDIT_MUCH_HEAVIER))
        return CREDIT_MIN_RUN_NS;
    return (uint64_t)CREDIT_MIN_RUN_NS * CREDIT_MUCH_HEAVIER * running / waiting;
}

/* A turn of one of that weight. */
static inline uint64_t credit_turn(uint32_t weight)
{
    if (likely(weight >= CREDIT_WEIGHT_NORMAL))
        return CREDIT_SLICE_NS;
    return MAX((uint64_t)CREDIT_SLICE_NS * weight / CREDIT_WEIGHT_NORMAL, CREDIT_TURN_MIN_NS);
}

/* One that wants this CPU and how heavy it is. */
struct credit_wants {
    uint64_t vtime;
    uint32_t weight;
};

/* Of two, one of them running for ran_ns in this turn: shall the waiting one have the CPU? If not,
 * *ask_again_ns is when to ask next, from now. */
static inline bool credit_switch(struct credit_wants waiting, struct credit_wants running,
                                 uint64_t ran_ns, uint64_t *ask_again_ns)
{
    uint64_t whole;

    if (credit_preempts(waiting.vtime, running.vtime)) {
        whole = credit_min_run(running.weight, waiting.weight);
        if (ran_ns >= whole)
            return true;
    } else {
        whole = credit_turn(running.weight);
        /* A whole turn, then whoever is worse off; the same one may get another turn. */
        if (ran_ns >= whole && vtime_before(waiting.vtime, running.vtime))
            return true;
    }
    *ask_again_ns = ran_ns < whole ? whole - ran_ns : whole;
    return false;
}

/* Should a CPU whose best own candidate is at own_vtime take over one at other_vtime? */
bool credit_should_steal(uint64_t own_vtime, uint64_t other_vtime);

/* Caps. Starts new periods up to now; then what may be used until the period ends, 0 = none. */
uint64_t credit_cap_left(struct credit_domain *d, uint64_t now);
/* One of its vCPUs wakes up: what it did not use while it slept is lost. */
void credit_cap_wake(struct credit_domain *d, uint64_t now);
void credit_cap_charge(struct credit_domain *d, uint64_t ns);
/* System time at which a domain without budget gets some. */
uint64_t credit_cap_refill_time(const struct credit_domain *d);

#endif
