/* SPDX-License-Identifier: MIT */
/*
 * layout.h - where everything lies in a new domain: pure arithmetic.
 *
 *   PFN 0 .. | kernel | [initrd] | [p2m] | start_info | store | console | tables | stack | slack ||
 *   mapped from virt_base up to here, a multiple of 4 MiB                                        ||
 *   then, not mapped there: [initrd] [p2m list, its tables]   ... rest of the memory
 *
 * The first form of initrd and p2m is for kernels that do not say in their notes that they cope
 * with the second (MOD_START_PFN, INIT_P2M). Kernels depend on this order: NetBSD overwrites all
 * that stands behind the tables, Linux frees what lies behind first_p2m_pfn.
 */
#ifndef BUILDER_LAYOUT_H
#define BUILDER_LAYOUT_H

#include "lib/xennote.h"

/* Pages [pfn, pfn + n). */
struct pfn_range {
    uint64_t pfn, n;
};

/* A tree of tables that maps one range of virtual addresses without its L4. */
struct table_tree {
    uint64_t va, end;           /* [va, end), page-aligned */
    uint64_t l3, l2, l1;        /* how many tables of each level */
};

struct layout {
    uint64_t virt_base;
    uint64_t nr_pages;          /* of the domain */
    uint64_t mapped;            /* pages [0, mapped) are mapped from virt_base */
    struct pfn_range kernel, initrd, p2m, start_info, store, console, tables, stack;
    bool initrd_mapped;
    bool p2m_outside;           /* mapped at p2m_va by tables of its own */
    uint64_t p2m_va;
    struct pfn_range p2m_tables;    /* L3s, L2s, L1s; only with p2m_outside */
    struct table_tree main_tree, p2m_tree;
};

/*
 * Lays out a domain of nr_pages pages with this kernel at [virt_start, virt_end) and an initrd of
 * initrd_bytes (0: none). virt_start >= notes->virt_base, as image.h guarantees. Returns 0, or the
 * number of pages that it would need when nr_pages is too small; ~0: it cannot be mapped behind
 * virt_base whatever the size.
 */
uint64_t layout_make(struct layout *l, const struct xen_notes *notes, uint64_t virt_start,
                     uint64_t virt_end, uint64_t initrd_bytes, uint64_t nr_pages);

static inline uint64_t layout_va(const struct layout *l, uint64_t pfn)
{
    return l->virt_base + (pfn << PAGE_SHIFT);
}

#endif
