/* SPDX-License-Identifier: MIT */
/*
 * virtio_net.c - virtio network card (virtio 1.x over PCI), one receive and one transmit queue.
 *
 * Frames are received into pages that can be flipped to guests (rxpool.h) and sent out of dom0's or guests' pages. Checksum and
 * segmentation are left to the device where it offers that; what it has put together of several packets comes as one
 * frame of up to 64 KiB in several such pages.
 */
#include "netback/nic.h"
#include "netback/rxpool.h"
#include "netback/frame.h"
#include "netback/headers.h"
#include "netback/csum.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "runtime/virtio.h"
#include "lib/printf.h"

#define VENDOR_VIRTIO        0x1af4
#define DEVICE_NET_LEGACY    0x1000     /* transitional */
#define DEVICE_NET           0x1041

#define F_CSUM       0
#define F_GUEST_CSUM 1
#define F_MAC        5
#define F_GUEST_TSO4 7
#define F_GUEST_TSO6 8
#define F_HOST_TSO4  11
#define F_HOST_TSO6  12
#define F_MRG_RXBUF  15
#define F_STATUS     16

#define CFG_MAC      0
#define CFG_STATUS   6
#define STATUS_LINK  1

#define RX_QUEUE     0
#define TX_QUEUE     1
#define RX_BUFFERS   128
#define RX_PAGES     192        /* with big frames: 17 for each */
#define QUEUE_SIZE   256

/* Before each frame, in both directions. */
struct net_hdr {
    uint8_t flags;
    uint8_t gso_type;
    uint16_t hdr_len;
    uint16_t gso_size;
    uint16_t csum_start;
    uint16_t csum_offset;
    uint16_t num_buffers;
};
#define HDR_NEEDS_CSUM 1
#define HDR_DATA_VALID 2
#define HDR_GSO_TCPV4  1
#define HDR_GSO_TCPV6  4

struct virtio_net {
    struct port port;
    struct virtio_dev dev;
    struct virtq rx, tx;
    struct work rx_work, tx_work;
    struct timer refill_timer;
    struct nic_watch watch;
    unsigned int posted;            /* receive buffers that the device has */
    bool big;                       /* they are pages, and a frame may take several of them */
    struct frame *rx_frame;         /* one that waits for the rest of its buffers, */
    unsigned int rx_more;           /* so many */
    struct net_hdr *tx_hdr;         /* a page: one for each frame that the device may have */
    uint16_t hdr_free[QUEUE_SIZE];  /* stack of unused ones */
    unsigned int nr_hdr_free;
    unsigned int tx_awaited;        /* frames that it has and somebody waits for */
    struct tx_slot {
        struct frame *frame;
        uint16_t hdr;
        bool awaited;
    } slots[QUEUE_SIZE];            /* by header index */
};

/* Receiving --------------------------------------------------------------------------------- */

static unsigned int room(const struct virtio_net *n)
{
    return n->big ? PAGE_SIZE : FRAME_ROOM;
}

static void refill(struct virtio_net *n)
{
    unsigned int all = n->big ? RX_PAGES : RX_BUFFERS;

    while (n->posted < all) {
        struct frame *f = rx_frame_new(&n->port, room(n));
        struct virtq_buf buf;

        if (!f)
            break;
        buf = (struct virtq_buf){ virt_to_maddr(f->head), room(n) };
        if (virtq_add(&n->rx, &buf, 0, 1, f)) {
            frame_put(f);
            break;
        }
        n->posted++;
    }
    virtq_kick(&n->rx);
    if (n->posted < all)            /* with too few for a frame the device may never interrupt again */
        timer_set_after(&n->refill_timer, NIC_REFILL_NS);
}

static void refill_due(struct timer *t)
{
    work_queue(&container_of(t, struct virtio_net, refill_timer)->rx_work);
}

