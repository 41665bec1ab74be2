/* SPDX-License-Identifier: MIT */
/*
 * driver.h - what the files of this driver share.
 *
 * main.c is the network device and its life in the store, ring.c and tx.c move frames, pool.c owns the pages whose
 * frames are flipped and their grants.
 */
#ifndef SLUICE_NETFRONT_DRIVER_H
#define SLUICE_NETFRONT_DRIVER_H

#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <xen/xenbus.h>
#include <xen/grant_table.h>
#include <xen/interface/grant_table.h>
#include <asm/xen/page.h>

#include "sluice/flip.h"
#include "sluice/netflip.h"

/*
 * Pages come in chunks of 64 KiB, each one compound page of the kernel's, so that what a frame brings to consecutive pages of
 * one is one fragment for the stack.
 */
#define CHUNK_ORDER	4
#define CHUNK_PAGES	(1u << CHUNK_ORDER)
#define RX_CHUNKS	32u
#define RX_PAGES	(RX_CHUNKS * CHUNK_PAGES)
#define TX_CHUNKS	16u
#define TX_PAGES	(TX_CHUNKS * CHUNK_PAGES)
#define MAX_CHUNKS	RX_CHUNKS

struct chunk {
	struct page *page;
	void *va;
	unsigned long pfn;
	const pte_t *pte;	/* of its first page; the others follow, all in one table */
};

/*
 * Pages that stay where they are while the frames behind them change: windows of the hypervisor's, one for each
 * row of chunks side by side. Page i is in chunk[i / CHUNK_PAGES] and has grant reference first_ref + i and entry[i], whose
 * frame is the page's unless it is on offer. The pool has a reference of its own to each chunk, so one that the
 * network stack has let go of is a chunk with a count of one.
 */
struct pool {
	unsigned int nr_chunks;
	struct chunk chunk[MAX_CHUNKS];
	grant_ref_t first_ref;
	struct grant_entry_v1 *entry;
	unsigned int nr_windows;
	u32 window[MAX_CHUNKS];
};

int grants_init(void);
void grants_exit(void);
/* Around the domain's suspend, interrupts off. After it: is it still the same table, as no other domain took over? */
void grants_suspend(void);
bool grants_resume(void);
/* Entry ref of the grant table, for good. */
struct grant_entry_v1 *grants_entry(grant_ref_t ref);

int pool_init(struct pool *p, unsigned int nr_chunks);
/* What the stack still has it frees itself; what the backend would not let go is never freed. */
void pool_exit(struct pool *p);
/* Around the domain's suspend. No flip is under way in between. */
void pool_suspend(struct pool *p);
void pool_resume(struct pool *p);
bool flips_available(void);

static inline void *pool_va(const struct pool *p, unsigned int i)
{
	return p->chunk[i / CHUNK_PAGES].va + i % CHUNK_PAGES * PAGE_SIZE;
}

/* The page is the backend's, to be flipped or copied. */
static inline void pool_offer(struct pool *p, unsigned int i, domid_t dom)
{
	BUILD_BUG_ON(offsetof(struct grant_entry_v1, domid) != 2);
	smp_store_release((u32 *)&p->entry[i], (u32)dom << 16 | GTF_permit_access | SLUICE_GTF_flip);
}

/* Writes to it since it came, by a flip, are possible. */
static inline bool pool_written(const struct chunk *c, unsigned int i)
{
	return native_pte_val(READ_ONCE(c->pte[i])) & _PAGE_DIRTY;
}

/* Has not been flipped, as it seems: takes it back, or sees that it just was. As pool_take(). */
int pool_take_back(struct pool *p, unsigned int i);

/*
 * It comes back: 1 flipped, 0 not, -EBUSY the backend would not let go. A flip has changed the page's entry in the direct map and
 * the M2P; the P2M is the kernel's own memory, and is set here.
 */
static inline int pool_take(struct pool *p, unsigned int i)
{
	if (unlikely(smp_load_acquire(&p->entry[i].flags)))
		return pool_take_back(p, i);
	xen_p2m_addr[p->chunk[i / CHUNK_PAGES].pfn + i % CHUNK_PAGES] = p->entry[i].frame;
	return 1;
}

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
	u16 tx_free[TX_PAGES];	/* a ring, in the order in which they came back: mostly side by side */
	u32 tx_free_first, tx_free_end;
	bool tx_out[TX_PAGES];

	/* Receive, from NAPI. */
	struct pool pool;
	u32 rx_cons, rx_ref_prod;
	unsigned int nr_posted;		/* pages that the backend has */
	u16 posted[RX_CHUNKS];		/* bit i: page i of the chunk is one of them */
	bool lent[RX_CHUNKS];		/* the stack got a part of it since it was posted */
	unsigned int nr_lent;
	bool stale[RX_CHUNKS];		/* what is in there came from another backend */
	u8 idle[RX_CHUNKS];		/* a ring: nothing of it is posted; oldest first; some the stack still has */
	u32 idle_first, idle_end;
	domid_t backend;	/* the one before */

	/* Taken back while the domain is suspended. */
	u16 rx_held[RX_CHUNKS], tx_held[TX_CHUNKS];
	struct list_head link;	/* of all vifs */

	u64 rx_flipped, rx_copied, rx_lost, tx_back, tx_copied;	/* tx_back: pages, copied ones included */
};

#define NEVER		0x40000000u	/* an event index that is not reached */

/* Moves an index of ours; true: the other side asked to be told. */
static inline bool publish(u32 *index, const u32 *event, u32 old, u32 new)
{
	smp_store_release(index, new);
	smp_mb();
	return new - READ_ONCE(*event) < new - old;
}

/* tx.c; but for vif_xmit() the queue's lock is held. */
netdev_tx_t vif_xmit(struct sk_buff *skb, struct net_device *net);
void tx_put_free(struct vif *v, u16 i);
void tx_reap(struct vif *v);
void tx_arm(struct vif *v);
bool tx_has_room(const struct vif *v, unsigned int pages);

/* ring.c */
/* Nothing moves any more until the backend begins anew. */
void vif_broken(struct vif *v, const char *what);
int vif_poll(struct napi_struct *napi, int budget);
irqreturn_t vif_interrupt(int irq, void *arg);
/* Of a new vif: all pages are free. */
void ring_init(struct vif *v);
/* Fresh rings: all pages are free, but those that an earlier backend would not let go, then offered. */
void ring_start(struct vif *v);
/* The backend is gone: takes everything back. */
void ring_stop(struct vif *v);
/* Around the domain's suspend, interrupts off: nothing is on offer in between. same: the backends are still there. */
void ring_suspend(struct vif *v);
void ring_resume(struct vif *v, bool same);

#endif
