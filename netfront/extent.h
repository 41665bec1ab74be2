/* SPDX-License-Identifier: MIT */
/* extent.h - the pool's extents, for the other files of netfront; see extent.c. */
#ifndef NETFRONT_EXTENT_H
#define NETFRONT_EXTENT_H

#include "netfront/internal.h"

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

/* page_offer() of the first n pages. */
void extent_offer(struct netfront *nf, unsigned int page, unsigned int n, uint16_t flags, enum page_state state);
/* page_end() of all pages on offer, of which the backend has used n or none. False: the extent is lost. */
bool extent_take(struct netfront *nf, unsigned int page, unsigned int n, uint64_t *flipped, uint64_t *copied);
/* A frame that cannot be sent as this channel has no extents (the last one had): true, and it is given up. */
bool extent_has_none(struct netfront *nf, const struct netfront_frame *f);

#endif
