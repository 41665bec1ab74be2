/* SPDX-License-Identifier: MIT */
/*
 * fpu.c - save and load FPU state; XCR0.
 *
 * XCR0 of a guest only says which registers it may use and XSAVE by itself. SSE works without
 * any bit set, and what a guest loaded before it cleared a bit is still in the registers. So
 * saving and loading always run under the full mask.
 */
#include "cpu/fpu.h"

#include "cpu/asm.h"
#include "cpu/asm_vcpu.h"
#include "cpu/vcpu_regs.h"
#include "dev/console.h"
#include "lib/string.h"
#include "mm/heap.h"

#define XCR0_X87    1UL
#define XCR0_SSE    2UL
#define XCR0_AVX    4UL
#define XCR0_AVX512 0xe0UL

#define FXSAVE_BYTES    512
#define XSAVE_HEADER    64
#define XSAVE_BV        512     /* offset of XSTATE_BV */
#define FXSAVE_FCW      0
#define FXSAVE_MXCSR    24
#define FXSAVE_MXCSR_MASK 28
#define FCW_INITIAL     0x37fu
#define MXCSR_INITIAL   0x1f80u

struct fpu_state {
    void *block;                /* what was allocated */
    uint8_t *area;              /* 64-byte aligned: FXSAVE or XSAVE (standard form) */
    uint32_t cpu;               /* whose registers hold it, if fpu_owner there agrees */
};

uint64_t fpu_xcr0_mask;
static uint32_t area_bytes = FXSAVE_BYTES;
static bool use_xsaveopt;
static uint32_t mxcsr_mask = 0xffbf;

static void enable_xsave(void)
{
    write_cr4(read_cr4() | CR4_OSXSAVE);
    this_cpu_info()->cr4 = read_cr4();
    write_xcr0(fpu_xcr0_mask);
    this_cpu_info()->xcr0 = fpu_xcr0_mask;
}

void fpu_init(void)
{
    static uint8_t probe[FXSAVE_BYTES] __aligned(16);
    uint64_t host;

    clts();
    __asm__ volatile("fninit; fxsave %0" : "=m"(probe));
    if (*(uint32_t *)(probe + FXSAVE_MXCSR_MASK))
        mxcsr_mask = *(uint32_t *)(probe + FXSAVE_MXCSR_MASK);
    if (!(cpuid(1, 0).c & (1u << 26)) || cpuid(0, 0).a < 0xd)
        return;
    host = cpuid(0xd, 0).a | (uint64_t)cpuid(0xd, 0).d << 32;
    fpu_xcr0_mask = host & (XCR0_X87 | XCR0_SSE | XCR0_AVX);
    if ((host & XCR0_AVX512) == XCR0_AVX512)
        fpu_xcr0_mask |= XCR0_AVX512;
    enable_xsave();
    area_bytes = cpuid(0xd, 0).b;           /* for what XCR0 says now */
    use_xsaveopt = cpuid(0xd, 1).a & 1;
    printk(LOG_DEBUG, "fpu: xcr0 %#lx, %u bytes%s\n", fpu_xcr0_mask, area_bytes,
           use_xsaveopt ? ", xsaveopt" : "");
}

void fpu_init_cpu(void)
{
    clts();
    __asm__ volatile("fninit");
    if (fpu_xcr0_mask)
        enable_xsave();
}

bool fpu_xcr0_valid(uint64_t v)
{
    if (!(v & XCR0_X87) || (v & ~fpu_xcr0_mask))
        return false;
    if ((v & XCR0_AVX) && !(v & XCR0_SSE))
        return false;
    if ((v & XCR0_AVX512) && ((v & XCR0_AVX512) != XCR0_AVX512 || !(v & XCR0_AVX)))
        return false;
    return true;
}

static inline void load_xcr0(struct cpu_info *ci, uint64_t v)
{
    if (ci->xcr0 != v) {
        ci->xcr0 = v;
        write_xcr0(v);
    }
}

void fpu_set_xcr0(struct vcpu *v, uint64_t xcr0)
{
    v->xcr0 = xcr0;
    load_xcr0(this_cpu_info(), xcr0);
}

