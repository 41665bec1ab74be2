/* SPDX-License-Identifier: MIT */
/*
 * extable.h - instructions of ours that may fault, and where to go on then.
 *
 * An entry is a pair of addresses: of the instruction, and of its fix-up. When an exception hits
 * one of these instructions in the hypervisor, traps.c continues at the fix-up, with the
 * registers as they were at the faulting instruction.
 */
#ifndef CPU_EXTABLE_H
#define CPU_EXTABLE_H

#ifdef __ASSEMBLY__
#define EXTABLE(from, to) \
    .pushsection ex_table, "a"; .balign 8; .quad from, to; .popsection
#else
#include "compiler.h"

/* For inline assembly: "1: insn ... 2: ..." EXTABLE("1b", "2b"). */
#define EXTABLE(from, to) \
    ".pushsection ex_table, \"a\"\n\t.balign 8\n\t.quad " from ", " to "\n\t.popsection\n\t"

/* The fix-up of the instruction at rip, or 0. */
uint64_t extable_find(uint64_t rip);
#endif

#endif
