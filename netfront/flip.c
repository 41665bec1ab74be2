/* SPDX-License-Identifier: MIT */
/*
 * flip.c - the flip channel (include/sluice/netflip.h), the guest's side.
 *
 * A page costs no hypercall in either direction: to offer it is one store to its grant entry, and when
 * it comes back the entry says whether another frame is behind it now.
 */
#include "netfront/internal.h"
#include "lib/printf.h"

#define HALF_ORDER 4                    /* 9 pages of 16 */

/* How far ahead an event index is that nobody reaches soon. */
#define NEVER 0x40000000u

static int make_half(struct netfront *nf, unsigned int half, struct netflip_index **index,
                     const char *key)
{
    char refs[NETFLIP_PAGES * 11 + 1];
    size_t n = 0;

    *index = netfront_share(nf, half, NETFLIP_PAGES, HALF_ORDER);
    if (!*index)
        return -XEN_ENOMEM;
    for (unsigned int i = 0; i < NETFLIP_PAGES; i++)
        n += (size_t)snprintf(refs + n, sizeof(refs) - n, i ? " %u" : "%u", nf->shared[half].ref[i]);
    return xs_printf(XS_NO_TXN, nf->dev.path, key, "%s", refs);
}

static int flip_connect(struct netfront *nf)
{
    struct netfront_flip *f = &nf->flip;
    int rc;

    *f = (struct netfront_flip){ 0 };
    rc = make_half(nf, 0, &f->tx, "flip-tx-refs");
    if (!rc)
        rc = make_half(nf, 1, &f->rx, "flip-rx-refs");
    if (rc)
        return rc;
    f->tx_slot = (void *)((uint8_t *)f->tx + PAGE_SIZE);
    f->rx_slot = (void *)((uint8_t *)f->rx + PAGE_SIZE);
    f->tx->slot_event = f->rx->slot_event = 1;
    f->tx->cons_event = f->tx->ref_event = f->tx->ext_event = NEVER;
    f->rx->cons_event = f->rx->ref_event = 1;
    f->extents = nf->nr_pages > NETFRONT_PAGES &&
                 xs_read_default(XS_NO_TXN, nf->dev.peer, "feature-sluice-flip-extents", 0) == 1;
    rc = xs_printf(XS_NO_TXN, nf->dev.path, "request-sluice-flip-extents", "%u", f->extents);
    return rc ? rc : xs_printf(XS_NO_TXN, nf->dev.path, "request-sluice-flip", "%u", NETFLIP_VERSION);
}

/* Sending ---------------------------------------------------------------------------------- */

/* An extent, or a page of one that was sent by itself. False: it was not sent. */
static noinline bool reap_extent(struct netfront *nf, uint32_t page)
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

/* Extents that came back. */
static void reap_extents(struct netfront *nf)
{
    struct netfront_flip *f = &nf->flip;
    uint32_t prod = ring_read_prod(&f->tx->ext_prod);

    if (unlikely(prod - f->tx_ext_cons > NETFLIP_EXTENTS)) {
        netfront_fault(nf, "it gives back more extents than there is room for");
        return;
    }
    while (f->tx_ext_cons != prod &&
           reap_extent(nf, READ_ONCE(f->tx->ext[f->tx_ext_cons % NETFLIP_EXTENTS]) - nf->first_ref))
        f->tx_ext_cons++;
}

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
            if (reap_extent(nf, page))
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

static void flip_reap(struct netfront *nf, bool arm)
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
        if (f->extents)
            reap_extents(nf);
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

_Static_assert(offsetof(struct netfront_frame, len) == 8 && offsetof(struct netfront_frame, head_len) == 8 + 2 &&
               offsetof(struct netfront_frame, nr_frags) == 8 + 3 &&
               offsetof(struct netfront_frame, gso_size) == 8 + 4 &&
               offsetof(struct netfront_frame, flags) == 8 + 6 &&
               offsetof(struct netflip_head, inline_len) == 2 && offsetof(struct netflip_head, nr_frags) == 3 &&
               offsetof(struct netflip_head, gso_size) == 4 && offsetof(struct netflip_head, flags) == 6,
               "sizes go over as they are");
_Static_assert(NETFRONT_CSUM_BLANK == NETFLIP_CSUM_BLANK &&
               NETFRONT_CSUM_VALID == NETFLIP_CSUM_VALID &&
               NETFRONT_GSO_TCPV4 == NETFLIP_GSO_TCPV4 && NETFRONT_GSO_TCPV6 == NETFLIP_GSO_TCPV6,
               "flags go over as they are");
_Static_assert(sizeof(struct netfront_frag) == sizeof(struct netflip_frag) && offsetof(struct netfront_frag, page) == 0 &&
               offsetof(struct netflip_frag, ref) == 0 && offsetof(struct netfront_frag, offset) == 4 &&
               offsetof(struct netflip_frag, offset) == 4,
               "fragments go over as words, but for the difference between page and reference in the lower half");

static __always_inline uint64_t frag_word(const struct netfront_frag *g)
{
    uint64_t w;

    __builtin_memcpy(&w, g, sizeof(w));
    return w;
}

static __always_inline void frag_set(struct netfront_frag *g, uint64_t w)
{
    __builtin_memcpy(g, &w, sizeof(w));
}

