/* SPDX-License-Identifier: MIT */
/*
 * asm_vcpu.h - instructions that only the handling of guests' register state needs: segment
 * registers, debug registers, FPU state; some may fault on what a guest asks for.
 */
#ifndef CPU_ASM_VCPU_H
#define CPU_ASM_VCPU_H

#include "compiler.h"
#include "cpu/extable.h"

#define MSR_SYSENTER_CS         0x174
#define MSR_PLATFORM_INFO       0xce
#define MSR_MISC_FEATURES       0x140
#define MSR_MISC_ENABLE         0x1a0

#define DR6_DEFAULT             0xffff0ff0UL
#define DR7_DEFAULT             0x400UL
#define DR7_ACTIVE              0xffUL      /* any breakpoint enabled */

static inline void swapgs(void)
{
    __asm__ volatile("swapgs" ::: "memory");
}

#define DEFINE_DR(n) \
    static inline uint64_t read_dr##n(void) \
    { \
        uint64_t v; \
        __asm__ volatile("mov %%db" #n ", %0" : "=r"(v)); \
        return v; \
    } \
    static inline void write_dr##n(uint64_t v) \
    { \
        __asm__ volatile("mov %0, %%db" #n :: "r"(v)); \
    }
DEFINE_DR(0)
DEFINE_DR(1)
DEFINE_DR(2)
DEFINE_DR(3)
DEFINE_DR(6)
DEFINE_DR(7)
#undef DEFINE_DR

/* Segment registers: read; load a guest's selector, false if that faults (nothing loaded). */
#define DEFINE_SEG(seg) \
    static inline uint16_t read_##seg(void) \
    { \
        uint32_t v; \
        __asm__ volatile("movl %%" #seg ", %0" : "=r"(v)); \
        return (uint16_t)v; \
    } \
    static inline bool load_##seg##_safe(uint16_t sel) \
    { \
        __asm__ goto("1: movl %0, %%" #seg "\n\t" EXTABLE("1b", "%l1") \
                     :: "r"((uint32_t)sel) : "memory" : fault); \
        return true; \
    fault: \
        return false; \
    }
DEFINE_SEG(ds)
DEFINE_SEG(es)
DEFINE_SEG(fs)
DEFINE_SEG(gs)
#undef DEFINE_SEG

/* index 0 only; v was checked against what CPUID offers. */
static inline void write_xcr0(uint64_t v)
{
    __asm__ volatile("xsetbv" :: "a"((uint32_t)v), "d"((uint32_t)(v >> 32)), "c"(0));
}

static inline uint64_t read_xcr0(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return lo | (uint64_t)hi << 32;
}

/* MSRs that may not exist on this model: false on #GP. */
static inline bool rdmsr_safe(uint32_t msr, uint64_t *v)
{
    uint32_t lo, hi, ok;

    __asm__ volatile("xor %2, %2\n\t1: rdmsr\n\tmov $1, %2\n\t2:\n\t" EXTABLE("1b", "2b")
                     : "=a"(lo), "=d"(hi), "=&r"(ok) : "c"(msr));
    *v = lo | (uint64_t)hi << 32;
    return ok;
}

static inline bool wrmsr_safe(uint32_t msr, uint64_t v)
{
    __asm__ goto("1: wrmsr\n\t" EXTABLE("1b", "%l3")
                 :: "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory" : fault);
    return true;
fault:
    return false;
}

#endif
