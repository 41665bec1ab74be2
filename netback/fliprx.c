/* SPDX-License-Identifier: MIT */
/*
 * fliprx.c - bridge to guest over the flip channel.
 *
 * The head of a frame is written into the guest's ring at once, its payload is queued: pages are flipped or copied, to
 * the guest's own offers. The slots are published in the flush, when all that is done. A frame whose payload could not
 * be brought is marked as lost, and brings its pages back as they are.
 */
#include "netback/exchange.h"
#include "netback/flip.h"
#include "netback/rxpool.h"
#include "lib/string.h"
#include "runtime/ring.h"

/* How a frame is laid out in slot and pages. */
struct layout {
    unsigned int inline_len;
    unsigned int extra;         /* bytes of the head that go into pages */
    unsigned int pages;
    bool in_place;              /* each fragment keeps its place in a page of its own */
    bool received;              /* and so do the pieces of a frame of rxpool.h */
};

static void lay_out(struct layout *l, const struct frame *f)
{
    l->inline_len = MIN((unsigned int)f->head_len, NETFLIP_INLINE_MAX);
    l->extra = f->head_len - l->inline_len;
    l->in_place = f->nr_frags && f->frags[0].kind == FRAG_GRANT && f->frags[0].offset >= l->extra &&
                  f->nr_frags <= NETFLIP_FRAGS_MAX;
    l->pages = l->in_place ? f->nr_frags
                           : (f->len - l->inline_len + (unsigned int)PAGE_SIZE - 1) / PAGE_SIZE;
    l->received = rx_frame_is(f) && f->nr_frags < NETFLIP_FRAGS_MAX &&
                  (f->nr_frags || ((f->flags & FRAME_FLIP) && rx_piece_flips(f)));
    if (l->received)
        l->pages = f->nr_frags + (l->extra ? 1u : 0u);
}

/* Room ------------------------------------------------------------------------------------- */

static bool room_now(struct vif_flip *v, unsigned int slots, unsigned int refs)
{
    return v->rx_prod + slots - v->rx_cons <= NETFLIP_SLOTS && v->rx_ref_prod - v->rx_ref_cons >= refs;
}

/* Reads what the guest has done meanwhile. */
static bool look_again(struct vif_flip *v, unsigned int slots, unsigned int refs)
{
    uint32_t cons = load_acquire(&v->rx->slot_cons), prod = load_acquire(&v->rx->ref_prod);

    /* It cannot have taken what was not published, nor offer more than there is room for. */
    if (v->rx_published - cons > NETFLIP_SLOTS || prod - v->rx_ref_cons > NETFLIP_REFS) {
        vif_fail(v->vif, "flip rx taken %u of %u, offers %u, used %u", cons, v->rx_published, prod,
                 v->rx_ref_cons);
        return false;
    }
    v->rx_cons = cons;
    v->rx_ref_prod = prod;
    return room_now(v, slots, refs);
}

bool flip_has_room(struct vif_flip *v, unsigned int slots, unsigned int refs)
{
    if (likely(room_now(v, slots, refs)))
        return true;
    if (look_again(v, slots, refs))
        return true;
    if (v->vif->failed)
        return false;
    v->rx->cons_event = v->rx_prod + slots - NETFLIP_SLOTS;
    v->rx->ref_event = v->rx_ref_cons + refs;
    smp_mb();
    return look_again(v, slots, refs);
}

bool flip_has_extent(struct vif_flip *v)
{
    uint32_t prod;

    if (likely(v->rx_ext_prod != v->rx_ext_cons) || !v->extents)
        return v->extents;
    prod = load_acquire(&v->rx->ext_prod);
    if (prod - v->rx_ext_cons > NETFLIP_EXTENTS) {
        vif_fail(v->vif, "flip rx extents %u, used %u", prod, v->rx_ext_cons);
        return false;
    }
    v->rx_ext_prod = prod;
    return prod != v->rx_ext_cons;
}

bool flip_rx_has_room(struct vif_flip *v)
{
    return flip_has_room(v, 1, 0);
}

/* Frames ----------------------------------------------------------------------------------- */

static uint8_t flags_of(const struct frame *f)
{
    uint8_t flags = 0;

    if (f->flags & FRAME_CSUM_BLANK)
        flags = NETFLIP_CSUM_BLANK;
    else if (f->flags & FRAME_CSUM_VALID)
        flags = NETFLIP_CSUM_VALID;
    if (f->gso != GSO_NONE)
        flags |= f->gso == GSO_TCPV4 ? NETFLIP_GSO_TCPV4 : NETFLIP_GSO_TCPV6;
    return flags;
}

/* Brings one page of a frame: the reference it is in, and where. */
static void bring(struct vif_flip *v, struct frame *f, const struct layout *l, unsigned int i,
                  struct frame_cursor *c, struct netflip_frag *to, uint8_t *failed)
{
    domid_t dom = v->vif->dom;
    const struct frag *g = &f->frags[i];
    unsigned int extra = i ? 0 : l->extra;

