/* SPDX-License-Identifier: MIT */
/* budget.c - bounded steps of page-table work, and what they leave for later. */
#include "mm/budget.h"
#include "domain/domain.h"
#include "mm/frame.h"
#include "mm/validate.h"
#include "sched/sched.h"

/* Tables per hypercall even if nothing else waits: bounds how long other vCPUs of the domain wait
 * for its mmu_lock. */
#define BUDGET_TABLES   32u

bool mm_budget_look(void)
{
    struct vcpu *v = current;

    if (v->mm.steps >= BUDGET_TABLES || hypercall_preempt_check())
        return true;
    v->mm.steps_ok = v->mm.steps;
    return false;
}

/*
 * A chain of half-done tables has at most three links, and the budget is spent when there is one;
 * a page that finds no room stays as it is until it is used again or its domain dies.
 */
void mm_defer(struct page *pg)
{
    struct vcpu *v = current;

    if (v->mm.nr_deferred < ARRAY_SIZE(v->mm.deferred))
        v->mm.deferred[v->mm.nr_deferred++] = (uint32_t)page_to_mfn(pg).v;
}

int mm_drain(void)
{
    struct vcpu *v = current;

    mm_budget_start();
    while (v->mm.nr_deferred) {
        struct page *pg = mfn_to_page(mfn(v->mm.deferred[--v->mm.nr_deferred]));

        /* Puts itself, and what it leaves below, back on the list when it stops. */
        if (table_drain(pg))
            return -XEN_ERESTART;
    }
    return 0;
}
