/* SPDX-License-Identifier: MIT */
/*
 * percpu.h - what belongs to one physical CPU, and how to find it.
 *
 * Each CPU has one stack of STACK_SIZE bytes, aligned to its size. Its lowest pages are the
 * IST stacks (NMI, #DF, #MC), its top is struct cpu_info, so masking the stack pointer finds
 * cpu_info from every stack of this CPU; no swapgs is needed on the way in.
 *
 * The hypervisor never sleeps: a vCPU has no hypervisor stack of its own. Its registers are in
 * cpu_info.regs while it runs and in vcpu.regs while it does not.
 */
#ifndef CPU_PERCPU_H
#define CPU_PERCPU_H

#define STACK_ORDER 3
#define STACK_SIZE  (4096 << STACK_ORDER)

#ifndef __ASSEMBLY__
#include "compiler.h"
#include "xenabi.h"
#include "cpu/cpumask.h"

struct vcpu;

/* Field offsets are known to cpu/entry.S through cpu/asm-offsets (static asserts there). */
struct cpu_info {
    struct cpu_user_regs regs;  /* of the guest, as the entry path saved them */
    struct vcpu *vcpu;          /* never NULL once scheduling runs: idle vCPUs exist */
    uint64_t cr3;               /* what CR3 holds */
    uint32_t cpu;               /* 0 .. nr_cpus - 1; not the APIC id */
    uint32_t softirqs;          /* pending SOFTIRQ_ bits; others set them with atomic_or */
    uint64_t scratch;           /* entry.S: vector and error code of a refused iretq */
    uint64_t retry_rip, retry_va;       /* traps.c: page fault of ours that was retried */
    struct vcpu *fpu_owner;     /* whose state the FPU holds; NULL: nobody's (cpu/fpu.c) */
    uint64_t xcr0;              /* what XCR0 holds */
    uint64_t cr4;               /* what CR4 holds */
    uint32_t tsc_aux;           /* what TSC_AUX holds, if there is one */
    bool ldt_loaded;            /* LDTR is not null */
    uint64_t counters[26];      /* cpu/counters.h */
    uint64_t hypercalls[64];    /* how often each was called directly, by number (hypercall/table.c) */
};

static __always_inline struct cpu_info *this_cpu_info(void)
{
    uintptr_t sp;

    __asm__("mov %%rsp, %0" : "=r"(sp));
    return (struct cpu_info *)((sp | (STACK_SIZE - 1)) + 1) - 1;
}

/* A guest cannot change which CPU runs hypervisor code, so these are stable in a handler. */
static __always_inline uint32_t this_cpu(void)
{
    return this_cpu_info()->cpu;
}

#define current     (this_cpu_info()->vcpu)

/* The calling vCPU's registers; only valid when the current vCPU is a guest's. */
static __always_inline struct cpu_user_regs *guest_regs(void)
{
    return &this_cpu_info()->regs;
}

/* Filled in as CPUs come up. cpu_info_of[n] is NULL for CPUs that are not online. */
extern struct cpu_info *cpu_info_of[NR_CPUS];
extern uint32_t nr_cpus;                        /* CPUs that are online: 0 .. nr_cpus - 1 */

#endif /* __ASSEMBLY__ */
#endif
