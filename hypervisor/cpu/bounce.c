/* SPDX-License-Identifier: MIT */
/*
 * bounce.c - enter a guest's kernel at one of its handlers, and leave it again (iret).
 *
 * The guest kernel runs in ring 3 like its user programs, so a bounce is: toggle to kernel mode
 * if need be, push the frame of PV-ABI 3.3 on its stack, load rip, rsp and flags. Everything
 * here is about the current vCPU, whose registers are in cpu_info. The frame goes to memory that
 * the guest controls: a fault there is fatal for it, as there is no double fault.
 */
#include "cpu/traps.h"

#include "cpu/asm.h"
#include "cpu/asm_vcpu.h"
#include "cpu/counters.h"
#include "cpu/desc.h"
#include "cpu/extable.h"
#include "dev/console.h"
#include "event/evtchn.h"
#include "mm/uaccess.h"
#include "sched/sched.h"

#define EFLAGS_TF   0x100UL
#define EFLAGS_DF   0x400UL
#define EFLAGS_IOPL 0x3000UL
#define EFLAGS_NT   0x4000UL
#define EFLAGS_RF   0x10000UL
#define EFLAGS_VM   0x20000UL
#define EFLAGS_AC   0x40000UL
#define EFLAGS_BOUNCE_CLEAR (EFLAGS_TF | EFLAGS_IOPL | EFLAGS_NT | EFLAGS_RF | EFLAGS_VM | EFLAGS_AC)

/* Vectors whose frame has an error code. */
#define HAS_ERROR_CODE ((1u << 8) | (0x1fu << 10) | (1u << 17) | (1u << 21) | (1u << 29) | (1u << 30))

#define FRAME_WORDS_MAX 12

/* One word to guest memory that was range-checked; jumps to label on a fault. */
#define store_guest_or(p, value, label) \
    __asm__ goto("1: movq %0, %1\n\t" EXTABLE("1b", "%l2") \
                 :: "er"((uint64_t)(value)), "m"(*(p)) : "memory" : label)

static bool frame_range_ok(uint64_t top)
{
    return top - HV_VIRT_START >= HV_VIRT_END - HV_VIRT_START + FRAME_WORDS_MAX * 8;
}

void vcpu_toggle_mode(struct vcpu *v)
{
    struct cpu_info *ci = this_cpu_info();
    uint64_t cr3 = v->kernel_mode ? v->cr3_user : v->cr3_kernel;

    v->kernel_mode = !v->kernel_mode;
    ci->cr3 = cr3;
    ci->counters[CNT_CR3]++;
    write_cr3(cr3);
    swapgs();
    if (v->kernel_mode && unlikely(v->areas_stale))
        vcpu_update_areas(v);
}

void guest_stack_fault(void)
{
    const struct cpu_user_regs *regs = guest_regs();

    domain_crash(current->domain, "cannot push a frame on the kernel stack at %#lx (rip %#lx)",
                 current->kernel_mode ? regs->rsp : current->kernel_sp, regs->rip);
}

void guest_no_user_root(void)
{
    domain_crash(current->domain, "iret to user mode without a user page table");
}

/* What the guest sees of its registers in a frame, and where the frame goes: both depend on the
 * mode that is interrupted. Toggles to kernel mode. */
struct interrupted {
    uint64_t *top;              /* end of the frame */
    uint64_t cs;                /* with the mask byte */
    uint64_t rflags;
    struct vcpu_info *info;
};

/* mask: of events, as it was. */
static __always_inline struct interrupted bounce_begin(struct vcpu *v, struct cpu_user_regs *regs,
                                                       uint64_t mask)
{
    struct interrupted i = { .info = v->info };

    if (v->kernel_mode) {
        i.top = (uint64_t *)(regs->rsp & ~15UL);
        i.cs = regs->cs & ~3UL;
    } else {
        vcpu_toggle_mode(v);
        i.top = (uint64_t *)v->kernel_sp;
        i.cs = regs->cs;
    }
    i.cs |= mask << 32;
    i.rflags = (regs->rflags & ~(X86_EFLAGS_IF | EFLAGS_IOPL)) | (mask ? 0 : X86_EFLAGS_IF);
    return i;
}

static __always_inline void bounce_end(struct cpu_user_regs *regs, const struct interrupted *i,
                                       uint64_t *sp, uint64_t eip, bool mask_events)
{
    if (mask_events)
        WRITE_ONCE(i->info->evtchn_upcall_mask, 1);
    regs->rip = eip;
    regs->cs = SEL_GUEST_CS64;
    regs->rflags &= ~EFLAGS_BOUNCE_CLEAR;
    regs->rsp = (uint64_t)sp;
    regs->ss = SEL_GUEST_DS;
}

static inline bool events_masked(const struct vcpu *v)
{
    return READ_ONCE(v->info->evtchn_upcall_mask) != 0;
}

static __always_inline void bounce(struct vcpu *v, uint64_t eip, bool masked, bool mask_events,
                                   bool has_error, uint32_t error_code)
{
    struct cpu_user_regs *regs = guest_regs();
    struct interrupted i = bounce_begin(v, regs, masked);
    uint64_t *p = i.top;

    if (unlikely(!frame_range_ok((uint64_t)p)))
        goto fault;
    store_guest_or(p - 1, regs->ss, fault);
    store_guest_or(p - 2, regs->rsp, fault);
    store_guest_or(p - 3, i.rflags, fault);
    store_guest_or(p - 4, i.cs, fault);
    store_guest_or(p - 5, regs->rip, fault);
    if (has_error) {
        store_guest_or(p - 6, error_code, fault);
        p--;
    }
    store_guest_or(p - 6, regs->r11, fault);
    store_guest_or(p - 7, regs->rcx, fault);
    bounce_end(regs, &i, p - 7, eip, mask_events);
    return;
fault:
    guest_stack_fault();
}

