// SPDX-License-Identifier: MIT
/*
 * rx.c - frames from the backend: payload arrives in pages of the pool, by flip where the sender could flip, and goes up the stack as
 * it is.
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

/*
 * What the backend has to fill, when there are enough. Pages are for what is shorter than an extent, and for what finds none: some
 * always; more when they are used up.
 */
#define EXTENTS		16u
#define PAGES_LEAST	(2 * CHUNK_PAGES)
#define PAGES_BEGIN	(4 * CHUNK_PAGES)
#define PAGES_MOST	(16 * CHUNK_PAGES)
#define KEPT		4u	/* chunks that the stack never gets: with all others lent, it gets copies */
#define COPY_BREAK	256u	/* payload of one page that is so short is copied rather than lent */

/* Nothing of the chunk is posted any more. */
static void rx_idle(struct vif *v, unsigned int c)
{
	v->idle[v->idle_end++ % RX_CHUNKS] = c;
}

/* The backend sees what is in there: only what it brought, nothing that was done to that here. */
static void rx_clean(struct vif *v, unsigned int c)
{
	const struct chunk *chunk = &v->pool.chunk[c];
	bool stale = v->stale[c];
	unsigned int k;

	if (likely(!chunk_written(chunk) && !stale))
		return;
	for (k = 0; k < CHUNK_PAGES; k++)
		if (stale || pool_written(chunk, k))
			clear_page(chunk->va + k * PAGE_SIZE);
	v->stale[c] = false;
}

/* All of a chunk. */
static void rx_post_chunk(struct vif *v, unsigned int c, bool extent)
{
	struct netflip_index *x = v->rx.index;
	domid_t dom = v->dev->otherend_id;
	grant_ref_t ref = v->pool.first_ref + c * CHUNK_PAGES;
	unsigned int k;

	BUILD_BUG_ON(RX_CHUNKS > NETFLIP_EXTENTS || CHUNK_PAGES != NETFLIP_EXTENT || RX_PAGES > NETFLIP_REFS);
	rx_clean(v, c);
	if (extent) {
		pool_offer_extent(&v->pool, c, CHUNK_PAGES, dom);
		WRITE_ONCE(x->ext[v->rx_ext_prod++ % NETFLIP_EXTENTS], ref);
		v->nr_extents++;
	} else {
		pool_offer(&v->pool, c * CHUNK_PAGES, CHUNK_PAGES, dom);
		for (k = 0; k < CHUNK_PAGES; k++)
			WRITE_ONCE(x->ref[v->rx_ref_prod++ % NETFLIP_REFS], ref + k);
		v->nr_posted += CHUNK_PAGES;
	}
	v->nr_lent -= v->lent[c];
	v->lent[c] = false;
}

/* Should more be posted, and as what? */
static bool rx_wants(const struct vif *v, bool *extent)
{
	*extent = v->extents && v->nr_posted >= PAGES_LEAST && v->nr_extents < EXTENTS;
	return *extent || v->nr_posted + CHUNK_PAGES <= v->rx_pages;
}

/* Chunks that the stack has let go of; those that it still has move to the end. */
void rx_post(struct vif *v)
{
	unsigned int look = v->idle_end - v->idle_first;
	struct netflip_index *x = v->rx.index;
	u32 old = v->rx_ref_prod, old_ext = v->rx_ext_prod;
	bool extent;

	BUILD_BUG_ON(CHUNK_PAGES != 8 * sizeof(v->pool.out[0]));
	while (rx_wants(v, &extent) && look--) {
		unsigned int c = v->idle[v->idle_first++ % RX_CHUNKS];

		if (page_ref_count(v->pool.chunk[c].page) == 1)
			rx_post_chunk(v, c, extent);
		else
			rx_idle(v, c);
	}
	/* Nobody waits for extents. */
	if (old_ext != v->rx_ext_prod)
		smp_store_release(&x->ext_prod, v->rx_ext_prod);
	if (old != v->rx_ref_prod && publish(&x->ref_prod, &x->ref_event, old, v->rx_ref_prod))
		notify_remote_via_irq(v->irq);
}

/* Pages from i on, of one chunk, are ours again. */
static void rx_back(struct vif *v, unsigned int i, unsigned int n)
{
	unsigned int c = i / CHUNK_PAGES;

	v->nr_posted -= n;
	v->pool.out[c] &= ~(((1u << n) - 1) << i % CHUNK_PAGES);
	if (!v->pool.out[c])
		rx_idle(v, c);
}

