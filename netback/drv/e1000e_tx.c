/* SPDX-License-Identifier: MIT */
/*
 * e1000e_tx.c - the 82574L's transmit queue.
 *
 * The card reads frames from where they are, in pieces, and completes their checksums. Big TCP frames are cut here: each packet
 * is a header of ours and pieces of the frame, so nothing of the payload is touched. (The card could cut, too; QEMU's, before
 * version 8.1, makes IP fragments of the frame instead.) A frame that needs more descriptors than there are goes on when some are free.
 */
#include "netback/drv/e1000e.h"
#include "atomic.h"
#include "runtime/mem.h"

#define MOST_PACKETS 2048           /* of one frame; who cuts finer is up to no good */

/* Descriptors ------------------------------------------------------------------------------- */

/* Room for any packet of f? One descriptor stays free: a full ring would look empty. */
static bool has_room(const struct e1000e_tx *tx, const struct frame *f)
{
    /* A context, headers, the rest of the head, fragments. */
    return tx->added - tx->done + f->nr_frags + 3u < RING;
}

static void add(struct e1000e_tx *tx, paddr_t addr, unsigned int len, uint32_t upper)
{
    tx->ring[tx->added++ % RING] = (struct tx_desc){ .addr = addr, .upper = upper,
                                                     .lower = TXD_DEXT | TXD_DATA | TXD_IFCS | len };
}

/* The packet that began at `first` is complete. */
static void finish(struct e1000e *e, uint32_t first, struct frame *f)
{
    struct e1000e_tx *tx = &e->tx;

    tx->ring[(tx->added - 1) % RING].lower |= TXD_EOP | TXD_RS;
    tx->packet[first % RING].frame = f;
    tx->packet[first % RING].end = tx->added;
    frame_get(f);
    nic_watch_sent(&e->watch);
}

/*
 * Has the card complete TCP or UDP checksums: the header begins at `start`, the field `offset` behind it. Both fit into
 * 8 bits. It keeps that for packets to come.
 */
static void set_context(struct e1000e_tx *tx, unsigned int start, unsigned int offset)
{
    uint32_t context = start | (start + offset) << 8;

    if (tx->context == context)
        return;
    tx->context = context;
    tx->ring[tx->added++ % RING] = (struct tx_desc){
        .addr = (uint64_t)context << 32, .lower = TXD_DEXT | (offset == 16 ? TXD_CTX_TCP : 0),
    };
}

/* Cutting ---------------------------------------------------------------------------------- */

/* The next len bytes of payload of the frame that is cut. */
static void add_payload(struct e1000e_tx *tx, unsigned int len)
{
    const struct frame *f = tx->cut;

    while (len) {
        const struct frag *g = tx->piece ? &f->frags[tx->piece - 1] : NULL;
        unsigned int left = (g ? g->len : f->head_len - tx->gso.headers) - tx->at;
        unsigned int n = MIN(left, len);

        if (!left) {
            tx->piece++;
            tx->at = 0;
            continue;
        }
        add(tx, (g ? nic_maddr(g) : virt_to_maddr(f->head + tx->gso.headers)) + tx->at, n, TXD_TXSM);
        tx->at += n;
        len -= n;
    }
}

/* Makes packets as long as there is room; the last one ends it. */
static void go_on(struct e1000e *e)
{
    struct e1000e_tx *tx = &e->tx;

    while (tx->cut && has_room(tx, tx->cut)) {
        uint32_t first = tx->added, offset, n = gso_payload(&tx->gso, tx->next, &offset);
        uint8_t *header;
        unsigned int i;

        set_context(tx, tx->gso.l4, 16);
        i = tx->added % RING;
        header = tx->header[i / (PAGE_SIZE / TX_HEADER)] + i % (PAGE_SIZE / TX_HEADER) * TX_HEADER;
        gso_headers(&tx->gso, tx->cut->head, tx->next, header);
        add(tx, virt_to_maddr(header), tx->gso.headers, TXD_TXSM);
        add_payload(tx, n);
        finish(e, first, tx->cut);
        e->port.stats.tx_frames++;
        e->port.stats.tx_bytes += tx->gso.headers + n;
        if (++tx->next == tx->gso.packets) {
            frame_put(tx->cut);
            tx->cut = NULL;
        }
    }
}

