/* SPDX-License-Identifier: MIT */
/* msi.c - message signalled interrupts: MSI capabilities and MSI-X tables. */
#include "dev/msi.h"

#include "cpu/asm.h"
#include "mm/frame.h"
#include "spinlock.h"
#include "xenabi.h"

#define CONFIG_ADDR     0xcf8
#define CONFIG_DATA     0xcfc

#define REG_VENDOR      0x00
#define REG_COMMAND     0x04
#define REG_HEADER      0x0c
#define REG_BAR0        0x10
#define REG_CAPS        0x34
#define COMMAND_MEMORY  0x0002u
#define STATUS_CAPS     0x00100000u     /* in the double word of REG_COMMAND */

#define CAP_MSI         0x05
#define CAP_MSIX        0x11
#define MSI_64          (1u << 23)      /* in the capability's first double word */
#define MSI_MASKABLE    (1u << 24)

#define SLOT_BYTES      16u
#define SLOT_MASKED     1u
#define MSI_ADDRESS     0xfee00000u

/* Interrupts are off between the two accesses, and dom0's selection is restored. */
static uint32_t config_read(uint8_t bus, uint8_t devfn, uint32_t reg)
{
    uint64_t flags = irq_save();
    uint32_t saved = inl(CONFIG_ADDR), v;

    outl(CONFIG_ADDR, 0x80000000u | (uint32_t)bus << 16 | (uint32_t)devfn << 8 | (reg & 0xfc));
    v = inl(CONFIG_DATA);
    outl(CONFIG_ADDR, saved);
    irq_restore(flags);
    return v;
}

static void config_write(uint8_t bus, uint8_t devfn, uint32_t reg, uint32_t v)
{
    uint64_t flags = irq_save();
    uint32_t saved = inl(CONFIG_ADDR);

    outl(CONFIG_ADDR, 0x80000000u | (uint32_t)bus << 16 | (uint32_t)devfn << 8 | (reg & 0xfc));
    outl(CONFIG_DATA, v);
    outl(CONFIG_ADDR, saved);
    irq_restore(flags);
}

static void config_write16(uint8_t bus, uint8_t devfn, uint32_t reg, uint16_t v)
{
    uint64_t flags = irq_save();
    uint32_t saved = inl(CONFIG_ADDR);

    outl(CONFIG_ADDR, 0x80000000u | (uint32_t)bus << 16 | (uint32_t)devfn << 8 | (reg & 0xfc));
    outw((uint16_t)(CONFIG_DATA + (reg & 2)), v);
    outl(CONFIG_ADDR, saved);
    irq_restore(flags);
}

static uint8_t find_cap(uint8_t bus, uint8_t devfn, uint8_t id)
{
    uint32_t at, left = 48;             /* a list with a loop in it ends, too */

    if (!(config_read(bus, devfn, REG_COMMAND) & STATUS_CAPS))
        return 0;
    at = config_read(bus, devfn, REG_CAPS) & 0xfc;
    for (; at >= 0x40 && left; left--) {
        uint32_t head = config_read(bus, devfn, at);

        if ((head & 0xff) == id)
            return (uint8_t)at;
        at = head >> 8 & 0xfc;
    }
    return 0;
}

static uint64_t bar_address(const struct msi *m, uint32_t n)
{
    uint32_t lo = config_read(m->bus, m->devfn, REG_BAR0 + 4 * n);

    if (n > 5 || (lo & 1))
        return 0;
    if ((lo & 6) == 4 && n < 5)
        return (uint64_t)config_read(m->bus, m->devfn, REG_BAR0 + 4 * n + 4) << 32 | (lo & ~15u);
    return lo & ~15u;
}

/* The table answers only while the function decodes memory. Returns what the command was. */
static uint16_t decode_on(const struct msi *m)
{
    uint16_t command = (uint16_t)config_read(m->bus, m->devfn, REG_COMMAND);

    if (!(command & COMMAND_MEMORY))
        config_write16(m->bus, m->devfn, REG_COMMAND, command | COMMAND_MEMORY);
    return command;
}

static void decode_restore(const struct msi *m, uint16_t command)
{
    if (!(command & COMMAND_MEMORY))
        config_write16(m->bus, m->devfn, REG_COMMAND, command);
}

static int open_msix(struct msi *m, uint16_t entry, uint64_t table_base)
{
    uint32_t size = (config_read(m->bus, m->devfn, m->cap) >> 16 & 0x7ff) + 1;
    uint32_t where = config_read(m->bus, m->devfn, m->cap + 4u);
    uint64_t bar = bar_address(m, where & 7), table = bar + (where & ~7u);
    uint16_t command;

    if (entry >= size || !bar || (table_base && table_base != table))
        return -XEN_EINVAL;
    /* Never a window into RAM, whatever the register says. */
    if (table >> PAGE_SHIFT <= max_mfn && mfn_valid(paddr_to_mfn(table)))
        return -XEN_EINVAL;
    m->slot = ioremap(table + entry * SLOT_BYTES, SLOT_BYTES);
    if (!m->slot)
        return -XEN_ENOMEM;
    command = decode_on(m);
    m->slot[3] |= SLOT_MASKED;
    decode_restore(m, command);
    return 0;
}

int msi_open(struct msi *m, uint8_t bus, uint8_t devfn, bool msix, uint16_t entry,
             uint64_t table_base)
{
    *m = (struct msi){ .bus = bus, .devfn = devfn, .is_msix = msix, .entry = entry };
    if ((config_read(bus, devfn, REG_VENDOR) & 0xffff) == 0xffff)
        return -XEN_ENODEV;
    m->cap = find_cap(bus, devfn, msix ? CAP_MSIX : CAP_MSI);
    if (!m->cap)
        return -XEN_ENODEV;
    if (msix)
        return open_msix(m, entry, table_base);
    m->is_64 = config_read(bus, devfn, m->cap) & MSI_64;
    m->can_mask = config_read(bus, devfn, m->cap) & MSI_MASKABLE;
    return 0;
}

void msi_set_mask(struct msi *m, bool masked)
{
    if (m->is_msix) {
        uint16_t command = decode_on(m);
        uint32_t v = m->slot[3];

        m->slot[3] = masked ? v | SLOT_MASKED : v & ~SLOT_MASKED;
        decode_restore(m, command);
    } else if (m->can_mask) {
        uint32_t reg = m->cap + (m->is_64 ? 16u : 12u), v = config_read(m->bus, m->devfn, reg);

        config_write(m->bus, m->devfn, reg, masked ? v | 1 : v & ~1u);
    }
}

void msi_program(struct msi *m, uint8_t vector, uint32_t apicid)
{
    uint32_t address = MSI_ADDRESS | (apicid & 0xff) << 12;

    if (m->is_msix) {
        uint16_t command = decode_on(m);

        m->slot[0] = address;
        m->slot[1] = 0;
        m->slot[2] = vector;
        decode_restore(m, command);
        return;
    }
    config_write(m->bus, m->devfn, m->cap + 4u, address);
    if (m->is_64)
        config_write(m->bus, m->devfn, m->cap + 8u, 0);
    config_write16(m->bus, m->devfn, m->cap + (m->is_64 ? 12u : 8u), vector);
}

void msi_close(struct msi *m)
{
    msi_set_mask(m, true);
    if (m->slot)
        iounmap((void *)m->slot, SLOT_BYTES);
    m->slot = NULL;
}
