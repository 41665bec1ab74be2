// SPDX-License-Identifier: MIT
/*
 * pool.c - grant entries, and the pages whose frames are flipped.
 *
 * The kernel's own grant functions set a fixed set of flags and know no range of entries that a driver
 * may write itself, so the grant table's frames are mapped a second time, here. A flip has changed the page's
 * entry in the direct map and the M2P when it is seen; the P2M is the kernel's own memory, and is set here.
 */
#include <linux/mm.h>
#include <linux/vmalloc.h>
#include <asm/xen/hypercall.h>
#include <asm/xen/page.h>
#include <xen/xen.h>

#include "driver.h"

#define MAX_FRAMES	64

static struct grant_entry_v1 *table;
static struct page *table_page[MAX_FRAMES];	/* what was at each page of it before */
static unsigned int nr_frames;

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

/* Maps all frames that the table can have: asking for them makes them. */
int grants_init(void)
{
	struct gnttab_query_size size = { .dom = DOMID_SELF };
	struct gnttab_setup_table setup = { .dom = DOMID_SELF };
	xen_pfn_t frames[MAX_FRAMES];
	unsigned int i;
	int rc;

	if (HYPERVISOR_grant_table_op(GNTTABOP_query_size, &size, 1) || size.status != GNTST_okay)
		return -ENODEV;
	nr_frames = min(size.max_nr_frames, (u32)MAX_FRAMES);
	setup.nr_frames = nr_frames;
	set_xen_guest_handle(setup.frame_list, frames);
	if (HYPERVISOR_grant_table_op(GNTTABOP_setup_table, &setup, 1) || setup.status != GNTST_okay)
		return -ENODEV;
	table = vzalloc(nr_frames * PAGE_SIZE);
	if (!table)
		return -ENOMEM;
	for (i = 0; i < nr_frames; i++) {
		table_page[i] = vmalloc_to_page((void *)table + i * PAGE_SIZE);
		rc = HYPERVISOR_update_va_mapping((unsigned long)table + i * PAGE_SIZE,
						  mfn_pte(frames[i], PAGE_KERNEL), UVMF_INVLPG | UVMF_ALL);
		if (rc) {
			nr_frames = i;
			grants_exit();
			return rc;
		}
	}
	return 0;
}

/* The area gets its own pages back before it is freed. */
void grants_exit(void)
{
	unsigned int i;

	for (i = 0; i < nr_frames; i++) {
		unsigned long mfn = pfn_to_mfn(page_to_pfn(table_page[i]));

		if (HYPERVISOR_update_va_mapping((unsigned long)table + i * PAGE_SIZE,
						 mfn_pte(mfn, PAGE_KERNEL), UVMF_INVLPG | UVMF_ALL))
			return;		/* keep the area rather than free what is mapped elsewhere */
	}
	vfree(table);
	table = NULL;
}

struct grant_entry_v1 *grants_entry(grant_ref_t ref)
{
	return ref < nr_frames * (PAGE_SIZE / sizeof(*table)) ? table + ref : NULL;
}

int pool_init(struct pool *p, unsigned int order)
{
	struct sluice_flip_window w = { .slots = 1u << order };
	unsigned int i, level;
	int rc;

	p->nr = w.slots;
	p->pages = alloc_pages(GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN, order);
	if (!p->pages)
		return -ENOMEM;
	split_page(p->pages, order);
	rc = gnttab_alloc_grant_reference_seq(p->nr, &p->first_ref);
	if (rc < 0)
		goto free_pages;
	p->entry = grants_entry(p->first_ref);
	p->pte = lookup_address((unsigned long)page_address(p->pages), &level);
	rc = -ERANGE;
	if (!p->pte || level != PG_LEVEL_4K || !p->entry || !grants_entry(p->first_ref + p->nr - 1))
		goto free_refs;
	w.va = (unsigned long)page_address(p->pages);
	w.first_ref = p->first_ref;
	rc = flip_call(SLUICE_FLIP_register, &w, 1);
	if (rc)
		goto free_refs;
	p->window = w.id;
	p->has_window = true;
	return 0;

free_refs:
	gnttab_free_grant_reference_seq(p->first_ref, p->nr);
free_pages:
	for (i = 0; i < p->nr; i++)
		__free_page(pool_page(p, i));
	p->pages = NULL;
	return rc;
}

void pool_exit(struct pool *p)
{
	unsigned int i;

	if (!p->pages)
		return;
	if (p->has_window && flip_call(SLUICE_FLIP_unregister, &p->window, 1))
		return;
	for (i = 0; i < p->nr; i++) {
		if (READ_ONCE(p->entry[i].flags))
			continue;
		__free_page(pool_page(p, i));
		gnttab_free_grant_reference(p->first_ref + i);
	}
	p->pages = NULL;
	p->has_window = false;
}

static unsigned long page_mfn(struct page *page)
{
	return pfn_to_mfn(page_to_pfn(page));
}

void pool_offer(struct pool *p, unsigned int i, domid_t dom)
{
	struct grant_entry_v1 *e = &p->entry[i];

	e->frame = page_mfn(pool_page(p, i));
	e->domid = dom;
	smp_store_release(&e->flags, GTF_permit_access | SLUICE_GTF_flip);
}

int pool_take(struct pool *p, unsigned int i)
{
	struct grant_entry_v1 *e = &p->entry[i];
	u16 flags = smp_load_acquire(&e->flags);

	/* Until nothing is left of the grant: we have ended it, or a flip has, maybe just now on another CPU. */
	while (flags) {
		if (flags & (GTF_reading | GTF_writing))
			return -EBUSY;
		if (try_cmpxchg(&e->flags, &flags, 0))
			return 0;
	}
	xen_p2m_addr[page_to_pfn(pool_page(p, i))] = e->frame;
	return 1;
}
