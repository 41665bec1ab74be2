/* SPDX-License-Identifier: MIT */
// The smallest PV guest: blocks for ever.  Used where only the cost of having a
// domain is wanted (creation, memory, idle), not of a Linux in it.
        .section .note.Xen, "", @note
.macro note type, desc:vararg
        .align 4
        .long 4, 2f - 1f, \type
        .asciz "Xen"
1:      \desc
2:      .align 4
.endm
        note 6, .asciz "testpv"                   // GUEST_OS
        note 5, .asciz "xen-3.0"                  // XEN_VERSION
        note 8, .asciz "generic"                  // LOADER
        note 3, .quad 0xffffffff80000000          // VIRT_BASE
        note 4, .quad 0xffffffff80000000          // PADDR_OFFSET
        note 1, .quad _start                      // ENTRY
        note 2, .quad hypercall_page              // HYPERCALL_PAGE
        note 9, .asciz "yes"                      // PAE_MODE
        .text
        .globl _start
_start: cld
1:      movl $1, %edi                             // SCHEDOP_block
        xorl %esi, %esi
        call hypercall_page + 32 * 29             // sched_op
        jmp 1b
        .balign 4096
hypercall_page:
        .fill 4096, 1, 0x90
