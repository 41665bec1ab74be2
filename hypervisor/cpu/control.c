/* SPDX-License-Identifier: MIT */
/* control.c - control registers and MSRs that are the same on all CPUs. */
#include "cpu/control.h"

#include "cpu/asm.h"
#include "cpu/percpu.h"
#include "mm/tlb.h"

#define FEATURE7_B_SMEP (1u << 7)

void control_init_cpu(void)
{
    uint64_t cr4 = read_cr4() | CR4_PGE | CR4_MCE | CR4_DE;

    if (cpuid(0, 0).a >= 7 && (cpuid(7, 0).b & FEATURE7_B_SMEP))
        cr4 |= CR4_SMEP;
    cr4 &= ~CR4_SMAP;
    write_cr4(cr4);
    this_cpu_info()->cr4 = cr4;
    wrmsr(MSR_PAT, PAT_VALUE);
    wbinvd();
    tlb_flush_local(FLUSH_TLB_GLOBAL, 0);
}
