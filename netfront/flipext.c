/* SPDX-License-Identifier: MIT */
/* flipext.c - the flip channel, frames that are one slot and one extent: loops of their own; see flip.h. */
#include "netfront/flip.h"

/* Sending ---------------------------------------------------------------------------------- */

bool flip_reap_extent(struct netfront *nf, uint32_t page)
{
    if (unlikely(!extent_known(nf, page) || nf->state[page] != PAGE_TX)) {
        netfront_fault(nf, "it gives back a page that it does not have");
        return false;
    }
    if (extent_take(nf, page, NETFRONT_EXTENT_PAGES, &nf->stats.tx_flipped, &nf->stats.tx_copied))
        extent_free_to(nf, page);
    else
        netfront_fault(nf, "it keeps a page that it gave back");
    return true;
}

/* Was all of a whole extent exchanged? Then its frames are noted. */
static __always_inline bool all_flipped(const struct grant_entry_v1 *e, uint64_t *frames)
{
    return !load_acquire(&e->flags) && !extent_note_frames(e, frames, NETFRONT_EXTENT_PAGES);
}

void flip_reap_extents(struct netfront *nf)
{
    struct netfront_flip *r = &nf->flip;
    uint32_t prod = ring_read_prod(&r->tx->ext_prod), cons = r->tx_ext_cons;
    const struct grant_entry_v1 *entry = nf->entry;
    uint64_t *frames = glue_frames(nf->first_pfn);
    const uint32_t first_ref = nf->first_ref;
    const uint8_t *pages = nf->extent_pages;
    uint8_t *state = nf->state;

    if (unlikely(prod - cons > NETFLIP_EXTENTS)) {
        netfront_fault(nf, "it gives back more extents than there is room for");
        return;
    }
    for (; cons != prod; cons++) {
        uint32_t page = READ_ONCE(r->tx->ext[cons % NETFLIP_EXTENTS]) - first_ref;

        if (likely(extent_known(nf, page) && state[page] == PAGE_TX && pages[extent_index(page)] == NETFRONT_EXTENT_PAGES &&
                   all_flipped(entry + page, frames + page))) {
            nf->stats.tx_flipped += NETFRONT_EXTENT_PAGES;
            extent_free_to(nf, page);
        } else if (!flip_reap_extent(nf, page)) {
            break;
        }
    }
    r->tx_ext_cons = cons;
}

unsigned int flip_send_extents(struct netfront *nf, const struct netfront_frame *f, unsigned int n)
{
    struct netfront_flip *r = &nf->flip;
    struct netflip_head *h = &r->tx_slot[r->tx_prod % NETFLIP_SLOTS];
    const uint64_t copy_flag = (uint64_t)nf->copy_flag << 48;
    const uint16_t flags = sent_flags(nf), more_flags = flags & SLUICE_GTF_flip ? 0xffff : 0;
    const uint32_t first_ref = nf->first_ref;
    const struct netfront_frame *first = f, *end;
    uint64_t bytes = 0;

    if (unlikely(!r->extents))
        return 0;
    n = MIN(n, NETFLIP_SLOTS - (r->tx_prod - r->tx_seen));
    n = MIN(n, NETFLIP_SLOTS - r->tx_prod % NETFLIP_SLOTS);
    for (end = f + n; f != end; f++, h++) {
        uint64_t w = frag_word(f->frag);
        uint32_t page = (uint32_t)w;
        unsigned int more = ((unsigned int)(uint16_t)(w >> 32) + (unsigned int)(w >> 48) - 1) / PAGE_SIZE;
        struct grant_entry_v1 *e = nf->entry + page;

        if (unlikely(f->nr_frags != 1 || page < NETFRONT_PAGES))
            break;
        *(uint64_t *)(void *)h = (f->sizes & ~(0xffUL << 56)) | copy_flag;
        copy_head_tcp(h->data, f->head, f->head_len);
        nf->state[page] = PAGE_TX;
        nf->extent_pages[extent_index(page)] = (uint8_t)(more + 1);
        if (likely(more == NETFRONT_EXTENT_PAGES - 1))
            extent_offer_others(e, NETFRONT_EXTENT_PAGES, flags);
        else
            extent_offer_others(e, more + 1, flags);
        store_release(&e->flags, (uint16_t)(flags | (SLUICE_GTF_flip_more(more) & more_flags)));
        *(uint64_t *)(void *)(h->data + ((f->head_len + 7u) & ~7u)) = w + first_ref;
        bytes += f->len;
    }
    n = (unsigned int)(f - first);
    r->tx_prod += n;
    nf->stats.tx_frames += n;
    nf->stats.tx_bytes += bytes;
    return n;
}

/* Receiving -------------------------------------------------------------------------------- */

/* How many to offer now. The backend has used all of them, maybe for want of more: then it gets more. */
static unsigned int to_post(struct netfront *nf)
{
    struct netfront_flip *r = &nf->flip;

    if (!nf->nr_rx_extents && r->rx_ext_prod)
        r->rx_extents = MIN(2 * r->rx_extents, r->rx_extents_most);
    return nf->nr_rx_extents < r->rx_extents ? MIN(r->rx_extents - nf->nr_rx_extents, nf->nr_free_extents) : 0;
}

