/* SPDX-License-Identifier: MIT */
/*
 * tables.h - what validate.c and leaf.c share: finding the entries of a table, storing one.
 */
#ifndef MM_TABLES_H
#define MM_TABLES_H

#include "atomic.h"
#include "dev/panic.h"
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

/*
 * Tables are mostly empty. Sixteen entries at a time are looked at for the present bit when a
 * table is taken into use; page.spans then has a bit for each two of these groups, set if one of
 * their entries is present or ever was, so that little of it is looked at again in the end.
 */
#define GROUP   16u
#define SPAN    32u
#define SPANS_ALL   0xffffu

static inline uint32_t span_of(uint32_t i)
{
    return 1u << (i / SPAN);
}

/* An entry of the validated table pg at p becomes present. Lock held. */
static inline void span_note(struct page *pg, const pte_t *p)
{
    pg->spans |= (uint16_t)(1u << (((uintptr_t)p & ~PAGE_MASK) / (SPAN * sizeof(pte_t))));
}

static inline struct page *page_of_entry(const pte_t *p)
{
    return mfn_to_page(virt_to_mfn(p));
}

static inline bool group_empty(const pte_t *t)
{
    return !((t[0] | t[1] | t[2] | t[3] | t[4] | t[5] | t[6] | t[7] | t[8] | t[9] | t[10] | t[11] |
              t[12] | t[13] | t[14] | t[15]) & PTE_P);
}

/* Our slots in an L4 are a group of their own. */
_Static_assert(HV_SLOT_FIRST % GROUP == 0 && HV_SLOT_LAST == HV_SLOT_FIRST + GROUP - 1,
               "what is ours, and nothing else");

/* The first entry of the last group below entry n in which there may be some; *end: where that
 * group ends, n at most. PTES_PER_TABLE: there is none. */
static inline uint32_t group_below(uint32_t n, uint32_t spans, uint32_t *end)
{
    uint32_t left = n ? spans & (2 * span_of(n - 1) - 1) : 0, span;

    if (!left)
        return PTES_PER_TABLE;
    span = 31 - (uint32_t)__builtin_clz(left);
    *end = MIN(n, (span + 1) * SPAN);
    return (*end - 1) & ~(GROUP - 1);
}

/* Debug builds: nothing is present outside of the spans. */
static inline void spans_check(const pte_t *table, uint32_t spans, uint32_t level)
{
    for (uint32_t i = 0; SLUICE_DEBUG && i < PTES_PER_TABLE; i += GROUP)
        BUG_ON(!(spans & span_of(i)) && !(level == 4 && l4_slot_reserved(i)) &&
               !group_empty(&table[i]));
}

#endif
