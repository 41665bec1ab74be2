// SPDX-License-Identifier: MIT
/*
 * offer.c - what of a pool the backend has: how it comes back when it does not come as it should, or is not brought at all.
 */
#include "driver.h"

int pool_take_back(struct pool *p, unsigned int i)
{
	u16 flags = READ_ONCE(p->entry[i].flags);

	/* Until nothing is left of the grant: we have ended it, or a flip has, maybe just now on another CPU. */
	while (flags) {
		if (flags & (GTF_reading | GTF_writing))
			return -EBUSY;
		if (try_cmpxchg(&p->entry[i].flags, &flags, 0))
			return 0;
	}
	return pool_take(p, i);
}

/* The first before all others: as long as it is on offer, a flip can take them with it. */
int pool_take_each(struct pool *p, unsigned int c)
{
	unsigned int k, flipped = 0;

	for (k = 0; k < p->extent[c]; k++) {
		int rc = pool_take(p, c * CHUNK_PAGES + k);

		if (rc >= 0)
			flipped += rc;
		else if (k == 0)
			return rc;
		else
			p->out[c] |= 1u << k;
	}
	p->extent[c] = 0;
	return p->out[c] ? -EBUSY : flipped;
}

void pool_take_all(struct pool *p)
{
	unsigned int c, k;

	for (c = 0; c < p->nr_chunks; c++) {
		if (p->extent[c])
			pool_take_each(p, c);
		for (k = 0; k < CHUNK_PAGES; k++)
			if (p->out[c] & 1u << k && pool_take(p, c * CHUNK_PAGES + k) >= 0)
				p->out[c] &= ~(1u << k);
	}
}

/* What was flipped the backend still brings, if it can. */
void pool_hold(struct pool *p)
{
	unsigned int c, k;

	for (c = 0; c < p->nr_chunks; c++) {
		u16 out = p->extent[c] ? (1u << p->extent[c]) - 1 : p->out[c];

		p->held[c] = 0;
		for (k = 0; k < CHUNK_PAGES; k++) {
			int rc = out & 1u << k ? pool_take(p, c * CHUNK_PAGES + k) : 1;

			if (rc == 0)
				p->held[c] |= 1u << k;
			else if (rc < 0 && k == 0 && p->extent[c])
				break;
		}
	}
}

void pool_offer_held(struct pool *p, domid_t dom)
{
	unsigned int c, k;

	for (c = 0; c < p->nr_chunks; c++) {
		/* An extent as long as it is one; what is left of another is pages. */
		if (p->extent[c] && p->held[c] == (u16)((1u << p->extent[c]) - 1)) {
			pool_offer_extent(p, c, p->extent[c], dom);
			continue;
		}
		for (k = CHUNK_PAGES; k-- > 0;)
			if (p->held[c] & 1u << k)
				smp_store_release((u32 *)&p->entry[c * CHUNK_PAGES + k], offer_word(dom));
	}
}

void pool_forget(struct pool *p)
{
	memset(p->out, 0, sizeof(p->out));
	memset(p->extent, 0, sizeof(p->extent));
}