void flip_post_extents(struct netfront *nf)
{
    const uint16_t flags = GTF_permit_access | SLUICE_GTF_flip;
    struct netfront_flip *r = &nf->flip;
    uint32_t prod = r->rx_ext_prod, first_ref = nf->first_ref;
    unsigned int n = to_post(nf);
    const uint16_t *free_extent = nf->free_extent + nf->nr_free_extents;

    if (!n)
        return;
    nf->nr_free_extents -= n;
    nf->nr_rx_extents += n;
    for (; n; n--) {
        unsigned int page = *--free_extent;
        struct grant_entry_v1 *e = nf->entry + page;

        __asm__("" : "+r"(e));          /* one register, not a sum for each entry */
        nf->state[page] = PAGE_RX;
        nf->extent_pages[extent_index(page)] = NETFRONT_EXTENT_PAGES;
        extent_offer_others(e, NETFRONT_EXTENT_PAGES, flags);
        store_release(&e->flags, (uint16_t)(flags | SLUICE_GTF_flip_more(NETFRONT_EXTENT_PAGES - 1)));
        r->rx->ext[prod++ % NETFLIP_EXTENTS] = first_ref + page;
    }
    r->rx_ext_prod = prod;
    store_release(&r->rx->ext_prod, prod);
}

/* Can a frame with one fragment that is in an extent begin with this word? */
static bool head_right(uint64_t w)
{
    const uint64_t gso = (uint64_t)(NETFLIP_GSO_TCPV4 | NETFLIP_GSO_TCPV6) << 48;
    const uint64_t others = 0xffUL << 24 | (0xff00UL | (uint8_t)~(NETFLIP_CSUM_VALID | NETFLIP_CSUM_BLANK)) << 48;

    return (w & others & ~gso) == 1UL << 24 && (uint8_t)(w >> 16) - 14u <= NETFLIP_INLINE_MAX - 14u && (w & gso) != gso &&
           !(w & gso) == !(w & 0xffffUL << 32);
}

static noinline bool take_slowly(struct netfront *nf, unsigned int page, unsigned int n)
{
    if (likely(extent_take(nf, page, n, &nf->stats.rx_flipped, &nf->stats.rx_copied)))
        return true;
    netfront_fault(nf, "it keeps a page that it gave back");
    nf->stats.rx_lost++;
    return false;
}

unsigned int flip_take_extents(struct netfront *nf, unsigned int n)
{
    struct netfront_flip *r = &nf->flip;
    const struct netflip_head *slot = &r->rx_slot[r->rx_cons % NETFLIP_SLOTS];
    const struct grant_entry_v1 *entry = nf->entry;
    uint64_t *frames = glue_frames(nf->first_pfn), like = ~0UL;
    const uint32_t first_ref = nf->first_ref;
    uint8_t *state = nf->state, *head = nf->burst_head[0];
    struct netfront_frame *f = nf->burst, *end;
    unsigned int bytes = 0, flipped = 0, inline_len = 0;

    n = MIN(n, NETFLIP_SLOTS - r->rx_cons % NETFLIP_SLOTS);
    for (end = f + MIN(n, (unsigned int)NETFRONT_BURST); f != end; f++, slot++, head += NETFRONT_HEAD_MAX) {
        uint64_t w = READ_ONCE(*(const uint64_t *)(const void *)slot), g;
        unsigned int offset, len, more;
        uint32_t page;

        if (w >> 16 != like) {          /* as the last one, but for the length */
            if (!head_right(w))
                break;
            like = w >> 16;
            inline_len = (uint8_t)like;
        }
        g = READ_ONCE(*(const uint64_t *)(const void *)(slot->data + ((inline_len + 7u) & ~7u)));
        page = (uint32_t)g - first_ref;
        offset = (uint16_t)(g >> 32);
        len = (unsigned int)(g >> 48);
        more = (offset + len - 1) / PAGE_SIZE;
        if (!extent_known(nf, page) || state[page] != PAGE_RX || offset >= PAGE_SIZE || more - 1 >= NETFRONT_EXTENT_PAGES - 1 ||
            inline_len + len != (uint16_t)w)
            break;
        if (likely(more == NETFRONT_EXTENT_PAGES - 1 && all_flipped(entry + page, frames + page)))
            flipped += NETFRONT_EXTENT_PAGES;
        else if (!take_slowly(nf, page, more + 1))
            break;
        state[page] = PAGE_USER;
        f->sizes = w;
        frag_set(f->frag, g - first_ref);
        barrier();
        copy_head_tcp(head, slot->data, inline_len);
        barrier();
        bytes += (uint16_t)w;
    }
    n = (unsigned int)(f - nf->burst);
    r->rx_cons += n;
    nf->nr_rx_extents -= n;
    nf->stats.rx_flipped += flipped;
    nf->stats.rx_frames += n;
    nf->stats.rx_bytes += bytes;
    return n;
}
