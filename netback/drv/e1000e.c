/* SPDX-License-Identifier: MIT */
/*
 * e1000e.c - Intel 82574L and its like: one receive and one transmit queue, one interrupt (MSI-X, MSI or INTx).
 * Receiving, interrupts, coming up; e1000e_tx.c sends.
 */
#include "netback/drv/e1000e.h"
#include "netback/rxpool.h"
#include "atomic.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/time.h"

#define VENDOR_INTEL 0x8086

/* Receiving --------------------------------------------------------------------------------- */

static void refill(struct e1000e *e)
{
    uint32_t before = e->rx_filled;

    while (e->rx_filled - e->rx_taken < POSTED) {
        struct frame *f = rx_frame_new(&e->port, FRAME_ROOM);

        if (!f)
            break;
        e->rx[e->rx_filled % RING] = (struct rx_desc){ .addr = virt_to_maddr(f->head) };
        e->rx_frame[e->rx_filled++ % RING] = f;
    }
    if (e->rx_filled - e->rx_taken < POSTED)    /* without any the card may never interrupt again */
        timer_set_after(&e->refill_timer, NIC_REFILL_NS);
    if (before == e->rx_filled)
        return;
    smp_wmb();                      /* descriptors before the tail */
    e1000e_wr(e, RDT, e->rx_filled % RING);
}

static void refill_due(struct timer *t)
{
    work_queue(&container_of(t, struct e1000e, refill_timer)->work);
}

/* Is what this descriptor holds a frame by itself? */
static bool acceptable(struct e1000e *e, const struct rx_desc *d)
{
    bool whole = (d->status & RXD_EOP) && !e->rx_drop;

    e->rx_drop = !(d->status & RXD_EOP);
    return whole && !(d->errors & RXD_ERRORS) && d->len >= FRAME_LEN_MIN && d->len <= FRAME_ROOM;
}

/* Returns how many frames there were, good or bad. */
static unsigned int receive(struct e1000e *e)
{
    struct frame *frames[NIC_TURN];
    unsigned int good = 0, taken;

    for (taken = 0; taken < NIC_TURN && e->rx_taken != e->rx_filled; taken++) {
        unsigned int i = e->rx_taken % RING;
        struct frame *f = e->rx_frame[i];
        struct rx_desc d;

        if (!(load_acquire(&e->rx[i].status) & RXD_DD))
            break;
        d = e->rx[i];
        e->rx_taken++;
        if (acceptable(e, &d)) {
            f->head_len = f->len = d.len;
            frames[good++] = f;
        } else {
            port_count_rx_drop(&e->port, DROP_DEVICE);
            frame_put(f);
        }
    }
    port_receive(&e->port, frames, good);
    for (unsigned int i = 0; i < good; i++)
        frame_put(frames[i]);
    refill(e);
    return taken;
}

static void e1000e_flush(struct port *p)
{
    struct e1000e *e = container_of(p, struct e1000e, port);

    e1000e_tx_tell(e);
    e1000e_tx_reclaim(e);
    e1000e_tx_tell(e);
}

/* Interrupts -------------------------------------------------------------------------------- */

static uint32_t causes(const struct e1000e *e)
{
    return e->irq.kind == PCI_IRQ_MSIX ? INT_VECTOR : INT_LINE;
}

static void work_fn(struct work *w)
{
    struct e1000e *e = container_of(w, struct e1000e, work);

    if (e->watch.lost)
        return;
    nic_link(&e->port, e1000e_rd(e, STATUS) & STATUS_LU);
    e1000e_tx_reclaim(e);
    e1000e_tx_tell(e);
    if (receive(e) == NIC_TURN)
        work_queue(w);
    else
        e1000e_wr(e, IMS, causes(e));      /* what came meanwhile interrupts at once */
    if (e->port.nr_waiting || e->port.stalled)
        port_room(&e->port);
}

static void irq_fn(void *arg)
{
    struct e1000e *e = arg;

    /* Reading acknowledges. Zero: somebody else's, on a line that is shared. */
    if (!e1000e_rd(e, ICR) && e->irq.kind == PCI_IRQ_INTX)
        return;
    e1000e_wr(e, IMC, ~0u);
    work_queue(&e->work);
}

/* Coming up --------------------------------------------------------------------------------- */

/* False: it does not come back. */
static bool reset(struct e1000e *e)
{
    e1000e_wr(e, IMC, ~0u);
    e1000e_wr(e, RCTL, 0);
    e1000e_wr(e, TCTL, 0);
    e1000e_wr(e, CTRL, e1000e_rd(e, CTRL) | CTRL_RST);
    for (unsigned int i = 0; i < 100 && (e1000e_rd(e, CTRL) & CTRL_RST || i < 2); i++)
        delay_us(10);
    e1000e_wr(e, IMC, ~0u);
    (void)e1000e_rd(e, ICR);
    return !(e1000e_rd(e, CTRL) & CTRL_RST);
}

static void read_mac(struct e1000e *e)
{
    uint32_t lo = e1000e_rd(e, RAL0), hi = e1000e_rd(e, RAH0);

    for (unsigned int i = 0; i < 4; i++)
        e->port.mac[i] = (uint8_t)(lo >> 8 * i);
    e->port.mac[4] = (uint8_t)hi;
    e->port.mac[5] = (uint8_t)(hi >> 8);
}

