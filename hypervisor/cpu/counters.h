/* SPDX-License-Identifier: MIT */
/*
 * counters.h - how often things happened, per CPU: one increment of this CPU's memory each.
 *
 * dom0 reads the sums, with those of hypercalls, by XEN_SYSCTL_perfc_op (domain/perfc.c). They
 * wrap; a reader subtracts two readings.
 */
#ifndef CPU_COUNTERS_H
#define CPU_COUNTERS_H

#include "cpu/percpu.h"

/* The names are what dom0 sees, in this order: X(enumerator, name). */
#define COUNTERS(X) \
    X(CNT_CR3, "cr3 loads")                 /* dom0 sees them with those of the next three */ \
    X(CNT_SYSCALL, "system calls")          /* these three in cpu/entry.S, with one CR3 load each */ \
    X(CNT_FAULT_FAST, "page faults reflected at once") \
    X(CNT_IRET_USER, "returns to user mode") \
    X(CNT_FLUSH_ALL, "tlb flushes")         /* of everything, other than by a CR3 load */ \
    X(CNT_INVLPG, "invlpg") \
    X(CNT_IPI, "ipis sent") \
    X(CNT_IRQ, "interrupts") \
    X(CNT_SWITCH, "context switches") \
    X(CNT_SWITCH_IDLE, "context switches to idle") \
    X(CNT_PAGEFAULT, "page faults handled in c") \
    X(CNT_EXCEPTION, "exceptions reflected") \
    X(CNT_UPCALL, "upcalls") \
    X(CNT_EMULATED, "instructions emulated") \
    X(CNT_PTWRITE, "page table writes emulated") \
    X(CNT_EVENT, "events sent") \
    X(CNT_GRANT_MAP, "grants mapped") \
    X(CNT_GRANT_COPY, "grant copies") \
    X(CNT_GRANT_BYTES, "bytes copied by grant") \
    X(CNT_FLIP, "flips")                    /* exchanges of two frames */ \
    X(CNT_FLIP_REFUSED, "flips refused") \
    X(CNT_FLIP_SCRUBBED, "bytes scrubbed by flips") \
    X(CNT_FLIP_REST, "flips at rest")

#define COUNTER_ENUM(id, name) id,
enum counter { COUNTERS(COUNTER_ENUM) NR_COUNTERS };

_Static_assert(NR_COUNTERS <= ARRAY_SIZE(((struct cpu_info *)0)->counters), "room for them");

static __always_inline void count_add(enum counter c, uint64_t n)
{
    this_cpu_info()->counters[c] += n;
}

static __always_inline void count(enum counter c)
{
    count_add(c, 1);
}

#endif
