/* SPDX-License-Identifier: MIT */
/*
 * fliptx.c - guest to bridge over the flip channel.
 *
 * A slot is read once. Frames whose receiver has a flip channel too, and room, are written into that ring as soon as what
 * the filter must see of them has been read (forward_row): no struct frame, their pages queued to be flipped. Every other
 * becomes a struct frame and goes through the bridge, in groups; a group is handed over before the next frame that
 * takes the short way, so that all stay in order.
 */
#include "netback/bridge.h"
#include "netback/fdb.h"
#include "netback/exchange.h"
#include "netback/flip.h"
#include "netback/headers.h"
#include "lib/string.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "runtime/ring.h"
#include "runtime/time.h"

#define FRAMES_PER_PAGE (PAGE_SIZE / sizeof(struct flip_frame))
#define MEMORY_RETRY    (10 * NS_PER_MS)
#define GROUP           64

static struct list free_frames = LIST_INIT(free_frames);

/* The first word of a head. */
union first_word {
    uint64_t w;
    struct {
        uint16_t len;
        uint8_t inline_len;
        uint8_t nr_frags;
        uint16_t gso_size;
        uint8_t flags;
        uint8_t zero;
    };
};
_Static_assert(sizeof(union first_word) == 8, "one word");

/* The first 14 bytes of a frame, and two more, as words in memory order. */
struct start {
    uint64_t w1, w2;
};

/* Frames ----------------------------------------------------------------------------------- */

static noinline void give_back_extents(struct vif_flip *v, const struct flip_frame *ff)
{
    for (unsigned int i = 0; i < ff->f.nr_frags; i++) {
        if (!(ff->of_extent & 1u << i))
            v->tx->ref[v->ref_prod++ % NETFLIP_REFS] = ff->f.frags[i].ref;
        else if (ff->first & 1u << i)
            v->tx->ext[v->ext_prod++ % NETFLIP_EXTENTS] = ff->f.frags[i].ref;
    }
}

/* Last reference: nobody needs the guest's pages. */
static void frame_done(struct frame *f)
{
    struct flip_frame *ff = container_of(f, struct flip_frame, f);
    struct vif_flip *v = ff->flip;

    list_push_front(&free_frames, &f->link);
    if (unlikely(!v->vif)) {
        if (!--v->nr_frames)
            free(v);
        return;
    }
    if (likely(!v->vif->failed)) {
        if (likely(!ff->of_extent))
            for (unsigned int i = 0; i < f->nr_frags; i++)
                v->tx->ref[v->ref_prod++ % NETFLIP_REFS] = f->frags[i].ref;
        else
            give_back_extents(v, ff);
        port_touch(&v->vif->port);
    }
    if (v->nr_frames-- == FLIP_FRAMES_MAX)
        work_queue(&v->tx_work);
}

static struct flip_frame *frame_get_free(struct vif_flip *v)
{
    struct flip_frame *ff;

    if (v->nr_frames == FLIP_FRAMES_MAX)
        return NULL;
    if (list_empty(&free_frames)) {
        ff = page_alloc_zeroed();
        for (unsigned int i = 0; ff && i < FRAMES_PER_PAGE; i++) {
            ff[i].f.head_mfn = virt_to_mfn(ff);
            ff[i].f.head = ff[i].head;
            ff[i].f.done = frame_done;
            list_push_back(&free_frames, &ff[i].f.link);
        }
        if (!ff)
            return NULL;
    }
    ff = container_of(list_first(&free_frames, struct frame, link), struct flip_frame, f);
    list_remove(&ff->f.link);
    v->nr_frames++;
    ff->flip = v;
    ff->f.from = &v->vif->port;
    ff->f.refs = 1;
    ff->f.failed = 0;
    ff->f.nr_frags = 0;
    return ff;
}

/* Taking ----------------------------------------------------------------------------------- */

