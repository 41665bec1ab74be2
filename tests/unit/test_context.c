/* SPDX-License-Identifier: MIT */
/* test_context.c - what of a vcpu_guest_context is accepted. */
/* LINK: hypervisor/domain/context.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "domain/context.h"

#define OURS 0xffff830000000000ul

static struct vcpu_guest_context c;

static void fresh(void)
{
    memset(&c, 0, sizeof(c));
    c.user_regs.rip = 0xffffffff81000000ul;
    c.gdt_ents = 16;
    c.ctrlreg[3] = 0x1234000;
    c.flags = VGCF_in_kernel;
}

static void ordinary(void **state)
{
    fresh();
    assert_int_equal(context_check(&c), 0);
    c.debugreg[6] = 0xffff0ff0;
    c.debugreg[7] = 0x400;
    assert_int_equal(context_check(&c), 0);
}

#define refused(field, value) \
    do { fresh(); c.field = (value); assert_int_equal(context_check(&c), -XEN_EINVAL); } while (0)

static void addresses(void **state)
{
    refused(user_regs.rip, 0x800000000000ul);
    refused(fs_base, 0x8000000000000000ul);
    refused(gs_base_kernel, 0x1000000000000000ul);
    refused(gs_base_user, 0xffff700000000000ul);
    refused(event_callback_eip, 0x800000000000ul);
    refused(failsafe_callback_eip, 0x800000000000ul);
    refused(syscall_callback_eip, 0x800000000000ul);
    refused(trap_ctxt[255].address, 0x800000000000ul);
    refused(ctrlreg[3], 1ul << 60);
    refused(ctrlreg[1], 1ul << 52);
}

static void user_mode_needs_a_root(void **state)
{
    refused(flags, 0);
    refused(flags, ~(unsigned long)VGCF_in_kernel);
    fresh();
    c.flags = 0;
    c.ctrlreg[1] = 0xfff;
    assert_int_equal(context_check(&c), -XEN_EINVAL);
    c.ctrlreg[1] = 0x2000;
    assert_int_equal(context_check(&c), 0);
}

static void descriptor_tables(void **state)
{
    refused(gdt_ents, FIRST_RESERVED_GDT_ENTRY + 1);
    refused(ldt_ents, LDT_MAX_ENTRIES + 1);
    fresh();
    c.ldt_ents = 18;
    c.ldt_base = 0xffffa00000001000ul;
    assert_int_equal(context_check(&c), 0);
    c.ldt_base += 8;
    assert_int_equal(context_check(&c), -XEN_EINVAL);
    c.ldt_base = OURS;
    assert_int_equal(context_check(&c), -XEN_EINVAL);
    c.ldt_base = 0xffff7fffffffful << 12;       /* runs into our range */
    assert_int_equal(context_check(&c), -XEN_EINVAL);
    /* NetBSD counts pages, not entries, and leaves rubbish in the other frames. */
    assert_int_equal(context_gdt_frames(1), 1);
    assert_int_equal(context_gdt_frames(512), 1);
    assert_int_equal(context_gdt_frames(513), 2);
    assert_int_equal(context_gdt_frames(FIRST_RESERVED_GDT_ENTRY), FIRST_RESERVED_GDT_PAGE);
    assert_int_equal(context_gdt_frames(0), 0);
}

static void translations(void **state)
{
    assert_int_equal(context_selector(0x10), 0x13);
    assert_int_equal(context_selector(0x0b), 0x0b);
    assert_int_equal(context_selector(0xe033), 0xe033);
    /* Linux gives its APs IOPL 1 there; a real IOPL or VM must never reach the machine. */
    assert_int_equal(context_iopl(0x1000), 1);
    assert_int_equal(context_eflags(0x1000), 0x202);
    assert_int_equal(context_eflags(~0ul) & 0x1ff000, 0x40000);    /* only AC of these */
    assert_int_equal(context_eflags(0) & 0x200, 0x200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary),
        cmocka_unit_test(addresses),
        cmocka_unit_test(user_mode_needs_a_root),
        cmocka_unit_test(descriptor_tables),
        cmocka_unit_test(translations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
