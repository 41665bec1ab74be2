/* SPDX-License-Identifier: MIT */
/*
 * entry.S - every way into the hypervisor and back to a guest.
 *
 * Exceptions, interrupts: the CPU switches to the top of this CPU's stack, which is struct
 * cpu_info, and the pushes below complete cpu_info.regs. From the hypervisor itself they make
 * the same frame further down the stack. NMI, #DF, #MC and #DB have stacks of their own.
 *
 * syscall: each CPU has a stub of its own (syscall_stub_write() in traps.c) that saves rax,
 * switches to the stack and comes to syscall_entry with the guest's rsp in rax. Four fast paths
 * from there: a guest's system call (bounce into its kernel), a hypercall, the iret and stack_switch hypercalls.
 * They go to C code with all of cpu_info.regs filled in as soon as anything is unusual.
 *
 * Interrupts are off in all of this file but around a hypercall's handler. What a guest can do to
 * us here: any value in any register, rsp included; any content of its stack, changing while we
 * look (so each word is read once); handler addresses are canonical (checked on registration).
 */
#include "asm-offsets.h"
#include "cpu/extable.h"

#define FLAT_CS     0xe033
#define FLAT_SS     0xe02b
#define NR_IRET     23
#define NR_STACK_SWITCH 3
#define VECTOR_SYSCALL 256      /* regs.entry_vector of hypercalls and guest system calls */

#define EFLAGS_IF   0x200
/* What a bounce into the guest kernel clears: TF, IOPL, NT, RF, VM, AC; a system call DF too. */
#define EFLAGS_SYSCALL_CLEAR 0x77500
#define EFLAGS_BOUNCE_CLEAR  0x77100
/* What a guest may not set by iret: IOPL, VM. */
#define EFLAGS_IRET_CLEAR 0x23000

    .section .text.entry, "ax"
    .code64

.macro GLOBAL name
    .globl \name
    .balign 16
\name:
.endm

/* The slot of error code and vector has been pushed; cpu_user_regs from rdi downwards. */
.macro PUSH_REGS
    push    %rdi
    push    %rsi
    push    %rdx
    push    %rcx
    push    %rax
    push    %r8
    push    %r9
    push    %r10
    push    %r11
    push    %rbx
    push    %rbp
    push    %r12
    push    %r13
    push    %r14
    push    %r15
    cld
.endm

.macro POP_REGS
    pop     %r15
    pop     %r14
    pop     %r13
    pop     %r12
    pop     %rbp
    pop     %rbx
    pop     %r11
    pop     %r10
    pop     %r9
    pop     %r8
    pop     %rax
    pop     %rcx
    pop     %rdx
    pop     %rsi
    pop     %rdi
.endm

/* Jumps to \work when something has to be done before the guest may run; rsp = &cpu_info.
 * An event is deliverable when the byte "pending" is not 0 and the next one, "mask", is:
 * a word of 1..255. Uses rdx. */
.macro CHECK_WORK work
    cmpl    $0, CI_softirqs(%rsp)
    jne     \work
    mov     CI_vcpu(%rsp), %rdx
    mov     VCPU_info(%rdx), %rdx
    movzwl  (%rdx), %edx
    dec     %edx
    cmp     $0xff, %edx
    jb      \work
.endm

/* ---- Exceptions and interrupts ---------------------------------------------------------- */

/* Entry points of all 256 vectors, 16 bytes each, in order: the IDT is made from them. */
GLOBAL vector_stubs
    .set    n, 0
    .rept   256
    .balign 16
    .if (n == 8) || ((n >= 10) && (n <= 14)) || (n == 17) || (n == 21) || (n == 29) || (n == 30)
    .else
    pushq   $0
    .endif
    movl    $n, 4(%rsp)
    .if (n == 2) || (n == 8) || (n == 18)
    jmp     paranoid_common
    .elseif n == 1
    jmp     debug_entry
    .elseif n == 14
    jmp     page_fault
    .elseif (n < 32) || (n == 0x80)
    jmp     exception_common
    .else
    jmp     interrupt_common
    .endif
    .set    n, n + 1
    .endr

