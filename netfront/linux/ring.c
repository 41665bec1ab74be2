// SPDX-License-Identifier: MIT
/*
 * ring.c - frames to and from the rings of include/sluice/netflip.h.
 *
 * Sent: the first bytes go into the slot, the rest is copied into pages that are flipped; TCP keeps its own until they are
 * acknowledged and so cannot give them away. Nothing but the frame is in what the backend sees. Received: payload arrives in
 * pages of the pool, by flip where the sender could flip, and goes up the stack as it is.
 *
 * The backend is believed nothing: indices, references and lengths are read once and checked.
 */
#include <linux/etherdevice.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/mm.h>
#include <xen/events.h>
#include <net/ip.h>

#include "driver.h"

#define POSTED		256u	/* pages that the backend has to fill, when there are enough */
#define SCARCE		64u	/* with fewer to post, frames are copied instead of lent to the stack */
#define LOOK		32u	/* lent pages looked at in one go */
#define NEVER		0x40000000u

static void broken(struct vif *v, const char *what)
{
	if (!v->broken)
		netdev_err(v->net, "backend: %s; the interface stops\n", what);
	v->broken = true;
	netif_carrier_off(v->net);
}

/* Moves an index of ours; true: the other side asked to be told. */
static bool publish(u32 *index, const u32 *event, u32 old, u32 new)
{
	smp_store_release(index, new);
	smp_mb();
	return new - READ_ONCE(*event) < new - old;
}

/* Transmit --------------------------------------------------------------------------------- */

/* A page came back, ours again. */
static void tx_done(struct vif *v, u32 ref)
{
	u32 i = ref - v->tx_pool.first_ref;
	int rc;

	if (i >= TX_PAGES || !v->tx_out[i]) {
		broken(v, "returns a page that was not sent");
		return;
	}
	rc = pool_take(&v->tx_pool, i);
	if (rc < 0) {
		broken(v, "returns a page that it still uses");
		return;
	}
	if (rc)
		v->tx_flipped++;
	else
		v->tx_copied++;
	v->tx_out[i] = false;
	v->tx_free[v->nr_tx_free++] = i;
}

/* Queue's lock held. */
static void tx_reap(struct vif *v)
{
	struct netflip_index *x = v->tx.index;
	u32 prod = smp_load_acquire(&x->ref_prod), cons = smp_load_acquire(&x->slot_cons);

	if (prod - v->tx_ref_cons > NETFLIP_REFS || v->tx_sent - cons > NETFLIP_SLOTS) {
		broken(v, "transmit index out of range");
		return;
	}
	v->tx_cons = cons;
	while (v->tx_ref_cons != prod && !v->broken)
		tx_done(v, READ_ONCE(x->ref[v->tx_ref_cons++ % NETFLIP_REFS]));
}

/* Events for what was sent: half of what is under way, so that they are few and the stack never starves. */
static void tx_arm(struct vif *v)
{
	u32 out = TX_PAGES - v->nr_tx_free;

	WRITE_ONCE(v->tx.index->ref_event, v->tx_ref_cons + out / 2 + 1);
	WRITE_ONCE(v->tx.index->cons_event, netif_queue_stopped(v->net) ? v->tx_cons + 1 : v->tx_sent + NEVER);
}