static void set_initial(uint8_t *area)
{
    memset(area, 0, area_bytes);
    *(uint16_t *)(area + FXSAVE_FCW) = FCW_INITIAL;
    *(uint32_t *)(area + FXSAVE_MXCSR) = MXCSR_INITIAL;
    if (fpu_xcr0_mask)
        *(uint64_t *)(area + XSAVE_BV) = XCR0_X87 | XCR0_SSE;
}

int fpu_vcpu_init(struct vcpu *v)
{
    struct fpu_state *f = xzalloc(struct fpu_state);

    if (!f)
        return -XEN_ENOMEM;
    f->block = xzalloc_bytes(area_bytes + 64);
    if (!f->block) {
        xfree(f);
        return -XEN_ENOMEM;
    }
    f->area = (uint8_t *)ROUND_UP((uint64_t)f->block, 64);
    f->cpu = NR_CPUS;
    set_initial(f->area);
    v->fpu = f;
    v->fpu_used = !v->domain->privileged;
    v->xcr0 = fpu_xcr0_mask ? XCR0_X87 : 0;
    return 0;
}

void fpu_vcpu_destroy(struct vcpu *v)
{
    if (!v->fpu)
        return;
    /* A new vCPU may get the same address: nobody may take old registers for its own. */
    for (uint32_t cpu = 0; cpu < NR_CPUS; cpu++) {
        struct vcpu *expected = v;

        if (cpu_info_of[cpu])
            (void)atomic_cmpxchg(&cpu_info_of[cpu]->fpu_owner, &expected, NULL);
    }
    xfree(v->fpu->block);
    xfree(v->fpu);
    v->fpu = NULL;
}

void fpu_set_fxsave(struct vcpu *v, const void *image)
{
    struct fpu_state *f = v->fpu;

    set_initial(f->area);
    memcpy(f->area, image, FXSAVE_BYTES);
    *(uint32_t *)(f->area + FXSAVE_MXCSR) &= mxcsr_mask;
    f->cpu = NR_CPUS;
    v->fpu_used = true;
}

void fpu_get_fxsave(const struct vcpu *v, void *image)
{
    memcpy(image, v->fpu->area, FXSAVE_BYTES);
}

/* v's registers are in this CPU since fpu_load(), which noted that. */
void fpu_save(struct vcpu *v)
{
    uint8_t *area = v->fpu->area;

    clts();
    if (!fpu_xcr0_mask) {
        __asm__ volatile("fxsaveq %0" : "=m"(*(uint8_t (*)[FXSAVE_BYTES])area));
        return;
    }
    load_xcr0(this_cpu_info(), fpu_xcr0_mask);
    if (use_xsaveopt)
        __asm__ volatile("xsaveopt64 %0" : "+m"(*area)
                         : "a"((uint32_t)~0u), "d"((uint32_t)~0u) : "memory");
    else
        __asm__ volatile("xsave64 %0" : "+m"(*area)
                         : "a"((uint32_t)~0u), "d"((uint32_t)~0u) : "memory");
}

static void load_registers(struct cpu_info *ci, const uint8_t *area)
{
    clts();
    if (!fpu_xcr0_mask) {
        __asm__ volatile("fxrstorq %0" :: "m"(*(const uint8_t (*)[FXSAVE_BYTES])area));
        return;
    }
    load_xcr0(ci, fpu_xcr0_mask);
    __asm__ volatile("xrstor64 %0" :: "m"(*area), "a"((uint32_t)~0u), "d"((uint32_t)~0u)
                     : "memory");
}

void fpu_load(struct vcpu *v)
{
    struct cpu_info *ci = this_cpu_info();
    struct fpu_state *f = v->fpu;

    if (v->fpu_used && (ci->fpu_owner != v || f->cpu != ci->cpu)) {
        load_registers(ci, f->area);
        ci->fpu_owner = v;
        f->cpu = ci->cpu;
    }
    if (fpu_xcr0_mask)
        load_xcr0(ci, v->xcr0);
}

bool fpu_first_use(struct vcpu *v)
{
    if (v->fpu_used)
        return false;
    v->fpu_used = true;
    fpu_load(v);
    vcpu_load_control(v);
    return true;
}
