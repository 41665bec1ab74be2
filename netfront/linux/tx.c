// SPDX-License-Identifier: MIT
/*
 * tx.c - frames to the backend: the first bytes go into the slot, the rest is copied into pages that are flipped; TCP keeps its own
 * until they are acknowledged and so cannot give them away. Nothing but the frame is in what the backend sees.
 */
#include <linux/etherdevice.h>
#include <linux/mm.h>
#include <xen/events.h>

#include "driver.h"

void tx_put_free(struct vif *v, u16 i)
{
	v->tx_out[i] = false;
	v->tx_free[v->tx_free_end++ % TX_PAGES] = i;
}

/* Pages that came back, ours again. */
static void tx_done(struct vif *v, u32 prod)
{
	const struct netflip_index *x = v->tx.index;
	struct pool *p = &v->tx_pool;
	u32 cons = v->tx_ref_cons;

	for (; cons != prod; cons++) {
		u32 i = READ_ONCE(x->ref[cons % NETFLIP_REFS]) - p->first_ref;
		int rc;

		if (unlikely(i >= TX_PAGES || !v->tx_out[i])) {
			vif_broken(v, "returns a page that was not sent");
			break;
		}
		rc = pool_take(p, i);
		if (unlikely(rc <= 0)) {
			if (rc < 0) {
				vif_broken(v, "returns a page that it still uses");
				break;
			}
			v->tx_copied++;
		}
		tx_put_free(v, i);
	}
	v->tx_back += cons - v->tx_ref_cons;
	v->tx_ref_cons = cons;
}

static unsigned int tx_nr_free(const struct vif *v)
{
	return v->tx_free_end - v->tx_free_first;
}

/* Queue's lock held. */
void tx_reap(struct vif *v)
{
	struct netflip_index *x = v->tx.index;
	u32 prod = smp_load_acquire(&x->ref_prod), cons = smp_load_acquire(&x->slot_cons);

	if (prod - v->tx_ref_cons > NETFLIP_REFS || v->tx_sent - cons > NETFLIP_SLOTS) {
		vif_broken(v, "transmit index out of range");
		return;
	}
	v->tx_cons = cons;
	tx_done(v, prod);
}

/* Events for what was sent: half of what is under way, so that they are few and the stack never starves. */
void tx_arm(struct vif *v)
{
	u32 out = TX_PAGES - tx_nr_free(v);

	WRITE_ONCE(v->tx.index->ref_event, v->tx_ref_cons + out / 2 + 1);
	WRITE_ONCE(v->tx.index->cons_event, netif_queue_stopped(v->net) ? v->tx_cons + 1 : v->tx_sent + NEVER);
}

bool tx_has_room(const struct vif *v, unsigned int pages)
{
	return tx_nr_free(v) >= pages &&
	       v->tx_prod - v->tx_cons + netflip_slots(NETFLIP_INLINE_MAX, pages) <= NETFLIP_SLOTS;
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

/* How many free pages, of at most n, lie side by side from the next on. */
static unsigned int tx_run(const struct vif *v, unsigned int n)
{
	unsigned int first = v->tx_free[v->tx_free_first % TX_PAGES], k;

	n = min(n, CHUNK_PAGES - first % CHUNK_PAGES);
	for (k = 1; k < n; k++)
		if (v->tx_free[(v->tx_free_first + k) % TX_PAGES] != first + k)
			break;
	return k;
}

/* Where the next fragment of a frame goes. */
struct tx_place {
	struct netflip_frag *to;
	unsigned int here;		/* of this slot */
};

/* Pages from i on, side by side, with len bytes. */
static void tx_put_pages(struct vif *v, struct tx_place *at, unsigned int i, unsigned int len)
{
	struct netflip_frag g = { v->tx_pool.first_ref + i, 0, PAGE_SIZE };
	domid_t dom = v->dev->otherend_id;

	for (;; i++, g.ref++, len -= PAGE_SIZE) {
		if (!at->here--) {
			at->to = (void *)&v->tx.slot[v->tx_prod++ % NETFLIP_SLOTS];
			at->here = NETFLIP_FRAGS_PER_SLOT - 1;
		}
		pool_offer(&v->tx_pool, i, dom);
		v->tx_out[i] = true;
		if (len <= PAGE_SIZE)
			break;
		*at->to++ = g;
	}
	g.len = len;
	*at->to++ = g;
}

static void tx_put(struct vif *v, struct sk_buff *skb, unsigned int head)
{
	struct netflip_head *h = &v->tx.slot[v->tx_prod++ % NETFLIP_SLOTS];
	struct tx_place at = { (void *)(h->data + ALIGN(head, 8)), netflip_head_frags(head) };
	struct walk w = { skb, skb->data, skb_headlen(skb), 0 };
	unsigned int rest = skb->len - head;

	h->len = skb->len;
	h->inline_len = head;
	h->nr_frags = DIV_ROUND_UP(rest, PAGE_SIZE);
	h->gso_size = skb_is_gso(skb) ? skb_shinfo(skb)->gso_size : 0;
	h->flags = tx_flags(skb);
	h->zero = 0;
	walk_copy(&w, h->data, head);
	while (rest) {
		unsigned int i = v->tx_free[v->tx_free_first % TX_PAGES];
		unsigned int pages = tx_run(v, DIV_ROUND_UP(rest, PAGE_SIZE));
		unsigned int len = min_t(unsigned int, rest, pages * PAGE_SIZE);
		void *va = pool_va(&v->tx_pool, i);

		walk_copy(&w, va, len);
		/* Whatever was sent in it before may have been somebody else's. */
		if (len % PAGE_SIZE)
			memset(va + len, 0, PAGE_SIZE - len % PAGE_SIZE);
		v->tx_free_first += pages;
		rest -= len;
		tx_put_pages(v, &at, i, len);
	}
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

netdev_tx_t vif_xmit(struct sk_buff *skb, struct net_device *net)
{
	struct vif *v = netdev_priv(net);
	unsigned int head, pages;

	if (unlikely(!v->up || v->broken || skb->len > NETFLIP_FRAME_MAX || skb->len < ETH_HLEN))
		goto drop;
	/* Headers go into the slot, and short frames as a whole. */
	head = skb->len <= NETFLIP_INLINE_MAX ? skb->len : min_t(unsigned int, skb_headlen(skb), NETFLIP_INLINE_MAX);
	pages = DIV_ROUND_UP(skb->len - head, PAGE_SIZE);
	if (unlikely(!tx_has_room(v, pages))) {
		tx_reap(v);
		if (!tx_has_room(v, pages)) {
			netif_stop_queue(net);
			tx_kick(v);
			tx_arm(v);
			return NETDEV_TX_BUSY;
		}
	}
	net->stats.tx_packets++;
	net->stats.tx_bytes += skb->len;
	tx_put(v, skb, head);
	dev_consume_skb_any(skb);
	if (!tx_has_room(v, NETFLIP_FRAGS_MAX)) {
		tx_reap(v);
		if (!tx_has_room(v, NETFLIP_FRAGS_MAX)) {
			netif_stop_queue(net);
			tx_arm(v);
		}
	}
	if (!netdev_xmit_more() || netif_queue_stopped(net))
		tx_kick(v);
	return NETDEV_TX_OK;

drop:
	net->stats.tx_dropped++;
	dev_kfree_skb_any(skb);
	return NETDEV_TX_OK;
}
