/* SPDX-License-Identifier: MIT */
/*
 * switch.c - exchange the register state of one vCPU for another's on this CPU.
 *
 * General registers are in cpu_info.regs; the rest (address space, descriptor tables, segment
 * registers and bases, debug registers, FPU, XCR0, CR0.TS, CR4) is in the CPU. Idle vCPUs have no
 * state: switching to one leaves the guest's registers where they are, but none of its tables.
 *
 * Selectors of the guest that is loaded may fault (its LDT or GDT changed): null is loaded then
 * and the guest's failsafe callback tells it.
 */
#include "sched/sched.h"

#include "cpu/asm.h"
#include "cpu/asm_vcpu.h"
#include "cpu/counters.h"
#include "cpu/desc.h"
#include "cpu/fpu.h"
#include "cpu/traps.h"
#include "cpu/vcpu_regs.h"
#include "lib/string.h"
#include "mm/map.h"
#include "mm/mm.h"
#include "mm/tlb.h"

#define FRAME_WORDS (offsetof(struct cpu_user_regs, es) / sizeof(uint64_t))

/* Registers and the frame behind them, without the selectors. */
static __always_inline void copy_frame(struct cpu_user_regs *to, const struct cpu_user_regs *from)
{
    uint64_t words = FRAME_WORDS;

    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) :: "memory");
}

static inline void save_segments(struct vcpu *v)
{
    v->regs.ds = read_ds();
    v->regs.es = read_es();
    v->regs.fs = read_fs();
    v->regs.gs = read_gs();
    /* A guest changes bases behind our back by loading selectors. */
    v->fs_base = rdmsr(MSR_FS_BASE);
    if (v->kernel_mode) {
        v->gs_base_kernel = rdmsr(MSR_GS_BASE);
        v->gs_base_user = rdmsr(MSR_KERNEL_GS_BASE);
    } else {
        v->gs_base_user = rdmsr(MSR_GS_BASE);
        v->gs_base_kernel = rdmsr(MSR_KERNEL_GS_BASE);
    }
}

static inline uint16_t any_selector(const struct vcpu *v)
{
    return v->regs.ds | v->regs.es | v->regs.fs | v->regs.gs;
}

/* A non-null selector is loaded even if it is there already: the table behind it is another. */
static noinline bool load_selectors(const struct vcpu *v)
{
    const struct cpu_user_regs *r = &v->regs;
    bool ok = true;

    if (r->ds | read_ds())
        ok &= load_ds_safe(r->ds) || (load_ds_safe(0), false);
    if (r->es | read_es())
        ok &= load_es_safe(r->es) || (load_es_safe(0), false);
    if (r->fs | read_fs())
        ok &= load_fs_safe(r->fs) || (load_fs_safe(0), false);
    if (r->gs | read_gs())
        ok &= load_gs_safe(r->gs) || (load_gs_safe(0), false);
    return ok;
}

static noinline void load_gs_bases(const struct vcpu *v)
{
    wrmsr(MSR_GS_BASE, v->kernel_mode ? v->gs_base_kernel : v->gs_base_user);
    wrmsr(MSR_KERNEL_GS_BASE, v->kernel_mode ? v->gs_base_user : v->gs_base_kernel);
}

/* prev: whose selectors and bases are loaded, as they were saved; an idle vCPU: not known. */
static inline bool load_segments(const struct vcpu *v, const struct vcpu *prev)
{
    bool known = !prev->is_idle, ok = true;

    if (!known || any_selector(prev) | any_selector(v)) {
        known = false;                  /* a selector brings its base */
        ok = load_selectors(v);
    }
    if (!known || prev->fs_base != v->fs_base)
        wrmsr(MSR_FS_BASE, v->fs_base);
    if (!known || prev->kernel_mode != v->kernel_mode ||
        prev->gs_base_kernel != v->gs_base_kernel || prev->gs_base_user != v->gs_base_user)
        load_gs_bases(v);
    return ok;
}

static void load_cr0_ts(const struct vcpu *v)
{
    uint64_t cr0 = read_cr0(), want = cr0 & ~CR0_TS;

    if (!v->fpu_used || (v->guest_cr0 & CR0_TS))
        want |= CR0_TS;
    if (cr0 != want)
        write_cr0(want);
}

void vcpu_load_control(const struct vcpu *v)
{
    struct cpu_info *ci = this_cpu_info();
    uint64_t cr4 = vcpu_hw_cr4(v, ci->cr4);

    load_cr0_ts(v);
    if (cr4 != ci->cr4) {
        ci->cr4 = cr4;
        write_cr4(cr4);
    }
}

