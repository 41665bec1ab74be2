/* SPDX-License-Identifier: MIT */
/*
 * asm-offsets.c - struct offsets and constants for cpu/entry.S. Compiled to assembly text and
 * turned into build/hv/asm-offsets.h (mk/hypervisor.mk); never linked.
 */
#include "cpu/counters.h"
#include "cpu/percpu.h"
#include "domain/domain.h"
#include "hypercall/hypercall.h"

void asm_offsets(void);

#define DEFINE(name, value) __asm__ volatile("\n.ascii \"->" #name " %0\"" :: "i"(value))
#define REG(name) DEFINE(UREGS_##name, offsetof(struct cpu_user_regs, name))
#define CI(name)  DEFINE(CI_##name, offsetof(struct cpu_info, name))
#define COUNTER(name) DEFINE(CI_##name, offsetof(struct cpu_info, counters[name]))
#define V(name)   DEFINE(VCPU_##name, offsetof(struct vcpu, name))

/* The CPU aligns rsp to 16 before it pushes a frame: rsp0 must be so by itself. */
_Static_assert((sizeof(struct cpu_info) - offsetof(struct cpu_user_regs, es)) % 16 == 0,
               "the frame of an exception ends where cpu_user_regs.ss ends");
_Static_assert(offsetof(struct cpu_info, regs) == 0, "entry.S counts on it");

void asm_offsets(void)
{
    REG(r15); REG(r14); REG(r13); REG(r12); REG(rbp); REG(rbx); REG(r11); REG(r10);
    REG(r9); REG(r8); REG(rax); REG(rcx); REG(rdx); REG(rsi); REG(rdi);
    REG(error_code); REG(entry_vector); REG(rip); REG(cs); REG(rflags); REG(rsp); REG(ss);
    REG(es);
    CI(vcpu); CI(cr3); CI(softirqs); CI(scratch);
    CI(hypercalls);
    COUNTER(CNT_SYSCALL); COUNTER(CNT_FAULT_FAST); COUNTER(CNT_IRET_USER);
    DEFINE(CI_SIZE, sizeof(struct cpu_info));
    DEFINE(STACK_BYTES, STACK_SIZE);
    V(kernel_mode); V(kernel_sp); V(kernel_ss); V(cr3_kernel); V(cr3_user); V(info);
    V(areas_stale); V(nmi_masked); V(traps); V(cr2);
    DEFINE(VCPU_syscall_eip, offsetof(struct vcpu, syscall_cb.eip));
    DEFINE(VCPU_syscall_mask, offsetof(struct vcpu, syscall_cb.mask_events));
    DEFINE(INFO_mask, offsetof(struct vcpu_info, evtchn_upcall_mask));
    DEFINE(INFO_cr2, offsetof(struct vcpu_info, arch.cr2));
    DEFINE(TRAP_INFO_SIZE, sizeof(struct trap_info));
    DEFINE(TRAP_INFO_flags, offsetof(struct trap_info, flags));
    DEFINE(TRAP_INFO_address, offsetof(struct trap_info, address));
    DEFINE(HYPERCALL_COUNT, NR_HYPERCALLS);
}
