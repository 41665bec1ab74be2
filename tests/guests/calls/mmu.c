/* SPDX-License-Identifier: MIT */
/* mmu.c - mmu_update, update_va_mapping and its form for other domains, mmuext_op. */
#include "calls.h"

#define PRESENT   PTE_PRESENT
#define RW        (PTE_PRESENT | PTE_WRITE)
#define TABLE     (PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED | PTE_DIRTY)
#define PTE_PSE   0x080UL
#define PTE_GLOBAL 0x100UL
#define L4_SLOT   (pt_base + 8 * slot)

static char *page, *other, *va;         /* pages of ours; an address without any */
static uint64_t *l1, *l2, *l3, *l4;     /* read-only pages for tables of our own */
static uint64_t pt_base;                /* our L4's machine address */

static uint64_t entry(const void *p, uint64_t flags)
{
    return virt_to_mfn(p).v << PAGE_SHIFT | flags;
}

static uint64_t entry_of(uint64_t frame, uint64_t flags)
{
    return frame << PAGE_SHIFT | flags;
}

static long map(const void *at, uint64_t e)
{
    return hc_update_va_mapping((uint64_t)at, e, UVMF_INVLPG | UVMF_LOCAL);
}

static long update_for(uint64_t ptr, uint64_t val, uint64_t dom)
{
    struct mmu_update u = { ptr, val };

    return hypercall(__HYPERVISOR_mmu_update, HC_PTR(&u), 1, 0, dom, 0);
}

static long update(uint64_t ptr, uint64_t val)
{
    return update_for(ptr, val, DOMID_SELF);
}

/* Two entries, and how many were done. */
static long update_two(uint64_t ptr, uint64_t val, uint64_t ptr2, uint64_t val2, uint32_t *done)
{
    struct mmu_update u[2] = { { ptr, val }, { ptr2, val2 } };

    *done = 77;
    return hc_mmu_update(u, 2, done, DOMID_SELF);
}

static long ext_for(unsigned int cmd, uint64_t arg1, uint64_t arg2, domid_t dom)
{
    struct mmuext_op op = { .cmd = cmd };

    op.arg1.mfn = arg1;
    memcpy(&op.arg2, &arg2, sizeof(arg2));
    return hc_mmuext_op(&op, 1, NULL, dom);
}

static long ext(unsigned int cmd, uint64_t arg1)
{
    return ext_for(cmd, arg1, 0, DOMID_SELF);
}

static uint64_t frame(const void *p)
{
    return virt_to_mfn(p).v;
}

static uint64_t *table_page(void)
{
    uint64_t *t = page_alloc_zeroed();

    MUST(t && direct_map_protect(virt_to_pfn(t), false) == 0);
    return t;
}

/* What the entry behind va holds of a mapping: the flags that the guest asked for. */
static long flags_at(const void *at)
{
    uint64_t e;

    memcpy(&e, (const char *)pfn_to_virt(mfn_to_pfn(mfn(pte_maddr(at) >> PAGE_SHIFT))) +
                   (pte_maddr(at) & (PAGE_SIZE - 1)), sizeof(e));
    return (long)(e & (RW | PTE_PCD | PTE_PWT | PTE_NX));
}

/* ------------------------------------------------------------------ update_va_mapping */