/* A frame of several packets: such a one as may be handed on? */
static bool take_gso(struct frame *f, const struct net_hdr *h)
{
    struct gso g;

    if (!(f->flags & FRAME_CSUM_BLANK) || (h->gso_type != HDR_GSO_TCPV4 && h->gso_type != HDR_GSO_TCPV6))
        return false;
    f->gso = h->gso_type == HDR_GSO_TCPV4 ? GSO_TCPV4 : GSO_TCPV6;
    f->gso_size = h->gso_size;
    return gso_plan(&g, f->head, f->head_len, f->len, f->gso == GSO_TCPV4 ? 4 : 6, f->gso_size);
}

/* All buffers of a frame are there; the header stands before head. */
static bool whole(struct virtio_net *n, struct frame *f)
{
    const struct net_hdr *h = (const void *)(f->head - sizeof(*h));

    return !n->big || !h->gso_type || take_gso(f, h);
}

/* The device has filled a buffer: header, frame or its beginning. False: nothing that could be a frame. */
static bool receive(struct virtio_net *n, struct frame *f, uint32_t written)
{
    const struct net_hdr *h = (const void *)f->head;
    unsigned int buffers = READ_ONCE(h->num_buffers);

    n->rx_more = n->big && written >= sizeof(*h) && buffers ? buffers - 1 : 0;
    if (written < sizeof(*h) + FRAME_LEN_MIN || written > room(n) || n->rx_more > FRAME_FRAGS_MAX)
        return false;
    if (h->flags & HDR_NEEDS_CSUM)
        f->flags |= FRAME_CSUM_BLANK;
    else if (h->flags & HDR_DATA_VALID)
        f->flags |= FRAME_CSUM_VALID;
    f->head += sizeof(*h);
    f->head_len = f->len = (uint16_t)(written - sizeof(*h));
    return true;
}

/* One of the buffers of a frame after its first. n->rx_frame is NULL when that was no good. */
static void receive_more(struct virtio_net *n, struct frame *f, uint32_t written)
{
    struct frame *first = n->rx_frame;

    n->rx_more--;
    if (first && written && written <= PAGE_SIZE && first->len + written <= FRAME_LEN_MAX &&
        rx_frame_join(first, f, written))
        return;
    frame_put(f);
    if (first)
        frame_put(first);
    n->rx_frame = NULL;
}

/* Takes one buffer; returns a frame when one is complete. */
static struct frame *take_buffer(struct virtio_net *n, struct frame *f, uint32_t written)
{
    n->posted--;
    if (n->rx_more) {
        receive_more(n, f, written);
    } else if (receive(n, f, written)) {
        n->rx_frame = f;
    } else {
        n->rx_frame = NULL;
        frame_put(f);
    }
    if (n->rx_more)
        return NULL;
    f = n->rx_frame;
    n->rx_frame = NULL;
    if (f && whole(n, f))
        return f;
    port_count_rx_drop(&n->port, DROP_DEVICE);
    if (f)
        frame_put(f);
    return NULL;
}

static void rx_work(struct work *w)
{
    struct virtio_net *n = container_of(w, struct virtio_net, rx_work);
    struct frame *frames[NIC_TURN], *f;
    unsigned int good = 0;
    uint32_t written;

    if (n->watch.lost)
        return;
    while (good < NIC_TURN && (f = virtq_next_used(&n->rx, &written)) != NULL) {
        f = take_buffer(n, f, written);
        if (f)
            frames[good++] = f;
    }
    port_receive(&n->port, frames, good);
    for (unsigned int i = 0; i < good; i++)
        frame_put(frames[i]);
    /* Big frames may have taken nearly all pages there are: those that were flipped are there again in the flush. */
    if (n->big)
        port_touch(&n->port);
    else
        refill(n);
    if (n->rx.broken)
        nic_watch_wrong(&n->watch);
    else if (good == NIC_TURN || virtq_irq_enable(&n->rx))
        work_queue(w);
}

