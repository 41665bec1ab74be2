/* SPDX-License-Identifier: MIT */
/*
 * walk.c - page walks in software. Entries are read through the direct map and followed only to
 * frames that are RAM, so nothing that a guest can put into its tables makes us fault.
 */
#include "mm/walk.h"
#include "dev/console.h"
#include "dev/panic.h"
#include "mm/mm.h"
#include "mm/pte.h"
#include "mm/type.h"

static inline pte_t entry_at(pte_t table, unsigned int i)
{
    return READ_ONCE(((const pte_t *)mfn_to_virt(pte_mfn(table)))[i]);
}

static inline bool leads_on(pte_t e)
{
    return (e & PTE_P) && mfn_valid(pte_mfn(e));
}

pte_t *walk_l1_locked(const struct domain *d, mfn_t root, uint64_t va)
{
    pte_t e = pte_make(root, 0);
    const struct page *pg;

    ASSERT_HELD(&d->mmu_lock);
    if (unlikely(!guest_va_ok(va)))
        return NULL;
    e = entry_at(e, l4_index(va));
    if (unlikely(!leads_on(e)))
        return NULL;
    e = entry_at(e, l3_index(va));
    if (unlikely(!leads_on(e)))
        return NULL;
    e = entry_at(e, l2_index(va));
    if (unlikely(!leads_on(e)))
        return NULL;
    /* Through a self-mapping L4 one also comes to other tables, and to ours. */
    pg = mfn_to_page(pte_mfn(e));
    if (unlikely((pg->type & (PGT_TYPE_MASK | PGT_VALIDATED)) != (PGT_L1 | PGT_VALIDATED) ||
                 pg->owner != d->id))
        return NULL;
    return (pte_t *)mfn_to_virt(pte_mfn(e)) + l1_index(va);
}

pte_t walk_effective(uint64_t cr3, uint64_t va)
{
    const unsigned int index[] = { l4_index(va), l3_index(va), l2_index(va), l1_index(va) };
    pte_t e = cr3 & PTE_ADDR, allow = PTE_RW | PTE_U, deny = 0;

    for (unsigned int i = 0; i < 4; i++) {
        if (!mfn_valid(pte_mfn(e)))
            return 0;
        e = entry_at(e, index[i]);
        if (!(e & PTE_P) || (i < 3 && (e & PTE_PSE)))
            return 0;
        allow &= e;
        deny |= e & PTE_NX;
    }
    return (e & ~(PTE_RW | PTE_U | PTE_NX)) | allow | deny;
}

#define PFEC_P      1u
#define PFEC_W      2u
#define PFEC_U      4u
#define PFEC_RSVD   8u
#define PFEC_I      16u

bool pagefault_spurious(struct vcpu *v, uint64_t va, uint32_t error_code)
{
    pte_t e;

    (void)v;
    if ((error_code & ~(PFEC_P | PFEC_W | PFEC_U | PFEC_I)) || !guest_va_ok(va))
        return false;
    e = walk_effective(this_cpu_info()->cr3, va);
    return e && (e & PTE_U) && (!(error_code & PFEC_W) || (e & PTE_RW)) &&
           (!(error_code & PFEC_I) || !(e & PTE_NX));
}

void pagewalk_print(uint64_t cr3, uint64_t va)
{
    const unsigned int index[] = { l4_index(va), l3_index(va), l2_index(va), l1_index(va) };
    pte_t e = cr3 & PTE_ADDR;

    printk(LOG_ERROR, "page walk of %#lx from cr3 %#lx:\n", va, cr3);
    for (unsigned int i = 0; i < 4; i++) {
        mfn_t m = pte_mfn(e);
        const struct page *pg;

        if (!mfn_valid(m)) {
            printk(LOG_ERROR, "  mfn %lx is not RAM\n", m.v);
            return;
        }
        pg = mfn_to_page(m);
        e = entry_at(e, index[i]);
        printk(LOG_ERROR, "  L%u[%3u] = %016lx  (table mfn %lx of d%u, %s x%u)\n", 4 - i,
               index[i], e, m.v, pg->owner, type_name(pg->type), type_count(pg->type));
        if (!(e & PTE_P) || (i < 3 && (e & PTE_PSE)))
            return;
    }
    if (mfn_valid(pte_mfn(e))) {
        const struct page *pg = mfn_to_page(pte_mfn(e));
        printk(LOG_ERROR, "  maps mfn %lx of d%u, pfn %lx, %s x%u\n", pte_mfn(e).v, pg->owner,
               m2p_get(pte_mfn(e)), type_name(pg->type), type_count(pg->type));
    }
}
