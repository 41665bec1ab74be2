/* SPDX-License-Identifier: MIT */
/*
 * sched.h - which vCPU runs where. Mechanism; the policy (weights, caps) is sched/credit.h.
 *
 * All functions are callable from any CPU with interrupts on or off; none sleeps.
 */
#ifndef SCHED_SCHED_H
#define SCHED_SCHED_H

#include "domain/domain.h"

void sched_init(void);                  /* before the first domain */
void sched_init_cpu(void);              /* on each CPU: makes its idle vCPU current */
void sched_vcpu_init(struct vcpu *v);   /* a new vCPU: offline */
void sched_vcpu_destroy(struct vcpu *v);

/* Something that v may be waiting for happened: clears VPF_BLOCKED and queues it. Spurious
 * calls are harmless. */
void vcpu_unblock(struct vcpu *v);
/* pause_flags or pause_count changed: queue v or take it off, without waiting. */
void vcpu_wake(struct vcpu *v);
void vcpu_sleep_nosync(struct vcpu *v);
/* Counted; returns when v is off its CPU and its state is saved. Not for the current vCPU. */
void vcpu_pause(struct vcpu *v);
void vcpu_unpause(struct vcpu *v);
void domain_pause(struct domain *d);            /* all vCPUs; not the caller's own domain */
void domain_unpause(struct domain *d);
/* An event became deliverable to v: wake it, or if it runs elsewhere make it look (IPI). */
void vcpu_kick(struct vcpu *v);

/*
 * vcpu_kick() by a vCPU that is about to sleep, as one step with that: it has VPF_BLOCKED set, has seen no event since and
 * will do nothing more. Interrupts are on. True: v has this CPU, but `current` is still the caller; interrupts are off
 * then and stay so until sched_hand_over_end(), which must follow.
 */
bool sched_hand_over(struct vcpu *v);
/* The switch itself: `current` is v on return. Interrupts off, no locks. */
void sched_hand_over_end(struct vcpu *v);

/* The SOFTIRQ_SCHEDULE handler: picks and switches. Called only from the exit path and idle,
 * with interrupts off; on return `current` may be another vCPU. */
void schedule(void);
/* Idle, for the exit path when `current` is an idle vCPU: interrupts off; halts until there is
 * a softirq to run (returns at once if there is), and returns with interrupts off. */
void sched_idle_wait(void);
/* Ask for it on this or another CPU. */
void sched_poke(uint32_t cpu);

/* Should a long hypercall leave now (softirq or event pending)? Cheap: called per step. */
bool hypercall_preempt_check(void);

/* Exchange of register state, domain/switch.c: saves prev from cpu_info, loads next (CR3, GDT,
 * LDT, segment bases, debug registers, FPU, XCR0). Interrupts off.
 * Also sets `current`, and keeps vcpu.dirty_cpus and domain.dirty_cpus. */
void context_switch(struct vcpu *prev, struct vcpu *next);

/* Hypercalls. */
long do_sched_op(uint64_t cmd, guest_ptr_t arg);
long do_sched_op_compat(uint64_t cmd, uint64_t arg);
long do_set_timer_op(int64_t timeout_ns);
long do_sluice_wait(uint64_t cmd, uint64_t port);       /* sched/wait.c; include/sluice/wait.h */
long do_vcpu_op(uint64_t cmd, uint64_t vcpu_id, guest_ptr_t arg);

/* Guest areas. */
/* v is current and in kernel mode: writes its registered areas. vcpu_toggle_mode() calls it on
 * the way into the kernel when v->areas_stale. */
void vcpu_update_areas(struct vcpu *v);
/* Publishes vcpu_info.time (and the time area) when stale; PV-ABI section 7. v is current. */
void vcpu_update_time(struct vcpu *v, bool force);
/* Publishes the wall clock in d's shared_info; for all domains after it was set. */
void domain_update_wallclock(struct domain *d);
void domains_update_wallclock(void);
/* Time v has run, ns, up to now. */
uint64_t vcpu_cpu_ns(struct vcpu *v);
/* v->singleshot, periodic, poll_timer. */
void vcpu_timers_init(struct vcpu *v);
void vcpu_timers_destroy(struct vcpu *v);
/* Sets one of them, to fire on v's CPU. */
void vcpu_timer_set(struct vcpu *v, struct timer *t, uint64_t ns);
void sched_domain_init(struct domain *d);
/* schedop.c: SCHEDOP_watchdog's timers of a new domain; of one whose vCPUs are stopped. */
void watchdog_init(struct domain *d);
void watchdog_destroy(struct domain *d);
/* Weight (1..65535) and cap (percent of a CPU, 0: none). False, and nothing changed: out of
 * range. */
bool sched_set_params(struct domain *d, uint32_t weight, uint32_t cap);
void sched_domain_destroy(struct domain *d);
/* SCHEDOP_yield of the current vCPU: others who wait here go first. */
void sched_yield(void);
/* Where v may run and where it would rather; -EINVAL, and nothing changed, if none of `hard` is
 * online. One that runs elsewhere leaves at once. */
int sched_set_affinity(struct vcpu *v, cpumask_t hard, cpumask_t soft);

#endif