GLOBAL exception_common
    PUSH_REGS
    mov     %rsp, %rdi
    testb   $3, UREGS_cs(%rsp)
    jz      1f
    call    trap_from_guest
    jmp     ret_to_guest
1:  call    trap_from_hypervisor
    jmp     ret_to_hypervisor

GLOBAL interrupt_common
    PUSH_REGS
    mov     %rsp, %rdi
    call    irq_dispatch
    testb   $3, UREGS_cs(%rsp)
    jz      ret_to_hypervisor
    /* fall through */

/* rsp = &cpu_info.regs, all of it valid, interrupts off. */
GLOBAL ret_to_guest
    CHECK_WORK 2f
restore_all:
    POP_REGS
    add     $8, %rsp
    .globl iret_to_guest
iret_to_guest:
    iretq
    EXTABLE(iret_to_guest, iret_failed)
2:  call    exit_to_guest_work
    jmp     restore_all

GLOBAL ret_to_hypervisor
    POP_REGS
    add     $8, %rsp
    iretq

/*
 * iretq refused what the guest wants to return to (selectors, rip). The guest takes the fault, as
 * if it had happened there: trap_from_hypervisor() left vector and error code in scratch.
 */
iret_failed:
    push    (CI_scratch - UREGS_rip)(%rsp)
    PUSH_REGS
    mov     %rsp, %rdi
    call    trap_from_guest
    jmp     ret_to_guest

/* NMI, #DF, #MC, each on its own stack: no exit work, whatever they interrupted. */
GLOBAL paranoid_common
    PUSH_REGS
    mov     %rsp, %rdi
    call    trap_paranoid
    jmp     ret_to_hypervisor

/*
 * #DB has its own stack too: a guest can make it happen on our first instruction after syscall,
 * with its own rsp (a data breakpoint behind mov ss). From a guest the frame moves to the main
 * stack; from the hypervisor it is one of the guest's breakpoints met while working for it: drop
 * it.
 */
GLOBAL debug_entry
    testb   $3, 16(%rsp)
    jz      1f
    /* error/vector, rip, cs, rflags, rsp, ss: from here to the end of cpu_info.regs. */
    push    %rax
    push    %rdx
    mov     %rsp, %rax
    or      $(STACK_BYTES - 1), %rax
    lea     (1 - CI_SIZE)(%rax), %rax
    .irp    i, 0, 1, 2, 3, 4, 5
    mov     (16 + \i * 8)(%rsp), %rdx
    mov     %rdx, (UREGS_error_code + \i * 8)(%rax)
    .endr
    mov     8(%rsp), %rdx
    mov     %rdx, UREGS_rax(%rax)
    mov     (%rsp), %rdx
    lea     UREGS_error_code(%rax), %rsp
    mov     UREGS_rax(%rax), %rax
    jmp     exception_common
1:  push    %rax
    mov     $0xffff0ff0, %eax
    mov     %rax, %dr6
    pop     %rax
    add     $8, %rsp
    iretq

/*
 * Page faults of guest users go straight to their kernel, by sysret: rcx and r11 are in the frame
 * that is pushed there. Everything else is an ordinary exception.
 *
 * On entry rsp = &regs.error_code. It goes down to &cpu_info before anything is kept there, because
 * a fault of ours, on the guest's kernel stack, pushes its own frame from rsp downwards.
 */
GLOBAL page_fault
    testb   $3, (UREGS_cs - UREGS_error_code)(%rsp)
    jz      exception_common
    sub     $UREGS_error_code, %rsp
    mov     %rdx, UREGS_rdx(%rsp)
    mov     CI_vcpu(%rsp), %rdx
    cmpb    $0, VCPU_kernel_mode(%rdx)
    jne     8f
    mov     %rdi, UREGS_rdi(%rsp)
    mov     %rsi, UREGS_rsi(%rsp)
    mov     %rcx, UREGS_rcx(%rsp)
    mov     %rax, UREGS_rax(%rsp)
    mov     %cr2, %rcx
    mov     %rcx, %rax
    sar     $43, %rax
    cmp     $-16, %rax                  /* our range: perhaps its LDT */
    je      9f
    mov     VCPU_info(%rdx), %rsi
    cmpb    $0, INFO_mask(%rsi)
    jne     9f
    mov     VCPU_traps(%rdx), %rax
    testb   $4, 14 * TRAP_INFO_SIZE + TRAP_INFO_flags(%rax)     /* its handler runs masked */
    jz      9f
    mov     14 * TRAP_INFO_SIZE + TRAP_INFO_address(%rax), %rax
    test    %rax, %rax
    jns     9f
    cmpb    $0, VCPU_areas_stale(%rdx)
    jne     9f
    mov     %rcx, VCPU_cr2(%rdx)
    mov     %rcx, INFO_cr2(%rsi)
    movb    $1, VCPU_kernel_mode(%rdx)
    swapgs
    mov     VCPU_cr3_kernel(%rdx), %rcx
    mov     %rcx, CI_cr3(%rsp)
    mov     %rcx, %cr3
    incq    CI_CNT_FAULT_FAST(%rsp)
    mov     VCPU_kernel_sp(%rdx), %rdi
    mov     UREGS_ss(%rsp), %rcx
