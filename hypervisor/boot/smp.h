/* SPDX-License-Identifier: MIT */
/*
 * smp.h - the CPUs of the machine: bring-up, which are online, calls between them.
 */
#ifndef HV_BOOT_SMP_H
#define HV_BOOT_SMP_H

#include "cpu/cpumask.h"

extern cpumask_t cpu_online_map;        /* CPUs that run; only grows, and only during boot */

static inline bool cpu_online(uint32_t cpu)
{
    return cpumask_test(&cpu_online_map, cpu);
}

/* APIC id of a CPU number. */
uint32_t cpu_apicid(uint32_t cpu);

/* Boot, in order: find CPUs (ACPI), make CPU 0 known, start the rest. */
void smp_prepare(void);
void smp_start_all(void);               /* `maxcpus=N` and `nosmp` on the command line */
/* What each new CPU runs when it is ready (its idle loop). Set before smp_start_all(). */
void smp_set_ap_main(void (*fn)(void) __noreturn);

/*
 * Makes cpu leave what it does (guest or halt) and look at its pending work: softirqs, events.
 * Cheap when repeated: no second interrupt is sent while the first is under way.
 */
void smp_kick(uint32_t cpu);
void smp_kick_mask(cpumask_t mask);

/*
 * Runs fn(arg) in interrupt context (interrupts off, take no ordinary lock) on every online CPU
 * of mask; this CPU too, if in mask. wait: returns after all have finished.
 * Callers have interrupts on, or hold no lock that an fn may want.
 */
void smp_call_function(cpumask_t mask, void (*fn)(void *arg), void *arg, bool wait);

/* panic: park all other CPUs, by NMI. */
void smp_stop_others(void);

#endif
