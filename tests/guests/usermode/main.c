/* SPDX-License-Identifier: MIT */
/*
 * usermode - a kernel with a user program, to try the ways between the two that Linux does not
 * use: system calls and page faults whose handlers run with events unmasked, the iret hypercall
 * with VGCF_in_syscall, events that interrupt the user program and the first instruction of a
 * handler. Prints "usermode: ok".
 */
#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/p2m.h"
#include "runtime/pagetable.h"
#include "runtime/start.h"
#include "tests/guests/user.h"

#define LOOPS       200u

static unsigned int failed;

#define CHECK(c) do { if (!(c)) { failed++; log_error("usermode: line %d: %s", __LINE__, #c); } } while (0)

/* What a handler sees; the order in which common_entry pushes. */
struct frame {
    uint64_t r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax;
    uint64_t rip, cs, rflags, rsp, ss;
};

static void *resume[5];
static uint64_t user_result[2];
static unsigned int nr_syscalls, nr_faults, nr_ints, nr_events;
static unsigned int iret_flags;                 /* for returns from system calls */
static bool expect_masked, raise_events;
static uint64_t *kernel_gs;

uint64_t kernel_entry(uint64_t what, struct frame *f) __attribute__((used));
uint64_t fault_error __attribute__((used));

/* Events are pending or not when a handler starts: the frame on top of ours is the same. */
__asm__(".macro kernel_handler name, nr, error\n"
        ".globl \\name\n"
        "\\name:\n"
        "    pop %rcx\n"
        "    pop %r11\n"
        "    .if \\error\n"
        "    popq fault_error(%rip)\n"
        "    .endif\n"
        "    push %rax\n"
        "    push %rcx\n"
        "    push %rdx\n"
        "    push %rsi\n"
        "    push %rdi\n"
        "    push %r8\n"
        "    push %r9\n"
        "    push %r10\n"
        "    push %r11\n"
        "    mov $\\nr, %edi\n"
        "    mov %rsp, %rsi\n"
        "    cld\n"
        "    call kernel_entry\n"
        "    mov %rax, fault_error(%rip)\n"
        "    pop %r11\n"
        "    pop %r10\n"
        "    pop %r9\n"
        "    pop %r8\n"
        "    pop %rdi\n"
        "    pop %rsi\n"
        "    pop %rdx\n"
        "    pop %rcx\n"
        "    pop %rax\n"
        "    pushq fault_error(%rip)\n"
        "    push %rcx\n"
        "    push %r11\n"
        "    push %rax\n"
        "    mov $23, %eax\n"
        "    syscall\n"
        "    ud2\n"
        ".endm\n"
        "kernel_handler on_syscall, 0, 0\n"
        "kernel_handler on_pagefault, 1, 1\n"
        "kernel_handler on_int, 2, 0\n"
        "kernel_handler on_event, 3, 0\n");
extern const char on_syscall[], on_pagefault[], on_int[], on_event[];

/* The user program: r12 counts what it finds wrong. System call n returns n + 1. */
__asm__(".pushsection .rodata\n"
        ".globl user_start, user_end\n"
        "user_start:\n"
        "    xor %r12d, %r12d\n"
        "    mov $200, %ebp\n"
        "1:  mov $0x1234567, %ebx\n"
        "    mov $0x89, %r15d\n"
        "    mov $0x99, %r9d\n"
        "    mov $41, %eax\n"
        "    std\n"
        "    syscall\n"
        "    pushfq\n"
        "    cld\n"
        "    pop %rdx\n"
        "    test $0x400, %edx\n"
        "    jz 9f\n"
        "    cmp $42, %rax\n"
        "    jne 9f\n"
        "    cmp $0x1234567, %rbx\n"
        "    jne 9f\n"
        "    cmp $0x99, %r9\n"
        "    jne 9f\n"
        "    cmp $0x89, %r15\n"
        "    jne 9f\n"
        "    mov %gs:0, %rax\n"
        "    cmp $0x5a5a, %rax\n"
        "    jne 9f\n"
        "    mov $0x11, %ecx\n"
        "    mov $0x22, %r11d\n"
        "    mov $0x33, %esi\n"
        "    movb $1, 0x500000\n"       /* faults; the handler skips its 8 bytes */
        "    cmp $0x11, %rcx\n"
        "    jne 9f\n"
        "    cmp $0x22, %r11\n"
        "    jne 9f\n"
        "    cmp $0x33, %rsi\n"
        "    jne 9f\n"
        "    int $0x85\n"
        "    int $0x80\n"
        "    cmp $0x22, %r11\n"
        "    je 2f\n"
        "9:  inc %r12d\n"
        "2:  dec %ebp\n"
        "    jnz 1b\n"
        "    mov $77, %eax\n"
        "    mov %r12, %rdi\n"
        "    syscall\n"
        "    ud2\n"
        "user_end:\n"
        ".popsection\n");
