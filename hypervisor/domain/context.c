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

static bool outside_hypervisor(uint64_t a)
{
    return a < HV_VIRT_START || a >= HV_VIRT_END;
}

uint64_t context_eflags(uint64_t eflags)
{
    return (eflags & EFLAGS_GUEST) | EFLAGS_IF | EFLAGS_FIXED;
}

int context_check(const struct vcpu_guest_context *c)
{
    if (!canonical(c->user_regs.rip) || !canonical(c->kernel_sp) || !canonical(c->fs_base) ||
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
    /* The roots: CR3 values, MFN << 12; low bits are not ours to judge. */
    if (c->ctrlreg[3] >> 52 || c->ctrlreg[1] >> 52)
        return -XEN_EINVAL;
    /* User mode runs on the user root: without one there is nothing to put into CR3. */
    if (!(c->flags & VGCF_in_kernel) && !(c->ctrlreg[1] >> PAGE_SHIFT))
        return -XEN_EINVAL;
    return 0;
}
