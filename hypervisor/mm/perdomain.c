/* SPDX-License-Identifier: MIT */
/*
 * perdomain.c - slot 260 of a domain's address spaces: windows in which the processor finds the
 * descriptor tables of its vCPUs.
 *
 * Each vCPU has 32 pages: 16 for the GDT (14 of the guest's, then the page of the CPU it runs on,
 * then nothing), 16 for the LDT. An L1 serves 16 vCPUs. All L4s of the domain share the L3.
 */
#include "cpu/asm.h"
#include "cpu/desc.h"
#include "domain/domain.h"
#include "mm/buddy.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "mm/mm.h"
#include "mm/perdomain.h"

#define PAGES_PER_VCPU  (GDT_WINDOW_PAGES + LDT_WINDOW_PAGES)
#define VCPUS_PER_L1    (PTES_PER_TABLE / PAGES_PER_VCPU)

#define FLAGS_TABLE     (PTE_P | PTE_RW | PTE_A | PTE_D)

const uint64_t perdomain_no_descriptors[512] __aligned(PAGE_SIZE);

static uint64_t window_va(const struct vcpu *v)
{
    return PERDOMAIN_START + (uint64_t)v->id * PAGES_PER_VCPU * PAGE_SIZE;
}

uint64_t vcpu_gdt_va(const struct vcpu *v)
{
    return window_va(v);
}

uint64_t vcpu_ldt_va(const struct vcpu *v)
{
    return window_va(v) + GDT_WINDOW_PAGES * PAGE_SIZE;
}

pte_t *perdomain_gdt_ptes(const struct vcpu *v)
{
    return v->domain->perdomain_l1[v->id / VCPUS_PER_L1] + v->id % VCPUS_PER_L1 * PAGES_PER_VCPU;
}

pte_t *perdomain_ldt_ptes(const struct vcpu *v)
{
    return perdomain_gdt_ptes(v) + GDT_WINDOW_PAGES;
}

/* The vCPU is not running yet, or interrupts are off: nobody uses the window. */
void vcpu_gdt_use_cpu(struct vcpu *v, uint32_t cpu)
{
    v->gdt_of_cpu = cpu + 1;
    WRITE_ONCE(perdomain_gdt_ptes(v)[FIRST_RESERVED_GDT_PAGE],
               pte_make(desc_gdt_mfn(cpu), PERDOMAIN_FLAGS));
}

static void clear_gdt_windows(pte_t *l1)
{
    for (uint32_t i = 0; i < PTES_PER_TABLE; i++)
        if (i % PAGES_PER_VCPU < FIRST_RESERVED_GDT_PAGE)
            l1[i] = pte_make(virt_to_mfn(perdomain_no_descriptors), PERDOMAIN_FLAGS_NONE);
}

static uint32_t l1_tables(const struct domain *d)
{
    return DIV_ROUND_UP(d->max_vcpus, (uint32_t)VCPUS_PER_L1);
}

/* The widest physical address that an entry may hold. */
static void find_mfn_limit(void)
{
    uint32_t bits = 36;

    if (cpuid(0x80000000, 0).a >= 0x80000008)
        bits = cpuid(0x80000008, 0).a & 0xff;
    mfn_limit = 1UL << (MIN(bits, 52u) - PAGE_SHIFT);
}

int perdomain_init(struct domain *d)
{
    pte_t *l2 = page_alloc_zeroed();

    find_mfn_limit();
    d->perdomain_l3 = page_alloc_zeroed();
    d->perdomain_l1 = xzalloc_array(pte_t *, l1_tables(d));
    if (!l2 || !d->perdomain_l3 || !d->perdomain_l1)
        goto nomem;
    d->perdomain_l3[0] = pte_make(virt_to_mfn(l2), FLAGS_TABLE);
    for (uint32_t i = 0; i < l1_tables(d); i++) {
        d->perdomain_l1[i] = page_alloc_zeroed();
        if (!d->perdomain_l1[i]) {
            perdomain_destroy(d);
            return -XEN_ENOMEM;
        }
        clear_gdt_windows(d->perdomain_l1[i]);
        l2[i] = pte_make(virt_to_mfn(d->perdomain_l1[i]), FLAGS_TABLE);
    }
    return 0;
nomem:
    if (l2)
        page_free(l2);
    if (d->perdomain_l3)
        page_free(d->perdomain_l3);
    xfree(d->perdomain_l1);
    d->perdomain_l3 = NULL;
    d->perdomain_l1 = NULL;
    return -XEN_ENOMEM;
}

void perdomain_destroy(struct domain *d)
{
    for (uint32_t i = 0; i < l1_tables(d); i++)
        if (d->perdomain_l1[i])
            page_free(d->perdomain_l1[i]);
    xfree(d->perdomain_l1);
    page_free(mfn_to_virt(pte_mfn(d->perdomain_l3[0])));
    page_free(d->perdomain_l3);
    d->perdomain_l1 = NULL;
    d->perdomain_l3 = NULL;
}