/* How a page is granted that is sent. */
static inline uint16_t sent_flags(const struct netfront *nf)
{
    return nf->copy_flag ? GTF_permit_access | GTF_readonly : GTF_permit_access | SLUICE_GTF_flip;
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

/* A frame with one fragment, of an extent. */
static noinline bool send_extent(struct netfront *nf, const struct netfront_frame *f)
{
    struct netfront_flip *r = &nf->flip;
    const struct netfront_frag *g = f->frag;
    uint64_t w = frag_word(g);
    struct netflip_head *h;

    if (unlikely(!slots_known(r, 1)) || unlikely(!r->extents))
        return send_any(nf, f);
    h = put_head(nf, f);
    extent_offer(nf, (uint32_t)w, netflip_frag_pages(g->offset, g->len), sent_flags(nf), PAGE_TX);
    *(uint64_t *)(void *)(h->data + ((f->head_len + 7u) & ~7u)) = w + nf->first_ref;
    return netfront_sent(nf, f);
}

static bool flip_send(struct netfront *nf, const struct netfront_frame *f)
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
static unsigned int flip_send_burst(struct netfront *nf, const struct netfront_frame *f, unsigned int n)
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
        return 0;
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

static bool flip_publish(struct netfront *nf)
{
    struct netfront_flip *f = &nf->flip;

    return ring_publish(&f->tx->slot_prod, &f->tx->slot_event, f->tx_prod);
}

/* Receiving -------------------------------------------------------------------------------- */

static void post_extents(struct netfront *nf)
{
    struct netfront_flip *f = &nf->flip;
    uint32_t prod = f->rx_ext_prod;

    for (; nf->nr_rx_extents < RX_EXTENTS && nf->nr_free_extents; nf->nr_rx_extents++) {
        unsigned int page = nf->free_extent[--nf->nr_free_extents];

        extent_offer(nf, page, NETFRONT_EXTENT_PAGES, GTF_permit_access | SLUICE_GTF_flip, PAGE_RX);
        f->rx->ext[prod++ % NETFLIP_EXTENTS] = nf->first_ref + page;
    }
    if (prod != f->rx_ext_prod) {
        f->rx_ext_prod = prod;
        store_release(&f->rx->ext_prod, prod);
    }
}

static void flip_post(struct netfront *nf)
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
        post_extents(nf);
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

/*
 * A frame with one fragment that is in an extent, in the slot at rx_cons, with nothing wrong with it: takes and delivers it. False: it is another, and
 * nothing has happened.
 */
static __always_inline bool receive_extent(struct netfront *nf)
{
    const uint64_t gso = (uint64_t)(NETFLIP_GSO_TCPV4 | NETFLIP_GSO_TCPV6) << 48;
    const uint64_t others = 0xffUL << 24 | (0xff00UL | (uint8_t)~(NETFLIP_CSUM_VALID | NETFLIP_CSUM_BLANK)) << 48;
    struct netfront_flip *r = &nf->flip;
    const struct netflip_head *slot = &r->rx_slot[r->rx_cons % NETFLIP_SLOTS];
    uint64_t w = READ_ONCE(*(const uint64_t *)(const void *)slot), g;
    unsigned int inline_len = (uint8_t)(w >> 16), offset, len;
    struct netfront_frame *f = &nf->burst[0];
    uint32_t page;

    if ((w & others & ~gso) != 1UL << 24 || inline_len - 14u > NETFLIP_INLINE_MAX - 14u)
        return false;
    if ((w & gso) == gso || !(w & gso) != !(w & 0xffffUL << 32))
        return false;
    g = READ_ONCE(*(const uint64_t *)(const void *)(slot->data + ((inline_len + 7u) & ~7u)));
    page = (uint32_t)g - nf->first_ref;
    offset = (uint16_t)(g >> 32);
    len = (unsigned int)(g >> 48);
    if (!extent_known(nf, page) || nf->state[page] != PAGE_RX || offset >= PAGE_SIZE || !len ||
        offset + len > NETFRONT_EXTENT_PAGES * PAGE_SIZE || inline_len + len != (uint16_t)w)
        return false;
    r->rx_cons++;
    nf->nr_rx_extents--;
    if (unlikely(!extent_take(nf, page, netflip_frag_pages(offset, len), &nf->stats.rx_flipped, &nf->stats.rx_copied))) {
        netfront_fault(nf, "it keeps a page that it gave back");
        nf->stats.rx_lost++;
        return true;
    }
    nf->state[page] = PAGE_USER;
    f->sizes = w;
    frag_set(f->frag, g - nf->first_ref);
    ring_copy_in(nf->burst_head[0], slot->data, HEAD_SHORT);
    if (inline_len > HEAD_SHORT)
        ring_copy_in(nf->burst_head[0] + HEAD_SHORT, slot->data + HEAD_SHORT, NETFLIP_INLINE_MAX - HEAD_SHORT);
    nf->stats.rx_frames++;
    nf->stats.rx_bytes += (uint16_t)w;
    nf->ops->receive(nf->arg, f);
    return true;
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

static bool flip_receive(struct netfront *nf)
{
    struct netfront_flip *f = &nf->flip;
    uint32_t prod = ring_read_prod(&f->rx->slot_prod), first = f->rx_cons;

    if (unlikely(prod - first > NETFLIP_SLOTS)) {
        netfront_fault(nf, "it fills more slots than there are");
        return false;
    }
    while (f->rx_cons != prod && f->rx_cons - first < TURN && nf->up && !nf->fault) {
        unsigned int n;

        if (f->extents && receive_extent(nf))
            continue;
        n = take_burst(nf, prod - f->rx_cons);
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

const struct wire wire_flip = {
    .connect = flip_connect,
    .send = flip_send,
    .send_burst = flip_send_burst,
    .publish = flip_publish,
    .reap = flip_reap,
    .receive = flip_receive,
    .post = flip_post,
};
