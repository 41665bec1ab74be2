/* SPDX-License-Identifier: MIT */
/*
 * main.c - the machine comes up: one list of calls, in order.
 */
#include "main.h"

#include "boot/acpi.h"
#include "boot/bootmem.h"
#include "boot/smp.h"
#include "cpu/apic.h"
#include "cpu/asm.h"
#include "cpu/control.h"
#include "cpu/desc.h"
#include "cpu/fpu.h"
#include "cpu/traps.h"
#include "dev/console.h"
#include "dev/serial.h"
#include "emul/portio.h"
#include "domain/domain_impl.h"
#include "event/irq.h"
#include "mm/buddy.h"
#include "mm/map.h"
#include "sched/clock.h"
#include "sched/sched.h"
#include "sched/timer.h"
#include "spinlock.h"

static void report_boot(void)
{
    const struct boot_info *bi = boot_info();

    printk(LOG_INFO, "loader: %s; command line: %s\n", bi->loader, bi->cmdline);
    for (uint32_t i = 0; i < bi->nr_modules; i++)
        printk(LOG_INFO, "module %u: %s (%lu KiB at %#lx) %s\n", i, bi->module[i].name,
               bi->module[i].size >> 10, bi->module[i].start, bi->module[i].args);
    if (bi->nr_left_out)
        printk(LOG_WARNING, "%u boot modules are left out: at most %u, with %u bytes of names and words, are taken\n",
               bi->nr_left_out, BOOT_MAX_MODULES, BOOT_STRING_BYTES);
}

extern char boot_stack[];           /* boot/head.S; the others' stacks come from smp.c */

/* The other CPUs come here when they are ready. */
static void __noreturn ap_main(void)
{
    sched_init_cpu();
    enter_idle();
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
    map_guard_page(boot_stack + STACK_GUARD * PAGE_SIZE);
    printk(LOG_INFO, "memory: %lu MiB, %lu MiB free\n", frames_total() >> 8,
           frames_free_count() >> 8);

    /* This CPU, interrupts, time. */
    control_init_cpu();
    spin_init();
    fpu_init();
    fpu_init_cpu();
    traps_init();
    traps_init_cpu();
    acpi_init();
    apic_init(acpi_info()->lapic);
    smp_prepare();
    apic_init_cpu();
    clock_init();
    timer_init_boot();
    timer_init_cpu();
    irq_init();

    /* Domains; the other CPUs, which run nothing at first; dom0. */
    domain_init();
    destroy_init();
    sched_init();
    sched_init_cpu();
    smp_set_ap_main(ap_main);
    irq_enable();
    smp_start_all();
    console_io_init();
    portio_reserve_serial(serial_port());
    dom0_build();
    irq_disable();
    enter_idle();
}
