// SPDX-License-Identifier: MIT
/*
 * tx.c - frames to the backend: the first bytes go into the slot, the rest is copied into pages that are flipped; TCP keeps its own
 * until they are acknowledged and so cannot give them away. Nothing but the frame is in what the backend sees.
 */
#include <linux/etherdevice.h>
#include <linux/mm.h>
#include <xen/events.h>

#include "driver.h"

/* Shorter ones go page by page, so that many can be under way: an extent takes a chunk. */
#define EXTENT_LEAST	4u	/* pages */
#define NO_CHUNK	TX_CHUNKS

/* Nothing of the chunk is out any more. */
static void tx_chunk_back(struct vif *v, unsigned int c)
{
	if (c == v->tx_at)
		v->tx_left = CHUNK_PAGES;
	else
		v->tx_free |= 1u << c;
}

/* A page that came back, ours again. False: it was not sent, or is still in use. */
static bool tx_page_back(struct vif *v, u32 i)
{
	struct pool *p = &v->tx_pool;
	unsigned int c = i / CHUNK_PAGES;
	int rc;

	if (unlikely(i >= TX_PAGES || !(p->out[c] & 1u << i % CHUNK_PAGES))) {
		vif_broken(v, "returns a page that was not sent");
		return false;
	}
	rc = pool_take(p, i);
	if (unlikely(rc < 0)) {
		vif_broken(v, "returns a page that it still uses");
		return false;
	}
	v->tx_copied += !rc;
	v->tx_back++;
	v->tx_pages--;
	p->out[c] &= ~(1u << i % CHUNK_PAGES);
	if (!p->out[c])
		tx_chunk_back(v, c);
	return true;
}

/* The same of an extent, which goes by its first page. */
static bool tx_extent_back(struct vif *v, u32 i)
{
	struct pool *p = &v->tx_pool;
	unsigned int c = i / CHUNK_PAGES, n;
	int rc;

	if (unlikely(i >= TX_PAGES || i % CHUNK_PAGES || !p->extent[c])) {
		vif_broken(v, "returns an extent that was not sent");
		return false;
	}
	n = p->extent[c];
	rc = pool_take_extent(p, c, n);
	if (unlikely(rc < 0)) {
		vif_broken(v, "returns an extent that it still uses");
		return false;
	}
	v->tx_copied += n - rc;
	v->tx_back += n;
	v->tx_extents--;
	tx_chunk_back(v, c);
	return true;
}

/* Queue's lock held. */
void tx_reap(struct vif *v)
{
	struct netflip_index *x = v->tx.index;
	u32 prod = smp_load_acquire(&x->ref_prod), ext_prod = smp_load_acquire(&x->ext_prod);
	u32 cons = smp_load_acquire(&x->slot_cons), first = v->tx_pool.first_ref;

	if (prod - v->tx_ref_cons > NETFLIP_REFS || ext_prod - v->tx_ext_cons > NETFLIP_EXTENTS ||
	    v->tx_sent - cons > NETFLIP_SLOTS) {
		vif_broken(v, "transmit index out of range");
		return;
	}
	v->tx_cons = cons;
	while (v->tx_ref_cons != prod && tx_page_back(v, READ_ONCE(x->ref[v->tx_ref_cons % NETFLIP_REFS]) - first))
		v->tx_ref_cons++;
	while (v->tx_ext_cons != ext_prod && tx_extent_back(v, READ_ONCE(x->ext[v->tx_ext_cons % NETFLIP_EXTENTS]) - first))
		v->tx_ext_cons++;
}

/* Who is not stopped looks when there is no room. Half of what is under way, so that they are few. */
void tx_arm(struct vif *v)
{
	struct netflip_index *x = v->tx.index;
	bool wait = netif_queue_stopped(v->net);

	WRITE_ONCE(x->ref_event, v->tx_ref_cons + (wait ? v->tx_pages / 2 + 1 : NEVER));
	WRITE_ONCE(x->ext_event, v->tx_ext_cons + (wait ? v->tx_extents / 2 + 1 : NEVER));
	WRITE_ONCE(x->cons_event, wait ? v->tx_cons + 1 : v->tx_sent + NEVER);
}