    to->ref = READ_ONCE(v->rx->ref[v->rx_ref_cons++ % NETFLIP_REFS]);
    if (!l->in_place) {
        unsigned int left = f->len - l->inline_len - i * (unsigned int)PAGE_SIZE;

        to->offset = 0;
        to->len = (uint16_t)MIN(left, (unsigned int)PAGE_SIZE);
        frame_copy_ref(c, dom, to->ref, 0, to->len, failed);
        return;
    }
    to->offset = (uint16_t)(g->offset - extra);
    to->len = (uint16_t)(g->len + extra);
    if ((f->flags & FRAME_FLIP) && !extra && g->len >= FLIP_MIN) {
        exchange_add(g, dom, to->ref, failed);
        return;
    }
    if (extra || i == 0)
        frame_seek(c, f, l->inline_len);
    else
        *c = (struct frame_cursor){ .f = f, .piece = i + 1, .at = 0 };
    frame_copy_ref(c, dom, to->ref, to->offset, to->len, failed);
}

/* The same for a piece of a received frame, from byte `at` of it. */
static void bring_piece(struct vif_flip *v, struct frame *piece, unsigned int at, bool flip,
                        struct netflip_frag *to, uint8_t *failed)
{
    domid_t dom = v->vif->dom;

    to->ref = READ_ONCE(v->rx->ref[v->rx_ref_cons++ % NETFLIP_REFS]);
    to->len = (uint16_t)(piece->head_len - at);
    if (flip && rx_piece_flips(piece)) {
        struct frag own = { .dom = DOMID_SELF, .len = to->len };

        own.ref = rx_piece_offer(piece, at, &own.offset);
        to->offset = own.offset;
        exchange_add(&own, dom, to->ref, failed);
    } else {
        struct gnttab_copy *op = copy_add(failed);

        frame_copy_head(&op->source, piece, at);
        to->offset = op->source.offset;
        grant_copy_ref(&op->dest, dom, to->ref, to->offset);
        op->len = to->len;
        op->flags = GNTCOPY_dest_gref;
    }
}

static void bring_pages(struct vif_flip *v, struct frame *f, const struct layout *l,
                        struct netflip_head *h)
{
    struct netflip_frag *to = (void *)(h->data + ((l->inline_len + 7u) & ~7u));
    struct flip_packet *p = &v->packets[v->nr_packets++];
    unsigned int here = netflip_head_frags(l->inline_len);
    struct frame *piece = f;
    struct frame_cursor c;

    frame_get(f);
    p->frame = f;
    p->slot = (uint16_t)(h - v->rx_slot);
    p->failed = 0;
    if (l->received)
        piece = l->extra ? f : rx_frame_next(f, f);
    else if (!l->in_place)
        frame_seek(&c, f, l->inline_len);
    for (unsigned int i = 0; i < l->pages; i++) {
        struct netflip_frag g;

        if (!here--) {
            to = (void *)&v->rx_slot[v->rx_prod++ % NETFLIP_SLOTS];
            here = NETFLIP_FRAGS_PER_SLOT - 1;
        }
        if (l->received) {
            bring_piece(v, piece, piece == f ? l->inline_len : 0, f->flags & FRAME_FLIP, &g, &p->failed);
            piece = rx_frame_next(f, piece);
        } else {
            bring(v, f, l, i, &c, &g, &p->failed);
        }
        *to++ = g;
    }
}

bool flip_send(struct port *port, struct frame *f)
{
    struct vif_flip *v = container_of(port, struct vif, port)->flip;
    struct netflip_head *h;
    struct layout l;

    lay_out(&l, f);
    if (unlikely(v->vif->failed) || l.pages > NETFLIP_FRAGS_MAX ||
        !flip_has_room(v, netflip_slots(l.inline_len, l.pages), l.pages))
        return false;
    h = &v->rx_slot[v->rx_prod++ % NETFLIP_SLOTS];
    h->len = f->len;
    h->inline_len = (uint8_t)l.inline_len;
    h->nr_frags = (uint8_t)l.pages;
    h->gso_size = f->gso_size;
    h->flags = flags_of(f);
    h->zero = 0;
    memcpy(h->data, f->head, l.inline_len);
    if (l.pages) {
        bring_pages(v, f, &l, h);
    } else {
        v->frames++;
        v->bytes += f->len;
    }
    return true;
}

static void rx_flush(struct vif_flip *v)
{
    struct port_stats *s = &v->vif->port.stats;

    for (unsigned int i = 0; i < v->nr_packets; i++) {
        struct flip_packet *p = &v->packets[i];

        if (unlikely(p->failed)) {
            v->rx_slot[p->slot].flags |= NETFLIP_LOST;
            port_count_rx_drop(p->frame->from, DROP_COPY);
        } else {
            s->tx_frames++;
            s->tx_bytes += p->frame->len;
        }
        frame_put(p->frame);
    }
    v->nr_packets = 0;
    s->tx_frames += v->frames;
    s->tx_bytes += v->bytes;
    v->frames = v->bytes = 0;
    if (v->vif->failed || v->rx_published == v->rx_prod)
        return;
    v->rx_published = v->rx_prod;
    if (ring_publish(&v->rx->slot_prod, &v->rx->slot_event, v->rx_prod))
        loop_send_last(v->rx_port);
}

/* Receiving side first: letting go of its frames gives pages back, maybe in this very vif. */
void flip_flush(struct port *p)
{
    struct vif_flip *v = container_of(p, struct vif, port)->flip;

    rx_flush(v);
    if (!v->vif->failed)
        flip_tx_flush(v);
}
