/* SPDX-License-Identifier: MIT */
/* LINK: toolstack/net/csum.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include "toolstack/net/csum.h"

static uint16_t plain(const uint8_t *p, int n)
{
    uint32_t sum = 0;

    for (int i = 0; i < n; i++) {
        sum += i % 2 ? p[i] * 256u : p[i];
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

static void same_as_the_definition(void **state)
{
    static uint8_t buf[3000];

    srand(4);
    for (unsigned int round = 0; round < 20000; round++) {
        int n = round < 200 ? (int)round : rand() % 1600, at = rand() % 64;

        for (int i = 0; i < n && round % 16 == 0; i++)
            buf[at + i] = round % 48 ? 0xff : (uint8_t)rand();
        /* 0 and 0xffff are the same number. */
        assert_int_equal(net_chksum(buf + at, n) % 0xffff, plain(buf + at, n) % 0xffff);
        if (plain(buf + at, n))
            assert_int_not_equal(net_chksum(buf + at, n), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(same_as_the_definition) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
