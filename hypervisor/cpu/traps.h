/* SPDX-License-Identifier: MIT */
/*
 * traps.h - exceptions and interrupts: what cpu/entry.S calls and what others register.
 */
#ifndef CPU_TRAPS_H
#define CPU_TRAPS_H

#include "domain/domain.h"

void traps_init(void);                  /* builds the IDT; boot CPU */
void traps_init_cpu(void);              /* loads it and the syscall MSRs; every CPU */

/* Handler of an interrupt vector (0x20..0xff), called with interrupts off; it acknowledges the
 * APIC itself. Registering twice is a bug. */
typedef void (*irq_handler)(struct cpu_user_regs *regs);
void irq_set_handler(uint8_t vector, irq_handler fn);

/* Bounces the current vCPU into its kernel: pushes the frame of PV-ABI 3.3. */
void guest_inject_exception(struct vcpu *v, uint8_t vector, uint32_t error_code);
void guest_inject_pagefault(struct vcpu *v, uint64_t va, uint32_t error_code);
/* #GP(0), what every refused privileged operation gets. */
void guest_inject_gp(struct vcpu *v, uint32_t error_code);

/* Registers, code, stack and a page walk of the current vCPU, on the console: a fatal guest error. */
void guest_report(struct vcpu *v);

/* Exit path (entry.S, interrupts off): softirqs, scheduling, event upcall; loops until nothing
 * is left to do for the vCPU that will run. */
void exit_to_guest_work(void);

/* Switches between guest kernel and guest user: CR3, GS bases, mode flag. */
void vcpu_toggle_mode(struct vcpu *v);

long do_set_trap_table(guest_ptr_t traps);
long do_set_callbacks(uint64_t event, uint64_t failsafe, uint64_t syscall);
long do_callback_op(uint64_t cmd, guest_ptr_t arg);
long do_stack_switch(uint64_t ss, uint64_t sp);
long do_fpu_taskswitch(uint64_t set);
long do_set_debugreg(uint64_t reg, uint64_t value);
long do_get_debugreg(uint64_t reg);
long do_set_segment_base(uint64_t which, uint64_t base);
long do_iret(void);

#endif
