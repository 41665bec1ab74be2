/* SPDX-License-Identifier: MIT */
/*
 * msr.c - MSRs and control registers as a guest sees them. PV-ABI 4 and 4.1.
 *
 * What has no effect that a guest could miss is answered with a fixed value, so that start-up
 * code without a #GP handler passes; everything else is #GP, which kernels expect of MSRs.
 */
#include "cpu/vcpu_regs.h"

#include "cpu/asm.h"
#include "cpu/asm_vcpu.h"
#include "cpu/control.h"
#include "cpu/cpuid.h"
#include "cpu/fpu.h"
#include "cpu/percpu.h"
#include "cpu/traps.h"
#include "sched/clock.h"

#define MSR_SMI_COUNT           0x34
#define MSR_FEATURE_CONTROL     0x3a
#define MSR_UCODE_REV           0x8b
#define MSR_MTRR_CAP            0xfe
#define MSR_MCG_CAP             0x179
#define MSR_MCG_STATUS          0x17a
#define MSR_AMD_HWCR            0xc0010015

#define APIC_BASE_VALUE         0xfee00800UL    /* enabled, at its place */
#define APIC_BASE_BSP           0x100UL
#define EFER_GUEST              (EFER_SCE | EFER_LME | EFER_LMA | EFER_NX)

#define MISC_PERF_AVAIL         (1UL << 7)
#define MISC_BTS_UNAVAIL        (1UL << 11)
#define MISC_PEBS_UNAVAIL       (1UL << 12)
#define MISC_MONITOR            (1UL << 18)
#define MISC_XTPR_DISABLE       (1UL << 23)
#define MISC_FAST_STRING        (1UL << 0)
#define MISC_TCC                (1UL << 3)      /* NetBSD sets it when it is clear */

static bool has_rdtscp(void)
{
    static int8_t known = -1;

    if (known < 0)
        known = cpuid(0x80000000, 0).a >= 0x80000001 && (cpuid(0x80000001, 0).d & (1u << 27));
    return known;
}

void vcpu_load_tsc_aux(const struct vcpu *v)
{
    struct cpu_info *ci = this_cpu_info();

    if (ci->tsc_aux != v->tsc_aux && has_rdtscp())
        wrmsr(MSR_TSC_AUX, v->tsc_aux);
    ci->tsc_aux = v->tsc_aux;
}

uint64_t vcpu_cr4_settable(void)
{
    return CR4_TSD | CR4_DE | (fpu_xcr0_mask ? CR4_OSXSAVE : 0);
}

uint64_t vcpu_read_cr4(const struct vcpu *v)
{
    return (v->guest_cr4 & vcpu_cr4_settable()) |
           (read_cr4() & (CR4_PAE | CR4_MCE | CR4_OSFXSR | CR4_OSXMMEXCPT));
}

void vcpu_write_cr4(struct vcpu *v, uint64_t value)
{
    v->guest_cr4 = value & vcpu_cr4_settable();
    if (v == current)
        vcpu_load_control(v);
}

/* The real one, without what we do not give to guests. */
static uint64_t misc_enable(void)
{
    uint64_t v;

    if (!rdmsr_safe(MSR_MISC_ENABLE, &v))
        v = MISC_FAST_STRING;
    v &= ~(MISC_PERF_AVAIL | MISC_MONITOR);
    return v | MISC_BTS_UNAVAIL | MISC_PEBS_UNAVAIL | MISC_XTPR_DISABLE | MISC_TCC;
}

bool vcpu_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *value)
{
    switch (msr) {
    case MSR_TSC:
        *value = rdtsc();
        return true;
    case MSR_APIC_BASE:
        *value = APIC_BASE_VALUE | (v->id == 0 ? APIC_BASE_BSP : 0);
        return true;
    case MSR_EFER:
        *value = EFER_GUEST;
        return true;
    case MSR_FS_BASE:
        *value = v->fs_base = rdmsr(MSR_FS_BASE);
        return true;
    case MSR_GS_BASE:
        *value = rdmsr(MSR_GS_BASE);
        return true;
    case MSR_KERNEL_GS_BASE:
        *value = rdmsr(MSR_KERNEL_GS_BASE);
        return true;
    case MSR_TSC_AUX:
        *value = v->tsc_aux;
        return has_rdtscp();
    case MSR_PAT:
        *value = PAT_VALUE;
        return true;
    case MSR_MISC_ENABLE:
        if (cpuid_host_vendor() != CPUID_VENDOR_INTEL)
            return false;
        *value = misc_enable();
        return true;
    case MSR_UCODE_REV:
    case MSR_FEATURE_CONTROL:
    case MSR_PLATFORM_INFO:
    case MSR_MISC_FEATURES:
    case MSR_MCG_CAP:
    case MSR_MCG_STATUS:
    case MSR_MTRR_CAP:
        *value = 0;
        return true;
    default:
        return false;
    }
}

bool vcpu_wrmsr(struct vcpu *v, uint32_t msr, uint64_t value)
{
    uint64_t now;

    switch (msr) {
    case MSR_FS_BASE:
        return do_set_segment_base(SEGBASE_FS, value) == 0;
    case MSR_GS_BASE:
        return do_set_segment_base(SEGBASE_GS_KERNEL, value) == 0;
    case MSR_KERNEL_GS_BASE:
        return do_set_segment_base(SEGBASE_GS_USER, value) == 0;
    case MSR_TSC_AUX:
        if (!has_rdtscp() || value > ~0u)
            return false;
        v->tsc_aux = (uint32_t)value;
        vcpu_load_tsc_aux(v);
        return true;
    case MSR_EFER:
        /* SCE, LME, LMA are what they are; NX is on for everybody. */
        return (value & ~(uint64_t)EFER_GUEST) == 0 && (value & EFER_NX);
    case MSR_UCODE_REV:
    case MSR_MISC_ENABLE:
        return cpuid_host_vendor() == CPUID_VENDOR_INTEL;
    case MSR_MISC_FEATURES:
    case MSR_APIC_BASE:
    case MSR_PAT:
    case MSR_MCG_STATUS:
    case MSR_FEATURE_CONTROL:
        return vcpu_rdmsr(v, msr, &now) && now == value;
    default:
        return false;
    }
}
