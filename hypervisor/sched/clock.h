/* SPDX-License-Identifier: MIT */
/*
 * clock.h - time: the TSC turned into nanoseconds since boot; wall clock at boot.
 *
 * now = base_ns + (((tsc - base_tsc) << shift) * mul >> 32), the same formula and the same
 * numbers that guests get in their vcpu_time_info (negative shift: shift right).
 */
#ifndef HV_SCHED_CLOCK_H
#define HV_SCHED_CLOCK_H

#include "compiler.h"

#define NS_PER_SEC  1000000000UL
#define NS_PER_MS   1000000UL
#define NS_PER_US   1000UL

struct clock_scale {
    uint32_t mul;
    int8_t   shift;
};

/* Pure (clock_scale.c): scale for a counter of hz > 0; and ticks to ns and back with it. */
struct clock_scale clock_scale_for_hz(uint64_t hz);
static inline uint64_t clock_scale_ticks(struct clock_scale s, uint64_t ticks)
{
    if (s.shift < 0)
        ticks >>= -s.shift;
    else
        ticks <<= s.shift;
    return (uint64_t)(((unsigned __int128)ticks * s.mul) >> 32);
}
uint64_t clock_unscale_ns(struct clock_scale s, uint64_t ns);

/* A point at which TSC and system time are known together, per CPU. */
struct clock_point {
    uint64_t tsc;
    uint64_t ns;
    struct clock_scale scale;
};

/* System time, ns since boot. Never goes back on one CPU. Any context. */
uint64_t now_ns(void);
/* This CPU's point: what a vcpu_time_info of a vCPU running here must say. */
struct clock_point clock_point_here(void);
/* System time of a TSC value read on this CPU, and the other way. */
uint64_t clock_tsc_to_ns(uint64_t tsc);
uint64_t clock_ns_to_tsc(uint64_t ns);
uint64_t clock_tsc_khz(void);
uint64_t clock_ns_to_apic(uint64_t ns);     /* ticks of the local APIC timer */
/* TSCs run in step on all CPUs: guests may read rdtsc themselves and get PVCLOCK_TSC_STABLE.
 * Command line: tsc=stable|unstable overrules what was found. Valid after smp_start_all(). */
bool clock_tsc_stable(void);
/* Wall clock (ns since 1970, UTC) at system time 0. Settable (platform_op settime). */
uint64_t wallclock_at_boot_ns(void);
void wallclock_set_at_boot_ns(uint64_t ns);

void udelay(uint64_t us);           /* busy; works after clock_init() */

void clock_init(void);              /* CPU 0: calibrate TSC and APIC timer, read the RTC */
/* Bring-up of CPU n: it and CPU 0 compare their TSCs; called on both at the same time. */
void clock_init_cpu(void);
void clock_sync_new_cpu(uint32_t cpu);

#endif
