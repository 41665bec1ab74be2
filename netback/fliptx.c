/* SPDX-License-Identifier: MIT */
/*
 * fliptx.c - guest to bridge over the flip channel.
 *
 * A slot is read once. A frame whose receiver has a flip channel too, and room, is written into that ring as soon as the
 * filter has seen our copy of it (forward): no struct frame, its pages queued to be flipped. Every other becomes a
 * struct frame and goes through the bridge, in groups; a group is handed over before the next frame that takes the
 * short way, so that all stay in order.
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
#define SHORT_HEAD      64      /* bytes that are always copied */

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
        for (unsigned int i = 0; i < f->nr_frags; i++)
            v->tx->ref[v->ref_prod++ % NETFLIP_REFS] = f->frags[i].ref;
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

/*
 * The fragments of the frame that begins at tx_cons, behind the head or in slots that follow. Returns how many slots the
 * frame has, 0: the vif has failed. tx_cons stays.
 */
static unsigned int read_frags(struct vif_flip *v, uint32_t prod, union first_word h,
                               const struct netflip_head *slot, struct netflip_frag *to)
{
    const struct netflip_frag *from = (const void *)(slot->data + ((h.inline_len + 7u) & ~7u));
    unsigned int here = netflip_head_frags(h.inline_len), sum = h.inline_len, slots = 1;

    for (unsigned int i = 0; i < h.nr_frags; i++, to++) {
        if (unlikely(!here--)) {
            if (v->tx_cons + slots == prod) {
                vif_fail(v->vif, "flip tx fragments without end");
                return 0;
            }
            from = (const void *)&v->tx_slot[(v->tx_cons + slots++) % NETFLIP_SLOTS];
            here = NETFLIP_FRAGS_PER_SLOT - 1;
        }
        ring_copy_in(to, from++, sizeof(*to));
        if (unlikely(!to->len || to->len > PAGE_SIZE || to->offset > PAGE_SIZE - to->len)) {
            vif_fail(v->vif, "flip tx fragment of %u bytes at %u", to->len, to->offset);
            return 0;
        }
        sum += to->len;
    }
    if (likely(sum == h.len))
        return slots;
    vif_fail(v->vif, "flip tx frame of %u bytes has %u", h.len, sum);
    return 0;
}

/* The frame as a struct, for the bridge. */
static struct frame *make_frame(struct vif_flip *v, union first_word h, struct start st,
                                const struct netflip_head *slot, const struct netflip_frag *frags,
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
    f->nr_frags = h.nr_frags;
    for (unsigned int i = 0; i < h.nr_frags; i++)
        f->frags[i] = (struct frag){ .kind = FRAG_GRANT, .dom = v->vif->dom, .ref = frags[i].ref,
                                     .offset = frags[i].offset, .len = frags[i].len };
    return f;
}

/* The bridge ------------------------------------------------------------------------------- */

#define MAC_MASK 0xffffffffffffUL

static inline uint64_t source_and_type(struct start st)
{
    return st.w1 >> 48 | st.w2 << 16;
}

/* The flip channel that has the station with this address; else NULL. */
static struct vif_flip *find_target(struct vif_flip *v, struct start st, uint64_t now)
{
    struct port *to = bridge_unicast(&v->vif->port, (const uint8_t *)&st.w1, now);

    v->to_key = st.w1 & MAC_MASK;
    v->to_changes = bridge_changes;
    v->to = to && to->send == flip_send ? container_of(to, struct vif, port)->flip : NULL;
    return v->to;
}

static inline struct vif_flip *target(struct vif_flip *v, struct start st, uint64_t now)
{
    if (likely(v->to_key == (st.w1 & MAC_MASK) && v->to_changes == bridge_changes))
        return v->to;
    return find_target(v, st, now);
}

/* What a frame with these flags needs of its receiver's port. */
static uint32_t caps_needed(uint8_t flags)
{
    uint32_t caps = 0;

    if (flags & NETFLIP_CSUM_BLANK)
        caps |= PORT_CSUM | PORT_CSUM6;
    if (flags & NETFLIP_GSO_TCPV4)
        caps |= PORT_TSO4;
    if (flags & NETFLIP_GSO_TCPV6)
        caps |= PORT_TSO6;
    return caps;
}

