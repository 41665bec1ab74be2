/* SPDX-License-Identifier: MIT */
/* test_cpulist.c - sets of CPUs as people write them. */
/* LINK: lib/cpulist.c lib/words.c lib/why.c lib/strlcpy.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "lib/cpulist.h"
#include "lib/why.h"
#include "xenabi.h"

static void what_xl_reads(void **state)
{
    static const struct {
        const char *text;
        uint64_t cpus;
    } good[] = {
        { "0", 1 }, { "3", 8 }, { "63", 1UL << 63 }, { "0-3", 15 }, { "0-63", CPULIST_ALL }, { "5-5", 32 },
        { "0-3,^1", 13 }, { "0-3,5,^1", 45 }, { "^1,0-3", 15 }, { "0-3,^0-1,1", 14 }, { "all", CPULIST_ALL },
        { "all,^2", ~4UL }, { "^5,all", CPULIST_ALL }, { "nodes:0", CPULIST_ALL }, { "node:0,^0", ~1UL },
        { "nodes:all", CPULIST_ALL }, { "all,^nodes:0,4", 16 }, { " 1 , 2 ", 6 }, { "1,,2,", 6 },
    };
    char why[WHY_MAX];

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        uint64_t cpus = 0;

        if (cpulist_parse(good[i].text, &cpus, why) || cpus != good[i].cpus)
            fail_msg("%s: %lx", good[i].text, cpus);
    }
}

static void what_is_no_set_of_cpus(void **state)
{
    static const struct {
        const char *text, *why;
    } bad[] = {
        { "", "'' leaves no CPU" },
        { ",", "',' leaves no CPU" },
        { "^1", "'^1' leaves no CPU" },
        { "0-3,^0-3", "'0-3,^0-3' leaves no CPU" },
        { "two", "'two' is no CPU (3), range (0-3), exception (^1) or \"all\"" },
        { "3-1", "'3-1' is no CPU (3), range (0-3), exception (^1) or \"all\"" },
        { "1-", "'1-' is no CPU (3), range (0-3), exception (^1) or \"all\"" },
        { "-1", "'-1' is no CPU (3), range (0-3), exception (^1) or \"all\"" },
        { "1 2", "'1 2' is no CPU (3), range (0-3), exception (^1) or \"all\"" },
        { "0x3", "'0x3' is no CPU (3), range (0-3), exception (^1) or \"all\"" },
        { "^^1", "'^^1' is no CPU (3), range (0-3), exception (^1) or \"all\"" },
        { "99999999999999999999", "'99999999999999999999' is no CPU (3), range (0-3), exception (^1) or \"all\"" },
        { "^all", "'^all': nothing would be left" },
        { "64", "there is no CPU 64: hosts have up to 64, 0 to 63" },
        { "0-64", "there is no CPU 64: hosts have up to 64, 0 to 63" },
        { "nodes:1", "there is no node 1: a host is one node, 0" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        char why[WHY_MAX] = "";
        uint64_t cpus = 77;

        assert_int_equal(cpulist_parse(bad[i].text, &cpus, why), -XEN_EINVAL);
        assert_string_equal(why, bad[i].why);
        assert_int_equal(cpus, 77);
    }
}

static void text_can_be_read_again(void **state)
{
    static const uint64_t sets[] = { 1, 2, 6, 45, 1UL << 63, CPULIST_ALL, 0x5555555555555555, 0xaaaaaaaaaaaaaaaa,
                                     0xdb6db6db6db6db6d, 0xf0f };
    char buf[CPULIST_TEXT], why[WHY_MAX];

    for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
        uint64_t cpus = 0;

        assert_int_equal(cpulist_parse(cpulist_text(sets[i], buf), &cpus, why), 0);
        assert_int_equal(cpus, sets[i]);
    }
    assert_string_equal(cpulist_text(0xf0b, buf), "0-1,3,8-11");
    assert_string_equal(cpulist_text(0, buf), "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_xl_reads),
        cmocka_unit_test(what_is_no_set_of_cpus),
        cmocka_unit_test(text_can_be_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