31: mov     %rcx, -8(%rdi)
    mov     UREGS_rsp(%rsp), %rcx
32: mov     %rcx, -16(%rdi)
    mov     UREGS_rflags(%rsp), %rcx
33: mov     %rcx, -24(%rdi)
    movzwl  UREGS_cs(%rsp), %ecx
34: mov     %rcx, -32(%rdi)
    mov     UREGS_rip(%rsp), %rcx
35: mov     %rcx, -40(%rdi)
    mov     UREGS_error_code(%rsp), %ecx
    or      $4, %ecx
36: mov     %rcx, -48(%rdi)
37: mov     %r11, -56(%rdi)
    mov     UREGS_rcx(%rsp), %rcx
38: mov     %rcx, -64(%rdi)
    movb    $1, INFO_mask(%rsi)
    mov     UREGS_rflags(%rsp), %r11d
    and     $~EFLAGS_BOUNCE_CLEAR, %r11d
    mov     %rax, %rcx
    lea     -64(%rdi), %rax
    mov     %rax, UREGS_rsp(%rsp)
    mov     UREGS_rdi(%rsp), %rdi
    mov     UREGS_rsi(%rsp), %rsi
    mov     UREGS_rdx(%rsp), %rdx
    mov     UREGS_rax(%rsp), %rax
    mov     UREGS_rsp(%rsp), %rsp
    sysretq
9:  mov     UREGS_rsi(%rsp), %rsi
    mov     UREGS_rax(%rsp), %rax
    mov     UREGS_rcx(%rsp), %rcx
8:  mov     UREGS_rdx(%rsp), %rdx
    add     $UREGS_error_code, %rsp
    jmp     exception_common

    .irp    n, 31, 32, 33, 34, 35, 36, 37, 38
    EXTABLE(\n\()b, page_fault_frame_fault)
    .endr

/* The kernel's stack is not there: fatal. All registers but rdi, rsi, rcx, rdx, rax, which are
 * saved, are still the guest's. */
page_fault_frame_fault:
    mov     UREGS_rdi(%rsp), %rdi
    mov     UREGS_rsi(%rsp), %rsi
    mov     UREGS_rcx(%rsp), %rcx
    mov     UREGS_rdx(%rsp), %rdx
    mov     UREGS_rax(%rsp), %rax
    add     $UREGS_error_code, %rsp
    PUSH_REGS
    call    guest_stack_fault
    jmp     ret_to_guest

/* ---- System calls and hypercalls --------------------------------------------------------- */

/* The rest of cpu_info.regs, after rax and rdx: rax = guest's rsp, rcx = rip, r11 = rflags. */
.macro SAVE_FRAME
    movl    $VECTOR_SYSCALL, UREGS_entry_vector(%rsp)
    mov     %rcx, UREGS_rip(%rsp)
    movq    $FLAT_CS, UREGS_cs(%rsp)
    mov     %r11, UREGS_rflags(%rsp)
    mov     %rax, UREGS_rsp(%rsp)
    movq    $FLAT_SS, UREGS_ss(%rsp)
    mov     %rcx, UREGS_rcx(%rsp)
    mov     %r11, UREGS_r11(%rsp)
