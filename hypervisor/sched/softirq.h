/* SPDX-License-Identifier: MIT */
/*
 * softirq.h - work that interrupts leave for later: run on the way out to a guest, in the idle
 * loop, and nowhere else; no locks held. Pending bits are cpu_info.softirqs.
 */
#ifndef HV_SCHED_SOFTIRQ_H
#define HV_SCHED_SOFTIRQ_H

#include "atomic.h"
#include "cpu/percpu.h"

enum softirq {
    SOFTIRQ_TIMER,          /* sched/timer.c: expired timers */
    SOFTIRQ_PIRQ,           /* event/irq.c: hand device interrupts to guests */
    SOFTIRQ_CONSOLE,        /* dev/console.c: serial input arrived */
    SOFTIRQ_WORK,           /* domain/destroy.c and the like: deferred, bounded steps */
    SOFTIRQ_STRAY,          /* sched/wake.c: send on who waits here and may not run here */
    SOFTIRQ_SCHEDULE,       /* sched/sched.c: choose another vCPU; last: others may wake vCPUs */
    NR_SOFTIRQS
};

/* Who handles nr; once, at boot, before it is raised. */
void softirq_register(enum softirq nr, void (*handler)(void));
/* Marks nr pending on cpu, and kicks that CPU if it is another one. Any context. */
void softirq_raise(uint32_t cpu, enum softirq nr);

/* On this CPU; no kick needed. */
static inline void softirq_raise_local(enum softirq nr)
{
    atomic_or(&this_cpu_info()->softirqs, 1u << nr);
}

/* Anything pending here? The exit path asks with interrupts off, then runs or leaves. */
static inline bool softirq_pending(void)
{
    return READ_ONCE(this_cpu_info()->softirqs) != 0;
}

/*
 * Runs all that is pending, lowest number first, until nothing is. Called and returns with
 * interrupts off. Handlers run with interrupts on, but SOFTIRQ_SCHEDULE's with interrupts off;
 * after it `current` may be another vCPU.
 */
void softirq_run(void);

#endif