static void va_mapping(void)
{
    uint64_t table = pte_maddr(va) >> PAGE_SHIFT;

    TRY(map(va, entry(page, RW)));
    TRY(flags_at(va));
    TRY(map(va, entry(page, RW | PTE_NX)));
    TRY(map(va, entry(page, PRESENT)));
    TRY(flags_at(va));
    TRY(map(va, entry(page, RW | PTE_PCD)));
    TRY(map(va, entry(page, RW | PTE_PWT)));
    TRY(map(va, entry(page, RW | PTE_PSE)));
    TRY(map(va, entry(page, RW | PTE_GLOBAL)));
    TRY(map(va, entry(page, RW | 0xe00)));
    TRY(map(va, entry(page, RW | 7UL << 59)));
    TRY(map(va, entry(page, RW | 0x3fUL << 53)));
    TRY(map(va, entry_of(table, RW)));
    TRY(map(va, entry_of(table, PRESENT)));
    TRY(map(va, entry_of(pt_base >> PAGE_SHIFT, RW)));
    TRY(map(va, entry_of(NO_FRAME, RW)));
    TRY(map(va, entry_of(NO_FRAME, 0)));
    TRY(map(va, entry_of(DEVICE_FRAME, RW)));
    TRY(map(va, entry_of(DEVICE_FRAME, PRESENT)));
    TRY(map(va, entry_of(0xb8, RW)));
    TRY(map(va, entry_of(0, PRESENT)));
    TRY(map(va, entry_of(start_info->shared_info >> PAGE_SHIFT, RW)));
    TRY(map(va, entry_of(start_info->shared_info >> PAGE_SHIFT, PRESENT)));
    TRY(map(va, 0));
    TRY(map(BAD_PTR, 0));
    TRY(map(BAD_PTR, entry(page, RW)));
    TRY(map(HV_PTR, 0));
    TRY(map(HV_PTR, entry(page, RW)));
    TRY(map(HOLE_PTR, 0));
    TRY(map((void *)0xffff800000000000UL, 0));
    TRY(map(va + 123, entry(page, RW)));
    TRY(map(va, 0));

    TRY(hc_update_va_mapping((uint64_t)va, entry(page, RW), UVMF_NONE));
    TRY(hc_update_va_mapping((uint64_t)va, entry(page, RW), UVMF_TLB_FLUSH | UVMF_ALL));
    TRY(hc_update_va_mapping((uint64_t)va, entry(page, RW), 3));
    TRY(hc_update_va_mapping((uint64_t)va, entry(page, RW), UVMF_INVLPG | (uint64_t)BAD_PTR));
    TRY(hc_update_va_mapping((uint64_t)va, entry(page, RW), UVMF_TLB_FLUSH | HV_ADDR));
    TRY(hc_update_va_mapping((uint64_t)va, entry(page, RW), UVMF_NONE | HV_ADDR));
    TRY(hc_update_va_mapping((uint64_t)va, 0, UVMF_INVLPG));

    TRY(hc_update_va_mapping_otherdomain((uint64_t)va, entry(page, RW), 0, DOMID_SELF));
    TRY(hc_update_va_mapping_otherdomain((uint64_t)va, 0, 0, DOMID_SELF));
    TRY(hc_update_va_mapping_otherdomain((uint64_t)va, 0, 0, 0));
    TRY(hc_update_va_mapping_otherdomain((uint64_t)va, entry(page, RW), 0, 0));
    TRY(hc_update_va_mapping_otherdomain((uint64_t)va, entry(page, RW), 0, NO_DOMAIN));
    TRY(hc_update_va_mapping_otherdomain((uint64_t)va, entry(page, RW), 0, DOMID_IO));
    TRY(hc_update_va_mapping_otherdomain((uint64_t)va, entry_of(DEVICE_FRAME, RW), 0, DOMID_IO));
    TRY(hc_update_va_mapping_otherdomain((uint64_t)va, 0, 0, DOMID_IO));
    TRY(hc_update_va_mapping_otherdomain((uint64_t)va, entry(page, RW), 0, DOMID_XEN));
    TRY(hc_update_va_mapping_otherdomain((uint64_t)va, entry(page, RW), 0, DOMID_COW));
    TRY(hc_update_va_mapping_otherdomain((uint64_t)va, entry(page, RW), 0, DOMID_INVALID));
    TRY(hc_update_va_mapping_otherdomain((uint64_t)va, entry(page, RW), 0, DOMID_IDLE));
    TRY(map(va, 0));
}

/* ------------------------------------------------------------------ mmu_update */

