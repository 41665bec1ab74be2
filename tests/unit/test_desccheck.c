/* SPDX-License-Identifier: MIT */
/* test_desccheck.c - segment descriptors of guests. */
/* LINK: hypervisor/mm/desccheck.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "mm/desccheck.h"

static uint64_t desc(unsigned int type, bool s, unsigned int dpl, bool p, unsigned int selector)
{
    return (uint64_t)type << 40 | (uint64_t)s << 44 | (uint64_t)dpl << 45 | (uint64_t)p << 47 |
           (uint64_t)selector << 16;
}

static unsigned int dpl_of(uint64_t d)
{
    return (d >> 45) & 3;
}

static void not_present_passes(void **state)
{
    for (unsigned int type = 0; type < 16; type++) {
        for (unsigned int s = 0; s < 2; s++) {
            uint64_t d = desc(type, s, 0, false, 0x1234), was = d;
            assert_true(descriptor_check(&d));
            assert_int_equal(d, was);
        }
    }
}

static void segments_are_ring_3(void **state)
{
    for (unsigned int type = 0; type < 16; type++) {
        for (unsigned int dpl = 0; dpl < 4; dpl++) {
            uint64_t d = desc(type, true, dpl, true, 0);
            assert_true(descriptor_check(&d));
            assert_int_equal(dpl_of(d), 3);
        }
    }
}

static void only_call_gates(void **state)
{
    for (unsigned int type = 1; type < 16; type++) {
        uint64_t d = desc(type, false, 3, true, 0x0b), was = d;
        bool ok = descriptor_check(&d);

        assert_int_equal(ok, type == 12);
        if (ok)
            assert_int_equal(dpl_of(d), 0);
        else
            assert_int_equal(d, was);
    }
}

static void gate_targets(void **state)
{
    static const struct { unsigned int sel; bool ok; } t[] = {
        { 0, true }, { 3, true }, { 0x0b, true }, { 0x08, false }, { 0x47, true },
        { 0xe008, false }, { 0xe00b, false }, { 0xe013, false }, { 0xe023, true },
        { 0xe02b, false }, { 0xe033, true }, { 0xe043, false }, { 0xfffb, false },
    };

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        uint64_t d = desc(12, false, 3, true, t[i].sel);
        assert_int_equal(descriptor_check(&d), t[i].ok);
    }
}

static void one_bad_spoils_the_page(void **state)
{
    uint64_t page[512] = { 0 };

    page[3] = desc(10, true, 0, true, 0);
    assert_true(descriptors_check(page, 512));
    assert_int_equal(dpl_of(page[3]), 3);
    page[511] = desc(14, false, 3, true, 0);    /* interrupt gate */
    assert_false(descriptors_check(page, 512));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(not_present_passes), cmocka_unit_test(segments_are_ring_3),
        cmocka_unit_test(only_call_gates),    cmocka_unit_test(gate_targets),
        cmocka_unit_test(one_bad_spoils_the_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
