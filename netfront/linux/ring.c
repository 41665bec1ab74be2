// SPDX-License-Identifier: MIT
/*
 * ring.c - frames to and from the rings of include/sluice/netflip.h.
 *
 * Received: payload arrives in pages of the pool, by flip where the sender could flip, and goes up the stack as it is. What is
 * sent: tx.c.
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
#define KEPT		4u	/* chunks that the stack never gets: with all others lent, it gets copies */
#define COPY_BREAK	256u	/* payload of one page that is so short is copied rather than lent */

void vif_broken(struct vif *v, const char *what)
{
	if (!v->broken)
		netdev_err(v->net, "backend: %s; the interface stops\n", what);
	v->broken = true;
	netif_carrier_off(v->net);
}

/* Receive ---------------------------------------------------------------------------------- */

/* Nothing of the chunk is posted any more. */
static void rx_idle(struct vif *v, unsigned int c)
{
	v->idle[v->idle_end++ % RX_CHUNKS] = c;
}

/* All of a chunk. The backend sees what is in there: only what it brought, nothing that was done to that here. */
static void rx_post_chunk(struct vif *v, unsigned int c)
{
	const struct chunk *chunk = &v->pool.chunk[c];
	struct netflip_index *x = v->rx.index;
	domid_t dom = v->dev->otherend_id;
	bool stale = v->stale[c];
	u32 prod = v->rx_ref_prod;
	unsigned int k, i = c * CHUNK_PAGES;

	for (k = 0; k < CHUNK_PAGES; k++, i++) {
		if (unlikely(pool_written(chunk, k) || stale))
			clear_page(chunk->va + k * PAGE_SIZE);
		pool_offer(&v->pool, i, dom);
		WRITE_ONCE(x->ref[prod++ % NETFLIP_REFS], v->pool.first_ref + i);
	}
	v->rx_ref_prod = prod;
	v->stale[c] = false;
	v->posted[c] = (u16)~0;
	v->nr_posted += CHUNK_PAGES;
	v->nr_lent -= v->lent[c];
	v->lent[c] = false;
}

/* Chunks that the stack has let go of; those that it still has move to the end. */
static void rx_post(struct vif *v)
{
	unsigned int look = v->idle_end - v->idle_first;
	struct netflip_index *x = v->rx.index;
	u32 old = v->rx_ref_prod;

	BUILD_BUG_ON(CHUNK_PAGES != 8 * sizeof(v->posted[0]));
	while (v->nr_posted <= POSTED - CHUNK_PAGES && look--) {
		unsigned int c = v->idle[v->idle_first++ % RX_CHUNKS];

		if (page_ref_count(v->pool.chunk[c].page) == 1)
			rx_post_chunk(v, c);
		else
			rx_idle(v, c);
	}
	if (old != v->rx_ref_prod && publish(&x->ref_prod, &x->ref_event, old, v->rx_ref_prod))
		notify_remote_via_irq(v->irq);
}

/* Pages from i on, of one chunk, are ours again. */
static void rx_back(struct vif *v, unsigned int i, unsigned int n)
{
	unsigned int c = i / CHUNK_PAGES;

	v->nr_posted -= n;
	v->posted[c] &= ~(((1u << n) - 1) << i % CHUNK_PAGES);
	if (!v->posted[c])
		rx_idle(v, c);
}

static bool rx_is_posted(const struct vif *v, unsigned int i)
{
	return v->posted[i / CHUNK_PAGES] & 1u << i % CHUNK_PAGES;
}

/* The page of the pool that a fragment names, ours again; -1: it is none that the backend may name. */
static int rx_take(struct vif *v, u32 ref)
{
	u32 i = ref - v->pool.first_ref;
	int rc;

	if (i >= RX_PAGES || !rx_is_posted(v, i)) {
		vif_broken(v, "brings a page that it did not have");
		return -1;
	}
	rc = pool_take(&v->pool, i);
	if (rc < 0) {
		vif_broken(v, "brings a page that it still uses");
		return -1;
	}
	rx_back(v, i, 1);
	if (rc)
		v->rx_flipped++;
	else
		v->rx_copied++;
	return i;
}

/*
 * The same in one go for the first of n fragments and those that continue it: whole pages side by side, all flipped. Returns how many
 * they are; for what else there is, and whatever is wrong, rx_take().
 */
