/* SPDX-License-Identifier: MIT */
/*
 * standard.c - the protocol of <xen/io/netif.h>, with copying on receive.
 *
 * A frame that is sent is a slot for its head, which lies in a page of small buffers that stays granted, and
 * one for each fragment. A frame that comes lies in pages; its first bytes are copied out as head.
 */
#include "netfront/extent.h"

#define SLOTS       256u
#define HEADS_PAGE  (PAGE_SIZE / 128)
#define NO_PAGE     0xffffu             /* in tx_page: a head */
#define NOT_SENT    0xfffeu             /* in tx_page: the id is free */
#define CHAIN_MAX   (NETFRONT_FRAGS_MAX + 1)

static int heads_init(struct netfront *nf)
{
    struct netfront_standard *s = &nf->std;

    for (unsigned int i = 0; i < ARRAY_SIZE(s->head_page); i++) {
        int page = netfront_page_get(nf);

        if (page < 0)
            return -XEN_ENOMEM;
        s->head_page[i] = (uint16_t)page;
        page_offer(nf, (unsigned int)page, GTF_permit_access | GTF_readonly, PAGE_TX);
    }
    for (unsigned int i = SLOTS; i-- > 0;) {
        s->tx_page[i] = NOT_SENT;
        s->free_id[s->nr_free_ids++] = (uint16_t)i;
    }
    return 0;
}

static int standard_connect(struct netfront *nf)
{
    struct netfront_standard *s = &nf->std;
    const char *path = nf->dev.path;
    int rc;

    *s = (struct netfront_standard){ 0 };
    s->tx = netfront_share(nf, 0, 1, 0);
    s->rx = netfront_share(nf, 1, 1, 0);
    if (!s->tx || !s->rx)
        return -XEN_ENOMEM;
    s->tx->req_event = s->rx->req_event = s->rx->rsp_event = 1;
    s->tx->rsp_event = 0;
    rc = heads_init(nf);
    /* Of a connection before this one, perhaps. */
    (void)xs_printf(XS_NO_TXN, path, "request-sluice-flip", "0");
    if (!rc)
        rc = xs_printf(XS_NO_TXN, path, "tx-ring-ref", "%u", nf->shared[0].ref[0]);
    if (!rc)
        rc = xs_printf(XS_NO_TXN, path, "rx-ring-ref", "%u", nf->shared[1].ref[0]);
    return rc;
}

/* Sending ---------------------------------------------------------------------------------- */

/* False: it is no answer to anything. */
static bool take_answer(struct netfront *nf, const struct netif_tx_response *rsp)
{
    struct netfront_standard *s = &nf->std;
    uint16_t page;

    if (rsp->status == NETIF_RSP_NULL)      /* a slot of extra info */
        return s->nr_extras && s->nr_extras--;
    if (unlikely(rsp->id >= SLOTS || s->tx_page[rsp->id] == NOT_SENT))
        return false;
    page = s->tx_page[rsp->id];
    s->tx_page[rsp->id] = NOT_SENT;
    s->free_id[s->nr_free_ids++] = rsp->id;
    if (page != NO_PAGE && page_take(nf, page, &nf->stats.tx_flipped, &nf->stats.tx_copied))
        page_free_to(nf, page);
    return true;
}

static void standard_reap(struct netfront *nf, bool arm)
{
    struct netfront_standard *s = &nf->std;
    uint32_t prod;

    do {
        prod = ring_read_prod(&s->tx->rsp_prod);
        if (unlikely(prod - s->tx_cons > s->tx_prod - s->tx_cons)) {
            netfront_fault(nf, "it answers more than it was sent");
            return;
        }
        while (s->tx_cons != prod) {
            struct netif_tx_response rsp;

            ring_copy_in(&rsp, &s->tx->ring[s->tx_cons++ % SLOTS].rsp, sizeof(rsp));
            if (unlikely(!take_answer(nf, &rsp))) {
                netfront_fault(nf, "it answers what it was not sent");
                return;
            }
        }
        /* Nobody needs waking for what is looked at before the next frame anyway. */
        s->tx->rsp_event = arm ? s->tx_cons + 1 : s->tx_cons;
        smp_mb();
    } while (arm && ring_read_prod(&s->tx->rsp_prod) != s->tx_cons);
}

static struct netif_tx_request *next_slot(struct netfront *nf, grant_ref_t ref, unsigned int offset,
                                          unsigned int size, uint16_t page)
{
    struct netfront_standard *s = &nf->std;
    struct netif_tx_request *r = &s->tx->ring[s->tx_prod++ % SLOTS].req;
    uint16_t id = s->free_id[--s->nr_free_ids];

    s->tx_page[id] = page;
    *r = (struct netif_tx_request){ .gref = ref, .offset = (uint16_t)offset, .id = id,
                                    .size = (uint16_t)size };
    return r;
}

