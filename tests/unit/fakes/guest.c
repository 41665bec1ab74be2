/* SPDX-License-Identifier: MIT */
/* guest.c - see guest.h. */
#include "tests/unit/fakes/guest.h"
#include <stdlib.h>
#include <string.h>
#include "runtime/hypercall.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "runtime/start.h"

#define GRANTS 4096

static struct grant { domid_t dom; grant_ref_t ref; uint8_t *page; bool readonly, offered, takes; unsigned int maps; }
    grants[GRANTS];
static unsigned int nr_mapped[16];

unsigned long fake_copies, fake_copy_calls, fake_flipped, fake_flip_calls, fake_transferred;
bool fake_flips = true, fake_flips_busy;
unsigned int fake_pinned;
const char *fake_word;
uint64_t fake_word_value;
struct fake_fault fake_flip_fault = { .at = FAKE_NONE }, fake_copy_fault = { .at = FAKE_NONE };

static bool fails_now(struct fake_fault *f)
{
    if (f->at >= 0)
        return f->at-- == 0;
    return f->at == FAKE_EACH;
}

/* Flip windows of our own, one behind the other: their pages have numbers from 0 on. */
#define OWN_PAGES 512u
static uint8_t own_page[OWN_PAGES * PAGE_SIZE] __aligned(PAGE_SIZE);
static uint64_t own_p2m[OWN_PAGES];
static unsigned int own_pages, own_refs;
uint64_t *p2m_list = own_p2m;

/* Grants ------------------------------------------------------------------------------------ */

static struct grant *find_grant(domid_t dom, grant_ref_t ref)
{
    struct grant *g = &grants[(dom * 1024u + ref) % GRANTS];

    return g->page && g->dom == dom && g->ref == ref ? g : NULL;
}

void fake_grant(domid_t dom, grant_ref_t ref, void *page, bool readonly)
{
    grants[(dom * 1024u + ref) % GRANTS] =
        (struct grant){ .dom = dom, .ref = ref, .page = page, .readonly = readonly };
}

void fake_offer(domid_t dom, grant_ref_t ref, void *page)
{
    fake_grant(dom, ref, page, false);
    find_grant(dom, ref)->offered = true;
}

void fake_accept(domid_t dom, grant_ref_t ref, void *page)
{
    fake_grant(dom, ref, page, true);
    find_grant(dom, ref)->takes = true;
}

bool fake_is_granted(domid_t dom, grant_ref_t ref)
{
    return find_grant(dom, ref) != NULL;
}

unsigned int fake_mapped(domid_t dom)
{
    return nr_mapped[dom];
}

int grant_map(domid_t dom, const grant_ref_t *refs, uint32_t n, unsigned int flags,
              struct grant_mapping *m)
{
    struct grant *g = n ? find_grant(dom, refs[0]) : NULL;

    /* Several pages must lie next to each other: nothing is mapped here. */
    for (uint32_t i = 1; g && i < n; i++) {
        struct grant *other = find_grant(dom, refs[i]);

        if (!other || other->page != g->page + i * PAGE_SIZE)
            return -XEN_EINVAL;
    }
    if (!g)
        return -XEN_EINVAL;
    *m = (struct grant_mapping){ .va = g->page, .n = n };
    m->one = dom;
    nr_mapped[dom] += n;
    return 0;
}

void grant_unmap(struct grant_mapping *m)
{
    if (m->va)
        nr_mapped[m->one] -= m->n;
    m->va = NULL;
}

void grant_pin(struct grant_pin *ops, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct grant *g = find_grant(ops[i].dom, ops[i].ref);
        bool ok = g && (!g->readonly || (ops[i].flags & GRANT_READONLY));

        ops[i].handle = ok ? ops[i].ref : GRANT_UNPINNED;
        ops[i].maddr = ok ? (paddr_t)g->page : 0;
        fake_pinned += ok;
    }
}

void grant_unpin(const struct grant_pin *ops, uint32_t n)
{
    fake_pinned -= n;
}

void grant_copy_own(struct gnttab_copy_ptr *side, const void *p)
{
    side->domid = DOMID_SELF;
    side->u.gmfn = (uint64_t)p & PAGE_MASK;
    side->offset = (uint16_t)((uint64_t)p & (PAGE_SIZE - 1));
}

static uint8_t *own_slot(grant_ref_t ref);

