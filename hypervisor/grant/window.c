/* SPDX-License-Identifier: MIT */
/*
 * window.c - flip windows: which page table entry belongs to a grant reference.
 *
 * A window holds an existence and a type reference to each of its L1 tables, so these stay L1
 * tables of the domain, and their entries stay where they are, whatever the guest does with
 * the tables above. The active entries of its grants have its number. Both are changed under the
 * grant lock, under which flips take slots; a window goes when it has none in flight.
 */
#include "grant/internal.h"
#include "mm/heap.h"
#include "mm/mm.h"
#include "mm/tlb.h"
#include "mm/uaccess.h"
#include "mm/validate.h"
#include "mm/walk.h"
#include "sched/sched.h"

/* ------------------------------------------------------------ tables */

static void tables_put(struct flip_window *w)
{
    for (uint32_t i = 0; i < FLIP_TABLES && w->table[i]; i++)
        page_put_and_type(mfn_to_page(virt_to_mfn(w->table[i])));
}

/* The L1 tables behind va and what follows it in the current address space. */
static int tables_get(struct domain *d, struct flip_window *w, uint64_t va)
{
    uint32_t n = flip_nr_tables(&w->at);
    uint64_t at = va & ~(PTES_PER_TABLE * PAGE_SIZE - 1);
    int rc = 0;

    spin_lock(&d->mmu_lock);
    for (uint32_t i = 0; i < n && !rc; i++, at += PTES_PER_TABLE * PAGE_SIZE) {
        pte_t *p = walk_l1_locked(d, current->kernel_root, at);
        struct page *pg = p ? mfn_to_page(virt_to_mfn(p)) : NULL;

        rc = -XEN_EINVAL;
        if (!pg || !page_get_owned(pg, d->id))
            break;
        rc = table_get_locked(d, pg, PGT_L1);
        if (rc)
            page_put(pg);
        else
            w->table[i] = p;
    }
    spin_unlock(&d->mmu_lock);
    return rc;
}

/* Do tables i of a and k of b have a slot in common? */
static bool tables_overlap(const struct flip_window *a, uint32_t i, const struct flip_window *b,
                           uint32_t k)
{
    uint32_t a0, a1, b0, b1;

    if (a->table[i] != b->table[k])
        return false;
    flip_table_range(&a->at, i, &a0, &a1);
    flip_table_range(&b->at, k, &b0, &b1);
    return a0 < b1 && b0 < a1;
}

/* One table may be mapped at several addresses, so a window can also overlap with itself. */
static bool windows_overlap(const struct flip_window *a, const struct flip_window *b)
{
    for (uint32_t i = 0; i < flip_nr_tables(&a->at); i++)
        for (uint32_t k = a == b ? i + 1 : 0; k < flip_nr_tables(&b->at); k++)
            if (tables_overlap(a, i, b, k))
                return true;
    return false;
}

/* ------------------------------------------------------------ references */

/* What a new window must not meet. Lock held. *id: a free number. */
static int may_attach(const struct grant_table *gt, const struct flip_window *w, uint32_t *id)
{
    uint32_t end = w->at.first_ref + w->at.slots;

    if (end < w->at.first_ref || end > gt->nr_frames * GRANTS_PER_FRAME)
        return -XEN_ERANGE;
    if (windows_overlap(w, w))
        return -XEN_EEXIST;
    *id = FLIP_WINDOWS;
    for (uint32_t i = FLIP_WINDOWS; i-- > 0; ) {
        if (!gt->window[i])
            *id = i;
        else if (windows_overlap(w, gt->window[i]))
            return -XEN_EEXIST;
    }
    for (uint32_t ref = w->at.first_ref; ref < end; ref++) {
        const struct grant_active *act = grant_active_entry(gt, ref);

        if (act->window)
            return -XEN_EEXIST;
        if (act->readers | act->writers)
            return -XEN_EBUSY;
    }
    return *id == FLIP_WINDOWS ? -XEN_ENOSPC : 0;
}

/* The entries of w say n. Lock held. */
static void mark_entries(const struct grant_table *gt, const struct flip_window *w, uint16_t n)
{
    for (uint32_t i = 0; i < w->at.slots; i++)
        grant_active_entry(gt, w->at.first_ref + i)->window = n;
}