static void rx_event(void *arg)
{
    struct virtio_net *n = arg;

    virtq_irq_disable(&n->rx);
    work_queue(&n->rx_work);
}

/* Sending ----------------------------------------------------------------------------------- */

static void release(struct virtio_net *n, struct tx_slot *s)
{
    n->hdr_free[n->nr_hdr_free++] = s->hdr;
    n->tx_awaited -= s->awaited;
    frame_put(s->frame);
    s->frame = NULL;
    nic_watch_done(&n->watch);
}

/* True if the card had done with anything. */
static bool reclaim(struct virtio_net *n)
{
    struct tx_slot *s;
    bool any = false;

    for (; (s = virtq_next_used(&n->tx, NULL)) != NULL; any = true)
        release(n, s);
    if (unlikely(n->tx.broken))
        nic_watch_wrong(&n->watch);
    return any;
}

static bool others_wait(const struct virtio_net *n)
{
    return n->port.nr_waiting || n->port.stalled;
}

/*
 * Shall the card interrupt when it has sent something? Copies in memory of our own can lie there until the next frame is
 * sent, or the watch looks, if the queue is not nearly full; for what is a guest's, or TCP's, somebody waits.
 */
static void tx_rearm(struct virtio_net *n)
{
    if (!n->tx_awaited && n->tx.nr_free >= n->tx.size / 2 && !others_wait(n))
        virtq_irq_disable(&n->tx);
    else if (virtq_irq_enable(&n->tx))
        work_queue(&n->tx_work);
}

static void tx_work(struct work *w)
{
    struct virtio_net *n = container_of(w, struct virtio_net, tx_work);

    (void)reclaim(n);
    tx_rearm(n);
    if (others_wait(n))
        port_room(&n->port);
}

static void look(struct nic_watch *w)
{
    (void)reclaim(container_of(w, struct virtio_net, watch));
}

static void tx_event(void *arg)
{
    struct virtio_net *n = arg;

    work_queue(&n->tx_work);
}

/* With one interrupt for all. */
static void any_event(void *arg)
{
    rx_event(arg);
    tx_event(arg);
}

static void fill_header(struct net_hdr *h, const struct frame *f)
{
    struct gso g;

    memset(h, 0, sizeof(*h));
    if ((f->flags & FRAME_CSUM_BLANK) &&
        csum_place(f->head, f->head_len, f->len, &h->csum_start, &h->csum_offset))
        h->flags = HDR_NEEDS_CSUM;
    if (f->gso == GSO_NONE)
        return;
    if (!gso_plan(&g, f->head, f->head_len, f->len, f->gso == GSO_TCPV4 ? 4 : 6, f->gso_size))
        return;
    h->gso_type = f->gso == GSO_TCPV4 ? HDR_GSO_TCPV4 : HDR_GSO_TCPV6;
    h->gso_size = f->gso_size;
    h->hdr_len = g.headers;
}

static bool net_send(struct port *p, struct frame *f)
{
    struct virtio_net *n = container_of(p, struct virtio_net, port);
    struct virtq_buf buf[2 + FRAME_FRAGS_MAX];
    unsigned int nr = 2;
    struct tx_slot *s;
    uint16_t hdr;

    if (n->tx.nr_free < f->nr_frags + 2u || !n->nr_hdr_free)
        (void)reclaim(n);
    if (!n->nr_hdr_free)
        return false;
    hdr = n->hdr_free[n->nr_hdr_free - 1];
    s = &n->slots[hdr];
    buf[0] = (struct virtq_buf){ virt_to_maddr(&n->tx_hdr[hdr]), sizeof(struct net_hdr) };
    buf[1] = (struct virtq_buf){ virt_to_maddr(f->head), f->head_len };
    for (unsigned int i = 0; i < f->nr_frags; i++)
        buf[nr++] = (struct virtq_buf){ nic_maddr(&f->frags[i]), f->frags[i].len };
    if (virtq_add(&n->tx, buf, nr, 0, s))
        return false;
    fill_header(&n->tx_hdr[hdr], f);
    n->nr_hdr_free--;
    frame_get(f);
    s->frame = f;
    s->hdr = hdr;
    s->awaited = !frame_is_copy(f);
    n->tx_awaited += s->awaited;
    nic_watch_sent(&n->watch);
    p->stats.tx_frames++;
    p->stats.tx_bytes += f->len;
    return true;
}