/* Can each page be flipped for what is in it? */
static bool worth_flipping(const struct netflip_frag *frags, unsigned int n)
{
    for (unsigned int i = 0; i < n; i++) {
        if (frags[i].len < FLIP_MIN)
            return false;
    }
    return true;
}

/* Fragments for slots of the receiver, laid out as in the sender's; each page is queued to be flipped. */
static void forward_frags(struct vif_flip *v, struct vif_flip *to, union first_word h,
                          const struct netflip_frag *g, struct netflip_head *head)
{
    struct netflip_frag *out = (void *)(head->data + ((h.inline_len + 7u) & ~7u));
    unsigned int here = netflip_head_frags(h.inline_len);

    for (unsigned int i = 0; i < h.nr_frags; i++, g++) {
        grant_ref_t ref = READ_ONCE(to->rx->ref[to->rx_ref_cons++ % NETFLIP_REFS]);

        if (unlikely(!here--)) {
            out = (void *)&to->rx_slot[to->rx_prod++ % NETFLIP_SLOTS];
            here = NETFLIP_FRAGS_PER_SLOT - 1;
        }
        *out++ = (struct netflip_frag){ ref, g->offset, g->len };
        exchange_add_direct(v, g->ref, g->offset, g->len, to->vif->dom, ref, head);
    }
}

/*
 * The short way, from ring to ring. The bytes that decide where the frame goes and whether it passes have been read once,
 * and are what is delivered; the rest of the head goes straight over. (The receiver could change what lies in its
 * ring, but only for itself.) False: it must go the long way; nothing has happened.
 */
static __always_inline bool forward(struct vif_flip *v, struct vif_flip *to, union first_word h,
                                    struct start st, const struct netflip_head *from,
                                    unsigned int slots, const struct netflip_frag *frags)
{
    struct port *port = &to->vif->port;
    uint64_t *out;

    if (unlikely(source_and_type(st) != v->plain) || unlikely(!v->plain) ||
        unlikely(!port->up || !list_empty(&port->waiting) || to->vif->failed) ||
        (h.flags && (caps_needed(h.flags) & ~port->caps)))
        return false;
    if (h.nr_frags && ((h.flags & NETFLIP_COPY) || !worth_flipping(frags, h.nr_frags) ||
                       (h.len > port->mtu + 18u &&
                        !(h.flags & (NETFLIP_GSO_TCPV4 | NETFLIP_GSO_TCPV6)))))
        return false;
    if (unlikely(to->rx_prod + slots - to->rx_cons > NETFLIP_SLOTS ||
                 to->rx_ref_prod - to->rx_ref_cons < h.nr_frags) &&
        !flip_has_room(to, slots, h.nr_frags))
        return false;
    h.flags &= NETFLIP_CSUM_BLANK | NETFLIP_CSUM_VALID | NETFLIP_GSO_TCPV4 | NETFLIP_GSO_TCPV6;
    h.zero = 0;
    out = (uint64_t *)(void *)&to->rx_slot[to->rx_prod++ % NETFLIP_SLOTS];
    out[0] = h.w;
    out[1] = st.w1;
    out[2] = st.w2;
    __builtin_memcpy(out + 3, from->data + 16, SHORT_HEAD - 16);
    if (h.inline_len > SHORT_HEAD)
        __builtin_memcpy(out + 1 + SHORT_HEAD / 8, from->data + SHORT_HEAD,
                         NETFLIP_INLINE_MAX - SHORT_HEAD);
    if (h.nr_frags)
        forward_frags(v, to, h, frags, (struct netflip_head *)(void *)out);
    to->frames++;
    to->bytes += h.len;
    v->short_frames++;
    v->short_bytes += h.len;
    if (list_empty(&port->touched))
        port_touch(port);
    return true;
}

/*
 * The same for frames in a row that are all head, plain, and for the channel that the last one went to: what does not
 * change from one to the next is looked at once. Returns how many there were; whatever ends the row goes the way
 * that every frame can go.
 */
