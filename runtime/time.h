/* SPDX-License-Identifier: MIT */
/* time.h - system time and wall clock. */
#ifndef RUNTIME_TIME_H
#define RUNTIME_TIME_H

#include "compiler.h"

#define NS_PER_US 1000UL
#define NS_PER_MS 1000000UL
#define NS_PER_S  1000000000UL

/* The hypervisor's system time in ns: monotonic, 0 about when the host started. Cheap. */
uint64_t now_ns(void);

/* The same since the processor was reset, firmware and boot loader included: what its TSC says. */
uint64_t since_power_on_ns(void);

/* Seconds since 1970-01-01 UTC, and the ns of that second when ns is not NULL. */
uint64_t wallclock(uint32_t *ns);

/* Busy wait; only for a device's documented settling times below about 100 us. */
void delay_us(unsigned int us);

/* RDRAND; false when the processor has none, or none ready. */
bool hardware_random(uint64_t *v);

/* Random bytes for sequence numbers, ids and seeds: RDRAND where there is one, the clock and a
 * running hash. Not for long-lived keys. */
void random_bytes(void *buf, size_t n);
uint32_t random_u32(void);

#endif
