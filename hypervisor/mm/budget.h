/* SPDX-License-Identifier: MIT */
/*
 * budget.h - how much page-table work one hypercall may do before it lets others run.
 *
 * The unit is a table page validated or devalidated. At least one such step is always allowed,
 * so a restarted call makes progress.
 */
#ifndef MM_BUDGET_H
#define MM_BUDGET_H

#include "domain/domain.h"

struct page;

#ifdef SLUICE_HOST
void mm_budget_start(void);
void mm_budget_step(void);
bool mm_budget_spent(void);
#else
bool mm_budget_look(void);

/* A hypercall (or another bounded piece of work) begins. */
static inline void mm_budget_start(void)
{
    current->mm.steps = current->mm.steps_ok = 0;
}

/* One table done. */
static inline void mm_budget_step(void)
{
    current->mm.steps++;
}

/* Stop now? Never before the first step; looked at once per step. */
static inline bool mm_budget_spent(void)
{
    return current->mm.steps != current->mm.steps_ok && mm_budget_look();
}
#endif

/* pg, PGT_PARTIAL, is left half devalidated: mm_drain() will look at it. */
void mm_defer(struct page *pg);

#endif
