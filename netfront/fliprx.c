/* SPDX-License-Identifier: MIT */
/* fliprx.c - the flip channel, frames that are received and pages that are offered to be filled; see flip.c. */
#include "netfront/flip.h"

void wire_flip_post(struct netfront *nf)
{
    struct netfront_flip *f = &nf->flip;
    unsigned int n = nf->nr_rx < RX_POSTED ? MIN(RX_POSTED - nf->nr_rx, nf->nr_free) : 0;
    const uint16_t *pages = nf->free_page + nf->nr_free;
    grant_ref_t *ring = f->rx->ref, first_ref = nf->first_ref;
    struct grant_entry_v1 *entry = nf->entry;
    uint8_t *state = nf->state;
    uint32_t prod = f->rx_ref_prod;

    nf->nr_free -= n;
    nf->nr_rx += n;
    for (; n; n--) {
        unsigned int page = *--pages;

        state[page] = PAGE_RX;
        store_release(&entry[page].flags, (uint16_t)(GTF_permit_access | SLUICE_GTF_flip));
        ring[prod++ % NETFLIP_REFS] = first_ref + page;
    }
    f->rx_ref_prod = prod;
    if (f->extents)
        flip_post_extents(nf);
    if (f->rx_ref_prod != f->rx_ref_sent) {
        f->rx_ref_sent = f->rx_ref_prod;
        if (ring_publish(&f->rx->ref_prod, &f->rx->ref_event, f->rx_ref_prod))
            event_send(nf->rx_port);
    }
}

/* A page that a frame names, flipped or not. False: it is not one that the backend had, or it keeps it. */
static noinline bool take_page(struct netfront *nf, uint32_t page)
{
    if (unlikely(page >= NETFRONT_PAGES || nf->state[page] != PAGE_RX)) {
        netfront_fault(nf, "it brings a page that it does not have");
        return false;
    }
    nf->nr_rx--;
    if (unlikely(!page_take(nf, page, &nf->stats.rx_flipped, &nf->stats.rx_copied)))
        return false;
    nf->state[page] = PAGE_USER;
    return true;
}

/* The same for a fragment that is in an extent; *good: it is within it. */
static bool take_extent(struct netfront *nf, uint32_t page, unsigned int offset, unsigned int len, bool *good)
{
    unsigned int n = netflip_frag_pages(offset, len);

    if (unlikely(!extent_known(nf, page) || nf->state[page] != PAGE_RX)) {
        netfront_fault(nf, "it brings a page that it does not have");
        return false;
    }
    nf->nr_rx_extents--;
    if (unlikely(!extent_take(nf, page, n, &nf->stats.rx_flipped, &nf->stats.rx_copied))) {
        netfront_fault(nf, "it keeps a page that it gave back");
        return false;
    }
    nf->state[page] = PAGE_USER;
    *good = len && offset < PAGE_SIZE && n <= NETFRONT_EXTENT_PAGES;
    return true;
}

/* Takes the first of n pages that a frame names, up to one that takes longer, or with which something is wrong. How many. */
static __always_inline unsigned int take_flipped(struct netfront *nf, const uint64_t *from, struct netfront_frag *to, unsigned int n,
                                                 unsigned int *sum)
{
    const struct grant_entry_v1 *entry = nf->entry;
    uint64_t *frames = glue_frames(nf->first_pfn);
    const uint32_t first_ref = nf->first_ref;
    uint8_t *state = nf->state;
    unsigned int i, bytes = 0;

    for (i = 0; i < n; i++) {
        uint64_t g = READ_ONCE(from[i]);
        unsigned int len = (unsigned int)(g >> 48);
        uint32_t page = (uint32_t)g - first_ref;

        if (unlikely(!len || (uint16_t)(g >> 32) + len > PAGE_SIZE || page >= NETFRONT_PAGES || state[page] != PAGE_RX ||
                     load_acquire(&entry[page].flags)))
            break;
        frames[page] = entry[page].frame;
        state[page] = PAGE_USER;
        bytes += len;
        frag_set(&to[i], g - first_ref);
    }
    nf->nr_rx -= i;
    nf->stats.rx_flipped += i;
    *sum += bytes;
    return i;
}