.endm
.macro SAVE_GPRS
    mov     %r8,  UREGS_r8(%rsp)
    mov     %r9,  UREGS_r9(%rsp)
    mov     %r10, UREGS_r10(%rsp)
    mov     %rbx, UREGS_rbx(%rsp)
    mov     %rbp, UREGS_rbp(%rsp)
    mov     %r12, UREGS_r12(%rsp)
    mov     %r13, UREGS_r13(%rsp)
    mov     %r14, UREGS_r14(%rsp)
    mov     %r15, UREGS_r15(%rsp)
.endm

/* rsp = &cpu_info; rax = guest's rsp, its rax is saved; rcx = rip; r11 = rflags. */
GLOBAL syscall_entry
    mov     %rdx, UREGS_rdx(%rsp)
    mov     CI_vcpu(%rsp), %rdx
    cmpb    $0, VCPU_kernel_mode(%rdx)
    je      syscall_from_user
    cmpl    $NR_IRET, UREGS_rax(%rsp)
    je      iret_hypercall
    cmpl    $NR_STACK_SWITCH, UREGS_rax(%rsp)
    je      stack_switch_hypercall

hypercall_in_c:
    SAVE_FRAME
    SAVE_GPRS
    mov     %rdi, UREGS_rdi(%rsp)
    mov     %rsi, UREGS_rsi(%rsp)
    /* No cld: the direction flag is one of those that syscall clears (SFMASK). */
    mov     UREGS_rax(%rsp), %eax       /* the number is 32 bits wide */
    mov     UREGS_rdx(%rsp), %rdx
    mov     %r10, %rcx
    cmp     $HYPERCALL_COUNT, %eax
    jae     3f
    incq    CI_hypercalls(%rsp,%rax,8)
    lea     hypercall_vector(%rip), %r11
    sti
    call    *(%r11,%rax,8)
    cli
1:  mov     %rax, UREGS_rax(%rsp)
    CHECK_WORK 2f
    /* The handlers left rbx, rbp, r12..r15 alone. sysret faults in ring 0 on a non-canonical
     * rip, which a syscall at the very end of the lower half leads to: upper half only. */
    mov     UREGS_rip(%rsp), %rcx
    test    %rcx, %rcx
    jns     restore_all
    mov     UREGS_rflags(%rsp), %r11
    mov     UREGS_rdi(%rsp), %rdi
    mov     UREGS_rsi(%rsp), %rsi
    mov     UREGS_rdx(%rsp), %rdx
    mov     UREGS_r8(%rsp), %r8
    mov     UREGS_r9(%rsp), %r9
    mov     UREGS_r10(%rsp), %r10
    mov     UREGS_rsp(%rsp), %rsp
    sysretq
2:  call    exit_to_guest_work
    jmp     restore_all
3:  mov     $-38, %rax                  /* -XEN_ENOSYS */
    jmp     1b

/*
 * A guest's system call: push the frame of PV-ABI 3.3 on its kernel stack and go to its handler
 * by sysret; rcx and r11 are the guest kernel's to lose. rdx = vcpu.
 */
syscall_from_user:
    mov     %rsi, UREGS_rsi(%rsp)
    mov     %rdi, UREGS_rdi(%rsp)
    mov     VCPU_info(%rdx), %rsi
    cmpb    $0, INFO_mask(%rsi)         /* user mode with events masked: odd */
    jne     syscall_user_slow
    cmpq    $0, VCPU_syscall_eip(%rdx)
    jns     syscall_user_slow           /* none, or not in the upper half */
    cmpb    $0, VCPU_areas_stale(%rdx)
    jne     syscall_user_slow
    movb    $1, VCPU_kernel_mode(%rdx)
    swapgs
    mov     VCPU_cr3_kernel(%rdx), %rdi
    mov     %rdi, CI_cr3(%rsp)
    mov     %rdi, %cr3
    incq    CI_CNT_SYSCALL(%rsp)
    mov     VCPU_kernel_sp(%rdx), %rdi  /* 16-aligned, not in our range */
