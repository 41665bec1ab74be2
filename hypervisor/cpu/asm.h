/* SPDX-License-Identifier: MIT */
/*
 * asm.h - the instructions that C has no words for: control registers, MSRs, ports, descriptor
 * tables. (Spin locks and this_cpu_info() have their own line each.)
 */
#ifndef HV_CPU_ASM_H
#define HV_CPU_ASM_H

#include "compiler.h"

/* Model-specific registers. */
#define MSR_APIC_BASE       0x1b
#define MSR_TSC             0x10
#define MSR_PAT             0x277
#define MSR_TSC_DEADLINE    0x6e0
#define MSR_X2APIC          0x800       /* + register / 16 */
#define MSR_EFER            0xc0000080
#define MSR_STAR            0xc0000081
#define MSR_LSTAR           0xc0000082
#define MSR_CSTAR           0xc0000083
#define MSR_SFMASK          0xc0000084
#define MSR_FS_BASE         0xc0000100
#define MSR_GS_BASE         0xc0000101
#define MSR_KERNEL_GS_BASE  0xc0000102
#define MSR_TSC_AUX         0xc0000103

#define EFER_SCE    (1u << 0)
#define EFER_LME    (1u << 8)
#define EFER_LMA    (1u << 10)
#define EFER_NX     (1u << 11)

#define CR0_MP          (1UL << 1)
#define CR0_EM          (1UL << 2)
#define CR0_TS          (1UL << 3)
#define CR0_WP          (1UL << 16)
#define CR4_TSD         (1UL << 2)
#define CR4_DE          (1UL << 3)
#define CR4_PSE         (1UL << 4)
#define CR4_PAE         (1UL << 5)
#define CR4_MCE         (1UL << 6)
#define CR4_PGE         (1UL << 7)
#define CR4_OSFXSR      (1UL << 9)
#define CR4_OSXMMEXCPT  (1UL << 10)
#define CR4_UMIP        (1UL << 11)
#define CR4_FSGSBASE    (1UL << 16)
#define CR4_OSXSAVE     (1UL << 18)
#define CR4_SMEP        (1UL << 20)
#define CR4_SMAP        (1UL << 21)

#define X86_EFLAGS_IF   (1UL << 9)

static inline void outb(uint16_t port, uint8_t v)
{
    __asm__ volatile("outb %0, %1" :: "a"(v), "Nd"(port));
}

static inline void outw(uint16_t port, uint16_t v)
{
    __asm__ volatile("outw %0, %1" :: "a"(v), "Nd"(port));
}

static inline void outl(uint16_t port, uint32_t v)
{
    __asm__ volatile("outl %0, %1" :: "a"(v), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline uint16_t inw(uint16_t port)
{
    uint16_t v;
    __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline uint32_t inl(uint16_t port)
{
    uint32_t v;
    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t lo, hi;
    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return lo | (uint64_t)hi << 32;
}

static inline void wrmsr(uint32_t msr, uint64_t v)
{
    __asm__ volatile("wrmsr" :: "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

static inline uint64_t rdtsc(void)
{
    uint32_t lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return lo | (uint64_t)hi << 32;
}

/* Not before earlier loads have completed. */
static inline uint64_t rdtsc_ordered(void)
{
    uint32_t lo, hi;
    __asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) :: "memory");
    return lo | (uint64_t)hi << 32;
}

struct cpuid_regs {
    uint32_t a, b, c, d;
};

static inline struct cpuid_regs cpuid(uint32_t leaf, uint32_t sub)
{
    struct cpuid_regs r;
    __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
    return r;
}

#define DEFINE_CR(n) \
    static inline uint64_t read_cr##n(void) \
    { \
        uint64_t v; \
        __asm__ volatile("mov %%cr" #n ", %0" : "=r"(v)); \
        return v; \
    } \
    static inline void write_cr##n(uint64_t v) \
    { \
        __asm__ volatile("mov %0, %%cr" #n :: "r"(v) : "memory"); \
    }
DEFINE_CR(0)
DEFINE_CR(2)
DEFINE_CR(3)
DEFINE_CR(4)
#undef DEFINE_CR

static inline void invlpg(uint64_t va)
{
    __asm__ volatile("invlpg (%0)" :: "r"(va) : "memory");
}

static inline void wbinvd(void)
{
    __asm__ volatile("wbinvd" ::: "memory");
}

static inline void clts(void)
{
    __asm__ volatile("clts");
}

static inline void irq_disable(void)
{
    __asm__ volatile("cli" ::: "memory");
}

static inline void irq_enable(void)
{
    __asm__ volatile("sti" ::: "memory");
}

static inline bool irq_enabled(void)
{
    uint64_t f;
    __asm__ volatile("pushfq; popq %0" : "=r"(f));
    return (f & X86_EFLAGS_IF) != 0;
}

static inline void halt(void)
{
    __asm__ volatile("hlt" ::: "memory");
}

/* Interrupts on and halt, with no gap in which a wake-up could be lost. */
static inline void irq_enable_and_halt(void)
{
    __asm__ volatile("sti; hlt" ::: "memory");
}

struct __packed descriptor_ptr {
    uint16_t limit;
    uint64_t base;
};

static inline void lgdt(const struct descriptor_ptr *p)
{
    __asm__ volatile("lgdt %0" :: "m"(*p));
}

static inline void lidt(const struct descriptor_ptr *p)
{
    __asm__ volatile("lidt %0" :: "m"(*p));
}

static inline void lldt(uint16_t sel)
{
    __asm__ volatile("lldt %0" :: "r"(sel));
}

static inline void ltr(uint16_t sel)
{
    __asm__ volatile("ltr %0" :: "r"(sel));
}

#endif
