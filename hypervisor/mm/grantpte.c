/* SPDX-License-Identifier: MIT */
/*
 * grantpte.c - leaf entries of grant mappings, for grant/map.c.
 *
 * Such an entry is like any other: it holds one reference to the frame, and one of type
 * PGT_WRITABLE if it is writable. They come from the grant's pin when the entry is made, and
 * return to it when it is removed through the grant; a guest that overwrites the entry drops
 * them, and then cannot unmap the grant any more.
 */
#include "dev/panic.h"
#include "mm/mm.h"
#include "mm/mmlog.h"
#include "mm/pte.h"
#include "mm/tables.h"
#include "mm/type.h"
#include "mm/validate.h"
#include "mm/walk.h"
#include "atomic.h"

/* The leaf entry of d for va in the current address space. Lock held. */
static pte_t *slot_of_va(const struct domain *d, uint64_t va)
{
    ASSERT(d == current->domain);
    return (va & ~PAGE_MASK) ? NULL : walk_l1_locked(d, current->kernel_root, va);
}

/* The leaf entry of d at a machine address. Lock held. */
static pte_t *slot_at(const struct domain *d, paddr_t maddr)
{
    mfn_t m = paddr_to_mfn(maddr);
    const struct page *pg = mfn_to_page(m);

    if ((maddr & 7) || !mfn_valid(m) || pg->owner != d->id ||
        (pg->type & (PGT_TYPE_MASK | PGT_VALIDATED)) != (PGT_L1 | PGT_VALIDATED))
        return NULL;
    return (pte_t *)((char *)mfn_to_virt(m) + (maddr & ~PAGE_MASK));
}

static int install(struct domain *d, pte_t *p, mfn_t m, bool writable, uint64_t extra)
{
    pte_t e = pte_make(m, PTE_P | PTE_A | PTE_D | (writable ? PTE_RW : 0) |
                          (extra & (PTE_AVAIL | PTE_U))), old;

    if (!p)
        return -XEN_EINVAL;
    span_note(page_of_entry(p), p);
    /* Never global: it goes with the flush of one address space. */
    old = atomic_xchg(p, l1e_fix(e, true));
    if (old & PTE_P)
        l1e_put(d, old);
    return 0;
}

static bool maps(pte_t e, mfn_t m, bool writable)
{
    return (e & PTE_P) && mfn_eq(pte_mfn(e), m) && !(e & PTE_RW) == !writable;
}

/* By compare-and-swap: if it is an entry of the domain's own for the same frame, a flip may be taking
 * it out at the same time. */
static int take_out(const struct domain *d, pte_t *p, mfn_t m, bool writable, pte_t put_in)
{
    pte_t e = p ? READ_ONCE(*p) : 0;

    while (maps(e, m, writable))
        if (atomic_cmpxchg(p, &e, put_in))
            return 0;
    mm_log(d, "grant unmap: entry %lx is not of mfn %lx", e, m.v);
    return -XEN_EINVAL;
}

int grant_pte_install(struct domain *d, uint64_t va, mfn_t m, bool writable, uint64_t extra)
{
    int rc;

    spin_lock(&d->mmu_lock);
    rc = install(d, slot_of_va(d, va), m, writable, extra);
    spin_unlock(&d->mmu_lock);
    return rc;
}

int grant_pte_install_at(struct domain *d, paddr_t pte_maddr, mfn_t m, bool writable,
                         uint64_t extra)
{
    int rc;

    spin_lock(&d->mmu_lock);
    rc = install(d, slot_at(d, pte_maddr), m, writable, extra);
    spin_unlock(&d->mmu_lock);
    return rc;
}

int grant_pte_remove(struct domain *d, uint64_t va, mfn_t m, bool writable)
{
    int rc;

    spin_lock(&d->mmu_lock);
    rc = take_out(d, slot_of_va(d, va), m, writable, 0);
    spin_unlock(&d->mmu_lock);
    return rc;
}

int grant_pte_remove_at(struct domain *d, paddr_t pte_maddr, mfn_t m, bool writable)
{
    int rc;

    spin_lock(&d->mmu_lock);
    rc = take_out(d, slot_at(d, pte_maddr), m, writable, 0);
    spin_unlock(&d->mmu_lock);
    return rc;
}

int grant_pte_replace(struct domain *d, uint64_t va, mfn_t m, bool writable, uint64_t new_va)
{
    pte_t *to, *from = NULL, moved, none;
    int rc = -XEN_EINVAL;

    spin_lock(&d->mmu_lock);
    to = slot_of_va(d, va);
    if (new_va)
        from = slot_of_va(d, new_va);
    if (!new_va)
        rc = take_out(d, to, m, writable, 0);
    else if (to && from && from != to && maps(READ_ONCE(*to), m, writable)) {
        moved = atomic_xchg(from, 0);
        rc = take_out(d, to, m, writable, moved);
        /* Back, then; if a flip has put a frame there, that one stays. */
        none = 0;
        if (unlikely(rc) && !atomic_cmpxchg(from, &none, moved) && (moved & PTE_P))
            l1e_put(d, moved);
    }
    spin_unlock(&d->mmu_lock);
    return rc;
}
