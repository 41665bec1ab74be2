/* SPDX-License-Identifier: MIT */
/*
 * runq.h - the run queues and their locks: what sched.c, wake.c and cap.c share.
 *
 * Each CPU has a queue of runnable vCPUs, least virtual time first. A vCPU's scheduling fields,
 * .cpu among them, are guarded by the lock of the queue of its .cpu; run_queue_of() takes it.
 * All locks here are taken with interrupts off, so that wake-ups work from interrupt handlers.
 */
#ifndef SCHED_RUNQ_H
#define SCHED_RUNQ_H

#include "atomic.h"
#include "boot/smp.h"
#include "domain/domain.h"
#include "sched/clock.h"
#include "sched/sched.h"

/* A lone vCPU is looked at that often: its published time is renewed (PV-NETBSD 5); and when there
 * are other CPUs, whether those who wait there fell behind it. */
#define LONE_TURN_NS    (500 * NS_PER_MS)
#define LONE_TURN_SMP_NS (13 * NS_PER_MS)
/* How often a CPU looks at the others' queues. Neither this nor the lone turn keeps step with turns
 * or with the periods of caps: who waits at the same moments of each period would never be seen. */
#define LOOK_NS         (7 * NS_PER_MS)
/* Virtual times that a wake-up looks at may be so much out of date: less than any decision. */
#define CHARGE_NS       (CREDIT_MIN_RUN_NS / 2)

struct run_queue {
    spinlock_t lock;
    uint32_t nr_waiting;
    struct list waiting;            /* vcpu.run_link, by vtime */
    struct vcpu *curr;
    uint64_t vnow;                  /* virtual time of this CPU */
    uint64_t turn_start;            /* curr was chosen */
    uint64_t charged_at;            /* curr has paid up to here */
    uint64_t armed;                 /* when timer fires; 0: not set. This CPU only */
    bool yielded;                   /* curr asked to let others go first */
    uint64_t looked_around;         /* when the other CPUs' queues were looked at last */
    struct credit_spare spare;
    uint64_t idled;                 /* time spent idle since vnow caught up with the others */
    struct timer timer;
} __aligned(64);

extern struct run_queue run_queues[NR_CPUS];
extern cpumask_t idle_cpus;         /* atomic; a hint for wake-ups */

/* wake.c: queues v if it may run and is on no queue. refilled: its domain's cap has a new budget. */
void sched_wake(struct vcpu *v, bool refilled);
/* SOFTIRQ_STRAY: those who wait on this CPU and may not run on it go where they may. */
void sched_send_strays(void);

/* cap.c: of a domain that has a cap. */
/* One of its vCPUs ran for ns; wakes up. */
void cap_charge(struct domain *d, uint64_t ns);
void cap_wake(struct domain *d, uint64_t now);
/* CPU time that the cap leaves v now; parks it when that is none. Its queue is locked, and v is
 * on none. */
uint64_t cap_left_or_park(struct vcpu *v, uint64_t now);
/* v is parked, and shall not be any more. Its queue is locked. */
void cap_unpark(struct vcpu *v);

static inline struct run_queue *run_queue(uint32_t cpu)
{
    struct run_queue *rq = &run_queues[cpu];

    __asm__("" : "+r"(rq));     /* keep it: computing it anew each time takes three instructions */
    return rq;
}

static inline bool may_run(const struct vcpu *v)
{
    return !(load_acquire(&v->pause_flags) | load_acquire(&v->pause_count));
}

/* v's queue, locked, interrupts off. */
static inline struct run_queue *run_queue_of(struct vcpu *v, uint64_t *irq)
{
    *irq = irq_save();
    for (;;) {
        uint32_t cpu = load_acquire(&v->cpu);
        struct run_queue *rq = run_queue(cpu);

        spin_lock(&rq->lock);
        if (likely(v->cpu == cpu))
            return rq;
        spin_unlock(&rq->lock);
    }
}

static inline void run_queue_put(struct run_queue *rq, uint64_t irq)
{
    spin_unlock_irqrestore(&rq->lock, irq);
}

static inline struct vcpu *queue_head(const struct run_queue *rq)
{
    return list_first(&rq->waiting, struct vcpu, run_link);
}

