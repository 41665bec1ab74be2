/* SPDX-License-Identifier: MIT */
/* nic.h - drivers of physical network cards, each in a file of drv/; nic.c tries them. */
#ifndef NETBACK_NIC_H
#define NETBACK_NIC_H

#include "runtime/loop.h"
#include "runtime/pagetable.h"
#include "runtime/pci.h"
#include "runtime/port.h"
#include "runtime/time.h"

#define NIC_TURN 64         /* frames that a driver takes from its card in one turn */
#define NIC_REFILL_NS (10 * NS_PER_MS)  /* without memory for all of a card's receive buffers: when to try again */

/*
 * A probe function: 0 when it took the device and its port can join; -XEN_ENODEV: not for this
 * driver; else it should have been, and why not was logged. name is what the port is to be called.
 */
int virtio_net_probe(struct pci_dev *pci, const char *name, struct port **port);
int e1000e_probe(struct pci_dev *pci, const char *name, struct port **port);

/* Where a fragment is for the card. */
static inline paddr_t nic_maddr(const struct frag *g)
{
    return g->kind == FRAG_DMA ? g->maddr : virt_to_maddr(g->va);
}

/*
 * Looks whether a card sends what it was given: one that has sent nothing for NIC_TIMEOUT seconds (nic_timeout= on the command
 * line) still reads frames whose senders wait for them. hung() resets it; the memory of what it had may be used
 * again only after that.
 */
#define NIC_TIMEOUT 5

struct nic_watch {
    struct timer timer;
    struct port *port;
    void (*look)(struct nic_watch *w);
    void (*hung)(struct nic_watch *w);
    uint32_t sent, done;            /* frames */
    uint32_t seen;                  /* done at `since` */
    uint64_t since;
    uint64_t logged;                /* when a reset was last logged */
    bool wrong;                     /* it is to be reset whatever it sends */
    bool lost;
};

/* look(), if not NULL: takes back what the card has sent without having said so. */
void nic_watch_init(struct nic_watch *w, struct port *port, void (*look)(struct nic_watch *w),
                    void (*hung)(struct nic_watch *w));
void nic_watch_start(struct nic_watch *w);

/* A frame was given to the card; the card, or a reset, has given it back. */
static inline void nic_watch_sent(struct nic_watch *w)
{
    w->sent++;
    if (unlikely(!timer_is_set(&w->timer)))
        nic_watch_start(w);
}

static inline void nic_watch_done(struct nic_watch *w)
{
    w->done++;
}

/* The card does what no card does: it is reset within a second. To be called from anywhere, as often as one likes. */
void nic_watch_wrong(struct nic_watch *w);

/* It does not come back from a reset: its port stays down. */
void nic_lost(struct port *port, struct nic_watch *w);

/* The card's link is up or down now. */
void nic_link(struct port *port, bool up);

#endif
