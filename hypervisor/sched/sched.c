/* SPDX-License-Identifier: MIT */
/*
 * sched.c - which vCPU runs: the choice among those who wait, and the switch. The policy is credit.c;
 * wake-ups are wake.c, caps cap.c.
 *
 * `running` of a vCPU stays true until context_switch() has saved the registers; until then it may
 * be queued, but only where it was, and no other CPU takes it.
 */
#include "cpu/asm.h"
#include "cpu/percpu.h"
#include "dev/panic.h"
#include "mm/heap.h"
#include "sched/runq.h"
#include "sched/softirq.h"

#define TIME_RENEW_NS   (400 * NS_PER_MS)

struct run_queue run_queues[NR_CPUS];
cpumask_t idle_cpus;

/* Takes the best waiting vCPU of another CPU that this one may run and that beats own_vtime (or
 * any, when there is nothing here). The lock of rq is held; others' are only tried. */
static struct vcpu *steal(struct run_queue *rq, uint32_t cpu, const uint64_t *own_vtime)
{
    uint32_t other;

    for_each_cpu(other, cpu_online_map & ~cpumask_of(cpu)) {
        struct run_queue *from = &run_queues[other];
        struct vcpu *v, *found = NULL;

        if (!READ_ONCE(from->nr_waiting) || (own_vtime && credit_spare_serves(&from->spare)) ||
            !spin_trylock(&from->lock))
            continue;
        list_for_each(v, &from->waiting, run_link) {
            if (own_vtime && !credit_should_steal(*own_vtime, v->credit.vtime))
                break;
            if (!v->running && affinity_allows(&v->affinity, cpu)) {
                found = v;
                break;
            }
        }
        if (found) {
            dequeue(from, found);
            store_release(&found->cpu, cpu);
            catch_up(rq, from->vnow);
            credit_migrate(&found->credit, READ_ONCE(found->domain->credit.weight), rq->vnow);
        }
        spin_unlock(&from->lock);
        if (found)
            return found;
    }
    return NULL;
}

/* v has this CPU for itself: keeps its virtual time near that of the most backward CPU where
 * others wait. Hints will do, so no lock is taken. */
static void settle_lone(struct vcpu *v, uint32_t cpu)
{
    uint64_t vnow = 0;
    bool any = false;
    uint32_t other;

    for_each_cpu(other, cpu_online_map & ~cpumask_of(cpu)) {
        const struct run_queue *rq = &run_queues[other];

        if (!READ_ONCE(rq->nr_waiting))
            continue;
        if (!any || vtime_before(READ_ONCE(rq->vnow), vnow))
            vnow = READ_ONCE(rq->vnow);
        any = true;
    }
    if (any)
        credit_lone(&v->credit, READ_ONCE(v->domain->credit.weight), vnow);
}

/* The best of those who wait here, off the queue, whose cap leaves it something; or NULL. */
static inline struct vcpu *take_waiting(struct run_queue *rq, uint64_t now, uint64_t *left)
{
    struct vcpu *v;

    while ((v = queue_head(rq)) != NULL) {
        dequeue(rq, v);
        *left = UINT64_MAX;
        if (unlikely(READ_ONCE(v->domain->credit.cap)))
            *left = cap_left_or_park(v, now);
        if (*left)
            break;
    }
    return v;
}

/* Sets the timer unless it fires early enough already: a block and wake pair usually finds it
 * still set. Fires too early then, once. */
static inline void arm(struct run_queue *rq, uint64_t now, uint64_t deadline)
{
    if (rq->armed <= now || rq->armed > deadline)
        run_queue_set_timer(rq, deadline);
}

static uint64_t lone_turn(void)
{
    return nr_cpus > 1 ? LONE_TURN_SMP_NS : LONE_TURN_NS;
}

/*
 * Mostly set for a turn that ended early: nobody stopped it, as that costs more than this. Where nobody waits then, and
 * no cap runs out, there is nothing to choose: a new turn begins, as goes_on() has it.
 */
static void turn_timer(void *arg)
{
    struct run_queue *rq = arg;
    uint64_t irq = spin_lock_irqsave(&rq->lock), now;

    WRITE_ONCE(rq->armed, 0);
    if (rq->curr->is_idle) {
        run_queue_put(rq, irq);
        return;
    }
    now = now_ns();
    if (rq->nr_waiting || READ_ONCE(rq->curr->domain->credit.cap) || now - rq->turn_start >= lone_turn()) {
        softirq_raise_local(SOFTIRQ_SCHEDULE);
    } else {
        rq->turn_start = now;
        run_queue_set_timer(rq, now + lone_turn());
    }
    run_queue_put(rq, irq);
}

