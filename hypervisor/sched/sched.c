/* SPDX-License-Identifier: MIT */
/*
 * sched.c - which vCPU runs where: run queues, wake-ups, the switch. The policy is credit.c.
 *
 * Each CPU has a queue of runnable vCPUs, least virtual time first. A vCPU's scheduling fields,
 * .cpu among them, are guarded by the lock of the queue of its .cpu; run_queue_of() takes it.
 *
 * Why no wake-up is lost: whoever changes a reason to sleep (pause_flags, pause_count) does so
 * with a locked operation first and then comes here; schedule() looks at the reasons under the
 * lock before it lets a vCPU go. A vCPU that goes to sleep sets its flag first and looks for
 * events afterwards (schedop.c); a sender makes the event pending first and looks at the flag
 * afterwards.
 *
 * `running` stays true until context_switch() has saved the registers; until then the vCPU may
 * be queued, but only where it was, and no other CPU takes it.
 *
 * All locks here are taken with interrupts off, so that wake-ups work from interrupt handlers.
 */
#include "sched/sched.h"
#include "boot/smp.h"
#include "cpu/percpu.h"
#include "dev/panic.h"
#include "event/evtchn.h"
#include "mm/heap.h"
#include "mm/tlb.h"
#include "sched/clock.h"
#include "sched/softirq.h"
#include "atomic.h"

/* A lone vCPU is looked at that often: its published time is renewed (PV-NETBSD 5); and when there
 * are other CPUs, whether those who wait there fell behind it. */
#define LONE_TURN_NS    (500 * NS_PER_MS)
#define LONE_TURN_SMP_NS (13 * NS_PER_MS)
/* How often a CPU looks at the others' queues. Neither this nor the lone turn keeps step with turns
 * or with the periods of caps: who waits at the same moments of each period would never be seen. */
#define LOOK_NS          (7 * NS_PER_MS)
#define TIME_RENEW_NS   (400 * NS_PER_MS)
/* Virtual times that a wake-up looks at may be so much out of date: less than any decision. */
#define CHARGE_NS       (CREDIT_MIN_RUN_NS / 2)

struct run_queue {
    spinlock_t lock;
    uint32_t nr_waiting;
    struct list waiting;            /* vcpu.run_link, by vtime */
    struct vcpu *curr;
    uint64_t vnow;                  /* virtual time of this CPU */
    uint64_t turn_start;            /* curr was chosen */
    uint64_t looked_around;         /* when the other CPUs' queues were looked at last */
    uint64_t charged_at;            /* curr has paid up to here */
    struct credit_spare spare;
    uint64_t idled;                 /* time spent idle since vnow caught up with the others */
    bool yielded;                   /* curr asked to let others go first */
    uint64_t armed;                 /* when timer fires; 0: not set. This CPU only */
    struct timer timer;
} __aligned(64);

static struct run_queue run_queues[NR_CPUS];
static cpumask_t idle_cpus;         /* atomic; a hint for wake-ups */

/* ------------------------------------------------------------------ helpers */

static bool may_run(const struct vcpu *v)
{
    return !load_acquire(&v->pause_flags) && !load_acquire(&v->pause_count);
}

/* v's queue, locked, interrupts off. */
static struct run_queue *run_queue_of(struct vcpu *v, uint64_t *irq)
{
    struct run_queue *rq;

    *irq = irq_save();
    for (;;) {
        uint32_t cpu = load_acquire(&v->cpu);

        rq = &run_queues[cpu];
        spin_lock(&rq->lock);
        if (likely(v->cpu == cpu))
            return rq;
        spin_unlock(&rq->lock);
    }
}

static void run_queue_put(struct run_queue *rq, uint64_t irq)
{
    spin_unlock_irqrestore(&rq->lock, irq);
}

static struct vcpu *queue_head(const struct run_queue *rq)
{
    return list_first(&rq->waiting, struct vcpu, run_link);
}

/* Behind those of the same virtual time. Most come in near the end or are alone. */
static void enqueue(struct run_queue *rq, struct vcpu *v)
{
    struct list *at = rq->waiting.prev;

    while (at != &rq->waiting &&
           vtime_before(v->credit.vtime, list_entry(at, struct vcpu, run_link)->credit.vtime))
        at = at->prev;
    list_push_front(at, &v->run_link);
    v->state = VCPU_RUNNABLE;
    WRITE_ONCE(rq->nr_waiting, rq->nr_waiting + 1);
}

static void dequeue(struct run_queue *rq, struct vcpu *v)
{
    list_remove(&v->run_link);
    v->state = VCPU_OFFLINE;
    WRITE_ONCE(rq->nr_waiting, rq->nr_waiting - 1);
}