/* Behind those of the same virtual time. Most come in near the end or are alone. */
static inline void enqueue(struct run_queue *rq, struct vcpu *v)
{
    struct list *at = rq->waiting.prev;

    while (at != &rq->waiting &&
           vtime_before(v->credit.vtime, list_entry(at, struct vcpu, run_link)->credit.vtime))
        at = at->prev;
    list_push_front(at, &v->run_link);
    v->state = VCPU_RUNNABLE;
    WRITE_ONCE(rq->nr_waiting, rq->nr_waiting + 1);
}

static inline void dequeue(struct run_queue *rq, struct vcpu *v)
{
    list_remove(&v->run_link);
    v->state = VCPU_OFFLINE;
    WRITE_ONCE(rq->nr_waiting, rq->nr_waiting - 1);
}

static inline int sleeping_runstate(const struct vcpu *v)
{
    uint32_t flags = load_relaxed(&v->pause_flags) & ~(VPF_BLOCKED | VPF_POLL);

    return flags | load_relaxed(&v->pause_count) ? RUNSTATE_offline : RUNSTATE_blocked;
}

static inline void runstate_change(struct vcpu *v, int state, uint64_t at_ns)
{
    if (likely(at_ns > v->runstate.state_entry_time))
        v->runstate.time[(uint32_t)v->runstate.state] += at_ns - v->runstate.state_entry_time;
    v->runstate.state_entry_time = at_ns;
    v->runstate.state = state;
}

/* curr has run up to now: it pays, and the CPU's time advances. head: the best of those who wait, or NULL. */
static inline void charge_beside(struct run_queue *rq, uint64_t now, const struct vcpu *head)
{
    struct vcpu *v = rq->curr;
    struct domain *d = v->domain;
    uint64_t ns = 0;

    if (likely(now > rq->charged_at)) {             /* CPUs' clocks may differ a little */
        ns = now - rq->charged_at;
        rq->charged_at = now;
    }
    if (nr_cpus > 1)
        credit_spare_add(&rq->spare, rq->charged_at, ns, v->is_idle);
    if (v->is_idle)
        return;
    credit_charge(&v->credit, READ_ONCE(d->credit.weight), ns);
    if (unlikely(READ_ONCE(d->credit.cap)))
        cap_charge(d, ns);
    rq->vnow = credit_vnow(rq->vnow, v->credit.vtime, head ? &head->credit.vtime : NULL);
}

static inline void charge(struct run_queue *rq, uint64_t now)
{
    charge_beside(rq, now, queue_head(rq));
}

/* Of this CPU, whose queue is locked. */
static inline void run_queue_set_timer(struct run_queue *rq, uint64_t deadline)
{
    WRITE_ONCE(rq->armed, deadline);
    timer_set(&rq->timer, deadline);
}

/* Somebody waits here: what is left of ask ns, from now, until the CPU has to look at the others' queues. */
static inline uint64_t until_look(const struct run_queue *rq, uint64_t now, uint64_t ask)
{
    uint64_t since = MIN(now - rq->looked_around, LOOK_NS - CREDIT_MIN_RUN_NS);

    return nr_cpus > 1 ? MIN(ask, LOOK_NS - since) : ask;
}

static inline uint32_t weight_of(const struct vcpu *v)
{
    return READ_ONCE(v->domain->credit.weight);
}

static inline struct credit_wants wants_of(const struct vcpu *v)
{
    return (struct credit_wants){ v->credit.vtime, weight_of(v) };
}

/* Shall v, which waits, have the CPU that rq->curr runs on? If not, *ask is when to look again. */
static inline bool beats_current(const struct run_queue *rq, const struct vcpu *v, uint64_t now,
                                 uint64_t *ask)
{
    return credit_switch(wants_of(v), wants_of(rq->curr), now - rq->turn_start, ask);
}

/* The time of an idle CPU stands still: on the arrival of a vCPU it goes on from where that one
 * comes from, so that times stay comparable. */
static inline void catch_up(struct run_queue *rq, uint64_t vnow)
{
    if (rq->curr->is_idle && vtime_before(rq->vnow, vnow))
        rq->vnow = vnow;
}

#endif
