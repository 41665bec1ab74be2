/* SPDX-License-Identifier: MIT */
/*
 * oldguest.S - a guest of the time before ELF notes: a __xen_guest section, p_paddr virtual, a hypercall
 * page to be filled, the p2m list in the initial mapping. Checks what it was given; powers off if
 * all is well, else crashes.
 */
        .section __xen_guest, "a"
        .ascii "GUEST_OS=old,GUEST_VER=1,XEN_VER=xen-3.0,LOADER=generic,VIRT_BASE=0xffffffff80000000,"
        .ascii "ELF_PADDR_OFFSET=0xffffffff80000000,VIRT_ENTRY=0xffffffff80001000,"
        .asciz "HYPERCALL_PAGE=0x00000002,BSD_SYMTAB=yes"
        .text
        .globl _start
_start: cld
        movq    0x68(%rsi), %rbx        /* mfn_list: page 0's frame maps back to page 0 */
        cmpq    %rsi, %rbx              /* and the list lies below start_info */
        jae     bad
        movq    (%rbx), %rax
        movq    $0xffff800000000000, %rdx
        cmpq    $0, (%rdx, %rax, 8)
        jne     bad
        cmpl    $0, end                 /* no symbol table */
        jne     bad
        movq    0x58(%rsi), %rax        /* pt_base: readable, and the L4 maps something */
        cmpq    $0, 4088(%rax)
        je      bad
        /* Arguments other than rax, and rcx and r11, survive a hypercall. */
        movq    $0x1111, %rcx
        movq    $0x2222, %r11
        xorl    %edi, %edi              /* xen_version(0) */
        movl    $0x3333, %esi
        call    hypercall_page + 32 * 17
        cmpq    $0x1111, %rcx
        jne     bad
        cmpq    $0x2222, %r11
        jne     bad
        cmpl    $0x3333, %esi
        jne     bad
        movl    $2, %edi                /* sched_op(shutdown, poweroff) */
        leaq    reason(%rip), %rsi
        call    hypercall_page + 32 * 29
bad:    ud2
reason: .long   0
        .balign 4096
hypercall_page:
        .fill   4096, 1, 0x90
        .bss
        .fill   5000
