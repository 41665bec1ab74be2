/* SPDX-License-Identifier: MIT */
/*
 * frame.c - page-frame accounting: owner and reference count of every frame.
 *
 * A frame is freed by whoever drops its last reference, under whatever locks below LOCK_PAGES.
 * Before it goes back to the allocator it is flushed from every TLB that may still know it, so
 * the next owner needs to think about nothing.
 */
#include "mm/frame.h"
#include "boot/smp.h"
#include "dev/panic.h"
#include "domain/domain.h"
#include "lib/string.h"
#include "mm/buddy.h"
#include "mm/tlb.h"
#include "mm/type.h"
#include "mm/validate.h"
#include "atomic.h"

_Static_assert(DIRECTMAP_SIZE >> PAGE_SHIFT <= MFN_MAX, "places and frames can be told apart");

/* Set with the first domain (perdomain.c). */
uint64_t mfn_limit = 1UL << (36 - PAGE_SHIFT);

/* ------------------------------------------------------------ existence */

bool page_get(struct page *pg, const struct domain *d)
{
    return page_get_owned(pg, d->id);
}

void page_hold(struct page *pg)
{
    uint32_t n = atomic_add_return(&pg->count, 1) & PGC_COUNT_MASK;

    BUG_ON(n <= 1 || n == PGC_COUNT_MASK);
}

static void list_insert(struct domain *d, struct page *pg)
{
    uint32_t m = (uint32_t)page_to_mfn(pg).v;

    ASSERT_HELD(&d->page_lock);
    pg->prev = FRAME_NIL;
    pg->next = d->page_list;
    if (d->page_list != FRAME_NIL)
        mfn_to_page(mfn(d->page_list))->prev = m;
    d->page_list = m;
}

static void list_unlink(struct domain *d, struct page *pg)
{
    uint64_t *place = page_parked_at(pg);

    ASSERT_HELD(&d->page_lock);
    if (unlikely(place)) {
        ASSERT(*place == page_to_mfn(pg).v);
        *place = PLACE_EMPTY;
        return;
    }
    if (d->relinquish_cursor == (uint32_t)page_to_mfn(pg).v)
        d->relinquish_cursor = pg->next;
    if (pg->prev == FRAME_NIL)
        d->page_list = pg->next;
    else
        mfn_to_page(mfn(pg->prev))->next = pg->next;
    if (pg->next != FRAME_NIL)
        mfn_to_page(mfn(pg->next))->prev = pg->prev;
}

void page_unlist(struct domain *d, struct page *pg)
{
    spin_lock(&d->page_lock);
    list_unlink(d, pg);
    spin_unlock(&d->page_lock);
}

void page_unpark(struct domain *d, uint64_t *place)
{
    spin_lock(&d->page_lock);
    if (*place != PLACE_EMPTY) {
        struct page *pg = mfn_to_page(mfn(*place));

        *place = PLACE_EMPTY;
        list_insert(d, pg);
    }
    spin_unlock(&d->page_lock);
}

/* n frames fewer belong to d; its memory's reference to d goes with the last. Lock not held. */
static void uncount(struct domain *d, uint64_t n)
{
    bool last;

    spin_lock(&d->page_lock);
    BUG_ON(d->tot_pages < n);
    d->tot_pages -= n;
    last = d->tot_pages == 0;
    spin_unlock(&d->page_lock);
    if (last)
        domain_put(d);
}

/* n frames more, if d may have them. */
static bool count_in(struct domain *d, uint64_t n)
{
    bool ok;

    spin_lock(&d->page_lock);
    ok = !domain_dying(d) && d->tot_pages <= d->max_pages && n <= d->max_pages - d->tot_pages;
    if (ok && d->tot_pages == 0)
        domain_ref(d);
    if (ok)
        d->tot_pages += n;
    spin_unlock(&d->page_lock);
    return ok;
}

