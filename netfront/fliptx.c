/* SPDX-License-Identifier: MIT */
/* fliptx.c - the flip channel, frames that are sent and pages that come back; see flip.c. */
#include "netfront/flip.h"

/* Pages that came back, up to prod. */
static noinline void reap_to(struct netfront *nf, uint32_t prod)
{
    struct netfront_flip *f = &nf->flip;
    const grant_ref_t *ring = f->tx->ref;
    const struct grant_entry_v1 *entry = nf->entry;
    uint64_t *frames = glue_frames(nf->first_pfn);
    uint8_t *state = nf->state;
    uint32_t cons = f->tx_ref_cons, first_ref = nf->first_ref;
    uint16_t *to = nf->free_page + nf->nr_free;
    unsigned int flipped = 0;

    while (cons != prod) {
        uint32_t page = READ_ONCE(ring[cons++ % NETFLIP_REFS]) - first_ref;

        if (unlikely(page >= NETFRONT_PAGES || state[page] != PAGE_TX)) {
            if (flip_reap_extent(nf, page))
                continue;
            cons--;
            break;
        }
        if (likely(!load_acquire(&entry[page].flags))) {
            frames[page] = entry[page].frame;
            flipped++;
        } else if (!page_take(nf, page, &nf->stats.tx_flipped, &nf->stats.tx_copied)) {
            continue;
        }
        state[page] = PAGE_FREE;
        *to++ = (uint16_t)page;
    }
    f->tx_ref_cons = cons;
    nf->nr_free = (unsigned int)(to - nf->free_page);
    nf->stats.tx_flipped += flipped;
}

void wire_flip_reap(struct netfront *nf, bool arm)
{
    struct netfront_flip *f = &nf->flip;
    uint32_t prod;

    do {
        prod = ring_read_prod(&f->tx->ref_prod);
        if (unlikely(prod - f->tx_ref_cons > NETFLIP_REFS)) {
            netfront_fault(nf, "it gives back more pages than there is room for");
            return;
        }
        if (prod != f->tx_ref_cons)
            reap_to(nf, prod);
        if (f->extents && load_acquire(&f->tx->ext_prod) != f->tx_ext_cons)
            flip_reap_extents(nf);
        if (!arm || nf->fault)
            return;
        f->tx->ref_event = f->tx_ref_cons + 1;
        f->tx->ext_event = f->tx_ext_cons + 1;
        f->tx->cons_event = f->tx_seen + 1;
        smp_mb();
    } while (load_acquire(&f->tx->ref_prod) != f->tx_ref_cons ||
             (f->extents && load_acquire(&f->tx->ext_prod) != f->tx_ext_cons));
}

/* Are n slots free, as far as is known; or now? */
static __always_inline bool slots_known(const struct netfront_flip *f, unsigned int n)
{
    return f->tx_prod - f->tx_seen <= NETFLIP_SLOTS - n;
}

static noinline bool slots_free(struct netfront *nf, unsigned int n)
{
    struct netfront_flip *f = &nf->flip;
    uint32_t cons = load_acquire(&f->tx->slot_cons);

    if (unlikely(cons - f->tx_seen > f->tx_prod - f->tx_seen)) {
        netfront_fault(nf, "it takes slots that are not there");
        return false;
    }
    f->tx_seen = cons;
    return slots_known(f, n);
}

/* Fragments behind a head, and in slots of their own. */
static void put_frags(struct netfront *nf, const struct netfront_frame *f, struct netflip_head *h)
{
    struct netfront_flip *r = &nf->flip;
    uint64_t *to = (void *)(h->data + ((f->head_len + 7u) & ~7u));
    unsigned int here = netflip_head_frags(f->head_len);
    struct grant_entry_v1 *entry = nf->entry;
    uint8_t *state = nf->state;
    uint32_t first_ref = nf->first_ref;
    uint16_t flags = sent_flags(nf);

    for (const struct netfront_frag *g = f->frag, *end = g + f->nr_frags; g != end; g++) {
        uint64_t w = frag_word(g);

        if (unlikely(!here--)) {
            to = (void *)&r->tx_slot[r->tx_prod++ % NETFLIP_SLOTS];
            here = NETFLIP_FRAGS_PER_SLOT - 1;
        }
        if (unlikely((uint32_t)w >= NETFRONT_PAGES)) {
            extent_offer(nf, (uint32_t)w, netflip_frag_pages(g->offset, g->len), flags, PAGE_TX);
        } else {
            state[(uint32_t)w] = PAGE_TX;
            store_release(&entry[(uint32_t)w].flags, flags);
        }
        *to++ = w + first_ref;
    }
}

