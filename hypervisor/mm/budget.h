/* SPDX-License-Identifier: MIT */
/*
 * budget.h - how much page-table work one hypercall may do before it lets others run.
 *
 * The unit is a table page validated or devalidated. At least one such step is always allowed,
 * so a restarted call makes progress.
 */
#ifndef MM_BUDGET_H
#define MM_BUDGET_H

#include "compiler.h"

struct page;

void mm_budget_start(void);     /* a hypercall (or another bounded piece of work) begins */
void mm_budget_step(void);      /* one table done */
bool mm_budget_spent(void);
/* pg, PGT_PARTIAL, is left half devalidated: mm_drain() will look at it. */
void mm_defer(struct page *pg);

#endif
