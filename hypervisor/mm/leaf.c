/* SPDX-License-Identifier: MIT */
/*
 * leaf.c - entries of L1 tables: the references they hold, changing one, taking all of a table.
 *
 * The usual entry maps a frame of the domain's own and is not the first to use it as what it does.
 * It has a short way, which asks the same questions; where one of them has another answer nothing
 * has been taken, and the long way finds out why and says so.
 */
#include "mm/validate.h"
#include "dev/panic.h"
#include "mm/mmlog.h"
#include "mm/tables.h"
#include "mm/tlb.h"

noinline bool was_ldt_page(struct domain *d, struct page *pg)
{
    return (READ_ONCE(pg->type) & PGT_TYPE_MASK) == PGT_SEG_DESC && pg->owner == d->id &&
           ldt_release_locked(d, pg);
}

/* The first MiB counts as devices, whose frames are refused in another way. */
#define LOW_FRAMES  256u

/* One reference for a leaf entry: existence, and writable if it is. */
static inline int leaf_page_get(struct domain *d, struct page *pg, const struct mmu_target *t,
                                bool writable)
{
    bool got = t->any_owner ? page_get_any(pg) : t->owner && page_get_owned(pg, t->owner->id);

    if (unlikely(!got))
        return page_to_mfn(pg).v < LOW_FRAMES ? -XEN_EPERM : -XEN_EBUSY;
    if (writable && unlikely(!page_get_writable(pg)) &&
        !(was_ldt_page(d, pg) && page_get_writable(pg))) {
        page_put(pg);
        return -XEN_EBUSY;
    }
    return 0;
}

/* Checks a present leaf entry and takes its references. */
static inline int l1e_get(struct domain *d, pte_t e, const struct mmu_target *t)
{
    mfn_t m = pte_mfn(e);
    int rc;

    if (unlikely(!mfn_valid(m))) {
        if (t->io && m.v < mfn_limit)
            return 0;
        mm_log(d, "leaf entry %lx: not RAM", e);
        return -XEN_EPERM;
    }
    if (unlikely(e & PTE_CACHE)) {
        mm_log(d, "leaf entry %lx: cache bits on RAM", e);
        return -XEN_EINVAL;
    }
    rc = leaf_page_get(d, mfn_to_page(m), t, (e & PTE_RW) != 0);
    if (unlikely(rc))
        mm_log_page(d, "leaf entry", e, mfn_to_page(m));
    return rc;
}

/* The short way; false: nothing is taken. */
static inline bool l1e_get_own(const struct domain *d, pte_t e)
{
    mfn_t m = pte_mfn(e);
    struct page *pg = mfn_to_page(m);

    if (unlikely(m.v > max_mfn || (e & PTE_CACHE)) || unlikely(!page_get_owned(pg, d->id)))
        return false;
    if (!(e & PTE_RW) || likely(page_get_writable_again(pg)))
        return true;
    page_put(pg);
    return false;
}

/* Remembers that TLBs of other domains' CPUs may know a frame. */
static inline void note_foreign(const struct domain *d, struct page *pg)
{
    if (unlikely(READ_ONCE(pg->owner) != d->id) && !(READ_ONCE(pg->count) & PGC_FOREIGN))
        atomic_or(&pg->count, PGC_FOREIGN);
}

static noinline void l1e_put_any(const struct domain *d, pte_t e)
{
    mfn_t m = pte_mfn(e);
    struct page *pg;

    if (unlikely(!mfn_valid(m)))
        return;
    pg = mfn_to_page(m);
    note_foreign(d, pg);
    if (e & PTE_RW)
        page_put_writable(pg);
    else
        page_stamp(pg);
    page_put(pg);
}

static inline void l1e_put_one(const struct domain *d, pte_t e)
{
    mfn_t m = pte_mfn(e);
    struct page *pg = mfn_to_page(m);

    if (unlikely(m.v > max_mfn) || unlikely(READ_ONCE(pg->owner) != d->id)) {
        l1e_put_any(d, e);
        return;
    }
    if (e & PTE_RW)
        page_put_writable(pg);
    else
        page_stamp(pg);
    page_put(pg);
}

void l1e_put(const struct domain *d, pte_t e)
{
    l1e_put_one(d, e);
}

/* Changes between RW and RO of one frame: the existence reference stays. */
static int l1e_change_rw(struct domain *d, pte_t old, pte_t new_entry,
                         const struct mmu_target *t)
{
    struct page *pg = mfn_to_page(pte_mfn(old));

    /* An entry of a grant belongs to the grant; only who may map the frame anyway changes it. */
    if (unlikely(READ_ONCE(pg->owner) != d->id && !t->any_owner)) {
        mm_log_page(d, "leaf entry", new_entry, pg);
        return -XEN_EBUSY;
    }
    if ((new_entry & PTE_RW) && unlikely(!page_get_writable(pg)) &&
        !(was_ldt_page(d, pg) && page_get_writable(pg))) {
        mm_log_page(d, "leaf entry", new_entry, pg);
        return -XEN_EBUSY;
    }
    return 0;
}

/*
 * Another entry for the frame that is there, which old, just read, maps: the new entry goes on
 * with the old one's reference, so it may only replace that. 1: it is gone (a flip has taken it
 * out, the one thing that changes frames without the lock).
 */