bool tx_is_due(const struct vif *v)
{
	const struct netflip_index *x = v->tx.index;

	return netif_queue_stopped(v->net) &&
	       (READ_ONCE(x->ref_prod) != v->tx_ref_cons || READ_ONCE(x->ext_prod) != v->tx_ext_cons ||
		READ_ONCE(x->slot_cons) != v->tx_cons);
}

void tx_restart(struct vif *v)
{
	unsigned int c;

	v->tx_at = NO_CHUNK;
	v->tx_left = 0;
	v->tx_free = 0;
	v->tx_pages = v->tx_extents = 0;
	for (c = 0; c < TX_CHUNKS; c++) {
		v->tx_pages += hweight16(v->tx_pool.out[c]);
		v->tx_extents += v->tx_pool.extent[c] != 0;
		if (pool_is_whole(&v->tx_pool, c))
			v->tx_free |= 1u << c;
	}
}

/* Where in a skb one reads. */
struct walk {
	const struct sk_buff *skb;
	const void *at;
	unsigned int left;		/* bytes there in one piece */
	unsigned int frag;		/* the piece after that */
};

static void walk_copy(struct walk *w, void *to, unsigned int len)
{
	while (len) {
		unsigned int n;

		if (!w->left) {
			const skb_frag_t *f = &skb_shinfo(w->skb)->frags[w->frag++];

			w->at = skb_frag_address(f);
			w->left = skb_frag_size(f);
		}
		n = min(len, w->left);
		memcpy(to, w->at, n);
		w->at += n;
		w->left -= n;
		to += n;
		len -= n;
	}
}

static u8 tx_flags(const struct sk_buff *skb)
{
	u8 flags = 0;

	if (skb->ip_summed == CHECKSUM_PARTIAL)
		flags |= NETFLIP_CSUM_BLANK;
	else if (skb->ip_summed == CHECKSUM_UNNECESSARY)
		flags |= NETFLIP_CSUM_VALID;
	if (skb_is_gso(skb))
		flags |= skb_shinfo(skb)->gso_type & SKB_GSO_TCPV4 ? NETFLIP_GSO_TCPV4 : NETFLIP_GSO_TCPV6;
	return flags;
}

static unsigned int tx_chunk(struct vif *v)
{
	unsigned int c = __ffs(v->tx_free);

	v->tx_free &= ~(1u << c);
	return c;
}

/* Copies the next bytes of a frame to pages from i on. */
static void tx_fill(struct vif *v, struct walk *w, unsigned int i, unsigned int len)
{
	void *va = pool_va(&v->tx_pool, i);

	walk_copy(w, va, len);
	/* Whatever was sent in it before may have been somebody else's. */
	if (len % PAGE_SIZE)
		memset(va + len, 0, PAGE_SIZE - len % PAGE_SIZE);
}

/* The rest of a frame as one extent. */
static void tx_put_extent(struct vif *v, struct walk *w, struct netflip_frag *to, unsigned int len)
{
	unsigned int c = tx_chunk(v);

	tx_fill(v, w, c * CHUNK_PAGES, len);
	pool_offer_extent(&v->tx_pool, c, DIV_ROUND_UP(len, PAGE_SIZE), v->dev->otherend_id);
	v->tx_extents++;
	*to = (struct netflip_frag){ v->tx_pool.first_ref + c * CHUNK_PAGES, 0, len };
}