static void net_flush(struct port *p)
{
    struct virtio_net *n = container_of(p, struct virtio_net, port);

    virtq_kick(&n->tx);
    if (n->big && !n->watch.lost)
        refill(n);
    /* Who waits for room does not hear of it otherwise: these will not be reported again. */
    if (reclaim(n) && others_wait(n))
        work_queue(&n->tx_work);
    tx_rearm(n);
}

/* Reset ------------------------------------------------------------------------------------ */

/* It has sent nothing for too long: a reset ends its DMA. What it had is lost. */
static void hung(struct nic_watch *w)
{
    struct virtio_net *n = container_of(w, struct virtio_net, watch);
    int rc = virtio_restart(&n->dev);
    struct frame *f;

    if (rc)
        pci_disable_dma(n->dev.pci);
    while ((f = virtq_take_back(&n->rx)) != NULL)
        frame_put(f);
    if (n->rx_frame)
        frame_put(n->rx_frame);
    n->rx_frame = NULL;
    n->posted = n->rx_more = 0;
    for (unsigned int i = 0; i < QUEUE_SIZE; i++) {
        if (n->slots[i].frame)
            release(n, &n->slots[i]);
    }
    if (rc || virtq_restart(&n->rx) || virtq_restart(&n->tx)) {
        nic_lost(&n->port, w);
        return;
    }
    virtio_ready(&n->dev);
    refill(n);
    if (virtq_irq_enable(&n->rx))
        work_queue(&n->rx_work);
    work_queue(&n->tx_work);
}

/* Coming up --------------------------------------------------------------------------------- */

static uint32_t caps_of(uint64_t features)
{
    uint32_t caps = PORT_UPLINK | PORT_SG | PORT_DMA;

    if (!(features & VIRTIO_BIT(F_CSUM)))
        return caps;
    caps |= PORT_CSUM | PORT_CSUM6;
    if (features & VIRTIO_BIT(F_HOST_TSO4))
        caps |= PORT_TSO4;
    if (features & VIRTIO_BIT(F_HOST_TSO6))
        caps |= PORT_TSO6;
    return caps;
}

static int start_queues(struct virtio_net *n)
{
    static const event_fn two[2] = { rx_event, tx_event };
    static const event_fn one[1] = { any_event };
    void *const arg[2] = { n, n };
    int rc = n->dev.pci->msix_cap ? virtio_irqs(&n->dev, 2, two, arg) : 0;

    /* A single interrupt must serve both queues. */
    if (rc < 2) {
        if (rc > 0)
            pci_irq_free(n->dev.pci, n->dev.irqs, (unsigned int)rc);
        rc = virtio_irqs(&n->dev, 1, one, arg);
    }
    if (rc < 1)
        return rc < 0 ? rc : -XEN_ENODEV;
    rc = virtq_init(&n->rx, &n->dev, RX_QUEUE, QUEUE_SIZE, 0);
    if (!rc)
        rc = virtq_init(&n->tx, &n->dev, TX_QUEUE, QUEUE_SIZE, 1);
    return rc;
}

/* Big frames are taken from devices that spread them over several buffers only. */
static uint64_t receive_features(struct virtio_dev *dev)
{
    uint64_t offered = virtio_offered(dev), big = VIRTIO_BIT(F_GUEST_TSO4) | VIRTIO_BIT(F_GUEST_TSO6);

    if (!(offered & VIRTIO_BIT(F_GUEST_CSUM)) || !(offered & VIRTIO_BIT(F_MRG_RXBUF)) || !(offered & big))
        return 0;
    return big | VIRTIO_BIT(F_MRG_RXBUF);
}

