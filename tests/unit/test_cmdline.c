/* SPDX-License-Identifier: MIT */
/* LINK: runtime/cmdline.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "runtime/cmdline.h"

static void words(void **state)
{
    char v[16];
    const char *line = "  api=insecure config=\"http://a b/\" debug ip=1 ip=2 long=0123456789abcdefgh";

    assert_true(cmdline_find(line, "api", v, sizeof(v)));
    assert_string_equal(v, "insecure");
    assert_true(cmdline_find(line, "config", v, sizeof(v)));
    assert_string_equal(v, "http://a b/");
    assert_true(cmdline_find(line, "debug", v, sizeof(v)));
    assert_string_equal(v, "");
    assert_true(cmdline_find(line, "ip", v, sizeof(v)));
    assert_string_equal(v, "2");
    assert_true(cmdline_find(line, "long", v, sizeof(v)));
    assert_string_equal(v, "0123456789abcde");
    assert_false(cmdline_find(line, "deb", v, sizeof(v)));
    assert_false(cmdline_find(line, "insecure", v, sizeof(v)));
    assert_false(cmdline_find("", "x", v, sizeof(v)));
}

static void numbers(void **state)
{
    uint64_t v;

    assert_true(parse_u64("0", &v) && v == 0);
    assert_true(parse_u64("64M", &v) && v == 64 << 20);
    assert_true(parse_u64("0x1f", &v) && v == 31);
    assert_true(parse_u64("18446744073709551615", &v) && v == ~0UL);
    assert_false(parse_u64("18446744073709551616", &v));
    assert_false(parse_u64("18446744073709551615K", &v));
    assert_false(parse_u64("", &v));
    assert_false(parse_u64("12x", &v));
    assert_false(parse_u64("1MM", &v));
    assert_false(parse_u64("0x", &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),
        cmocka_unit_test(numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
