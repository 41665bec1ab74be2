/* SPDX-License-Identifier: MIT */
/*
 * acpi_tables.c - reads MADT, HPET, FADT and MCFG. Pure: memory comes through map().
 *
 * Firmware is not hostile, but it is often wrong: every length is checked against its table.
 */
#include "boot/acpi.h"

#include "lib/string.h"
#include "xenabi.h"
#include "unaligned.h"

#define HEADER_BYTES    36u
#define TABLE_MAX       (1u << 20)
#define TABLES_MAX      256u

enum madt_entry { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_OVERRIDE = 2, MADT_LAPIC_ADDR = 5,
                  MADT_X2APIC = 9 };
#define LAPIC_ENABLED   1u
#define FADT_RESET      (1u << 10)      /* flag: there is a reset register */
#define GAS_PORT        1u
#define PM1_SLP_EN      (1u << 13)

enum aml { AML_ZERO = 0x00, AML_ONE = 0x01, AML_BYTE = 0x0a, AML_PACKAGE = 0x12 };

static bool sum_is_zero(const uint8_t *p, uint32_t n)
{
    uint8_t sum = 0;

    while (n--)
        sum = (uint8_t)(sum + *p++);
    return sum == 0;
}

static void add_cpu(struct acpi_info *ai, uint32_t id)
{
    for (uint32_t i = 0; i < ai->nr_cpus; i++) {
        if (ai->apicid[i] == id)        /* some firmware lists a CPU in both forms */
            return;
    }
    if (ai->nr_cpus < ACPI_MAX_CPUS)
        ai->apicid[ai->nr_cpus++] = id;
}

static void parse_madt_entry(struct acpi_info *ai, const uint8_t *e, uint32_t len)
{
    switch (e[0]) {
    case MADT_LAPIC:
        if (len >= 8 && (get32(e + 4) & LAPIC_ENABLED))
            add_cpu(ai, e[3]);
        break;
    case MADT_X2APIC:
        if (len >= 16 && (get32(e + 8) & LAPIC_ENABLED))
            add_cpu(ai, get32(e + 4));
        break;
    case MADT_IOAPIC:
        if (len >= 12 && ai->nr_ioapics < ACPI_MAX_IOAPICS) {
            ai->ioapic[ai->nr_ioapics].id = e[2];
            ai->ioapic[ai->nr_ioapics].pa = get32(e + 4);
            ai->ioapic[ai->nr_ioapics++].gsi_base = get32(e + 8);
        }
        break;
    case MADT_OVERRIDE:
        if (len >= 10 && ai->nr_overrides < ACPI_MAX_OVERRIDES && e[2] == 0) {
            ai->override[ai->nr_overrides].isa_irq = e[3];
            ai->override[ai->nr_overrides].gsi = get32(e + 4);
            ai->override[ai->nr_overrides++].flags = get16(e + 8);
        }
        break;
    case MADT_LAPIC_ADDR:
        if (len >= 12)
            ai->lapic = get64(e + 4);
        break;
    }
}

static void parse_madt(struct acpi_info *ai, const uint8_t *t, uint32_t len)
{
    if (len < 44)
        return;
    ai->lapic = get32(t + 36);
    for (uint32_t off = 44; off <= len - 2;) {
        uint32_t n = t[off + 1];

        if (n < 2 || n > len - off)
            return;
        parse_madt_entry(ai, t + off, n);
        off += n;
    }
}

static void parse_hpet(struct acpi_info *ai, const uint8_t *t, uint32_t len)
{
    if (len >= 52 && t[40] == 0)        /* address space 0: memory */
        ai->hpet = get64(t + 44);
}

static void parse_mcfg(struct acpi_info *ai, const uint8_t *t, uint32_t len)
{
    for (uint32_t off = 44; len >= 60 && off <= len - 16; off += 16) {
        if (ai->nr_mcfg == ACPI_MAX_MCFG)
            return;
        if (t[off + 10] > t[off + 11])
            continue;
        ai->mcfg[ai->nr_mcfg].pa = get64(t + off);
        ai->mcfg[ai->nr_mcfg].segment = get16(t + off + 8);
        ai->mcfg[ai->nr_mcfg].first_bus = t[off + 10];
        ai->mcfg[ai->nr_mcfg++].last_bus = t[off + 11];
    }
}

