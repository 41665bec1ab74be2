/* SPDX-License-Identifier: MIT */
/* cpuid_guest.c - asks the CPU and the vCPU what cpuid.c needs to know; CPUID faulting. */
#include "cpu/cpuid.h"

#include "cpu/asm_vcpu.h"
#include "cpu/fpu.h"
#include "domain/domain.h"
#include "mm/map.h"
#include "sched/clock.h"

#define MSR_HWCR                0xc0010015
#define HWCR_CPUID_FAULT        (1UL << 35)
#define PLATFORM_CPUID_FAULT    (1UL << 31)

/* Wider makes Linux ask for version 2 of the grant table, which it needs only for frames that
 * a machine of ours does not have. */
#define MADDR_BITS_MAX          44u

static struct cpuid_regs host_cpuid(uint32_t leaf, uint32_t sub)
{
    return cpuid(leaf, sub);
}

uint32_t cpuid_host_vendor(void)
{
    static uint32_t vendor;

    if (!vendor)
        vendor = cpuid(0, 0).b;
    return vendor;
}

static uint32_t maddr_bits(void)
{
    uint32_t bits = cpuid(0x80000000, 0).a >= 0x80000008 ? cpuid(0x80000008, 0).a & 0xff : 36;

    return max_mfn >> (MADDR_BITS_MAX - PAGE_SHIFT) ? bits : MIN(bits, MADDR_BITS_MAX);
}

struct cpuid_regs cpuid_guest(const struct vcpu *v, uint32_t leaf, uint32_t sub, bool forced)
{
    const struct cpuid_env e = {
        .host = host_cpuid,
        .xcr0_mask = fpu_xcr0_mask,
        .xcr0 = v->xcr0,
        /* Linux looks for it before it sets CR4, and takes XSAVE for unusable without. */
        .osxsave = forced || (v->guest_cr4 & CR4_OSXSAVE),
        .tsc_stable = clock_tsc_stable(),
        .tsc_khz = (uint32_t)clock_tsc_khz(),
        .vcpu_id = v->id,
        .maddr_bits = leaf == 0x40000005 ? maddr_bits() : 0,
    };

    return cpuid_policy(&e, leaf, sub);
}

void cpuid_enable_faulting(void)
{
    uint64_t v;

    if (cpuid_host_vendor() == CPUID_VENDOR_INTEL) {
        if (rdmsr_safe(MSR_PLATFORM_INFO, &v) && (v & PLATFORM_CPUID_FAULT) &&
            rdmsr_safe(MSR_MISC_FEATURES, &v))
            (void)wrmsr_safe(MSR_MISC_FEATURES, v | 1);
    } else if (cpuid(0x80000000, 0).a >= 0x80000021 && (cpuid(0x80000021, 0).a & (1u << 17)) &&
               rdmsr_safe(MSR_HWCR, &v)) {
        (void)wrmsr_safe(MSR_HWCR, v | HWCR_CPUID_FAULT);
    }
}
