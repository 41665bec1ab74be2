/* SPDX-License-Identifier: MIT */
/*
 * fliprow.c - frames that go the short way, from ring to ring; see fliprow.h.
 *
 * What the filter must see of a frame is read once, compared with what plain frames to that station begin with, and delivered as it was
 * read. Pages are queued to be exchanged.
 */
#include "netback/fliprow.h"
#include "netback/exchange.h"
#include "runtime/ring.h"
#include "runtime/time.h"

/* Where a frame that needs no more filter than this begins, to that address: all of it; the rest behind it. */
static inline uint64_t plain_w1(uint64_t to_key, uint64_t plain)
{
    return to_key | plain << 48;
}

static __always_inline bool starts_with(struct start st, uint64_t w1, uint64_t plain)
{
    return st.w1 == w1 && st.w2 << 16 == (plain & ~0xffffUL);
}

struct vif_flip *flip_find_target(struct vif_flip *v, struct start st)
{
    struct port *to = bridge_unicast(&v->vif->port, (const uint8_t *)&st.w1, now_ns());

    v->to_key = st.w1 & FLIP_MAC_MASK;
    v->to_changes = bridge_changes;
    v->to = to && to->send == flip_send ? container_of(to, struct vif, port)->flip : NULL;
    return v->to;
}

/* Flags of frames that its receiver takes, or that are not for it. */
static uint8_t flags_taken(uint32_t caps)
{
    uint8_t flags = NETFLIP_CSUM_VALID | NETFLIP_COPY;

    if ((caps & (PORT_CSUM | PORT_CSUM6)) == (PORT_CSUM | PORT_CSUM6))
        flags |= NETFLIP_CSUM_BLANK;
    if (caps & PORT_TSO4)
        flags |= NETFLIP_GSO_TCPV4;
    if (caps & PORT_TSO6)
        flags |= NETFLIP_GSO_TCPV6;
    return flags;
}

/*
 * The head behind its first two words, and no byte more: what lies behind in the sender's slot is of other frames, for
 * others. In the receiver's, the rest stays what it was.
 */
static __always_inline void put_rest(uint64_t *out, const uint64_t *in, uint64_t second, unsigned int inline_len)
{
    unsigned int last = (inline_len - 1) / 8;

    if (likely(last == 7))                  /* 57 to 64 bytes: the shortest frames, heads of UDP */
        ring_copy_in(out + 3, in + 3, 5 * sizeof(*out));
    else
        for (unsigned int i = 2; i < last; i++)
            out[1 + i] = READ_ONCE(in[1 + i]);
    /* The last word is cut; of the shortest frames it is the second. */
    out[1 + last] = (last > 1 ? READ_ONCE(in[1 + last]) : second) & ~0UL >> (8 * (-inline_len & 7));
}

/* A row of frames on their way from ring to ring. Indices are the vifs', which follow at its end. */
struct row {
    struct vif_flip *v, *to;
    uint32_t prod, cons;            /* v's slots */
    uint32_t next, slots_left;      /* slots of `to`: next to write, and how many can be */
    uint32_t ref_cons, refs_left;   /* its offers */
    uint32_t ref_prod;              /* v's pages to be given back */
    unsigned int nr_ops;            /* exchange_count */
    /* What frames are compared with. */
    uint64_t w1, plain;
    uint64_t not_taken;             /* bits of the first word */
    unsigned int len_max;           /* of frames that are not to be cut */
};

/* How many slots the frame with that head has; 0: it is not one that a row can have. */
static __always_inline unsigned int row_slots(const struct row *r, union first_word h, struct start st)
{
    if ((h.w & r->not_taken) || h.inline_len - 14u > NETFLIP_INLINE_MAX - 14u ||
        !starts_with(st, r->w1, r->plain))
        return 0;
    if (!h.nr_frags)
        return h.len == h.inline_len;
    if (unlikely(h.nr_frags > NETFLIP_FRAGS_MAX || h.len <= h.inline_len || (h.flags & NETFLIP_COPY)))
        return 0;
    if (h.flags & (NETFLIP_GSO_TCPV4 | NETFLIP_GSO_TCPV6) ? !h.gso_size : h.len > r->len_max)
        return 0;
    return netflip_slots(h.inline_len, h.nr_frags);
}

/* v->to is where the frame with that head goes, which needs so many pages on offer. False: there can be no row now. */
static __always_inline bool row_begin(struct row *r, struct vif_flip *v, uint32_t prod,
                                      union first_word h, struct start st, unsigned int refs)
{
    struct vif_flip *to = v->to;
    struct port *port = &to->vif->port;
    unsigned int slots;

