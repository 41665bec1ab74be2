/* SPDX-License-Identifier: MIT */
/*
 * acpi.h - the static ACPI tables that we need: CPUs, IOAPICs, timers, PCI configuration space,
 * power off. Parse only; of AML only the constant package \\_S5.
 */
#ifndef HV_BOOT_ACPI_H
#define HV_BOOT_ACPI_H

#include "addr.h"

#define ACPI_MAX_CPUS       256
#define ACPI_MAX_IOAPICS    16
#define ACPI_MAX_OVERRIDES  24
#define ACPI_MAX_MCFG       8

struct acpi_info {
    paddr_t lapic;                      /* 0: no MADT */
    uint32_t nr_cpus;
    uint32_t apicid[ACPI_MAX_CPUS];     /* enabled CPUs, in table order */
    uint32_t nr_ioapics;
    struct {
        paddr_t pa;
        uint32_t gsi_base;
        uint8_t id;
    } ioapic[ACPI_MAX_IOAPICS];
    uint32_t nr_overrides;
    struct {
        uint8_t isa_irq;
        uint16_t flags;                 /* MPS INTI: bits 0-1 polarity, 2-3 trigger */
        uint32_t gsi;
    } override[ACPI_MAX_OVERRIDES];
    uint32_t nr_mcfg;
    struct {
        paddr_t pa;
        uint16_t segment;
        uint8_t first_bus, last_bus;
    } mcfg[ACPI_MAX_MCFG];
    paddr_t hpet;                       /* 0: none */
    uint32_t pm_timer_port;             /* 0: none */
    bool pm_timer_32bit;
    uint16_t pm1a_cnt, pm1b_cnt;        /* ports for power off; 0: not known */
    uint16_t s5_a, s5_b;                /* what to write there, complete */
    uint16_t reset_port;                /* 0: none */
    uint8_t reset_value;
    paddr_t rsdp;                       /* for dom0; 0: not known */
};

/*
 * Pure. rsdp: the root pointer structure, size bytes (20 or 36). map(pa, len): len bytes of
 * physical memory, NULL if that cannot be had; valid until the next call is made. Broken tables
 * (checksum, lengths) are skipped. Returns 0, -XEN_EINVAL when there is no usable root.
 */
typedef const void *(*acpi_map_fn)(paddr_t pa, uint64_t len);
int acpi_parse(struct acpi_info *ai, const void *rsdp, uint32_t size, acpi_map_fn map);

/* Boot: finds the root (boot info, or the BIOS area) and parses. Never fails: no tables mean
 * one CPU and no IOAPIC. */
void acpi_init(void);
const struct acpi_info *acpi_info(void);

#endif