void debugregs_load(const struct vcpu *v)
{
    if (v->dr[7] & DR7_ACTIVE) {
        write_dr0(v->dr[0]);
        write_dr1(v->dr[1]);
        write_dr2(v->dr[2]);
        write_dr3(v->dr[3]);
        write_dr7(v->dr[7]);
    } else {
        write_dr7(DR7_DEFAULT);
    }
}

/* Of v, which runs on no other CPU. Others read it after they changed page tables, so it is there
 * before CR3 is loaded. Only a domain with several vCPUs has more than one writer. */
static inline void mark_dirty(struct vcpu *v, uint32_t cpu)
{
    struct domain *d = v->domain;

    store_relaxed(&v->dirty_cpus, cpumask_of(cpu));
    if (d->max_vcpus == 1)
        (void)atomic_xchg(&d->dirty_cpus, cpumask_of(cpu));
    else
        cpumask_set(&d->dirty_cpus, cpu);
    /* Whoever holds the domain has not seen that, or will look again: both sides write, with a locked operation, then read. */
    while (unlikely(load_acquire(&d->held))) {
        tlb_poll();
        cpu_relax();
    }
}

/* tlb_switch_cr3() has flushed everything of v. */
static inline void mark_clean(struct vcpu *v, const struct vcpu *next, uint32_t cpu)
{
    struct domain *d = v->domain;

    store_relaxed(&v->dirty_cpus, CPUMASK_NONE);
    if (d->max_vcpus == 1)
        store_relaxed(&d->dirty_cpus, CPUMASK_NONE);
    else if (d != next->domain)
        cpumask_clear(&d->dirty_cpus, cpu);
}

static inline void save_vcpu(struct vcpu *v, struct cpu_info *ci)
{
    copy_frame(&v->regs, &ci->regs);
    save_segments(v);
    if (v->fpu_used)
        fpu_save(v);
    if (v->dr[7] & DR7_ACTIVE)
        write_dr7(DR7_DEFAULT);
}

static inline void load_vcpu(struct vcpu *v, const struct vcpu *prev, struct cpu_info *ci)
{
    bool segments_ok;

    mark_dirty(v, ci->cpu);
    if (v->gdt_of_cpu != ci->cpu + 1)
        vcpu_gdt_use_cpu(v, ci->cpu);
    ci->cr4 = vcpu_hw_cr4(v, ci->cr4);
    tlb_switch_cr3(v->kernel_mode ? v->cr3_kernel : v->cr3_user);   /* and CR4 */
    if (prev->id != v->id || prev->is_idle)     /* else it is in both at the same address */
        desc_load_gdt(vcpu_gdt_va(v));
    if (v->ldt_ents || ci->ldt_loaded)
        desc_load_ldt(vcpu_ldt_va(v), v->ldt_ents);

    copy_frame(&ci->regs, &v->regs);
    segments_ok = load_segments(v, prev);
    /* Who has not used the FPU yet has CR0.TS set and comes to fpu_load() by the first instruction that XCR0 matters
     * for, but XGETBV, which may tell him the last one's. */
    if (v->fpu_used)
        fpu_load(v);
    load_cr0_ts(v);
    if (v->dr[7] & DR7_ACTIVE)
        debugregs_load(v);
    if (v->tsc_aux != ci->tsc_aux)
        vcpu_load_tsc_aux(v);
    if (!segments_ok)
        guest_inject_failsafe(v);
}

/* Nothing of a guest's tables stays behind: they may be freed before this CPU runs another. */
static void load_idle(struct cpu_info *ci)
{
    tlb_switch_cr3((uint64_t)virt_to_paddr(idle_l4));
    desc_load_gdt(desc_gdt_base(ci->cpu));
    desc_load_ldt(0, 0);
}

void context_switch(struct vcpu *prev, struct vcpu *next)
{
    struct cpu_info *ci = this_cpu_info();

    if (!prev->is_idle)
        save_vcpu(prev, ci);
    ci->vcpu = next;
    ci->counters[next->is_idle ? CNT_SWITCH_IDLE : CNT_SWITCH]++;
    if (next->is_idle)
        load_idle(ci);
    else
        load_vcpu(next, prev, ci);
    if (!prev->is_idle)
        mark_clean(prev, next, ci->cpu);
}
