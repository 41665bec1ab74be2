/* SPDX-License-Identifier: MIT */
/*
 * catch.h - for guests that provoke exceptions: which one came, and with which error code; the
 * iret hypercall with any frame; a small user program. For one file per guest.
 *
 * A guest calls catch_all(), then vector_of() any number of times, and traps_init() when it is done.
 */
#ifndef GUESTS_CATCH_H
#define GUESTS_CATCH_H

#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/mem.h"
#include "runtime/p2m.h"
#include "runtime/pagetable.h"
#include "runtime/start.h"

#define NO_TRAP (-1L)

static void *catch_resume[5];
static volatile long trapped;
static volatile uint64_t trapped_error;

/* Each handler leaves its vector and goes where the attempt began, whatever rsp was. */
__asm__(".text\n"
        ".macro catch_stub n\n"
        "catch_trap_\\n:\n"
        "    mov 16(%rsp), %rsi\n"
        "    mov $\\n, %edi\n"
        "    cld\n"
        "    jmp catch_caught\n"
        ".endm\n"
        ".irp n, 0, 1, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 16, 17, 19, 32\n"
        "catch_stub \\n\n"
        ".endr\n");

static void catch_caught(long vector, uint64_t error) __attribute__((noreturn, used));
static void catch_caught(long vector, uint64_t error)
{
    trapped = vector;
    trapped_error = error;
    __builtin_longjmp(catch_resume, 1);
}

#define CATCH_ENTRY(n) extern void catch_trap_##n(void);
CATCH_ENTRY(0) CATCH_ENTRY(1) CATCH_ENTRY(3) CATCH_ENTRY(4) CATCH_ENTRY(5) CATCH_ENTRY(6)
CATCH_ENTRY(7) CATCH_ENTRY(10) CATCH_ENTRY(11) CATCH_ENTRY(12) CATCH_ENTRY(13) CATCH_ENTRY(14)
CATCH_ENTRY(16) CATCH_ENTRY(17) CATCH_ENTRY(19) CATCH_ENTRY(32)

/* 0 or an error. */
static long catch_all(void)
{
#define CATCH(n, dpl) { n, 4 | dpl, FLAT_KERNEL_CS, (unsigned long)catch_trap_##n }
    static const struct trap_info table[] = {
        CATCH(0, 0), CATCH(1, 0), CATCH(3, 3), CATCH(4, 3), CATCH(5, 0), CATCH(6, 0), CATCH(7, 0),
        CATCH(10, 0), CATCH(11, 0), CATCH(12, 0), CATCH(13, 0), CATCH(14, 0), CATCH(16, 0),
        CATCH(17, 0), CATCH(19, 0), CATCH(32, 3), { 0, 0, 0, 0 },
    };

    return hc_set_trap_table(table);
}

/* The vector that what() ends with, or NO_TRAP. Of its own registers nothing is known then. */
static noinline long vector_of(void (*what)(void))
{
    trapped = NO_TRAP;
    trapped_error = 0;
    if (!__builtin_setjmp(catch_resume))
        what();
    __asm__ volatile("pushq $0x202; popfq" ::: "memory", "cc");
    return trapped;
}

/* ---- The iret hypercall -------------------------------------------------------------------- */

/* Where it is to lead; rip 0: to the label behind it; rsp 0: as it is; rax is the target's. */
static struct {
    uint64_t cs, ss, rflags, flags, rip, rsp, rax;
} iret_to;

/* What is found behind it. */
static struct {
    uint64_t rflags, cs, ss;
    uint8_t mask;               /* of upcalls, also behind an exception */
} iret_seen;

static noinline void iret_attempt(void)
{
    __asm__ volatile("lea 1f(%%rip), %%rax; mov %[rip], %%rcx; test %%rcx, %%rcx; cmovz %%rax, %%rcx;"
                     "mov %[rsp], %%rax; test %%rax, %%rax; cmovz %%rsp, %%rax;"
                     "push %[ss]; push %%rax; push %[rflags]; push %[cs];"
                     "push %%rcx; push %[flags]; push $0; push $0; push %[rax];"
                     "mov $23, %%eax; syscall; ud2;"
                     "1: pushfq; popq %[seen_flags]; cld;"
                     "mov %%cs, %%eax; mov %%rax, %[seen_cs];"
                     "mov %%ss, %%eax; mov %%rax, %[seen_ss]"
                     : [seen_flags] "=m"(iret_seen.rflags), [seen_cs] "=m"(iret_seen.cs),
                       [seen_ss] "=m"(iret_seen.ss)
                     : [ss] "m"(iret_to.ss), [cs] "m"(iret_to.cs), [rflags] "m"(iret_to.rflags),
                       [flags] "m"(iret_to.flags), [rip] "m"(iret_to.rip), [rsp] "m"(iret_to.rsp),
                       [rax] "m"(iret_to.rax)
                     : "rax", "rcx", "r11", "memory", "cc");
}

/* The vector that it ends with, or NO_TRAP. No upcall comes in between; ports are looked at afterwards. */
static long vector_of_iret(void)
{
    static unsigned long ports[ARRAY_SIZE(shared_info->evtchn_mask)];
    struct vcpu_info *vi = &shared_info->vcpu_info[0];

    memcpy(ports, (void *)shared_info->evtchn_mask, sizeof(ports));
    memset((void *)shared_info->evtchn_mask, 0xff, sizeof(ports));
    vi->evtchn_upcall_pending = 0;
    (void)vector_of(iret_attempt);
    iret_seen.mask = vi->evtchn_upcall_mask;
    vi->evtchn_upcall_mask = 1;
    memcpy((void *)shared_info->evtchn_mask, ports, sizeof(ports));
    vi->evtchn_pending_sel = ~0UL;
    vi->evtchn_upcall_pending = 1;
    return trapped;
}

#endif
