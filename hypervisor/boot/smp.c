/* SPDX-License-Identifier: MIT */
/*
 * smp.c - starts the other CPUs, and what CPUs ask of each other.
 */
#include "boot/smp.h"

#include "boot/acpi.h"
#include "boot/bootmem.h"
#include "cpu/apic.h"
#include "cpu/asm.h"
#include "cpu/control.h"
#include "cpu/desc.h"
#include "cpu/fpu.h"
#include "cpu/percpu.h"
#include "cpu/traps.h"
#include "dev/console.h"
#include "dev/panic.h"
#include "lib/string.h"
#include "mm/buddy.h"
#include "mm/map.h"
#include "mm/tlb.h"
#include "sched/clock.h"
#include "sched/timer.h"
#include "spinlock.h"

#define INIT_DELAY_US       10000u
#define STARTUP_DELAY_US    200u
#define ONLINE_TIMEOUT_US   500000u

struct cpu_info *cpu_info_of[NR_CPUS];
uint32_t nr_cpus;
cpumask_t cpu_online_map;

static uint32_t apicids[NR_CPUS];
static void (*ap_main)(void);

/* boot/trampoline.S */
extern const char trampoline_start[], trampoline_end[];
extern uint64_t ap_cr3;
extern struct cpu_info *ap_cpu_info;

static uint32_t ap_reached;             /* the AP is in C, in its own address space */

static spinlock_t call_lock = SPINLOCK_INIT(LOCK_SMP_CALL);
static struct {
    void (*fn)(void *arg);
    void *arg;
} call;
static cpumask_t call_waiting, call_running;

static struct {
    uint32_t sent;                      /* a kick is under way */
} __aligned(64) kicked[NR_CPUS];

uint32_t cpu_apicid(uint32_t cpu)
{
    return apicids[cpu];
}

static void kick_interrupt(struct cpu_user_regs *regs)
{
    store_relaxed(&kicked[this_cpu()].sent, 0u);
    apic_eoi();
}

static void tlb_interrupt(struct cpu_user_regs *regs)
{
    apic_eoi();
    tlb_poll();
}

/* Answers a cross-CPU call that is waiting for this CPU. Interrupts off. */
static void call_poll(void)
{
    cpumask_t me = cpumask_of(this_cpu());

    if (load_acquire(&call_waiting) & me) {
        void (*fn)(void *) = call.fn;
        void *arg = call.arg;

        atomic_and(&call_waiting, ~me);
        fn(arg);
        atomic_and(&call_running, ~me);
    }
}

static void call_interrupt(struct cpu_user_regs *regs)
{
    apic_eoi();
    call_poll();
}

void smp_kick(uint32_t cpu)
{
    if (cpu != this_cpu() && !atomic_xchg(&kicked[cpu].sent, 1u))
        apic_send_ipi(apicids[cpu], VECTOR_KICK);
}

void smp_kick_mask(cpumask_t mask)
{
    uint32_t cpu;

    for_each_cpu(cpu, mask & cpu_online_map)
        smp_kick(cpu);
}

void smp_call_function(cpumask_t mask, void (*fn)(void *arg), void *arg, bool wait)
{
    cpumask_t me = cpumask_of(this_cpu()), others = mask & cpu_online_map & ~me;
    uint64_t flags;

    if (others) {
        spin_lock(&call_lock);
        while (load_acquire(&call_running)) {   /* of an earlier call that did not wait */
            cpu_relax();
            tlb_poll();
        }
        call.fn = fn;
        call.arg = arg;
        call_running = others;
        store_release(&call_waiting, others);
        smp_mb();
        apic_send_ipi_mask(others, VECTOR_CALL);
    }
    if (mask & me) {
        flags = irq_save();
        fn(arg);
        irq_restore(flags);
    }
    if (others) {
        while (load_acquire(wait ? &call_running : &call_waiting)) {
            cpu_relax();
            tlb_poll();
        }
        spin_unlock(&call_lock);
    }
}

/* NMIs get through to CPUs that spin with interrupts off. */
static bool nmi(void)
{
    if (panic_in_progress())
        panic_stop_cpu();
    return false;
}

void smp_stop_others(void)
{
    uint32_t cpu;

    for_each_cpu(cpu, cpu_online_map & ~cpumask_of(this_cpu()))
        apic_send_nmi(apicids[cpu]);
}

void smp_set_ap_main(void (*fn)(void) __noreturn)
{
    ap_main = fn;
}

static void set_online(uint32_t cpu)
{
    cpu_info_of[cpu] = this_cpu_info();
    nr_cpus = cpu + 1;
    atomic_or(&cpu_online_map, cpumask_of(cpu));
}

