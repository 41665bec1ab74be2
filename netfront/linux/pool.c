// SPDX-License-Identifier: MIT
/*
 * pool.c - grant entries, and the pages whose frames are flipped.
 *
 * The kernel's own grant functions set a fixed set of flags and know no range of entries that a driver
 * may write itself, so the grant table's frames are mapped a second time, here. A flip has changed the page's
 * entry in the direct map and the M2P when it is seen; the P2M is the kernel's own memory, and is set here.
 */
#include <linux/mm.h>
#include <linux/sort.h>
#include <linux/vmalloc.h>
#include <asm/xen/hypercall.h>
#include <asm/xen/page.h>
#include <xen/xen.h>

#include "driver.h"

#define MAX_FRAMES	64

static struct grant_entry_v1 *table;
static struct page *table_page[MAX_FRAMES];	/* what was at each page of it before */
static unsigned int nr_frames;
static grant_ref_t mark;	/* an entry that grants nothing: says whose table this is after a suspend */
#define MARK		0x534c4943u

static long flip_call(unsigned int cmd, void *arg, unsigned int count)
{
	return xen_single_call(__HYPERVISOR_sluice_flip, cmd, (unsigned long)arg, count, 0, 0);
}

bool flips_available(void)
{
	struct sluice_flip_query q = { 0 };

	return xen_pv_domain() && flip_call(SLUICE_FLIP_query, &q, 1) == 0 &&
	       q.version == SLUICE_FLIP_VERSION && q.max_slots >= RX_PAGES;
}

/* The area gets its own pages back. False: it is still mapped elsewhere, and must not be freed. */
static bool grants_unmap(void)
{
	for (; nr_frames; nr_frames--) {
		unsigned long va = (unsigned long)table + (nr_frames - 1) * PAGE_SIZE;
		unsigned long mfn = pfn_to_mfn(page_to_pfn(table_page[nr_frames - 1]));

		if (HYPERVISOR_update_va_mapping(va, mfn_pte(mfn, PAGE_KERNEL), UVMF_INVLPG | UVMF_ALL))
			return false;
	}
	return true;
}

/* Maps all frames that the table can have: asking for them makes them. */
static int grants_map(void)
{
	struct gnttab_query_size size = { .dom = DOMID_SELF };
	struct gnttab_setup_table setup = { .dom = DOMID_SELF };
	xen_pfn_t frames[MAX_FRAMES];
	int rc;

	if (HYPERVISOR_grant_table_op(GNTTABOP_query_size, &size, 1) || size.status != GNTST_okay)
		return -ENODEV;
	setup.nr_frames = min(size.max_nr_frames, (u32)MAX_FRAMES);
	set_xen_guest_handle(setup.frame_list, frames);
	if (HYPERVISOR_grant_table_op(GNTTABOP_setup_table, &setup, 1) || setup.status != GNTST_okay)
		return -ENODEV;
	for (nr_frames = 0; nr_frames < setup.nr_frames; nr_frames++) {
		rc = HYPERVISOR_update_va_mapping((unsigned long)table + nr_frames * PAGE_SIZE,
						  mfn_pte(frames[nr_frames], PAGE_KERNEL), UVMF_INVLPG | UVMF_ALL);
		if (rc)
			return rc;
	}
	return 0;
}

int grants_init(void)
{
	unsigned int i;
	int rc;

	table = vzalloc(MAX_FRAMES * PAGE_SIZE);
	if (!table)
		return -ENOMEM;
	for (i = 0; i < MAX_FRAMES; i++)
		table_page[i] = vmalloc_to_page((void *)table + i * PAGE_SIZE);
	rc = gnttab_alloc_grant_reference_seq(1, &mark);
	if (rc == 0)
		rc = grants_map();
	if (rc < 0)
		grants_exit();
	return rc;
}

void grants_exit(void)
{
	if (mark)
		gnttab_free_grant_reference(mark);
	mark = 0;
	if (grants_unmap())
		vfree(table);
	table = NULL;
}

void grants_suspend(void)
{
	struct grant_entry_v1 *e = grants_entry(mark);

	if (e)
		e->frame = MARK;
	grants_unmap();
}

bool grants_resume(void)
{
	struct grant_entry_v1 *e;

	if (grants_map())
		pr_err("sluice-netfront: the grant table cannot be mapped any more\n");
	e = grants_entry(mark);
	return e && !e->flags && e->frame == MARK;
}

struct grant_entry_v1 *grants_entry(grant_ref_t ref)
{
	return ref < nr_frames * (PAGE_SIZE / sizeof(*table)) ? table + ref : NULL;
}

