/* SPDX-License-Identifier: MIT */
/*
 * head.S - where boot loaders enter: multiboot 1 and 2 headers, 32-bit entry, long mode, C.
 *
 * Both loaders enter in 32-bit protected mode without paging: eax = magic, ebx = information.
 * First page tables: low 4 GiB once at 0 and once at DIRECTMAP_START, the image at its linked
 * address; 2 MiB pages. mm/map.c replaces them.
 */
#include "layout.h"
#include "cpu/percpu.h"

#define PHYS(sym)   ((sym) - HV_IMAGE_BASE)

#define MB1_MAGIC   0x1badb002
#define MB1_FLAGS   0x00000003          /* modules on page boundaries; memory map wanted */
#define MB2_MAGIC   0xe85250d6

#define COM1        0x3f8

    .section .boot.header, "a"
    .balign 8
    .long   MB1_MAGIC, MB1_FLAGS, -(MB1_MAGIC + MB1_FLAGS)

    .balign 8
mb2_header:
    .long   MB2_MAGIC, 0, mb2_header_end - mb2_header
    .long   -(MB2_MAGIC + 0 + (mb2_header_end - mb2_header))
    .balign 8
    .short  6, 0                        /* modules on page boundaries */
    .long   8
    .balign 8
    .short  0, 0                        /* end */
    .long   8
mb2_header_end:

/* ---- 32 bits ---- */
    .section .boot.text, "ax"
    .code32
    .globl  boot_entry
boot_entry:
    cli
    cld
    movl    %eax, %edi                  /* magic, hv_main's first argument */
    movl    %ebx, %ebp
    movl    $PHYS(boot_stack) + STACK_SIZE, %esp

    movl    $0x80000000, %eax
    cpuid
    cmpl    $0x80000001, %eax
    jb      no_long_mode
    movl    $0x80000001, %eax
    cpuid
    andl    $(1 << 29 | 1 << 20), %edx  /* long mode and no-execute */
    cmpl    $(1 << 29 | 1 << 20), %edx
    jne     no_long_mode

    /* L2s: 4 GiB in 2 MiB pages, present, writable, accessed, dirty. */
    movl    $PHYS(boot_l2), %ebx
    movl    $0xe3, %eax
    xorl    %ecx, %ecx
1:  movl    %eax, (%ebx, %ecx, 8)
    movl    $0, 4(%ebx, %ecx, 8)
    addl    $0x200000, %eax
    incl    %ecx
    cmpl    $2048, %ecx
    jne     1b

    movl    $PHYS(boot_l3), %ecx
    leal    0x63(%ebx), %eax
    movl    %eax, (%ecx)
    addl    $0x1000, %eax
    movl    %eax, 8(%ecx)
    addl    $0x1000, %eax
    movl    %eax, 16(%ecx)
    addl    $0x1000, %eax
    movl    %eax, 24(%ecx)
    leal    0x63(%ebx), %eax
    movl    $PHYS(boot_l3_image), %edx
    movl    %eax, ((HV_IMAGE_BASE >> 30) & 511) * 8(%edx)

    movl    $PHYS(boot_l4), %ebx
    leal    0x63(%ecx), %eax
    movl    %eax, (%ebx)
    movl    %eax, HV_SLOT_DIRECTMAP * 8(%ebx)
    leal    0x63(%edx), %eax
    movl    %eax, HV_SLOT_IMAGE * 8(%ebx)

    movl    %ebp, %esi                  /* information, second argument */
    movl    $boot_gdtr, %eax
    lgdt    (%eax)
    call    enter_long_mode             /* from here on 64 bits, interrupts off */
    .code64
    movabsq $boot_start64, %rax
    jmp     *%rax

/* To 64-bit mode on boot_l4, returning to the caller. Also for application processors, which
 * come here from boot/trampoline.S with the same GDT; keeps edi and esi, needs no memory but
 * the return address. */
    .code32
    .globl  enter_long_mode
enter_long_mode:
    movl    $0x6a0, %eax                /* CR4: PAE, PGE, MCE off, OSFXSR, OSXMMEXCPT */
    movl    %eax, %cr4
    movl    $PHYS(boot_l4), %eax
    movl    %eax, %cr3
    movl    $0xc0000080, %ecx           /* EFER: SCE, LME, NXE */
    rdmsr
    orl     $0x901, %eax
    wrmsr
    movl    $0x80050033, %eax           /* CR0: PG AM WP NE ET MP PE */
    movl    %eax, %cr0
    popl    %eax
    ljmp    $0x08, $1f
    .code64
1:  movl    %eax, %eax
    jmp     *%rax

    .code32
no_long_mode:
    movl    $no_long_mode_text, %esi
1:  lodsb
    testb   %al, %al
    jz      2f
    movw    $COM1, %dx
    outb    %al, %dx
    jmp     1b
2:  hlt
    jmp     2b

    .section .boot.data, "aw"
no_long_mode_text:
    .asciz  "\r\nThis CPU is not 64-bit with no-execute pages; Sluice needs both.\r\n"
    .balign 8
    .globl  boot_gdt
boot_gdt:
    .quad   0
    .quad   0x00af9b000000ffff          /* 0x08: code, 64 bits */
    .quad   0x00cf93000000ffff          /* 0x10: data */
    .quad   0x00cf9b000000ffff          /* 0x18: code, 32 bits */
    .globl  boot_gdtr
boot_gdtr:
    .short  4 * 8 - 1
    .long   boot_gdt
    .long   0

/* ---- 64 bits, at the linked address ---- */
    .section .text.boot, "ax"
    .code64
boot_start64:
    xorl    %eax, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %fs
    movl    %eax, %gs
    movl    %eax, %ss
    leaq    boot_stack + STACK_SIZE(%rip), %rsp
    movl    cpu_info_bytes(%rip), %eax
    subq    %rax, %rsp
    andq    $-16, %rsp
    xorl    %ebp, %ebp
    call    hv_main
    ud2

/* Exceptions before traps_init(): one stub each, all end in early_trap(). */
    .macro  early_stub n
    .balign 16
    .if (\n == 8) || (\n >= 10 && \n <= 14) || (\n == 17) || (\n == 21)
    .else
    pushq   $0
    .endif
    pushq   $\n
    jmp     early_common
    .endm

    .globl  early_stubs
    .balign 16
early_stubs:
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    early_stub \n
    .endr

early_common:
    movq    %rsp, %rdi                  /* vector, error code, rip, cs, rflags, rsp, ss */
    movq    %rbp, %rsi
    andq    $-16, %rsp
    call    early_trap
    ud2

    .section .bss.stack, "aw", @nobits
    .balign STACK_SIZE
    .globl  boot_stack
boot_stack:
    .skip   STACK_SIZE

    .section .bss.page_aligned, "aw", @nobits
    .balign 4096
    .globl  boot_l4
boot_l4:
    .skip   4096
boot_l3:
    .skip   4096
boot_l3_image:
    .skip   4096
boot_l2:
    .skip   4 * 4096

    .section .note.GNU-stack, "", @progbits
