/* SPDX-License-Identifier: MIT */
/*
 * wake.c - wake-ups: where a vCPU goes that may run again, and whether it interrupts who runs there;
 * and what takes vCPUs off the CPUs: pause, affinity.
 *
 * Why no wake-up is lost: whoever changes a reason to sleep (pause_flags, pause_count) does so
 * with a locked operation first and then comes here; schedule() looks at the reasons under the
 * lock before it lets a vCPU go. A vCPU that goes to sleep sets its flag first and looks for
 * events afterwards (schedop.c); a sender makes the event pending first and looks at the flag
 * afterwards.
 */
#include "boot/smp.h"
#include "cpu/percpu.h"
#include "dev/panic.h"
#include "event/evtchn.h"
#include "mm/tlb.h"
#include "sched/runq.h"
#include "sched/softirq.h"

/* ------------------------------------------------------------------ placing */

/* The CPU with most time to spare, none of them being idle now. */
static uint32_t most_spare(uint32_t own, cpumask_t allowed)
{
    uint32_t best = own, cpu;

    for_each_cpu(cpu, allowed) {
        if (credit_spare_better(&run_queues[best].spare, &run_queues[cpu].spare))
            best = cpu;
    }
    return best;
}

/* The busy CPU where fewest wait. */
static uint32_t least_crowded(cpumask_t allowed)
{
    uint32_t best = cpumask_next(allowed, 0), cpu;

    for_each_cpu(cpu, allowed) {
        if (READ_ONCE(run_queues[cpu].nr_waiting) < READ_ONCE(run_queues[best].nr_waiting))
            best = cpu;
    }
    return best;
}

/*
 * v is to wait on that CPU although it may not run there: its registers are still being saved, and
 * until then it cannot be anywhere else. That CPU sends it on when they are, and before it chooses anybody.
 */
static void stray(const struct vcpu *v, uint32_t cpu)
{
    if (affinity_allows(&v->affinity, cpu))
        return;
    softirq_raise(cpu, SOFTIRQ_STRAY);
}

static noinline uint32_t choose_elsewhere(const struct vcpu *v, bool refilled, cpumask_t idle)
{
    const struct affinity *a = &v->affinity;
    uint32_t cpu = v->cpu, to = affinity_idle(a, cpu, idle);

    if (v->running) {
        stray(v, cpu);
        return cpu;
    }
    if (to < NR_CPUS)
        return to;
    if (!affinity_allows(a, cpu))
        return least_crowded(a->preferred);
    return refilled ? most_spare(cpu, a->allowed) : cpu;
}

/* Where a vCPU that wakes up, or has a new period's budget, should go. */
static inline uint32_t choose_cpu(const struct vcpu *v, bool refilled)
{
    cpumask_t idle = load_relaxed(&idle_cpus);
    uint32_t cpu = v->cpu;

    if (likely(v->affinity.preferred & cpumask_of(cpu))) {
        if (idle & cpumask_of(cpu) || (!idle && !refilled))
            return cpu;
    }
    return choose_elsewhere(v, refilled, idle);
}

/* v was put on rq, whose curr runs and has paid: must its CPU look at the queue now? */
static inline bool needs_poke(struct run_queue *rq, uint32_t cpu, const struct vcpu *v, uint64_t now)
{
    uint64_t ask, armed = READ_ONCE(rq->armed);

    if (beats_current(rq, v, now, &ask))
        return true;
    /* The CPU will look in time anyway, unless its timer is set for a lone vCPU. */
    if (armed && armed <= now + ask)
        return false;
    if (cpu != this_cpu())
        return true;
    /* All that a look would come to. */
    run_queue_set_timer(rq, now + until_look(rq, now, ask));
    return false;
}

/*
 * As catch_up(), for one that comes back to where it was, an idle CPU: what runs on a CPU that was idle now and then
 * had all that it wanted, so it is not behind the busy CPUs whatever their times say.
 */