/* May prev, which runs, go on? ask: when to look again, ns from now. */
static bool goes_on(struct run_queue *rq, struct vcpu *prev, uint64_t now, uint64_t *ask)
{
    const struct vcpu *head = queue_head(rq);
    uint64_t ran = now - rq->turn_start;

    if (!head) {
        rq->turn_start = now;
        *ask = lone_turn();
        return true;
    }
    if (rq->yielded) {
        /* Give up what it was ahead, else it would be chosen again at once. */
        if (vtime_before(prev->credit.vtime, head->credit.vtime))
            prev->credit.vtime = head->credit.vtime;
        return false;
    }
    if (beats_current(rq, head, now, ask))
        return false;
    if (ran >= credit_turn(weight_of(prev)))
        rq->turn_start = now;
    return true;
}

/* prev could run on: is it to, may it (ask: when to look again, ns from now)? Else it is queued, parked, or
 * leaves for another CPU; schedule() wakes it there. */
static noinline bool keeps_cpu(struct run_queue *rq, uint32_t cpu, struct vcpu *prev, uint64_t now,
                               uint64_t *left, uint64_t *ask)
{
    if (unlikely(!(prev->affinity.preferred & cpumask_of(cpu))) &&
        affinity_leaves(&prev->affinity, cpu, load_relaxed(&idle_cpus))) {
        prev->state = VCPU_LEAVING;
        return false;
    }
    *left = cap_left_or_park(prev, now);
    if (!*left)
        return false;
    if (goes_on(rq, prev, now, ask))
        return true;
    enqueue(rq, prev);
    return false;
}

/* Is there a better one on other CPUs than next (NULL: none here)? */
static noinline struct vcpu *look_around(struct run_queue *rq, uint32_t cpu, struct vcpu *next,
                                         uint64_t now, uint64_t *left)
{
    struct vcpu *better = steal(rq, cpu, next ? &next->credit.vtime : NULL);

    rq->looked_around = now;
    if (better) {
        uint64_t better_left = cap_left_or_park(better, now);

        if (better_left) {
            if (next)
                enqueue(rq, next);
            *left = better_left;
            return better;
        }
    } else if (next && !rq->nr_waiting) {
        settle_lone(next, cpu);
    }
    return next;
}

/*
 * Who runs now. prev has paid; on return it is the result, or queued, parked or OFFLINE. *again:
 * when to look again, ns from now.
 */
static inline struct vcpu *pick(struct run_queue *rq, uint32_t cpu, struct vcpu *prev, uint64_t now,
                                uint64_t *again)
{
    uint64_t left = UINT64_MAX, ask = 0;
    struct vcpu *next = NULL;

    if (!prev->is_idle) {
        prev->state = VCPU_OFFLINE;
        if (may_run(prev) && keeps_cpu(rq, cpu, prev, now, &left, &ask))
            next = prev;
    }
    if (!next)
        next = take_waiting(rq, now, &left);
    /* Not tied to turns, which end early where much is woken. */
    if (nr_cpus > 1 && (!next || now - rq->looked_around >= LOOK_NS))
        next = look_around(rq, cpu, next, now, &left);
    rq->yielded = false;
    if (!next)
        return idle_vcpu[cpu];
    if (next != prev)
        ask = rq->nr_waiting ? credit_turn(weight_of(next)) : lone_turn();
    if (rq->nr_waiting)
        ask = until_look(rq, now, ask);
    *again = MIN(ask, left);
    return next;
}

/* What prev does once it is known what became of it. */
static inline int runstate_off(const struct vcpu *prev)
{
    uint32_t reasons = load_relaxed(&prev->pause_flags) | load_relaxed(&prev->pause_count);

    if (prev->state != VCPU_OFFLINE || !reasons)        /* an idle vCPU is never anything else */
        return RUNSTATE_runnable;
    return likely(reasons == VPF_BLOCKED) ? RUNSTATE_blocked : sleeping_runstate(prev);
}

static inline void renew_time(struct vcpu *v, uint32_t cpu, uint64_t now)
{
    if (now - v->time.system_time >= TIME_RENEW_NS || v->time_cpu != cpu || !v->time.version)
        vcpu_update_time(v, true);
}

static noinline void renew_areas(struct vcpu *v)
{
    v->areas_stale = true;
    if (v->kernel_mode)
        vcpu_update_areas(v);
}

/*
 * prev, which does not sleep, is about to be switched off. An idle CPU that should come for it, or NR_CPUS: while
 * others cannot leave this CPU, one that could may have to wait although some are idle.
 */