static unsigned int rx_take_whole(struct vif *v, const struct netflip_frag *from, unsigned int n, unsigned int *page)
{
	const u64 *word = (const u64 *)from;
	u64 first = READ_ONCE(word[0]);
	u32 i = (u32)first - v->pool.first_ref;
	const u64 *entry;
	unsigned long *p2m;
	unsigned int k;

	BUILD_BUG_ON(sizeof(*from) != sizeof(*word) || sizeof(v->pool.entry[0]) != sizeof(*entry));
	if (first >> 32 != PAGE_SIZE << 16 || i >= RX_PAGES)
		return 0;
	n = min(n, (unsigned int)__ffs(~((unsigned long)v->posted[i / CHUNK_PAGES] >> i % CHUNK_PAGES)));
	entry = (const u64 *)&v->pool.entry[i];
	p2m = &xen_p2m_addr[v->pool.chunk[i / CHUNK_PAGES].pfn + i % CHUNK_PAGES];
	for (k = 0; k < n; k++) {
		u64 e = smp_load_acquire(&entry[k]);

		if (READ_ONCE(word[k]) != first + k || (u16)e)
			break;
		p2m[k] = e >> 32;
	}
	if (k)
		rx_back(v, i, k);
	v->rx_flipped += k;
	*page = i;
	return k;
}

/* Bytes in pages of a chunk side by side, on their way into an skb. */
struct run {
	unsigned int chunk;
	unsigned int start, end;	/* in the chunk; nothing if they are the same */
};

static unsigned int run_pages(const struct run *r)
{
	return (r->end - 1) / PAGE_SIZE - r->start / PAGE_SIZE + 1;
}

static bool rx_lend(struct vif *v, struct sk_buff *skb, const struct run *r)
{
	struct page *page = v->pool.chunk[r->chunk].page;

	if (!v->lent[r->chunk]) {
		v->lent[r->chunk] = true;
		v->nr_lent++;
	}
	get_page(page);
	skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, page, r->start, r->end - r->start, run_pages(r) * PAGE_SIZE);
	return true;
}

/* Few chunks are left: the stack gets a copy. */
static bool rx_copy(struct vif *v, struct sk_buff *skb, const struct run *r)
{
	unsigned int at, n;

	for (at = r->start; at != r->end; at += n) {
		struct page *page = dev_alloc_page();

		if (!page || skb_shinfo(skb)->nr_frags == MAX_SKB_FRAGS) {
			if (page)
				__free_page(page);
			return false;
		}
		n = min_t(unsigned int, r->end - at, PAGE_SIZE);
		memcpy(page_address(page), v->pool.chunk[r->chunk].va + at, n);
		skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, page, 0, n, PAGE_SIZE);
	}
	return true;
}

static bool rx_add(struct vif *v, struct sk_buff *skb, struct run *r)
{
	bool good = true;

	if (r->start == r->end)
		return true;
	if (skb_shinfo(skb)->nr_frags == MAX_SKB_FRAGS)
		good = false;
	else if (!v->lent[r->chunk] && v->nr_lent >= RX_CHUNKS - KEPT)
		good = rx_copy(v, skb, r);
	else
		good = rx_lend(v, skb, r);
	r->start = r->end = 0;
	return good;
}

/* Is there memory in the skb itself for the frame's first page? */
static unsigned int rx_to_head(const struct netflip_head *h)
{
	if (h->nr_frags > MAX_SKB_FRAGS)	/* one more than an skb can have */
		return PAGE_SIZE;
	return h->nr_frags == 1 && h->len - h->inline_len <= COPY_BREAK ? COPY_BREAK : 0;
}

/* Bytes from start on in pages from i on, which came with a frame. What continues each other becomes one piece. */
static bool rx_pages(struct vif *v, struct sk_buff *skb, struct run *r, unsigned int i, unsigned int start, unsigned int len)
{
	unsigned int c = i / CHUNK_PAGES;

	if (unlikely(!skb))
		return false;
	start += i % CHUNK_PAGES * PAGE_SIZE;
	if (start != r->end || c != r->chunk || r->start == r->end) {
		if (!rx_add(v, skb, r))
			return false;
		*r = (struct run){ c, start, start };
	}
	r->end += len;
	return true;
}