static bool start_cutting(struct e1000e *e, struct frame *f)
{
    struct e1000e_tx *tx = &e->tx;

    if (!gso_plan(&tx->gso, f->head, f->head_len, f->len, f->gso == GSO_TCPV4 ? 4 : 6, f->gso_size) ||
        tx->gso.headers > TX_HEADER || tx->gso.l4 + 16 > UINT8_MAX || tx->gso.packets > MOST_PACKETS)
        return false;
    if (tx->gso.headers - tx->gso.l3 + tx->gso.size > e->port.mtu)
        return false;
    frame_get(f);
    tx->cut = f;
    tx->next = 0;
    tx->piece = tx->at = 0;
    go_on(e);
    return true;
}

/* Sending ---------------------------------------------------------------------------------- */

static bool send_whole(struct e1000e *e, struct frame *f)
{
    struct e1000e_tx *tx = &e->tx;
    uint32_t first = tx->added, upper = 0;
    uint16_t start, offset;

    if (f->flags & FRAME_CSUM_BLANK) {
        if (!csum_place(f->head, f->head_len, f->len, &start, &offset) || start + offset > UINT8_MAX)
            return false;
        set_context(tx, start, offset);
        upper = TXD_TXSM;
    }
    add(tx, virt_to_maddr(f->head), f->head_len, upper);
    for (unsigned int i = 0; i < f->nr_frags; i++)
        add(tx, nic_maddr(&f->frags[i]), f->frags[i].len, upper);
    finish(e, first, f);
    e->port.stats.tx_frames++;
    e->port.stats.tx_bytes += f->len;
    return true;
}

bool e1000e_tx_send(struct port *p, struct frame *f)
{
    struct e1000e *e = container_of(p, struct e1000e, port);

    if (e->tx.cut || !has_room(&e->tx, f))
        e1000e_tx_reclaim(e);
    if (e->tx.cut || !has_room(&e->tx, f))
        return false;
    if (!(f->gso == GSO_NONE ? send_whole(e, f) : start_cutting(e, f)))
        port_count_tx_drop(p, DROP_MALFORMED);
    return true;
}

void e1000e_tx_tell(struct e1000e *e)
{
    struct e1000e_tx *tx = &e->tx;

    if (tx->told == tx->added)
        return;
    tx->told = tx->added;
    smp_wmb();                      /* descriptors before the tail */
    e1000e_wr(e, TDT, tx->added % RING);
}

void e1000e_tx_reclaim(struct e1000e *e)
{
    struct e1000e_tx *tx = &e->tx;

    while (tx->done != tx->told) {
        unsigned int i = tx->done % RING;
        uint32_t end = tx->packet[i].end;

        if (!(load_acquire(&tx->ring[(end - 1) % RING].upper) & TXD_DD))
            break;
        frame_put(tx->packet[i].frame);
        tx->packet[i].frame = NULL;
        tx->done = end;
        nic_watch_done(&e->watch);
    }
    go_on(e);
}

void e1000e_tx_drop(struct e1000e *e)
{
    struct e1000e_tx *tx = &e->tx;

    while (tx->done != tx->added) {
        unsigned int i = tx->done % RING;

        frame_put(tx->packet[i].frame);
        tx->packet[i].frame = NULL;
        tx->done = tx->packet[i].end;
        nic_watch_done(&e->watch);
    }
    if (tx->cut)
        frame_put(tx->cut);
    tx->cut = NULL;
    tx->context = 0;
    tx->added = tx->told = tx->done = 0;
}

int e1000e_tx_init(struct e1000e *e)
{
    e->tx.ring = page_alloc_zeroed();
    if (!e->tx.ring)
        return -XEN_ENOMEM;
    for (unsigned int i = 0; i < ARRAY_SIZE(e->tx.header); i++) {
        e->tx.header[i] = page_alloc();
        if (!e->tx.header[i])
            return -XEN_ENOMEM;
    }
    return 0;
}
