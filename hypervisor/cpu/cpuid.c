/* SPDX-License-Identifier: MIT */
/*
 * cpuid.c - the CPUID policy: host's answer in, guest's answer out. Pure.
 *
 * Shown is what a program may use in ring 3 and what we switch; lists below name what is let
 * through, so that a feature that nobody here has heard of stays hidden. Why each is shown or
 * hidden: PV-ABI 3.9.
 */
#include "cpu/cpuid.h"

#include "lib/string.h"

#define BIT(n) (1u << (n))

#define LEAF_MAX        0xdu
#define LEAF_EXT_MAX    0x80000008u
#define LEAF_XEN        0x40000000u
#define LEAF_XEN_MAX    0x40000005u

#define XEN_MAJOR       4u
#define XEN_MINOR       17u

#define XCR0_AVX        4u
#define XCR0_AVX512     0xe0u

/* Leaf 1, ecx. */
#define C1_SHOWN (BIT(0) /* SSE3 */ | BIT(1) /* PCLMULQDQ */ | BIT(9) /* SSSE3 */ | \
                  BIT(13) /* CX16 */ | BIT(19) | BIT(20) /* SSE4 */ | BIT(22) /* MOVBE */ | \
                  BIT(23) /* POPCNT */ | BIT(25) /* AES */ | BIT(30) /* RDRAND */)
#define C1_AVX   (BIT(12) /* FMA */ | BIT(28) /* AVX */ | BIT(29) /* F16C */)
#define C1_XSAVE BIT(26)
#define C1_OSXSAVE BIT(27)
#define C1_HYPERVISOR BIT(31)
/* Leaf 1, edx; also the copy of it in 0x80000001 on AMD. No PSE, MCE, SEP, MTRR, PGE, MCA,
 * PSE36, and nothing of ACPI, DS and HTT. */
#define D1_SHOWN (BIT(0) /* FPU */ | BIT(2) /* DE */ | BIT(4) /* TSC */ | BIT(5) /* MSR */ | \
                  BIT(6) /* PAE */ | BIT(8) /* CX8 */ | BIT(9) /* APIC */ | BIT(15) /* CMOV */ | \
                  BIT(16) /* PAT */ | BIT(19) /* CLFLUSH */ | BIT(23) /* MMX */ | \
                  BIT(24) /* FXSR */ | BIT(25) /* SSE */ | BIT(26) /* SSE2 */)
/* Leaf 7. */
#define B7_SHOWN (BIT(3) /* BMI1 */ | BIT(6) /* FDP_EXCPTN */ | BIT(8) /* BMI2 */ | \
                  BIT(9) /* ERMS */ | BIT(13) /* NO_FPU_SEL */ | BIT(18) /* RDSEED */ | \
                  BIT(19) /* ADX */ | BIT(23) /* CLFLUSHOPT */ | BIT(24) /* CLWB */ | \
                  BIT(29) /* SHA */)
#define B7_AVX   BIT(5)         /* AVX2 */
#define B7_AVX512 (BIT(16) | BIT(17) | BIT(21) | BIT(28) | BIT(30) | BIT(31))
#define C7_SHOWN (BIT(8) /* GFNI */ | BIT(22) /* RDPID */)
#define C7_AVX   (BIT(9) /* VAES */ | BIT(10) /* VPCLMULQDQ */)
#define C7_AVX512 (BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14))
#define D7_SHOWN BIT(4)         /* FSRM */
/* Leaf 0xd sub 1: XSAVEOPT, XSAVEC, XGETBV1; not XSAVES. */
#define A_D1_SHOWN (BIT(0) | BIT(1) | BIT(2))
/* Leaf 0x80000001. */
#define CE1_SHOWN (BIT(0) /* LAHF */ | BIT(5) /* ABM */ | BIT(6) /* SSE4A */ | \
                   BIT(7) /* MISALIGNSSE */ | BIT(8) /* PREFETCHW */ | BIT(21) /* TBM */)
#define CE1_AVX  (BIT(11) /* XOP */ | BIT(16) /* FMA4 */)
#define DE1_SHOWN (BIT(11) /* SYSCALL */ | BIT(20) /* NX */ | BIT(22) /* MMXEXT */ | \
                   BIT(25) /* FFXSR */ | BIT(27) /* RDTSCP */ | BIT(29) /* LM */ | \
                   BIT(30) | BIT(31) /* 3DNOW */)
#define DE1_COPY_OF_1 0x0183f3ffu       /* AMD repeats these bits of leaf 1 */
#define DE7_ITSC BIT(8)
#define BE8_SHOWN BIT(0)        /* CLZERO */

uint32_t cpuid_xsave_bytes(const struct cpuid_env *e, uint64_t xcr0, bool compact)
{
    uint32_t end = 512 + 64;

    for (uint32_t n = 2; n < 63; n++) {
        struct cpuid_regs r;

        if (!(xcr0 >> n & 1))
            continue;
        r = e->host(0xd, n);
        if (compact)
            end = (r.c & 2 ? ROUND_UP(end, 64u) : end) + r.a;
        else
            end = MAX(end, r.b + r.a);
    }
    return end;
}

static struct cpuid_regs leaf_1(const struct cpuid_env *e, struct cpuid_regs h)
{
    bool avx = e->xcr0_mask & XCR0_AVX;