static void leaf_updates(void)
{
    uint64_t at = pte_maddr(va);
    uint32_t done = 0;

    TRY(update(at, entry(page, RW)));
    TRY(update(at | MMU_PT_UPDATE_PRESERVE_AD, entry(page, PRESENT)));
    TRY(update(at | MMU_PT_UPDATE_NO_TRANSLATE, entry(page, RW)));
    TRY(update(at | 4, entry(page, RW)));
    TRY(update(at | 7, entry(page, RW)));
    TRY(update(at, entry_of(at >> PAGE_SHIFT, RW)));
    TRY(update(at, entry_of(NO_FRAME, RW)));
    TRY(update(at, entry_of(DEVICE_FRAME, RW)));
    TRY(update(at, 0));
    TRY(update(NO_FRAME << PAGE_SHIFT, 0));
    TRY(update(DEVICE_FRAME << PAGE_SHIFT, 0));
    TRY(update(start_info->shared_info + 0xff8, 0));
    TRY(update(virt_to_maddr(page), 1234));
    TRY(*(uint64_t *)page);
    TRY(update(virt_to_maddr(l1), 5));
    TRY(update(virt_to_maddr(l1), 0));

    TRY(update_for(at, 0, 0));
    TRY(update_for(at, entry(page, RW), NO_DOMAIN));
    TRY(update_for(at, entry(page, RW), DOMID_IO));
    TRY(update_for(at, entry_of(DEVICE_FRAME, RW), DOMID_IO));
    TRY(update_for(at, entry(page, RW), DOMID_XEN));
    TRY(update_for(at, 0, DOMID_XEN));
    TRY(update_for(at, entry(page, RW), DOMID_COW));
    TRY(update_for(at, entry(page, RW), DOMID_INVALID));
    TRY(update_for(at, entry(page, RW), DOMID_SELF | 1UL << 16));
    TRY(update_for(at, entry(page, RW), DOMID_SELF | (NO_DOMAIN + 1UL) << 16));
    TRY(update_for(at, entry(page, RW), DOMID_SELF | (DOMID_SELF + 1UL) << 16));
    TRY(update_for(at, entry(page, RW), DOMID_SELF | (DOMID_IO + 1UL) << 16));
    TRY(update(at, 0));

    TRY(update_two(at, entry(page, RW), at, 0, &done));
    TRY(done);
    TRY(update_two(at, entry(page, RW), at, entry_of(NO_FRAME, RW), &done));
    TRY(done);
    TRY(update_two(at, entry_of(NO_FRAME, RW), at, 0, &done));
    TRY(done);
    TRY(update(at, 0));

    TRY(hc_mmu_update(BAD_PTR, 1, NULL, DOMID_SELF));
    TRY(hc_mmu_update(BAD_PTR, 0, NULL, DOMID_SELF));
    TRY(hc_mmu_update(HV_PTR, 1, NULL, DOMID_SELF));
    TRY(hc_mmu_update(HV_PTR, 0, NULL, DOMID_SELF));
    TRY(hc_mmu_update(HOLE_PTR, 1, &done, DOMID_SELF));
    TRY(hc_mmu_update(BAD_PTR, 0, &done, NO_DOMAIN));
    TRY(hc_mmu_update(BAD_PTR, 0, BAD_PTR, DOMID_SELF));
    TRY(hc_mmu_update(BAD_PTR, 1, BAD_PTR, DOMID_SELF));
    TRY(hc_mmu_update(BAD_PTR, 0x80000000u, NULL, DOMID_SELF));
    TRY(hc_mmu_update(BAD_PTR, 0x80000000u, &done, DOMID_SELF));
    TRY(hc_mmu_update(BAD_PTR, 0x80000000u, BAD_PTR, DOMID_SELF));
    TRY(hypercall(__HYPERVISOR_mmu_update, (uint64_t)BAD_PTR, 1UL << 32, 0, DOMID_SELF, 0));
    TRY(hypercall(__HYPERVISOR_mmu_update, (uint64_t)BAD_PTR, 0, 0, DOMID_SELF | 1UL << 32, 0));
}