/* CPUs that may know a frame of pg's owner: those that run it, and all if others have mapped the frame. */
static cpumask_t may_know(const struct page *pg, uint32_t count)
{
    const struct domain *d = count & PGC_FOREIGN ? NULL : domain_of_owner(pg->owner);

    return d ? load_relaxed(&d->dirty_cpus) : cpu_online_map;
}

/* Those of mask that have not flushed since that time do so now. */
static void flush_since(cpumask_t mask, uint32_t stamp)
{
    mask = tlbflush_filter(mask, stamp);
    if (mask)
        tlb_flush_mask(mask, FLUSH_TLB_GLOBAL, 0);
}

/*
 * Before a frame leaves its owner. Only CPUs that run the owner are disturbed: it may give frames back and take new
 * ones all day.
 */
static void flush_leaving(const struct page *pg, uint32_t count)
{
    flush_since(may_know(pg, count), pg->tlb_stamp);
}

/* The last reference is gone; nobody can get another. */
void page_free_last(struct page *pg)
{
    struct domain *d = pg->owner == DOMID_NONE ? NULL : domain_of_owner(pg->owner);
    mfn_t m = page_to_mfn(pg);

    BUG_ON(type_count(pg->type) != 0);
    m2p_set(m, M2P_INVALID);
    flush_leaving(pg, pg->count);
    if (d) {
        spin_lock(&d->page_lock);
        list_unlink(d, pg);
        spin_unlock(&d->page_lock);
    }
    pg->owner = DOMID_NONE;
    pg->type = PGT_NONE;
    pg->count = 0;
    frames_free(m, 0);
    if (d)
        uncount(d, 1);
}

bool page_disown(struct page *pg)
{
    uint32_t x = load_relaxed(&pg->count);

    do {
        if (!(x & PGC_ALLOCATED) || (x & PGC_HYPERVISOR))
            return false;
    } while (!atomic_cmpxchg(&pg->count, &x, x & ~PGC_ALLOCATED));
    page_put(pg);
    return true;
}

/* ------------------------------------------------------------ types */

/*
 * Frames are flushed when their use changes in either direction: stale writable entries would let
 * a guest write to a table, stale upper entries let the processor take data for a table.
 */
void page_flush_last_use(const struct page *pg, uint64_t old)
{
    flush_since(may_know(pg, READ_ONCE(pg->count)), (uint32_t)(old >> 32));
}

bool page_get_writable_slow(struct page *pg)
{
    uint64_t old = load_relaxed(&pg->type_stamp);
    uint32_t next = 0;

    do {
        enum type_step step = type_get((uint32_t)old, PGT_WRITABLE, &next);

        if (step == TYPE_REFUSED)
            return false;
        /* Flushed before the swap: it succeeds only if there was no use in between. */
        if (unlikely(step == TYPE_CHANGE))
            page_flush_last_use(pg, old);
    } while (!page_swap_type(pg, &old, next, false));
    return true;
}

void page_put_writable_slow(struct page *pg)
{
    uint64_t old = load_relaxed(&pg->type_stamp);
    uint32_t next = 0;

    do {
        if (unlikely(type_put((uint32_t)old, &next) != TYPE_DONE))
            BUG();
    } while (!page_swap_type(pg, &old, next, type_count(next) == 0));
}

int page_get_type(struct page *pg, uint32_t type)
{
    if (likely(type == PGT_WRITABLE))
        return page_get_writable(pg) ? 0 : -XEN_EINVAL;
    return table_get(pg, type);
}

void page_put_type(struct page *pg)
{
    if (likely((READ_ONCE(pg->type) & PGT_TYPE_MASK) == PGT_WRITABLE))
        page_put_writable(pg);
    else
        table_put(pg);
}

bool page_get_and_type(struct page *pg, const struct domain *d, uint32_t type)
{
    if (!page_get(pg, d))
        return false;
    if (page_get_type(pg, type) == 0)
        return true;
    page_put(pg);
    return false;
}

void page_put_and_type(struct page *pg)
{
    page_put_type(pg);
    page_put(pg);
}

/* ------------------------------------------------------------ allocation */

