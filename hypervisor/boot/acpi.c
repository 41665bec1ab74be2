/* SPDX-License-Identifier: MIT */
/* acpi.c - finds the ACPI root pointer and has the tables parsed. */
#include "boot/acpi.h"

#include "boot/multiboot.h"
#include "dev/console.h"
#include "lib/string.h"
#include "mm/map.h"

#define BIOS_START  0xe0000u
#define BIOS_END    0x100000u
#define EBDA_BYTES  1024u

static struct acpi_info info;

const struct acpi_info *acpi_info(void)
{
    return &info;
}

/* One window at a time, as acpi_parse() allows. */
static const void *map_window(paddr_t pa, uint64_t len)
{
    static void *window;
    static uint64_t window_len;

    if (window)
        iounmap(window, window_len);
    window = map_cached(pa, len);
    window_len = len;
    return window;
}

/* On 16-byte boundaries in [pa, pa + len); 0: not there. */
static paddr_t scan(paddr_t pa, uint32_t len)
{
    const uint8_t *p = map_window(pa, len);

    for (uint32_t off = 0; p && off + 20 <= len; off += 16) {
        uint8_t sum = 0;

        if (memcmp(p + off, "RSD PTR ", 8))
            continue;
        for (unsigned int i = 0; i < 20; i++)
            sum = (uint8_t)(sum + p[off + i]);
        if (!sum)
            return pa + off;
    }
    return 0;
}

static paddr_t find_rsdp(void)
{
    const uint8_t *bda = map_window(0x400, 0x100);
    paddr_t ebda = bda ? (paddr_t)(bda[0x0e] | bda[0x0f] << 8) << 4 : 0, pa = 0;

    if (ebda >= 0x80000 && ebda < 0xa0000)
        pa = scan(ebda, EBDA_BYTES);
    return pa ? pa : scan(BIOS_START, BIOS_END - BIOS_START);
}

void acpi_init(void)
{
    const struct boot_info *bi = boot_info();
    const void *found;
    uint8_t rsdp[36];
    uint32_t size = bi->rsdp_size;
    paddr_t pa = 0;

    if (size) {
        memcpy(rsdp, bi->rsdp, size);
    } else if ((pa = find_rsdp()) && (found = map_window(pa, sizeof(rsdp)))) {
        size = sizeof(rsdp);
        memcpy(rsdp, found, size);
    }
    if (!size || acpi_parse(&info, rsdp, size, map_window)) {
        printk(LOG_WARNING, "no usable ACPI tables: one CPU, no IOAPIC\n");
        return;
    }
    info.rsdp = pa;
    printk(LOG_INFO, "ACPI: %u CPUs, %u IOAPICs, HPET %#lx, PM timer %#x\n", info.nr_cpus,
           info.nr_ioapics, info.hpet, info.pm_timer_port);
}