static int sleeping_runstate(const struct vcpu *v)
{
    uint32_t flags = load_relaxed(&v->pause_flags);

    if (load_relaxed(&v->pause_count) || flags & ~(VPF_BLOCKED | VPF_POLL))
        return RUNSTATE_offline;
    return RUNSTATE_blocked;
}

void vcpu_runstate_change(struct vcpu *v, int state, uint64_t at_ns)
{
    if (at_ns > v->runstate.state_entry_time)
        v->runstate.time[v->runstate.state] += at_ns - v->runstate.state_entry_time;
    v->runstate.state_entry_time = at_ns;
    v->runstate.state = state;
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

/* ---------------------------------------------------------------- accounting */

/* curr has run up to now: it pays, and the CPU's time advances. */
static void charge(struct run_queue *rq, uint64_t now)
{
    struct vcpu *v = rq->curr, *head = queue_head(rq);
    struct domain *d = v->domain;
    uint64_t ns = now > rq->charged_at ? now - rq->charged_at : 0;

    rq->charged_at = MAX(now, rq->charged_at);      /* CPUs' clocks may differ a little */
    credit_spare_add(&rq->spare, rq->charged_at, ns, v->is_idle);
    if (v->is_idle)
        return;
    credit_charge(&v->credit, READ_ONCE(d->credit.weight), ns);
    if (unlikely(READ_ONCE(d->credit.cap))) {
        spin_lock(&d->cap_lock);
        credit_cap_charge(&d->credit, ns);
        spin_unlock(&d->cap_lock);
    }
    rq->vnow = credit_vnow(rq->vnow, v->credit.vtime, head ? &head->credit.vtime : NULL);
}

/* CPU time that v's cap leaves it now; parks it when that is none. Its queue is locked, and v is
 * on none. */
static uint64_t cap_left_or_park(struct vcpu *v, uint64_t now)
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

static void cap_wake(struct domain *d, uint64_t now)
{
    if (likely(!READ_ONCE(d->credit.cap)))
        return;
    spin_lock(&d->cap_lock);
    credit_cap_wake(&d->credit, now);
    spin_unlock(&d->cap_lock);
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

static void wake(struct vcpu *v, bool refilled);

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
        wake(v, true);
    }
}

/* ------------------------------------------------------------------ placing */

static cpumask_t allowed_cpus(const struct vcpu *v)
{
    cpumask_t m = READ_ONCE(v->affinity) & cpu_online_map;

    return m ? m : cpu_online_map;
}

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

/* Where a vCPU that wakes up, or has a new period's budget, should go. */
static uint32_t choose_cpu(const struct vcpu *v, bool refilled)
{
    cpumask_t allowed = allowed_cpus(v), idle = load_relaxed(&idle_cpus) & allowed;
    uint32_t cpu = v->cpu;

    /* Its registers are still being saved there. */
    if (unlikely(v->running))
        return cpu;
    if (allowed & cpumask_of(cpu)) {
        if (idle & cpumask_of(cpu))
            return cpu;
        if (!idle)
            return refilled ? most_spare(cpu, allowed) : cpu;
    }
    return cpumask_next(idle ? idle : allowed, 0);
}

/* v was put on rq, whose curr has paid: must its CPU look at the queue? */
static bool needs_poke(const struct run_queue *rq, const struct vcpu *v, uint64_t now)
{
    uint64_t ask;

    if (rq->curr->is_idle)
        return true;
    if (credit_switch(v->credit.vtime, rq->curr->credit.vtime, now - rq->turn_start, &ask))
        return true;
    /* The CPU will look in time anyway, unless its timer is set for a lone vCPU. */
    return READ_ONCE(rq->armed) == 0 || READ_ONCE(rq->armed) > now + ask;
}

/* The time of an idle CPU stands still: on the arrival of a vCPU it goes on from where that one
 * comes from, so that times stay comparable. */
static void catch_up(struct run_queue *rq, uint64_t vnow)
{
    if (rq->curr->is_idle && vtime_before(rq->vnow, vnow))
        rq->vnow = vnow;
}

/*
 * The same for one that comes back to where it was: what runs on a CPU that was idle now and then
 * had all that it wanted, so it is not behind the busy CPUs whatever their times say.
 */
