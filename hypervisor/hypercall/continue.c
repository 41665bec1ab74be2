/* SPDX-License-Identifier: MIT */
/*
 * continue.c - leave a long hypercall and have it made again.
 *
 * A direct call: rip goes back over the syscall instruction and the registers hold the number and
 * the new arguments, so after the pending work (which may switch to another vCPU, or deliver an
 * event to this one first) the guest makes the call again. In a multicall the entry is rewritten
 * instead and multicall.c continues from it.
 */
#include "hypercall/hypercall.h"

#include <stdarg.h>
#include "dev/panic.h"

#define SYSCALL_BYTES 2

long hypercall_continue(uint32_t nr, uint32_t nargs, ...)
{
    struct cpu_user_regs *regs = guest_regs();
    struct vcpu *v = current;
    uint64_t *const slot[] = { &regs->rdi, &regs->rsi, &regs->rdx, &regs->r10, &regs->r8 };
    va_list ap;

    BUG_ON(nargs > ARRAY_SIZE(slot));
    va_start(ap, nargs);
    if (v->in_multicall) {
        v->mc.op = nr;
        for (uint32_t i = 0; i < nargs; i++)
            v->mc.args[i] = va_arg(ap, uint64_t);
        v->preempted = true;
    } else {
        for (uint32_t i = 0; i < nargs; i++)
            *slot[i] = va_arg(ap, uint64_t);
        regs->rip -= SYSCALL_BYTES;
    }
    va_end(ap);
    return nr;                  /* into rax */
}