static void machphys(void)
{
    uint64_t own = virt_to_maddr(page) | MMU_MACHPHYS_UPDATE, pfn = virt_to_pfn(page).v;

    TRY(update(own, 99999));
    TRY(mfn_to_pfn(virt_to_mfn(page)).v);
    TRY(update(own, pfn));
    TRY(update(own | 4, pfn));
    TRY(update(NO_FRAME << PAGE_SHIFT | MMU_MACHPHYS_UPDATE, 1));
    TRY(update(DEVICE_FRAME << PAGE_SHIFT | MMU_MACHPHYS_UPDATE, 1));
    TRY(update(start_info->shared_info | MMU_MACHPHYS_UPDATE, ~0UL));
    TRY(update(virt_to_maddr(l1) | MMU_MACHPHYS_UPDATE, virt_to_pfn(l1).v));
    TRY(update_for(own, pfn, 0));
    TRY(update_for(own, pfn, DOMID_IO));
    TRY(update_for(own, pfn, DOMID_XEN));
    TRY(update_for(own, pfn, DOMID_SELF | 1UL << 16));
}

/* Entries of our L4 in slots that nobody uses, and what may stand there. */
static void upper_updates(void)
{
    unsigned int slot = 300;
    const uint64_t *root = (const uint64_t *)start_info->pt_base;
    static const uint64_t flag[] = { PTE_PWT, PTE_PCD, PTE_ACCESSED, PTE_DIRTY, PTE_PSE, PTE_GLOBAL,
                                     0xe00, 1UL << 52, 0x7feUL << 52, PTE_NX };

    TRY(update(L4_SLOT, entry(l3, TABLE)));
    TRY(update(L4_SLOT, 0));
    TRY(update(L4_SLOT, entry(page, TABLE)));
    TRY(update(L4_SLOT, entry(page, PRESENT)));
    TRY(update(L4_SLOT, entry(page, 0)));
    TRY(update(L4_SLOT, entry_of(NO_FRAME, TABLE)));
    TRY(update(L4_SLOT, entry_of(DEVICE_FRAME, TABLE)));
    TRY(update(L4_SLOT, entry_of(start_info->shared_info >> PAGE_SHIFT, TABLE)));
    TRY(update(L4_SLOT, entry_of(pte_maddr(va) >> PAGE_SHIFT, TABLE)));
    TRY(update(L4_SLOT, root[511]));
    TRY(update(L4_SLOT, 0));
    for (unsigned int i = 0; i < ARRAY_SIZE(flag); i++)
        TRY(update(L4_SLOT, entry(l3, TABLE | flag[i])));
    TRY(update(L4_SLOT, 0));
    TRY(update_for(L4_SLOT, entry(l3, TABLE), 0));
    TRY(update_for(L4_SLOT, entry(l3, TABLE), DOMID_IO));
    TRY(update_for(L4_SLOT, 0, DOMID_XEN));
    for (slot = 255; slot <= 272; slot++) {
        TRY(update(L4_SLOT, 0));
        TRY(update(L4_SLOT, entry(l3, TABLE)));
    }
    slot = 272;
    TRY(update(L4_SLOT, 0));
    slot = 255;
    TRY(update(L4_SLOT, 0));

    /* An L4 that leads to itself. */
    TRY(update(L4_SLOT, entry_of(pt_base >> PAGE_SHIFT, PRESENT | PTE_USER)));
    TRY(update(L4_SLOT, entry_of(pt_base >> PAGE_SHIFT, TABLE)));
    TRY(update(L4_SLOT, entry_of(pt_base >> PAGE_SHIFT, PRESENT)));
    TRY(update(L4_SLOT, 0));

    /* Levels that do not fit: an L2 where an L3 belongs, and so on. */
    slot = 300;
    TRY(ext(MMUEXT_PIN_L2_TABLE, frame(l2)));
    TRY(update(L4_SLOT, entry(l2, TABLE)));
    TRY(ext(MMUEXT_UNPIN_TABLE, frame(l2)));
    TRY(update(virt_to_maddr(l2), entry(l1, TABLE)));
    TRY(update(virt_to_maddr(l2), 0));
    TRY(update(virt_to_maddr(l3), entry(l2, TABLE)));
    TRY(update(L4_SLOT, entry(l3, TABLE)));
    TRY(update(virt_to_maddr(l2), entry(l1, TABLE)));
    TRY(update(virt_to_maddr(l2) + 8, entry(l3, TABLE)));
    TRY(update(virt_to_maddr(l2) + 8, entry(l2, TABLE)));
    TRY(update(virt_to_maddr(l2) + 8, entry(page, RW | PTE_PSE)));
    TRY(update(virt_to_maddr(l2) + 8, entry_of(frame(page) & ~511UL, RW | PTE_PSE)));
    TRY(update(virt_to_maddr(l2) + 8, entry(l1, TABLE)));
    TRY(update(virt_to_maddr(l2) + 8, 0));
    TRY(update(virt_to_maddr(l3) + 8, entry_of(0, RW | PTE_PSE)));
    TRY(update(virt_to_maddr(l3) + 8, entry(l1, TABLE)));
    TRY(update(virt_to_maddr(l1), entry(page, RW)));
    TRY(update(virt_to_maddr(l1) + 8, entry(l1, RW)));
    TRY(update(virt_to_maddr(l1) + 8, entry(l1, PRESENT)));
    TRY(update(virt_to_maddr(l1) + 8, entry(l4, RW)));
    TRY(map(l1, entry(l1, RW)));
    TRY(map(l2, entry(l2, RW)));
    TRY(map(l3, entry(l3, RW)));
    TRY(update(L4_SLOT, 0));
    TRY(map(l1, entry(l1, RW)));
    TRY(map(l1, entry(l1, PRESENT)));
    TRY(update(virt_to_maddr(l1), 0));
    TRY(update(virt_to_maddr(l1) + 8, 0));
    TRY(update(virt_to_maddr(l1) + 16, 0));
    TRY(update(virt_to_maddr(l2), 0));
    TRY(update(virt_to_maddr(l2) + 8, 0));
    TRY(update(virt_to_maddr(l3), 0));
    TRY(update(virt_to_maddr(l3) + 8, 0));
}