/* The fragments of the frame whose head was taken. False: something is wrong; its pages are back. */
static bool take_frags(struct netfront *nf, const struct netflip_head *h,
                       const struct netflip_head *slot, uint32_t prod, struct netfront_frame *f)
{
    struct netfront_flip *r = &nf->flip;
    unsigned int here = netflip_head_frags(h->inline_len);
    const uint64_t *from = (const void *)(slot->data + ((h->inline_len + 7u) & ~7u));
    unsigned int sum = h->inline_len;
    struct netfront_frag *to = f->frag, *end = to + NETFRONT_FRAGS_MAX;
    uint32_t first_ref = nf->first_ref;
    bool good = !(h->flags & NETFLIP_LOST);

    for (unsigned int left = h->nr_frags, n; left;) {
        unsigned int offset, len;
        bool within;
        uint32_t page;
        uint64_t g;

        if (!here) {
            if (unlikely(r->rx_cons == prod)) {
                netfront_fault(nf, "a frame has no end");
                good = false;
                break;
            }
            from = (const void *)&r->rx_slot[r->rx_cons++ % NETFLIP_SLOTS];
            here = NETFLIP_FRAGS_PER_SLOT;
        }
        n = MIN(left, here);
        n = take_flipped(nf, from, to, MIN(n, (unsigned int)(end - to)), &sum);
        from += n;
        to += n;
        here -= n;
        left -= n;
        if (!left || !here)
            continue;
        /* One that is not so simple. */
        here--;
        left--;
        g = READ_ONCE(*from++);         /* a struct netflip_frag */
        page = (uint32_t)g - first_ref;
        offset = (uint16_t)(g >> 32);
        len = (unsigned int)(g >> 48);
        within = len && offset + len <= PAGE_SIZE;
        if (page < NETFRONT_PAGES ? !take_page(nf, page) : !take_extent(nf, page, offset, len, &within)) {
            good = false;
            continue;
        }
        sum += len;
        if (unlikely(!within || to == end)) {
            if (to != end)
                netfront_fault(nf, "a fragment is not within its page");
            netfront_page_put(nf, page);
            good = false;
            continue;
        }
        frag_set(to++, g - first_ref);
    }
    f->nr_frags = (uint8_t)(to - f->frag);
    if (likely(good && sum == h->len))
        return true;
    for (unsigned int i = 0; i < f->nr_frags; i++)
        netfront_page_put(nf, f->frag[i].page);
    return false;
}

/* A frame with pages, or one that is not as it should be. Its head was taken. */
static void take_frame(struct netfront *nf, const struct netflip_head *h,
                       const struct netflip_head *slot, uint32_t prod, struct netfront_frame *f)
{
    unsigned int gso = h->flags & (NETFLIP_GSO_TCPV4 | NETFLIP_GSO_TCPV6);

    if (unlikely(h->inline_len < 14 || h->inline_len > NETFLIP_INLINE_MAX || h->len < h->inline_len ||
                 h->nr_frags > NETFLIP_FRAGS_MAX)) {
        netfront_fault(nf, "a frame's lengths are wrong");
        return;
    }
    if (unlikely(gso && (!h->gso_size || gso == (NETFLIP_GSO_TCPV4 | NETFLIP_GSO_TCPV6)))) {
        netfront_fault(nf, "a frame is to be cut in no known way");
        return;
    }
    f->flags = (uint8_t)(gso | (h->flags & (NETFLIP_CSUM_BLANK | NETFLIP_CSUM_VALID)));
    f->gso_size = gso ? h->gso_size : 0;
    if (unlikely(!take_frags(nf, h, slot, prod, f))) {
        nf->stats.rx_lost++;
        return;
    }
    nf->stats.rx_frames++;
    nf->stats.rx_bytes += h->len;
    nf->ops->receive(nf->arg, f);
}

/* Any frame, by itself. */
static noinline void receive_one(struct netfront *nf, uint32_t prod)
{
    struct netfront_flip *r = &nf->flip;
    const struct netflip_head *slot = &r->rx_slot[r->rx_cons++ % NETFLIP_SLOTS];
    struct netfront_frame *f = &nf->burst[0];
    struct netflip_head h;

    f->sizes = READ_ONCE(*(const uint64_t *)(const void *)slot);
    ring_copy_in(nf->burst_head[0], slot->data, NETFLIP_INLINE_MAX);
    __builtin_memcpy(&h, &f->sizes, sizeof(f->sizes));  /* no more is looked at */
    f->nr_frags = 0;
    take_frame(nf, &h, slot, prod, f);
}

/*
 * Frames that need no second look, one slot and no more than one page each, and no flags but those of checksums: takes them,
 * at most n, from where the index does not wrap, up to the first that is another. Returns how many.
 */
