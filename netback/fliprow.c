/* SPDX-License-Identifier: MIT */
/*
 * fliprow.c - frames with pages that go the short way, from ring to ring; see fliprow.h.
 *
 * What the filter must see of a frame is read once, compared with what plain frames to that station begin with, and delivered as it was
 * read. Pages are queued to be exchanged.
 */
#include "netback/rowparts.h"
#include "runtime/time.h"

struct vif_flip *flip_find_target(struct vif_flip *v, struct start st)
{
    struct port *to = bridge_unicast(&v->vif->port, (const uint8_t *)&st.w1, now_ns());

    v->to_key = st.w1 & FLIP_MAC_MASK;
    v->to_changes = bridge_changes;
    v->to = to && to->send == flip_send ? container_of(to, struct vif, port)->flip : NULL;
    return v->to;
}

/*
 * The fragments of a frame with that many slots go into slots of the receiver, laid out as in the sender's; each page is
 * queued to be flipped. False: something is wrong with it; nothing has happened.
 */
static __always_inline bool row_frags(struct row *r, union first_word h, unsigned int slots)
{
    const struct netflip_head *slot = &r->v->tx_slot[r->cons % NETFLIP_SLOTS];
    struct netflip_head *head = &r->to->rx_slot[r->next % NETFLIP_SLOTS];
    unsigned int at = 8 + ((h.inline_len + 7u) & ~7u), sum = h.inline_len, left = h.nr_frags;
    const uint64_t *from = (const uint64_t *)(const void *)((const uint8_t *)slot + at);
    uint64_t *out = (uint64_t *)(void *)((uint8_t *)head + at);
    unsigned int here = (NETFLIP_SLOT_BYTES - at) / 8u;
    uint32_t cons = r->cons, next = r->next;
    struct row to = *r;

    if (unlikely(r->prod - cons < slots))
        return false;
    while (left) {
        struct row_pages p = row_pages(&to);
        unsigned int n;

        if (!here) {
            from = (const uint64_t *)(const void *)&r->v->tx_slot[++cons % NETFLIP_SLOTS];
            out = (uint64_t *)(void *)&r->to->rx_slot[++next % NETFLIP_SLOTS];
            here = NETFLIP_FRAGS_PER_SLOT;
        }
        n = row_pages_max(&to, MIN(left, here));
        for (unsigned int i = 0; i < n; i++) {
            uint64_t g = READ_ONCE(from[i]);
            uint32_t place = (uint32_t)(g >> 32);
            unsigned int len = place >> 16;
            grant_ref_t ref;

            if (unlikely(!len || (uint16_t)place + len > PAGE_SIZE))
                return false;
            sum += len;
            ref = READ_ONCE(p.offer[i]);
            put_frag(&out[i], ref, place);
            p.back[i] = (grant_ref_t)g;
            exchange_put(&p.op[i], &p.what[i], p.doms, (grant_ref_t)g, place, ref, head);
        }
        from += n;
        out += n;
        here -= n;
        left -= n;
        to.ref_cons += n;
        to.ref_prod += n;
        to.nr_ops += n;
    }
    if (unlikely(sum != h.len))
        return false;
    r->nr_ops = to.nr_ops;
    r->ref_cons = to.ref_cons;
    r->ref_prod = to.ref_prod;
    return true;
}

/*
 * The short way, from ring to ring, for frames in a row: plain, for the channel that the last one went to, and nothing in them that the
 * receiver's port does not take. The bytes that decide where a frame goes and whether it passes are read once,
 * and are what is delivered; the rest of the head goes straight over. (The receiver could change what lies in its
 * ring, but only for itself.) Returns how many there were; whatever ends the row goes the way that every frame can go.
 */
static noinline unsigned int forward_row(struct vif_flip *v, uint32_t prod, unsigned int most, union first_word h,
                                         struct start st)
{
    uint32_t bytes = 0;
    unsigned int n = 0;
    struct row r;

    if (!row_begin(&r, v, prod, h, st, h.nr_frags))
        return 0;
    while (n < most && r.cons != prod) {
        const struct netflip_head *from = &v->tx_slot[r.cons % NETFLIP_SLOTS];
        const uint64_t *in = (const uint64_t *)(const void *)from;
        uint64_t *out = (uint64_t *)(void *)&r.to->rx_slot[r.next % NETFLIP_SLOTS];
        unsigned int slots;

        h.w = READ_ONCE(in[0]);
        st.w1 = READ_ONCE(in[1]);
        st.w2 = READ_ONCE(in[2]);
        slots = row_slots(&r, h, st);
        if (unlikely(slots - 1 >= r.slots_left))
            break;
        out[0] = h.w & ~((uint64_t)NETFLIP_COPY << 48);
        out[1] = st.w1;
        out[2] = st.w2;
        put_rest(out, in, st.w2, h.inline_len, false);
        if (h.nr_frags) {
            if (h.nr_frags > r.refs_left || r.nr_ops + h.nr_frags > EXCHANGE_BATCH || !row_frags(&r, h, slots))
                break;
            r.refs_left -= h.nr_frags;
        }
        r.cons += slots;
        r.next += slots;
        r.slots_left -= slots;
        bytes += h.len;
        n++;
    }
    row_end(&r, n, bytes);
    return n;
}

