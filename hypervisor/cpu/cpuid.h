/* SPDX-License-Identifier: MIT */
/*
 * cpuid.h - what guests see of the processor: PV-ABI 3.9.
 */
#ifndef CPU_CPUID_H
#define CPU_CPUID_H

#include "compiler.h"
#include "cpu/asm.h"

struct vcpu;

/* What the policy depends on, besides the question. */
struct cpuid_env {
    struct cpuid_regs (*host)(uint32_t leaf, uint32_t sub);
    uint64_t xcr0_mask;         /* fpu_xcr0_mask; 0: no XSAVE */
    uint64_t xcr0;              /* the guest's, now */
    bool osxsave;               /* show CR4.OSXSAVE as set */
    bool tsc_stable;
    uint32_t tsc_khz;
    uint32_t vcpu_id;
    uint32_t maddr_bits;        /* width of a machine address */
};

/* Pure: the guest's answer for (leaf, sub). */
struct cpuid_regs cpuid_policy(const struct cpuid_env *e, uint32_t leaf, uint32_t sub);
/* Pure: bytes of an XSAVE area for the components in xcr0, standard or compacted form. */
uint32_t cpuid_xsave_bytes(const struct cpuid_env *e, uint64_t xcr0, bool compact);

/* The answer for v, now. forced: the guest kernel asked through the emulation prefix. */
struct cpuid_regs cpuid_guest(const struct vcpu *v, uint32_t leaf, uint32_t sub, bool forced);

/* ebx of leaf 0. */
#define CPUID_VENDOR_INTEL 0x756e6547u
uint32_t cpuid_host_vendor(void);

/* Makes CPUID in ring 3 fault, where the CPU can, so that programs see the policy too. Each CPU. */
void cpuid_enable_faulting(void);

#endif
