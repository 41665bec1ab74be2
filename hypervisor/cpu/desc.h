/* SPDX-License-Identifier: MIT */
/*
 * desc.h - GDT, TSS and IDT of each CPU.
 *
 * Guests have a GDT of 16 pages in the per-domain area; page 14 (selectors 0xe000..) of it is
 * the page of the CPU on which the vCPU runs. So a CPU's own GDTR points 14 pages below its
 * page, and selectors are the same in both.
 */
#ifndef HV_CPU_DESC_H
#define HV_CPU_DESC_H

/* Selectors; the first group is Xen's ABI (FLAT_RING3_x), the others are ours alone. */
#define SEL_GUEST_CS32  0xe023
#define SEL_GUEST_DS    0xe02b
#define SEL_GUEST_CS64  0xe033
#define SEL_HV_CS       0xe008
#define SEL_HV_DS       0xe010
#define SEL_TSS         0xe040      /* two slots */
#define SEL_LDT         0xe050      /* two slots; 0 limit unless a guest's LDT is loaded */

#define GDT_FIRST_PAGE_OFFSET   0xe000
#define GDT_LIMIT               0xefff

/* IST numbers (1..7) of the gates that have one. */
#define IST_NMI 1
#define IST_DF  2
#define IST_MC  3
#define IST_DB  4       /* the lower half of IST_MC's page: it is left at once */

#ifndef __ASSEMBLY__
#include "addr.h"

struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t ist[8];                /* [0] is reserved */
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t iomap;                 /* past the limit: no port is allowed in ring 3 */
} __packed;
_Static_assert(sizeof(struct tss) == 104, "as the CPU has it");

/*
 * Makes this CPU's GDT page and TSS (rsp0 = its cpu_info, IST stacks = the low pages of its
 * stack block) and loads GDTR, TR, segment registers and IDTR. First call on a CPU.
 */
void desc_init_cpu(uint32_t cpu);
/* Frame of CPU cpu's GDT page, for page 14 of a vCPU's GDT window. */
mfn_t desc_gdt_mfn(uint32_t cpu);
struct tss *desc_tss(uint32_t cpu);
/* GDTR base on the CPU's own page: for CPUs without a guest. */
uint64_t desc_gdt_base(uint32_t cpu);
/* Loads the LDT register from a descriptor in this CPU's GDT page; ents 0: none. */
void desc_load_ldt(uint64_t base, uint32_t ents);
/* Loads GDTR (limit GDT_LIMIT). */
void desc_load_gdt(uint64_t base);

/*
 * One IDT for all CPUs. A gate is written once, at boot, by its owner. dpl 3 lets `int n` in
 * from ring 3. Not set gates (vectors 0..31): early_trap().
 */
void idt_set_gate(uint8_t vector, const void *entry, unsigned int ist, unsigned int dpl);

#endif
#endif
