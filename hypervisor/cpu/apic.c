/* SPDX-License-Identifier: MIT */
/* apic.c - local APIC, memory-mapped (xAPIC) or by MSR (x2APIC). */
#include "cpu/apic.h"

#include "boot/smp.h"
#include "cpu/asm.h"
#include "cpu/counters.h"
#include "cpu/traps.h"
#include "dev/console.h"
#include "dev/panic.h"
#include "mm/map.h"
#include "spinlock.h"

#define BASE_ENABLE     (1UL << 11)
#define BASE_X2APIC     (1UL << 10)
#define BASE_ADDR       0x000ffffffffff000UL

enum reg {
    REG_ID = 0x20, REG_TPR = 0x80, REG_EOI = 0xb0, REG_SVR = 0xf0, REG_ESR = 0x280,
    REG_ICR = 0x300, REG_ICR2 = 0x310, REG_LVT_TIMER = 0x320, REG_LVT_THERMAL = 0x330,
    REG_LVT_PMC = 0x340, REG_LVT_LINT0 = 0x350, REG_LVT_LINT1 = 0x360, REG_LVT_ERROR = 0x370,
    REG_TIMER_INIT = 0x380, REG_TIMER_NOW = 0x390, REG_TIMER_DIV = 0x3e0
};

#define SVR_ENABLE      0x100
#define LVT_MASKED      0x10000
#define LVT_NMI         0x400
#define ICR_BUSY        0x1000
#define ICR_NMI         0x400
#define ICR_INIT        0x500
#define ICR_STARTUP     0x600
#define ICR_ASSERT      0x4000
#define TIMER_DIV_1     0xb

static volatile uint32_t *mmio;         /* NULL: x2APIC */

static void reg_write(enum reg r, uint32_t v)
{
    if (mmio)
        mmio[r / 4] = v;
    else
        wrmsr(MSR_X2APIC + r / 16, v);
}

static uint32_t reg_read(enum reg r)
{
    return mmio ? mmio[r / 4] : (uint32_t)rdmsr(MSR_X2APIC + r / 16);
}

bool apic_is_x2apic(void)
{
    return !mmio;
}

uint32_t apic_id(void)
{
    return mmio ? reg_read(REG_ID) >> 24 : reg_read(REG_ID);
}

void apic_eoi(void)
{
    reg_write(REG_EOI, 0);
}

static void icr_write(uint32_t apicid, uint32_t low)
{
    uint64_t flags;

    if (!mmio) {
        smp_mb();               /* the MSR write does not order earlier stores */
        wrmsr(MSR_X2APIC + REG_ICR / 16, (uint64_t)apicid << 32 | low);
        return;
    }
    flags = irq_save();         /* the pair belongs together; handlers send IPIs too */
    while (reg_read(REG_ICR) & ICR_BUSY)
        cpu_relax();
    reg_write(REG_ICR2, apicid << 24);
    reg_write(REG_ICR, low);
    irq_restore(flags);
}

void apic_send_ipi(uint32_t apicid, uint8_t vector)
{
    count(CNT_IPI);
    icr_write(apicid, ICR_ASSERT | vector);
}

void apic_send_ipi_mask(cpumask_t cpus, uint8_t vector)
{
    uint32_t cpu;

    for_each_cpu(cpu, cpus)
        apic_send_ipi(cpu_apicid(cpu), vector);
}

void apic_send_nmi(uint32_t apicid)
{
    icr_write(apicid, ICR_ASSERT | ICR_NMI);
}

void apic_send_init(uint32_t apicid)
{
    icr_write(apicid, ICR_ASSERT | ICR_INIT);
}

void apic_send_startup(uint32_t apicid, uint8_t page)
{
    icr_write(apicid, ICR_ASSERT | ICR_STARTUP | page);
}

void apic_timer_set(uint32_t ticks)
{
    reg_write(REG_TIMER_INIT, ticks);
}

uint32_t apic_timer_read(void)
{
    return reg_read(REG_TIMER_NOW);
}

static void spurious_interrupt(struct cpu_user_regs *regs)
{
    /* Not to be acknowledged. */
}

static void error_interrupt(struct cpu_user_regs *regs)
{
    reg_write(REG_ESR, 0);
    printk(LOG_WARNING, "local APIC of CPU %u reports error %#x\n", this_cpu(),
           reg_read(REG_ESR));
    apic_eoi();
}

/* The two 8259s: out of the exceptions' way, and masked. */
static void silence_pics(void)
{
    outb(0x20, 0x11);
    outb(0xa0, 0x11);
    outb(0x21, VECTOR_PIC);
    outb(0xa1, VECTOR_PIC + 8);
    outb(0x21, 4);
    outb(0xa1, 2);
    outb(0x21, 1);
    outb(0xa1, 1);
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
}

void apic_init(paddr_t base)
{
    uint64_t msr = rdmsr(MSR_APIC_BASE);

    silence_pics();
    if (!(msr & BASE_X2APIC)) {
        paddr_t pa = msr & BASE_ADDR;

        if (base && base != pa)
            printk(LOG_WARNING, "ACPI puts the local APIC at %#lx, it is at %#lx\n", base, pa);
        mmio = ioremap(pa, PAGE_SIZE);
        if (!mmio)
            panic("cannot map the local APIC");
    }
    irq_set_handler(VECTOR_SPURIOUS, spurious_interrupt);
    irq_set_handler(VECTOR_ERROR, error_interrupt);
}

void apic_init_cpu(void)
{
    wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BASE_ENABLE | (mmio ? 0 : BASE_X2APIC));
    reg_write(REG_SVR, SVR_ENABLE | VECTOR_SPURIOUS);
    reg_write(REG_TPR, 0);
    reg_write(REG_LVT_TIMER, VECTOR_TIMER);
    reg_write(REG_TIMER_DIV, TIMER_DIV_1);
    reg_write(REG_TIMER_INIT, 0);
    reg_write(REG_LVT_LINT0, LVT_MASKED);
    reg_write(REG_LVT_LINT1, LVT_NMI);
    reg_write(REG_LVT_PMC, LVT_MASKED);
    reg_write(REG_LVT_ERROR, VECTOR_ERROR);
    reg_write(REG_ESR, 0);
    apic_eoi();
}
