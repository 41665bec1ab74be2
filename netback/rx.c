/* SPDX-License-Identifier: MIT */
/*
 * rx.c - bridge to guest.
 *
 * A frame takes as many of the guest's slots as it has pages; head and fragments are copied into
 * the granted pages. Answers are written into the ring as slots are taken and published in the
 * flush, when all copies are done: a grant must not be in use any more when its answer is seen.
 *
 * Answers go in the order of the requests and never carry a negative status: not every frontend
 * copes with either. So the slots of a packet that could not be copied carry frames that every
 * guest ignores.
 */
#include "netback/copy.h"
#include "netback/headers.h"
#include "netback/transfer.h"
#include "netback/vif.h"
#include "atomic.h"
#include "lib/string.h"
#include "runtime/mem.h"
#include "runtime/ring.h"

#define NULL_FRAME_LEN 60
#define ETH_P_EXPERIMENTAL 0x88b5       /* IEEE 802: "local experimental" */

/* How a frame is spread over slots. */
struct layout {
    unsigned int slots;         /* with data; a segmentation slot comes on top */
    unsigned int extra;         /* 0 or 1 of those */
    bool in_place;              /* fragments keep their place in the page, one slot each */
    bool head_alone;            /* in_place: no room for head before the first fragment */
};

/*
 * Packed from offset 0 is what every frontend takes. Those that take big frames honour offsets
 * too; for them each fragment stays in a page of its own, so that it is one copy and not two.
 */
static void lay_out(struct layout *l, const struct frame *f, uint32_t caps)
{
    l->slots = (f->len + (unsigned int)PAGE_SIZE - 1) / (unsigned int)PAGE_SIZE;
    l->extra = f->gso != GSO_NONE;
    l->in_place = false;
    l->head_alone = false;
    if (l->slots == 1 || !f->nr_frags || f->frags[0].kind != FRAG_GRANT ||
        !(caps & (PORT_TSO4 | PORT_TSO6)))
        return;
    l->head_alone = f->frags[0].offset < f->head_len;
    l->in_place = f->nr_frags + l->head_alone <= VIF_PACKET_SLOTS;
    if (l->in_place)
        l->slots = f->nr_frags + l->head_alone;
}

/* Where slot i of a frame begins and how much is in it, when fragments keep their places. */
static unsigned int place(const struct layout *l, const struct frame *f, unsigned int i,
                          unsigned int *offset)
{
    if (i == 0) {
        *offset = l->head_alone ? 0 : f->frags[0].offset - f->head_len;
        return f->head_len + (l->head_alone ? 0 : f->frags[0].len);
    }
    i -= l->head_alone;
    *offset = f->frags[i].offset;
    return f->frags[i].len;
}

/* n slots are there. Or not: then we hear of it when they are. */
static bool has_room(struct vif_queue *q, unsigned int n)
{
    uint32_t prod = ring_read_prod(&q->rx->req_prod);

    if (likely(prod - q->rx_cons >= n && prod - q->rx_cons <= VIF_SLOTS))
        return true;
    q->rx->req_event = q->rx_cons + n;
    smp_mb();
    prod = ring_read_prod(&q->rx->req_prod);
    /* What was taken is answered within this turn, so a whole ring of requests is the most. */
    if (prod - q->rx_cons > VIF_SLOTS) {
        vif_fail(q->vif, "rx producer %u, taken %u", prod, q->rx_cons);
        return false;
    }
    return prod - q->rx_cons >= n;
}

bool vif_rx_has_room(struct vif_queue *q)
{
    return has_room(q, 1);
}

/* Takes the next request; what it said stays in rx_id and rx_ref. Returns its slot. */
static unsigned int take_slot(struct vif_queue *q)
{
    unsigned int at = q->rx_cons++ % VIF_SLOTS;
    struct netif_rx_request req;

    ring_copy_in(&req, &q->rx->ring[at].req, sizeof(req));
    q->rx_id[at] = req.id;
    q->rx_ref[at] = req.gref;
    return at;
}

static void answer(struct vif_queue *q, unsigned int at, uint16_t flags, unsigned int offset,
                   unsigned int len)
{
    q->rx->ring[at].rsp = (struct netif_rx_response){ .id = q->rx_id[at], .flags = flags,
                                                      .offset = (uint16_t)offset,
                                                      .status = (int16_t)len };
}

static void answer_gso(struct vif_queue *q, unsigned int at, const struct frame *f)
{
    struct netif_extra_info e = { .type = XEN_NETIF_EXTRA_TYPE_GSO };

    e.u.gso.size = f->gso_size;
    e.u.gso.type = f->gso == GSO_TCPV4 ? XEN_NETIF_GSO_TYPE_TCPV4 : XEN_NETIF_GSO_TYPE_TCPV6;
    memcpy(&q->rx->ring[at], &e, sizeof(e));
}

static uint16_t first_flags(const struct frame *f)
{
    uint16_t flags = 0;

    if (f->flags & FRAME_CSUM_BLANK)
        flags = NETRXF_csum_blank | NETRXF_data_validated;
    else if (f->flags & FRAME_CSUM_VALID)
        flags = NETRXF_data_validated;
    if (f->gso != GSO_NONE)
        flags |= NETRXF_extra_info;
    return flags;
}

