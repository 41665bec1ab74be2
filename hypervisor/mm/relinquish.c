/* SPDX-License-Identifier: MIT */
/*
 * relinquish.c - a dying domain gives its frames back.
 *
 * Its vCPUs do not run and hold no roots any more, so what keeps a frame is the domain itself
 * (PGC_ALLOCATED), a pin, a half-done table's hold on itself, upper tables, or others. A sweep
 * over all frames takes pins and half-done tables away; upper tables then fall by themselves.
 * Falling can leave half-done tables behind the cursor, so sweeps are repeated until one finds
 * nothing to do. Only then do sweeps take the domain's own references: the uses of all frames have
 * ended before the first of them is freed, so that one flush serves for all. What is left is held by
 * others, who give it back when they are done.
 */
#include "dev/panic.h"
#include "domain/domain.h"
#include "mm/budget.h"
#include "mm/frame.h"
#include "mm/mm.h"
#include "mm/type.h"
#include "mm/validate.h"
#include "sched/sched.h"

#define FRAMES_PER_STEP 64u     /* frames between two looks at whether to stop */

/* The frame at the cursor, referenced, and the cursor on the next; NULL at the end. */
static struct page *next_page(struct domain *d)
{
    struct page *pg = NULL;

    spin_lock(&d->page_lock);
    while (!pg && d->relinquish_cursor != FRAME_NIL) {
        pg = mfn_to_page(mfn(d->relinquish_cursor));
        d->relinquish_cursor = pg->next;
        /* Its last reference may just be going: then it leaves the list by itself. */
        if (!page_get(pg, d))
            pg = NULL;
    }
    spin_unlock(&d->page_lock);
    return pg;
}

/* Goes back to pg, to which the caller has a reference. */
static void look_again(struct domain *d, const struct page *pg)
{
    spin_lock(&d->page_lock);
    d->relinquish_cursor = (uint32_t)page_to_mfn(pg).v;
    spin_unlock(&d->page_lock);
}

/* True if there was anything to do; *rc = -ERESTART: it is not finished. */
static bool give_back(const struct domain *d, struct page *pg, int *rc)
{
    bool did = false;

    *rc = 0;
    mm_budget_start();
    if (table_unpin(pg) == 0)
        did = true;
    if (READ_ONCE(pg->type) & PGT_PARTIAL) {
        did = true;
        *rc = table_drain(pg);
    }
    if (d->relinquish_disown && page_disown(pg))
        did = true;
    return did;
}

int domain_relinquish_memory(struct domain *d)
{
    uint32_t n = 0;
    int rc;

    ASSERT(domain_dying(d));
    if (!d->relinquish_begun) {
        d->relinquish_begun = true;
        d->relinquish_cursor = d->page_list;
    }
    for (;;) {
        struct page *pg = next_page(d);

        if (pg) {
            if (give_back(d, pg, &rc))
                d->relinquish_again = true;
            if (rc)
                look_again(d, pg);
            page_put(pg);
            if (rc)
                return -XEN_ERESTART;
        } else if (d->relinquish_again || !d->relinquish_disown) {
            d->relinquish_disown |= !d->relinquish_again;
            d->relinquish_again = false;
            spin_lock(&d->page_lock);
            d->relinquish_cursor = d->page_list;
            spin_unlock(&d->page_lock);
        } else {
            return 0;
        }
        if (++n % FRAMES_PER_STEP == 0 && hypercall_preempt_check())
            return -XEN_ERESTART;
    }
}