static noinline void no_handler(struct vcpu *v, uint8_t vector, uint32_t error_code)
{
    domain_crash(v->domain, "no handler for exception %u, error code %#x, cr2 %#lx", vector,
                 error_code, v->info->arch.cr2);
}

void guest_inject_exception(struct vcpu *v, uint8_t vector, uint32_t error_code)
{
    const struct trap_info *t = &v->traps[vector];

    count(CNT_EXCEPTION);
    if (unlikely(!t->address))
        no_handler(v, vector, error_code);
    else
        bounce(v, t->address, events_masked(v), TI_GET_IF(t) != 0,
               vector < 32 && (HAS_ERROR_CODE >> vector & 1), error_code);
}

void guest_inject_pagefault(struct vcpu *v, uint64_t va, uint32_t error_code)
{
    const struct trap_info *t = &v->traps[14];

    count(CNT_EXCEPTION);
    v->cr2 = va;
    v->info->arch.cr2 = va;
    if (unlikely(!t->address))
        no_handler(v, 14, error_code);
    else
        bounce(v, t->address, events_masked(v), TI_GET_IF(t) != 0, true, error_code);
}

void guest_inject_gp(struct vcpu *v, uint32_t error_code)
{
    guest_inject_exception(v, 13, error_code);
}

void guest_inject_callback(struct vcpu *v, uint64_t eip, bool mask_events)
{
    bounce(v, eip, events_masked(v), mask_events, false, 0);
}

void guest_inject_upcall(struct vcpu *v)
{
    bounce(v, v->event_cb.eip, false, true, false, 0);
}

void guest_inject_failsafe(struct vcpu *v)
{
    struct cpu_user_regs *regs = guest_regs();
    struct interrupted i;
    uint64_t *p;

    if (!v->failsafe_cb.eip) {
        domain_crash(v->domain, "a segment register cannot be reloaded, and no failsafe callback");
        return;
    }
    i = bounce_begin(v, regs, events_masked(v));
    p = i.top;
    if (!frame_range_ok((uint64_t)p))
        goto fault;
    store_guest_or(p - 1, regs->ss, fault);
    store_guest_or(p - 2, regs->rsp, fault);
    store_guest_or(p - 3, i.rflags, fault);
    store_guest_or(p - 4, i.cs, fault);
    store_guest_or(p - 5, regs->rip, fault);
    /* Not in *regs: the selectors that were to be loaded. */
    store_guest_or(p - 6, v->regs.gs, fault);
    store_guest_or(p - 7, v->regs.fs, fault);
    store_guest_or(p - 8, v->regs.es, fault);
    store_guest_or(p - 9, v->regs.ds, fault);
    store_guest_or(p - 10, regs->r11, fault);
    store_guest_or(p - 11, regs->rcx, fault);
    bounce_end(regs, &i, p - 11, v->failsafe_cb.eip, v->failsafe_cb.mask_events);
    return;
fault:
    guest_stack_fault();
}

/* ---- System calls of guest users, the ways that entry.S leaves to us ---------------------- */

void syscall_from_user_slow(struct cpu_user_regs *regs)
{
    struct vcpu *v = current;

    if (!v->syscall_cb.eip) {
        regs->rip -= 2;
        guest_inject_exception(v, 6, 0);
        return;
    }
    guest_inject_callback(v, v->syscall_cb.eip, v->syscall_cb.mask_events);
    regs->rflags &= ~EFLAGS_DF;
}

/* From 32-bit code, which is always the guest's user mode by its own choice of segment. */
void syscall32_from_guest(struct cpu_user_regs *regs)
{
    struct vcpu *v = current;

    regs->cs = SEL_GUEST_CS32;
    if (v->kernel_mode || !v->syscall32_cb.eip) {
        regs->rip -= 2;
        guest_inject_exception(v, 6, 0);
        return;
    }
    guest_inject_callback(v, v->syscall32_cb.eip, v->syscall32_cb.mask_events);
    regs->rflags &= ~EFLAGS_DF;
}

/* ---- iret ---------------------------------------------------------------------------------- */

/* Hypercall 23 in full: the frames that entry.S does not do itself. */
long do_iret(void)
{
    struct cpu_user_regs *regs = guest_regs();
    struct vcpu *v = current;
    struct iret_context f;

    if (copy_from_guest(&f, guest_ptr(regs->rsp), sizeof(f))) {
        domain_crash(v->domain, "cannot read the iret frame at %#lx", regs->rsp);
        return 0;
    }
    if ((f.cs & 3) == 3) {
        if (!v->cr3_user) {
            guest_no_user_root();
            return 0;
        }
        irq_disable();
        vcpu_toggle_mode(v);
        irq_enable();
    }
    regs->rip = f.rip;
    regs->rsp = f.rsp;
    regs->rflags = ((uint32_t)f.rflags & ~(EFLAGS_IOPL | EFLAGS_VM)) | X86_EFLAGS_IF;
    if (f.flags & VGCF_in_syscall) {
        /* As sysret leaves them. */
        regs->cs = SEL_GUEST_CS64;
        regs->ss = SEL_GUEST_DS;
        regs->rcx = f.rip;
        regs->r11 = regs->rflags;
    } else {
        regs->cs = (uint16_t)(f.cs | 3);
        regs->ss = (uint16_t)(f.ss | 3);
        regs->rcx = f.rcx;
        regs->r11 = f.r11;
    }
    regs->rax = f.rax;
    v->nmi_masked = false;
    WRITE_ONCE(v->info->evtchn_upcall_mask, !(f.rflags & X86_EFLAGS_IF));
    return (long)f.rax;
}
