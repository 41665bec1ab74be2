/* SPDX-License-Identifier: MIT */
/* extent.h - the pool's extents, for the other files of netfront; see extent.c. */
#ifndef NETFRONT_EXTENT_H
#define NETFRONT_EXTENT_H

#include "netfront/internal.h"

static __always_inline unsigned int extent_index(unsigned int page)
{
    return (page - NETFRONT_PAGES) / NETFRONT_EXTENT_PAGES;
}

static inline void extent_free_to(struct netfront *nf, unsigned int page)
{
    nf->state[page] = PAGE_FREE;
    nf->free_extent[nf->nr_free_extents++] = (uint16_t)page;
}

/* As for single pages: pool_init(), pool_prepare(), pool_take_all(), netfront_page_put(). */
void extents_init(struct netfront *nf);
void extents_prepare(struct netfront *nf);
void extents_take_all(struct netfront *nf);
void extent_put(struct netfront *nf, unsigned int page);

/* Offers all pages but the first of n: then that one, which speaks for all, is to be. */
static __always_inline void extent_offer_others(struct grant_entry_v1 *e, unsigned int n, uint16_t flags)
{
    __asm__("" : "+r"(flags));          /* in a register, if it is a constant, too */
#pragma GCC unroll 16
    for (unsigned int i = 1; i < n; i++)
        WRITE_ONCE(e[i].flags, flags);
}

/* The frames that are there now; flags that are not 0. The first entry's were. */
static __always_inline uint16_t extent_note_frames(const struct grant_entry_v1 *e, uint64_t *frames, unsigned int n)
{
    uint16_t flags = 0;

#pragma GCC unroll 16
    for (unsigned int i = 0; i < n; i++) {
        flags |= e[i].flags;
        frames[i] = e[i].frame;
    }
    return flags;
}

/* page_offer() of the first n pages. */
void extent_offer(struct netfront *nf, unsigned int page, unsigned int n, uint16_t flags, enum page_state state);
/* page_end() of all pages on offer, of which the backend has used n or none. False: the extent is lost. */
bool extent_take(struct netfront *nf, unsigned int page, unsigned int n, uint64_t *flipped, uint64_t *copied);
/* A frame that cannot be sent as this channel has no extents (the last one had): true, and it is given up. */
bool extent_has_none(struct netfront *nf, const struct netfront_frame *f);

#endif
