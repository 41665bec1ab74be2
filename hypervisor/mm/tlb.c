/* SPDX-License-Identifier: MIT */
/*
 * tlb.c - TLB flushes here and elsewhere.
 *
 * One shootdown at a time: the request lies in `request`, the CPUs that still have to answer in
 * `waiting`. Whoever waits (for the lock, or for any other lock) answers meanwhile, so two CPUs
 * that flush each other with interrupts off do not wait for ever.
 */
#include "mm/tlb.h"

#include "boot/smp.h"
#include "cpu/apic.h"
#include "cpu/asm.h"
#include "cpu/counters.h"
#include "cpu/percpu.h"
#include "spinlock.h"

static spinlock_t lock = SPINLOCK_INIT(LOCK_TLB);
static struct {
    unsigned int flags;
    uint64_t va;
} request;
static cpumask_t waiting;

uint32_t tlb_clock;
static struct {
    uint32_t time;
} __aligned(64) last_flush[NR_CPUS];

/*
 * The time is read before the flush and noted after it: what changed in between is not covered.
 * Only flushes of everything are noted: guests' user pages are global, and a page that is about
 * to become a page table must not be writable through an old entry of any kind.
 */
static void note_full_flush(uint32_t now)
{
    store_relaxed(&last_flush[this_cpu()].time, now);
}

void tlb_switch_cr3(uint64_t cr3)
{
    struct cpu_info *ci = this_cpu_info();
    uint32_t now = load_relaxed(&tlb_clock);
    uint64_t cr4 = ci->cr4;

    write_cr4(cr4 & ~CR4_PGE);
    write_cr3(cr3);
    ci->cr3 = cr3;
    ci->counters[CNT_CR3]++;
    write_cr4(cr4);
    store_relaxed(&last_flush[ci->cpu].time, now);
}

void tlb_flush_local(unsigned int flags, uint64_t va)
{
    if (flags & FLUSH_TLB_GLOBAL) {
        uint32_t now = load_relaxed(&tlb_clock);
        uint64_t irq = irq_save(), cr4 = read_cr4();

        write_cr4(cr4 & ~CR4_PGE);
        write_cr4(cr4);
        irq_restore(irq);
        note_full_flush(now);
        count(CNT_FLUSH_ALL);
    } else if (flags & FLUSH_TLB) {
        count(CNT_CR3);
        write_cr3(read_cr3());
    } else if (flags & FLUSH_ONE) {
        invlpg(va);
        count(CNT_INVLPG);
    }
}

void tlb_poll(void)
{
    cpumask_t me;
    uint64_t irq;

    if (likely(!load_relaxed(&waiting)))
        return;
    me = cpumask_of(this_cpu());
    /* Off, or an interrupt could answer this request, and we then the next one unread. */
    irq = irq_save();
    if (load_acquire(&waiting) & me) {
        tlb_flush_local(request.flags, request.va);
        atomic_and(&waiting, ~me);
    }
    irq_restore(irq);
}

void tlb_flush_mask(cpumask_t mask, unsigned int flags, uint64_t va)
{
    cpumask_t me = cpumask_of(this_cpu()), others = mask & load_relaxed(&cpu_online_map) & ~me;

    if (others) {
        spin_lock(&lock);
        request.flags = flags;
        request.va = va;
        store_release(&waiting, others);
        smp_mb();
        apic_send_ipi_mask(others, VECTOR_TLB);
        if (mask & me)
            tlb_flush_local(flags, va);
        while (load_acquire(&waiting))
            cpu_relax();
        spin_unlock(&lock);
    } else if (mask & me) {
        tlb_flush_local(flags, va);
    }
}

void tlb_clock_wraps(void)
{
    tlb_flush_mask(CPUMASK_ALL, FLUSH_TLB_GLOBAL, 0);
}

/*
 * No CPU's last flush is older than TLB_CLOCK_PERIOD, so the signed difference is right for
 * young stamps; for stamps older than 2^31 ticks it may ask for a flush that is not needed.
 */
cpumask_t tlbflush_filter(cpumask_t mask, uint32_t stamp)
{
    uint32_t cpu;

    for_each_cpu(cpu, mask) {
        if ((int32_t)(load_relaxed(&last_flush[cpu].time) - stamp) >= 0)
            mask &= ~cpumask_of(cpu);
    }
    return mask;
}
