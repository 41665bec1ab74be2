/* SPDX-License-Identifier: MIT */
/* ioapic.c - IOAPICs: global system interrupts to vectors. */
#include "cpu/ioapic.h"

#include "boot/acpi.h"
#include "dev/console.h"
#include "mm/map.h"
#include "spinlock.h"

#define REG_VERSION     0x01
#define REG_ENTRY       0x10            /* two registers per input */

#define ENTRY_LOW       (1u << 13)
#define ENTRY_LEVEL     (1u << 15)
#define ENTRY_MASKED    (1u << 16)

#define ISA_IRQS        16u

static spinlock_t lock = SPINLOCK_INIT(LOCK_IRQ);
static struct {
    volatile uint32_t *regs;            /* select at 0, window at 0x10 */
    uint64_t pa;
    uint32_t first, inputs;             /* its GSIs */
} ioapic[ACPI_MAX_IOAPICS];
static uint32_t nr_ioapics, nr_gsis;

static uint32_t reg_read(uint32_t n, uint32_t reg)
{
    ioapic[n].regs[0] = reg;
    return ioapic[n].regs[4];
}

static void reg_write(uint32_t n, uint32_t reg, uint32_t v)
{
    ioapic[n].regs[0] = reg;
    ioapic[n].regs[4] = v;
}

/* Which IOAPIC has gsi; nr_ioapics: none. */
static uint32_t find(uint32_t gsi)
{
    uint32_t n;

    for (n = 0; n < nr_ioapics; n++) {
        if (gsi - ioapic[n].first < ioapic[n].inputs)
            break;
    }
    return n;
}

void ioapic_init(void)
{
    const struct acpi_info *ai = acpi_info();

    for (uint32_t i = 0; i < ai->nr_ioapics; i++) {
        uint32_t n = nr_ioapics;

        ioapic[n].regs = ioremap(ai->ioapic[i].pa, PAGE_SIZE);
        if (!ioapic[n].regs)
            continue;
        ioapic[n].pa = ai->ioapic[i].pa;
        ioapic[n].first = ai->ioapic[i].gsi_base;
        ioapic[n].inputs = (reg_read(n, REG_VERSION) >> 16 & 0xff) + 1;
        if (ioapic[n].first > 4096)     /* nonsense, or nothing there */
            continue;
        for (uint32_t k = 0; k < ioapic[n].inputs; k++)
            reg_write(n, REG_ENTRY + 2 * k, ENTRY_MASKED);
        nr_gsis = MAX(nr_gsis, ioapic[n].first + ioapic[n].inputs);
        nr_ioapics++;
    }
}

uint32_t ioapic_nr_gsis(void)
{
    return nr_gsis;
}

bool ioapic_has_gsi(uint32_t gsi)
{
    return find(gsi) < nr_ioapics;
}

uint32_t ioapic_isa_gsi(uint8_t irq)
{
    const struct acpi_info *ai = acpi_info();

    for (uint32_t i = 0; i < ai->nr_overrides; i++) {
        if (ai->override[i].isa_irq == irq)
            return ai->override[i].gsi;
    }
    return irq;
}

bool ioapic_override(uint32_t gsi, bool *level, bool *low)
{
    const struct acpi_info *ai = acpi_info();

    for (uint32_t i = 0; i < ai->nr_overrides; i++) {
        uint16_t f = ai->override[i].flags;

        if (ai->override[i].gsi != gsi)
            continue;
        /* 0: as the bus has it, which is ISA: edge, active high. */
        *low = (f & 3) == 3;
        *level = (f >> 2 & 3) == 3;
        return true;
    }
    return false;
}

void ioapic_route(uint32_t gsi, uint8_t vector, uint32_t apicid, bool level, bool low)
{
    uint32_t n = find(gsi), k;
    uint64_t flags;

    if (n == nr_ioapics)
        return;
    k = gsi - ioapic[n].first;
    flags = spin_lock_irqsave(&lock);
    reg_write(n, REG_ENTRY + 2 * k, ENTRY_MASKED);
    reg_write(n, REG_ENTRY + 2 * k + 1, apicid << 24);
    reg_write(n, REG_ENTRY + 2 * k, ENTRY_MASKED | vector | (level ? ENTRY_LEVEL : 0) |
                                    (low ? ENTRY_LOW : 0));
    spin_unlock_irqrestore(&lock, flags);
}

static void set_mask(uint32_t gsi, bool masked)
{
    uint32_t n = find(gsi), k, v;
    uint64_t flags;

    if (n == nr_ioapics)
        return;
    k = gsi - ioapic[n].first;
    flags = spin_lock_irqsave(&lock);
    v = reg_read(n, REG_ENTRY + 2 * k);
    reg_write(n, REG_ENTRY + 2 * k, masked ? v | ENTRY_MASKED : v & ~ENTRY_MASKED);
    spin_unlock_irqrestore(&lock, flags);
}

void ioapic_mask(uint32_t gsi)
{
    set_mask(gsi, true);
}

void ioapic_unmask(uint32_t gsi)
{
    set_mask(gsi, false);
}

uint32_t ioapic_read_raw(uint64_t pa, uint32_t reg)
{
    for (uint32_t n = 0; n < nr_ioapics; n++) {
        uint64_t flags;
        uint32_t v;

        if (ioapic[n].pa != pa)
            continue;
        flags = spin_lock_irqsave(&lock);
        v = reg_read(n, reg & 0xff);
        spin_unlock_irqrestore(&lock, flags);
        return v;
    }
    return 0;
}
