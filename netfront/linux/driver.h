/* SPDX-License-Identifier: MIT */
/*
 * driver.h - what the files of this driver share.
 *
 * main.c is the network device and its life in the store, ring.c moves frames, pool.c owns the pages whose
 * frames are flipped and their grants.
 */
#ifndef SLUICE_NETFRONT_DRIVER_H
#define SLUICE_NETFRONT_DRIVER_H

#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <xen/xenbus.h>
#include <xen/grant_table.h>
#include <xen/interface/grant_table.h>

#include "sluice/flip.h"
#include "sluice/netflip.h"

#define RX_ORDER	9
#define RX_PAGES	(1u << RX_ORDER)	/* one L1 table's worth, contiguous in the direct map */
#define TX_ORDER	8
#define TX_PAGES	(1u << TX_ORDER)

/*
 * Pages that stay where they are while the frames behind them change: a window of the hypervisor's.
 * Page i has grant reference first_ref + i and entry[i]. The pool has a reference of its own to each
 * page, so one that the network stack has let go of is a page with a count of one.
 */
struct pool {
	struct page *pages;
	const pte_t *pte;	/* of its first page; the others follow, all in one table */
	unsigned int nr;
	grant_ref_t first_ref;
	struct grant_entry_v1 *entry;
	u32 window;
	bool has_window;
};

int grants_init(void);
void grants_exit(void);
/* Entry ref of the grant table, for good. */
struct grant_entry_v1 *grants_entry(grant_ref_t ref);

int pool_init(struct pool *p, unsigned int order);
/* What the stack still has it frees itself; what the backend would not let go is never freed. */
void pool_exit(struct pool *p);
bool flips_available(void);

static inline struct page *pool_page(const struct pool *p, unsigned int i)
{
	return p->pages + i;
}

/* The page is the backend's, to be flipped or copied. */
void pool_offer(struct pool *p, unsigned int i, domid_t dom);
/* Writes to it since it came, by a flip, are possible. */
static inline bool pool_written(const struct pool *p, unsigned int i)
{
	return native_pte_val(READ_ONCE(p->pte[i])) & _PAGE_DIRTY;
}
/* It comes back: 1 flipped, 0 not, -EBUSY the backend would not let go. */
int pool_take(struct pool *p, unsigned int i);

struct half {
	struct netflip_index *index;
	struct netflip_head *slot;
	grant_ref_t ref[NETFLIP_PAGES];
};

struct vif {
	struct net_device *net;
	struct xenbus_device *dev;
	struct napi_struct napi;
	evtchn_port_t port;
	int irq;
	bool rings;		/* there are some, that the backend was told of or will be */
	bool up;		/* and it has connected them */
	bool broken;		/* the backend broke the protocol: nothing moves any more */

	struct half tx, rx;

	/* Transmit, under the queue's lock. */
	struct pool tx_pool;
	u32 tx_prod, tx_sent, tx_cons, tx_ref_cons;
	u16 tx_free[TX_PAGES];
	unsigned int nr_tx_free;
	bool tx_out[TX_PAGES];

	/* Receive, from NAPI. */
	struct pool pool;
	u32 rx_cons, rx_ref_prod;
	unsigned int nr_posted;
	u16 lent[RX_PAGES];	/* pages that the stack has, oldest first: a ring */
	unsigned int lent_first, nr_lent;
	u16 free[RX_PAGES];
	unsigned int nr_free;
	bool posted[RX_PAGES];
	bool stale[RX_PAGES];	/* what is in there came from another backend */
	domid_t backend;	/* the one before */

	u64 rx_flipped, rx_copied, rx_lost, tx_flipped, tx_copied;
};

/* ring.c */
netdev_tx_t vif_xmit(struct sk_buff *skb, struct net_device *net);
int vif_poll(struct napi_struct *napi, int budget);
irqreturn_t vif_interrupt(int irq, void *arg);
/* Fresh rings: all pages are free, but those that an earlier backend would not let go, then offered. */
void ring_start(struct vif *v);
/* The backend is gone: takes everything back. */
void ring_stop(struct vif *v);

#endif
