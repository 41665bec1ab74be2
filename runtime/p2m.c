/* SPDX-License-Identifier: MIT */
/* p2m.c - the pseudo-physical to machine table of this domain. */
#include "runtime/p2m.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "runtime/traps.h"

uint64_t *p2m_list;             /* the builder's list at first, later our own copy */
size_t p2m_nr;
static size_t max_pages;

void p2m_init(const uint64_t *list, size_t n)
{
    p2m_list = (uint64_t *)(uintptr_t)list;
    p2m_nr = max_pages = n;
}

int p2m_reserve(size_t max)
{
    uint64_t *list;

    if (max <= max_pages)
        return 0;
    list = malloc(max * sizeof(*list));
    if (!list)
        return -XEN_ENOMEM;
    memcpy(list, p2m_list, p2m_nr * sizeof(*list));
    for (size_t i = p2m_nr; i < max; i++)
        list[i] = ~0UL;
    /* The old list is the builder's, or a previous one of ours that nobody keeps pointers into;
     * it happens once, so it is left alone. */
    p2m_list = list;
    max_pages = max;
    return 0;
}

void p2m_set(uint64_t pfn, mfn_t m)
{
    BUG_ON(pfn >= max_pages);
    p2m_list[pfn] = m.v;
    if (pfn >= p2m_nr)
        p2m_nr = pfn + 1;
}

size_t p2m_max(void)
{
    return max_pages;
}

mfn_t pfn_to_mfn(pfn_t n)
{
    if (n.v >= p2m_nr)
        return MFN_INVALID;
    return mfn(p2m_list[n.v]);
}

pfn_t mfn_to_pfn(mfn_t m)
{
    const uint64_t *m2p = (const uint64_t *)machine_to_phys_mapping;
    uint64_t n;

    if (try_read64(&m2p[m.v], &n) && n < p2m_nr && p2m_list[n] == m.v)
        return pfn(n);
    return pfn(~0UL);
}