/* Page i of the pool, which a fragment names, is ours again. False: it is none that the backend may name. */
static bool rx_take(struct vif *v, unsigned int i)
{
	int rc;

	if (i >= RX_PAGES || !(v->pool.out[i / CHUNK_PAGES] & 1u << i % CHUNK_PAGES)) {
		vif_broken(v, "brings a page that it did not have");
		return false;
	}
	rc = pool_take(&v->pool, i);
	if (rc < 0) {
		vif_broken(v, "brings a page that it still uses");
		return false;
	}
	rx_back(v, i, 1);
	if (rc)
		v->rx_flipped++;
	else
		v->rx_copied++;
	return true;
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
	n = min(n, (unsigned int)__ffs(~((unsigned long)v->pool.out[i / CHUNK_PAGES] >> i % CHUNK_PAGES)));
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

/* The first word of a head, which is read once. */
union head_word {
	u64 word;
	struct {
		u16 len;
		u8 inline_len;
		u8 nr_frags;
		u16 gso_size;
		u8 flags;
	};
};

/* Is there memory in the skb itself for the frame's first page? */
static unsigned int rx_to_head(const union head_word *h)
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

/*
 * The extent of the pool that a fragment names the first page of, ours again, with the pages behind the n that were used. False: the backend
 * still has some of it.
 */
static bool rx_take_extent(struct vif *v, unsigned int c, unsigned int n)
{
	int rc = pool_take_extent(&v->pool, c, n);

	if (unlikely(rc < 0)) {
		vif_broken(v, "brings an extent that it still uses");
		return false;
	}
	rc = min_t(int, rc, n);
	v->rx_flipped += rc;
	v->rx_copied += min(n, CHUNK_PAGES) - rc;
	v->nr_extents--;
	rx_idle(v, c);
	return true;
}

/* One fragment of a frame, whatever there is to say against it. */
static bool rx_frag(struct vif *v, struct sk_buff *skb, struct run *r, const struct netflip_frag *from, unsigned int to_head)
{
	u64 word = READ_ONCE(*(const u64 *)from);
	struct netflip_frag g;
	unsigned int i, end;

	memcpy(&g, &word, sizeof(g));
	i = g.ref - v->pool.first_ref;
	if (i < RX_PAGES && i % CHUNK_PAGES == 0 && v->pool.extent[i / CHUNK_PAGES]) {
		if (!rx_take_extent(v, i / CHUNK_PAGES, netflip_frag_pages(g.offset, g.len)))
			return false;
		end = CHUNK_PAGES * PAGE_SIZE;
	} else {
		if (!rx_take(v, i))
			return false;
		end = PAGE_SIZE;
	}
	if (!skb || !g.len || g.offset >= PAGE_SIZE || g.len > end - g.offset)
		return false;
	if (!to_head)
		return rx_pages(v, skb, r, i, g.offset, g.len);
	if (g.len > to_head)
		return false;
	skb_put_data(skb, pool_va(&v->pool, i) + g.offset, g.len);
	return true;
}

/* All fragments of a frame, whatever becomes of it: their pages must come back. */
static bool rx_frags(struct vif *v, struct sk_buff *skb, const union head_word *h, const struct netflip_head *slot, u32 prod)
{
	const struct netflip_frag *from = (const void *)(slot->data + ALIGN(h->inline_len, 8));
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

static bool rx_offloads(struct sk_buff *skb, const union head_word *h)
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
	union head_word h = { READ_ONCE(*(const u64 *)slot) };
	struct sk_buff *skb;
	bool good;

	BUILD_BUG_ON(offsetof(union head_word, flags) != offsetof(struct netflip_head, flags));
	if (h.inline_len < ETH_HLEN || h.inline_len > NETFLIP_INLINE_MAX || h.len < h.inline_len) {
		vif_broken(v, "receive head makes no sense");
		return NULL;
	}
	skb = napi_alloc_skb(&v->napi, NETFLIP_INLINE_MAX + rx_to_head(&h));
	if (skb)
		skb_put_data(skb, slot->data, h.inline_len);
	good = rx_frags(v, skb, &h, slot, prod) && skb && !(h.flags & NETFLIP_LOST) && skb->len == h.len;
	if (good) {
		skb->protocol = eth_type_trans(skb, v->net);
		skb_reset_network_header(skb);
		good = rx_offloads(skb, &h);
	}
	if (good)
		return skb;
	v->rx_lost++;
	v->net->stats.rx_dropped++;
	if (skb)
		dev_kfree_skb_any(skb);
	return NULL;
}

int rx_poll(struct vif *v, int budget)
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
	if (v->nr_posted < v->rx_pages / 2 && v->rx_pages < PAGES_MOST)
		v->rx_pages *= 2;
	return done;
}

void rx_restart(struct vif *v)
{
	unsigned int c;

	v->idle_first = v->idle_end = 0;
	v->nr_posted = v->nr_extents = 0;
	v->rx_pages = v->extents ? PAGES_BEGIN : PAGES_MOST;
	for (c = 0; c < RX_CHUNKS; c++) {
		v->nr_posted += hweight16(v->pool.out[c]);
		v->nr_extents += v->pool.extent[c] != 0;
		if (pool_is_whole(&v->pool, c))
			rx_idle(v, c);
	}
}
