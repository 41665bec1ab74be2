/* SPDX-License-Identifier: MIT */
/* LINK: toolstack/cli/units.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "toolstack/cli/units.h"

static void memory(void **state)
{
    static const struct { const char *s; uint64_t kib; } good[] = {
        { "512", 524288 }, { "512m", 524288 }, { "512M", 524288 }, { "2g", 2097152 }, { "1t", 1 << 30 },
        { "1048576k", 1048576 }, { "4096b", 4 }, { "1", 1024 }, { "8388607T", 8388607ull << 30 },
    };
    static const char *const bad[] = {
        "", "m", "0", "0g", "1023b", "512mb", "512 m", " 512", "-1", "1.5g", "0x200", "512x",
        "8388608t", "18446744073709551616", "99999999999999999999g",
    };
    uint64_t kib;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(units_memory_kib(good[i].s, &kib));
        assert_int_equal(kib, good[i].kib);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (units_memory_kib(bad[i], &kib))
            fail_msg("accepted: '%s'", bad[i]);
}

static void number(void **state)
{
    uint64_t v;

    assert_true(units_number("32", 1, 32, &v) && v == 32);
    assert_true(units_number("0", 0, 32, &v) && v == 0);
    assert_true(units_number("18446744073709551615", 0, UINT64_MAX, &v) && v == UINT64_MAX);
    assert_false(units_number("18446744073709551616", 0, UINT64_MAX, &v));
    assert_false(units_number("33", 1, 32, &v));
    assert_false(units_number("0", 1, 32, &v));
    assert_false(units_number("", 0, 32, &v));
    assert_false(units_number("1 ", 0, 32, &v));
    assert_false(units_number("+1", 0, 32, &v));
}

static void bytes(void **state)
{
    static const struct { uint64_t n; const char *s; } t[] = {
        { 0, "0" }, { 999, "999" }, { 1023, "1023" }, { 1024, "1.0K" }, { 1536, "1.4K" }, { 10240, "10K" },
        { 1023 * 1024, "0.9M" }, { 1 << 20, "1.0M" }, { 999ull << 20, "999M" }, { 5ull << 30, "5.0G" },
        { UINT64_MAX, "15E" },
    };
    char buf[16];

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        units_bytes(buf, sizeof(buf), t[i].n);
        assert_string_equal(buf, t[i].s);
        assert_true(strlen(buf) <= 5);
    }
}

static void uptime(void **state)
{
    static const struct { uint64_t s; const char *text; } t[] = {
        { 5, "0:00:05" }, { 86399, "23:59:59" }, { 86400, "1 day, 0:00:00" }, { 12 * 86400 + 3723, "12 days, 1:02:03" },
    };
    char buf[64];

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        units_uptime(buf, sizeof(buf), t[i].s);
        assert_string_equal(buf, t[i].text);
    }
    units_uptime(buf, 4, UINT64_MAX);
    assert_int_equal(strlen(buf), 3);
}

static void progress(void **state)
{
    char buf[128];

    units_progress(buf, sizeof(buf), "waiting", 0, 0, 3700);
    assert_string_equal(buf, "waiting: 3 s");
    units_progress(buf, sizeof(buf), "up", 1 << 20, 4 << 20, 2000);
    assert_string_equal(buf, "up: 25 %, 1.0M of 4.0M, 7 s left");
    units_progress(buf, sizeof(buf), "up", 9, 3, 2000);
    assert_string_equal(buf, "up: 3 of 3, 2 s");
}

static void distance(void **state)
{
    assert_int_equal(units_distance("web", "web"), 0);
    assert_int_equal(units_distance("wbe", "web"), 1);
    assert_int_equal(units_distance("web", "web1"), 1);
    assert_int_equal(units_distance("", "abc"), 3);
    assert_int_equal(units_distance("lsit", "list"), 1);
    assert_true(units_distance("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "a") > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory), cmocka_unit_test(number), cmocka_unit_test(bytes),
        cmocka_unit_test(uptime), cmocka_unit_test(progress), cmocka_unit_test(distance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