static uint8_t *side_of(const struct gnttab_copy_ptr *s, unsigned int len, bool gref, bool write)
{
    struct grant *g;

    if (s->offset + len > PAGE_SIZE || len == 0)
        return NULL;
    if (!gref) {
        if (s->domid != DOMID_SELF)
            abort();
        return (uint8_t *)s->u.gmfn + s->offset;
    }
    if (s->domid == DOMID_SELF)
        return own_slot(s->u.ref) + s->offset;
    g = find_grant(s->domid, s->u.ref);
    return g && !(write && g->readonly) ? g->page + s->offset : NULL;
}

uint32_t grant_copy(struct gnttab_copy *ops, uint32_t n)
{
    uint32_t failed = 0;

    fake_copy_calls++;
    fake_copies += n;
    for (uint32_t i = 0; i < n; i++) {
        struct gnttab_copy *op = &ops[i];
        uint8_t *from = side_of(&op->source, op->len, op->flags & GNTCOPY_source_gref, false);
        uint8_t *to = side_of(&op->dest, op->len, op->flags & GNTCOPY_dest_gref, true);

        op->status = from && to ? GNTST_okay : GNTST_bad_gntref;
        if (fails_now(&fake_copy_fault))
            op->status = fake_copy_fault.status;
        if (op->status == GNTST_okay)
            memmove(to, from, op->len);
        else
            failed++;
    }
    return failed;
}

/* The rest ---------------------------------------------------------------------------------- */

/* 0: netback asks each time. */
mfn_t virt_to_mfn(const void *p)
{
    return mfn(0);
}

pfn_t virt_to_pfn(const void *p)
{
    uint64_t own = (uint64_t)p - (uint64_t)own_page;

    return pfn((own < sizeof(own_p2m) * PAGE_SIZE / sizeof(*own_p2m) ? own : (uint64_t)p) >> PAGE_SHIFT);
}

mfn_t pfn_to_mfn(pfn_t n)
{
    return mfn(n.v);
}

int p2m_replace(pfn_t n, mfn_t m)
{
    return 0;
}

uint64_t cmdline_get_u64(const char *key, uint64_t otherwise)
{
    return fake_word && strcmp(key, fake_word) == 0 ? fake_word_value : otherwise;
}

paddr_t virt_to_maddr(const void *p)
{
    return (paddr_t)p;
}

void *page_alloc(void)
{
    return aligned_alloc(PAGE_SIZE, PAGE_SIZE);
}

void *page_alloc_zeroed(void)
{
    void *p = page_alloc();

    return memset(p, 0, PAGE_SIZE);
}

void page_free(void *p)
{
    free(p);
}

void fake_reset(void)
{
    fake_world_reset();
    fake_flip_fault.at = fake_copy_fault.at = FAKE_NONE;
    memset(grants, 0, sizeof(grants));
    memset(nr_mapped, 0, sizeof(nr_mapped));
}

static struct grant_entry_v1 own_entry[OWN_PAGES];

grant_ref_t grant_range(uint32_t n, struct grant_entry_v1 **entries)
{
    if (n > OWN_PAGES - own_refs)
        return GRANT_NONE;
    *entries = own_entry + own_refs;
    own_refs += n;
    return FAKE_OWN_REF + own_refs - n;
}

void *pages_alloc(unsigned int order)
{
    if (1u << order > OWN_PAGES - own_pages)
        return NULL;
    own_pages += 1u << order;
    return own_page + (own_pages - (1u << order)) * PAGE_SIZE;
}

void pages_free(void *p, unsigned int order)
{
}

static uint8_t *own_slot(grant_ref_t ref)
{
    return ref >= FAKE_OWN_REF && ref < FAKE_OWN_REF + OWN_PAGES ? own_page + (ref - FAKE_OWN_REF) * PAGE_SIZE : NULL;
}

/* From a slot of our own to a guest. */
static int16_t flip_own(const struct sluice_flip_op *op)
{
    struct grant_entry_v1 *e = &own_entry[op->from_ref - FAKE_OWN_REF];
    struct grant *to = find_grant(op->to_dom, op->to_ref);
    uint8_t *page = own_slot(op->from_ref);

    if (!page || e->domid || e->flags != (GTF_permit_access | SLUICE_GTF_flip))
        return SLUICE_FLIP_from_gone;
    if (!to)
        return SLUICE_FLIP_to_gone;
    if (!to->offered || fake_flips_busy)
        return SLUICE_FLIP_to_busy;
    memcpy(to->page, page, PAGE_SIZE);
    memset(page, 0, PAGE_SIZE);
    to->page = NULL;
    e->flags = 0;
    fake_flipped++;
    return SLUICE_FLIP_okay;
}

