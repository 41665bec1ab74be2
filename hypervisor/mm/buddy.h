/* SPDX-License-Identifier: MIT */
/*
 * buddy.h - the frame allocator: all RAM that nobody owns, in blocks of 2^order frames.
 *
 * Two layers. `struct buddy` is pure list logic over an array of struct page (unit-tested on the
 * host). frames_alloc() and friends are the machine's one instance with its lock.
 *
 * Contents: frames come as they are, not scrubbed. Whoever gives a frame to a domain clears it
 * first (frames_scrub); a frame that held guest data and comes back is scrubbed by the next
 * taker, so nothing is cleared twice.
 */
#ifndef HV_MM_BUDDY_H
#define HV_MM_BUDDY_H

#include "mm/frame.h"

#define BUDDY_ORDERS    21              /* orders 0..20: 4 KiB .. 4 GiB */
#define FRAMES_BELOW_4G (1u << 20)      /* MFNs that a 32-bit address reaches */

/*
 * While a block is free, its first frame's struct page has count PGC_FREE, its order in
 * nr_validated, and its list in next and prev. The other frames of the block have count 0.
 * Two zones, so that frames below 4 GiB last: zone 0 below, zone 1 from there up.
 */
struct buddy {
    struct page *page;                  /* indexed by frame number */
    uint64_t frames;                    /* frame numbers are below this; at most 2^32 - 1 */
    uint32_t head[2][BUDDY_ORDERS];     /* FRAME_NIL: none */
    uint64_t free[2];                   /* frames free in each zone */
};

/* All frames are in use at first: their count is not PGC_FREE. */
void buddy_init(struct buddy *b, struct page *pages, uint64_t frames);
/* Frames [first, first + n) are free from now on (boot: RAM ranges). */
void buddy_add(struct buddy *b, uint64_t first, uint64_t n);
/* A block of 2^order frames aligned to its size; FRAME_NIL if there is none. low: zone 0 only;
 * otherwise zone 1 first. */
uint32_t buddy_alloc(struct buddy *b, unsigned int order, bool low);
/* Their count must be 0. */
void buddy_free(struct buddy *b, uint32_t frame, unsigned int order);
/* Is frame inside a free block? (assertions, tests) */
bool buddy_is_free(const struct buddy *b, uint32_t frame);

/* ---- the machine's frames (not in host builds) ---- */

#define MEMF_LOW        1u      /* only frames below 4 GiB */

/*
 * 2^order frames, aligned to that; MFN_INVALID if there are none. Not scrubbed; their struct
 * page has count, type and tlb_stamp as they were left at free (count 0) and owner DOMID_NONE.
 * Rank LOCK_BUDDY; any context but interrupts.
 */
__must_check mfn_t frames_alloc(unsigned int order, unsigned int flags);
/* Their count must be 0. */
void frames_free(mfn_t m, unsigned int order);
/* One frame, zeroed, as an address in the direct map; NULL if there is none. */
void *page_alloc_zeroed(void);
void page_free(void *page);
/* Zero 2^order frames. */
void frames_scrub(mfn_t m, unsigned int order);
uint64_t frames_free_count(void);       /* free now, both zones */
uint64_t frames_free_low(void);         /* of them below 4 GiB */
uint64_t frames_total(void);            /* RAM frames that were ever free or in use */

/* Boot: gives all RAM that nothing occupies to the allocator. */
void frames_init(void);

#endif
