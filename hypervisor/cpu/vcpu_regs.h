/* SPDX-License-Identifier: MIT */
/*
 * vcpu_regs.h - control registers and MSRs of a vCPU: what it reads, what it may write, what is
 * in the CPU while it runs.
 */
#ifndef CPU_VCPU_REGS_H
#define CPU_VCPU_REGS_H

#include "cpu/asm.h"
#include "domain/domain.h"

/* CR4 bits that guests may change: the first two always, the others as CPUID offers them. */
uint64_t vcpu_cr4_settable(void);
/* What v reads from CR4: its own bits and those of ours that it must see. */
uint64_t vcpu_read_cr4(const struct vcpu *v);
/* Takes over the bits that are the guest's, drops the rest, never fails. Loaded if current. */
void vcpu_write_cr4(struct vcpu *v, uint64_t value);
/* CR4 for the CPU while v runs, made from the one that is loaded. */
static inline uint64_t vcpu_hw_cr4(const struct vcpu *v, uint64_t now)
{
    return (now & ~CR4_TSD) | (v->guest_cr4 & CR4_TSD);       /* DE is always set */
}

/* CR0.TS and CR4 of v, which is current. */
void vcpu_load_control(const struct vcpu *v);
/* context_switch(): TSC_AUX is not v's. */
void vcpu_load_tsc_aux(const struct vcpu *v);
/* Breakpoints of v into the CPU. */
void debugregs_load(const struct vcpu *v);

/* RDMSR and WRMSR of the current vCPU (PV-ABI 4.1). False: #GP. */
bool vcpu_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *value);
bool vcpu_wrmsr(struct vcpu *v, uint32_t msr, uint64_t value);

#endif