/* What every frame must keep to. */
static bool first_is_sane(struct vif_flip *v, union first_word h)
{
    if (likely(h.inline_len >= FRAME_LEN_MIN && h.inline_len <= NETFLIP_INLINE_MAX &&
               h.len >= h.inline_len && h.nr_frags <= NETFLIP_FRAGS_MAX &&
               !h.nr_frags == (h.len == h.inline_len)) &&
        likely(!h.flags || h.gso_size || !(h.flags & (NETFLIP_GSO_TCPV4 | NETFLIP_GSO_TCPV6))))
        return true;
    vif_fail(v->vif, "flip tx frame of %u bytes, %u in its slot, %u fragments, flags %x, gso %u",
             h.len, h.inline_len, h.nr_frags, h.flags, h.gso_size);
    return false;
}

/* The pages of a frame. */
struct pages {
    struct netflip_frag frag[NETFLIP_FRAGS_MAX];    /* within one each */
    unsigned int n;
    uint32_t of_extent, first;                      /* as in struct flip_frame */
};

/* Adds a fragment. False: it is not within its page or extent, or too much. */
static bool add_frag(const struct vif_flip *v, struct pages *p, struct netflip_frag g)
{
    unsigned int n = netflip_frag_pages(g.offset, g.len), left = g.len;

    if (unlikely(!g.len || p->n + n > NETFLIP_FRAGS_MAX))
        return false;
    if (likely(n == 1)) {
        p->frag[p->n++] = g;
        return true;
    }
    if (!v->extents || g.offset >= PAGE_SIZE || n > NETFLIP_EXTENT)
        return false;
    p->first |= 1u << p->n;
    for (; left; left -= g.len, g.ref++, g.offset = 0) {
        g.len = (uint16_t)MIN(left, (unsigned int)PAGE_SIZE - g.offset);
        p->of_extent |= 1u << p->n;
        p->frag[p->n++] = g;
    }
    return true;
}

/*
 * The pages of the frame that begins at tx_cons, whose fragments are behind the head or in slots that follow. Returns how many slots the
 * frame has, 0: the vif has failed. tx_cons stays.
 */
static unsigned int read_frags(struct vif_flip *v, uint32_t prod, union first_word h,
                               const struct netflip_head *slot, struct pages *p)
{
    const struct netflip_frag *from = (const void *)(slot->data + ((h.inline_len + 7u) & ~7u));
    unsigned int here = netflip_head_frags(h.inline_len), sum = h.inline_len, slots = 1;

    for (unsigned int i = 0; i < h.nr_frags; i++) {
        struct netflip_frag g;

        if (unlikely(!here--)) {
            if (v->tx_cons + slots == prod) {
                vif_fail(v->vif, "flip tx fragments without end");
                return 0;
            }
            from = (const void *)&v->tx_slot[(v->tx_cons + slots++) % NETFLIP_SLOTS];
            here = NETFLIP_FRAGS_PER_SLOT - 1;
        }
        ring_copy_in(&g, from++, sizeof(g));
        if (unlikely(!add_frag(v, p, g))) {
            vif_fail(v->vif, "flip tx fragment of %u bytes at %u, behind %u pages", g.len, g.offset, p->n);
            return 0;
        }
        sum += g.len;
    }
    if (likely(sum == h.len))
        return slots;
    vif_fail(v->vif, "flip tx frame of %u bytes has %u", h.len, sum);
    return 0;
}

/* The frame as a struct, for the bridge. */
static struct frame *make_frame(struct vif_flip *v, union first_word h, struct start st,
                                const struct netflip_head *slot, const struct pages *p,
                                struct flip_frame *ff)
{
    struct frame *f = &ff->f;

