/* SPDX-License-Identifier: MIT */
/*
 * locks.h - every lock rank, in the order in which locks may be taken.
 *
 * A CPU may take a lock only if its rank is higher than every rank it holds already; two
 * locks of one rank only through spin_lock_pair(). Debug builds stop at a breach. A new kind
 * of lock gets a line here, at its place in the order, with a word on what it guards.
 */
#ifndef HV_LOCKS_H
#define HV_LOCKS_H

enum lock_rank {
    LOCK_UNRANKED = 0,      /* not checked; for tests only */
    LOCK_DOMCTL,            /* one domctl/sysctl at a time; domain.state */
    LOCK_DOMLIST,           /* the list of all domains */
    LOCK_DOMAIN,            /* one domain's odds and ends */
    LOCK_SHUTDOWN,          /* domain.shutdown_lock */
    LOCK_GRANT,             /* one domain's grant table (two: spin_lock_pair) */
    LOCK_GRANT_MAPTRACK,    /* a mapper's list of handles */
    LOCK_MMU,               /* domain.mmu_lock: page tables and their validation */
    LOCK_EVENT,             /* domain.event_lock (two: spin_lock_pair) */
    LOCK_PIRQ,              /* pirqs of all domains, MSI programming */
    LOCK_VCPU,              /* one vCPU: timers, areas */
    LOCK_SCHED,             /* one CPU's run queue (two: spin_lock_pair); interrupts off */
    LOCK_CAP,               /* domain.cap_lock: budget of a capped domain; interrupts off */
    LOCK_PAGES,             /* domain.page_lock: list and count of frames */
    LOCK_TIMER,             /* one CPU's timer queue */
    LOCK_MAP,               /* the hypervisor's own page tables, ioremap space */
    LOCK_HEAP,              /* small objects */
    LOCK_BUDDY,             /* free frames */
    LOCK_SMP_CALL,          /* one cross-CPU call at a time */
    LOCK_TLB,               /* one shootdown at a time */
    LOCK_IRQ,               /* vectors, IOAPIC registers */
    LOCK_CONSOLE_RX,        /* serial input buffer */
    LOCK_CONSOLE,           /* serial output and log ring; printk() works under every lock */
    LOCK_RANKS
};

#endif
