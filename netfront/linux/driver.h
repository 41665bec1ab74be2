/* SPDX-License-Identifier: MIT */
/*
 * driver.h - what the files of this driver share.
 *
 * main.c is the network device and its life in the store, ring.c both rings' life, rx.c and tx.c move frames, pool.c owns the
 * pages whose frames are flipped and their grants, offer.c takes them back.
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
	/* What the backend has of each chunk; never both. */
	u16 out[MAX_CHUNKS];	/* bit i: page i, by itself */
	u8 extent[MAX_CHUNKS];	/* so many pages, from the first on, as an extent */
	u16 held[MAX_CHUNKS];	/* bit i: page i was taken back while the domain is suspended */
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

static inline u32 offer_word(domid_t dom)
{
	BUILD_BUG_ON(sizeof(struct grant_entry_v1) != 8 || offsetof(struct grant_entry_v1, domid) != 2);
	return (u32)dom << 16 | GTF_permit_access | SLUICE_GTF_flip;
}

/* Pages from i on, of one chunk, are the backend's, to be flipped or copied one by one. */
static inline void pool_offer(struct pool *p, unsigned int i, unsigned int n, domid_t dom)
{
	u32 *word = (u32 *)&p->entry[i], offer = offer_word(dom);
	unsigned int k;

	for (k = 0; k < n; k++)
		smp_store_release(&word[2 * k], offer);
	p->out[i / CHUNK_PAGES] |= ((1u << n) - 1) << i % CHUNK_PAGES;
}

static __always_inline void offer_others(u32 *word, unsigned int n, u32 offer)
{
	unsigned int k;

#pragma GCC unroll 16
	for (k = n - 1; k; k--)
		WRITE_ONCE(word[2 * k], offer);
}

/* The first n pages of a chunk, all at once: the first entry is written last, and speaks for the others. */
static inline void pool_offer_extent(struct pool *p, unsigned int c, unsigned int n, domid_t dom)
{
	u32 *word = (u32 *)&p->entry[c * CHUNK_PAGES], offer = offer_word(dom);

	if (likely(n == CHUNK_PAGES))
		offer_others(word, CHUNK_PAGES, offer);
	else
		offer_others(word, n, offer);
	smp_store_release(word, offer | SLUICE_GTF_flip_more(n - 1));
	p->extent[c] = n;
}

/* Has the backend nothing of the chunk? */
static inline bool pool_is_whole(const struct pool *p, unsigned int c)
{
	return !p->out[c] && !p->extent[c];
}

/* Writes to it since it came, by a flip, are possible. */
static inline bool pool_written(const struct chunk *c, unsigned int i)
{
	return native_pte_val(READ_ONCE(c->pte[i])) & _PAGE_DIRTY;
}