/* pg is nobody's and counted in already. The count comes last: from then on another vCPU of d may
 * give the frame away, which takes it off the list, and the M2P entry is somebody else's. */
static void assign(struct domain *d, struct page *pg, uint64_t gpfn)
{
    ASSERT(pg->owner == DOMID_NONE && !(pg->count & PGC_COUNT_MASK));
    m2p_set(page_to_mfn(pg), gpfn);
    pg->type = PGT_NONE;
    pg->nr_validated = 0;
    pg->owner = d->id;
    spin_lock(&d->page_lock);
    list_insert(d, pg);
    store_release(&pg->count, PGC_ALLOCATED | 1);
    spin_unlock(&d->page_lock);
}

mfn_t domain_alloc_frames(struct domain *d, unsigned int order, uint64_t end, uint64_t gpfn)
{
    mfn_t m;

    if (order >= BUDDY_ORDERS || !count_in(d, 1UL << order))
        return MFN_INVALID;
    m = frames_alloc(order, end <= max_mfn ? MEMF_LOW : 0);
    if (mfn_is_valid_value(m) && m.v + (1UL << order) > end) {
        frames_free(m, order);
        m = MFN_INVALID;
    }
    if (!mfn_is_valid_value(m)) {
        uncount(d, 1UL << order);
        return MFN_INVALID;
    }
    frames_scrub(m, order);
    for (uint64_t i = 0; i < 1UL << order; i++)
        assign(d, mfn_to_page(mfn(m.v + i)), gpfn == M2P_INVALID ? gpfn : gpfn + i);
    return m;
}

bool page_give(struct domain *d, struct page *pg, uint64_t gpfn)
{
    if (!count_in(d, 1))
        return false;
    assign(d, pg, gpfn);
    return true;
}

bool page_steal(struct domain *d, struct page *pg)
{
    bool taken = false;
    uint32_t x;

    /* Under page_lock an owned frame cannot be freed: that ends with unlinking it. */
    spin_lock(&d->page_lock);
    x = load_relaxed(&pg->count);
    if (pg->owner == d->id)
        while ((x & ~PGC_FOREIGN) == (PGC_ALLOCATED | 1) && !taken)
            taken = atomic_cmpxchg(&pg->count, &x, 0);
    if (taken)
        list_unlink(d, pg);
    spin_unlock(&d->page_lock);
    if (!taken)
        return false;
    BUG_ON(type_count(pg->type) != 0);
    m2p_set(page_to_mfn(pg), M2P_INVALID);
    flush_leaving(pg, x);
    pg->owner = DOMID_NONE;
    uncount(d, 1);
    return true;
}

void page_release(struct page *pg)
{
    ASSERT(pg->owner == DOMID_NONE && !(pg->count & PGC_COUNT_MASK));
    pg->type = PGT_NONE;
    frames_free(page_to_mfn(pg), 0);
}

struct page *shared_page_alloc(struct domain *d)
{
    mfn_t m = frames_alloc(0, 0);
    struct page *pg;

    if (!mfn_is_valid_value(m))
        return NULL;
    frames_scrub(m, 0);
    pg = mfn_to_page(m);
    m2p_set(m, M2P_INVALID);
    pg->type = PGT_NONE;
    pg->owner = d->id;
    atomic_add_return(&d->shared_pages, 1);
    store_release(&pg->count, PGC_ALLOCATED | PGC_HYPERVISOR | 1);
    return pg;
}

void shared_page_free(struct page *pg)
{
    struct domain *d = domain_of_owner(pg->owner);

    BUG_ON(!(pg->count & PGC_HYPERVISOR));
    if (d)
        atomic_sub_return(&d->shared_pages, 1);
    /* Somebody else may still map it: from now on it is nobody's, and goes with that mapping. */
    WRITE_ONCE(pg->owner, DOMID_NONE);
    atomic_and(&pg->count, ~(PGC_ALLOCATED | PGC_HYPERVISOR));
    page_put(pg);
}