static void start_rings(struct e1000e *e)
{
    paddr_t rx = virt_to_maddr(e->rx), tx = virt_to_maddr(e->tx.ring);

    for (unsigned int i = 0; i < 128; i++)
        e1000e_wr(e, MTA + 4 * i, 0);
    e1000e_wr(e, RDBAL, (uint32_t)rx);
    e1000e_wr(e, RDBAH, (uint32_t)(rx >> 32));
    e1000e_wr(e, RDLEN, RING * sizeof(struct rx_desc));
    e1000e_wr(e, RDH, 0);
    e1000e_wr(e, RDT, 0);
    e1000e_wr(e, TDBAL, (uint32_t)tx);
    e1000e_wr(e, TDBAH, (uint32_t)(tx >> 32));
    e1000e_wr(e, TDLEN, RING * sizeof(struct tx_desc));
    e1000e_wr(e, TDH, 0);
    e1000e_wr(e, TDT, 0);
    e1000e_wr(e, RXCSUM, 0);
    e1000e_wr(e, TIPG, TIPG_DEFAULT);
    e1000e_wr(e, TCTL, TCTL_EN | TCTL_PSP | TCTL_CT | TCTL_COLD);
    /* All unicast and multicast: there are others behind this port. */
    e1000e_wr(e, RCTL, RCTL_EN | RCTL_UPE | RCTL_MPE | RCTL_BAM | RCTL_SECRC);
}

static void route_irqs(struct e1000e *e)
{
    if (e->irq.kind == PCI_IRQ_MSIX) {
        e1000e_wr(e, IVAR, IVAR_ALL_TO_0);
        e1000e_wr(e, EIAC, INT_RXQ0 | INT_TXQ0);
        e1000e_wr(e, CTRL_EXT, e1000e_rd(e, CTRL_EXT) | CTRL_EXT_PBA_CLR | CTRL_EXT_EIAME);
    }
    e1000e_wr(e, ITR, 0);
}

static int start_irq(struct e1000e *e, struct pci_dev *pci)
{
    const event_fn fn[1] = { irq_fn };
    void *const arg[1] = { e };
    int rc = pci_irq_alloc(pci, &e->irq, 1, fn, arg);

    if (rc < 1)
        return rc < 0 ? rc : -XEN_ENODEV;
    route_irqs(e);
    return 0;
}

static void bring_link_up(struct e1000e *e)
{
    e1000e_wr(e, CTRL_EXT, e1000e_rd(e, CTRL_EXT) | CTRL_EXT_DRV_LOAD);
    e1000e_wr(e, CTRL, e1000e_rd(e, CTRL) | CTRL_SLU | CTRL_ASDE | CTRL_FD);
}

/*
 * The card has sent nothing for too long: it is reset, which ends its DMA, and loses what it had. If that fails, it must not
 * reach memory any more.
 */
static void hung(struct nic_watch *w)
{
    struct e1000e *e = container_of(w, struct e1000e, watch);
    bool works = reset(e);

    if (!works) {
        pci_disable_dma(e->pci);
        nic_lost(&e->port, w);
    }
    e1000e_tx_drop(e);
    while (e->rx_taken != e->rx_filled)
        frame_put(e->rx_frame[e->rx_taken++ % RING]);
    if (!works)
        return;
    e->rx_filled = e->rx_taken = 0;
    e->rx_drop = false;
    memset(e->rx, 0, PAGE_SIZE);
    bring_link_up(e);
    start_rings(e);
    route_irqs(e);
    refill(e);
    e1000e_wr(e, IMS, causes(e));
    work_queue(&e->work);
}

static int bring_up(struct e1000e *e, struct pci_dev *pci)
{
    int rc;

    pci_enable(pci);
    e->regs = pci_map_bar(pci, 0, 0, REGS_LEN);
    e->rx = page_alloc_zeroed();
    if (!e->regs || !e->rx || e1000e_tx_init(e))
        return -XEN_ENOMEM;
    (void)reset(e);
    read_mac(e);
    bring_link_up(e);
    start_rings(e);
    rc = start_irq(e, pci);
    if (rc)
        (void)reset(e);
    return rc;
}

/* Cards that work alike: 82574L, 82574LA, 82583V. */
static bool known(uint16_t device)
{
    static const uint16_t devices[] = { 0x10d3, 0x10f6, 0x150c };

    for (unsigned int i = 0; i < ARRAY_SIZE(devices); i++) {
        if (devices[i] == device)
            return true;
    }
    return false;
}

int e1000e_probe(struct pci_dev *pci, const char *name, struct port **port)
{
    struct e1000e *e;
    int rc;

    if (pci->vendor != VENDOR_INTEL || !known(pci->device))
        return -XEN_ENODEV;
    e = calloc(1, sizeof(*e));
    if (!e)
        return -XEN_ENOMEM;
    strlcpy(e->port.name, name, sizeof(e->port.name));
    e->port.mtu = 1500;
    e->port.caps = PORT_UPLINK | PORT_SG | PORT_DMA | PORT_CSUM | PORT_CSUM6 | PORT_TSO4 | PORT_TSO6;
    e->port.send = e1000e_tx_send;
    e->port.flush = e1000e_flush;
    e->pci = pci;
    work_init(&e->work, work_fn);
    timer_init(&e->refill_timer, refill_due);
    nic_watch_init(&e->watch, &e->port, NULL, hung);
    rc = bring_up(e, pci);
    if (rc) {
        log_error("%s: e1000e: cannot be started: error %d", name, rc);
        return rc == -XEN_ENODEV ? -XEN_EIO : rc;
    }
    pci->claimed = true;
    e->port.up = e1000e_rd(e, STATUS) & STATUS_LU;
    rx_pool_add(FRAME_ROOM);
    refill(e);
    e1000e_wr(e, IMS, causes(e));
    *port = &e->port;
    log_info("%s: e1000e, %02x:%02x:%02x:%02x:%02x:%02x%s", name, e->port.mac[0], e->port.mac[1],
             e->port.mac[2], e->port.mac[3], e->port.mac[4], e->port.mac[5],
             e->port.up ? "" : ", no link yet");
    return 0;
}