/* Frames change places: here, what is in the pages does. */
static int16_t flip(const struct sluice_flip_op *op)
{
    struct grant *from = find_grant(op->from_dom, op->from_ref);
    struct grant *to = find_grant(op->to_dom, op->to_ref);
    uint8_t tmp[4096];

    if (op->from_dom == DOMID_SELF)
        return flip_own(op);
    if (from == to)
        return SLUICE_FLIP_bad_op;
    if (!from)
        return SLUICE_FLIP_from_gone;
    if (!to)
        return SLUICE_FLIP_to_gone;
    if (!from->offered || fake_flips_busy)
        return SLUICE_FLIP_from_busy;
    if (!to->offered)
        return SLUICE_FLIP_to_busy;
    memcpy(tmp, from->page, sizeof(tmp));
    memcpy(from->page, to->page, sizeof(tmp));
    memcpy(to->page, tmp, sizeof(tmp));
    from->page = to->page = NULL;
    fake_flipped++;
    return SLUICE_FLIP_okay;
}

/* All pages of an operation or none. */
static int16_t flip_pages(const struct sluice_flip_op *op)
{
    struct sluice_flip_op one = *op;
    int16_t status = SLUICE_FLIP_okay;

    for (unsigned int i = 0; i <= op->more; i++) {
        struct grant *from = find_grant(op->from_dom, op->from_ref + i), *to = find_grant(op->to_dom, op->to_ref + i);

        if (op->more && (!from || !from->offered))
            return SLUICE_FLIP_from_busy;
        if (op->more && (!to || !to->offered))
            return SLUICE_FLIP_to_busy;
    }
    for (unsigned int i = 0; i <= op->more && status == SLUICE_FLIP_okay; i++, one.from_ref++, one.to_ref++)
        status = flip(&one);
    return status;
}

/* A page is given away: its contents go to what the guest has at that reference, once. */
static void transfer(struct gnttab_transfer *op)
{
    struct grant *g = find_grant(op->domid, op->ref);

    op->status = g && g->takes ? GNTST_okay : GNTST_bad_page;
    if (op->status != GNTST_okay)
        return;
    memcpy(g->page, (void *)(op->mfn << PAGE_SHIFT), 4096);
    g->takes = false;
    fake_transferred++;
}

long hypercall(unsigned int nr, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    struct sluice_flip_op *op = (void *)a2;

    if (nr == __HYPERVISOR_grant_table_op && a1 == GNTTABOP_transfer) {
        for (uint64_t i = 0; i < a3; i++)
            transfer((struct gnttab_transfer *)a2 + i);
        return 0;
    }
    if (nr == __HYPERVISOR_memory_op && a1 == XENMEM_populate_physmap)
        return (long)((struct xen_memory_reservation *)a2)->nr_extents;
    if (nr != __HYPERVISOR_sluice_flip)
        return 0;               /* the run loop's: nothing ever blocks here */
    if (!fake_flips)
        return -XEN_ENOSYS;
    if (a1 == SLUICE_FLIP_query) {
        *(struct sluice_flip_query *)a2 = (struct sluice_flip_query){ .version = 1 };
        return 0;
    }
    if (a1 == SLUICE_FLIP_register) {
        struct sluice_flip_window *w = (void *)a2;

        return (void *)w->va == own_slot(w->first_ref) ? 0 : -XEN_EINVAL;
    }
    if (a1 == SLUICE_FLIP_extent)
        return SLUICE_FLIP_EXTENT;
    if (a1 != SLUICE_FLIP_exchange)
        return -XEN_ENOSYS;
    fake_flip_calls++;
    for (uint64_t i = 0; i < a3; i++) {
        bool fails = fails_now(&fake_flip_fault);

        if (fails && fake_flip_fault.call)
            return -XEN_EFAULT;
        op[i].status = fails ? fake_flip_fault.status : flip_pages(&op[i]);
    }
    return 0;
}
