/* SPDX-License-Identifier: MIT */
/*
 * virtio.h - modern virtio over PCI (virtio 1.x), split virtqueues.
 *
 * A driver: virtio_open(), virtio_negotiate(), virtq_init() for each queue, virtio_irqs(),
 * virtio_ready(); then virtq_add()/virtq_kick()/virtq_next_used(). Devices are trusted like
 * hardware, but indices they write are checked all the same.
 */
#ifndef RUNTIME_VIRTIO_H
#define RUNTIME_VIRTIO_H

#include "lib/list.h"
#include "runtime/pci.h"

#define VIRTIO_F_INDIRECT_DESC   28
#define VIRTIO_F_EVENT_IDX       29
#define VIRTIO_F_VERSION_1       32
#define VIRTIO_F_ACCESS_PLATFORM 33

#define VIRTIO_BIT(n) (1UL << (n))

#define VIRTIO_IRQS 8

struct virtio_dev {
    struct pci_dev *pci;
    volatile uint8_t *common;       /* struct virtio_pci_common_cfg */
    volatile uint8_t *isr;
    volatile uint8_t *config;       /* device-specific; NULL when there is none */
    uint32_t config_len;
    volatile uint8_t *notify;
    uint32_t notify_len, notify_mult;
    uint64_t features;              /* what was negotiated */
    uint16_t nr_queues;
    struct pci_irq irqs[VIRTIO_IRQS];
    event_fn fn[VIRTIO_IRQS];       /* their handlers */
    void *arg[VIRTIO_IRQS];
    unsigned int nr_irqs;
    uint16_t config_vector;         /* MSI-X entry of configuration changes, or none */
};

/* Resets the device, acknowledges it and maps its structures. 0; -XEN_ENODEV: not a modern one. */
int virtio_open(struct virtio_dev *v, struct pci_dev *pci);
void virtio_close(struct virtio_dev *v);            /* resets the device */

/* Something is wrong with it: -XEN_ENODEV it is gone, -XEN_EIO it asks to be reset; else 0. */
int virtio_health(struct virtio_dev *v);

/*
 * Resets a device that was in use and agrees on the same features again; then virtq_restart() for
 * each queue, and virtio_ready(). When it fails the device may still be busy with its memory.
 */
int virtio_restart(struct virtio_dev *v);

/* want: features to ask for (VERSION_1 is added). v->features gets what both have. */
int virtio_negotiate(struct virtio_dev *v, uint64_t want);
uint64_t virtio_offered(struct virtio_dev *v);

uint8_t virtio_cfg8(struct virtio_dev *v, unsigned int off);
uint16_t virtio_cfg16(struct virtio_dev *v, unsigned int off);
uint32_t virtio_cfg32(struct virtio_dev *v, unsigned int off);
uint64_t virtio_cfg64(struct virtio_dev *v, unsigned int off);

struct virtq_buf {
    paddr_t addr;                   /* machine address */
    uint32_t len;
};

struct virtq {
    struct virtio_dev *dev;
    uint16_t index, size;           /* size: descriptors, a power of two */
    uint16_t vector;                /* MSI-X entry, or none */
    uint16_t nr_free, free_head;    /* free descriptors are linked by next */
    uint16_t avail_idx;             /* ours, published at kick */
    uint16_t kicked_idx;            /* avail_idx at the last kick */
    uint16_t used_idx;              /* next used entry to take */
    struct virtq_desc *desc;
    struct virtq_avail *avail;
    struct virtq_used *used;
    volatile uint16_t *doorbell;
    void **cookie;                  /* per head descriptor: what virtq_add was given */
    uint16_t *chain_len;            /* per head descriptor: descriptors of the chain */
    bool event_idx;
    bool broken;                    /* the device returned what it had not: nothing is taken before virtq_restart() */
    /* For a second look before the loop sleeps; virtio.c. */
    struct list link;
    uint16_t sure_idx;              /* up to here the device knows for certain */
    bool irq_on;
    event_fn fn;
    void *arg;
};

/* Sets queue `index` up with at most max_size descriptors. Interrupt: entry `irq` (0 when fewer
 * were allocated), after virtio_irqs(). */
int virtq_init(struct virtq *q, struct virtio_dev *v, uint16_t index, uint16_t max_size,
               unsigned int irq);
void virtq_destroy(struct virtq *q);

/* The device has been reset: gives the cookie of one chain that was in the queue back; NULL: there are no more. */
void *virtq_take_back(struct virtq *q);

/* Sets it up again after virtio_restart(), empty; cookies that were in it are forgotten. */
int virtq_restart(struct virtq *q);

/* Interrupts of the device, handlers as for pci_irq_alloc(); before virtq_init(). Returns how
 * many there are. With INTx, handler 0 is called for all queues. */
int virtio_irqs(struct virtio_dev *v, unsigned int want, const event_fn *fn, void *const *arg);

/* Changes of the configuration raise interrupt `irq`, too (not only with MSI-X: there they do anyway). */
void virtio_config_irq(struct virtio_dev *v, unsigned int irq);

/* DRIVER_OK. */
void virtio_ready(struct virtio_dev *v);

/*
 * Offers one chain: nr_out buffers the device reads, then nr_in it writes. cookie comes back with
 * the chain and is not NULL. -XEN_ENOSPC when there are not enough descriptors. The device learns
 * of it at virtq_kick().
 */
int virtq_add(struct virtq *q, const struct virtq_buf *bufs, unsigned int nr_out,
              unsigned int nr_in, void *cookie);

/*
 * The same through an indirect table, which takes one descriptor of the queue however long the chain
 * is. table: memory of the caller's for nr_out + nr_in entries of VIRTQ_DESC_BYTES, inside of one
 * page; the device's until the chain comes back. Only with VIRTIO_F_INDIRECT_DESC.
 */
#define VIRTQ_DESC_BYTES 16u
int virtq_add_indirect(struct virtq *q, void *table, const struct virtq_buf *bufs,
                       unsigned int nr_out, unsigned int nr_in, void *cookie);

/* Publishes what was added; rings the doorbell if the device wants it. */
void virtq_kick(struct virtq *q);

/* Takes one finished chain: its cookie and the bytes written; NULL when there is none, or the queue is broken. */
void *virtq_next_used(struct virtq *q, uint32_t *written);

/* Interrupts off and on. Enable returns true when something is already waiting; never of a broken queue. */
void virtq_irq_disable(struct virtq *q);
bool virtq_irq_enable(struct virtq *q);

/*
 * A second look after virtq_kick() and virtq_irq_enable(), taken by itself before the loop sleeps: rings a doorbell
 * that should have been rung; true when something is there that interrupts were on for. Once for each enabling.
 */
bool virtq_look_again(struct virtq *q);

#endif