/* How much of a row is left, as far as no ring's index wraps: slots; pages, too. */
static unsigned int row_slots_max(const struct row *r, unsigned int most)
{
    unsigned int n = MIN(most, r->prod - r->cons);

    n = MIN(n, NETFLIP_SLOTS - r->cons % NETFLIP_SLOTS);
    n = MIN(n, r->slots_left);
    return MIN(n, NETFLIP_SLOTS - r->next % NETFLIP_SLOTS);
}

static unsigned int row_stretch(const struct row *r, unsigned int most)
{
    unsigned int n = MIN(row_slots_max(r, most), r->refs_left);

    return row_pages_max(r, MIN(n, EXCHANGE_BATCH - r->nr_ops));
}

/* At most n frames of one slot and one page, not to be cut, from where no index wraps. Returns how many there were. */
static __always_inline unsigned int single_stretch(const struct row *r, unsigned int n, uint32_t *bytes)
{
    const struct netflip_head *from = &r->v->tx_slot[r->cons % NETFLIP_SLOTS];
    struct netflip_head *to = &r->to->rx_slot[r->next % NETFLIP_SLOTS];
    const struct row_pages p = row_pages(r);
    struct sluice_flip_op *op = p.op;
    struct exchange *what = p.what;
    const uint64_t not_single = r->not_taken | 0xffUL << 24 |
                                (uint64_t)(NETFLIP_GSO_TCPV4 | NETFLIP_GSO_TCPV6 | NETFLIP_COPY) << 48;
    const uint64_t w1 = r->w1, plain = r->plain & ~0xffffUL;
    unsigned int i, len_max = r->len_max;
    uint32_t sum = 0;

    for (i = 0; i < n; i++, from++, to++, op++, what++) {
        const uint64_t *in = (const uint64_t *)(const void *)from;
        uint64_t *out = (uint64_t *)(void *)to;
        uint64_t w = READ_ONCE(in[0]), start = READ_ONCE(in[1]), more = READ_ONCE(in[2]), g;
        unsigned int inline_len = (uint8_t)(w >> 16), len = (uint16_t)w, at, here;
        grant_ref_t ref;
        uint32_t place;

        if ((w & not_single) != 1UL << 24 || start != w1 || more << 16 != plain ||
            inline_len - 14u > NETFLIP_INLINE_MAX - 14u || len > len_max)
            break;
        at = 8 + ((inline_len + 7u) & ~7u);
        g = READ_ONCE(*(const uint64_t *)(const void *)((const uint8_t *)in + at));
        place = (uint32_t)(g >> 32);
        here = place >> 16;
        if (unlikely(!here || here + (uint16_t)place > PAGE_SIZE || inline_len + here != len))
            break;
        out[0] = w;
        out[1] = start;
        out[2] = more;
        put_rest(out, in, more, inline_len, false);
        ref = READ_ONCE(p.offer[i]);
        put_frag((uint64_t *)(void *)((uint8_t *)out + at), ref, place);
        p.back[i] = (grant_ref_t)g;
        exchange_put(op, what, p.doms, (grant_ref_t)g, place, ref, to);
        sum += len;
    }
    *bytes += sum;
    return i;
}

/* The same for frames that have one page each and are not to be cut. */
static noinline unsigned int forward_single(struct vif_flip *v, uint32_t prod, unsigned int most, union first_word h,
                                            struct start st)
{
    unsigned int done = 0, n, k;
    uint32_t bytes = 0;
    struct row r;

    if (!row_begin(&r, v, prod, h, st, h.nr_frags))
        return 0;
    do {
        n = row_stretch(&r, most - done);
        k = single_stretch(&r, n, &bytes);
        r.cons += k;
        r.next += k;
        r.slots_left -= k;
        r.ref_cons += k;
        r.refs_left -= k;
        r.ref_prod += k;
        r.nr_ops += k;
        done += k;
    } while (k == n && k);
    row_end(&r, done, bytes);
    return done;
}

/* How many extents can be put, of n, as far as no index wraps. */
static unsigned int extent_stretch_max(const struct row *r, unsigned int most)
{
    const struct vif_flip *to = r->to;
    unsigned int n = row_slots_max(r, most);

    n = MIN(n, to->rx_ext_prod - to->rx_ext_cons);
    n = MIN(n, NETFLIP_EXTENTS - to->rx_ext_cons % NETFLIP_EXTENTS);
    n = MIN(n, NETFLIP_EXTENTS - r->v->ext_prod % NETFLIP_EXTENTS);
    return MIN(n, EXCHANGE_BATCH - r->nr_ops);
}