11: movq    $FLAT_SS, -8(%rdi)
12: mov     %rax, -16(%rdi)
13: mov     %r11, -24(%rdi)             /* IF is set, IOPL 0: so the guest runs */
14: movq    $FLAT_CS, -32(%rdi)         /* mask byte 0 */
15: mov     %rcx, -40(%rdi)
16: mov     %r11, -48(%rdi)
17: mov     %rcx, -56(%rdi)
    and     $~EFLAGS_SYSCALL_CLEAR, %r11d
    mov     VCPU_syscall_mask(%rdx), %al
    mov     %al, INFO_mask(%rsi)
    mov     VCPU_syscall_eip(%rdx), %rcx
    test    %al, %al
    je      syscall_unmasked
    mov     %rdi, %rax
    mov     UREGS_rdi(%rsp), %rdi
    mov     UREGS_rsi(%rsp), %rsi
    mov     UREGS_rdx(%rsp), %rdx
    sub     $56, %rax
    mov     %rax, UREGS_rsp(%rsp)
    mov     UREGS_rax(%rsp), %rax
    mov     UREGS_rsp(%rsp), %rsp
    sysretq

    .irp    n, 11, 12, 13, 14, 15, 16, 17
    EXTABLE(\n\()b, syscall_frame_fault)
    .endr

/* The handler runs with events unmasked (NetBSD): look for one on the way. */
syscall_unmasked:
    lea     -56(%rdi), %rax
    SAVE_FRAME
    SAVE_GPRS
    cld
    jmp     ret_to_guest

/* rax = user's rsp still; the vCPU is in kernel mode already. Fatal for the guest. */
syscall_frame_fault:
    SAVE_FRAME
    SAVE_GPRS
    cld
    call    guest_stack_fault
    jmp     ret_to_guest

syscall_user_slow:
    SAVE_FRAME
    SAVE_GPRS
    cld
    mov     %rsp, %rdi
    call    syscall_from_user_slow
    jmp     ret_to_guest

/* syscall in 32-bit code; registers as at syscall_entry. */
GLOBAL syscall32_entry
    mov     %rdx, UREGS_rdx(%rsp)
    mov     %rsi, UREGS_rsi(%rsp)
    mov     %rdi, UREGS_rdi(%rsp)
    SAVE_FRAME
    SAVE_GPRS
    cld
    mov     %rsp, %rdi
    call    syscall32_from_guest
    jmp     ret_to_guest

/*
 * Hypercall iret, PV-ABI 3.7. rax = guest's rsp, rdx = vcpu; rcx and r11 are free. The frame:
 *   0 rax  8 r11  16 rcx  24 flags  32 rip  40 cs  48 rflags  56 rsp  64 ss
 */
iret_hypercall:
    mov     %rax, %r11
    sar     $43, %r11
    cmp     $-16, %r11                  /* our range: 0xffff800000000000 .. 0xffff87ffffffffff */
    je      iret_slow
21: testl   $0x100, 24(%rax)            /* VGCF_in_syscall */
    jnz     iret_slow
22: movzwl  40(%rax), %ecx
    mov     %ecx, %r11d
    or      $3, %ecx
    mov     %rcx, UREGS_cs(%rsp)
23: mov     (%rax), %rcx
    mov     %rcx, UREGS_rax(%rsp)
24: mov     8(%rax), %rcx
    mov     %rcx, UREGS_r11(%rsp)
25: mov     16(%rax), %rcx
    mov     %rcx, UREGS_rcx(%rsp)
26: mov     32(%rax), %rcx
    mov     %rcx, UREGS_rip(%rsp)
27: mov     56(%rax), %rcx
    mov     %rcx, UREGS_rsp(%rsp)
28: movzwl  64(%rax), %ecx
    or      $3, %ecx
    mov     %rcx, UREGS_ss(%rsp)
29: mov     48(%rax), %ecx
    mov     %ecx, %eax
    and     $~EFLAGS_IRET_CLEAR, %eax
    or      $EFLAGS_IF, %eax
    mov     %rax, UREGS_rflags(%rsp)
    and     $3, %r11d
    cmp     $3, %r11d
    jne     1f
    /* To user mode. */
    mov     VCPU_cr3_user(%rdx), %rax
    test    %rax, %rax
    jz      iret_no_user
    movb    $0, VCPU_kernel_mode(%rdx)
    mov     %rax, CI_cr3(%rsp)
    mov     %rax, %cr3
    incq    CI_CNT_IRET_USER(%rsp)
    swapgs
