/* SPDX-License-Identifier: MIT */
/*
 * validate.c - promote and demote page tables and descriptor pages, one bounded step at a time.
 *
 * A validated table holds, for every present entry, one existence and one type reference to the
 * page behind it: PGT_WRITABLE for a leaf with RW (none for one without), the type of the next
 * level for others. So a table cannot change its use while an upper one leads to it, and a frame
 * that somebody can write is never a table.
 *
 * Only one kind of recursion is allowed: an L4 entry that leads, read-only, to its own L4. It
 * holds no reference (it could never be dropped) and gives no right, as our own entries in the L4
 * are reachable through it only as far as they are user-accessible.
 *
 * How partial work is kept: the page is PGT_PARTIAL, entries below nr_validated hold references,
 * and the page holds one type and one existence reference to itself. It does not matter whether
 * it was on its way up or down: a request for the type goes up from there, table_drain() down.
 */
#include "mm/validate.h"
#include "dev/panic.h"
#include "mm/budget.h"
#include "mm/desccheck.h"
#include "mm/mmlog.h"
#include "mm/pte.h"
#include "mm/tables.h"
#include "mm/tlb.h"
#include "mm/type.h"
#include "atomic.h"

/* ------------------------------------------------------------ upper entries */

/*
 * The usual entry leads to a table that others lead to already, and so do most of a kernel's half
 * in each of its L4s: one more reference of each kind. False: nothing is taken; anything else.
 */
static inline bool child_get_again(const struct domain *d, pte_t e, uint32_t level)
{
    mfn_t m = pte_mfn(e);
    struct page *pg = mfn_to_page(m);
    uint64_t old;

    if (unlikely(!upper_flags_ok(e) || m.v > max_mfn))
        return false;
    old = load_relaxed(&pg->type_stamp);
    if (!type_used_again((uint32_t)old, type_of_level(level)) || !page_get_owned(pg, d->id))
        return false;
    /* Not changed since: it is that, and will be as long as we have this reference. */
    if (likely(atomic_cmpxchg(&pg->type_stamp, &old, old + 1)))
        return true;
    page_put(pg);
    return false;
}

/* Likewise: others still lead to it afterwards. */
static inline bool child_put_again(pte_t e, uint32_t level)
{
    struct page *pg = mfn_to_page(pte_mfn(e));
    uint64_t old = load_relaxed(&pg->type_stamp);

    if (!type_used_again((uint32_t)old, type_of_level(level)) || type_count((uint32_t)old) == 1 ||
        unlikely(!atomic_cmpxchg(&pg->type_stamp, &old, old - 1)))
        return false;
    page_put(pg);
    return true;
}

static int child_get(struct domain *d, pte_t e, uint32_t level)
{
    mfn_t m = pte_mfn(e);
    struct page *pg;
    int rc;

    if (unlikely(!mfn_valid(m) || !page_get_owned(mfn_to_page(m), d->id))) {
        mm_log(d, "L%u entry %lx: not its frame", level + 1, e);
        return -XEN_EINVAL;
    }
    pg = mfn_to_page(m);
    rc = table_get_locked(d, pg, type_of_level(level));
    if (unlikely(rc))
        page_put(pg);
    return rc;
}

static void child_put(struct domain *d, pte_t e)
{
    struct page *pg = mfn_to_page(pte_mfn(e));

    table_put_locked(d, pg);
    page_put(pg);
}

static bool is_self(const struct page *pg, pte_t e)
{
    return mfn_eq(pte_mfn(e), page_to_mfn(pg));
}

/* A domain that maps its L4 into itself sets the user bit in kernel entries, too (PV-NETBSD 3.4),
 * so that nothing tells them from user pages. */
static void give_up_global(struct domain *d)
{
    if (d->no_global_pages)
        return;
    d->no_global_pages = true;
    tlb_flush_mask(load_relaxed(&d->dirty_cpus), FLUSH_TLB_GLOBAL, 0);
}