static const uint8_t *map_table(paddr_t pa, acpi_map_fn map, uint32_t *len)
{
    const uint8_t *t = pa ? map(pa, HEADER_BYTES) : NULL;

    if (!t)
        return NULL;
    *len = get32(t + 4);
    if (*len < HEADER_BYTES || *len > TABLE_MAX || !(t = map(pa, *len)))
        return NULL;
    return sum_is_zero(t, *len) ? t : NULL;
}

/* A small AML constant at *off; moves on. False: it is something else. */
static bool aml_byte(const uint8_t *t, uint32_t len, uint32_t *off, uint8_t *v)
{
    if (*off + 2 > len)
        return false;
    switch (t[*off]) {
    case AML_ZERO:
    case AML_ONE:
        *v = t[(*off)++];
        return true;
    case AML_BYTE:
        *v = t[*off + 1];
        *off += 2;
        return true;
    }
    return false;
}

/* Name(_S5, Package() { SLP_TYPa, SLP_TYPb, ... }), wherever it stands. */
static void find_s5(struct acpi_info *ai, const uint8_t *t, uint32_t len)
{
    for (uint32_t i = HEADER_BYTES; i + 12 < len; i++) {
        uint32_t off = i + 5;
        uint8_t a, b;

        if (memcmp(t + i, "_S5_", 4) || t[i + 4] != AML_PACKAGE)
            continue;
        off += 1 + (t[off] >> 6);           /* length of the package: one to four bytes */
        off++;                              /* number of elements */
        if (!aml_byte(t, len, &off, &a) || !aml_byte(t, len, &off, &b))
            continue;
        ai->s5_a = (uint16_t)(PM1_SLP_EN | (a & 7) << 10);
        ai->s5_b = (uint16_t)(PM1_SLP_EN | (b & 7) << 10);
        return;
    }
}

static void parse_fadt(struct acpi_info *ai, const uint8_t *t, uint32_t len, acpi_map_fn map)
{
    paddr_t dsdt;
    uint32_t dsdt_len;

    if (len < 116)
        return;
    ai->pm_timer_port = get32(t + 76) & 0xffff;
    ai->pm_timer_32bit = (get32(t + 112) >> 8) & 1;
    if (len >= 129 && (get32(t + 112) & FADT_RESET) && t[116] == GAS_PORT &&
        get64(t + 120) <= 0xffff) {
        ai->reset_port = get16(t + 120);
        ai->reset_value = t[128];
    }
    dsdt = len >= 148 && get64(t + 140) ? get64(t + 140) : get32(t + 40);
    ai->pm1a_cnt = get16(t + 64);
    ai->pm1b_cnt = get16(t + 68);
    t = map_table(dsdt, map, &dsdt_len);    /* the FADT is out of reach now */
    if (t && !memcmp(t, "DSDT", 4))
        find_s5(ai, t, dsdt_len);
    if (!ai->s5_a)
        ai->pm1a_cnt = ai->pm1b_cnt = 0;
}

static void parse_table(struct acpi_info *ai, paddr_t pa, acpi_map_fn map)
{
    uint32_t len;
    const uint8_t *t = map_table(pa, map, &len);

    if (!t)
        return;
    if (!memcmp(t, "APIC", 4))
        parse_madt(ai, t, len);
    else if (!memcmp(t, "HPET", 4))
        parse_hpet(ai, t, len);
    else if (!memcmp(t, "FACP", 4))
        parse_fadt(ai, t, len, map);
    else if (!memcmp(t, "MCFG", 4))
        parse_mcfg(ai, t, len);
}

int acpi_parse(struct acpi_info *ai, const void *rsdp, uint32_t size, acpi_map_fn map)
{
    const uint8_t *r = rsdp, *root;
    paddr_t list[TABLES_MAX], root_pa;
    uint32_t len, n, entry = 4;

    memset(ai, 0, sizeof(*ai));
    if (size < 20 || memcmp(r, "RSD PTR ", 8) || !sum_is_zero(r, 20))
        return -XEN_EINVAL;
    root_pa = get32(r + 16);
    if (r[15] >= 2 && size >= 36 && sum_is_zero(r, 36) && get64(r + 24)) {
        root_pa = get64(r + 24);
        entry = 8;
    }
    root = map_table(root_pa, map, &len);
    if (!root || memcmp(root, entry == 8 ? "XSDT" : "RSDT", 4))
        return -XEN_EINVAL;
    n = MIN((len - HEADER_BYTES) / entry, TABLES_MAX);
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *e = root + HEADER_BYTES + i * entry;
        list[i] = entry == 8 ? get64(e) : get32(e);
    }
    for (uint32_t i = 0; i < n; i++)
        parse_table(ai, list[i], map);
    return 0;
}