/* ------------------------------------------------------------------ mmuext_op */

static void pins(void)
{
    TRY(ext(MMUEXT_PIN_L1_TABLE, frame(l1)));
    TRY(ext(MMUEXT_PIN_L1_TABLE, frame(l1)));
    TRY(ext(MMUEXT_PIN_L2_TABLE, frame(l1)));
    TRY(update(virt_to_maddr(l1), entry(page, RW)));
    TRY(map(l1, entry(l1, RW)));
    TRY(ext(MMUEXT_UNPIN_TABLE, frame(l1)));
    TRY(ext(MMUEXT_UNPIN_TABLE, frame(l1)));
    TRY(update(virt_to_maddr(l1), 0));
    TRY(ext(MMUEXT_PIN_L1_TABLE, frame(page)));
    TRY(ext(MMUEXT_PIN_L4_TABLE, frame(page)));
    TRY(ext(MMUEXT_UNPIN_TABLE, frame(page)));
    TRY(ext(MMUEXT_UNPIN_TABLE, pt_base >> PAGE_SHIFT));
    TRY(ext(MMUEXT_PIN_L4_TABLE, pt_base >> PAGE_SHIFT));
    TRY(ext(MMUEXT_PIN_L4_TABLE, pt_base >> PAGE_SHIFT));
    for (unsigned int cmd = MMUEXT_PIN_L1_TABLE; cmd <= MMUEXT_UNPIN_TABLE; cmd++) {
        TRY(ext(cmd, NO_FRAME));
        TRY(ext(cmd, DEVICE_FRAME));
        TRY(ext(cmd, start_info->shared_info >> PAGE_SHIFT));
        TRY(ext_for(cmd, frame(l1), 0, 0));
        TRY(ext_for(cmd, frame(l1), 0, NO_DOMAIN));
        TRY(ext_for(cmd, frame(l1), 0, DOMID_IO));
        TRY(ext_for(cmd, frame(l1), 0, DOMID_XEN));
    }
    /* Pages with noise in them. */
    MUST(direct_map_protect(virt_to_pfn(l1), true) == 0);
    l1[7] = entry_of(NO_FRAME, RW);
    MUST(direct_map_protect(virt_to_pfn(l1), false) == 0);
    for (unsigned int cmd = MMUEXT_PIN_L1_TABLE; cmd <= MMUEXT_PIN_L4_TABLE; cmd++)
        TRY(ext(cmd, frame(l1)));
    TRY(update(virt_to_maddr(l1) + 56, entry(l1, RW)));
    TRY(ext(MMUEXT_PIN_L1_TABLE, frame(l1)));
    TRY(update(virt_to_maddr(l2), entry(l1, TABLE)));
    TRY(update(virt_to_maddr(l3), entry(l2, TABLE)));
    TRY(ext(MMUEXT_PIN_L3_TABLE, frame(l3)));
    TRY(update(virt_to_maddr(l3), 0));
    TRY(update(virt_to_maddr(l2), 0));
    TRY(update(virt_to_maddr(l1) + 56, entry_of(DEVICE_FRAME, RW)));
    TRY(ext(MMUEXT_PIN_L1_TABLE, frame(l1)));
    TRY(update(virt_to_maddr(l1) + 56, entry(l1, TABLE)));
    TRY(ext(MMUEXT_PIN_L2_TABLE, frame(l1)));
    TRY(ext(MMUEXT_PIN_L3_TABLE, frame(l1)));
    TRY(ext(MMUEXT_PIN_L4_TABLE, frame(l1)));
    TRY(update(virt_to_maddr(l1) + 56, entry(l1, PRESENT)));
    TRY(ext(MMUEXT_PIN_L1_TABLE, frame(l1)));
    TRY(ext(MMUEXT_UNPIN_TABLE, frame(l1)));
    TRY(ext(MMUEXT_PIN_L4_TABLE, frame(l1)));
    TRY(ext(MMUEXT_UNPIN_TABLE, frame(l1)));
    MUST(direct_map_protect(virt_to_pfn(l1), true) == 0);
    memset(l1, 0, PAGE_SIZE);
    l1[7] = entry(l1, PRESENT);
    MUST(direct_map_protect(virt_to_pfn(l1), false) == 0);
    about("a lower table that maps itself");
    TRY(ext(MMUEXT_PIN_L2_TABLE, frame(l1)));
    (void)ext(MMUEXT_UNPIN_TABLE, frame(l1));
    about("%s", __func__);
    TRY(update(virt_to_maddr(l1) + 56, 0));
}