    h.b = (h.b & 0xffff) | e->vcpu_id << 25;    /* APIC id: twice the vCPU's number */
    h.c &= C1_SHOWN | (avx ? C1_AVX : 0) | (e->xcr0_mask ? C1_XSAVE : 0);
    if ((h.c & C1_XSAVE) && e->osxsave)
        h.c |= C1_OSXSAVE;
    h.c |= C1_HYPERVISOR;
    h.d &= D1_SHOWN;
    return h;
}

static struct cpuid_regs leaf_7(const struct cpuid_env *e, struct cpuid_regs h, uint32_t sub)
{
    bool avx = e->xcr0_mask & XCR0_AVX, avx512 = (e->xcr0_mask & XCR0_AVX512) == XCR0_AVX512;

    if (sub)
        return (struct cpuid_regs){ 0 };
    h.a = 0;
    h.b &= B7_SHOWN | (avx ? B7_AVX : 0) | (avx512 ? B7_AVX512 : 0);
    h.c &= C7_SHOWN | (avx ? C7_AVX : 0) | (avx512 ? C7_AVX512 : 0);
    h.d &= D7_SHOWN;
    return h;
}

static struct cpuid_regs leaf_xsave(const struct cpuid_env *e, struct cpuid_regs h, uint32_t sub)
{
    if (!e->xcr0_mask)
        return (struct cpuid_regs){ 0 };
    switch (sub) {
    case 0:
        return (struct cpuid_regs){ (uint32_t)e->xcr0_mask, cpuid_xsave_bytes(e, e->xcr0, false),
                                    cpuid_xsave_bytes(e, e->xcr0_mask, false),
                                    (uint32_t)(e->xcr0_mask >> 32) };
    case 1:
        h.a &= A_D1_SHOWN;
        h.b = h.a & BIT(1) ? cpuid_xsave_bytes(e, e->xcr0, true) : 0;
        h.c = h.d = 0;
        return h;
    default:
        if (sub >= 63 || !(e->xcr0_mask >> sub & 1))
            return (struct cpuid_regs){ 0 };
        h.c &= 2;               /* aligned in compacted form; not a supervisor component */
        h.d = 0;
        return h;
    }
}

static struct cpuid_regs leaf_xen(const struct cpuid_env *e, uint32_t leaf, uint32_t sub)
{
    switch (leaf - LEAF_XEN) {
    case 0:
        return (struct cpuid_regs){ LEAF_XEN_MAX, 0x566e6558, 0x65584d4d, 0x4d4d566e };
    case 1:
        return (struct cpuid_regs){ .a = XEN_MAJOR << 16 | XEN_MINOR };
    case 2:
        /* One hypercall page; the MSR that would fill it; preserve-AD updates work. */
        return (struct cpuid_regs){ 1, LEAF_XEN, 1, 0 };
    case 3:
        if (sub == 0)
            return (struct cpuid_regs){ .a = (e->tsc_stable ? BIT(1) : 0) | BIT(2), .b = 2,
                                        .c = e->tsc_khz };
        if (sub == 2)
            return (struct cpuid_regs){ .a = e->tsc_khz };
        return (struct cpuid_regs){ 0 };
    case 5:
        return (struct cpuid_regs){ .b = e->maddr_bits };
    default:
        return (struct cpuid_regs){ 0 };
    }
}

static struct cpuid_regs leaf_extended_1(const struct cpuid_env *e, struct cpuid_regs h)
{
    bool avx = e->xcr0_mask & XCR0_AVX;

    h.b = 0;
    h.c &= CE1_SHOWN | (avx ? CE1_AVX : 0);
    h.d &= DE1_SHOWN | (D1_SHOWN & DE1_COPY_OF_1);
    return h;
}

struct cpuid_regs cpuid_policy(const struct cpuid_env *e, uint32_t leaf, uint32_t sub)
{
    struct cpuid_regs h;

    if ((leaf & 0xffff0000) == LEAF_XEN)
        return leaf_xen(e, leaf, sub);
    if (leaf > MIN(LEAF_MAX, e->host(0, 0).a) &&
        (leaf < 0x80000000 || leaf > MIN(LEAF_EXT_MAX, e->host(0x80000000, 0).a)))
        return (struct cpuid_regs){ 0 };
    h = e->host(leaf, sub);
    switch (leaf) {
    case 0:
        h.a = MIN(h.a, LEAF_MAX);
        return h;
    case 1:
        return leaf_1(e, h);
    case 2:                     /* caches */
    case 0x80000002 ... 0x80000006:     /* name, caches */
        return h;
    case 4:                     /* caches; no threads or cores */
        h.a &= 0x3fff;
        return h;
    case 7:
        return leaf_7(e, h, sub);
    case 0xd:
        return leaf_xsave(e, h, sub);
    case 0x80000000:
        h.a = MIN(h.a, LEAF_EXT_MAX);
        return h;
    case 0x80000001:
        return leaf_extended_1(e, h);
    case 0x80000007:
        return (struct cpuid_regs){ .d = e->tsc_stable ? h.d & DE7_ITSC : 0 };
    case 0x80000008:
        return (struct cpuid_regs){ .a = h.a & 0xffff, .b = h.b & BE8_SHOWN };
    default:
        return (struct cpuid_regs){ 0 };
    }
}
