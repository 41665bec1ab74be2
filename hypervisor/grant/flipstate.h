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

#define FLIP_WINDOWS    64u         /* of a domain */
#define FLIP_SLOTS      4096u       /* of a window */
#define FLIP_TABLES     (FLIP_SLOTS / PTES_PER_TABLE + 1)
#define FLIP_BATCH      32u         /* operations with one flush */
#define FLIP_PAGES      64u         /* and pages */
#define FLIP_EXTENT     SLUICE_FLIP_EXTENT

/* ------------------------------------------------------------ entries */

/* Flags and domid of a shared entry as one word, as everywhere here. */
#define FLIP_OFFER      (GTF_permit_access | SLUICE_GTF_flip)
#define FLIP_TAKEN      (GTF_reading | GTF_writing)

enum flip_offer {
    FLIP_IS_OFFERED,
    FLIP_IS_BUSY,       /* a grant to the backend, but it cannot be flipped (now) */
    FLIP_IS_GONE,       /* no grant to the backend at all */
};

/* The bits that say of how many pages an offer is. */
#define FLIP_MORE       SLUICE_GTF_flip_more(FLIP_EXTENT - 1)

/* State OFFERED of a page by itself is exactly one value. */
static inline uint32_t flip_offer_to(domid_t backend)
{
    return (uint32_t)backend << 16 | FLIP_OFFER;
}

/* The whole entry then, frame in the upper half. */
static inline uint64_t flip_offered(domid_t backend, uint64_t frame)
{
    return frame << 32 | flip_offer_to(backend);
}

/* An offer, maybe of more pages than one. */
static inline bool flip_is_offer(uint32_t word, domid_t backend)
{
    return (word & ~(uint32_t)FLIP_MORE) == flip_offer_to(backend);
}

/* An offer of n pages or more. */
static inline bool flip_is_extent(uint32_t word, domid_t backend, uint32_t n)
{
    return flip_is_offer(word, backend) && (word & FLIP_MORE) >= SLUICE_GTF_flip_more(n - 1);
}

static inline enum flip_offer flip_offer(uint32_t word, domid_t backend)
{
    if (flip_is_offer(word, backend))
        return FLIP_IS_OFFERED;
    if (word >> 16 != backend || (word & GTF_type_mask) != GTF_permit_access)
        return FLIP_IS_GONE;
    return FLIP_IS_BUSY;
}

/* The whole entry (frame in the upper half) of a slot that was exchanged: IDLE, with its new frame. */
static inline uint64_t flip_idle(domid_t backend, uint64_t frame)
{
    return frame << 32 | (uint32_t)backend << 16;
}

/* ------------------------------------------------------------ page table entries */

/* A slot's entry: is that frame mapped there, and writable? */
static inline bool flip_pte_maps(pte_t e, uint64_t frame)
{
    return !((e ^ pte_make(mfn(frame), PTE_P | PTE_RW)) & (PTE_ADDR | PTE_P | PTE_RW));
}

/* The entries for each other's frames: everything but the address stays, and the accessed bit is
 * set, so that the processor need not. So is the dirty bit for whoever has sent: it is going to
 * write. For the receiver it is cleared: it tells whether the receiver has written to the frame (if it is known
 * to be clear: _unwritten). */
static inline pte_t flip_pte_sender(pte_t old, uint64_t had, uint64_t gets)
{
    return (old ^ pte_make(mfn(had ^ gets), 0)) | PTE_A | PTE_D;
}

static inline pte_t flip_pte_unwritten(pte_t old, uint64_t had, uint64_t gets)
{
    return (old ^ pte_make(mfn(had ^ gets), 0)) | PTE_A;
}

static inline pte_t flip_pte_receiver(pte_t old, uint64_t had, uint64_t gets)
{
    return flip_pte_unwritten(old, had, gets) & ~PTE_D;
}

/* ------------------------------------------------------------ frames */

/*
 * The frame that goes back to the sender, from a slot with entry e: must it be zeroed? Not if what is
 * in it came from that very domain and nobody has written to it since: the holder by this entry, or
 * another domain that mapped it. state: of the page, mapped once; clean: flip_clean().
 */
static inline bool flip_must_scrub(uint64_t state, uint64_t clean, pte_t e)
{
    return state != clean || (e & PTE_D);
}

/* The one state of a frame of `holder`, mapped once, that may go back to the domain with that tag as it is. No
 * frame has it if that has none (0). */
static inline uint64_t flip_clean(uint16_t holder, uint16_t tag)
{
    return page_state(PGC_MAPPED_ONCE, tag ? holder : DOMID_NONE, tag);
}

/* ------------------------------------------------------------ windows */

struct flip_geometry {
    uint32_t first_ref, slots;
    uint32_t first_index;           /* of slot 0 in the first table */
};

static inline bool flip_has_ref(const struct flip_geometry *g, uint32_t ref)
{
    return ref - g->first_ref < g->slots;
}

static inline bool flip_refs_overlap(const struct flip_geometry *a, const struct flip_geometry *b)
{
    return flip_has_ref(a, b->first_ref) || flip_has_ref(b, a->first_ref);
}

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
