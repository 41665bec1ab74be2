/* SPDX-License-Identifier: MIT */
/*
 * desc.c - GDT, TSS and IDT of each CPU; the report of an exception that comes before there
 * are proper handlers.
 */
#include "cpu/desc.h"

#include "cpu/asm.h"
#include "cpu/percpu.h"
#include "dev/console.h"
#include "dev/panic.h"
#include "layout.h"
#include "lib/string.h"
#include "mm/map.h"
#include "boot/bootmem.h"
#include "mm/buddy.h"

#define DESC_CODE64_RING0   0x00af9b000000ffffUL
#define DESC_DATA_RING0     0x00cf93000000ffffUL
#define DESC_CODE32_RING3   0x00cffb000000ffffUL
#define DESC_DATA_RING3     0x00cff3000000ffffUL
#define DESC_CODE64_RING3   0x00affb000000ffffUL
#define DESC_TYPE_TSS       0x89UL
#define DESC_TYPE_LDT       0x82UL

#define GATE_INTERRUPT      0x8eu

struct gate {
    uint16_t offset0, selector;
    uint8_t  ist, type;
    uint16_t offset1;
    uint32_t offset2, reserved;
};

static struct gate idt[256] __aligned(4096);
static uint64_t gdt_page0[512] __aligned(4096);
static uint64_t *gdt_page[NR_CPUS] = { gdt_page0 };
static struct tss tss[NR_CPUS] __aligned(64);

extern const char early_stubs[];
#define EARLY_STUB_BYTES 16

/* boot/head.S starts the first stack with it. */
extern const uint32_t cpu_info_bytes;
const uint32_t cpu_info_bytes = sizeof(struct cpu_info);

static uint64_t *gdt_slot(uint32_t cpu, uint16_t selector)
{
    return &gdt_page[cpu][(selector - GDT_FIRST_PAGE_OFFSET) / 8];
}

static void set_system_desc(uint64_t *slot, uint64_t base, uint32_t limit, uint64_t type)
{
    slot[1] = base >> 32;
    slot[0] = (limit & 0xffff) | (base & 0xffffff) << 16 | type << 40 |
              (uint64_t)(limit >> 16 & 0xf) << 48 | (base >> 24 & 0xff) << 56;
}

void idt_set_gate(uint8_t vector, const void *entry, unsigned int ist, unsigned int dpl)
{
    uint64_t a = (uint64_t)entry;

    idt[vector] = (struct gate){
        .offset0 = (uint16_t)a, .selector = SEL_HV_CS, .ist = (uint8_t)ist,
        .type = (uint8_t)(GATE_INTERRUPT | dpl << 5),
        .offset1 = (uint16_t)(a >> 16), .offset2 = (uint32_t)(a >> 32),
    };
}

mfn_t desc_gdt_mfn(uint32_t cpu)
{
    return virt_to_mfn(gdt_page[cpu]);
}

struct tss *desc_tss(uint32_t cpu)
{
    return &tss[cpu];
}

uint64_t desc_gdt_base(uint32_t cpu)
{
    return (uint64_t)gdt_page[cpu] - GDT_FIRST_PAGE_OFFSET;
}

void desc_load_gdt(uint64_t base)
{
    const struct descriptor_ptr p = { GDT_LIMIT, base };

    lgdt(&p);
}

void desc_load_ldt(uint64_t base, uint32_t ents)
{
    this_cpu_info()->ldt_loaded = ents != 0;
    if (!ents) {
        lldt(0);
        return;
    }
    set_system_desc(gdt_slot(this_cpu(), SEL_LDT), base, ents * 8 - 1, DESC_TYPE_LDT);
    lldt(SEL_LDT);
}

/* cs cannot be loaded by mov: return far to the next instruction. */
static void load_segments(void)
{
    __asm__ volatile("pushq %0\n"
                     "leaq 1f(%%rip), %%rax\n"
                     "pushq %%rax\n"
                     "lretq\n"
                     "1: movl %1, %%ss\n"
                     "xorl %%eax, %%eax\n"
                     "movl %%eax, %%ds\n"
                     "movl %%eax, %%es\n"
                     "movl %%eax, %%fs\n"
                     "movl %%eax, %%gs\n"
                     :: "i"(SEL_HV_CS), "r"(SEL_HV_DS) : "rax", "memory");
}

void desc_init_cpu(uint32_t cpu)
{
    uint64_t stack = (uint64_t)this_cpu_info() & ~(STACK_SIZE - 1UL);
    const struct descriptor_ptr idtr = { sizeof(idt) - 1, (uint64_t)idt };
    struct tss *t = &tss[cpu];

    if (!gdt_page[cpu] && !(gdt_page[cpu] = page_alloc_zeroed()))
        panic("no memory for the GDT of CPU %u", cpu);
    *gdt_slot(cpu, SEL_HV_CS) = DESC_CODE64_RING0;
    *gdt_slot(cpu, SEL_HV_DS) = DESC_DATA_RING0;
    *gdt_slot(cpu, SEL_GUEST_CS32 & ~3) = DESC_CODE32_RING3;
    *gdt_slot(cpu, SEL_GUEST_DS & ~3) = DESC_DATA_RING3;
    *gdt_slot(cpu, SEL_GUEST_CS64 & ~3) = DESC_CODE64_RING3;

    memset(t, 0, sizeof(*t));
    t->iomap = sizeof(*t);
    /* The frame of an entry from ring 3 fills cpu_info.regs from its end (ss) downwards. */
    t->rsp[0] = (uint64_t)&this_cpu_info()->regs.es;
    t->ist[IST_NMI] = stack + (STACK_IST_NMI + 1) * PAGE_SIZE;
    t->ist[IST_DF] = stack + (STACK_IST_DF + 1) * PAGE_SIZE;
    t->ist[IST_MC] = stack + (STACK_IST_MC + 1) * PAGE_SIZE;
    t->ist[IST_DB] = stack + STACK_IST_MC * PAGE_SIZE + PAGE_SIZE / 2;
    set_system_desc(gdt_slot(cpu, SEL_TSS), (uint64_t)t, sizeof(*t) - 1, DESC_TYPE_TSS);

    if (!idt[0].selector) {
        for (unsigned int v = 0; v < 32; v++)
            idt_set_gate((uint8_t)v, early_stubs + v * EARLY_STUB_BYTES, 0, 0);
    }
    desc_load_gdt(desc_gdt_base(cpu));
    load_segments();
    ltr(SEL_TSS);
    lldt(0);
    lidt(&idtr);
}

/* The CPU aligns its stack to 16 bytes before it pushes the frame; nothing must move. */
_Static_assert((STACK_SIZE - sizeof(struct cpu_info) +
                offsetof(struct cpu_info, regs.es)) % 16 == 0, "pad struct cpu_info");

struct early_frame {
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

void early_trap(const struct early_frame *f, uint64_t rbp);

/* boot/head.S: an exception of ours before traps_init(). */
void early_trap(const struct early_frame *f, uint64_t rbp)
{
    panic("exception %lu (error %#lx) while starting: rip %016lx rsp %016lx cr2 %016lx",
          f->vector, f->error, f->rip, f->rsp, read_cr2());
}