static bool tx_has_room(const struct vif *v, unsigned int pages)
{
	return v->nr_tx_free >= pages &&
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

static void tx_put(struct vif *v, struct sk_buff *skb, unsigned int head, unsigned int pages)
{
	struct netflip_head *h = &v->tx.slot[v->tx_prod++ % NETFLIP_SLOTS];
	struct netflip_frag *to = (void *)(h->data + ALIGN(head, 8));
	struct walk w = { skb, skb->data, skb_headlen(skb), 0 };
	unsigned int here = netflip_head_frags(head), rest = skb->len - head;

	h->len = skb->len;
	h->inline_len = head;
	h->nr_frags = pages;
	h->gso_size = skb_is_gso(skb) ? skb_shinfo(skb)->gso_size : 0;
	h->flags = tx_flags(skb);
	h->zero = 0;
	walk_copy(&w, h->data, head);
	while (rest) {
		unsigned int n = min_t(unsigned int, rest, PAGE_SIZE);
		u16 i = v->tx_free[--v->nr_tx_free];
		void *page = page_address(pool_page(&v->tx_pool, i));

		if (!here--) {
			to = (void *)&v->tx.slot[v->tx_prod++ % NETFLIP_SLOTS];
			here = NETFLIP_FRAGS_PER_SLOT - 1;
		}
		walk_copy(&w, page, n);
		/* Whatever was sent in it before may have been somebody else's. */
		memset(page + n, 0, PAGE_SIZE - n);
		pool_offer(&v->tx_pool, i, v->dev->otherend_id);
		v->tx_out[i] = true;
		*to++ = (struct netflip_frag){ v->tx_pool.first_ref + i, 0, n };
		rest -= n;
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
	tx_put(v, skb, head, pages);
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

/* Receive ---------------------------------------------------------------------------------- */

/* Takes back pages that the stack has let go of; those that it still has move to the end. */
static void rx_recycle(struct vif *v)
{
	unsigned int look = min(v->nr_lent, LOOK);

	while (look--) {
		u16 i = v->lent[v->lent_first++ % RX_PAGES];

		if (page_ref_count(pool_page(&v->pool, i)) == 1) {
			v->free[v->nr_free++] = i;
			v->nr_lent--;
		} else {
			v->lent[(v->lent_first + v->nr_lent - 1) % RX_PAGES] = i;
		}
	}
}

static void rx_post(struct vif *v)
{
	struct netflip_index *x = v->rx.index;
	u32 old = v->rx_ref_prod;

	if (v->nr_posted < POSTED && v->nr_free < POSTED)
		rx_recycle(v);
	while (v->nr_posted < POSTED && v->nr_free) {
		u16 i = v->free[--v->nr_free];

		/* The backend sees what is in there: only what it brought, nothing that was done to that here. */
		if (v->stale[i] || pool_written(&v->pool, i)) {
			clear_page(page_address(pool_page(&v->pool, i)));
			v->stale[i] = false;
		}
		pool_offer(&v->pool, i, v->dev->otherend_id);
		v->posted[i] = true;
		v->nr_posted++;
		WRITE_ONCE(x->ref[v->rx_ref_prod++ % NETFLIP_REFS], v->pool.first_ref + i);
	}
	if (old != v->rx_ref_prod && publish(&x->ref_prod, &x->ref_event, old, v->rx_ref_prod))
		notify_remote_via_irq(v->irq);
}

/* The page of the pool that a fragment names, ours again; -1: it is none that the backend may name. */
static int rx_take(struct vif *v, const struct netflip_frag *g)
{
	u32 i = g->ref - v->pool.first_ref;
	int rc;

	if (i >= RX_PAGES || !v->posted[i]) {
		broken(v, "brings a page that it did not have");
		return -1;
	}
	v->posted[i] = false;
	v->nr_posted--;
	rc = pool_take(&v->pool, i);
	if (rc < 0) {
		broken(v, "brings a page that it still uses");
		return -1;
	}
	if (rc)
		v->rx_flipped++;
	else
		v->rx_copied++;
	return i;
}

static void rx_lend(struct vif *v, struct sk_buff *skb, u16 i, const struct netflip_frag *g)
{
	struct page *page = pool_page(&v->pool, i);

	get_page(page);
	v->lent[(v->lent_first + v->nr_lent++) % RX_PAGES] = i;
	skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, page, g->offset, g->len, PAGE_SIZE);
}

/* Few pages are left to post: the stack gets a copy. */
static bool rx_copy(struct vif *v, struct sk_buff *skb, u16 i, const struct netflip_frag *g)
{
	struct page *page = dev_alloc_page();

	v->free[v->nr_free++] = i;
	if (!page)
		return false;
	memcpy(page_address(page), page_address(pool_page(&v->pool, i)) + g->offset, g->len);
	skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, page, 0, g->len, PAGE_SIZE);
	return true;
}

/* to_head: there is room for it in the skb's own memory. */
static bool rx_frag(struct vif *v, struct sk_buff *skb, const struct netflip_frag *g, bool to_head)
{
	int i = rx_take(v, g);

	if (i < 0)
		return false;
	if (!skb || skb_shinfo(skb)->nr_frags == MAX_SKB_FRAGS || !g->len || g->len > PAGE_SIZE || g->offset > PAGE_SIZE - g->len) {
		v->free[v->nr_free++] = i;
		return false;
	}
	if (to_head) {
		skb_put_data(skb, page_address(pool_page(&v->pool, i)) + g->offset, g->len);
		v->free[v->nr_free++] = i;
		return true;
	}
	if (v->nr_free + v->nr_posted < SCARCE)
		return rx_copy(v, skb, i, g);
	rx_lend(v, skb, i, g);
	return true;
}

/* All fragments of a frame, whatever becomes of it: their pages must come back. */
static bool rx_frags(struct vif *v, struct sk_buff *skb, const struct netflip_head *h, u32 prod)
{
	const struct netflip_frag *from = (const void *)(h->data + ALIGN(h->inline_len, 8));
	unsigned int left = netflip_head_frags(h->inline_len), i;
	bool good = true;

	for (i = 0; i < h->nr_frags; i++) {
		struct netflip_frag g;

		if (!left) {
			if (v->rx_cons == prod) {
				broken(v, "receive frame without end");
				return false;
			}
			from = (const void *)&v->rx.slot[v->rx_cons++ % NETFLIP_SLOTS];
			left = NETFLIP_FRAGS_PER_SLOT;
		}
		left--;
		memcpy(&g, from++, sizeof(g));
		barrier();
		good &= rx_frag(v, skb, &g, i == 0 && h->nr_frags > MAX_SKB_FRAGS);
		if (v->broken)
			return false;
	}
	return good;
}

static bool is_tcp(const struct sk_buff *skb, bool ipv4)
{
	if (ipv4)
		return skb->protocol == htons(ETH_P_IP) && skb_headlen(skb) >= sizeof(struct iphdr) &&
		       ip_hdr(skb)->protocol == IPPROTO_TCP;
	return skb->protocol == htons(ETH_P_IPV6) && skb_headlen(skb) >= sizeof(struct ipv6hdr) &&
	       ipv6_hdr(skb)->nexthdr == IPPROTO_TCP;
}

static bool rx_offloads(struct vif *v, struct sk_buff *skb, const struct netflip_head *h)
{
	if (h->flags & (NETFLIP_GSO_TCPV4 | NETFLIP_GSO_TCPV6)) {
		if (!h->gso_size || !(h->flags & NETFLIP_CSUM_BLANK) || !is_tcp(skb, h->flags & NETFLIP_GSO_TCPV4))
			return false;
		skb_shinfo(skb)->gso_size = h->gso_size;
		skb_shinfo(skb)->gso_type = (h->flags & NETFLIP_GSO_TCPV4 ? SKB_GSO_TCPV4 : SKB_GSO_TCPV6) |
					    SKB_GSO_DODGY;
		skb_shinfo(skb)->gso_segs = 0;
	}
	if (h->flags & NETFLIP_CSUM_BLANK) {
		skb->ip_summed = CHECKSUM_PARTIAL;
		return skb_checksum_setup(skb, false) == 0;
	}
	if (h->flags & NETFLIP_CSUM_VALID)
		skb->ip_summed = CHECKSUM_UNNECESSARY;
	return true;
}

static struct sk_buff *rx_frame(struct vif *v, u32 prod)
{
	const struct netflip_head *slot = &v->rx.slot[v->rx_cons++ % NETFLIP_SLOTS];
	struct netflip_head h;
	struct sk_buff *skb;
	bool good;

	memcpy(&h, slot, sizeof(h));
	barrier();
	if (h.inline_len < ETH_HLEN || h.inline_len > NETFLIP_INLINE_MAX || h.len < h.inline_len) {
		broken(v, "receive head makes no sense");
		return NULL;
	}
	/* One page more than a skb can have goes to its head. */
	skb = napi_alloc_skb(&v->napi, NETFLIP_INLINE_MAX + (h.nr_frags > MAX_SKB_FRAGS ? PAGE_SIZE : 0));
	if (skb)
		skb_put_data(skb, h.data, h.inline_len);
	good = rx_frags(v, skb, &h, prod) && skb && !(h.flags & NETFLIP_LOST) && skb->len == h.len;
	if (good) {
		skb->protocol = eth_type_trans(skb, v->net);
		skb_reset_network_header(skb);
		good = rx_offloads(v, skb, &h);
	}
	if (good)
		return skb;
	v->rx_lost++;
	v->net->stats.rx_dropped++;
	if (skb)
		dev_kfree_skb_any(skb);
	return NULL;
}

static int rx_poll(struct vif *v, int budget)
{
	struct netflip_index *x = v->rx.index;
	u32 prod = smp_load_acquire(&x->slot_prod), old = v->rx_cons;
	int done = 0;

	if (prod - v->rx_cons > NETFLIP_SLOTS) {
		broken(v, "receive index out of range");
		return 0;
	}
	while (v->rx_cons != prod && done < budget && !v->broken) {
		struct sk_buff *skb = rx_frame(v, prod);

		done++;
		if (!skb)
			continue;
		v->net->stats.rx_packets++;
		v->net->stats.rx_bytes += skb->len + ETH_HLEN;
		napi_gro_receive(&v->napi, skb);
	}
	if (publish(&x->slot_cons, &x->cons_event, old, v->rx_cons) && old != v->rx_cons)
		notify_remote_via_irq(v->irq);
	return done;
}

int vif_poll(struct napi_struct *napi, int budget)
{
	struct vif *v = container_of(napi, struct vif, napi);
	bool more;
	int done;

	if (!v->up || v->broken) {
		napi_complete_done(napi, 0);
		return 0;
	}
	done = rx_poll(v, budget);
	if (!v->broken)
		rx_post(v);
	netif_tx_lock(v->net);
	if (!v->broken) {
		tx_reap(v);
		if (netif_queue_stopped(v->net) && tx_has_room(v, NETFLIP_FRAGS_MAX))
			netif_wake_queue(v->net);
		tx_arm(v);
	}
	netif_tx_unlock(v->net);
	if (done >= budget || !napi_complete_done(napi, done))
		return done;
	/* Armed first, then looked at: what came in between is seen. */
	WRITE_ONCE(v->rx.index->slot_event, v->rx_cons + 1);
	smp_mb();
	more = READ_ONCE(v->rx.index->slot_prod) != v->rx_cons ||
	       (s32)(READ_ONCE(v->tx.index->ref_prod) - READ_ONCE(v->tx.index->ref_event)) >= 0;
	if (more && !v->broken)
		napi_schedule(napi);
	return done;
}

/* Events for nothing slow down those that follow. */
irqreturn_t vif_interrupt(int irq, void *arg)
{
	struct vif *v = arg;
	unsigned int flags = XEN_EOI_FLAG_SPURIOUS;

	if (v->broken)
		return IRQ_HANDLED;	/* no more of them */
	if (READ_ONCE(v->rx.index->slot_prod) != v->rx_cons || READ_ONCE(v->tx.index->ref_prod) != v->tx_ref_cons ||
	    READ_ONCE(v->tx.index->slot_cons) != v->tx_cons)
		flags = 0;
	if (v->up)
		napi_schedule(&v->napi);
	xen_irq_lateeoi(irq, flags);
	return IRQ_HANDLED;
}

/* ------------------------------------------------------------------------------------------ */

void ring_start(struct vif *v)
{
	/* What an earlier backend has kept so long may be there now. */
	ring_stop(v);
	if (v->backend != v->dev->otherend_id)
		memset(v->stale, true, sizeof(v->stale));
	v->backend = v->dev->otherend_id;
	v->tx_prod = v->tx_sent = v->tx_cons = v->tx_ref_cons = 0;
	v->rx_cons = v->rx_ref_prod = 0;
	v->tx.index->slot_event = v->rx.index->slot_event = 1;
	v->tx.index->ref_event = 1;
	v->tx.index->cons_event = v->rx.index->cons_event = v->rx.index->ref_event = NEVER;
	rx_post(v);
}

void ring_stop(struct vif *v)
{
	unsigned int i;

	for (i = 0; i < TX_PAGES; i++) {
		if (!v->tx_out[i] || pool_take(&v->tx_pool, i) < 0)
			continue;
		v->tx_out[i] = false;
		v->tx_free[v->nr_tx_free++] = i;
	}
	for (i = 0; i < RX_PAGES; i++) {
		if (!v->posted[i] || pool_take(&v->pool, i) < 0)
			continue;
		v->posted[i] = false;
		v->nr_posted--;
		v->free[v->nr_free++] = i;
	}
}