/*
 * The same for a frontend that takes pages instead of copies: one page, since none of those takes more, which the
 * payload is copied into and which is given away in the flush.
 */
static bool send_classic(struct vif_queue *q, struct frame *f)
{
    struct vif_rx_packet *p = &q->packets[q->nr_packets];
    struct transfer *t = &q->rx_give[q->nr_give];
    struct frame_cursor c;
    unsigned int at;
    void *page;

    if (f->len > PAGE_SIZE || q->nr_packets == VIF_SLOTS || !has_room(q, 1))
        return false;
    page = page_alloc();
    if (!page)
        return false;
    at = take_slot(q);
    frame_get(f);
    *p = (struct vif_rx_packet){ .frame = f, .first = (uint16_t)at, .nr_slots = 1 };
    q->nr_packets++;
    q->nr_give++;
    *t = (struct transfer){ .page = page, .len = f->len, .ref = q->rx_ref[at] };
    frame_seek(&c, f, 0);
    frame_copy_own(&c, page, f->len, &p->failed);
    answer(q, at, first_flags(f), 0, f->len);
    return true;
}

bool vif_rx_send(struct vif_queue *q, struct frame *f)
{
    struct vif_rx_packet *p = &q->packets[q->nr_packets];
    uint16_t flags = first_flags(f);
    unsigned int left = f->len;
    struct frame_cursor c;
    struct layout l;

    if (q->rx_give)
        return send_classic(q, f);
    lay_out(&l, f, q->vif->port.caps);
    if (q->nr_packets == VIF_SLOTS || !has_room(q, l.slots + l.extra))
        return false;
    frame_get(f);
    *p = (struct vif_rx_packet){ .frame = f, .first = q->rx_cons % VIF_SLOTS,
                                 .nr_slots = (uint8_t)(l.slots + l.extra) };
    q->nr_packets++;
    frame_seek(&c, f, 0);
    for (unsigned int i = 0; i < l.slots; i++) {
        unsigned int at = take_slot(q), offset = 0, len = MIN(left, (unsigned int)PAGE_SIZE);

        if (l.in_place)
            len = place(&l, f, i, &offset);
        frame_copy_ref(&c, q->vif->dom, q->rx_ref[at], offset, len, &p->failed);
        left -= len;
        answer(q, at, (uint16_t)(flags | (left ? NETRXF_more_data : 0)), offset, len);
        if (flags & NETRXF_extra_info)
            answer_gso(q, take_slot(q), f);
        flags = 0;
    }
    return true;
}

/* The slots of a packet that could not be copied become frames that mean nothing. */
static void blank_out(struct vif_queue *q, const struct vif_rx_packet *p)
{
    static uint8_t null_frame[64] __aligned(64);
    uint8_t failed = 0;

    memcpy(null_frame, q->vif->port.mac, 6);
    memcpy(null_frame + 6, q->vif->port.mac, 6);
    null_frame[6] ^= 2;                 /* locally administered: nobody's */
    put_be16(null_frame + 12, ETH_P_EXPERIMENTAL);
    for (unsigned int i = 0; i < p->nr_slots; i++) {
        unsigned int at = (p->first + i) % VIF_SLOTS;
        struct gnttab_copy *op = copy_add(&failed);

        grant_copy_own(&op->source, null_frame);
        grant_copy_ref(&op->dest, q->vif->dom, q->rx_ref[at], 0);
        op->len = NULL_FRAME_LEN;
        op->flags = GNTCOPY_dest_gref;
        answer(q, at, 0, 0, NULL_FRAME_LEN);
    }
    copy_run();
    if (failed)
        vif_fail(q->vif, "rx slot %u: its grant cannot be written to", p->first);
    else
        port_count_rx_drop(p->frame->from, DROP_COPY);
}

/* Pages leave us, in the order of the packets. One whose contents did not come carries a frame of zeros. */
static void give_pages(struct vif_queue *q)
{
    unsigned int n = q->nr_give;

    q->nr_give = 0;
    for (unsigned int i = 0; i < n; i++) {
        if (unlikely(q->packets[i].failed))
            q->rx_give[i].len = 0;
    }
    transfer_pages(q->vif->dom, q->rx_give, n);
    for (unsigned int i = 0; i < n; i++) {
        if (unlikely(q->rx_give[i].failed)) {
            vif_fail(q->vif, "rx slot %u: its grant takes no page", q->packets[i].first);
            return;
        }
    }
}

void vif_rx_flush(struct vif_queue *q)
{
    struct port *port = &q->vif->port;
    unsigned int n = q->nr_packets;

    if (!n)
        return;
    q->nr_packets = 0;
    if (q->rx_give)
        give_pages(q);
    for (unsigned int i = 0; i < n; i++) {
        struct vif_rx_packet *p = &q->packets[i];

        if (unlikely(p->failed) && !q->vif->failed && !q->rx_give)
            blank_out(q, p);
        if (!p->failed) {
            port->stats.tx_frames++;
            port->stats.tx_bytes += p->frame->len;
        }
        frame_put(p->frame);
    }
    if (q->vif->failed)
        return;
    q->rx_published = q->rx_cons;
    if (!ring_publish(&q->rx->rsp_prod, &q->rx->rsp_event, q->rx_cons))
        return;
    if (q->tx_owed)
        vif_tx_tell_along(q);
    loop_send_last(q->rx_port);
}