/* One fragment of a frame, whatever there is to say against it. */
static bool rx_frag(struct vif *v, struct sk_buff *skb, struct run *r, const struct netflip_frag *from, unsigned int to_head)
{
	struct netflip_frag g;
	int i;

	memcpy(&g, from, sizeof(g));
	barrier();
	i = rx_take(v, g.ref);
	if (i < 0 || !skb || !g.len || g.len > PAGE_SIZE || g.offset > PAGE_SIZE - g.len)
		return false;
	if (!to_head)
		return rx_pages(v, skb, r, i, g.offset, g.len);
	if (g.len > to_head)
		return false;
	skb_put_data(skb, pool_va(&v->pool, i) + g.offset, g.len);
	return true;
}

/* All fragments of a frame, whatever becomes of it: their pages must come back. */
static bool rx_frags(struct vif *v, struct sk_buff *skb, const struct netflip_head *h, u32 prod)
{
	const struct netflip_frag *from = (const void *)(h->data + ALIGN(h->inline_len, 8));
	unsigned int left = netflip_head_frags(h->inline_len), to_head = rx_to_head(h), i, n;
	struct run run = { 0 };
	bool good = true;

	for (i = 0; i < h->nr_frags; i += n, from += n, left -= n) {
		unsigned int page;

		if (!left) {
			if (v->rx_cons == prod) {
				vif_broken(v, "receive frame without end");
				return false;
			}
			from = (const void *)&v->rx.slot[v->rx_cons++ % NETFLIP_SLOTS];
			left = NETFLIP_FRAGS_PER_SLOT;
		}
		n = to_head ? 0 : rx_take_whole(v, from, min(left, h->nr_frags - i), &page);
		if (n) {
			good = rx_pages(v, skb, &run, page, 0, n * PAGE_SIZE) && good;
			continue;
		}
		n = 1;
		good = rx_frag(v, skb, &run, from, to_head) && good;
		if (v->broken)
			return false;
		to_head = 0;
	}
	return good && (!skb || rx_add(v, skb, &run));
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
		vif_broken(v, "receive head makes no sense");
		return NULL;
	}
	skb = napi_alloc_skb(&v->napi, NETFLIP_INLINE_MAX + rx_to_head(&h));
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
		vif_broken(v, "receive index out of range");
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

void ring_init(struct vif *v)
{
	unsigned int i;

	for (i = 0; i < TX_PAGES; i++)
		tx_put_free(v, i);
	for (i = 0; i < RX_CHUNKS; i++)
		rx_idle(v, i);
}

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

	for (i = 0; i < TX_PAGES; i++)
		if (v->tx_out[i] && pool_take(&v->tx_pool, i) >= 0)
			tx_put_free(v, i);
	for (i = 0; i < RX_PAGES; i++)
		if (rx_is_posted(v, i) && pool_take(&v->pool, i) >= 0)
			rx_back(v, i, 1);
}

/* Those that were flipped the backend still brings, if it can. */
void ring_suspend(struct vif *v)
{
	unsigned int i;

	memset(v->tx_held, 0, sizeof(v->tx_held));
	memset(v->rx_held, 0, sizeof(v->rx_held));
	for (i = 0; i < TX_PAGES; i++)
		if (v->tx_out[i] && pool_take(&v->tx_pool, i) == 0)
			v->tx_held[i / CHUNK_PAGES] |= 1u << i % CHUNK_PAGES;
	for (i = 0; i < RX_PAGES; i++)
		if (rx_is_posted(v, i) && pool_take(&v->pool, i) == 0)
			v->rx_held[i / CHUNK_PAGES] |= 1u << i % CHUNK_PAGES;
}

void ring_resume(struct vif *v, bool same)
{
	domid_t dom = v->dev->otherend_id;
	unsigned int i;

	for (i = 0; i < TX_PAGES; i++) {
		if (!same && v->tx_out[i])
			tx_put_free(v, i);
		else if (same && v->tx_held[i / CHUNK_PAGES] & 1u << i % CHUNK_PAGES)
			pool_offer(&v->tx_pool, i, dom);
	}
	for (i = 0; i < RX_PAGES; i++) {
		if (!same && rx_is_posted(v, i))
			rx_back(v, i, 1);
		else if (same && v->rx_held[i / CHUNK_PAGES] & 1u << i % CHUNK_PAGES)
			pool_offer(&v->pool, i, dom);
	}
	/* Another domain may have the number that the backend had. */
	if (!same)
		memset(v->stale, true, sizeof(v->stale));
}