/* Checks a present entry of level 2..4 of table pg and takes its references. */
static int upper_get(struct domain *d, const struct page *pg, pte_t e, uint32_t level)
{
    if (unlikely(!upper_flags_ok(e))) {
        mm_log(d, "L%u entry %lx: flags", level, e);
        return -XEN_EINVAL;
    }
    if (level == 4 && is_self(pg, e)) {
        if (e & PTE_RW) {
            mm_log(d, "L4 entry %lx: writable self-mapping", e);
            return -XEN_EINVAL;
        }
        give_up_global(d);
        return 0;
    }
    return child_get(d, e, level - 1);
}

static void upper_put(struct domain *d, const struct page *pg, pte_t e, uint32_t level)
{
    if (level == 4 && is_self(pg, e))
        return;
    child_put(d, e);
}

static int upper_update(struct domain *d, struct page *pg, pte_t *p, pte_t new_entry,
                        uint32_t level, bool keep_ad)
{
    pte_t old = READ_ONCE(*p);
    int rc;

    if (level == 4 && l4_slot_reserved((uint32_t)(p - table_of(pg)))) {
        mm_log(d, "L4 slot %u is not the guest's", (uint32_t)(p - table_of(pg)));
        return -XEN_EINVAL;
    }
    if (new_entry & PTE_P) {
        bool self = level == 4 && is_self(pg, new_entry);

        if ((old & PTE_P) && !self && ((old ^ new_entry) & ~PTE_UPPER_FREE) == 0) {
            entry_store(p, upper_fix(new_entry, level), keep_ad);
            return 0;
        }
        rc = upper_get(d, pg, new_entry, level);
        if (rc)
            return rc;
        new_entry = upper_fix(new_entry, level);
        span_note(pg, p);
    }
    old = entry_store(p, new_entry, keep_ad);
    if (old & PTE_P)
        upper_put(d, pg, old, level);
    return 0;
}

int table_update_locked(struct domain *d, struct page *pg, pte_t *p, pte_t new_entry,
                        const struct mmu_target *t, bool keep_ad)
{
    uint32_t level = type_level(pg->type);

    ASSERT_HELD(&d->mmu_lock);
    ASSERT(pg->type & PGT_VALIDATED);
    if (level == 1)
        return l1_update_locked(d, p, new_entry, t, keep_ad);
    /* Tables are always the domain's own. */
    if (t->owner != d)
        return -XEN_EINVAL;
    return upper_update(d, pg, p, new_entry, level, keep_ad);
}

/* ------------------------------------------------------------ whole pages */

/* Entries [i, end) by the short way: the first one that needs the long one, or end. Apart from that,
 * so that the loop's values stay in registers. */
static noinline uint32_t children_get_again(const struct domain *d, pte_t *table, uint32_t level,
                                            uint32_t i, uint32_t end, uint32_t *spans)
{
    for (uint32_t first = i & ~(GROUP - 1); first < end; i = first += GROUP) {
        if (group_empty(&table[first]))
            continue;
        *spans |= span_of(first);
        for (; i < first + GROUP; i++) {
            pte_t e = READ_ONCE(table[i]), fixed = upper_fix(e, level);

            if (!(e & PTE_P))
                continue;
            if (unlikely(!child_get_again(d, e, level - 1)))
                return i;
            if (fixed != e)
                WRITE_ONCE(table[i], fixed);
        }
    }
    return end;
}

static int upper_validate_range(struct domain *d, struct page *pg, uint32_t level, uint32_t i,
                                uint32_t end, uint32_t *spans)
{
    pte_t *table = table_of(pg), e;
    int rc;

    for (; (i = children_get_again(d, table, level, i, end, spans)) < end; i++) {
        pg->nr_validated = (uint16_t)i;
        if (mm_budget_spent())
            return -XEN_ERESTART;
        e = READ_ONCE(table[i]);
        rc = upper_get(d, pg, e, level);
        if (rc) {
            if (rc != -XEN_ERESTART)
                mm_log(d, "entry %u of an L%u", i, level);
            return rc;
        }
        WRITE_ONCE(table[i], upper_fix(e, level));
    }
    return 0;
}

