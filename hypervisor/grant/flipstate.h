/* SPDX-License-Identifier: MIT */
/*
 * flipstate.h - what the flip decides. Pure: words in, words out; grant/flip.c swaps them in.
 *
 * The states of an entry stand in <sluice/flip.h>, the reasons in docs/flip.md.
 */
#ifndef GRANT_FLIPSTATE_H
#define GRANT_FLIPSTATE_H

#include "sluice/flip.h"
#include "mm/frame.h"
#include "mm/pte.h"
#include "mm/type.h"

#define FLIP_WINDOWS    16u         /* of a domain */
#define FLIP_SLOTS      4096u       /* of a window */
#define FLIP_TABLES     (FLIP_SLOTS / PTES_PER_TABLE + 1)
#define FLIP_BATCH      32u         /* exchanges with one flush */

/* ------------------------------------------------------------ entries */

#define FLIP_OFFER      (GTF_permit_access | SLUICE_GTF_flip)
#define FLIP_TAKEN      (GTF_reading | GTF_writing)

enum flip_offer {
    FLIP_IS_OFFERED,
    FLIP_IS_BUSY,       /* a grant to the backend, but it cannot be flipped (now) */
    FLIP_IS_GONE,       /* no grant to the backend at all */
};

/* word: flags and domid of a shared entry, as one. OFFERED is exactly one value. */
static inline enum flip_offer flip_offer(uint32_t word, domid_t backend)
{
    if (likely(word == ((uint32_t)backend << 16 | FLIP_OFFER)))
        return FLIP_IS_OFFERED;
    if (word >> 16 != backend || (word & GTF_type_mask) != GTF_permit_access)
        return FLIP_IS_GONE;
    return FLIP_IS_BUSY;
}

/* ------------------------------------------------------------ page table entries */

/* A slot's entry: is that frame mapped there, and writable? */
static inline bool flip_pte_maps(pte_t e, uint32_t frame)
{
    return (e & (PTE_ADDR | PTE_P | PTE_RW)) == pte_make(mfn(frame), PTE_P | PTE_RW);
}

/* The slot's entry for another frame: everything but the address stays. Accessed and dirty are set,
 * so that the processor need not. */
static inline pte_t flip_pte(pte_t old, mfn_t m)
{
    return (old & ~PTE_ADDR) | pte_make(m, PTE_A | PTE_D);
}

/* ------------------------------------------------------------ frames */

/* Is it worth taking the entry out? What is seen here can change at once; page_claim() decides. */
static inline bool flip_frame_looks_free(const struct page *pg)
{
    return (READ_ONCE(pg->count) & ~PGC_FOREIGN) == (PGC_ALLOCATED | 2) &&
           READ_ONCE(pg->type) == (PGT_WRITABLE | 1);
}

/* May the domain with this tag get a frame as it is, or must it be zeroed? count: as claimed; who
 * has mapped a frame of another domain may have written anything into it. */
static inline bool flip_must_scrub(uint16_t source, uint16_t receiver, uint32_t count)
{
    return source == 0 || source != receiver || (count & PGC_FOREIGN);
}

/* ------------------------------------------------------------ windows */

struct flip_geometry {
    uint32_t first_ref, slots;
    uint32_t first_index;           /* of slot 0 in the first table */
};

static inline uint32_t flip_nr_tables(const struct flip_geometry *g)
{
    return (g->first_index + g->slots + PTES_PER_TABLE - 1) / PTES_PER_TABLE;
}

/* Entries [*first, *end) of table i are slots. */
static inline void flip_table_range(const struct flip_geometry *g, uint32_t i, uint32_t *first,
                                    uint32_t *end)
{
    uint32_t last = g->first_index + g->slots - i * PTES_PER_TABLE;

    *first = i ? 0 : g->first_index;
    *end = MIN(last, (uint32_t)PTES_PER_TABLE);
}

#endif