static int bring_up(struct virtio_net *n)
{
    _Static_assert(sizeof(struct net_hdr) == 12, "virtio 1.x header");
    int rc;

    rc = virtio_negotiate(&n->dev, VIRTIO_BIT(F_CSUM) | VIRTIO_BIT(F_GUEST_CSUM) |
                          VIRTIO_BIT(F_MAC) | VIRTIO_BIT(F_STATUS) | VIRTIO_BIT(F_HOST_TSO4) |
                          VIRTIO_BIT(F_HOST_TSO6) | receive_features(&n->dev) |
                          VIRTIO_BIT(VIRTIO_F_EVENT_IDX));
    if (rc)
        return rc;
    n->big = n->dev.features & VIRTIO_BIT(F_MRG_RXBUF);
    n->tx_hdr = page_alloc_zeroed();
    if (!n->tx_hdr)
        return -XEN_ENOMEM;
    while (n->nr_hdr_free < QUEUE_SIZE) {
        n->hdr_free[n->nr_hdr_free] = (uint16_t)n->nr_hdr_free;
        n->nr_hdr_free++;
    }
    return start_queues(n);
}

static void set_port(struct virtio_net *n, const char *name)
{
    struct port *p = &n->port;

    strlcpy(p->name, name, sizeof(p->name));
    if (n->dev.features & VIRTIO_BIT(F_MAC)) {
        for (unsigned int i = 0; i < sizeof(p->mac); i++)
            p->mac[i] = virtio_cfg8(&n->dev, CFG_MAC + i);
    }
    p->mtu = 1500;
    p->caps = caps_of(n->dev.features);
    p->send = net_send;
    p->flush = net_flush;
    p->up = !(n->dev.features & VIRTIO_BIT(F_STATUS)) ||
            (virtio_cfg16(&n->dev, CFG_STATUS) & STATUS_LINK);
}

int virtio_net_probe(struct pci_dev *pci, const char *name, struct port **port)
{
    struct virtio_net *n;
    int rc;

    if (pci->vendor != VENDOR_VIRTIO ||
        (pci->device != DEVICE_NET && pci->device != DEVICE_NET_LEGACY))
        return -XEN_ENODEV;
    n = calloc(1, sizeof(*n));
    if (!n)
        return -XEN_ENOMEM;
    work_init(&n->rx_work, rx_work);
    work_init(&n->tx_work, tx_work);
    timer_init(&n->refill_timer, refill_due);
    nic_watch_init(&n->watch, &n->port, look, hung);
    rc = virtio_open(&n->dev, pci);
    if (!rc) {
        rc = bring_up(n);
        if (rc)
            virtio_close(&n->dev);
    }
    if (rc) {
        log_error("%s: virtio: cannot be started: error %d", name, rc);
        /* Memory that the device has seen stays: there is no telling what it still does. */
        return rc == -XEN_ENODEV ? -XEN_EIO : rc;
    }
    set_port(n, name);
    virtio_ready(&n->dev);
    rx_pool_add(room(n));
    refill(n);
    (void)virtq_irq_enable(&n->rx);
    (void)virtq_irq_enable(&n->tx);
    work_queue(&n->rx_work);
    *port = &n->port;
    log_info("%s: virtio, %02x:%02x:%02x:%02x:%02x:%02x%s%s%s%s", name, n->port.mac[0],
             n->port.mac[1], n->port.mac[2], n->port.mac[3], n->port.mac[4], n->port.mac[5],
             n->port.caps & PORT_CSUM ? ", checksums" : "", n->port.caps & PORT_TSO4 ? ", tso" : "",
             n->big ? ", big frames" : "", n->port.up ? "" : ", no link");
    return 0;
}