static int upper_validate(struct domain *d, struct page *pg, uint32_t level, uint32_t *spans)
{
    uint32_t i = pg->nr_validated, lower = level == 4 ? HV_SLOT_FIRST : PTES_PER_TABLE;
    int rc = 0;

    /* Taken up in the middle: what was there before is not known. */
    *spans = i ? SPANS_ALL : 0;
    if (i < lower)
        rc = upper_validate_range(d, pg, level, i, lower, spans);
    if (rc || level != 4)
        return rc;
    rc = upper_validate_range(d, pg, level, MAX(i, HV_SLOT_LAST + 1u), PTES_PER_TABLE,
                              spans);
    /* Not before: a page that is refused keeps what the guest wrote. */
    if (rc == 0)
        map_init_guest_l4(table_of(pg), virt_to_mfn(d->perdomain_l3));
    return rc;
}

/* Entries below n likewise: one past the last that needs the long way, or 0. */
static noinline uint32_t children_put_again(const pte_t *table, uint32_t level, uint32_t n,
                                            uint32_t spans)
{
    uint32_t first;

    for (; (first = group_below(n, spans, &n)) < PTES_PER_TABLE; n = first) {
        if (group_empty(&table[first]) || (level == 4 && l4_slot_reserved(first)))
            continue;
        for (; n > first; n--) {
            pte_t e = READ_ONCE(table[n - 1]);

            if ((e & PTE_P) && unlikely(!child_put_again(e, level - 1)))
                return n;
        }
    }
    return 0;
}

/* Drops what entries below nr_validated hold: 0 or -ERESTART. */
static int upper_drop(struct domain *d, struct page *pg, uint32_t level, uint32_t spans)
{
    const pte_t *table = table_of(pg);
    uint32_t n = pg->nr_validated;

    spans_check(table, spans, level);
    for (; (n = children_put_again(table, level, n, spans)) > 0; n--) {
        if (mm_budget_spent()) {
            pg->nr_validated = (uint16_t)n;
            return -XEN_ERESTART;
        }
        upper_put(d, pg, READ_ONCE(table[n - 1]), level);
    }
    pg->nr_validated = 0;
    return 0;
}

/* *spans: of a table that is complete now. */
static int contents_get(struct domain *d, struct page *pg, uint32_t type, uint32_t *spans)
{
    *spans = 0;
    if (type == PGT_SEG_DESC)
        return descriptors_check(mfn_to_virt(page_to_mfn(pg)), PAGE_SIZE / 8) ? 0 : -XEN_EINVAL;
    if (type == PGT_L1)
        return l1_validate(d, table_of(pg), spans);
    return upper_validate(d, pg, type_level(type), spans);
}

/* Drops what entries below nr_validated hold, of any type: 0 or -ERESTART. */
static int contents_put(struct domain *d, struct page *pg, uint32_t type, uint32_t spans)
{
    if (type == PGT_SEG_DESC)
        return 0;
    if (type != PGT_L1)
        return upper_drop(d, pg, type_level(type), spans);
    l1_drop(d, table_of(pg), pg->nr_validated, spans);
    pg->nr_validated = 0;
    return 0;
}

/* Nobody else changes the word of a PARTIAL page: that takes the lock. */
static void set_type(struct page *pg, uint32_t type, bool last_use)
{
    uint64_t old = load_relaxed(&pg->type_stamp);

    while (!page_swap_type(pg, &old, type, last_use))
        cpu_relax();
}

/* pg is PARTIAL. Drops its contents; what is left for later is noted. */
static int go_down(struct domain *d, struct page *pg, bool holds_itself, uint32_t spans)
{
    int rc = contents_put(d, pg, pg->type & PGT_TYPE_MASK, spans);

    if (rc) {
        if (!holds_itself)
            page_hold(pg);
        mm_defer(pg);
        return rc;
    }
    pg->nr_validated = 0;               /* page.source, from now on */
    set_type(pg, type_empty(pg->type), true);
    mm_budget_step();
    if (holds_itself)
        page_put(pg);
    return 0;
}

