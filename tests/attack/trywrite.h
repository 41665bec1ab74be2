/* SPDX-License-Identifier: MIT */
/* trywrite.h - a store that may fault, as try_read64() of runtime/traps.h is a load. */
#ifndef ATTACK_TRYWRITE_H
#define ATTACK_TRYWRITE_H

#include "compiler.h"

/* False: it cannot be written there. */
static inline bool try_write64(volatile uint64_t *p, uint64_t v)
{
    bool ok = true;

    __asm__ volatile("1: mov %1, (%2)\n"
                     "2:\n"
                     ".pushsection .text.fixup, \"ax\"\n"
                     "3: movb $0, %0\n"
                     "   jmp 2b\n"
                     ".popsection\n"
                     ".pushsection .extable, \"a\"\n"
                     ".quad 1b, 3b\n"
                     ".popsection\n"
                     : "+q"(ok) : "r"(v), "r"(p) : "memory");
    return ok;
}

#endif