static void catch_up_idle(struct run_queue *rq, uint32_t cpu, uint64_t now)
{
    uint64_t vnow = 0;
    bool any = false;
    uint32_t other;

    if (nr_cpus == 1 || !rq->curr->is_idle)
        return;
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

static void wake(struct vcpu *v, bool refilled)
{
    uint64_t irq, now;
    struct run_queue *rq = run_queue_of(v, &irq);
    bool poke;
    uint32_t cpu;

    if (v->state != VCPU_OFFLINE || !may_run(v)) {
        run_queue_put(rq, irq);
        return;
    }
    cpu = choose_cpu(v, refilled);
    if (cpu != v->cpu) {
        uint64_t vnow = rq->vnow;

        /* On no queue and not running: only .cpu says whose it is. */
        store_release(&v->cpu, cpu);
        run_queue_put(rq, irq);
        rq = run_queue_of(v, &irq);
        if (v->state != VCPU_OFFLINE || !may_run(v)) {
            run_queue_put(rq, irq);
            return;
        }
        cpu = v->cpu;
        catch_up(rq, vnow);
    }
    now = now_ns();
    catch_up_idle(rq, cpu, now);
    if (now - rq->charged_at > CHARGE_NS)
        charge(rq, now);
    vcpu_runstate_change(v, RUNSTATE_runnable, now);
    cap_wake(v->domain, now);
    credit_place(&v->credit, READ_ONCE(v->domain->credit.weight), rq->vnow);
    enqueue(rq, v);
    poke = needs_poke(rq, v, now);
    if (rq->curr->is_idle)
        cpumask_clear(&idle_cpus, cpu);
    run_queue_put(rq, irq);
    if (poke)
        sched_poke(cpu);
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
            spin_lock(&v->domain->cap_lock);
            list_remove(&v->run_link);
            spin_unlock(&v->domain->cap_lock);
            v->state = VCPU_OFFLINE;
        } else if (v->state == VCPU_RUNNABLE) {
            dequeue(rq, v);
        }
        if (!poke)
            vcpu_runstate_change(v, sleeping_runstate(v), now_ns());
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

void vcpu_unblock(struct vcpu *v)
{
    uint32_t flags = load_relaxed(&v->pause_flags);

    if (!(flags & (VPF_BLOCKED | VPF_POLL)))
        return;
    if (flags & VPF_POLL)
        atomic_and(&v->domain->poll_mask, ~(1u << v->id));
    atomic_and(&v->pause_flags, ~(VPF_BLOCKED | VPF_POLL));
    vcpu_wake(v);
}

void vcpu_kick(struct vcpu *v)
{
    /* The caller made an event pending with a locked operation, hence before this look. */
    if (load_relaxed(&v->pause_flags) & (VPF_BLOCKED | VPF_POLL))
        vcpu_unblock(v);
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

int sched_set_affinity(struct vcpu *v, cpumask_t cpus)
{
    struct run_queue *rq;
    uint64_t irq;
    bool poke = false, wake = false;
    uint32_t cpu;

    if (!(cpus & cpu_online_map))
        return -XEN_EINVAL;
    rq = run_queue_of(v, &irq);
    WRITE_ONCE(v->affinity, cpus);
    cpu = v->cpu;
    if (!(allowed_cpus(v) & cpumask_of(cpu))) {
        if (v->state == VCPU_RUNNABLE && !v->running) {
            dequeue(rq, v);
            wake = true;
        } else {
            poke = v->state == VCPU_RUNNING || v->running;
        }
    }
    run_queue_put(rq, irq);
    if (poke)
        sched_poke(cpu);
    if (wake)
        vcpu_wake(v);
    return 0;
}

/* ----------------------------------------------------------------- schedule */

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
            if (!v->running && allowed_cpus(v) & cpumask_of(cpu)) {
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
static struct vcpu *take_waiting(struct run_queue *rq, uint64_t now, uint64_t *left)
{
    struct vcpu *v;

    while ((v = queue_head(rq)) != NULL) {
        dequeue(rq, v);
        *left = cap_left_or_park(v, now);
        if (*left)
            return v;
    }
    return NULL;
}

/* Sets the timer unless it fires early enough already: a block and wake pair usually finds it
 * still set. Fires too early then, once. */
static void arm(struct run_queue *rq, uint64_t now, uint64_t deadline)
{
    if (rq->armed > now && rq->armed <= deadline)
        return;
    WRITE_ONCE(rq->armed, deadline);
    timer_set(&rq->timer, deadline);
}

static void turn_timer(void *arg)
{
    struct run_queue *rq = arg;

    WRITE_ONCE(rq->armed, 0);
    /* Set for a turn that ended early: nobody stopped it, as that costs more than this. */
    if (!rq->curr->is_idle)
        softirq_raise_local(SOFTIRQ_SCHEDULE);
}

static uint64_t lone_turn(void)
{
    return nr_cpus > 1 ? LONE_TURN_SMP_NS : LONE_TURN_NS;
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
    if (credit_switch(head->credit.vtime, prev->credit.vtime, ran, ask))
        return false;
    if (ran >= CREDIT_SLICE_NS)
        rq->turn_start = now;
    return true;
}

/*
 * Who runs now. prev has paid; on return it is the result, or queued, parked or OFFLINE. *again:
 * when to look again, ns from now.
 */
static struct vcpu *pick(struct run_queue *rq, uint32_t cpu, struct vcpu *prev, uint64_t now,
                         uint64_t *again)
{
    /* Not tied to turns, which end early where much is woken. */
    bool look_around = now - rq->looked_around >= LOOK_NS;
    uint64_t left = UINT64_MAX, ask = CREDIT_SLICE_NS;
    struct vcpu *next = NULL;

    if (!prev->is_idle) {
        prev->state = VCPU_OFFLINE;
        if (!may_run(prev) || !(allowed_cpus(prev) & cpumask_of(cpu)))
            ;                   /* leaves; if it may run elsewhere, schedule() wakes it there */
        else if ((left = cap_left_or_park(prev, now)) == 0)
            ;                   /* parked */
        else if (goes_on(rq, prev, now, &ask))
            next = prev;
        else
            enqueue(rq, prev);
    }
    if (!next)
        next = take_waiting(rq, now, &left);
    if (nr_cpus > 1 && (!next || look_around)) {
        struct vcpu *better = steal(rq, cpu, next ? &next->credit.vtime : NULL);

        rq->looked_around = now;
        if (better) {
            uint64_t better_left = cap_left_or_park(better, now);

            if (better_left) {
                if (next)
                    enqueue(rq, next);
                next = better;
                left = better_left;
            }
        } else if (next && !rq->nr_waiting) {
            settle_lone(next, cpu);
        }
    }
    rq->yielded = false;
    if (!next) {
        *again = 0;
        return idle_vcpu[cpu];
    }
    if (next != prev)
        ask = rq->nr_waiting ? CREDIT_SLICE_NS : lone_turn();
    if (nr_cpus > 1 && rq->nr_waiting) {
        uint64_t since = MIN(now - rq->looked_around, LOOK_NS - CREDIT_MIN_RUN_NS);

        ask = MIN(ask, LOOK_NS - since);
    }
    *again = MIN(ask, left);
    return next;
}

/* prev's runstate once it is known what became of it. */
static void account_off(struct vcpu *prev, uint64_t now)
{
    if (prev->is_idle)
        vcpu_runstate_change(prev, RUNSTATE_runnable, now);
    else if (prev->state == VCPU_RUNNABLE || prev->state == VCPU_PARKED || may_run(prev))
        vcpu_runstate_change(prev, RUNSTATE_runnable, now);
    else
        vcpu_runstate_change(prev, sleeping_runstate(prev), now);
}

static void renew_time(struct vcpu *v, uint64_t now)
{
    if (now - v->time.system_time >= TIME_RENEW_NS || v->time_cpu != this_cpu() ||
        !v->time.version)
        vcpu_update_time(v, true);
}

void schedule(void)
{
    uint32_t cpu = this_cpu();
    struct run_queue *rq = &run_queues[cpu];
    struct vcpu *prev = current, *next;
    uint64_t now = now_ns(), again;
    bool homeless;

    spin_lock(&rq->lock);
    charge(rq, now);
    next = pick(rq, cpu, prev, now, &again);
    if (!next->is_idle) {
        next->state = VCPU_RUNNING;
        arm(rq, now, now + again);
    } else {
        /* Also when it was idle before: a waker took the mark away, and another CPU the vCPU. */
        cpumask_set(&idle_cpus, cpu);
    }
    if (next == prev) {
        spin_unlock(&rq->lock);
        if (!next->is_idle)
            renew_time(next, now);
        return;
    }
    rq->curr = next;
    rq->turn_start = now;
    account_off(prev, now);
    vcpu_runstate_change(next, RUNSTATE_running, now);
    store_relaxed(&next->running, true);
    if (prev->is_idle)
        cpumask_clear(&idle_cpus, cpu);
    homeless = prev->state == VCPU_OFFLINE && !prev->is_idle &&
               !(allowed_cpus(prev) & cpumask_of(cpu));
    spin_unlock(&rq->lock);

    context_switch(prev, next);
    store_release(&prev->running, false);
    if (unlikely(homeless))
        vcpu_wake(prev);
    if (!next->is_idle) {
        renew_time(next, now);
        if (next->runstate_area.v || next->time_area.v) {
            next->areas_stale = true;
            if (next->kernel_mode)
                vcpu_update_areas(next);
        }
    }
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
    v->state = VCPU_RUNNING;
    v->running = true;
    v->affinity = cpumask_of(cpu);
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
    v->affinity = CPUMASK_ALL;
    /* Spread over the CPUs that are there; the first wake-up may choose better. */
    v->cpu = (v->domain->id + v->id) % nr_cpus;
    v->runstate.state = RUNSTATE_offline;
    v->runstate.state_entry_time = now_ns();
}

void sched_vcpu_destroy(struct vcpu *v)
{
    BUG_ON(v->running || v->state != VCPU_OFFLINE);
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
