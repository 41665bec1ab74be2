/* SPDX-License-Identifier: MIT */
/*
 * validate.h - contents of page tables and descriptor pages: what their entries refer to.
 *
 * "Locked" functions: the caller holds the mmu_lock of d, which owns the page. Work is bounded:
 * once the budget of the current hypercall is spent (mm/budget.h) they stop with -ERESTART and
 * leave PGT_PARTIAL pages, which hold one reference of each kind for themselves. A validation is
 * taken up by asking for the same type again; a devalidation by mm_drain().
 */
#ifndef MM_VALIDATE_H
#define MM_VALIDATE_H

#include "domain/domain.h"
#include "mm/frame.h"

/* Who the frames behind new leaf entries must belong to (the "foreigndom" of a call). */
struct mmu_target {
    const struct domain *owner;         /* NULL: no RAM at all (DOMID_IO) */
    bool any_owner;                     /* dom0 on its own behalf: frames of every domain */
    bool io;                            /* may map what is not RAM, and set cache bits there */
};

/* The usual one: d's own frames; more if d is dom0. */
static inline struct mmu_target mmu_target_self(const struct domain *d)
{
    return (struct mmu_target){ .owner = d, .any_owner = d->privileged, .io = d->io_all };
}

/* Type references of table and descriptor types; the caller has an existence reference.
 * 0, -EINVAL, -ERESTART. */
int table_get_locked(struct domain *d, struct page *pg, uint32_t type);
void table_put_locked(struct domain *d, struct page *pg);
/* The same, taking the owner's lock. table_put() takes it only for the last one. */
int table_get(struct page *pg, uint32_t type);
void table_put(struct page *pg);

/*
 * Changes entry *p of a validated table pg of d, with all checks and references. keep_ad: accessed
 * and dirty bits of the old entry stay set. 0, -EINVAL, -EBUSY (target's owner or type), -EPERM
 * (not RAM), -ERESTART.
 */
int table_update_locked(struct domain *d, struct page *pg, uint64_t *p, uint64_t new_entry,
                        const struct mmu_target *t, bool keep_ad);
/* For L1 tables, the hot one. */
int l1_update_locked(struct domain *d, uint64_t *p, uint64_t new_entry,
                     const struct mmu_target *t, bool keep_ad);
/* The same for the domain's own frames, no bits kept: nearly every one. pg: the table. */
int l1_update_self_locked(struct domain *d, struct page *pg, uint64_t *p, uint64_t new_entry);
/* Compare-and-swap of a leaf entry: 0, 1 (it is not `old` any more), or as above. */
int l1_replace_locked(struct domain *d, uint64_t *p, uint64_t old, uint64_t new_entry,
                      const struct mmu_target *t);
/*
 * descpages.c: takes a descriptor page out of the LDT windows of all vCPUs; true if it was in one.
 * LDT pages are mapped when they are needed, so that is harmless. A guest that changes an LDT
 * batches its calls: a vCPU may not have said yet that it left the old one when another vCPU
 * already makes the page writable.
 */
bool ldt_release_locked(struct domain *d, struct page *pg);

/* Is pg in the way only because an LDT window shows it? Then it is not any more. */
bool was_ldt_page(struct domain *d, struct page *pg);

/* leaf.c, for whole L1 tables that are not in use: takes the references of all entries (0, or as
 * above, nothing is held then) and says what spans there are; drops those of entries below n. */
int l1_validate(struct domain *d, uint64_t *table, uint32_t *spans);
void l1_drop(const struct domain *d, const uint64_t *table, uint32_t n, uint32_t spans);
/* Drops the references of a leaf entry of d that is no longer in its table. */
void l1e_put(const struct domain *d, uint64_t entry);

/* Takes a pin away, and its references: 0, or -EINVAL: not pinned. */
int table_unpin(struct page *pg);

/* Goes on with devalidations that the current vCPU could not finish. 0 or -ERESTART. */
int mm_drain(void);
/* One step on a page that may be PGT_PARTIAL: 0 when it is not (any more), or -ERESTART. */
int table_drain(struct page *pg);

#endif