static noinline uint32_t switched_off(struct vcpu *prev, uint32_t cpu)
{
    cpumask_t idle = load_relaxed(&idle_cpus);

    if (prev->state == VCPU_LEAVING)
        domain_ref(prev->domain);   /* nothing else keeps it once it does not run and is on no queue */
    return prev->state == VCPU_RUNNABLE ? affinity_idle(&prev->affinity, cpu, idle) : NR_CPUS;
}

/* ... and is off. */
static noinline void offer(struct vcpu *prev, enum vcpu_state state, uint32_t idle_one)
{
    if (idle_one < NR_CPUS)
        sched_poke(idle_one);
    if (state == VCPU_LEAVING) {
        struct domain *d = prev->domain;
        uint64_t irq;
        struct run_queue *rq = run_queue_of(prev, &irq);

        prev->state = VCPU_OFFLINE;
        run_queue_put(rq, irq);
        vcpu_wake(prev);
        domain_put(d);
    }
}

void schedule(void)
{
    struct cpu_info *ci = this_cpu_info();
    uint32_t cpu = ci->cpu;
    struct run_queue *rq = run_queue(cpu);
    struct vcpu *prev = ci->vcpu, *next;
    uint64_t now = now_ns(), again = 0;
    enum vcpu_state state;
    uint32_t idle_one = NR_CPUS;

    spin_lock(&rq->lock);
    charge(rq, now);
    next = pick(rq, cpu, prev, now, &again);
    if (likely(!next->is_idle)) {
        next->state = VCPU_RUNNING;
        arm(rq, now, now + again);
    } else {
        /* Also when it was idle before: a waker took the mark away, and another CPU the vCPU. */
        cpumask_set(&idle_cpus, cpu);
    }
    if (next == prev) {
        spin_unlock(&rq->lock);
        if (!next->is_idle)
            renew_time(next, cpu, now);
        return;
    }
    rq->curr = next;
    rq->turn_start = now;
    runstate_change(prev, runstate_off(prev), now);
    runstate_change(next, RUNSTATE_running, now);
    store_relaxed(&next->running, true);
    if (prev->is_idle)
        cpumask_clear(&idle_cpus, cpu);
    state = prev->state;
    if (unlikely(state != VCPU_OFFLINE))
        idle_one = switched_off(prev, cpu);
    spin_unlock(&rq->lock);

    context_switch(prev, next);
    store_release(&prev->running, false);
    if (unlikely(state != VCPU_OFFLINE))
        offer(prev, state, idle_one);
    if (likely(!next->is_idle)) {
        renew_time(next, cpu, now);
        if (next->runstate_area.v | next->time_area.v)
            renew_areas(next);
    }
}

uint64_t vcpu_cpu_ns(struct vcpu *v)
{
    uint64_t irq, ns, now;
    struct run_queue *rq = run_queue_of(v, &irq);

    ns = v->runstate.time[RUNSTATE_running];
    now = now_ns();
    if (v->runstate.state == RUNSTATE_running && now > v->runstate.state_entry_time)
        ns += now - v->runstate.state_entry_time;
    run_queue_put(rq, irq);
    return ns;
}

void sched_yield(void)
{
    uint32_t cpu = this_cpu();

    /* Nobody waits: not worth a look. Who comes later pokes us. */
    if (!READ_ONCE(run_queues[cpu].nr_waiting))
        return;
    run_queues[cpu].yielded = true;
    sched_poke(cpu);
}

void sched_idle_wait(void)
{
    if (softirq_pending())
        return;
    /* sti holds interrupts off for one more instruction, so none comes between it and hlt. */
    __asm__ volatile("sti; hlt; cli" ::: "memory");
}

/* ---------------------------------------------------- event and sleep in one */

/*
 * Would wake() put v on this CPU's queue, and schedule() then take it from there as prev's successor, whatever the policy
 * says? So if prev sleeps and v would be the only one that waits; no cap has a say; and v would not be sent to
 * another CPU, nor would this one look at the others' queues first. What v->cpu says can be relied on only if it is
 * this CPU, whose queue is locked.
 */
static inline bool comes_next(const struct run_queue *rq, uint32_t cpu, const struct vcpu *prev,
                              const struct vcpu *v, uint64_t now)
{
    if (unlikely(load_relaxed(&v->cpu) != cpu) || unlikely(v->state != VCPU_OFFLINE) || unlikely(!may_run(v)) ||
        unlikely(may_run(prev)) || unlikely(rq->nr_waiting) || unlikely(READ_ONCE(v->domain->credit.cap)) ||
        unlikely(READ_ONCE(v->nmi_pending)))
        return false;
    if (nr_cpus > 1)        /* as choose_cpu() decides, and pick() */
        return (v->affinity.preferred & cpumask_of(cpu)) && !load_relaxed(&idle_cpus) &&
               now - rq->looked_around < LOOK_NS;
    return true;
}