static void roots(void)
{
    TRY(ext(MMUEXT_NEW_BASEPTR, frame(page)));
    TRY(ext(MMUEXT_NEW_BASEPTR, NO_FRAME));
    TRY(ext(MMUEXT_NEW_BASEPTR, DEVICE_FRAME));
    TRY(ext(MMUEXT_NEW_BASEPTR, pt_base >> PAGE_SHIFT));
    TRY(ext_for(MMUEXT_NEW_BASEPTR, pt_base >> PAGE_SHIFT, 0, 0));
    TRY(ext_for(MMUEXT_NEW_BASEPTR, pt_base >> PAGE_SHIFT, 0, DOMID_IO));
    TRY(ext(MMUEXT_NEW_USER_BASEPTR, frame(l4)));
    TRY(ext(MMUEXT_NEW_USER_BASEPTR, frame(l4)));
    TRY(ext(MMUEXT_NEW_USER_BASEPTR, frame(page)));
    TRY(ext(MMUEXT_NEW_USER_BASEPTR, NO_FRAME));
    TRY(ext(MMUEXT_NEW_USER_BASEPTR, DEVICE_FRAME));
    TRY(ext(MMUEXT_NEW_USER_BASEPTR, 0));
    TRY(ext(MMUEXT_NEW_USER_BASEPTR, 0));
}