/* pg is PARTIAL; validates the rest. */
static int go_up(struct domain *d, struct page *pg, bool holds_itself)
{
    uint32_t spans;
    int rc = contents_get(d, pg, pg->type & PGT_TYPE_MASK, &spans);

    if (rc == 0) {
        pg->spans = (uint16_t)spans;
        set_type(pg, type_complete(pg->type), false);
        mm_budget_step();
        if (holds_itself)
            page_put(pg);
        return 0;
    }
    if (rc == -XEN_ERESTART) {
        if (!holds_itself)
            page_hold(pg);
        return rc;
    }
    if (go_down(d, pg, holds_itself, SPANS_ALL) == 0)
        mm_log_page(d, "cannot promote", 0, pg);
    return rc;
}

int table_get_locked(struct domain *d, struct page *pg, uint32_t type)
{
    uint64_t old = load_relaxed(&pg->type_stamp);
    uint32_t next = 0;
    enum type_step step;

    ASSERT_HELD(&d->mmu_lock);
    if (unlikely(READ_ONCE(pg->count) & PGC_HYPERVISOR))
        return -XEN_EINVAL;
    for (;;) {
        step = type_get((uint32_t)old, type, &next);
        if (step == TYPE_RESUME)
            return go_up(d, pg, true);
        if (step == TYPE_REFUSED) {
            if (type_is_table(type) && was_ldt_page(d, pg)) {
                old = load_relaxed(&pg->type_stamp);
                continue;
            }
            mm_log_page(d, "wrong type", type, pg);
            return -XEN_EINVAL;
        }
        if (step == TYPE_VALIDATE)
            page_flush_last_use(pg, old);
        if (page_swap_type(pg, &old, next, false))
            break;
    }
    if (step == TYPE_DONE)
        return 0;
    pg->nr_validated = 0;
    return go_up(d, pg, false);
}

void table_put_locked(struct domain *d, struct page *pg)
{
    uint64_t old = load_relaxed(&pg->type_stamp);
    uint32_t next = 0;
    enum type_step step;

    ASSERT_HELD(&d->mmu_lock);
    do {
        step = type_put((uint32_t)old, &next);
        if (unlikely(step == TYPE_REFUSED))
            BUG();
    } while (!page_swap_type(pg, &old, next, type_count(next) == 0));
    if (step == TYPE_DEVALIDATE) {
        uint32_t spans = pg->spans;

        pg->nr_validated = PTES_PER_TABLE;
        go_down(d, pg, false, spans);
    }
}

/* Of a frame that the caller has a reference to, so the owner stays. */
static struct domain *owner_of(const struct page *pg)
{
    struct domain *d = domain_of_owner(pg->owner);

    BUG_ON(!d);
    return d;
}

int table_get(struct page *pg, uint32_t type)
{
    uint64_t old = load_relaxed(&pg->type_stamp);
    struct domain *d;
    uint32_t next = 0;
    int rc;

    /* Usually it is validated: no lock needed to be one more. */
    while (type_get((uint32_t)old, type, &next) == TYPE_DONE)
        if (page_swap_type(pg, &old, next, false))
            return 0;
    d = owner_of(pg);
    spin_lock(&d->mmu_lock);
    rc = table_get_locked(d, pg, type);
    spin_unlock(&d->mmu_lock);
    return rc;
}

void table_put(struct page *pg)
{
    uint64_t old = load_relaxed(&pg->type_stamp);
    struct domain *d;
    uint32_t next = 0;

    while (type_put((uint32_t)old, &next) == TYPE_DONE && type_count(next) != 0)
        if (page_swap_type(pg, &old, next, false))
            return;
    d = owner_of(pg);
    spin_lock(&d->mmu_lock);
    table_put_locked(d, pg);
    spin_unlock(&d->mmu_lock);
}

int table_drain(struct page *pg)
{
    struct domain *d = domain_get(pg->owner);
    int rc = 0;

    if (!d)
        return 0;
    spin_lock(&d->mmu_lock);
    /* Others may have finished it, and the frame may be somebody else's by now. */
    if (pg->owner == d->id && (pg->type & PGT_PARTIAL))
        rc = go_down(d, pg, true, SPANS_ALL);
    spin_unlock(&d->mmu_lock);
    domain_put(d);
    return rc;
}