static unsigned int take_burst(struct netfront *nf, unsigned int n)
{
    const uint64_t frags_and_flags = 0xffUL << 24 |
                                     (0xff00UL | (uint8_t)~(NETFLIP_CSUM_VALID | NETFLIP_CSUM_BLANK)) << 48;
    const uint64_t no_gso = ~(0xffffUL << 32);
    struct netfront_flip *r = &nf->flip;
    const struct netflip_head *slot = &r->rx_slot[r->rx_cons % NETFLIP_SLOTS];
    const struct grant_entry_v1 *entry = nf->entry;
    uint64_t *frames = glue_frames(nf->first_pfn);
    const uint32_t first_ref = nf->first_ref;
    uint8_t *state = nf->state, *head = nf->burst_head[0];
    struct netfront_frame *f = nf->burst, *end;
    unsigned int others = 0, bytes = 0;     /* all but those with a page that was flipped */

    n = MIN(n, NETFLIP_SLOTS - r->rx_cons % NETFLIP_SLOTS);
    for (end = f + MIN(n, (unsigned int)NETFRONT_BURST); f != end; f++, slot++, head += NETFRONT_HEAD_MAX) {
        uint64_t w = READ_ONCE(*(const uint64_t *)(const void *)slot);
        unsigned int len = (uint16_t)w, inline_len = (uint8_t)(w >> 16);

        if (unlikely(inline_len - 14u > NETFLIP_INLINE_MAX - 14u))
            break;
        if (likely((w & frags_and_flags) == 1UL << 24)) {
            uint64_t g = READ_ONCE(*(const uint64_t *)(const void *)(slot->data + ((inline_len + 7u) & ~7u)));
            unsigned int here = (unsigned int)(g >> 48);
            uint32_t page;

            if (unlikely(!here || here + (uint16_t)(g >> 32) > PAGE_SIZE || inline_len + here != len))
                break;
            page = (uint32_t)g - first_ref;
            if (unlikely(page >= NETFRONT_PAGES || state[page] != PAGE_RX))
                break;
            if (likely(!load_acquire(&entry[page].flags))) {
                frames[page] = entry[page].frame;
                state[page] = PAGE_USER;
            } else if (take_page(nf, page)) {
                others++;
            } else {
                break;
            }
            frag_set(f->frag, g - first_ref);
        } else if (unlikely((w & frags_and_flags) || inline_len != len)) {
            break;
        } else {
            others++;
        }
        f->sizes = w & no_gso;
        ring_copy_in(head, slot->data, HEAD_SHORT);
        if (inline_len > HEAD_SHORT)
            ring_copy_in(head + HEAD_SHORT, slot->data + HEAD_SHORT, NETFLIP_INLINE_MAX - HEAD_SHORT);
        bytes += len;
    }
    n = (unsigned int)(f - nf->burst);
    r->rx_cons += n;
    nf->nr_rx -= n - others;
    nf->stats.rx_flipped += n - others;
    nf->stats.rx_frames += n;
    nf->stats.rx_bytes += bytes;
    return n;
}

/* Is the next frame? */
static inline bool to_be_cut(const struct netfront_flip *r)
{
    const struct netflip_head *slot = &r->rx_slot[r->rx_cons % NETFLIP_SLOTS];

    return READ_ONCE(slot->flags) & (NETFLIP_GSO_TCPV4 | NETFLIP_GSO_TCPV6);
}

bool wire_flip_receive(struct netfront *nf)
{
    struct netfront_flip *f = &nf->flip;
    uint32_t prod = ring_read_prod(&f->rx->slot_prod), first = f->rx_cons;

    if (unlikely(prod - first > NETFLIP_SLOTS)) {
        netfront_fault(nf, "it fills more slots than there are");
        return false;
    }
    while (f->rx_cons != prod && f->rx_cons - first < TURN && nf->up && !nf->fault) {
        unsigned int n;

        /* What is to be cut is mostly in extents, other frames mostly not. */
        n = f->extents && to_be_cut(f) ? flip_take_extents(nf, prod - f->rx_cons) : 0;
        if (!n && !nf->fault)
            n = take_burst(nf, prod - f->rx_cons);
        if (unlikely(!n) && f->extents && !nf->fault)
            n = flip_take_extents(nf, prod - f->rx_cons);
        if (!n && nf->fault)
            break;
        if (unlikely(!n))
            receive_one(nf, prod);
        else if (nf->ops->receive_burst)
            nf->ops->receive_burst(nf->arg, nf->burst, n);
        else
            for (unsigned int i = 0; i < n; i++)
                nf->ops->receive(nf->arg, &nf->burst[i]);
    }
    if (!nf->up || nf->fault)
        return false;
    if (ring_publish(&f->rx->slot_cons, &f->rx->cons_event, f->rx_cons))
        event_send(nf->rx_port);
    return ring_rearm(&f->rx->slot_event, &f->rx->slot_prod, f->rx_cons);
}