/* Pools ------------------------------------------------------------------------------------ */

static int by_address(const void *a, const void *b)
{
	const struct chunk *x = a, *y = b;

	return x->pfn < y->pfn ? -1 : x->pfn > y->pfn;
}

static int chunk_init(struct chunk *c)
{
	unsigned int level;

	c->page = alloc_pages(GFP_KERNEL | __GFP_ZERO | __GFP_COMP | __GFP_NOWARN, CHUNK_ORDER);
	if (!c->page)
		return -ENOMEM;
	c->va = page_address(c->page);
	c->pfn = page_to_pfn(c->page);
	c->pte = lookup_address((unsigned long)c->va, &level);
	return c->pte && level == PG_LEVEL_4K ? 0 : -ERANGE;
}

static void windows_exit(struct pool *p)
{
	while (p->nr_windows && flip_call(SLUICE_FLIP_unregister, &p->window[p->nr_windows - 1], 1) == 0)
		p->nr_windows--;
}

/* A domain has few windows, and chunks that were allocated together lie side by side. */
static int windows_init(struct pool *p)
{
	unsigned int first, end;

	for (first = 0; first < p->nr_chunks; first = end) {
		struct sluice_flip_window w = {
			.va = (unsigned long)p->chunk[first].va,
			.first_ref = p->first_ref + first * CHUNK_PAGES,
		};
		int rc;

		for (end = first + 1; end < p->nr_chunks; end++)
			if (p->chunk[end].pfn != p->chunk[end - 1].pfn + CHUNK_PAGES)
				break;
		w.slots = (end - first) * CHUNK_PAGES;
		rc = flip_call(SLUICE_FLIP_register, &w, 1);
		if (rc) {
			windows_exit(p);
			return rc;
		}
		p->window[p->nr_windows++] = w.id;
	}
	return 0;
}

/* Not of those that are the backend's, whose frame is in there. */
static void set_frames(struct pool *p)
{
	unsigned int i;

	for (i = 0; i < p->nr_chunks * CHUNK_PAGES; i++)
		if (!READ_ONCE(p->entry[i].flags))
			p->entry[i].frame = pfn_to_mfn(p->chunk[i / CHUNK_PAGES].pfn + i % CHUNK_PAGES);
}

int pool_init(struct pool *p, unsigned int nr_chunks)
{
	unsigned int i;
	int rc = 0;

	while (p->nr_chunks < nr_chunks && !rc)
		rc = chunk_init(&p->chunk[p->nr_chunks++]);
	if (rc)
		goto free_pages;
	sort(p->chunk, nr_chunks, sizeof(p->chunk[0]), by_address, NULL);
	rc = gnttab_alloc_grant_reference_seq(nr_chunks * CHUNK_PAGES, &p->first_ref);
	if (rc < 0)
		goto free_pages;
	p->entry = grants_entry(p->first_ref);
	rc = -ERANGE;
	if (!p->entry || !grants_entry(p->first_ref + nr_chunks * CHUNK_PAGES - 1))
		goto free_refs;
	set_frames(p);
	rc = windows_init(p);
	if (rc)
		goto free_refs;
	return 0;

free_refs:
	gnttab_free_grant_reference_seq(p->first_ref, nr_chunks * CHUNK_PAGES);
free_pages:
	for (i = 0; i < p->nr_chunks; i++)
		if (p->chunk[i].page)
			__free_pages(p->chunk[i].page, CHUNK_ORDER);
	p->nr_chunks = 0;
	return rc;
}

void pool_exit(struct pool *p)
{
	unsigned int i, k;

	windows_exit(p);
	if (p->nr_windows)
		return;
	for (i = 0; i < p->nr_chunks; i++) {
		bool kept = false;

		for (k = i * CHUNK_PAGES; k < (i + 1) * CHUNK_PAGES; k++) {
			if (READ_ONCE(p->entry[k].flags))
				kept = true;
			else
				gnttab_free_grant_reference(p->first_ref + k);
		}
		if (!kept)
			__free_pages(p->chunk[i].page, CHUNK_ORDER);
	}
	p->nr_chunks = 0;
}

void pool_suspend(struct pool *p)
{
	windows_exit(p);
}

void pool_resume(struct pool *p)
{
	int rc;

	p->nr_windows = 0;
	set_frames(p);
	rc = windows_init(p);
	if (rc)
		pr_err("sluice-netfront: no window any more (%d), everything is copied\n", rc);
}
