/* SPDX-License-Identifier: MIT */
/*
 * e1000e.c - Intel 82574L and its like: one receive and one transmit queue, legacy descriptors,
 * one interrupt (MSI-X, MSI or INTx).
 *
 * The card takes flat frames with complete checksums; the bridge makes them so.
 */
#include "netback/nic.h"
#include "atomic.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "runtime/time.h"

#define VENDOR_INTEL 0x8086

/* Registers. */
#define CTRL     0x0000
#define STATUS   0x0008
#define CTRL_EXT 0x0018
#define ICR      0x00c0
#define ITR      0x00c4
#define IMS      0x00d0
#define IMC      0x00d8
#define EIAC     0x00dc
#define IVAR     0x00e4
#define RCTL     0x0100
#define TCTL     0x0400
#define TIPG     0x0410
#define RDBAL    0x2800
#define RDBAH    0x2804
#define RDLEN    0x2808
#define RDH      0x2810
#define RDT      0x2818
#define TDBAL    0x3800
#define TDBAH    0x3804
#define TDLEN    0x3808
#define TDH      0x3810
#define TDT      0x3818
#define TXDCTL   0x3828
#define RXCSUM   0x5000
#define MTA      0x5200
#define RAL0     0x5400
#define RAH0     0x5404
#define REGS_LEN 0x6000

#define CTRL_FD       (1u << 0)
#define CTRL_ASDE     (1u << 5)
#define CTRL_SLU      (1u << 6)
#define CTRL_RST      (1u << 26)
#define STATUS_LU     (1u << 1)
#define CTRL_EXT_EIAME   (1u << 24)
#define CTRL_EXT_DRV_LOAD (1u << 28)
#define CTRL_EXT_PBA_CLR (1u << 31)

#define INT_TXDW      (1u << 0)
#define INT_LSC       (1u << 2)
#define INT_RXDMT0    (1u << 4)
#define INT_RXO       (1u << 6)
#define INT_RXT0      (1u << 7)
#define INT_RXQ0      (1u << 20)    /* causes of MSI-X */
#define INT_TXQ0      (1u << 22)
#define INT_OTHER     (1u << 24)
#define INT_LINE      (INT_TXDW | INT_LSC | INT_RXDMT0 | INT_RXO | INT_RXT0)
#define INT_VECTOR    (INT_RXQ0 | INT_TXQ0 | INT_OTHER | INT_LSC)
/* All three causes to vector 0; bit 31: an interrupt for each write-back. */
#define IVAR_ALL_TO_0 (1u << 3 | 1u << 11 | 1u << 19 | 1u << 31)

#define RCTL_EN       (1u << 1)
#define RCTL_UPE      (1u << 3)
#define RCTL_MPE      (1u << 4)
#define RCTL_BAM      (1u << 15)
#define RCTL_SECRC    (1u << 26)    /* strip the frame check sequence; buffer size 2048 is 0 */
#define TCTL_EN       (1u << 1)
#define TCTL_PSP      (1u << 3)
#define TCTL_CT       (0x0fu << 4)
#define TCTL_COLD     (0x3fu << 12)
#define TIPG_DEFAULT  (8u | 8u << 10 | 6u << 20)
#define RAH_AV        (1u << 31)

#define RING   256
#define POSTED 128                  /* receive buffers that the card has */

struct rx_desc {
    uint64_t addr;
    uint16_t len, csum;
    uint8_t status, errors;
    uint16_t special;
};
#define RXD_DD   1
#define RXD_EOP  2
#define RXD_ERRORS 0x97             /* CRC, symbol, sequence, carrier extension, data */

struct tx_desc {
    uint64_t addr;
    uint16_t len;
    uint8_t cso, cmd, status, css;
    uint16_t special;
};
#define TXD_CMD_EOP  1
#define TXD_CMD_IFCS 2
#define TXD_CMD_RS   8
#define TXD_DD       1

struct e1000e {
    struct port port;
    volatile uint8_t *regs;
    struct pci_irq irq;
    struct work work;
    struct rx_desc *rx;
    struct tx_desc *tx;
    /* Indices run free. */
    uint32_t rx_filled, rx_taken;
    uint32_t tx_added, tx_told, tx_done;
    bool rx_drop;                   /* in the middle of a frame that is too long */
    struct frame *rx_frame[RING];
    struct frame *tx_frame[RING];
};

