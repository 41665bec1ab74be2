/* SPDX-License-Identifier: MIT */
/*
 * pte.h - what a guest may write into its page tables, and what we make of it. Pure.
 *
 * A 64-bit guest kernel runs in ring 3, so its pages need the user bit; PTE_KERNEL marks them, so
 * that an entry which the guest reads, changes and writes back is still known as the kernel's.
 * Pages of guest user space are global: they survive the change of root on every entry into the
 * guest kernel. Kernel pages never are, or user mode would reach them through stale entries.
 * Facts: PV-ABI 5.1, 5.3; PV-NETBSD 3.2.
 */
#ifndef MM_PTE_H
#define MM_PTE_H

#include "mm/map.h"

#define PTE_KERNEL      (1UL << 52)     /* private marker: a page of the guest kernel */
#define PTE_SOFTWARE    (0x7ffUL << 52) /* bits 52..62: ignored by the processor */
#define PTE_CACHE       (PTE_PWT | PTE_PCD | PTE_PAT)

/* In upper entries bits 3, 4, 7 and 8 are refused: seen through a self-mapping L4 they would be
 * bits of a leaf. */
#define PTE_UPPER_OK    (PTE_P | PTE_RW | PTE_U | PTE_A | PTE_D | PTE_AVAIL | PTE_SOFTWARE | \
                         PTE_NX | PTE_ADDR)
#define PTE_L1_OK       (PTE_UPPER_OK | PTE_G)

/* Bits that may differ without any effect on references. */
#define PTE_L1_FREE     (PTE_U | PTE_A | PTE_D | PTE_G | PTE_AVAIL | PTE_SOFTWARE | PTE_NX)
#define PTE_UPPER_FREE  (PTE_RW | PTE_U | PTE_A | PTE_D | PTE_AVAIL | PTE_SOFTWARE | PTE_NX)

/* May a present upper entry have these flags? A leaf may have any; cache bits are a question of
 * the frame. */
static inline bool upper_flags_ok(pte_t e)
{
    return (e & ~PTE_UPPER_OK) == 0;
}

/* A present leaf entry as it is stored. */
static inline pte_t l1e_fix(pte_t e, bool no_global)
{
    if (!(e & PTE_U))
        return (e | PTE_U | PTE_KERNEL) & ~PTE_G;
    if ((e & PTE_KERNEL) || no_global)
        return e & ~PTE_G;
    return e | PTE_G;
}

/* A present entry of level 2, 3 or 4. RW is never added. */
static inline pte_t upper_fix(pte_t e, uint32_t level)
{
    return e | PTE_U | (level == 4 ? PTE_A : 0);
}

/* Slots of every L4 that are ours. */
static inline bool l4_slot_reserved(uint32_t slot)
{
    return slot >= HV_SLOT_FIRST && slot <= HV_SLOT_LAST;
}

/* Can a guest have something mapped there? Canonical, and not in our slots. */
static inline bool guest_va_ok(uint64_t va)
{
    return va < 0x0000800000000000UL || va >= HV_VIRT_END;
}

#endif