static void flushes(void)
{
    unsigned long all = 1;

    TRY(ext(MMUEXT_TLB_FLUSH_LOCAL, 0));
    TRY(ext(MMUEXT_INVLPG_LOCAL, (uint64_t)va));
    TRY(ext(MMUEXT_INVLPG_LOCAL, HV_ADDR));
    TRY(ext(MMUEXT_INVLPG_LOCAL, BAD_ADDR));
    TRY(ext_for(MMUEXT_TLB_FLUSH_MULTI, 0, (uint64_t)&all, DOMID_SELF));
    TRY(ext_for(MMUEXT_TLB_FLUSH_MULTI, 0, (uint64_t)BAD_PTR, DOMID_SELF));
    TRY(ext_for(MMUEXT_TLB_FLUSH_MULTI, 0, 0, DOMID_SELF));
    TRY(ext_for(MMUEXT_INVLPG_MULTI, (uint64_t)va, (uint64_t)&all, DOMID_SELF));
    TRY(ext_for(MMUEXT_INVLPG_MULTI, (uint64_t)va, HV_ADDR, DOMID_SELF));
    TRY(ext_for(MMUEXT_INVLPG_MULTI, BAD_ADDR, (uint64_t)&all, DOMID_SELF));
    TRY(ext(MMUEXT_TLB_FLUSH_ALL, 0));
    TRY(ext(MMUEXT_INVLPG_ALL, (uint64_t)va));
    TRY(ext(MMUEXT_INVLPG_ALL, BAD_ADDR));
    TRY(ext(MMUEXT_FLUSH_CACHE, 0));
    TRY(ext(MMUEXT_FLUSH_CACHE_GLOBAL, 0));
    for (unsigned int cmd = MMUEXT_TLB_FLUSH_LOCAL; cmd <= MMUEXT_FLUSH_CACHE_GLOBAL; cmd++) {
        TRY(ext_for(cmd, 0, 0, 0));
        TRY(ext_for(cmd, 0, 0, DOMID_IO));
    }
}

static void ldts(void)
{
    TRY(ext_for(MMUEXT_SET_LDT, 0, 0, DOMID_SELF));
    TRY(ext_for(MMUEXT_SET_LDT, (uint64_t)page, 1, DOMID_SELF));
    TRY(ext_for(MMUEXT_SET_LDT, (uint64_t)page, 8192, DOMID_SELF));
    TRY(ext_for(MMUEXT_SET_LDT, (uint64_t)page, 8193, DOMID_SELF));
    TRY(ext_for(MMUEXT_SET_LDT, (uint64_t)page, 1UL << 32, DOMID_SELF));
    TRY(ext_for(MMUEXT_SET_LDT, (uint64_t)page + 8, 1, DOMID_SELF));
    TRY(ext_for(MMUEXT_SET_LDT, HV_ADDR, 1, DOMID_SELF));
    TRY(ext_for(MMUEXT_SET_LDT, BAD_ADDR, 1, DOMID_SELF));
    TRY(ext_for(MMUEXT_SET_LDT, (uint64_t)BAD_PTR, 1, DOMID_SELF));
    TRY(ext_for(MMUEXT_SET_LDT, BAD_ADDR, 0, DOMID_SELF));
    TRY(ext_for(MMUEXT_SET_LDT, (uint64_t)page, 1, 0));
    TRY(ext_for(MMUEXT_SET_LDT, (uint64_t)page, 1, DOMID_IO));
    TRY(ext_for(MMUEXT_SET_LDT, 0, 0, DOMID_SELF));
}