static void catch_up_idle(struct run_queue *rq, uint32_t cpu, uint64_t now)
{
    uint64_t vnow = 0;
    bool any = false;
    uint32_t other;

    rq->idled += now > rq->charged_at ? now - rq->charged_at : 0;
    if (rq->idled < CREDIT_IDLED_NS)
        return;
    rq->idled = 0;
    for_each_cpu(other, cpu_online_map & ~load_relaxed(&idle_cpus) & ~cpumask_of(cpu)) {
        const struct run_queue *o = &run_queues[other];
        uint64_t theirs = READ_ONCE(o->vnow), charged = READ_ONCE(o->charged_at);

        /* One that runs alone pays seldom. */
        if (!READ_ONCE(o->nr_waiting) && now > charged)
            theirs += MIN(now - charged, LONE_TURN_SMP_NS);
        if (!any || vtime_before(theirs, vnow))
            vnow = theirs;
        any = true;
    }
    if (any)
        catch_up(rq, vnow);
}

/* v, which was to wake up on rq, goes to that CPU instead. The queue that it is at then, locked; NULL,
 * and none is: it is awake or asleep again. */
static noinline struct run_queue *move_to(struct run_queue *rq, struct vcpu *v, uint32_t cpu,
                                          uint64_t *irq)
{
    uint64_t vnow = rq->vnow;

    /* On no queue and not running: only .cpu says whose it is. */
    store_release(&v->cpu, cpu);
    run_queue_put(rq, *irq);
    rq = run_queue_of(v, irq);
    if (v->state != VCPU_OFFLINE || !may_run(v)) {
        run_queue_put(rq, *irq);
        return NULL;
    }
    catch_up(rq, vnow);
    return rq;
}

static __always_inline void wake(struct vcpu *v, bool refilled)
{
    uint64_t irq, now;
    struct run_queue *rq = run_queue_of(v, &irq);
    struct domain *d = v->domain;
    bool poke;
    uint32_t cpu;

    if (unlikely(v->state != VCPU_OFFLINE) || unlikely(!may_run(v))) {
        run_queue_put(rq, irq);
        return;
    }
    cpu = v->cpu;
    if (nr_cpus > 1) {
        uint32_t to = choose_cpu(v, refilled);

        if (to != cpu && (rq = move_to(rq, v, to, &irq)) == NULL)
            return;
        cpu = v->cpu;
    }
    now = now_ns();
    if (nr_cpus > 1 && rq->curr->is_idle)
        catch_up_idle(rq, cpu, now);
    if (now - rq->charged_at > CHARGE_NS)
        charge(rq, now);
    runstate_change(v, RUNSTATE_runnable, now);
    if (unlikely(READ_ONCE(d->credit.cap)))
        cap_wake(d, now);
    credit_place(&v->credit, READ_ONCE(d->credit.weight), rq->vnow);
    enqueue(rq, v);
    if (rq->curr->is_idle) {
        poke = true;
        cpumask_clear(&idle_cpus, cpu);
    } else {
        poke = needs_poke(rq, cpu, v, now);
    }
    run_queue_put(rq, irq);
    if (poke)
        sched_poke(cpu);
}

void sched_wake(struct vcpu *v, bool refilled)
{
    wake(v, refilled);
}

void vcpu_wake(struct vcpu *v)
{
    wake(v, false);
}

void vcpu_sleep_nosync(struct vcpu *v)
{
    uint64_t irq;
    struct run_queue *rq = run_queue_of(v, &irq);
    bool poke = false;
    uint32_t cpu = v->cpu;

    if (!may_run(v)) {
        if (v->state == VCPU_RUNNING) {
            poke = true;
        } else if (v->state == VCPU_PARKED) {
            cap_unpark(v);
        } else if (v->state == VCPU_RUNNABLE) {
            dequeue(rq, v);
        }
        if (!poke)
            runstate_change(v, sleeping_runstate(v), now_ns());
    }
    run_queue_put(rq, irq);
    if (poke)
        sched_poke(cpu);
}

void sched_poke(uint32_t cpu)
{
    softirq_raise(cpu, SOFTIRQ_SCHEDULE);
}

/* -------------------------------------------------------------- block, pause */