static bool standard_send(struct netfront *nf, const struct netfront_frame *f)
{
    struct netfront_standard *s = &nf->std;
    unsigned int need = 2u + f->nr_frags;
    struct netif_tx_request *r;
    unsigned int id, page, at;

    if (unlikely(nf->nr_pages > NETFRONT_PAGES) && extent_has_none(nf, f))
        return netfront_sent(nf, f);
    if (s->nr_free_ids < need || s->tx_prod - s->tx_cons > SLOTS - need)
        standard_reap(nf, false);
    if (s->nr_free_ids < need || s->tx_prod - s->tx_cons > SLOTS - need) {
        standard_reap(nf, true);
        return netfront_no_room(nf);
    }
    id = s->free_id[s->nr_free_ids - 1];
    page = s->head_page[id / HEADS_PAGE];
    at = id % HEADS_PAGE * 128;
    memcpy((uint8_t *)page_at(nf, page) + at, f->head, f->head_len);
    r = next_slot(nf, nf->first_ref + page, at, f->len, NO_PAGE);
    r->flags = f->nr_frags ? NETTXF_more_data : 0;
    if (f->flags & NETFRONT_CSUM_BLANK)
        r->flags |= NETTXF_csum_blank | NETTXF_data_validated;
    else if (f->flags & NETFRONT_CSUM_VALID)
        r->flags |= NETTXF_data_validated;
    if (f->flags & (NETFRONT_GSO_TCPV4 | NETFRONT_GSO_TCPV6)) {
        struct netif_extra_info *e = (void *)&s->tx->ring[s->tx_prod++ % SLOTS];

        s->nr_extras++;
        r->flags |= NETTXF_extra_info;
        *e = (struct netif_extra_info){ .type = XEN_NETIF_EXTRA_TYPE_GSO };
        e->u.gso.size = f->gso_size;
        e->u.gso.type = f->flags & NETFRONT_GSO_TCPV4 ? XEN_NETIF_GSO_TYPE_TCPV4
                                                      : XEN_NETIF_GSO_TYPE_TCPV6;
    }
    for (unsigned int i = 0; i < f->nr_frags; i++) {
        const struct netfront_frag *g = &f->frag[i];

        page_offer(nf, g->page, GTF_permit_access | GTF_readonly, PAGE_TX);
        r = next_slot(nf, nf->first_ref + g->page, g->offset, g->len, g->page);
        r->flags = i + 1 < f->nr_frags ? NETTXF_more_data : 0;
    }
    return netfront_sent(nf, f);
}

static bool standard_publish(struct netfront *nf)
{
    struct netfront_standard *s = &nf->std;

    return ring_publish(&s->tx->req_prod, &s->tx->req_event, s->tx_prod);
}

/* Receiving -------------------------------------------------------------------------------- */

static void standard_post(struct netfront *nf)
{
    struct netfront_standard *s = &nf->std;

    while (s->rx_prod - s->rx_cons < SLOTS && nf->nr_free) {
        unsigned int page = nf->free_page[--nf->nr_free];
        uint16_t id = (uint16_t)(s->rx_prod % SLOTS);

        page_offer(nf, page, GTF_permit_access, PAGE_RX);
        s->rx_page[id] = (uint16_t)page;
        s->rx->ring[s->rx_prod++ % SLOTS].req =
            (struct netif_rx_request){ .id = id, .gref = nf->first_ref + page };
    }
    if (ring_publish(&s->rx->req_prod, &s->rx->req_event, s->rx_prod))
        event_send(nf->rx_port);
}

/* The page that was posted with the next slot, which is free to be used again. -1: the backend keeps it. */
static int take_posted(struct netfront *nf)
{
    unsigned int page = nf->std.rx_page[nf->std.rx_cons % SLOTS];

    if (!page_take(nf, page, &nf->stats.rx_flipped, &nf->stats.rx_copied))
        return -1;
    nf->state[page] = PAGE_USER;
    return (int)page;
}

/* One slot: its page, in the user's hands. -1: not to be used. */
static int take_slot(struct netfront *nf, struct netif_rx_response *rsp)
{
    struct netfront_standard *s = &nf->std;
    int page = take_posted(nf);
    uint16_t id = (uint16_t)(s->rx_cons % SLOTS);

    ring_copy_in(rsp, &s->rx->ring[s->rx_cons++ % SLOTS].rsp, sizeof(*rsp));
    if (unlikely(rsp->id != id))
        netfront_fault(nf, "it answers what it was not asked");
    else if (unlikely(rsp->status > (int)PAGE_SIZE ||
                      (rsp->status > 0 && rsp->offset > PAGE_SIZE - (unsigned int)rsp->status)))
        netfront_fault(nf, "a piece of a frame is not within its page");
    else if (likely(page >= 0 && rsp->status > 0))
        return page;
    if (page >= 0)
        netfront_page_put(nf, (unsigned int)page);
    return -1;
}

/*
 * The extra info in the slots up to prod; each had a page posted with it, which is free again. False: it is not as it
 * should be.
 */
