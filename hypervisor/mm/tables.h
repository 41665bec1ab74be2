/* SPDX-License-Identifier: MIT */
/*
 * tables.h - what validate.c and leaf.c share: finding the entries of a table, storing one.
 */
#ifndef MM_TABLES_H
#define MM_TABLES_H

#include "atomic.h"
#include "mm/frame.h"
#include "mm/pte.h"

static inline pte_t *table_of(const struct page *pg)
{
    return mfn_to_virt(page_to_mfn(pg));
}

/* Stores an entry; returns the old one as it was at the end, with what the processor set in it.
 * The exchange also orders the store before the reading of the flush clock. */
static inline pte_t entry_store(pte_t *p, pte_t new_entry, bool keep_ad)
{
    pte_t old;

    if (!keep_ad)
        return atomic_xchg(p, new_entry);
    old = READ_ONCE(*p);
    while (!atomic_cmpxchg(p, &old, new_entry | (old & (PTE_A | PTE_D))))
        cpu_relax();
    return old;
}

/* Tables are mostly empty: sixteen entries at a time are looked at for the present bit. */
#define GROUP   16u

static inline bool group_empty(const pte_t *t)
{
    return !((t[0] | t[1] | t[2] | t[3] | t[4] | t[5] | t[6] | t[7] | t[8] | t[9] | t[10] | t[11] |
              t[12] | t[13] | t[14] | t[15]) & PTE_P);
}

/* Our slots in an L4 are a group of their own. */
_Static_assert(HV_SLOT_FIRST % GROUP == 0 && HV_SLOT_LAST == HV_SLOT_FIRST + GROUP - 1,
               "what is ours, and nothing else");

/* Nothing of the guest's in the group that begins with entry `first`? */
static inline bool group_skip(const pte_t *table, uint32_t first, uint32_t level)
{
    return group_empty(&table[first]) || (level == 4 && l4_slot_reserved(first));
}

#endif