/* flags: a look at its pause_flags. */
static inline void unblock(struct vcpu *v, uint32_t flags)
{
    if (unlikely(flags & VPF_POLL))
        atomic_and(&v->domain->poll_mask, ~(1u << v->id));
    atomic_and(&v->pause_flags, ~(VPF_BLOCKED | VPF_POLL));
    vcpu_wake(v);
}

void vcpu_unblock(struct vcpu *v)
{
    uint32_t flags = load_relaxed(&v->pause_flags);

    if (flags & (VPF_BLOCKED | VPF_POLL))
        unblock(v, flags);
}

void vcpu_kick(struct vcpu *v)
{
    /* The caller made an event pending with a locked operation, hence before this look. */
    uint32_t flags = load_relaxed(&v->pause_flags);

    if (flags & (VPF_BLOCKED | VPF_POLL))
        unblock(v, flags);
    else if (v != current && READ_ONCE(v->running))
        smp_kick(READ_ONCE(v->cpu));
}

static void wait_until_off(struct vcpu *v)
{
    while (load_acquire(&v->running)) {
        tlb_poll();
        cpu_relax();
    }
}

void vcpu_pause(struct vcpu *v)
{
    BUG_ON(v == current);
    (void)atomic_add_return(&v->pause_count, 1);
    vcpu_sleep_nosync(v);
    wait_until_off(v);
}

void vcpu_unpause(struct vcpu *v)
{
    uint32_t n = atomic_sub_return(&v->pause_count, 1);

    BUG_ON(n == ~0u);
    if (n == 0)
        vcpu_wake(v);
}

void domain_pause(struct domain *d)
{
    struct vcpu *v;

    BUG_ON(d == current->domain && !d->is_idle);
    for_each_vcpu(d, v) {
        (void)atomic_add_return(&v->pause_count, 1);
        vcpu_sleep_nosync(v);
    }
    for_each_vcpu(d, v)
        wait_until_off(v);
}

void domain_unpause(struct domain *d)
{
    struct vcpu *v;

    for_each_vcpu(d, v)
        vcpu_unpause(v);
}

bool hypercall_preempt_check(void)
{
    const struct vcpu *v = current;

    if (v->is_idle)
        return false;
    return softirq_pending() || vcpu_event_deliverable(v);
}

/* ------------------------------------------------------------------ affinity */

int sched_set_affinity(struct vcpu *v, cpumask_t hard, cpumask_t soft)
{
    struct affinity a;
    struct run_queue *rq;
    uint64_t irq;
    uint32_t cpu;

    if (!affinity_set(&a, hard, soft, cpu_online_map))
        return -XEN_EINVAL;
    rq = run_queue_of(v, &irq);
    v->affinity = a;
    cpu = v->cpu;
    if (v->state == VCPU_RUNNING)
        sched_poke(cpu);
    else if (v->state == VCPU_RUNNABLE && v->running)
        stray(v, cpu);
    else if (v->state == VCPU_RUNNABLE)
        dequeue(rq, v);         /* also where it may stay: another may be idle */
    else if (!v->running && !affinity_allows(&a, cpu))
        store_release(&v->cpu, least_crowded(a.preferred));     /* as in move_to() */
    run_queue_put(rq, irq);
    vcpu_wake(v);               /* if it was taken off the queue */
    return 0;
}

void sched_send_strays(void)
{
    uint32_t cpu = this_cpu();
    struct run_queue *rq = run_queue(cpu);
    struct vcpu *v, *found;

    do {
        uint64_t irq = spin_lock_irqsave(&rq->lock);

        found = NULL;
        list_for_each(v, &rq->waiting, run_link) {
            if (!affinity_allows(&v->affinity, cpu))
                found = v;
        }
        if (found) {
            dequeue(rq, found);
            domain_ref(found->domain);      /* on no queue it may go at any time */
        }
        run_queue_put(rq, irq);
        if (found) {
            struct domain *d = found->domain;

            vcpu_wake(found);
            domain_put(d);
        }
    } while (found);
}
