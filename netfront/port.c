/* SPDX-License-Identifier: MIT */
/*
 * port.c - netfront as a bridge port; see port.h. Frames are copied between the stack's memory and the vif's pages; they
 * are no longer than the MTU, since that is what frames in a stack's memory hold.
 */
#include "netfront/port.h"
#include "lib/string.h"
#include "netfront/netfront.h"

#define BATCH 64

static struct netfront *nf;
static struct port port;
static struct frame *batch[BATCH];
static unsigned int nr_batch;

static bool port_send(struct port *p, struct frame *f)
{
    struct netfront_frame out = { .head = f->head, .len = f->len };
    unsigned int left;

    out.head_len = (uint8_t)MIN((unsigned int)f->len, (unsigned int)NETFRONT_HEAD_MAX);
    left = f->len - out.head_len;
    if (f->flags & FRAME_CSUM_BLANK)
        out.flags = NETFRONT_CSUM_BLANK;
    if (left) {
        int page = netfront_page_get(nf);

        if (page < 0)
            return false;
        memcpy(netfront_page_va(nf, (unsigned int)page), f->head + out.head_len, left);
        out.nr_frags = 1;
        out.frag[0] = (struct netfront_frag){ (uint16_t)page, 0, (uint16_t)left };
    }
    if (netfront_send(nf, &out)) {
        p->stats.tx_frames++;
        p->stats.tx_bytes += f->len;
        return true;
    }
    if (left)
        netfront_page_put(nf, out.frag[0].page);
    return false;
}

static void port_flush(struct port *p)
{
    netfront_kick(nf);
}

static void batch_end(void *arg)
{
    unsigned int n = nr_batch;

    nr_batch = 0;
    port_receive(&port, batch, n);
    for (unsigned int i = 0; i < n; i++)
        frame_put(batch[i]);
}

static void take(struct frame *f, const struct netfront_frame *in)
{
    unsigned int at = in->head_len;

    memcpy(f->head, in->head, in->head_len);
    for (unsigned int i = 0; i < in->nr_frags; i++) {
        const struct netfront_frag *g = &in->frag[i];

        memcpy(f->head + at, (const uint8_t *)netfront_page_va(nf, g->page) + g->offset, g->len);
        at += g->len;
    }
    f->len = f->head_len = in->len;
    f->flags = in->flags & NETFRONT_CSUM_BLANK ? FRAME_CSUM_BLANK
             : in->flags & NETFRONT_CSUM_VALID ? FRAME_CSUM_VALID : 0;
    batch[nr_batch++] = f;
}

static void receive(void *arg, const struct netfront_frame *in)
{
    struct frame *f = in->len <= FRAME_ROOM ? frame_new(&port) : NULL;

    if (f)
        take(f, in);
    else
        port_count_rx_drop(&port, in->len > FRAME_ROOM ? DROP_TOO_LONG : DROP_NO_MEMORY);
    for (unsigned int i = 0; i < in->nr_frags; i++)
        netfront_page_put(nf, in->frag[i].page);
    if (nr_batch == BATCH)
        batch_end(arg);
}

static void room(void *arg)
{
    port_room(&port);
}

static void link_changed(void *arg, bool up)
{
    port.up = up;
}

int netfront_port(unsigned int handle, struct bridge *b)
{
    static const struct netfront_ops ops = { .receive = receive, .batch_end = batch_end, .room = room,
                                             .link = link_changed };

    port = (struct port){ .name = "vif", .mtu = 1500, .send = port_send, .flush = port_flush,
                          .caps = PORT_UPLINK | PORT_CSUM | PORT_CSUM6 };
    nf = netfront_open(handle, NETFRONT_NO_GSO, &ops, NULL);
    if (!nf)
        return -XEN_ENODEV;
    return port_join(&port, b);
}

void netfront_port_mac(uint8_t mac[6])
{
    netfront_mac(nf, mac);
}

bool netfront_port_is_up(void)
{
    return port.up;
}
