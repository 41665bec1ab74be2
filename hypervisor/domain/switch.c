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

static void save_segments(struct vcpu *v)
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

/* A non-null selector is loaded even if it is there already: the table behind it is another. */
static bool load_segments(const struct vcpu *v)
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
    wrmsr(MSR_FS_BASE, v->fs_base);
    wrmsr(MSR_GS_BASE, v->kernel_mode ? v->gs_base_kernel : v->gs_base_user);
    wrmsr(MSR_KERNEL_GS_BASE, v->kernel_mode ? v->gs_base_user : v->gs_base_kernel);
    return ok;
}

static void save_vcpu(struct vcpu *v)
{
    memcpy(&v->regs, guest_regs(), offsetof(struct cpu_user_regs, es));
    save_segments(v);
    fpu_save(v);
    if (v->dr[7] & DR7_ACTIVE)
        write_dr7(DR7_DEFAULT);
}

void vcpu_load_control(const struct vcpu *v)
{
    struct cpu_info *ci = this_cpu_info();
    uint64_t cr0 = read_cr0(), want = (cr0 & ~CR0_TS) | (v->guest_cr0 & CR0_TS);
    uint64_t cr4 = vcpu_hw_cr4(v, ci->cr4);

    if (cr0 != want)
        write_cr0(want);
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

static void load_vcpu(struct vcpu *v)
{
    struct cpu_info *ci = this_cpu_info();
    uint64_t cr3 = v->kernel_mode ? v->cr3_kernel : v->cr3_user;
    bool segments_ok;

    cpumask_set(&v->dirty_cpus, ci->cpu);
    cpumask_set(&v->domain->dirty_cpus, ci->cpu);
    vcpu_gdt_use_cpu(v, ci->cpu);
    tlb_switch_cr3(cr3);
    desc_load_gdt(vcpu_gdt_va(v));
    desc_load_ldt(vcpu_ldt_va(v), v->ldt_ents);

    memcpy(guest_regs(), &v->regs, offsetof(struct cpu_user_regs, es));
    segments_ok = load_segments(v);
    fpu_load(v);
    vcpu_load_control(v);
    if (v->dr[7] & DR7_ACTIVE)
        debugregs_load(v);
    vcpu_load_tsc_aux(v);
    if (!segments_ok)
        guest_inject_failsafe(v);
}

/* Nothing of a guest's tables stays behind: they may be freed before this CPU runs another. */
static void load_idle(void)
{
    struct cpu_info *ci = this_cpu_info();

    tlb_switch_cr3((uint64_t)virt_to_paddr(idle_l4));
    desc_load_gdt(desc_gdt_base(ci->cpu));
    desc_load_ldt(0, 0);
}

void context_switch(struct vcpu *prev, struct vcpu *next)
{
    struct cpu_info *ci = this_cpu_info();

    if (prev == next)
        return;
    if (!prev->is_idle)
        save_vcpu(prev);
    ci->vcpu = next;
    ci->counters[next->is_idle ? CNT_SWITCH_IDLE : CNT_SWITCH]++;
    if (next->is_idle)
        load_idle();
    else
        load_vcpu(next);
    /* tlb_switch_cr3() has flushed everything of the old one. */
    if (!prev->is_idle) {
        cpumask_clear(&prev->dirty_cpus, ci->cpu);
        if (prev->domain != next->domain)
            cpumask_clear(&prev->domain->dirty_cpus, ci->cpu);
    }
}
