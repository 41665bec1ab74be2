/* SPDX-License-Identifier: MIT */
/* layout.c - where everything lies in a new domain (see layout.h). */
#include "toolstack/builder/layout.h"
#include "lib/string.h"
#include "xenabi.h"

/* Room that kernels expect mapped behind their stack, before they can map more themselves. NetBSD
 * builds a second set of tables there, so it is never less than the first. */
#define SLACK_PAGES (512UL * 1024 / PAGE_SIZE)
#define BLOCK_PAGES (4UL * 1024 * 1024 / PAGE_SIZE)
/* No initial mapping is larger (or it ends at the top of the address space). */
#define MAPPED_MAX  (8UL << 30)

static uint64_t blocks(uint64_t va, uint64_t end, unsigned int shift)
{
    return ((end - 1) >> shift) - (va >> shift) + 1;
}

static struct table_tree tree_of(uint64_t va, uint64_t pages)
{
    uint64_t end = va + (pages << PAGE_SHIFT);

    return (struct table_tree){
        .va = va,
        .end = end,
        .l3 = blocks(va, end, 39),
        .l2 = blocks(va, end, 30),
        .l1 = blocks(va, end, 21),
    };
}

static uint64_t tree_pages(const struct table_tree *t)
{
    return t->l3 + t->l2 + t->l1;
}

static struct pfn_range take(uint64_t *next, uint64_t n)
{
    struct pfn_range r = { *next, n };

    *next += n;
    return r;
}

/* Can the list have top-level entries of its own, in what belongs to the guest? */
static bool can_map_p2m_at(const struct layout *l, uint64_t va, uint64_t pages)
{
    uint64_t end = va + (pages << PAGE_SHIFT), main_end = l->virt_base + MAPPED_MAX;
    bool low = end <= 0x800000000000UL;
    bool high = va >= 0xffff880000000000UL;

    if (va & (PAGE_SIZE - 1) || end <= va || !(low || high))
        return false;
    if (main_end < l->virt_base)
        main_end = ~0UL;
    return (end - 1) >> 39 < l->virt_base >> 39 || va >> 39 > (main_end - 1) >> 39;
}

/* The tables map themselves: their number is what makes the rest fit. */
static void place_tables(struct layout *l, uint64_t next)
{
    uint64_t tables = 4;

    for (;;) {
        uint64_t end = next + tables + 1 + MAX(SLACK_PAGES, tables + 8);

        l->mapped = ROUND_UP(end, BLOCK_PAGES);
        /* A small domain gets its last block cut off rather than its slack. */
        if (l->mapped > l->nr_pages && end <= l->nr_pages)
            l->mapped = l->nr_pages;
        l->main_tree = tree_of(l->virt_base, l->mapped);
        if (1 + tree_pages(&l->main_tree) <= tables)
            break;
        tables = 1 + tree_pages(&l->main_tree);
    }
    tables = 1 + tree_pages(&l->main_tree);
    l->tables = take(&next, tables);
    l->stack = take(&next, 1);
}

uint64_t layout_make(struct layout *l, const struct xen_notes *notes, uint64_t virt_start,
                     uint64_t virt_end, uint64_t initrd_bytes, uint64_t nr_pages)
{
    uint64_t p2m_pages = DIV_ROUND_UP(nr_pages * 8, PAGE_SIZE);
    uint64_t initrd_pages = DIV_ROUND_UP(initrd_bytes, PAGE_SIZE);
    uint64_t first = (virt_start - notes->virt_base) >> PAGE_SHIFT;
    uint64_t next = DIV_ROUND_UP(virt_end - notes->virt_base, PAGE_SIZE);

    memset(l, 0, sizeof(*l));
    l->virt_base = notes->virt_base;
    l->nr_pages = nr_pages;
    l->kernel = (struct pfn_range){ first, next - first };
    l->initrd_mapped = initrd_pages != 0 && !notes->mod_start_pfn;
    l->p2m_outside = xen_notes_have(notes, XEN_ELFNOTE_INIT_P2M) &&
                     can_map_p2m_at(l, notes->init_p2m, p2m_pages);

    if (l->initrd_mapped)
        l->initrd = take(&next, initrd_pages);
    if (!l->p2m_outside)
        l->p2m = take(&next, p2m_pages);
    l->start_info = take(&next, 1);
    l->store = take(&next, 1);
    l->console = take(&next, 1);
    if (next + BLOCK_PAGES > MIN(-(notes->virt_base + 1), MAPPED_MAX) >> PAGE_SHIFT)
        return ~0UL;
    place_tables(l, next);

    next = l->mapped;
    if (initrd_pages != 0 && !l->initrd_mapped)
        l->initrd = take(&next, initrd_pages);
    l->p2m_va = layout_va(l, l->p2m.pfn);
    if (l->p2m_outside) {
        l->p2m = take(&next, p2m_pages);
        l->p2m_va = notes->init_p2m;
        l->p2m_tree = tree_of(l->p2m_va, p2m_pages);
        l->p2m_tables = take(&next, tree_pages(&l->p2m_tree));
    }
    return next <= nr_pages ? 0 : next;
}
