/* SPDX-License-Identifier: MIT */
/*
 * tlb.h - flushing TLBs, here and on other CPUs, and the flush clock.
 *
 * The flush clock ticks each time somebody asks for the time, and every CPU remembers the time
 * of its last full flush. A page that stopped being writable (or used) at time T needs a flush
 * only on CPUs whose last flush is older than T; tlbflush_filter() drops the others. It is 32
 * bits wide; before stamps could be mistaken after it wrapped, all CPUs are flushed.
 */
#ifndef HV_MM_TLB_H
#define HV_MM_TLB_H

#include "addr.h"
#include "atomic.h"
#include "cpu/cpumask.h"

#define FLUSH_TLB           1u      /* all but global entries: reload cr3 */
#define FLUSH_TLB_GLOBAL    2u      /* everything */
#define FLUSH_ONE           4u      /* one page, va */

/* This CPU only. */
void tlb_flush_local(unsigned int flags, uint64_t va);
/*
 * All CPUs of mask (this one included if it is in it), and waits until they did.
 * Any context, interrupts on or off; incoming requests are answered while waiting.
 * Offline CPUs in mask are skipped.
 */
void tlb_flush_mask(cpumask_t mask, unsigned int flags, uint64_t va);

/* The time to remember with a page (page.tlb_stamp) after its last mapping of the kind went away:
 * first change the entry, then ask. */
#ifdef SLUICE_HOST
uint32_t tlbflush_now(void);
#else
#define TLB_CLOCK_PERIOD    (1u << 30)

/* tlb.c. The clock is near to where old stamps could be mistaken: everybody flushes. */
extern uint32_t tlb_clock;
void tlb_clock_wraps(void);

static inline uint32_t tlbflush_now(void)
{
    uint32_t now = atomic_add_return(&tlb_clock, 1u);

    if (unlikely(!(now % TLB_CLOCK_PERIOD)))
        tlb_clock_wraps();
    return now;
}
#endif
/* mask without the CPUs that made a full flush after stamp. */
cpumask_t tlbflush_filter(cpumask_t mask, uint32_t stamp);
/*
 * Loads CR3, flushes everything (global entries, too) and notes it: for every switch to another
 * vCPU or another process. cpu_info.cr3 follows. Interrupts off. Between the two roots of one vCPU
 * a plain write of CR3 does: user pages survive that on purpose.
 */
void tlb_switch_cr3(uint64_t cr3);

/* Answer a shootdown that is waiting for this CPU, if any. Cheap; called where CPUs spin. */
void tlb_poll(void);

#endif
