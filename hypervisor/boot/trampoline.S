/* SPDX-License-Identifier: MIT */
/*
 * trampoline.S - from the 16-bit start of an application processor to C.
 *
 * trampoline_start..end is copied to a page below 1 MiB; cs:0 is its first byte. From there it
 * jumps to the low part of the image, which runs where it was loaded. One processor at a time.
 */
#include "layout.h"

#define PHYS(sym)   ((sym) - HV_IMAGE_BASE)

    .section .rodata, "a"
    .code16
    .globl  trampoline_start, trampoline_end
trampoline_start:
    cli
    cld
    movw    %cs, %ax
    movw    %ax, %ds
    lgdtl   trampoline_gdtr - trampoline_start
    movl    $1, %eax
    movl    %eax, %cr0
    ljmpl   $0x18, $trampoline32
trampoline_gdtr:
    .short  4 * 8 - 1
    .long   boot_gdt
trampoline_end:

    .section .boot.text, "ax"
    .code32
trampoline32:
    movl    $0x10, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
    movl    $PHYS(trampoline_stack_end), %esp
    call    enter_long_mode
    .code64
    movabsq $trampoline64, %rax
    jmp     *%rax

    .section .text.boot, "ax"
trampoline64:
    xorl    %eax, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %fs
    movl    %eax, %gs
    movl    %eax, %ss
    movq    ap_cr3(%rip), %rax
    movq    %rax, %cr3
    movq    ap_cpu_info(%rip), %rsp
    andq    $-16, %rsp
    xorl    %ebp, %ebp
    call    smp_ap_entry
    ud2

    .section .bss, "aw", @nobits
    .balign 16
    .skip   64
trampoline_stack_end:
    .globl  ap_cr3, ap_cpu_info
ap_cr3:
    .skip   8
ap_cpu_info:
    .skip   8

    .section .note.GNU-stack, "", @progbits
