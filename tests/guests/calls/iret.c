/* SPDX-License-Identifier: MIT */
/*
 * iret.c - the iret hypercall with frames that are odd: where it leads, or what it ends with. Only back into
 * kernel mode: a guest without page tables for user mode that asks for that is ended.
 */
#include "tests/guests/calls/calls.h"
#include "runtime/traps.h"

#define NO_TRAP (-1L)

static void *resume[5];
static volatile long trapped;
static volatile uint64_t trapped_error;

/* What is found behind an iret. */
static struct {
    uint64_t rflags, cs, ss;
    uint8_t mask;
} seen;

/* Each handler leaves its vector and goes where the attempt began, whatever rsp was. */
__asm__(".macro iret_stub n\n"
        ".globl iret_trap_\\n\n"
        "iret_trap_\\n:\n"
        "    mov 16(%rsp), %rsi\n"
        "    mov $\\n, %edi\n"
        "    cld\n"
        "    jmp iret_caught\n"
        ".endm\n"
        ".irp n, 1, 6, 10, 11, 12, 13, 14, 17\n"
        "iret_stub \\n\n"
        ".endr\n");

void iret_caught(long vector, uint64_t error) __attribute__((noreturn, used));
void iret_caught(long vector, uint64_t error)
{
    trapped = vector;
    trapped_error = error;
    __builtin_longjmp(resume, 1);
}

#define TRAP_ENTRY(n) extern void iret_trap_##n(void);
TRAP_ENTRY(1) TRAP_ENTRY(6) TRAP_ENTRY(10) TRAP_ENTRY(11) TRAP_ENTRY(12) TRAP_ENTRY(13)
TRAP_ENTRY(14) TRAP_ENTRY(17)

static void catch_all(void)
{
#define TRAP(n) { n, 4, FLAT_KERNEL_CS, (unsigned long)iret_trap_##n }
    static const struct trap_info table[] = {
        TRAP(1), TRAP(6), TRAP(10), TRAP(11), TRAP(12), TRAP(13), TRAP(14), TRAP(17), { 0, 0, 0, 0 },
    };

    MUST(hc_set_trap_table(table) == 0);
}

/* Where it is to lead; rip 0: to the label behind it. */
static struct {
    uint64_t cs, ss, rflags, flags, rip;
} to;

/* A function of its own: what registers hold in it is lost when it ends with a trap. */
static noinline void attempt(void)
{
    __asm__ volatile("lea 1f(%%rip), %%rax; mov %[rip], %%rcx; test %%rcx, %%rcx; cmovz %%rax, %%rcx;"
                     "mov %%rsp, %%rax; push %[ss]; push %%rax; push %[rflags]; push %[cs];"
                     "push %%rcx; push %[flags]; push $0; push $0; push $0;"
                     "mov $23, %%eax; syscall; ud2;"
                     "1: pushfq; popq %[seen_flags]; cld;"
                     "mov %%cs, %%eax; mov %%rax, %[seen_cs];"
                     "mov %%ss, %%eax; mov %%rax, %[seen_ss]"
                     : [seen_flags] "=m"(seen.rflags), [seen_cs] "=m"(seen.cs), [seen_ss] "=m"(seen.ss)
                     : [ss] "m"(to.ss), [cs] "m"(to.cs), [rflags] "m"(to.rflags),
                       [flags] "m"(to.flags), [rip] "m"(to.rip)
                     : "rax", "rcx", "r11", "memory", "cc");
}

/* The vector that it ends with, or NO_TRAP: then seen says how it is there. */
static noinline long iret(uint64_t cs, uint64_t ss, uint64_t rflags, uint64_t flags, uint64_t rip)
{
    static unsigned long ports[ARRAY_SIZE(shared_info->evtchn_mask)];
    struct vcpu_info *vi = &shared_info->vcpu_info[0];

    /* No upcall in between; the ports are looked at afterwards. */
    memcpy(ports, (void *)shared_info->evtchn_mask, sizeof(ports));
    memset((void *)shared_info->evtchn_mask, 0xff, sizeof(ports));
    vi->evtchn_upcall_pending = 0;
    trapped = NO_TRAP;
    trapped_error = 0;
    to.cs = cs;
    to.ss = ss;
    to.rflags = rflags;
    to.flags = flags;
    to.rip = rip;
    if (!__builtin_setjmp(resume))
        attempt();
    seen.mask = vi->evtchn_upcall_mask;
    vi->evtchn_upcall_mask = 1;
    memcpy((void *)shared_info->evtchn_mask, ports, sizeof(ports));
    vi->evtchn_pending_sel = ~0UL;
    vi->evtchn_upcall_pending = 1;
    __asm__ volatile("pushq $0x202; popfq" ::: "memory", "cc");
    return trapped;
}

/* Bits that the arithmetic before has left do not count. */
#define SEEN_FLAGS ((long)(seen.rflags & ~0x8d5UL))

/* In one line, as there are many: flags, selectors, mask. */
static long found(void)
{
    return SEEN_FLAGS << 36 | (long)((seen.cs & 0xffff) << 20 | (seen.ss & 0xffff) << 4 | seen.mask);
}

static void where(void)
{
    if (trapped == NO_TRAP)
        TRY(found());
    else
        TRY(trapped_error);
}

void try_iret(void)
{
    static const uint64_t rflags[] = {
        0, 2, 0x202, 0x602, 0x1202, 0x3202, 0x3002, 0x4202, 0x8202, 0x10202, 0x20202, 0x40202,
        0x80202, 0x100202, 0x180202, 0x200202, 0x400202, 0xffffffff00000202,
    };
    static const uint64_t selectors[] = {
        0xe030, 0xe028, 0xe008, 0xe010, 0xe040, 0xe050, 0xfff8, 0, 0xffffe030,
    };
    static const uint64_t stacks[] = {
        0xe02b, 0xe028, 0xe033, 0xe010, 0xe013, 0xe043, 0xfffb, 0xffffe02b,
    };
    static const uint64_t rips[] = { 0x1000, 0x1000000000000, HV_ADDR, BAD_ADDR };

    catch_all();
    for (size_t i = 0; i < ARRAY_SIZE(rflags); i++) {
        about("iret, flags %lx", rflags[i]);
        TRY(iret(0xe030, 0xe02b, rflags[i], 0, 0));
        where();
    }
    for (size_t i = 0; i < ARRAY_SIZE(selectors); i++) {
        about("iret, cs %lx", selectors[i]);
        TRY(iret(selectors[i], 0xe02b, 0x202, 0, 0));
        where();
    }
    for (size_t i = 0; i < ARRAY_SIZE(stacks); i++) {
        about("iret, ss %lx", stacks[i]);
        TRY(iret(0xe030, stacks[i], 0x202, 0, 0));
        where();
    }
    for (size_t i = 0; i < ARRAY_SIZE(rips); i++) {
        about("iret, rip %lx", rips[i]);
        TRY(iret(0xe030, 0xe02b, 0x202, 0, rips[i]));
        where();
    }
    for (uint64_t bit = 1; bit; bit <<= 1) {
        about("iret, word %lx", bit);
        TRY(iret(0xe030, 0xe02b, 0x202, bit, 0));
        where();
    }
    traps_init();
}