extern const char user_start[], user_end[];

static struct vcpu_info *info(void)
{
    return &shared_info->vcpu_info[0];
}

uint64_t kernel_entry(uint64_t what, struct frame *f)
{
    uint64_t gs;

    __asm__ volatile("mov %%gs:0, %0" : "=r"(gs));
    CHECK(gs == 0xa5a5);
    if (what == 3) {
        CHECK(info()->evtchn_upcall_mask == 1);
        CHECK(!(f->cs >> 32));
        info()->evtchn_upcall_pending = 0;
        nr_events++;
        return 0;
    }
    CHECK((f->cs & 0xffffffff) == FLAT_USER_CS64);
    CHECK(f->cs >> 32 == 0);                    /* the user program ran unmasked */
    CHECK((f->rflags & 0x3200) == 0x200);
    CHECK(f->ss == FLAT_USER_SS64);
    CHECK(info()->evtchn_upcall_mask == (what == 2 ? 0 : expect_masked));
    switch (what) {
    case 0:
        nr_syscalls++;
        if (f->rax == 77) {
            user_result[0] = 1;
            user_result[1] = f->rdi;
            __builtin_longjmp(resume, 1);
        }
        f->rax++;
        /* Comes in at the return to the user program. */
        if (raise_events)
            info()->evtchn_upcall_pending = 1;
        return iret_flags;
    case 1:
        CHECK(info()->arch.cr2 == USER_HOLE && fault_error == 6);
        nr_faults++;
        f->rip += 8;
        return 0;
    default:
        nr_ints++;
        return 0;
    }
}

static noinline void enter_user(void)
{
    __asm__ volatile("push %0; push %1; push $0x202; push %2; push %3; push $0; push $0; push $0; push $0;"
                     "mov $23, %%eax; syscall; ud2"
                     :: "r"((uint64_t)FLAT_USER_SS64), "r"(USER_DATA + 0xff0),
                        "r"((uint64_t)FLAT_USER_CS64), "r"(USER_CODE) : "memory", "rax");
}

/* iret to the user program; comes back by longjmp out of its last system call. */
static noinline void run_user(void)
{
    user_result[0] = 0;
    if (!__builtin_setjmp(resume))
        enter_user();
    info()->evtchn_upcall_mask = 1;
}

static void round_of(bool masked, bool in_syscall, bool events)
{
    struct trap_info traps[] = {
        { 14, masked ? 4 : 0, FLAT_KERNEL_CS, (unsigned long)on_pagefault },
        { 0x85, 3, FLAT_KERNEL_CS, (unsigned long)on_int },
        { 0x80, 3, FLAT_KERNEL_CS, (unsigned long)on_int },
        { 0, 0, 0, 0 },
    };
    struct callback_register cb = { .type = CALLBACKTYPE_syscall, .address = HC_PTR(on_syscall),
                                    .flags = masked ? CALLBACKF_mask_events : 0 };

    nr_syscalls = nr_faults = nr_ints = nr_events = 0;
    expect_masked = masked;
    iret_flags = in_syscall ? VGCF_in_syscall : 0;
    raise_events = events;
    CHECK(!hc_set_trap_table(traps));
    CHECK(!hc_callback_op(CALLBACKOP_register, &cb));
    run_user();
    CHECK(user_result[0] == 1);
    CHECK(user_result[1] == 0);
    CHECK(nr_syscalls == LOOPS + 1);
    CHECK(nr_faults == LOOPS);
    CHECK(nr_ints == 2 * LOOPS);
    CHECK(nr_events == (events ? LOOPS : 0));
}

void pv_main(void)
{
    static uint8_t stack[8192] __aligned(16);
    struct callback_register cb = { .type = CALLBACKTYPE_event, .address = HC_PTR(on_event) };

    kernel_gs = page_alloc_zeroed();
    kernel_gs[0] = 0xa5a5;
    *(uint64_t *)user_space(user_start, (size_t)(user_end - user_start)) = 0x5a5a;
    CHECK(!hc_callback_op(CALLBACKOP_register, &cb));
    CHECK(!hc_stack_switch(FLAT_KERNEL_SS, HC_PTR(stack + sizeof(stack))));
    CHECK(!hc_set_segment_base(SEGBASE_GS_USER, USER_DATA));
    CHECK(!hc_set_segment_base(SEGBASE_GS_KERNEL, HC_PTR(kernel_gs)));
    for (unsigned int i = 0; i < 8; i++)
        round_of(i & 1, i & 2, i & 4);
    log_info(failed ? "usermode: FAILED" : "usermode: ok");
    domain_shutdown(failed ? SHUTDOWN_crash : SHUTDOWN_poweroff);
}
