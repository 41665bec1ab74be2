/* SPDX-License-Identifier: MIT */
/*
 * timer.h - per-CPU timers on system time, driven by the local APIC's one-shot timer.
 *
 * A timer belongs to one CPU at a time; its function runs there in softirq context (locks may
 * be taken). timer_set() and timer_stop() may be called from any CPU, any context but
 * interrupts. Rank LOCK_TIMER.
 */
#ifndef HV_SCHED_TIMER_H
#define HV_SCHED_TIMER_H

#include "sched/timerq.h"

struct timer {
    struct timerq_node node;    /* .expires: system time, ns */
    void (*fn)(void *arg);
    void *arg;
    uint16_t cpu;               /* whose queue */
    bool set;                   /* in that queue */
    bool running;               /* that CPU is in fn right now */
};

/* Not set yet; cpu: where fn is to run. */
void timer_init(struct timer *t, void (*fn)(void *arg), void *arg, uint32_t cpu);
/* Fires at absolute system time ns (past times: at once). Replaces an earlier setting. */
void timer_set(struct timer *t, uint64_t ns);
/* Not set any more. fn may still be running on its CPU: see timer_kill(). */
void timer_stop(struct timer *t);
/* The same, and waits until fn is not running (not from fn itself). Then t may be freed. */
void timer_kill(struct timer *t);
static inline bool timer_is_set(const struct timer *t)
{
    return READ_ONCE(t->set);
}
/* Moves a timer, set or not, to another CPU. */
void timer_migrate(struct timer *t, uint32_t cpu);

void timer_init_boot(void);     /* boot CPU, once, then */
void timer_init_cpu(void);      /* each CPU, once its APIC works */

#endif