    if (unlikely(!v->plain || !port->up || to->vif->failed || !list_empty(&port->waiting)))
        return false;
    *r = (struct row){ .v = v, .to = to, .prod = prod, .cons = v->tx_cons, .w1 = plain_w1(v->to_key, v->plain), .plain = v->plain,
                       .not_taken = (uint64_t)(0xff00u | (uint8_t)~flags_taken(port->caps)) << 48,
                       .len_max = port->mtu + 18u };
    slots = row_slots(r, h, st);
    if (!slots || !flip_has_room(to, slots, refs))
        return false;
    exchange_room(h.nr_frags);
    r->next = to->rx_prod;
    r->slots_left = to->rx_cons + NETFLIP_SLOTS - r->next;
    r->ref_cons = to->rx_ref_cons;
    r->refs_left = to->rx_ref_prod - r->ref_cons;
    r->ref_prod = v->ref_prod;
    r->nr_ops = exchange_count;
    return true;
}

static __always_inline void row_end(const struct row *r, unsigned int n, uint32_t bytes)
{
    struct vif_flip *v = r->v, *to = r->to;

    v->tx_cons = r->cons;
    v->ref_prod = r->ref_prod;
    to->rx_prod = r->next;
    to->rx_ref_cons = r->ref_cons;
    exchange_count = r->nr_ops;
    to->frames += n;
    to->bytes += bytes;
    v->short_frames += n;
    v->short_bytes += bytes;
    rate_charge(&v->vif->rate, bytes);
    if (n)
        port_touch(&to->vif->port);
}

/* A struct netflip_frag; place: its offset and length. */
static __always_inline void put_frag(uint64_t *to, grant_ref_t ref, uint32_t place)
{
    uint32_t w[2] = { ref, place };

    __builtin_memcpy(&((uint32_t *)(void *)to)[0], &w[0], 4);
    __builtin_memcpy(&((uint32_t *)(void *)to)[1], &w[1], 4);
}

/* Where pages of a row are put, as far as no index wraps. */
struct row_pages {
    const grant_ref_t *offer;
    grant_ref_t *back;
    struct sluice_flip_op *op;
    struct exchange *what;
    uint32_t doms;
};

static __always_inline struct row_pages row_pages(const struct row *r)
{
    return (struct row_pages){ .offer = &r->to->rx->ref[r->ref_cons % NETFLIP_REFS],
                               .back = &r->v->tx->ref[r->ref_prod % NETFLIP_REFS],
                               .op = &exchange_op[r->nr_ops], .what = &exchange_what[r->nr_ops],
                               .doms = exchange_doms(r->v->vif->dom, r->to->vif->dom) };
}