static __always_inline struct netflip_head *put_head(struct netfront *nf, const struct netfront_frame *f)
{
    struct netfront_flip *r = &nf->flip;
    struct netflip_head *h = &r->tx_slot[r->tx_prod++ % NETFLIP_SLOTS];

    *(uint64_t *)(void *)h = (f->sizes & ~(0xffUL << 56)) | (uint64_t)nf->copy_flag << 48;
    copy_head(h->data, f->head, f->head_len);
    return h;
}

static noinline bool send_any(struct netfront *nf, const struct netfront_frame *f)
{
    struct netfront_flip *r = &nf->flip;
    unsigned int n = f->nr_frags ? netflip_slots(f->head_len, f->nr_frags) : 1;
    struct netflip_head *h;

    if (unlikely(nf->nr_pages > NETFRONT_PAGES && !r->extents) && extent_has_none(nf, f))
        return netfront_sent(nf, f);
    if (unlikely(!slots_known(r, n)) && !slots_free(nf, n)) {
        r->tx->cons_event = r->tx_seen + n;
        smp_mb();
        if (!slots_free(nf, n))
            return netfront_no_room(nf);
    }
    h = put_head(nf, f);
    if (f->nr_frags)
        put_frags(nf, f, h);
    return netfront_sent(nf, f);
}

static noinline bool send_extent(struct netfront *nf, const struct netfront_frame *f)
{
    return flip_send_extents(nf, f, 1) || send_any(nf, f);
}

bool wire_flip_send(struct netfront *nf, const struct netfront_frame *f)
{
    if (f->nr_frags == 1 && f->frag[0].page >= NETFRONT_PAGES)
        return send_extent(nf, f);
    /* What needs nothing but a slot that is known to be free. */
    if (f->nr_frags || unlikely(!slots_known(&nf->flip, 1)))
        return send_any(nf, f);
    (void)put_head(nf, f);
    return netfront_sent(nf, f);
}

/* More fragments than one, or so many bytes that it may be in an extent. */
#define NOT_FOR_BURST (0xfeUL << 24 | 0xf000)

/* Frames of a slot and no more than one page, as far as free slots are known and their index does not wrap. */
unsigned int wire_flip_send_burst(struct netfront *nf, const struct netfront_frame *f, unsigned int n)
{
    struct netfront_flip *r = &nf->flip;
    struct netflip_head *h = &r->tx_slot[r->tx_prod % NETFLIP_SLOTS];
    const uint64_t copy_flag = (uint64_t)nf->copy_flag << 48;
    struct grant_entry_v1 *entry = nf->entry;
    uint8_t *state = nf->state;
    const uint32_t first_ref = nf->first_ref;
    const uint16_t flags = sent_flags(nf);
    const struct netfront_frame *first = f, *end;
    uint64_t bytes = 0;

    if (f->sizes & NOT_FOR_BURST)
        return f->nr_frags == 1 && f->frag[0].page >= NETFRONT_PAGES ? flip_send_extents(nf, f, n) : 0;
    n = MIN(n, NETFLIP_SLOTS - (r->tx_prod - r->tx_seen));
    n = MIN(n, NETFLIP_SLOTS - r->tx_prod % NETFLIP_SLOTS);
    for (end = f + n; f != end; f++, h++) {
        uint64_t sizes = f->sizes;

        if (unlikely(sizes & NOT_FOR_BURST))
            break;
        *(uint64_t *)(void *)h = (sizes & ~(0xffUL << 56)) | copy_flag;
        copy_head(h->data, f->head, f->head_len);
        if (f->nr_frags) {
            uint64_t w = frag_word(f->frag);

            state[(uint32_t)w] = PAGE_TX;
            store_release(&entry[(uint32_t)w].flags, flags);
            *(uint64_t *)(void *)(h->data + ((f->head_len + 7u) & ~7u)) = w + first_ref;
        }
        bytes += f->len;
    }
    n = (unsigned int)(f - first);
    r->tx_prod += n;
    nf->stats.tx_frames += n;
    nf->stats.tx_bytes += bytes;
    return n;
}

bool wire_flip_publish(struct netfront *nf)
{
    struct netfront_flip *f = &nf->flip;

    return ring_publish(&f->tx->slot_prod, &f->tx->slot_event, f->tx_prod);
}