    /* Once more, and then what was read at first. */
    ring_copy_in(ff->head, slot->data, sizeof(ff->head));
    __builtin_memcpy(ff->head, &st, sizeof(st));
    f->len = h.len;
    f->head_len = h.inline_len;
    f->flags = h.flags & NETFLIP_CSUM_BLANK ? FRAME_CSUM_BLANK
             : h.flags & NETFLIP_CSUM_VALID ? FRAME_CSUM_VALID : 0;
    if (!(h.flags & NETFLIP_COPY))
        f->flags |= FRAME_FLIP;
    f->gso = h.flags & NETFLIP_GSO_TCPV4 ? GSO_TCPV4 : h.flags & NETFLIP_GSO_TCPV6 ? GSO_TCPV6
                                                                                   : GSO_NONE;
    f->gso_size = f->gso == GSO_NONE ? 0 : h.gso_size;
    f->nr_frags = (uint8_t)p->n;
    ff->of_extent = p->of_extent;
    ff->first = p->first;
    for (unsigned int i = 0; i < p->n; i++)
        f->frags[i] = (struct frag){ .kind = FRAG_GRANT, .dom = v->vif->dom, .ref = p->frag[i].ref,
                                     .offset = p->frag[i].offset, .len = p->frag[i].len };
    return f;
}

/* The bridge ------------------------------------------------------------------------------- */

#define MAC_MASK 0xffffffffffffUL

/* Where a frame that needs no more filter than this begins, to that address: all of it; the rest behind it. */
static inline uint64_t plain_w1(uint64_t to_key, uint64_t plain)
{
    return to_key | plain << 48;
}

static __always_inline bool starts_with(struct start st, uint64_t w1, uint64_t plain)
{
    return st.w1 == w1 && st.w2 << 16 == (plain & ~0xffffUL);
}

/* The flip channel that has the station with this address; else NULL. */
static struct vif_flip *find_target(struct vif_flip *v, struct start st)
{
    struct port *to = bridge_unicast(&v->vif->port, (const uint8_t *)&st.w1, now_ns());

    v->to_key = st.w1 & MAC_MASK;
    v->to_changes = bridge_changes;
    v->to = to && to->send == flip_send ? container_of(to, struct vif, port)->flip : NULL;
    return v->to;
}