/* How many they are, of n. */
static __always_inline unsigned int row_pages_max(const struct row *r, unsigned int n)
{
    n = MIN(n, NETFLIP_REFS - r->ref_cons % NETFLIP_REFS);
    return MIN(n, NETFLIP_REFS - r->ref_prod % NETFLIP_REFS);
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

/* Which word of a head is its first fragment. */
static __always_inline unsigned int frag_at(union first_word h)
{
    return (1 + (h.inline_len + 7u) / 8u) % (NETFLIP_SLOT_BYTES / 8u);      /* inline_len may be anything yet */
}

/* The one fragment of a frame, if it lies in an extent. */
static __always_inline bool frag_of_extent(union first_word h, uint64_t g)
{
    return h.nr_frags == 1 && (unsigned int)(uint16_t)(g >> 32) + (unsigned int)(g >> 48) > PAGE_SIZE;
}

/* Such a frame, which goes into slot `head` of the receiver. False: something is wrong with it, or there is no extent for it; nothing has
 * happened. */
static __always_inline bool row_extent(struct row *r, union first_word h, uint64_t g, uint64_t *out, struct netflip_head *head)
{
    uint32_t place = (uint32_t)(g >> 32);
    unsigned int offset = (uint16_t)place, len = place >> 16, n = netflip_frag_pages(offset, len);
    struct vif_flip *v = r->v, *to = r->to;
    grant_ref_t ref;

    if (unlikely(!v->extents || offset >= PAGE_SIZE || n > NETFLIP_EXTENT || h.inline_len + len != h.len ||
                 r->nr_ops == EXCHANGE_BATCH || !flip_has_extent(to)))
        return false;
    ref = READ_ONCE(to->rx->ext[to->rx_ext_cons++ % NETFLIP_EXTENTS]);
    put_frag(out, ref, place);
    v->tx->ext[v->ext_prod++ % NETFLIP_EXTENTS] = (grant_ref_t)g;
    exchange_put_pages(&exchange_op[r->nr_ops], &exchange_what[r->nr_ops], exchange_doms(v->vif->dom, to->vif->dom),
                       (grant_ref_t)g, place, ref, head, n - 1);
    exchange_more += n - 1;
    r->nr_ops++;
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
    const uint64_t *first = (const uint64_t *)(const void *)&v->tx_slot[v->tx_cons % NETFLIP_SLOTS];
    uint32_t bytes = 0;
    unsigned int n = 0;
    struct row r;

    if (!row_begin(&r, v, prod, h, st, frag_of_extent(h, READ_ONCE(first[frag_at(h)])) ? 0 : h.nr_frags))
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
        put_rest(out, in, st.w2, h.inline_len);
        if (h.nr_frags) {
            unsigned int at = frag_at(h);
            uint64_t g = READ_ONCE(in[at]);

            if (frag_of_extent(h, g)) {
                if (!row_extent(&r, h, g, out + at, (struct netflip_head *)(void *)out))
                    break;
            } else if (h.nr_frags > r.refs_left || r.nr_ops + h.nr_frags > EXCHANGE_BATCH ||
                       !row_frags(&r, h, slots)) {
                break;
            } else {
                r.refs_left -= h.nr_frags;
            }
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

/* How much of a row is left, as far as no ring's index wraps. */
static unsigned int row_stretch(const struct row *r, unsigned int most)
{
    unsigned int n = MIN(most, r->prod - r->cons);

    n = MIN(n, NETFLIP_SLOTS - r->cons % NETFLIP_SLOTS);
    n = MIN(n, r->slots_left);
    n = MIN(n, NETFLIP_SLOTS - r->next % NETFLIP_SLOTS);
    n = MIN(n, r->refs_left);
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
        put_rest(out, in, more, inline_len);
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

/*
 * The same for frames that are all head and have no flag but one: what there is to look at fits into registers. v->to is
 * where the first goes.
 */
static unsigned int forward_small(struct vif_flip *v, uint32_t prod, unsigned int most)
{
    const uint64_t plain = v->plain, w1 = plain_w1(v->to_key, plain);
    struct vif_flip *to = v->to;
    uint32_t cons = v->tx_cons, next, end, bytes = 0;
    unsigned int n;

    if (!plain || v->vif->rate.per_second || !to->vif->port.up || to->vif->failed ||
        !list_empty(&to->vif->port.waiting))
        return 0;
    /* None free as far as is known: what the receiver has taken meanwhile is looked at. */
    if (unlikely(to->rx_prod - to->rx_cons == NETFLIP_SLOTS) && !flip_has_room(to, 1, 0))
        return 0;
    next = to->rx_prod;
    end = to->rx_cons + NETFLIP_SLOTS;
    for (n = 0; n < most && cons != prod && next != end; n++, cons++, next++) {
        const struct netflip_head *from = &v->tx_slot[cons % NETFLIP_SLOTS];
        const uint64_t *in = (const uint64_t *)(const void *)from;
        uint64_t *out = (uint64_t *)(void *)&to->rx_slot[next % NETFLIP_SLOTS];
        union first_word h = { .w = READ_ONCE(in[0]) };
        struct start st = { READ_ONCE(in[1]), READ_ONCE(in[2]) };

        /* inline_len is len, and nr_frags 0; flags are none but that one, and zero is. */
        if ((uint16_t)(h.w >> 16) != h.len || h.len - 14u > NETFLIP_INLINE_MAX - 14u ||
            (h.w >> 48 & ~(uint64_t)NETFLIP_CSUM_VALID) || !starts_with(st, w1, plain))
            break;
        out[0] = h.w & ~0xffff00000000UL;       /* gso_size */
        out[1] = st.w1;
        out[2] = st.w2;
        put_rest(out, in, st.w2, h.len);
        bytes += h.len;
    }
    v->tx_cons = cons;
    to->rx_prod = next;
    to->frames += n;
    to->bytes += bytes;
    v->short_frames += n;
    v->short_bytes += bytes;
    if (n)
        port_touch(&to->vif->port);
    return n;
}
unsigned int flip_forward(struct vif_flip *v, uint32_t prod, unsigned int most, union first_word h, struct start st)
{
    unsigned int row = 0;

    if (!h.nr_frags)
        row = forward_small(v, prod, most);
    else if (h.nr_frags == 1 && !(h.flags & (NETFLIP_GSO_TCPV4 | NETFLIP_GSO_TCPV6)))
        row = forward_single(v, prod, most, h, st);
    return row ? row : forward_row(v, prod, most, h, st);
}
