/* SPDX-License-Identifier: MIT */
/*
 * extent.c - the pool's extents: pages that follow each other, which are offered, flipped and given back together
 * (include/sluice/flip.h). An extent goes by its first page's number, from NETFRONT_PAGES on; that page's state is all pages'.
 */
#include "netfront/extent.h"

void extents_init(struct netfront *nf)
{
    for (unsigned int i = extent_count(nf); i-- > 0;)
        extent_free_to(nf, NETFRONT_PAGES + i * NETFRONT_EXTENT_PAGES);
}

void extents_prepare(struct netfront *nf)
{
    for (unsigned int i = NETFRONT_PAGES; i < nf->nr_pages; i++) {
        if (nf->state[i - i % NETFRONT_EXTENT_PAGES] == PAGE_LOST)
            continue;
        nf->entry[i].domid = nf->dev.peer_dom;
        nf->entry[i].frame = glue_frame(page_at(nf, i));
    }
}

void extents_take_all(struct netfront *nf)
{
    uint64_t flipped = 0, copied = 0;

    for (unsigned int page = NETFRONT_PAGES; page < nf->nr_pages; page += NETFRONT_EXTENT_PAGES) {
        if ((nf->state[page] == PAGE_TX || nf->state[page] == PAGE_RX || nf->state[page] == PAGE_LOST) &&
            extent_take(nf, page, NETFRONT_EXTENT_PAGES, &flipped, &copied))
            extent_free_to(nf, page);
    }
    nf->nr_rx_extents = 0;
}

void extent_offer(struct netfront *nf, unsigned int page, unsigned int n, uint16_t flags, enum page_state state)
{
    struct grant_entry_v1 *e = nf->entry + page;
    uint16_t first = (uint16_t)(flags & SLUICE_GTF_flip ? flags | SLUICE_GTF_flip_more(n - 1) : flags);

    nf->state[page] = (uint8_t)state;
    nf->extent_pages[extent_index(page)] = (uint8_t)n;
    if (likely(n == NETFRONT_EXTENT_PAGES))
        extent_offer_others(e, NETFRONT_EXTENT_PAGES, flags);
    else
        extent_offer_others(e, n, flags);
    store_release(&e->flags, first);
}

/* Page by page. What is behind the first n was to be left alone. */
static noinline bool take_each(struct netfront *nf, unsigned int page, unsigned int n, uint64_t *flipped, uint64_t *copied)
{
    unsigned int offered = nf->extent_pages[extent_index(page)];
    uint64_t others = 0;
    bool all = true;

    for (unsigned int i = 0; i < offered; i++)
        all &= page_end(nf, page + i, i < n ? flipped : &others, i < n ? copied : &others);
    if (!all)
        nf->state[page] = PAGE_LOST;
    return all;
}

bool extent_take(struct netfront *nf, unsigned int page, unsigned int n, uint64_t *flipped, uint64_t *copied)
{
    const struct grant_entry_v1 *e = nf->entry + page;
    uint64_t *frames = glue_frames(nf->first_pfn + page);
    unsigned int offered = nf->extent_pages[extent_index(page)];
    uint16_t flags = load_acquire(&e->flags);

    n = MIN(n, offered);
    /* When the first was exchanged, so were the others, or they stay. A frame is what the entry says either way. */
    if (unlikely(flags))
        return take_each(nf, page, n, flipped, copied);
    if (likely(n == NETFRONT_EXTENT_PAGES))
        flags = extent_note_frames(e, frames, NETFRONT_EXTENT_PAGES);
    else
        flags = extent_note_frames(e, frames, n);
    if (unlikely(flags || n != offered))
        return take_each(nf, page, n, flipped, copied);
    *flipped += n;
    return true;
}

/* There are fewer than n free: those that came back, and an event when more do. How many there are then. */
static noinline unsigned int extents_short(struct netfront *nf, unsigned int n)
{
    if (nf->up && nf->flip.extents) {
        nf->wire->reap(nf, false);
        if (nf->nr_free_extents >= n)
            return n;
        nf->wire->reap(nf, true);
        /* Those on offer to receive are to be fewer, as they come in. */
        nf->flip.rx_extents_most = RX_EXTENTS_HALF;
        nf->flip.rx_extents = MIN(nf->flip.rx_extents, (unsigned int)RX_EXTENTS_HALF);
    }
    if (!nf->up || !nf->flip.extents)           /* maybe since that */
        n = 0;
    nf->wants_room |= nf->nr_free_extents < n || !n;
    return MIN(n, nf->nr_free_extents);
}

unsigned int netfront_extents_get(struct netfront *nf, struct netfront_frame *f, unsigned int n)
{
    unsigned int left;

    if (unlikely(nf->nr_free_extents < n || !nf->up || !nf->flip.extents))
        n = extents_short(nf, n);
    left = nf->nr_free_extents;
    for (const struct netfront_frame *end = f + n; f != end; f++) {
        unsigned int page = nf->free_extent[--left];

        f->frag[0].page = page;
        nf->state[page] = PAGE_USER;
        nf->extent_pages[extent_index(page)] = 1;       /* as which it can be sent, too */
    }
    nf->nr_free_extents = left;
    return n;
}

int netfront_extent_get(struct netfront *nf)
{
    struct netfront_frame f;

    return netfront_extents_get(nf, &f, 1) ? (int)f.frag[0].page : -1;
}

void extent_put(struct netfront *nf, unsigned int page)
{
    BUG_ON(!extent_known(nf, page) || nf->state[page] != PAGE_USER);
    extent_free_to(nf, page);
}

bool extent_has_none(struct netfront *nf, const struct netfront_frame *f)
{
    bool has = false;

    for (unsigned int i = 0; i < f->nr_frags; i++)
        has |= f->frag[i].page >= NETFRONT_PAGES;
    if (has)
        netfront_frames_put(nf, f, 1);
    return has;
}
