/* SPDX-License-Identifier: MIT */
/*
 * head.S - where the domain builder enters, the notes it reads, and the ways in from the
 * hypervisor: exceptions, the event upcall, the failsafe callback.
 */
#include <xen/elfnote.h>

.macro note_begin type
    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 8f - 7f, \type
    .asciz "Xen"
7:
.endm

.macro note_end
8:
    .balign 4
.endm

.macro note_str type, text
    note_begin \type
    .asciz "\text"
    note_end
.endm

.macro note_quad type, value:vararg
    note_begin \type
    .quad \value
    note_end
.endm

    note_str  XEN_ELFNOTE_XEN_VERSION, "xen-3.0"
    note_str  XEN_ELFNOTE_GUEST_OS, "sluice"
    note_str  XEN_ELFNOTE_GUEST_VERSION, "1"
    note_str  XEN_ELFNOTE_LOADER, "generic"
    note_str  XEN_ELFNOTE_PAE_MODE, "yes"
    note_quad XEN_ELFNOTE_VIRT_BASE, 0xffffffff80000000
    note_quad XEN_ELFNOTE_PADDR_OFFSET, 0
    note_quad XEN_ELFNOTE_ENTRY, _start
    note_quad XEN_ELFNOTE_HV_START_LOW, 0xffff800000000000
    note_quad XEN_ELFNOTE_L1_MFN_VALID, 1, 1
    /* Modules may lie anywhere in pseudo-physical memory: start.c maps all of it. */
    note_quad XEN_ELFNOTE_MOD_START_PFN, 1
    /* The call that suspends us may return 1: it was cancelled, or we are resumed where we were. */
    note_begin XEN_ELFNOTE_SUSPEND_CANCEL
    .long 1
    note_end
    /* Bit 11: can be the initial domain. */
    note_begin XEN_ELFNOTE_SUPPORTED_FEATURES
    .long 0x800
    note_end

#define STACK_SIZE 0x10000

    .section .text.start, "ax", @progbits
    .globl _start
_start:
    cld
    lea boot_stack + STACK_SIZE(%rip), %rsp
    xor %ebp, %ebp
    mov %rsi, %rdi
    call start
    ud2

/*
 * Exceptions. The hypervisor pushed, from high to low: ss, rsp, rflags, cs (privilege 0 for
 * "kernel"), rip, [error code], r11, rcx. Rebuilt here into struct trap_frame (traps.c).
 */
    .text
.macro trap vector, has_error
    .globl trap_\vector
trap_\vector:
    pop %rcx
    pop %r11
.if !\has_error
    push $0
.endif
    push $\vector
    jmp trap_common
.endm

    trap 0, 0
    trap 1, 0
    trap 2, 0
    trap 3, 0
    trap 4, 0
    trap 5, 0
    trap 6, 0
    trap 7, 0
    trap 8, 1
    trap 10, 1
    trap 11, 1
    trap 12, 1
    trap 13, 1
    trap 14, 1
    trap 16, 0
    trap 17, 1
    trap 18, 0
    trap 19, 0

trap_common:
    push %rax
    push %rcx
    push %rdx
    push %rbx
    push %rbp
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    push %r12
    push %r13
    push %r14
    push %r15
    cld
    mov %rsp, %rdi
    call trap_handler
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rbp
    pop %rbx
    pop %rdx
    pop %rcx
    pop %rax
    add $16, %rsp
    orb $3, 8(%rsp)
    iretq

/*
 * Upcall: only wakes a block that the loop asked for. It leaves upcalls masked (the loop polls),
 * so a plain return is right, not the iret hypercall.
 */
    .globl upcall_entry
upcall_entry:
    pop %rcx
    pop %r11
    orb $3, 8(%rsp)
    iretq

/* A bad segment or return: none of ours can be, so stop. */
    .globl failsafe_entry
failsafe_entry:
    call failsafe_handler
    ud2

    .section .bss.page, "aw", @nobits
    .balign 4096
    .globl stack_guard
stack_guard:
    .skip 4096
boot_stack:
    .skip STACK_SIZE
    .globl shared_info_page
shared_info_page:
    .skip 4096
    .section .note.GNU-stack, "", @progbits