static unsigned int forward_row(struct vif_flip *v, uint32_t prod, unsigned int most)
{
    const uint64_t key = v->to_key, plain = v->plain;
    struct vif_flip *to = v->to;
    uint32_t cons = v->tx_cons, next, end, bytes = 0;
    unsigned int n;

    if (v->to_changes != bridge_changes || !to || !plain || v->vif->rate.per_second ||
        !to->vif->port.up || to->vif->failed || !list_empty(&to->vif->port.waiting))
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
            (h.w >> 48 & ~(uint64_t)NETFLIP_CSUM_VALID) || (st.w1 & MAC_MASK) != key ||
            source_and_type(st) != plain)
            break;
        out[0] = h.w & ~0xffff00000000UL;       /* gso_size */
        out[1] = st.w1;
        out[2] = st.w2;
        __builtin_memcpy(out + 3, from->data + 16, SHORT_HEAD - 16);
        if (h.len > SHORT_HEAD)
            __builtin_memcpy(out + 1 + SHORT_HEAD / 8, from->data + SHORT_HEAD,
                             NETFLIP_INLINE_MAX - SHORT_HEAD);
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
static bool rate_allows(struct vif_flip *v, uint64_t now)
{
    uint64_t wait = rate_wait(&v->vif->rate, now);

    if (wait)
        timer_set(&v->rate_timer, now + wait);
    return !wait;
}

static enum stop take_frames(struct vif_flip *v, struct group *g)
{
    uint32_t prod = ring_read_prod(&v->tx->slot_prod);
    struct vif *vif = v->vif;
    uint64_t now = now_ns();

    if (unlikely(prod - v->tx_cons > NETFLIP_SLOTS)) {
        vif_fail(vif, "flip tx producer %u, taken %u", prod, v->tx_cons);
        return STOP_LATER;
    }
    for (unsigned int taken = 0; v->tx_cons != prod; taken++) {
        const struct netflip_head *slot = &v->tx_slot[v->tx_cons % NETFLIP_SLOTS];
        const uint64_t *word = (const uint64_t *)(const void *)slot;
        union first_word h = { .w = READ_ONCE(word[0]) };
        struct start st = { READ_ONCE(word[1]), READ_ONCE(word[2]) };
        struct netflip_frag frags[NETFLIP_FRAGS_MAX];
        struct flip_frame *ff;
        struct vif_flip *to;
        unsigned int slots = 1;

        if (taken == FLIP_BUDGET)
            return STOP_BUDGET;
        if (!h.nr_frags && !g->n) {
            unsigned int row = forward_row(v, prod, FLIP_BUDGET - taken);

            if (row) {
                taken += row - 1;
                continue;
            }
        }
        if (unlikely(vif->rate.per_second) && !rate_allows(v, now))
            return STOP_LATER;
        if (unlikely(!first_is_sane(v, h)))
            return STOP_LATER;
        if (h.nr_frags)
            slots = read_frags(v, prod, h, slot, frags);
        if (unlikely(!slots))
            return STOP_LATER;
        to = target(v, st, now);
        if (to) {
            if (g->n)
                hand_over(v, g);        /* what came before must not be overtaken */
            if (forward(v, to, h, st, slot, slots, frags)) {
                v->tx_cons += slots;
                rate_charge(&vif->rate, h.len);
                continue;
            }
        }
        ff = frame_get_free(v);
        if (unlikely(!ff)) {
            if (v->nr_frames < FLIP_FRAMES_MAX)
                timer_set(&v->rate_timer, now + MEMORY_RETRY);
            return STOP_LATER;
        }
        v->tx_cons += slots;
        rate_charge(&vif->rate, h.len);
        judge(v, make_frame(v, h, st, slot, frags, ff), g);
    }
    return STOP_EMPTY;
}

void flip_tx_work(struct work *w)
{
    struct vif_flip *v = container_of(w, struct vif_flip, tx_work);
    struct group g = { .n = 0 };
    enum stop stop;

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
    if (tell)
        event_send(v->tx_port);
}