/*
 * At most n frames of one slot and one extent, whose heads begin as the first's but for the length, from where no index wraps. Returns how
 * many there were.
 */
static __always_inline unsigned int extent_stretch(const struct row *r, unsigned int n, union first_word first, uint32_t *bytes)
{
    const struct netflip_head *from = &r->v->tx_slot[r->cons % NETFLIP_SLOTS];
    struct netflip_head *to = &r->to->rx_slot[r->next % NETFLIP_SLOTS];
    const grant_ref_t *offer = &r->to->rx->ext[r->to->rx_ext_cons % NETFLIP_EXTENTS];
    grant_ref_t *back = &r->v->tx->ext[r->v->ext_prod % NETFLIP_EXTENTS];
    struct sluice_flip_op *op = &exchange_op[r->nr_ops];
    struct exchange *what = &exchange_what[r->nr_ops];
    const uint32_t doms = exchange_doms(r->v->vif->dom, r->to->vif->dom);
    const uint64_t w1 = r->w1, plain = r->plain & ~0xffffUL, like = first.w >> 16;
    const unsigned int inline_len = first.inline_len, at = 8 + ((inline_len + 7u) & ~7u);
    const unsigned int len_max = first.flags & (NETFLIP_GSO_TCPV4 | NETFLIP_GSO_TCPV6) ? NETFLIP_FRAME_MAX : r->len_max;
    unsigned int i, beyond = 0;
    uint32_t sum = 0;

    for (i = 0; i < n; i++, from++, to++, op++, what++) {
        const uint64_t *in = (const uint64_t *)(const void *)from;
        uint64_t *out = (uint64_t *)(void *)to;
        uint64_t w = READ_ONCE(in[0]), start = READ_ONCE(in[1]), second = READ_ONCE(in[2]), g;
        unsigned int len = (uint16_t)w, offset, here, more;
        grant_ref_t ref;

        if (w >> 16 != like || start != w1 || second << 16 != plain)
            break;
        g = READ_ONCE(*(const uint64_t *)(const void *)((const uint8_t *)in + at));
        offset = (uint16_t)(g >> 32);
        here = (unsigned int)(g >> 48);
        more = (offset + here - 1) / PAGE_SIZE;
        if (unlikely(offset >= PAGE_SIZE || more - 1 >= NETFLIP_EXTENT - 1 || inline_len + here != len || len > len_max))
            break;
        out[0] = w;
        out[1] = start;
        out[2] = second;
        put_rest(out, in, second, inline_len, true);
        ref = READ_ONCE(offer[i]);
        put_frag((uint64_t *)(void *)((uint8_t *)out + at), ref, (uint32_t)(g >> 32));
        back[i] = (grant_ref_t)g;
        exchange_put_pages(op, what, doms, (grant_ref_t)g, (uint32_t)(g >> 32), ref, to, more);
        beyond += more;
        sum += len;
    }
    exchange_more += beyond;
    *bytes += sum;
    return i;
}

/* The same for frames that have an extent each. */
static noinline unsigned int forward_extents(struct vif_flip *v, uint32_t prod, unsigned int most, union first_word h, struct start st)
{
    unsigned int done = 0, n, k;
    uint32_t bytes = 0;
    struct row r;

    if (!v->extents || !row_begin(&r, v, prod, h, st, 0) || r.nr_ops == EXCHANGE_BATCH)
        return 0;
    do {
        if (!flip_has_extent(r.to))
            break;
        n = extent_stretch_max(&r, most - done);
        k = extent_stretch(&r, n, h, &bytes);
        r.cons += k;
        r.next += k;
        r.slots_left -= k;
        r.to->rx_ext_cons += k;
        v->ext_prod += k;
        r.nr_ops += k;
        done += k;
    } while (k == n && k);
    row_end(&r, done, bytes);
    return done;
}

/* Does the one fragment of the frame at v->tx_cons lie in an extent? */
static inline bool has_extent(const struct vif_flip *v, union first_word h)
{
    const struct netflip_head *slot = &v->tx_slot[v->tx_cons % NETFLIP_SLOTS];
    unsigned int at = (1 + (h.inline_len + 7u) / 8u) % (NETFLIP_SLOT_BYTES / 8u);   /* inline_len may be anything yet */
    uint64_t g = READ_ONCE(((const uint64_t *)(const void *)slot)[at]);

    return (unsigned int)(uint16_t)(g >> 32) + (unsigned int)(g >> 48) > PAGE_SIZE;
}

unsigned int flip_forward_row(struct vif_flip *v, uint32_t prod, unsigned int most, union first_word h, struct start st)
{
    unsigned int row = 0;

    if (h.nr_frags == 1 && has_extent(v, h))
        return forward_extents(v, prod, most, h, st);
    if (h.nr_frags == 1 && !(h.flags & (NETFLIP_GSO_TCPV4 | NETFLIP_GSO_TCPV6)))
        row = forward_single(v, prod, most, h, st);
    return row ? row : forward_row(v, prod, most, h, st);
}
