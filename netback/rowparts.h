/* SPDX-License-Identifier: MIT */
/* rowparts.h - what the loops over frames in a row are made of. */
#ifndef NETBACK_ROWPARTS_H
#define NETBACK_ROWPARTS_H

#include "netback/exchange.h"
#include "netback/fliprow.h"
#include "runtime/ring.h"

/* Where a frame that needs no more filter than this begins, to that address: all of it; the rest behind it. */
static inline uint64_t plain_w1(uint64_t to_key, uint64_t plain)
{
    return to_key | plain << 48;
}

static __always_inline bool starts_with(struct start st, uint64_t w1, uint64_t plain)
{
    return st.w1 == w1 && st.w2 << 16 == (plain & ~0xffffUL);
}

/* Flags of frames that its receiver takes, or that are not for it. */
static inline uint8_t flags_taken(uint32_t caps)
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
 * others. In the receiver's, the rest stays what it was. Fast for heads of 57 bytes or more, or up to 64 only.
 */
static __always_inline void put_rest(uint64_t *out, const uint64_t *in, uint64_t second, unsigned int inline_len, const bool more)
{
    unsigned int last = (inline_len - 1) / 8;

    if (likely(last == 7) || (more && last > 7)) {
        ring_copy_in(out + 3, in + 3, 5 * sizeof(*out));
        for (unsigned int i = 7; more && i < last; i++)
            out[1 + i] = READ_ONCE(in[1 + i]);
    } else {
        for (unsigned int i = 2; i < last; i++)
            out[1 + i] = READ_ONCE(in[1 + i]);
    }
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
    const uint8_t gso = NETFLIP_GSO_TCPV4 | NETFLIP_GSO_TCPV6;

    if ((h.w & r->not_taken) || h.inline_len - 14u > NETFLIP_INLINE_MAX - 14u ||
        !starts_with(st, r->w1, r->plain))
        return 0;
    if (!h.nr_frags)
        return h.len == h.inline_len;
    if (unlikely(h.nr_frags > NETFLIP_FRAGS_MAX || h.len <= h.inline_len || (h.flags & NETFLIP_COPY)))
        return 0;
    if (h.flags & gso ? !h.gso_size || (h.flags & gso) == gso : h.len > r->len_max)
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

#endif
