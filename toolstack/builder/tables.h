/* SPDX-License-Identifier: MIT */
/* tables.h - contents of a new domain's page tables, one table at a time. Pure. */
#ifndef BUILDER_TABLES_H
#define BUILDER_TABLES_H

#include "toolstack/builder/layout.h"

/*
 * Fills in table i of l->tables (i < l->tables.n): the L4, then the L3s, L2s, L1s of the initial
 * mapping. p2m[n] is the machine frame of page n, for all l->nr_pages.
 */
void tables_fill(const struct layout *l, const uint64_t *p2m, uint64_t i, uint64_t table[512]);

/* The same for l->p2m_tables: L3s, L2s, L1s. */
void tables_fill_p2m(const struct layout *l, const uint64_t *p2m, uint64_t i, uint64_t table[512]);

#endif
