/* SPDX-License-Identifier: MIT */
/*
 * main.c - the machine comes up: one list of calls, in order.
 */
#include "main.h"

#include "boot/bootmem.h"
#include "cpu/desc.h"
#include "dev/console.h"
#include "dev/panic.h"
#include "mm/buddy.h"
#include "mm/map.h"

static void report_boot(void)
{
    const struct boot_info *bi = boot_info();

    printk(LOG_INFO, "loader: %s; command line: %s\n", bi->loader, bi->cmdline);
    for (uint32_t i = 0; i < bi->nr_modules; i++)
        printk(LOG_INFO, "module %u: %s (%lu KiB at %#lx) %s\n", i, bi->module[i].name,
               bi->module[i].size >> 10, bi->module[i].start, bi->module[i].args);
}

void hv_main(uint32_t magic, uint32_t info)
{
    console_early_init();
    printk(LOG_INFO, "Sluice\n");
    desc_init_cpu(0);
    boot_info_init(magic, info);
    console_init();
    report_boot();

    /* Memory. */
    map_init();
    frames_init();
    map_boot_done();
    printk(LOG_INFO, "memory: %lu MiB, %lu MiB free\n", frames_total() >> 8,
           frames_free_count() >> 8);

    panic("nothing to run");
}