/*
 * The tag of the next domain that registers its first window. Tags are never used again, so a
 * frame cannot be taken for one that came from a domain which is gone and whose number another
 * domain has now. If they run out, later domains have none, and all their frames are zeroed.
 */
static uint16_t new_tag(void)
{
    static uint32_t last;
    uint32_t n = load_relaxed(&last);

    do {
        if (n == UINT16_MAX)
            return 0;
    } while (!atomic_cmpxchg(&last, &n, n + 1));
    return (uint16_t)(n + 1);
}

static int attach(struct domain *d, struct flip_window *w, uint32_t *id)
{
    struct grant_table *gt = d->grant;
    int rc;

    spin_lock(&gt->lock);
    rc = may_attach(gt, w, id);
    if (rc == 0) {
        if (!gt->flip_tag)
            gt->flip_tag = new_tag();
        gt->window[*id] = w;
        mark_entries(gt, w, (uint16_t)(*id + 1));
    }
    spin_unlock(&gt->lock);
    return rc;
}

/* No flip takes a slot of the window from here on. False: there is none of that number, or somebody
 * else is at it. */
static bool leave(struct grant_table *gt, uint32_t id)
{
    struct flip_window *w;
    bool ok;

    spin_lock(&gt->lock);
    w = id < FLIP_WINDOWS ? gt->window[id] : NULL;
    ok = w && !w->leaving;
    if (ok) {
        w->leaving = true;
        mark_entries(gt, w, 0);
    }
    spin_unlock(&gt->lock);
    return ok;
}

/* Frees a window that is leaving; false: flips are still at it. */
static bool detach(struct grant_table *gt, uint32_t id)
{
    struct flip_window *w;
    bool idle;

    spin_lock(&gt->lock);
    w = gt->window[id];
    idle = w->in_flight == 0;
    if (idle)
        gt->window[id] = NULL;
    spin_unlock(&gt->lock);
    if (!idle)
        return false;
    tables_put(w);
    xfree(w);
    return true;
}

static long unregister(struct grant_table *gt, uint32_t id)
{
    if (!leave(gt, id))
        return -XEN_ENOENT;
    /* At most one batch on each CPU is on its way, which is not preempted. */
    while (!detach(gt, id)) {
        tlb_poll();
        cpu_relax();
    }
    return 0;
}

/* ------------------------------------------------------------ calls */

long flip_register(guest_ptr_t arg)
{
    struct domain *d = current->domain;
    struct sluice_flip_window req;
    struct flip_window *w;
    uint64_t end;
    long rc;

    if (copy_from_guest(&req, arg, sizeof(req)))
        return -XEN_EFAULT;
    end = req.va + req.slots * PAGE_SIZE;
    if ((req.va & ~PAGE_MASK) || req.slots - 1 >= FLIP_SLOTS || req.flags || end < req.va)
        return -XEN_EINVAL;
    w = xzalloc(struct flip_window);
    if (!w)
        return -XEN_ENOMEM;
    w->at = (struct flip_geometry){
        .first_ref = req.first_ref,
        .slots = req.slots,
        .first_index = (uint32_t)l1_index(req.va),
    };
    rc = tables_get(d, w, req.va);
    if (rc == 0)
        rc = attach(d, w, &req.id);
    if (rc) {
        tables_put(w);
        xfree(w);
        return rc;
    }
    if (copy_to_guest(arg, &req, sizeof(req))) {
        /* The guest does not learn its number: it goes again. */
        (void)unregister(d->grant, req.id);
        return -XEN_EFAULT;
    }
    return 0;
}

long flip_unregister(guest_ptr_t arg)
{
    uint32_t id;

    if (copy_from_guest(&id, arg, sizeof(id)))
        return -XEN_EFAULT;
    return unregister(current->domain->grant, id);
}

/* d does not run any more. */
int grant_release_windows(struct domain *d)
{
    struct grant_table *gt = d->grant;

    for (uint32_t id = 0; gt && id < FLIP_WINDOWS; id++) {
        if (!gt->window[id])
            continue;
        (void)leave(gt, id);
        if (!detach(gt, id) || hypercall_preempt_check())
            return -XEN_ERESTART;
    }
    return 0;
}
