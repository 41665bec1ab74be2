/* SPDX-License-Identifier: MIT */
/*
 * main.c - dom0: starts the parts, hands each its interfaces, runs the loop.
 */
#include "netback/netback.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/pci.h"
#include "runtime/start.h"

static void log_memory(void)
{
    struct mem_stats s;

    mem_get_stats(&s);
    log_info("dom0: %lu KiB of memory, %lu KiB free, may grow to %lu MiB", s.pages_total * 4,
             s.pages_free * 4, s.pages_limit >> 8);
}

static void log_modules(void)
{
    const struct boot_module *m;

    for (unsigned int i = 0; (m = boot_module(i)) != NULL; i++)
        log_info("dom0: module %u: %s, %lu bytes%s%s", i, m->name, m->size,
                 *m->cmdline ? ", " : "", m->cmdline);
}

void pv_main(void)
{
    log_memory();
    log_modules();
    pci_init();
    bridge_init();
    nic_init();
    log_info("dom0: ready");
    loop_run();
}