/*
 * Why no wake-up is lost. Of v: its flag goes by a locked operation first; then, under the queue's lock, it is
 * given the CPU, or it is woken as by anybody. Of prev: it set its flag before it looked for events; who sent one later
 * clears that flag and comes for the queue's lock. If that was before us, prev may run, and nothing is handed over; if
 * after us, prev is OFFLINE and is queued, as when it has gone to sleep by schedule(). Its registers are saved
 * by then, or it is `running` still, and no other CPU takes it.
 */
bool sched_hand_over(struct vcpu *v)
{
    struct cpu_info *ci = this_cpu_info();
    struct vcpu *prev = ci->vcpu;
    struct run_queue *rq;
    uint64_t now;

    if (unlikely(load_relaxed(&v->pause_flags) != VPF_BLOCKED)) {
        vcpu_kick(v);
        return false;
    }
    atomic_and(&v->pause_flags, ~VPF_BLOCKED);
    rq = run_queue(ci->cpu);
    irq_disable();
    spin_lock(&rq->lock);
    now = now_ns();
    if (unlikely(!comes_next(rq, ci->cpu, prev, v, now))) {
        spin_unlock(&rq->lock);
        irq_enable();
        vcpu_wake(v);
        return false;
    }
    /* What wake() does, then what schedule() does. */
    if (now - rq->charged_at > CHARGE_NS)
        charge(rq, now);
    credit_place(&v->credit, weight_of(v), rq->vnow);
    charge_beside(rq, now, v);
    rq->yielded = false;
    rq->curr = v;
    rq->turn_start = now;
    arm(rq, now, now + lone_turn());
    prev->state = VCPU_OFFLINE;
    runstate_change(prev, runstate_off(prev), now);
    v->state = VCPU_RUNNING;
    runstate_change(v, RUNSTATE_running, now);
    store_relaxed(&v->running, true);
    spin_unlock(&rq->lock);
    return true;
}

void sched_hand_over_end(struct vcpu *v)
{
    struct cpu_info *ci = this_cpu_info();
    struct vcpu *prev = ci->vcpu;

    context_switch(prev, v);
    store_release(&prev->running, false);
    renew_time(v, ci->cpu, run_queue(ci->cpu)->turn_start);
    if (v->runstate_area.v | v->time_area.v)
        renew_areas(v);
}

/* --------------------------------------------------------------- life cycle */

void sched_init(void)
{
    for (uint32_t cpu = 0; cpu < NR_CPUS; cpu++) {
        struct run_queue *rq = &run_queues[cpu];

        spin_lock_init(&rq->lock, LOCK_SCHED);
        list_init(&rq->waiting);
        timer_init(&rq->timer, turn_timer, rq, cpu);
    }
    softirq_register(SOFTIRQ_SCHEDULE, schedule);
    softirq_register(SOFTIRQ_STRAY, sched_send_strays);
}

void sched_init_cpu(void)
{
    uint32_t cpu = this_cpu();
    struct vcpu *v = xzalloc(struct vcpu);

    BUG_ON(!v);
    v->domain = idle_domain;
    v->id = cpu;
    v->is_idle = true;
    v->kernel_mode = true;
    v->kernel_root = v->user_root = MFN_INVALID;
    v->cpu = cpu;
    v->state = VCPU_OFFLINE;        /* for ever: it has no turns and is on no queue */
    v->running = true;
    (void)affinity_set(&v->affinity, cpumask_of(cpu), CPUMASK_ALL, cpumask_of(cpu));
    list_init(&v->run_link);
    v->runstate.state = RUNSTATE_running;
    v->runstate.state_entry_time = now_ns();
    idle_vcpu[cpu] = v;
    run_queues[cpu].curr = v;
    cpumask_set(&idle_cpus, cpu);
    current = v;
}

void sched_vcpu_init(struct vcpu *v)
{
    list_init(&v->run_link);
    v->state = VCPU_OFFLINE;
    (void)affinity_set(&v->affinity, CPUMASK_ALL, CPUMASK_ALL, cpu_online_map);
    /* Spread over the CPUs that are there; the first wake-up may choose better. */
    v->cpu = (v->domain->id + v->id) % nr_cpus;
    v->runstate.state = RUNSTATE_offline;
    v->runstate.state_entry_time = now_ns();
}

void sched_vcpu_destroy(struct vcpu *v)
{
    BUG_ON(v->running || v->state != VCPU_OFFLINE);
}