static bool take_extra(struct netfront *nf, struct netfront_frame *f, uint32_t prod)
{
    struct netfront_standard *s = &nf->std;
    struct netif_extra_info e = { .flags = XEN_NETIF_EXTRA_FLAG_MORE };

    while (e.flags & XEN_NETIF_EXTRA_FLAG_MORE) {
        int page;

        if (s->rx_cons == prod)
            return false;
        page = take_posted(nf);
        if (page >= 0)
            netfront_page_put(nf, (unsigned int)page);
        ring_copy_in(&e, &s->rx->ring[s->rx_cons++ % SLOTS], sizeof(e));
        if (e.type != XEN_NETIF_EXTRA_TYPE_GSO)
            continue;
        if (!e.u.gso.size || (e.u.gso.type != XEN_NETIF_GSO_TYPE_TCPV4 &&
                              e.u.gso.type != XEN_NETIF_GSO_TYPE_TCPV6))
            return false;
        f->gso_size = e.u.gso.size;
        f->flags &= (uint8_t)~(NETFRONT_GSO_TCPV4 | NETFRONT_GSO_TCPV6);
        f->flags |= e.u.gso.type == XEN_NETIF_GSO_TYPE_TCPV4 ? NETFRONT_GSO_TCPV4
                                                             : NETFRONT_GSO_TCPV6;
    }
    return true;
}

static void add_piece(struct netfront *nf, struct netfront_frame *f, int page,
                      const struct netif_rx_response *rsp, bool *good)
{
    if (page < 0 || f->nr_frags == NETFRONT_FRAGS_MAX || f->len + (unsigned int)rsp->status > 65535) {
        if (page >= 0)
            netfront_page_put(nf, (unsigned int)page);
        *good = false;
        return;
    }
    f->frag[f->nr_frags++] = (struct netfront_frag){ (uint16_t)page, rsp->offset,
                                                     (uint16_t)rsp->status };
    f->len = (uint16_t)(f->len + rsp->status);
}

/* Makes the head out of the first piece; a page of which nothing is left goes back. */
static void split_head(struct netfront *nf, struct netfront_frame *f, uint8_t *head)
{
    struct netfront_frag *g = &f->frag[0];

    f->head = head;
    f->head_len = (uint8_t)MIN((unsigned int)g->len, (unsigned int)NETFRONT_HEAD_MAX);
    memcpy(head, (uint8_t *)page_at(nf, g->page) + g->offset, f->head_len);
    g->offset = (uint16_t)(g->offset + f->head_len);
    g->len = (uint16_t)(g->len - f->head_len);
    if (g->len)
        return;
    netfront_page_put(nf, g->page);
    f->nr_frags--;
    for (unsigned int i = 0; i < f->nr_frags; i++)
        f->frag[i] = f->frag[i + 1];
}

static void take_frame(struct netfront *nf, uint32_t prod)
{
    struct netfront_standard *s = &nf->std;
    struct netfront_frame f = { 0 };
    struct netif_rx_response rsp;
    uint8_t head[NETFRONT_HEAD_MAX];
    bool good = true;
    uint16_t flags;

    do {
        int page = take_slot(nf, &rsp);

        flags = rsp.flags;
        add_piece(nf, &f, page, &rsp, &good);
        if (f.nr_frags <= 1) {
            if (flags & NETRXF_csum_blank)
                f.flags |= NETFRONT_CSUM_BLANK;
            else if (flags & NETRXF_data_validated)
                f.flags |= NETFRONT_CSUM_VALID;
        }
        if (unlikely((flags & NETRXF_extra_info) && !take_extra(nf, &f, prod)))
            netfront_fault(nf, "a frame's extra info is wrong");
        if (unlikely((flags & NETRXF_more_data) && s->rx_cons == prod))
            netfront_fault(nf, "a frame has no end");
    } while ((flags & NETRXF_more_data) && !nf->fault);
    if (!good || nf->fault || !f.nr_frags || f.frag[0].len < 14) {
        nf->stats.rx_lost++;
        for (unsigned int i = 0; i < f.nr_frags; i++)
            netfront_page_put(nf, f.frag[i].page);
        return;
    }
    split_head(nf, &f, head);
    nf->stats.rx_frames++;
    nf->stats.rx_bytes += f.len;
    nf->ops->receive(nf->arg, &f);
}

static bool standard_receive(struct netfront *nf)
{
    struct netfront_standard *s = &nf->std;
    uint32_t prod = ring_read_prod(&s->rx->rsp_prod);

    if (unlikely(prod - s->rx_cons > s->rx_prod - s->rx_cons)) {
        netfront_fault(nf, "it answers more than it was asked");
        return false;
    }
    for (unsigned int n = 0; s->rx_cons != prod && n < TURN && nf->up && !nf->fault; n++)
        take_frame(nf, prod);
    return nf->up && !nf->fault && ring_rearm(&s->rx->rsp_event, &s->rx->rsp_prod, s->rx_cons);
}

const struct wire wire_standard = {
    .connect = standard_connect,
    .send = standard_send,
    .publish = standard_publish,
    .reap = standard_reap,
    .receive = standard_receive,
    .post = standard_post,
};
