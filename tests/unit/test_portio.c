/* SPDX-License-Identifier: MIT */
/* test_portio.c - which I/O ports are the hypervisor's own. */
/* LINK: hypervisor/emul/portio.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "emul/portio.h"

static void test_ours(void **state)
{
    assert_true(portio_is_ours(0x20, 1));
    assert_true(portio_is_ours(0x21, 1));
    assert_false(portio_is_ours(0x22, 1));
    /* A wide access that starts below reaches in. */
    assert_false(portio_is_ours(0x1e, 2));
    assert_true(portio_is_ours(0x1f, 2));
    assert_true(portio_is_ours(0x1d, 4));
    assert_true(portio_is_ours(0x40, 4));
    assert_true(portio_is_ours(0x43, 1));
    assert_false(portio_is_ours(0x44, 4));
    assert_false(portio_is_ours(0xcf8, 4));
    assert_false(portio_is_ours(0xffff, 1));
    assert_false(portio_is_ours(0, 1));
    assert_false(portio_is_ours(1, 1));
}

static void test_serial(void **state)
{
    assert_false(portio_is_ours(0x3f8, 1));
    portio_reserve_serial(0x3f8);
    assert_true(portio_is_ours(0x3f8, 1));
    assert_true(portio_is_ours(0x3ff, 1));
    assert_true(portio_is_ours(0x3f5, 4));
    assert_false(portio_is_ours(0x2f8, 1));
    assert_false(portio_is_ours(0x400, 1));
    portio_reserve_serial(0);
    assert_false(portio_is_ours(0x3f8, 1));
    assert_false(portio_is_ours(0, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_ours), cmocka_unit_test(test_serial) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