1:  movb    $0, VCPU_nmi_masked(%rdx)
    mov     VCPU_info(%rdx), %rdx
    bt      $9, %ecx                    /* the frame's IF */
    setnc   INFO_mask(%rdx)
    movzwl  (%rdx), %edx                /* CHECK_WORK for events; softirqs came as interrupts */
    dec     %edx
    cmp     $0xff, %edx
    jb      2f
    mov     UREGS_rdx(%rsp), %rdx
    mov     UREGS_rax(%rsp), %rax
    mov     UREGS_rcx(%rsp), %rcx
    mov     UREGS_r11(%rsp), %r11
    add     $UREGS_rip, %rsp
    .globl iret_to_guest_fast
iret_to_guest_fast:
    iretq
2:  SAVE_GPRS
    mov     %rdi, UREGS_rdi(%rsp)
    mov     %rsi, UREGS_rsi(%rsp)
    cld
    jmp     ret_to_guest

    EXTABLE(iret_to_guest_fast, iret_failed)
    .irp    n, 21, 22, 23, 24, 25, 26, 27, 28, 29
    EXTABLE(\n\()b, iret_slow)
    .endr

/* Flags that are rare, or a frame that cannot be read: from the start, in C. r11 and rcx, which
 * the guest does not expect back, are not known any more; rax may have been replaced. */
iret_slow:
    SAVE_FRAME
    SAVE_GPRS
    mov     %rdi, UREGS_rdi(%rsp)
    mov     %rsi, UREGS_rsi(%rsp)
    cld
    sti
    call    do_iret
    cli
    jmp     ret_to_guest

iret_no_user:
    SAVE_GPRS
    mov     %rdi, UREGS_rdi(%rsp)
    mov     %rsi, UREGS_rsi(%rsp)
    cld
    call    guest_no_user_root
    jmp     ret_to_guest

/*
 * Hypercall stack_switch (rdi = ss, rsi = sp), which a guest kernel makes at each switch between its tasks: as
 * do_stack_switch(), when nothing else has to be done on the way out. Registers as at syscall_entry, rdx = vcpu.
 */
stack_switch_hypercall:
    mov     %rdi, UREGS_rdi(%rsp)
    mov     %rsi, UREGS_rsi(%rsp)
    cmpl    $0, CI_softirqs(%rsp)
    jne     2f
    mov     VCPU_info(%rdx), %rdi       /* as CHECK_WORK */
    movzwl  (%rdi), %edi
    dec     %edi
    cmp     $0xff, %edi
    jb      2f
    test    %rcx, %rcx                  /* not by sysret: see above */
    jns     2f
    and     $~15, %rsi                  /* kernel_sp_sanitise(): what is not above our range is for C */
    lea     -256(%rsi), %rdi
    sar     $43, %rdi
    add     $15, %rdi
    cmp     $15, %rdi
    jae     2f
    mov     %rsi, VCPU_kernel_sp(%rdx)
    mov     UREGS_rdi(%rsp), %rdi
    mov     %rdi, VCPU_kernel_ss(%rdx)
    incq    (CI_hypercalls + 8 * NR_STACK_SWITCH)(%rsp)
    mov     UREGS_rsi(%rsp), %rsi
    mov     UREGS_rdx(%rsp), %rdx
    mov     %rax, %rsp
    xor     %eax, %eax
    sysretq
2:  mov     UREGS_rdi(%rsp), %rdi
    mov     UREGS_rsi(%rsp), %rsi
    jmp     hypercall_in_c

/* ---- Changes of stack -------------------------------------------------------------------- */

/* void return_to_guest(void): leave whatever runs on this CPU's stack, run current's guest. */
GLOBAL return_to_guest
    cli
    or      $(STACK_BYTES - 1), %rsp
    add     $(1 - CI_SIZE), %rsp
    jmp     ret_to_guest

/* void enter_idle(void): the same for the idle loop. */
GLOBAL enter_idle
    cli
    or      $(STACK_BYTES - 1), %rsp
    add     $(1 - CI_SIZE), %rsp
    xor     %ebp, %ebp
    call    idle_loop
    ud2

    .section .note.GNU-stack, "", @progbits
