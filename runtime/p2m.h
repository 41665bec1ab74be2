/* SPDX-License-Identifier: MIT */
/* p2m.h - the pseudo-physical to machine table, as mem.c, pagetable.c and start.c share it. */
#ifndef RUNTIME_P2M_H
#define RUNTIME_P2M_H

#include "addr.h"

/* Adopts the builder's list of n frames (virtual address from start_info). */
void p2m_init(const uint64_t *list, size_t n);

/* Moves the list to own memory with room for max pages. 0 or -XEN_ENOMEM. */
int p2m_reserve(size_t max);

/* Sets the entry for one page; grows p2m_pages(). The page must be below what is reserved. */
void p2m_set(uint64_t pfn, mfn_t m);

/* The same for a page that has an entry and goes on having one. */
extern uint64_t *p2m_list;
static inline void p2m_change(uint64_t pfn, mfn_t m)
{
    p2m_list[pfn] = m.v;
}

/* Entries, that is one more than the highest page. */
extern size_t p2m_nr;
static inline size_t p2m_pages(void)
{
    return p2m_nr;
}

size_t p2m_max(void);       /* room for so many */

#endif
