/* SPDX-License-Identifier: MIT */
/*
 * context.c - checks a struct vcpu_guest_context. Pure.
 *
 * Who fills one in: a guest for its further vCPUs (VCPUOP_initialise) and dom0's builder and
 * restorer (setvcpucontext). Selectors are not checked against the descriptor tables: one that
 * cannot be loaded gives the guest a fault, not us.
 */
#include "domain/context.h"
#include "layout.h"

#define DR7_ENABLES     0xffu           /* L0, G0 .. L3, G3 */
#define DR7_GD          (1u << 13)      /* trap accesses to debug registers: not for guests */

static bool outside_hypervisor(uint64_t a)
{
    return a < HV_VIRT_START || a >= HV_VIRT_END;
}

bool context_debugregs_ok(const unsigned long dr[8])
{
    uint64_t dr7 = dr[7];

    if ((dr7 | dr[6]) >> 32 || dr7 & DR7_GD)
        return false;
    for (int i = 0; i < 4; i++) {
        /* Also a disabled one: it could be enabled later. Eight bytes is the longest. */
        if (!canonical(dr[i]) || !outside_hypervisor(dr[i]) || !outside_hypervisor(dr[i] + 7))
            return false;
        /* I/O breakpoints need CR4.DE and watch ports of others. */
        if (dr7 & (3u << (i * 2)) && ((dr7 >> (16 + i * 4)) & 3) == 2)
            return false;
    }
    return true;
}

uint64_t context_eflags(uint64_t eflags)
{
    return (eflags & EFLAGS_GUEST) | EFLAGS_IF | EFLAGS_FIXED;
}

int context_check(const struct vcpu_guest_context *c)
{
    if (!canonical(c->user_regs.rip) || !canonical(c->fs_base) ||
        !canonical(c->gs_base_kernel) || !canonical(c->gs_base_user))
        return -XEN_EINVAL;
    if (!canonical(c->event_callback_eip) || !canonical(c->failsafe_callback_eip) ||
        !canonical(c->syscall_callback_eip))
        return -XEN_EINVAL;
    for (int i = 0; i < 256; i++)
        if (!canonical(c->trap_ctxt[i].address))
            return -XEN_EINVAL;
    if (c->gdt_ents > FIRST_RESERVED_GDT_ENTRY || c->ldt_ents > LDT_MAX_ENTRIES)
        return -XEN_EINVAL;
    if (c->ldt_ents &&
        (c->ldt_base & ~PAGE_MASK || !canonical(c->ldt_base) ||
         !outside_hypervisor(c->ldt_base) ||
         !outside_hypervisor(c->ldt_base + c->ldt_ents * 8 - 1)))
        return -XEN_EINVAL;
    if (!context_debugregs_ok(c->debugreg))
        return -XEN_EINVAL;
    /* The roots: CR3 values, MFN << 12; low bits are not ours to judge. */
    if (c->ctrlreg[3] >> 52 || c->ctrlreg[1] >> 52)
        return -XEN_EINVAL;
    /* User mode runs on the user root: without one there is nothing to put into CR3. */
    if (!(c->flags & VGCF_in_kernel) && !(c->ctrlreg[1] >> PAGE_SHIFT))
        return -XEN_EINVAL;
    return 0;
}