static inline int l1_change_flags(struct domain *d, pte_t *p, pte_t old, pte_t new_entry,
                                  const struct mmu_target *t, bool keep_ad)
{
    pte_t fixed = l1e_fix(new_entry, d->no_global_pages), seen = old;
    bool change = ((old ^ new_entry) & PTE_RW) != 0;
    int rc = change ? l1e_change_rw(d, old, new_entry, t) : 0;

    if (unlikely(rc))
        return rc;
    while (unlikely(!atomic_cmpxchg(p, &seen, fixed | (keep_ad ? seen & (PTE_A | PTE_D) : 0)))) {
        if ((seen ^ old) & ~(PTE_A | PTE_D)) {
            if (change && (new_entry & PTE_RW))
                page_put_writable(mfn_to_page(pte_mfn(new_entry)));
            return 1;
        }
    }
    if (change && (old & PTE_RW)) {
        struct page *pg = mfn_to_page(pte_mfn(old));
        note_foreign(d, pg);
        page_put_writable(pg);
    }
    return 0;
}

int l1_update_locked(struct domain *d, pte_t *p, pte_t new_entry, const struct mmu_target *t,
                     bool keep_ad)
{
    pte_t old;
    int rc;

again:
    old = READ_ONCE(*p);
    if (!(new_entry & PTE_P)) {
        old = entry_store(p, new_entry, keep_ad);
        if (old & PTE_P)
            l1e_put(d, old);
        return 0;
    }
    if ((old & PTE_P) && ((old ^ new_entry) & PTE_ADDR) == 0 && mfn_valid(pte_mfn(old)) &&
        (new_entry & ~PTE_L1_OK) == 0) {
        rc = l1_change_flags(d, p, old, new_entry, t, keep_ad);
        if (unlikely(rc > 0))
            goto again;
        return rc;
    }
    rc = l1e_get(d, new_entry, t);
    if (unlikely(rc))
        return rc;
    span_note(page_of_entry(p), p);
    old = entry_store(p, l1e_fix(new_entry, d->no_global_pages), keep_ad);
    if (old & PTE_P)
        l1e_put(d, old);
    return 0;
}

static noinline int l1_update_self_slow(struct domain *d, pte_t *p, pte_t new_entry)
{
    struct mmu_target t = mmu_target_self(d);

    return l1_update_locked(d, p, new_entry, &t, false);
}

int l1_update_self_locked(struct domain *d, struct page *pg, pte_t *p, pte_t new_entry)
{
    pte_t old;

    if (new_entry & PTE_P) {
        if ((READ_ONCE(*p) & PTE_P) || unlikely(!l1e_get_own(d, new_entry)))
            return l1_update_self_slow(d, p, new_entry);
        span_note(pg, p);
        new_entry = l1e_fix(new_entry, d->no_global_pages);
    }
    old = atomic_xchg(p, new_entry);
    if (old & PTE_P)
        l1e_put(d, old);
    return 0;
}

int l1_replace_locked(struct domain *d, pte_t *p, pte_t old, pte_t new_entry,
                      const struct mmu_target *t)
{
    pte_t fixed = new_entry;
    int rc;

    if (new_entry & PTE_P) {
        rc = l1e_get(d, new_entry, t);
        if (rc)
            return rc;
        fixed = l1e_fix(new_entry, d->no_global_pages);
        span_note(page_of_entry(p), p);
    }
    if (!atomic_cmpxchg(p, &old, fixed)) {
        if (new_entry & PTE_P)
            l1e_put(d, new_entry);
        return 1;
    }
    if (old & PTE_P)
        l1e_put(d, old);
    return 0;
}

/* ------------------------------------------------------------ whole tables */

void l1_drop(const struct domain *d, const pte_t *table, uint32_t n, uint32_t spans)
{
    uint32_t first;

    spans_check(table, spans, 1);
    for (; (first = group_below(n, spans, &n)) < PTES_PER_TABLE; n = first) {
        if (group_empty(&table[first]))
            continue;
        for (; n > first; n--)
            if (table[n - 1] & PTE_P)
                l1e_put_one(d, table[n - 1]);
    }
}

/* Entry i cannot be what the guest wants. */
static noinline int l1_refuse(struct domain *d, const pte_t *table, uint32_t i, int rc)
{
    mm_log(d, "entry %u of an L1", i);
    l1_drop(d, table, i, SPANS_ALL);
    return rc;
}

int l1_validate(struct domain *d, pte_t *table, uint32_t *spans)
{
    struct mmu_target t = mmu_target_self(d);

    *spans = 0;
    for (uint32_t first = 0; first < PTES_PER_TABLE; first += GROUP) {
        if (group_empty(&table[first]))
            continue;
        *spans |= span_of(first);
        for (uint32_t i = first; i < first + GROUP; i++) {
            pte_t e = READ_ONCE(table[i]), fixed;

            if (!(e & PTE_P))
                continue;
            if (unlikely(!l1e_get_own(d, e))) {
                int rc = l1e_get(d, e, &t);

                if (unlikely(rc))
                    return l1_refuse(d, table, i, rc);
            }
            fixed = l1e_fix(e, d->no_global_pages);
            if (fixed != e)
                WRITE_ONCE(table[i], fixed);
        }
    }
    return 0;
}
