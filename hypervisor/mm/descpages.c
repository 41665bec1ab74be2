/* SPDX-License-Identifier: MIT */
/*
 * descpages.c - descriptor tables of vCPUs: set_gdt, the LDT, update_descriptor.
 *
 * A GDT is given as frames and mapped at once. An LDT is given as an address of the guest's; its
 * pages are looked up and mapped when the processor first touches them. Both kinds of frame are
 * PGT_SEG_DESC while we map them, so no descriptor changes without a check.
 */
#include "cpu/desc.h"
#include "dev/panic.h"
#include "domain/domain.h"
#include "lib/string.h"
#include "mm/desccheck.h"
#include "mm/mm.h"
#include "mm/mmlog.h"
#include "mm/perdomain.h"
#include "mm/pte.h"
#include "mm/tlb.h"
#include "mm/type.h"
#include "mm/uaccess.h"
#include "mm/validate.h"
#include "mm/walk.h"
#include "atomic.h"

#define ENTRIES_PER_PAGE    512u
#define LDT_ENTRIES_MAX     8192u

/* Descriptor pages of v changed behind these addresses. */
static void forget_window(struct vcpu *v)
{
    if (v == current)
        tlb_flush_local(FLUSH_TLB_GLOBAL, 0);
}

/* ------------------------------------------------------------ GDT */

static int gdt_frame_get(struct domain *d, mfn_t m)
{
    struct page *pg;

    if (!mfn_valid(m) || !page_get(mfn_to_page(m), d))
        return -XEN_EINVAL;
    pg = mfn_to_page(m);
    if (table_get(pg, PGT_SEG_DESC) == 0)
        return 0;
    page_put(pg);
    return -XEN_EINVAL;
}

static void desc_frame_put(mfn_t m)
{
    struct page *pg = mfn_to_page(m);

    table_put(pg);
    page_put(pg);
}

/* Gives v the frames m[0..n), to which references are held, and drops the old ones. */
static void gdt_install(struct vcpu *v, const mfn_t *m, uint32_t n, uint32_t entries)
{
    pte_t *ptes = perdomain_gdt_ptes(v);
    mfn_t old[FIRST_RESERVED_GDT_PAGE];

    memcpy(old, v->gdt_frames, sizeof(old));
    for (uint32_t i = 0; i < FIRST_RESERVED_GDT_PAGE; i++) {
        v->gdt_frames[i] = i < n ? m[i] : MFN_INVALID;
        WRITE_ONCE(ptes[i], i < n ? pte_make(m[i], PERDOMAIN_FLAGS)
                                  : pte_make(virt_to_mfn(perdomain_no_descriptors),
                                             PERDOMAIN_FLAGS_NONE));
    }
    v->gdt_ents = entries;
    smp_mb();               /* the entries are gone before the references' end is stamped */
    forget_window(v);
    for (uint32_t i = 0; i < FIRST_RESERVED_GDT_PAGE; i++)
        if (mfn_is_valid_value(old[i]))
            desc_frame_put(old[i]);
}

int vcpu_set_gdt(struct vcpu *v, const mfn_t *frames, uint32_t entries)
{
    uint32_t n = DIV_ROUND_UP(entries, ENTRIES_PER_PAGE);

    if (entries > FIRST_RESERVED_GDT_ENTRY)
        return -XEN_EINVAL;
    for (uint32_t i = 0; i < n; i++) {
        if (gdt_frame_get(v->domain, frames[i])) {
            mm_log(v->domain, "GDT frame %u, mfn %lx, refused", i, frames[i].v);
            while (i-- > 0)
                desc_frame_put(frames[i]);
            return -XEN_EINVAL;
        }
    }
    gdt_install(v, frames, n, entries);
    return 0;
}

void vcpu_clear_gdt(struct vcpu *v)
{
    gdt_install(v, NULL, 0, 0);
}

long do_set_gdt(guest_ptr_t frames, uint64_t entries)
{
    mfn_t m[FIRST_RESERVED_GDT_PAGE];
    uint32_t n = DIV_ROUND_UP((uint32_t)entries, ENTRIES_PER_PAGE);

    if ((uint32_t)entries > FIRST_RESERVED_GDT_ENTRY)
        return -XEN_EINVAL;
    if (n && copy_from_guest(m, frames, n * sizeof(m[0])))
        return -XEN_EFAULT;
    return vcpu_set_gdt(current, m, (uint32_t)entries);
}

/* ------------------------------------------------------------ LDT */

/* Takes page i out of v's LDT window, with its references: both at once under the lock, as other
 * vCPUs may be waiting to use the frame otherwise. Stale TLB entries go with the flush before
 * the next use of the frame. */
