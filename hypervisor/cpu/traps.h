/* SPDX-License-Identifier: MIT */
/*
 * traps.h - exceptions and interrupts: what cpu/entry.S calls and what others register.
 */
#ifndef CPU_TRAPS_H
#define CPU_TRAPS_H

#include "domain/domain.h"
#include "layout.h"

void traps_init(void);                  /* builds the IDT and the hypercall table; boot CPU */
void traps_init_cpu(void);              /* loads it and the syscall MSRs; every CPU */

/* Handler of an interrupt vector (0x20..0xff, not 0x80, which is the guests' int 0x80), called
 * with interrupts off; it acknowledges the APIC itself. Registering twice is a bug. */
typedef void (*irq_handler)(struct cpu_user_regs *regs);
void irq_set_handler(uint8_t vector, irq_handler fn);
/* Who gets NMIs first; true: it was for it. One handler. */
void nmi_set_handler(bool (*fn)(void));

/* Bounces the current vCPU into its kernel: pushes the frame of PV-ABI 3.3. */
void guest_inject_exception(struct vcpu *v, uint8_t vector, uint32_t error_code);
void guest_inject_pagefault(struct vcpu *v, uint64_t va, uint32_t error_code);
void guest_inject_gp(struct vcpu *v, uint32_t error_code);
/* The same for a handler that is not an exception's: event upcall, 32-bit system call. */
void guest_inject_callback(struct vcpu *v, uint64_t eip, bool mask_events);
/* The event callback; events are not masked, but are then. */
void guest_inject_upcall(struct vcpu *v);
/* The failsafe callback, frame of PV-ABI 3.6: a saved segment selector could not be loaded. */
void guest_inject_failsafe(struct vcpu *v);

/* Registers, code, stack and a page walk of the current vCPU, on the console: a fatal guest error. */
void guest_report(struct vcpu *v);

/* Exit path (entry.S, interrupts off): softirqs, scheduling, event upcall; loops until nothing
 * is left to do for the vCPU that will run. */
void exit_to_guest_work(void);
/* event/deliver.c: calls the current vCPU's event callback. Interrupts off. */
void vcpu_deliver_upcall(struct vcpu *v);

/* Leaves whatever runs on this CPU's stack and runs current's guest, or the idle loop: what a
 * CPU does when its start-up is over. */
void return_to_guest(void) __noreturn;
void enter_idle(void) __noreturn;

/* Switches between guest kernel and guest user: CR3, GS bases, mode flag. v is current. */
void vcpu_toggle_mode(struct vcpu *v);

/* A guest's kernel_sp as it must be stored: aligned, and outside of our range (0 instead). */
static inline uint64_t kernel_sp_sanitise(uint64_t sp)
{
    sp &= ~15UL;
    return sp - 256 >= HV_VIRT_END || sp < HV_VIRT_START ? sp : 0;
}

/* Is the address canonical and not in our range? What a guest may name as code or data. */
static inline bool guest_address_ok(uint64_t va)
{
    return (uint64_t)((int64_t)va >> 47) + 1 <= 1 && va - HV_VIRT_START >= HV_VIRT_END - HV_VIRT_START;
}

static inline bool address_canonical(uint64_t va)
{
    return (uint64_t)((int64_t)va >> 47) + 1 <= 1;
}

/* Called by entry.S. */
void trap_from_guest(struct cpu_user_regs *regs);
void trap_from_hypervisor(struct cpu_user_regs *regs);
void trap_paranoid(struct cpu_user_regs *regs);
void irq_dispatch(struct cpu_user_regs *regs);
void syscall_from_user_slow(struct cpu_user_regs *regs);
void syscall32_from_guest(struct cpu_user_regs *regs);
void guest_stack_fault(void);
void guest_no_user_root(void);
void idle_loop(void) __noreturn;

/* Hypercalls: cpu/callback.c. */
long do_set_trap_table(guest_ptr_t traps);
long do_set_callbacks(uint64_t event, uint64_t failsafe, uint64_t syscall);
long do_callback_op(uint64_t cmd, guest_ptr_t arg);
long do_nmi_op(uint64_t cmd, guest_ptr_t arg);
long do_stack_switch(uint64_t ss, uint64_t sp);
long do_fpu_taskswitch(uint64_t set);
long do_set_debugreg(uint64_t reg, uint64_t value);
long do_get_debugreg(uint64_t reg);
long do_set_segment_base(uint64_t which, uint64_t base);
long do_iret(void);

/* 0, or -EINVAL: reg 0..3, 6, 7 of v set as the guest asks, as far as that is harmless; loaded
 * when v is current. Also for vcpu_set_context(). */
int vcpu_set_debugreg(struct vcpu *v, unsigned int reg, uint64_t value);

#endif