void smp_prepare(void)
{
    nmi_set_handler(nmi);
    irq_set_handler(VECTOR_CALL, call_interrupt);
    irq_set_handler(VECTOR_KICK, kick_interrupt);
    irq_set_handler(VECTOR_TLB, tlb_interrupt);
    apicids[0] = apic_id();
    this_cpu_info()->cr3 = read_cr3();
    set_online(0);
}

void smp_ap_entry(void);

/* A new CPU, on its own stack with interrupts off; its cpu_info is filled in. */
void smp_ap_entry(void)
{
    uint32_t cpu = this_cpu();

    desc_init_cpu(cpu);
    control_init_cpu();
    fpu_init_cpu();
    traps_init_cpu();
    apic_init_cpu();
    apicids[cpu] = apic_id();
    store_release(&ap_reached, 1u);
    clock_init_cpu();
    timer_init_cpu();
    tlb_flush_local(FLUSH_TLB_GLOBAL, 0);
    set_online(cpu);
    ap_main();
    panic("the main function of CPU %u returned", cpu);
}

/* A page of RAM below 1 MiB that no region but RAM touches; 0: none. */
static paddr_t find_low_page(void)
{
    const struct boot_info *bi = boot_info();
    paddr_t best = 0;

    for (uint32_t i = 0; i < bi->nr_regions; i++) {
        paddr_t end = MIN(bi->region[i].end, 0xa0000UL);

        if (bi->region[i].type == REGION_RAM && end >= 0x2000 &&
            end - PAGE_SIZE >= MAX(bi->region[i].start, 0x1000UL))
            best = MAX(best, end - PAGE_SIZE);
    }
    return best;
}

/* The stack block of a new CPU with its cpu_info filled in; NULL: no memory. */
static struct cpu_info *make_stack(uint32_t cpu)
{
    mfn_t m = frames_alloc(STACK_ORDER, 0);
    struct cpu_info *ci;
    char *block;

    if (!mfn_is_valid_value(m))
        return NULL;
    frames_scrub(m, STACK_ORDER);
    block = mfn_to_virt(m);
    map_guard_page(block + STACK_GUARD * PAGE_SIZE);
    ci = (struct cpu_info *)(block + STACK_SIZE) - 1;
    ci->cpu = cpu;
    ci->cr3 = virt_to_paddr(idle_l4);
    return ci;
}

static bool wait_for(uint32_t *flag)
{
    for (uint32_t us = 0; us < ONLINE_TIMEOUT_US; us += 10) {
        if (load_acquire(flag))
            return true;
        udelay(10);
    }
    return false;
}

static bool start_cpu(uint32_t cpu, uint32_t apicid, paddr_t page)
{
    ap_cpu_info = make_stack(cpu);
    if (!ap_cpu_info) {
        printk(LOG_WARNING, "no memory for the stack of CPU %u\n", cpu);
        return false;
    }
    ap_cr3 = virt_to_paddr(idle_l4);
    store_release(&ap_reached, 0u);

    apic_send_init(apicid);
    udelay(INIT_DELAY_US);
    for (unsigned int i = 0; i < 2 && !load_acquire(&ap_reached); i++) {
        apic_send_startup(apicid, (uint8_t)(page >> PAGE_SHIFT));
        udelay(STARTUP_DELAY_US);
    }
    if (!wait_for(&ap_reached)) {
        /* It may still come some day: its stack stays, its number is used again. */
        printk(LOG_WARNING, "CPU with APIC id %u does not start\n", apicid);
        apic_send_init(apicid);
        return false;
    }
    clock_sync_new_cpu(cpu);
    while (!cpu_online(cpu))
        cpu_relax();
    return true;
}

void smp_start_all(void)
{
    const struct acpi_info *ai = acpi_info();
    uint64_t max = MIN(cmdline_number("maxcpus", NR_CPUS), (uint64_t)NR_CPUS);
    paddr_t page = find_low_page();
    uint32_t failed = 0;

    if (cmdline_find("nosmp", NULL, 0))
        max = 1;
    if (!page && ai->nr_cpus > 1 && max > 1) {
        printk(LOG_WARNING, "no RAM below 640 KiB: cannot start other CPUs\n");
        max = 1;
    }
    if (max > 1 && page)
        memcpy(paddr_to_virt(page), trampoline_start, (size_t)(trampoline_end - trampoline_start));
    for (uint32_t i = 0; i < ai->nr_cpus && nr_cpus < max; i++) {
        if (ai->apicid[i] == apicids[0] || (!apic_is_x2apic() && ai->apicid[i] > 254))
            continue;
        if (!start_cpu(nr_cpus, ai->apicid[i], page))
            failed++;
    }
    printk(LOG_INFO, "%u CPU%s online%s\n", nr_cpus, nr_cpus == 1 ? "" : "s",
           failed ? ", some did not start" : "");
}