static void ldt_unmap_page(struct vcpu *v, uint32_t i)
{
    struct page *pg = mfn_to_page(pte_mfn(atomic_xchg(&perdomain_ldt_ptes(v)[i], 0)));

    v->ldt_mapped &= (uint16_t)~(1u << i);
    table_put_locked(v->domain, pg);
    page_put(pg);
}

static void ldt_unmap(struct vcpu *v)
{
    if (!READ_ONCE(v->ldt_mapped))
        return;
    spin_lock(&v->domain->mmu_lock);
    for (uint32_t i = 0; i < LDT_WINDOW_PAGES; i++)
        if (v->ldt_mapped & (1u << i))
            ldt_unmap_page(v, i);
    spin_unlock(&v->domain->mmu_lock);
    forget_window(v);
}

bool ldt_release_locked(struct domain *d, struct page *pg)
{
    bool found = false;
    struct vcpu *v;

    ASSERT_HELD(&d->mmu_lock);
    for_each_vcpu(d, v) {
        for (uint32_t i = 0; v->ldt_mapped && i < LDT_WINDOW_PAGES; i++) {
            if ((v->ldt_mapped & (1u << i)) &&
                mfn_eq(pte_mfn(perdomain_ldt_ptes(v)[i]), page_to_mfn(pg))) {
                ldt_unmap_page(v, i);
                found = true;
            }
        }
    }
    return found;
}

void vcpu_ldt_forget(struct vcpu *v)
{
    ldt_unmap(v);
}

int vcpu_set_ldt(struct vcpu *v, uint64_t base, uint32_t ents)
{
    if (ents > LDT_ENTRIES_MAX)
        return -XEN_EINVAL;
    if (ents && ((base & ~PAGE_MASK) || !guest_range_ok(guest_ptr(base), ents * 8UL)))
        return -XEN_EINVAL;
    ldt_unmap(v);
    v->ldt_base = base;
    v->ldt_ents = ents;
    if (v == current)
        desc_load_ldt(vcpu_ldt_va(v), ents);
    return 0;
}

static bool ldt_map_page(struct vcpu *v, uint32_t i)
{
    struct domain *d = v->domain;
    pte_t *e = walk_l1_locked(d, v->kernel_root, v->ldt_base + i * PAGE_SIZE);
    struct page *pg;
    mfn_t m;

    if (!e || !(*e & PTE_P))
        return false;
    m = pte_mfn(*e);
    if (!mfn_valid(m) || !page_get(mfn_to_page(m), d))
        return false;
    pg = mfn_to_page(m);
    if (table_get_locked(d, pg, PGT_SEG_DESC)) {
        page_put(pg);
        return false;
    }
    WRITE_ONCE(perdomain_ldt_ptes(v)[i], pte_make(m, PERDOMAIN_FLAGS));
    v->ldt_mapped |= (uint16_t)(1u << i);
    return true;
}

bool ldt_fault(struct vcpu *v, uint64_t offset)
{
    uint64_t i = offset / PAGE_SIZE;
    bool ok;

    if (i >= LDT_WINDOW_PAGES || offset / 8 >= v->ldt_ents || !mfn_is_valid_value(v->kernel_root))
        return false;
    spin_lock(&v->domain->mmu_lock);
    ok = !(v->ldt_mapped & (1u << i)) && ldt_map_page(v, (uint32_t)i);
    spin_unlock(&v->domain->mmu_lock);
    return ok;
}

/* ------------------------------------------------------------ single descriptors */

long do_update_descriptor(uint64_t maddr, uint64_t desc)
{
    struct domain *d = current->domain;
    mfn_t m = paddr_to_mfn(maddr);
    uint64_t *at;
    struct page *pg;
    uint32_t type;
    long rc = -XEN_EINVAL;

    if ((maddr & 7) || !descriptor_check(&desc) || !mfn_valid(m) ||
        !page_get(mfn_to_page(m), d))
        return -XEN_EINVAL;
    pg = mfn_to_page(m);
    /* A reference of the type that it has keeps the type; if none is in use, it is plain data. */
    type = READ_ONCE(pg->type);
    type = type_count(type) && (type & PGT_TYPE_MASK) == PGT_SEG_DESC ? PGT_SEG_DESC
                                                                      : PGT_WRITABLE;
    if (page_get_type(pg, type) == 0) {
        at = (uint64_t *)((char *)mfn_to_virt(m) + (maddr & ~PAGE_MASK));
        WRITE_ONCE(*at, desc);
        page_put_type(pg);
        rc = 0;
    } else {
        mm_log_page(d, "update_descriptor", desc, pg);
    }
    page_put(pg);
    return rc;
}
