/* SPDX-License-Identifier: MIT */
/*
 * touch.h - for guests that read, write and execute where they should not, in kernel and in user
 * mode. For one file per guest, which calls catch_all() (catch.h) and touch_begin() first.
 */
#ifndef GUESTS_TOUCH_H
#define GUESTS_TOUCH_H

#include "tests/guests/catch.h"
#include "tests/guests/user.h"

/* By kernel and user alike, the address in rax; ud2 when nothing is wrong with it. */
__asm__(".text\n"
        "touch_start:\n"
        "touch_read: mov (%rax), %rax; ud2\n"
        "touch_write: mov %rax, (%rax); ud2\n"
        "touch_jump: jmp *%rax\n"
        "touch_end:\n");
extern const char touch_start[], touch_read[], touch_write[], touch_jump[], touch_end[];

#define TOUCH_READ  touch_read
#define TOUCH_WRITE touch_write
#define TOUCH_JUMP  touch_jump
#define TOUCHED     6L              /* the vector of ud2 */

static uint64_t touched;            /* the address */

static void touch_begin(void)
{
    static uint8_t stack[8192] __aligned(16);

    (void)user_space(touch_start, (size_t)(touch_end - touch_start));
    if (hc_stack_switch(FLAT_KERNEL_SS, HC_PTR(stack + sizeof(stack))))
        panic("no kernel stack");
}

static long touch(uint64_t cs, uint64_t ss, uint64_t rip, uint64_t rsp)
{
    memset(&iret_to, 0, sizeof(iret_to));
    iret_to.cs = cs;
    iret_to.ss = ss;
    iret_to.rflags = 0x202;
    iret_to.rip = rip;
    iret_to.rsp = rsp;
    iret_to.rax = touched;
    return vector_of_iret();
}

/* The vector that it ends with; trapped_error is the error code. */
static long by_kernel(const char *what)
{
    return touch(FLAT_KERNEL_CS & ~3UL, FLAT_KERNEL_SS, (uint64_t)what, 0);
}

static long by_user(const char *what)
{
    return touch(FLAT_USER_CS64, FLAT_USER_SS64, USER_CODE + (uint64_t)(what - touch_start),
                 USER_DATA + 0xff0);
}

#endif
