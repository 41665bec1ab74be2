/* SPDX-License-Identifier: MIT */
/* test_rate.c - rates as people write them, and the token bucket. */
/* LINK: lib/rate.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "lib/rate.h"

static uint64_t take(struct rate *r, uint32_t bytes, uint64_t now)
{
    uint64_t wait = rate_wait(r, now);

    if (!wait)
        rate_charge(r, bytes);
    return wait;
}

static void reads_xl_and_store_forms(void **state)
{
    static const struct { const char *text; uint64_t per_second, interval; } good[] = {
        { "10Mb/s", 1250000, 50000000 },   { "250KB/s", 250000, 50000000 },
        { "1MB/s@20ms", 1000000, 20000000 }, { "10Gb/s", 1250000000, 50000000 },
        { "8b/s@1s", 1, 1000000000 },      { "125000,100000", 1250000, 100000000 },
        { "5000,50000", 100000, 50000000 },
    };
    static const char *const bad[] = { "x", "10", "10M", "10Mb", "10Mb/", "10Mb/s ", "10Mb/s@",
        "10Mb/s@9h", "0B/s", "10Mb/s@0ms", "10,", "10,5x", "99999999999999999999B/s",
        "10Mb/s@100s", "99999999999999,1" };
    struct rate r;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(rate_parse(&r, good[i].text));
        assert_int_equal(r.per_second, good[i].per_second);
        assert_int_equal(r.interval, good[i].interval);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        r.per_second = 77;
        assert_false(rate_parse(&r, bad[i]));
        assert_int_equal(r.per_second, 77);
    }
    assert_true(rate_parse(&r, ""));
    assert_int_equal(r.per_second, 0);
    assert_true(rate_parse(&r, "0,0"));
    assert_int_equal(r.per_second, 0);
}

static void no_limit_always_passes(void **state)
{
    struct rate r;

    assert_true(rate_parse(&r, ""));
    rate_start(&r, 0);
    for (unsigned int i = 0; i < 1000; i++)
        assert_int_equal(take(&r, 65535, 0), 0);
}

/* Over ten seconds, what passes is the burst and ten seconds' worth, within one frame. */
static void passes_the_rate_and_no_more(void **state)
{
    struct rate r;
    uint64_t now = 5, passed = 0, end = now + 10000000000UL;

    assert_true(rate_parse(&r, "1MB/s"));
    rate_start(&r, now);
    while (now < end) {
        uint64_t wait = take(&r, 1500, now);

        if (wait) {
            assert_true(wait <= r.interval);
            now += wait;
        } else {
            passed += 1500;
        }
    }
    assert_in_range(passed, 10000000, 10000000 + RATE_BURST_MIN + 51500);
}

static void a_pause_gives_one_burst(void **state)
{
    struct rate r;
    uint64_t passed = 0, now = 1000000000000000UL;

    assert_true(rate_parse(&r, "1MB/s"));
    rate_start(&r, 0);
    while (!take(&r, 1000, now))
        passed += 1000;
    assert_in_range(passed, RATE_BURST_MIN, RATE_BURST_MIN + 1000);
}

/* The smallest bucket lasts a slow rate for long: a pause fills it no faster than that rate. */
static void a_pause_gives_a_slow_rate_what_is_due(void **state)
{
    struct rate r;
    uint64_t passed, now = 0;

    assert_true(rate_parse(&r, "8Kb/s"));
    rate_start(&r, now);
    while (!take(&r, 1000, now))
        ;
    now += 60000000000UL;
    for (passed = 0; !take(&r, 1000, now); passed += 1000)
        ;
    assert_in_range(passed, 59000, 61000);
    now += 1000000000000000UL;
    for (passed = 0; !take(&r, 1000, now); passed += 1000)
        ;
    assert_in_range(passed, RATE_BURST_MIN, RATE_BURST_MIN + 1000);
}

static void the_largest_frame_passes(void **state)
{
    struct rate r;

    assert_true(rate_parse(&r, "8b/s"));
    rate_start(&r, 0);
    assert_int_equal(take(&r, 65535, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_xl_and_store_forms), cmocka_unit_test(no_limit_always_passes),
        cmocka_unit_test(passes_the_rate_and_no_more), cmocka_unit_test(a_pause_gives_one_burst),
        cmocka_unit_test(a_pause_gives_a_slow_rate_what_is_due), cmocka_unit_test(the_largest_frame_passes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