static inline struct vif_flip *target(struct vif_flip *v, struct start st)
{
    if (likely(v->to_key == (st.w1 & MAC_MASK) && v->to_changes == bridge_changes))
        return v->to;
    return find_target(v, st);
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

struct group {
    struct frame *frame[GROUP];
    unsigned int n;
};

static void hand_over(struct vif_flip *v, struct group *g)
{
    port_receive(&v->vif->port, g->frame, g->n);
    for (unsigned int i = 0; i < g->n; i++)
        frame_put(g->frame[i]);
    g->n = 0;
}

static void judge(struct vif_flip *v, struct frame *f, struct group *g)
{
    if (unlikely(!filter_pass(&v->vif->filter, f->head, f->head_len, f->len))) {
        port_count_rx_drop(f->from, DROP_SPOOFED);
        frame_put(f);
        return;
    }
    g->frame[g->n++] = f;
    if (g->n == GROUP)
        hand_over(v, g);
}

/* Turn ------------------------------------------------------------------------------------- */

enum stop {
    STOP_EMPTY,             /* the ring is empty */
    STOP_BUDGET,            /* there is more */
    STOP_LATER,             /* timer or a freed frame brings us back */
};

/* May another frame pass the rate limit? If not, a timer brings us back. */
static bool rate_allows(struct vif_flip *v)
{
    uint64_t now = now_ns(), wait = rate_wait(&v->vif->rate, now);

    if (wait)
        timer_set(&v->rate_timer, now + wait);
    return !wait;
}

static enum stop take_frames(struct vif_flip *v, struct group *g)
{
    uint32_t prod = ring_read_prod(&v->tx->slot_prod);
    struct vif *vif = v->vif;

    if (unlikely(prod - v->tx_cons > NETFLIP_SLOTS)) {
        vif_fail(vif, "flip tx producer %u, taken %u", prod, v->tx_cons);
        return STOP_LATER;
    }
    for (unsigned int taken = 0; v->tx_cons != prod; taken++) {
        const struct netflip_head *slot = &v->tx_slot[v->tx_cons % NETFLIP_SLOTS];
        const uint64_t *word = (const uint64_t *)(const void *)slot;
        union first_word h = { .w = READ_ONCE(word[0]) };
        struct start st = { READ_ONCE(word[1]), READ_ONCE(word[2]) };
        struct pages pages;
        struct flip_frame *ff;
        unsigned int slots = 1;

        if (taken == FLIP_BUDGET)
            return STOP_BUDGET;
        if (unlikely(vif->rate.per_second) && !rate_allows(v))
            return STOP_LATER;
        if (target(v, st)) {
            unsigned int most = vif->rate.per_second ? 1 : FLIP_BUDGET - taken, row = 0;

            if (g->n)
                hand_over(v, g);        /* what came before must not be overtaken */
            if (!h.nr_frags)
                row = forward_small(v, prod, most);
            else if (h.nr_frags == 1 && !(h.flags & (NETFLIP_GSO_TCPV4 | NETFLIP_GSO_TCPV6)))
                row = forward_single(v, prod, most, h, st);
            if (!row)
                row = forward_row(v, prod, most, h, st);
            if (row) {
                taken += row - 1;
                continue;
            }
        }
        if (unlikely(!first_is_sane(v, h)))
            return STOP_LATER;
        pages.n = pages.of_extent = pages.first = 0;
        if (h.nr_frags)
            slots = read_frags(v, prod, h, slot, &pages);
        if (unlikely(!slots))
            return STOP_LATER;
        ff = frame_get_free(v);
        if (unlikely(!ff)) {
            if (v->nr_frames < FLIP_FRAMES_MAX)
                timer_set_after(&v->rate_timer, MEMORY_RETRY);
            return STOP_LATER;
        }
        v->tx_cons += slots;
        rate_charge(&vif->rate, h.len);
        judge(v, make_frame(v, h, st, slot, &pages, ff), g);
    }
    return STOP_EMPTY;
}

void flip_tx_work(struct work *w)
{
    struct vif_flip *v = container_of(w, struct vif_flip, tx_work);
    struct group g;             /* not cleared: most turns need none of it */
    enum stop stop;

    g.n = 0;
    if (!v->vif->connected || v->vif->failed)
        return;
    stop = take_frames(v, &g);
    if (g.n)
        hand_over(v, &g);
    v->vif->port.stats.rx_frames += v->short_frames;
    v->vif->port.stats.rx_bytes += v->short_bytes;
    v->short_frames = v->short_bytes = 0;
    if (v->vif->failed)
        return;
    port_touch(&v->vif->port);
    if (stop == STOP_BUDGET ||
        (stop == STOP_EMPTY && ring_rearm(&v->tx->slot_event, &v->tx->slot_prod, v->tx_cons)))
        work_queue(w);
}

void flip_tx_rate_timer(struct timer *t)
{
    struct vif_flip *v = container_of(t, struct vif_flip, rate_timer);

    work_queue(&v->tx_work);
}

void flip_tx_flush(struct vif_flip *v)
{
    bool tell = false;

    if (v->tx_published != v->tx_cons) {
        v->tx_published = v->tx_cons;
        tell = ring_publish(&v->tx->slot_cons, &v->tx->cons_event, v->tx_cons);
    }
    if (v->ref_published != v->ref_prod) {
        v->ref_published = v->ref_prod;
        tell |= ring_publish(&v->tx->ref_prod, &v->tx->ref_event, v->ref_prod);
    }
    if (v->ext_published != v->ext_prod) {
        v->ext_published = v->ext_prod;
        tell |= ring_publish(&v->tx->ext_prod, &v->tx->ext_event, v->ext_prod);
    }
    if (tell)
        loop_send_last(v->tx_port);
}
