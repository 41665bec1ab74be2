/* SPDX-License-Identifier: MIT */
/*
 * timer.c - per-CPU timer queues on the local APIC's one-shot timer.
 *
 * The interrupt only raises the softirq. The hardware is set to the earliest deadline of the
 * queue, and set again only when that changes.
 */
#include "sched/timer.h"

#include "cpu/apic.h"
#include "cpu/asm.h"
#include "cpu/traps.h"
#include "mm/tlb.h"
#include "sched/clock.h"
#include "sched/softirq.h"
#include "spinlock.h"

#define NEVER       (~0UL)
#define MAX_TICKS   0xfffffff0UL
#define MAX_SLEEP   NS_PER_SEC      /* longer waits are armed in pieces */

static struct {
    spinlock_t lock;
    struct timerq q;
    uint64_t armed;                 /* deadline that the hardware is set to */
    bool firing;                    /* its CPU runs those that have expired, and sets the hardware afterwards */
} __aligned(64) queue[NR_CPUS];

static uint32_t lock_queue_of(struct timer *t)
{
    for (;;) {
        uint32_t cpu = READ_ONCE(t->cpu);

        spin_lock(&queue[cpu].lock);
        if (likely(cpu == t->cpu))
            return cpu;
        spin_unlock(&queue[cpu].lock);
    }
}

/* This CPU's queue, locked: make the hardware fire when its first timer expires. */
static void arm(uint32_t cpu)
{
    struct timerq_node *first = queue[cpu].q.root;
    uint64_t when = first ? first->expires : NEVER, now, ticks;

    if (when == queue[cpu].armed)
        return;
    queue[cpu].armed = when;
    if (when == NEVER) {
        apic_timer_set(0);
        return;
    }
    now = now_ns();
    if (when <= now) {
        softirq_raise_local(SOFTIRQ_TIMER);
        return;
    }
    /* Rounded up: an interrupt just before the deadline would only come to be armed again. */
    ticks = clock_ns_to_apic(MIN(when - now, MAX_SLEEP)) + 1;
    apic_timer_set((uint32_t)MIN(ticks, MAX_TICKS));
}

/* The first timer of cpu's queue, locked, may have changed. */
static void rearm(uint32_t cpu)
{
    const struct timerq_node *first = queue[cpu].q.root;

    if (queue[cpu].firing)
        return;
    if (cpu == this_cpu())
        arm(cpu);
    else if (first && first->expires < READ_ONCE(queue[cpu].armed))
        softirq_raise(cpu, SOFTIRQ_TIMER);
}

static void timer_softirq(void)
{
    uint32_t cpu = this_cpu();
    uint64_t now = now_ns();
    struct timerq_node *n;

    spin_lock(&queue[cpu].lock);
    queue[cpu].firing = true;
    while ((n = queue[cpu].q.root) && n->expires <= now) {
        struct timer *t = container_of(n, struct timer, node);

        timerq_remove(&queue[cpu].q, n);
        t->set = false;
        t->running = true;
        spin_unlock(&queue[cpu].lock);
        t->fn(t->arg);
        spin_lock(&queue[cpu].lock);
        store_release(&t->running, false);
    }
    queue[cpu].firing = false;
    queue[cpu].armed = 0;           /* it fired, or somebody else changed the queue */
    arm(cpu);
    spin_unlock(&queue[cpu].lock);
}

static void timer_interrupt(struct cpu_user_regs *regs)
{
    apic_eoi();
    softirq_raise_local(SOFTIRQ_TIMER);
}

void timer_init(struct timer *t, void (*fn)(void *arg), void *arg, uint32_t cpu)
{
    *t = (struct timer){ .fn = fn, .arg = arg, .cpu = (uint16_t)cpu };
}

void timer_set(struct timer *t, uint64_t ns)
{
    uint32_t cpu = lock_queue_of(t);

    if (t->set)
        timerq_remove(&queue[cpu].q, &t->node);
    t->set = true;
    timerq_insert(&queue[cpu].q, &t->node, ns);
    rearm(cpu);
    spin_unlock(&queue[cpu].lock);
}

void timer_stop(struct timer *t)
{
    uint32_t cpu;

    if (!READ_ONCE(t->set))
        return;
    cpu = lock_queue_of(t);
    if (t->set) {
        timerq_remove(&queue[cpu].q, &t->node);
        t->set = false;
        /* The hardware may fire once for nothing; setting it again would cost more. */
    }
    spin_unlock(&queue[cpu].lock);
}

void timer_kill(struct timer *t)
{
    for (;;) {
        timer_stop(t);
        if (!load_acquire(&t->running) && !READ_ONCE(t->set))
            return;
        cpu_relax();
        tlb_poll();
    }
}

void timer_migrate(struct timer *t, uint32_t cpu)
{
    uint32_t old = lock_queue_of(t);
    bool was_set = t->set;

    if (old != cpu && was_set) {
        timerq_remove(&queue[old].q, &t->node);
        t->set = false;
    }
    t->cpu = (uint16_t)cpu;
    spin_unlock(&queue[old].lock);
    if (old != cpu && was_set)
        timer_set(t, t->node.expires);
}

void timer_init_boot(void)
{
    for (uint32_t cpu = 0; cpu < NR_CPUS; cpu++) {
        spin_lock_init(&queue[cpu].lock, LOCK_TIMER);
        queue[cpu].armed = NEVER;
    }
    softirq_register(SOFTIRQ_TIMER, timer_softirq);
    irq_set_handler(VECTOR_TIMER, timer_interrupt);
}

void timer_init_cpu(void)
{
    apic_timer_set(0);
}