static inline bool chunk_written(const struct chunk *c)
{
	pteval_t any = 0;
	unsigned int k;

#pragma GCC unroll 16
	for (k = 0; k < CHUNK_PAGES; k++)
		any |= native_pte_val(READ_ONCE(c->pte[k]));
	return any & _PAGE_DIRTY;
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

/* The frames that are there now; in the lower bits, flags that are not 0. */
static __always_inline u64 note_frames(const u64 *entry, unsigned long *p2m, unsigned int n)
{
	u64 flags = 0;
	unsigned int k;

#pragma GCC unroll 16
	for (k = 0; k < n; k++) {
		u64 e = READ_ONCE(entry[k]);

		flags |= e;
		p2m[k] = e >> 32;
	}
	return flags;
}

/* offer.c: the same, whatever there is to say against it. */
int pool_take_each(struct pool *p, unsigned int c);

/*
 * The extent of a chunk comes back, of which the first n pages were used. Returns how many of its pages were flipped; -EBUSY: the
 * backend would not let go of some, or of its first and so of all, and they stay its own.
 */
static inline int pool_take_extent(struct pool *p, unsigned int c, unsigned int n)
{
	const u64 *entry = (const u64 *)&p->entry[c * CHUNK_PAGES];
	unsigned long *p2m = &xen_p2m_addr[p->chunk[c].pfn];
	u64 flags = smp_load_acquire(entry);

	/* When the first was flipped, so were the others of those that were used, or they are still on offer. */
	if (unlikely((u16)flags || n != p->extent[c]))
		return pool_take_each(p, c);
	if (likely(n == CHUNK_PAGES))
		flags = note_frames(entry, p2m, CHUNK_PAGES);
	else
		flags = note_frames(entry, p2m, n);
	if (unlikely((u16)flags))
		return pool_take_each(p, c);
	p->extent[c] = 0;
	return n;
}

/* Everything comes back, but what the backend would not let go. */
void pool_take_all(struct pool *p);
/* Around the domain's suspend: what is on offer is taken back; what was, is offered again. */
void pool_hold(struct pool *p);
void pool_offer_held(struct pool *p, domid_t dom);
/* Nobody has any of it: the backend is gone, with the grant table. */
void pool_forget(struct pool *p);

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
	bool extents;		/* the backend has them */

	/* Transmit, under the queue's lock. */
	struct pool tx_pool;
	u32 tx_prod, tx_sent, tx_cons, tx_ref_cons, tx_ext_cons;
	u16 tx_free;		/* bit c: chunk c is free */
	u8 tx_at, tx_left;	/* the chunk that is given out page by page, and how many are left of it */
	unsigned int tx_pages, tx_extents;	/* that the backend has */

	/* Receive, from NAPI. */
	struct pool pool;
	u32 rx_cons, rx_ref_prod, rx_ext_prod;
	unsigned int nr_posted, nr_extents;	/* pages by themselves, and extents, that the backend has */
	unsigned int rx_pages;		/* so many of the former it should have */
	bool lent[RX_CHUNKS];		/* the stack got a part of it since it was posted */
	unsigned int nr_lent;
	bool stale[RX_CHUNKS];		/* what is in there came from another backend */
	u8 idle[RX_CHUNKS];		/* a ring: nothing of it is posted; oldest first; some the stack still has */
	u32 idle_first, idle_end;
	domid_t backend;	/* the one before */

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

/* tx.c; but for vif_xmit() the queue's lock is held, or nothing is sent. */
netdev_tx_t vif_xmit(struct sk_buff *skb, struct net_device *net);
void tx_reap(struct vif *v);
/* Events for what was sent, if the queue waits for it. */
void tx_arm(struct vif *v);
/* Does the queue wait, and has some of it come back? */
bool tx_is_due(const struct vif *v);
/* For any frame? */
static inline bool tx_has_room(const struct vif *v)
{
	BUILD_BUG_ON(NETFLIP_FRAME_MAX > CHUNK_PAGES * PAGE_SIZE);
	return v->tx_free && v->tx_prod - v->tx_cons + netflip_slots(NETFLIP_INLINE_MAX, CHUNK_PAGES) <= NETFLIP_SLOTS;
}
/* What of the pool the backend has was changed: finds out what is free. */
void tx_restart(struct vif *v);

/* rx.c; from NAPI, or nothing is received. */
int rx_poll(struct vif *v, int budget);
void rx_post(struct vif *v);
/* As tx_restart(). */
void rx_restart(struct vif *v);

/* ring.c */
/* Nothing moves any more until the backend begins anew. */
void vif_broken(struct vif *v, const char *what);
int vif_poll(struct napi_struct *napi, int budget);
irqreturn_t vif_interrupt(int irq, void *arg);
/* Fresh rings: all pages are free, but those that an earlier backend would not let go, then offered. */
void ring_start(struct vif *v);
/* The backend is gone, or there was none: takes everything back. */
void ring_stop(struct vif *v);
/* Around the domain's suspend, interrupts off: nothing is on offer in between. same: the backends are still there. */
void ring_suspend(struct vif *v);
void ring_resume(struct vif *v, bool same);

#endif
