/* SPDX-License-Identifier: MIT */
/* LINK: hypervisor/sched/clock_scale.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "sched/clock.h"

static const uint64_t rates[] = {
    32768, 1193182, 3579545, 14318180, 100000000, 999999999, 1000000000, 1000000001,
    2596135000, 3000000000, 5300000000, 20000000000
};

/* A day of ticks is a day of nanoseconds, to one part in 10^9. */
static void exact_enough(void **state)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(rates); i++) {
        struct clock_scale s = clock_scale_for_hz(rates[i]);
        uint64_t day = 86400, ns = clock_scale_ticks(s, day * rates[i]);
        uint64_t want = day * NS_PER_SEC, off = ns > want ? ns - want : want - ns;

        assert_true(s.mul >= 0x80000000u);
        assert_true(off <= want / 1000000000 + 2);
    }
}

/* What guests compute (PV-ABI section 7) is what we compute. */
static void guest_formula(void **state)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(rates); i++) {
        struct clock_scale s = clock_scale_for_hz(rates[i]);
        uint64_t ticks = 12345678901UL, t = ticks;

        t = s.shift < 0 ? t >> -s.shift : t << s.shift;
        assert_int_equal(clock_scale_ticks(s, ticks),
                         (uint64_t)(((unsigned __int128)t * s.mul) >> 32));
    }
}

static void there_and_back(void **state)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(rates); i++) {
        struct clock_scale s = clock_scale_for_hz(rates[i]);

        for (uint64_t ns = 0; ns < 1UL << 60; ns = ns * 3 + 1000003) {
            uint64_t ticks = clock_unscale_ns(s, ns), again = clock_scale_ticks(s, ticks);
            uint64_t grain = NS_PER_SEC / rates[i] + 8 + ns / (1UL << 31);

            assert_true(again <= ns && ns - again <= grain);
        }
    }
}

static void never_goes_back(void **state)
{
    struct clock_scale s = clock_scale_for_hz(2596135000);
    uint64_t last = 0;

    for (uint64_t t = 1UL << 40; t < (1UL << 40) + 20000; t++) {
        uint64_t ns = clock_scale_ticks(s, t);

        assert_true(ns >= last);
        last = ns;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_enough),
        cmocka_unit_test(guest_formula),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(never_goes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