static uint32_t rd(const struct e1000e *e, unsigned int reg)
{
    return *(volatile uint32_t *)(volatile void *)(e->regs + reg);
}

static void wr(struct e1000e *e, unsigned int reg, uint32_t v)
{
    *(volatile uint32_t *)(volatile void *)(e->regs + reg) = v;
}

/* Receiving --------------------------------------------------------------------------------- */

static void refill(struct e1000e *e)
{
    uint32_t before = e->rx_filled;

    while (e->rx_filled - e->rx_taken < POSTED) {
        struct frame *f = frame_new(&e->port);

        if (!f)
            break;
        e->rx[e->rx_filled % RING] = (struct rx_desc){ .addr = virt_to_maddr(f->head) };
        e->rx_frame[e->rx_filled++ % RING] = f;
    }
    if (before == e->rx_filled)
        return;
    smp_wmb();                      /* descriptors before the tail */
    wr(e, RDT, e->rx_filled % RING);
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

/* Sending ----------------------------------------------------------------------------------- */

static void reclaim(struct e1000e *e)
{
    while (e->tx_done != e->tx_told) {
        unsigned int i = e->tx_done % RING;

        if (!(load_acquire(&e->tx[i].status) & TXD_DD))
            return;
        frame_put(e->tx_frame[i]);
        e->tx_frame[i] = NULL;
        e->tx_done++;
    }
}

static bool e1000e_send(struct port *p, struct frame *f)
{
    struct e1000e *e = container_of(p, struct e1000e, port);
    unsigned int i = e->tx_added % RING;

    /* One descriptor stays free: a full ring would look empty. */
    if (e->tx_added - e->tx_done >= RING - 1)
        reclaim(e);
    if (e->tx_added - e->tx_done >= RING - 1)
        return false;
    frame_get(f);
    e->tx_frame[i] = f;
    e->tx[i] = (struct tx_desc){ .addr = virt_to_maddr(f->head), .len = f->len,
                                 .cmd = TXD_CMD_EOP | TXD_CMD_IFCS | TXD_CMD_RS };
    e->tx_added++;
    p->stats.tx_frames++;
    p->stats.tx_bytes += f->len;
    return true;
}

static void e1000e_flush(struct port *p)
{
    struct e1000e *e = container_of(p, struct e1000e, port);

    if (e->tx_told != e->tx_added) {
        e->tx_told = e->tx_added;
        smp_wmb();
        wr(e, TDT, e->tx_added % RING);
    }
    reclaim(e);
}

/* Interrupts -------------------------------------------------------------------------------- */

static uint32_t causes(const struct e1000e *e)
{
    return e->irq.kind == PCI_IRQ_MSIX ? INT_VECTOR : INT_LINE;
}

static void work_fn(struct work *w)
{
    struct e1000e *e = container_of(w, struct e1000e, work);

    nic_link(&e->port, rd(e, STATUS) & STATUS_LU);
    reclaim(e);
    if (receive(e) == NIC_TURN)
        work_queue(w);
    else
        wr(e, IMS, causes(e));      /* what came meanwhile interrupts at once */
    if (e->port.nr_waiting || e->port.stalled)
        port_room(&e->port);
}

static void irq_fn(void *arg)
{
    struct e1000e *e = arg;

    /* Reading acknowledges. Zero: somebody else's, on a line that is shared. */
    if (!rd(e, ICR) && e->irq.kind == PCI_IRQ_INTX)
        return;
    wr(e, IMC, ~0u);
    work_queue(&e->work);
}

/* Coming up --------------------------------------------------------------------------------- */

static void reset(struct e1000e *e)
{
    wr(e, IMC, ~0u);
    wr(e, RCTL, 0);
    wr(e, TCTL, 0);
    wr(e, CTRL, rd(e, CTRL) | CTRL_RST);
    for (unsigned int i = 0; i < 100 && (rd(e, CTRL) & CTRL_RST || i < 2); i++)
        delay_us(10);
    wr(e, IMC, ~0u);
    (void)rd(e, ICR);
}

static void read_mac(struct e1000e *e)
{
    uint32_t lo = rd(e, RAL0), hi = rd(e, RAH0);

    for (unsigned int i = 0; i < 4; i++)
        e->port.mac[i] = (uint8_t)(lo >> 8 * i);
    e->port.mac[4] = (uint8_t)hi;
    e->port.mac[5] = (uint8_t)(hi >> 8);
}

static void start_rings(struct e1000e *e)
{
    paddr_t rx = virt_to_maddr(e->rx), tx = virt_to_maddr(e->tx);

    for (unsigned int i = 0; i < 128; i++)
        wr(e, MTA + 4 * i, 0);
    wr(e, RDBAL, (uint32_t)rx);
    wr(e, RDBAH, (uint32_t)(rx >> 32));
    wr(e, RDLEN, RING * sizeof(struct rx_desc));
    wr(e, RDH, 0);
    wr(e, RDT, 0);
    wr(e, TDBAL, (uint32_t)tx);
    wr(e, TDBAH, (uint32_t)(tx >> 32));
    wr(e, TDLEN, RING * sizeof(struct tx_desc));
    wr(e, TDH, 0);
    wr(e, TDT, 0);
    wr(e, RXCSUM, 0);
    wr(e, TIPG, TIPG_DEFAULT);
    wr(e, TCTL, TCTL_EN | TCTL_PSP | TCTL_CT | TCTL_COLD);
    /* All unicast and multicast: there are others behind this port. */
    wr(e, RCTL, RCTL_EN | RCTL_UPE | RCTL_MPE | RCTL_BAM | RCTL_SECRC);
}

static int start_irq(struct e1000e *e, struct pci_dev *pci)
{
    const event_fn fn[1] = { irq_fn };
    void *const arg[1] = { e };
    int rc = pci_irq_alloc(pci, &e->irq, 1, fn, arg);

    if (rc < 1)
        return rc < 0 ? rc : -XEN_ENODEV;
    if (e->irq.kind == PCI_IRQ_MSIX) {
        wr(e, IVAR, IVAR_ALL_TO_0);
        wr(e, EIAC, INT_RXQ0 | INT_TXQ0);
        wr(e, CTRL_EXT, rd(e, CTRL_EXT) | CTRL_EXT_PBA_CLR | CTRL_EXT_EIAME);
    }
    wr(e, ITR, 0);
    return 0;
}

static int bring_up(struct e1000e *e, struct pci_dev *pci)
{
    int rc;

    pci_enable(pci);
    e->regs = pci_map_bar(pci, 0, 0, REGS_LEN);
    e->rx = page_alloc_zeroed();
    e->tx = page_alloc_zeroed();
    if (!e->regs || !e->rx || !e->tx)
        return -XEN_ENOMEM;
    reset(e);
    read_mac(e);
    wr(e, CTRL_EXT, rd(e, CTRL_EXT) | CTRL_EXT_DRV_LOAD);
    wr(e, CTRL, rd(e, CTRL) | CTRL_SLU | CTRL_ASDE | CTRL_FD);
    start_rings(e);
    rc = start_irq(e, pci);
    if (rc)
        reset(e);
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
    e->port.caps = PORT_UPLINK;
    e->port.send = e1000e_send;
    e->port.flush = e1000e_flush;
    work_init(&e->work, work_fn);
    rc = bring_up(e, pci);
    if (rc) {
        log_error("%s: e1000e: cannot be started: error %d", name, rc);
        return rc == -XEN_ENODEV ? -XEN_EIO : rc;
    }
    pci->claimed = true;
    e->port.up = rd(e, STATUS) & STATUS_LU;
    refill(e);
    wr(e, IMS, causes(e));
    *port = &e->port;
    log_info("%s: e1000e, %02x:%02x:%02x:%02x:%02x:%02x%s", name, e->port.mac[0], e->port.mac[1],
             e->port.mac[2], e->port.mac[3], e->port.mac[4], e->port.mac[5],
             e->port.up ? "" : ", no link yet");
    return 0;
}
