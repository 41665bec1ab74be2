/* SPDX-License-Identifier: MIT */
/*
 * window.c - flip windows: which page table entry belongs to a grant reference.
 *
 * A window holds an existence and a type reference to each of its L1 tables, so these stay L1
 * tables of the domain, and their entries stay where they are, whatever the guest does with
 * the tables above. Windows come and go under the grant lock, under which flips take slots and
 * give them back; one goes when no flip of the domain is under way.
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

static void window_free(struct flip_window *w)
{
    for (uint32_t i = 0; i < FLIP_TABLES && w->table[i]; i++)
        page_put_and_type(mfn_to_page(virt_to_mfn(w->table[i])));
    xfree(w->slot);
    xfree(w);
}

static struct flip_window *window_alloc(const struct flip_geometry *at)
{
    struct flip_window *w = xzalloc(struct flip_window);

    if (!w)
        return NULL;
    w->at = *at;
    w->slot = xzalloc_array(struct flip_slot, at->slots);
    if (w->slot)
        return w;
    xfree(w);
    return NULL;
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
        else if (flip_refs_overlap(&w->at, &gt->window[i]->at) || windows_overlap(w, gt->window[i]))
            return -XEN_EEXIST;
    }
    for (uint32_t ref = w->at.first_ref; ref < end; ref++) {
        const struct grant_active *act = grant_active_entry(gt, ref);

        if (act->readers | act->writers)
            return -XEN_EBUSY;
    }
    return *id == FLIP_WINDOWS ? -XEN_ENOSPC : 0;
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

struct flip_range flip_find(const struct grant_table *gt, uint32_t ref)
{
    for (uint32_t i = 0; i < gt->windows_end; i++) {
        const struct flip_window *w = gt->window[i];

        if (w && flip_has_ref(&w->at, ref))
            return (struct flip_range){ w->at.first_ref, w->at.slots, w->slot };
    }
    return (struct flip_range){ 0 };
}

static void locate_slots(const struct grant_table *gt, struct flip_window *w)
{
    for (uint32_t i = 0; i < w->at.slots; i++) {
        uint32_t at = w->at.first_index + i;

        w->slot[i].entry = grant_word(grant_shared(gt, w->at.first_ref + i));
        w->slot[i].pte = &w->table[at / PTES_PER_TABLE][at % PTES_PER_TABLE];
        w->slot[i].frame = PLACE_EMPTY;
    }
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
        locate_slots(gt, w);
        gt->window[*id] = w;
        gt->windows_end = MAX(gt->windows_end, *id + 1);
    }
    spin_unlock(&gt->lock);
    return rc;
}

/* Takes a window away: no flip takes a slot of it from here on. Those that have taken one are
 * waited for: at most one batch on each CPU, which is not preempted, as new ones are refused
 * meanwhile. The frames in its slots go back onto the domain's list. */
static long unregister(struct domain *d, uint32_t id)
{
    struct grant_table *gt = d->grant;
    struct flip_window *w = NULL;

    spin_lock(&gt->lock);
    if (id < FLIP_WINDOWS) {
        w = gt->window[id];
        gt->window[id] = NULL;
        while (gt->windows_end && !gt->window[gt->windows_end - 1])
            gt->windows_end--;
    }
    gt->windows_leaving++;
    while (w && gt->flips) {
        spin_unlock(&gt->lock);
        tlb_poll();
        cpu_relax();
        spin_lock(&gt->lock);
    }
    gt->windows_leaving--;
    spin_unlock(&gt->lock);
    if (!w)
        return -XEN_ENOENT;
    for (uint32_t i = 0; i < w->at.slots; i++)
        page_unpark(d, &w->slot[i].frame);
    window_free(w);
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
    w = window_alloc(&(struct flip_geometry){
        .first_ref = req.first_ref,
        .slots = req.slots,
        .first_index = (uint32_t)l1_index(req.va),
    });
    if (!w)
        return -XEN_ENOMEM;
    rc = tables_get(d, w, req.va);
    if (rc == 0)
        rc = attach(d, w, &req.id);
    if (rc) {
        window_free(w);
        return rc;
    }
    if (copy_to_guest(arg, &req, sizeof(req))) {
        /* The guest does not learn its number: it goes again. */
        (void)unregister(d, req.id);
        return -XEN_EFAULT;
    }
    return 0;
}

long flip_unregister(guest_ptr_t arg)
{
    uint32_t id;

    if (copy_from_guest(&id, arg, sizeof(id)))
        return -XEN_EFAULT;
    return unregister(current->domain, id);
}

/* d does not run any more. */
int grant_release_windows(struct domain *d)
{
    struct grant_table *gt = d->grant;

    for (uint32_t id = 0; gt && id < FLIP_WINDOWS; id++) {
        if (!gt->window[id])
            continue;
        (void)unregister(d, id);
        if (hypercall_preempt_check())
            return -XEN_ERESTART;
    }
    return 0;
}
