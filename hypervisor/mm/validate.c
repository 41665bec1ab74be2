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
#include "mm/tlb.h"
#include "mm/type.h"
#include "atomic.h"

static pte_t *table_of(const struct page *pg)
{
    return mfn_to_virt(page_to_mfn(pg));
}

/* ------------------------------------------------------------ leaf entries */

/* Is pg in the way only because an LDT window shows it? Then it is not any more. */
static noinline bool was_ldt_page(struct domain *d, struct page *pg)
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

/* Remembers that TLBs of other domains' CPUs may know a frame. */
static inline void note_foreign(const struct domain *d, struct page *pg)
{
    if (unlikely(READ_ONCE(pg->owner) != d->id) && !(READ_ONCE(pg->count) & PGC_FOREIGN))
        atomic_or(&pg->count, PGC_FOREIGN);
}

void l1e_put(const struct domain *d, pte_t e)
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

/* Stores an entry; returns the old one as it was at the end, with what the processor set in it.
 * The exchange also orders the store before the reading of the flush clock. */
static inline pte_t entry_store(pte_t *p, pte_t new_entry, bool keep_ad)
{
    pte_t old;

    if (!keep_ad)
        return atomic_xchg(p, new_entry);
    old = READ_ONCE(*p);
    while (!atomic_cmpxchg(p, &old, new_entry | (old & (PTE_A | PTE_D))))
        cpu_relax();
    return old;
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
    old = entry_store(p, l1e_fix(new_entry, d->no_global_pages), keep_ad);
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

/* ------------------------------------------------------------ upper entries */

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

/* Tables are mostly empty: sixteen entries at a time are looked at for the present bit. */
#define GROUP   16u

static inline bool group_empty(const pte_t *t)
{
    return !((t[0] | t[1] | t[2] | t[3] | t[4] | t[5] | t[6] | t[7] | t[8] | t[9] | t[10] | t[11] |
              t[12] | t[13] | t[14] | t[15]) & PTE_P);
}

/* The first present entry from i on; PTES_PER_TABLE: none. */
static inline uint32_t next_present(const pte_t *t, uint32_t i)
{
    for (;;) {
        for (; i % GROUP; i++)
            if (t[i] & PTE_P)
                return i;
        while (i < PTES_PER_TABLE && group_empty(&t[i]))
            i += GROUP;
        if (i == PTES_PER_TABLE || (t[i] & PTE_P))
            return i;
        i++;
    }
}

/* One past the last present entry below n; 0: none. */
static inline uint32_t last_present(const pte_t *t, uint32_t n)
{
    for (;;) {
        for (; n % GROUP; n--)
            if (t[n - 1] & PTE_P)
                return n;
        while (n && group_empty(&t[n - GROUP]))
            n -= GROUP;
        if (n == 0 || (t[n - 1] & PTE_P))
            return n;
        n--;
    }
}

static void l1_drop(const struct domain *d, const pte_t *table, uint32_t n)
{
    for (n = last_present(table, n); n; n = last_present(table, n - 1))
        l1e_put(d, table[n - 1]);
}

static int l1_validate(struct domain *d, pte_t *table)
{
    struct mmu_target t = mmu_target_self(d);

    for (uint32_t i = 0; (i = next_present(table, i)) < PTES_PER_TABLE; i++) {
        pte_t e = READ_ONCE(table[i]), fixed;
        int rc = l1e_get(d, e, &t);

        if (unlikely(rc)) {
            mm_log(d, "entry %u of an L1", i);
            l1_drop(d, table, i);
            return rc;
        }
        fixed = l1e_fix(e, d->no_global_pages);
        if (fixed != e)
            WRITE_ONCE(table[i], fixed);
    }
    return 0;
}

static int upper_validate(struct domain *d, struct page *pg, uint32_t level)
{
    pte_t *table = table_of(pg);
    int rc;

    for (uint32_t i = pg->nr_validated; (i = next_present(table, i)) < PTES_PER_TABLE; i++) {
        pte_t e = READ_ONCE(table[i]), fixed;

        if (level == 4 && l4_slot_reserved(i)) {
            i = HV_SLOT_LAST;
            continue;
        }
        pg->nr_validated = (uint16_t)i;
        if (mm_budget_spent())
            return -XEN_ERESTART;
        rc = upper_get(d, pg, e, level);
        if (rc) {
            if (rc != -XEN_ERESTART)
                mm_log(d, "entry %u of an L%u", i, level);
            return rc;
        }
        fixed = upper_fix(e, level);
        if (fixed != e)
            WRITE_ONCE(table[i], fixed);
    }
    /* Not before: a page that is refused keeps what the guest wrote. */
    if (level == 4)
        map_init_guest_l4(table, virt_to_mfn(d->perdomain_l3));
    pg->nr_validated = PTES_PER_TABLE;
    return 0;
}

static int contents_get(struct domain *d, struct page *pg, uint32_t type)
{
    if (type == PGT_SEG_DESC)
        return descriptors_check(mfn_to_virt(page_to_mfn(pg)), PAGE_SIZE / 8) ? 0 : -XEN_EINVAL;
    if (type == PGT_L1)
        return l1_validate(d, table_of(pg));
    return upper_validate(d, pg, type_level(type));
}

/* Drops what entries below nr_validated hold: 0 or -ERESTART. */
static int contents_put(struct domain *d, struct page *pg, uint32_t type)
{
    pte_t *table = table_of(pg);
    uint32_t level = type_level(type);

    if (type == PGT_SEG_DESC)
        return 0;
    if (type == PGT_L1) {
        l1_drop(d, table, pg->nr_validated);
        pg->nr_validated = 0;
        return 0;
    }
    for (uint32_t n = last_present(table, pg->nr_validated); n; n = last_present(table, n - 1)) {
        if (level == 4 && l4_slot_reserved(n - 1)) {
            n = HV_SLOT_FIRST + 1;
            continue;
        }
        if (mm_budget_spent()) {
            pg->nr_validated = (uint16_t)n;
            return -XEN_ERESTART;
        }
        upper_put(d, pg, READ_ONCE(table[n - 1]), level);
    }
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
static int go_down(struct domain *d, struct page *pg, bool holds_itself)
{
    int rc = contents_put(d, pg, pg->type & PGT_TYPE_MASK);

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
    int rc = contents_get(d, pg, pg->type & PGT_TYPE_MASK);

    if (rc == 0) {
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
    if (go_down(d, pg, holds_itself) == 0)
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
        pg->nr_validated = PTES_PER_TABLE;
        go_down(d, pg, false);
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
        rc = go_down(d, pg, true);
    spin_unlock(&d->mmu_lock);
    domain_put(d);
    return rc;
}