/* The rest of a frame page by page: fragments behind its head, as many as there is room for, and in slots that follow. */
static void tx_put_pages(struct vif *v, struct walk *w, struct netflip_frag *to, unsigned int here, unsigned int rest)
{
	while (rest) {
		unsigned int i, n, len;

		if (!v->tx_left) {
			v->tx_at = tx_chunk(v);
			v->tx_left = CHUNK_PAGES;
		}
		i = (v->tx_at + 1) * CHUNK_PAGES - v->tx_left;
		n = min_t(unsigned int, DIV_ROUND_UP(rest, PAGE_SIZE), v->tx_left);
		len = min_t(unsigned int, rest, n * PAGE_SIZE);
		tx_fill(v, w, i, len);
		pool_offer(&v->tx_pool, i, n, v->dev->otherend_id);
		v->tx_left -= n;
		v->tx_pages += n;
		rest -= len;
		for (; n; n--, i++, len -= PAGE_SIZE) {
			if (!here--) {
				to = (void *)&v->tx.slot[v->tx_prod++ % NETFLIP_SLOTS];
				here = NETFLIP_FRAGS_PER_SLOT - 1;
			}
			*to++ = (struct netflip_frag){ v->tx_pool.first_ref + i, 0, min_t(unsigned int, len, PAGE_SIZE) };
		}
	}
}

static void tx_put(struct vif *v, struct sk_buff *skb, unsigned int head)
{
	struct netflip_head *h = &v->tx.slot[v->tx_prod++ % NETFLIP_SLOTS];
	struct walk w = { skb, skb->data, skb_headlen(skb), 0 };
	unsigned int rest = skb->len - head, pages = DIV_ROUND_UP(rest, PAGE_SIZE);
	struct netflip_frag *to = (void *)(h->data + ALIGN(head, 8));
	bool extent = v->extents && pages >= EXTENT_LEAST;

	h->len = skb->len;
	h->inline_len = head;
	h->nr_frags = extent ? 1 : pages;
	h->gso_size = skb_is_gso(skb) ? skb_shinfo(skb)->gso_size : 0;
	h->flags = tx_flags(skb);
	h->zero = 0;
	walk_copy(&w, h->data, head);
	if (extent)
		tx_put_extent(v, &w, to, rest);
	else
		tx_put_pages(v, &w, to, netflip_head_frags(head), rest);
}

static void tx_kick(struct vif *v)
{
	u32 old = v->tx_sent;

	if (old == v->tx_prod)
		return;
	v->tx_sent = v->tx_prod;
	if (publish(&v->tx.index->slot_prod, &v->tx.index->slot_event, old, v->tx_prod))
		notify_remote_via_irq(v->irq);
}

/* Is there room for another frame now? If not, the queue waits for what was sent. */
static noinline bool tx_make_room(struct vif *v)
{
	tx_reap(v);
	if (tx_has_room(v))
		return true;
	netif_stop_queue(v->net);
	tx_kick(v);
	tx_arm(v);
	smp_mb();
	if (tx_is_due(v))
		napi_schedule(&v->napi);
	return false;
}

netdev_tx_t vif_xmit(struct sk_buff *skb, struct net_device *net)
{
	struct vif *v = netdev_priv(net);

	if (unlikely(!v->up || v->broken || skb->len > NETFLIP_FRAME_MAX || skb->len < ETH_HLEN))
		goto drop;
	if (unlikely(!tx_has_room(v)) && !tx_make_room(v))
		return NETDEV_TX_BUSY;
	net->stats.tx_packets++;
	net->stats.tx_bytes += skb->len;
	/* Headers go into the slot, and short frames as a whole. */
	tx_put(v, skb, skb->len <= NETFLIP_INLINE_MAX ? skb->len : min_t(unsigned int, skb_headlen(skb), NETFLIP_INLINE_MAX));
	dev_consume_skb_any(skb);
	if ((likely(tx_has_room(v)) || tx_make_room(v)) && !netdev_xmit_more())
		tx_kick(v);
	return NETDEV_TX_OK;

drop:
	net->stats.tx_dropped++;
	dev_kfree_skb_any(skb);
	return NETDEV_TX_OK;
}
