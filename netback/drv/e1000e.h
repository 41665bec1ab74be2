/* SPDX-License-Identifier: MIT */
/* e1000e.h - what the files of the 82574L's driver share: registers, descriptors, the card. */
#ifndef NETBACK_DRV_E1000E_H
#define NETBACK_DRV_E1000E_H

#include "netback/csum.h"
#include "netback/nic.h"
#include "runtime/loop.h"

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

/* Data, or for a context where to do checksums (then `addr` is more of that). */
struct tx_desc {
    uint64_t addr;
    uint32_t lower, upper;
};
#define TXD_LEN      0x000fffffu
#define TXD_DATA     (1u << 20)
#define TXD_EOP      (1u << 24)
#define TXD_IFCS     (1u << 25)
#define TXD_RS       (1u << 27)
#define TXD_DEXT     (1u << 29)
#define TXD_CTX_TCP  (1u << 24)
#define TXD_DD       1u         /* of upper */
#define TXD_TXSM     (2u << 8)

#define TX_HEADER 256               /* bytes for headers of a packet that was cut */

/* Transmission: e1000e_tx.c. Indices run free. */
struct e1000e_tx {
    struct tx_desc *ring;
    uint32_t added, told, done;
    uint32_t context;               /* the card's checksum context; 0: none */
    struct {
        struct frame *frame;        /* a reference */
        uint32_t end;               /* index behind its last descriptor */
    } packet[RING];                 /* by first descriptor */
    uint8_t *header[RING / (PAGE_SIZE / TX_HEADER)];    /* pages, TX_HEADER for each descriptor */

    /* A frame of which some packets are still to be made. */
    struct frame *cut;              /* a reference */
    struct gso gso;
    uint32_t next;
    unsigned int piece, at;         /* where in it: byte `at` behind the headers (0), or of frags[piece - 1] */
};

struct e1000e {
    struct port port;
    struct pci_dev *pci;
    volatile uint8_t *regs;
    struct pci_irq irq;
    struct work work;
    struct timer refill_timer;
    struct nic_watch watch;
    struct rx_desc *rx;
    uint32_t rx_filled, rx_taken;   /* run free */
    bool rx_drop;                   /* in the middle of a frame that is too long */
    struct frame *rx_frame[RING];
    struct e1000e_tx tx;
};

static inline uint32_t e1000e_rd(const struct e1000e *e, unsigned int reg)
{
    return *(volatile uint32_t *)(volatile void *)(e->regs + reg);
}

static inline void e1000e_wr(struct e1000e *e, unsigned int reg, uint32_t v)
{
    *(volatile uint32_t *)(volatile void *)(e->regs + reg) = v;
}

/* Memory. 0 or a negative error. */
int e1000e_tx_init(struct e1000e *e);

/* As port.send. */
bool e1000e_tx_send(struct port *p, struct frame *f);

/* Lets go of what the card has sent, and goes on where there was no room. */
void e1000e_tx_reclaim(struct e1000e *e);

/* The card learns of what was added. */
void e1000e_tx_tell(struct e1000e *e);

/* The card has been reset, or can reach memory no more: forgets all that it had. */
void e1000e_tx_drop(struct e1000e *e);

#endif