static void whole_pages(void)
{
    TRY(ext(MMUEXT_CLEAR_PAGE, frame(other)));
    TRY(ext(MMUEXT_CLEAR_PAGE, frame(l1)));
    TRY(ext(MMUEXT_CLEAR_PAGE, pt_base >> PAGE_SHIFT));
    TRY(ext(MMUEXT_CLEAR_PAGE, NO_FRAME));
    TRY(ext(MMUEXT_CLEAR_PAGE, DEVICE_FRAME));
    TRY(ext_for(MMUEXT_CLEAR_PAGE, frame(other), 0, 0));
    TRY(ext_for(MMUEXT_CLEAR_PAGE, frame(other), 0, DOMID_IO));
    TRY(ext_for(MMUEXT_COPY_PAGE, frame(other), frame(page), DOMID_SELF));
    TRY(ext_for(MMUEXT_COPY_PAGE, frame(other), pt_base >> PAGE_SHIFT, DOMID_SELF));
    TRY(ext_for(MMUEXT_COPY_PAGE, pt_base >> PAGE_SHIFT, frame(page), DOMID_SELF));
    TRY(ext_for(MMUEXT_COPY_PAGE, frame(other), NO_FRAME, DOMID_SELF));
    TRY(ext_for(MMUEXT_COPY_PAGE, NO_FRAME, frame(page), DOMID_SELF));
    TRY(ext_for(MMUEXT_COPY_PAGE, frame(other), DEVICE_FRAME, DOMID_SELF));
    TRY(ext_for(MMUEXT_COPY_PAGE, frame(other), frame(page), 0));
    TRY(ext_for(MMUEXT_COPY_PAGE, frame(other), frame(page), NO_DOMAIN));
    TRY(ext(MMUEXT_MARK_SUPER, frame(page)));
    TRY(ext(MMUEXT_UNMARK_SUPER, frame(page)));
    TRY(ext_for(MMUEXT_MARK_SUPER, frame(page), 0, 0));
}

static void ext_lists(void)
{
    struct mmuext_op two[2] = { { .cmd = MMUEXT_TLB_FLUSH_LOCAL }, { .cmd = 99 } };
    unsigned int done = 77;

    for (unsigned int cmd = 21; cmd < 24; cmd++)
        TRY(ext(cmd, 0));
    TRY(ext(14, 0));
    TRY(ext(~0u, 0));
    TRY(ext_for(99, 0, 0, 0));
    TRY(ext_for(99, 0, 0, NO_DOMAIN));
    TRY(ext_for(99, 0, 0, DOMID_IO));
    TRY(ext_for(99, 0, 0, DOMID_XEN));
    TRY(ext_for(99, 0, 0, DOMID_COW));
    TRY(ext_for(99, 0, 0, DOMID_INVALID));
    TRY(hc_mmuext_op(two, 2, &done, DOMID_SELF));
    TRY(done);
    TRY(hc_mmuext_op(two, 1, &done, DOMID_SELF));
    TRY(done);
    TRY(hc_mmuext_op(two, 1, BAD_PTR, DOMID_SELF));
    TRY(hc_mmuext_op(BAD_PTR, 1, NULL, DOMID_SELF));
    TRY(hc_mmuext_op(BAD_PTR, 0, NULL, DOMID_SELF));
    TRY(hc_mmuext_op(HV_PTR, 1, NULL, DOMID_SELF));
    TRY(hc_mmuext_op(HV_PTR, 0, NULL, DOMID_SELF));
    TRY(hc_mmuext_op(HOLE_PTR, 0, &done, DOMID_SELF));
    TRY(hc_mmuext_op(BAD_PTR, 0x80000000u, NULL, DOMID_SELF));
    TRY(hc_mmuext_op(BAD_PTR, 0x80000000u, &done, DOMID_SELF));
    TRY(hc_mmuext_op(BAD_PTR, 0x80000000u, BAD_PTR, DOMID_SELF));
    TRY(hypercall(__HYPERVISOR_mmuext_op, (uint64_t)two, 1, 0, DOMID_SELF | 1UL << 16, 0));
}

void try_mmu(void)
{
    page = page_alloc_zeroed();
    other = page_alloc_zeroed();
    va = va_alloc(1);
    pt_base = virt_to_maddr((void *)start_info->pt_base);
    l1 = table_page();
    l2 = table_page();
    l3 = table_page();
    l4 = table_page();
    MUST(page && other && va);
    PART(va_mapping);
    PART(leaf_updates);
    PART(machphys);
    PART(upper_updates);
    PART(pins);
    PART(roots);
    PART(flushes);
    PART(ldts);
    PART(whole_pages);
    PART(ext_lists);
}
