/* SPDX-License-Identifier: MIT */
/* test_lz4.c - LZ4 blocks: literals, matches that overlap, long counts, everything cut short. */
/* LINK: lib/lz4.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/lz4.h"

static uint8_t out[4096];

static long decode(const void *in, size_t n, size_t room)
{
    uint8_t *exact = malloc(n), *to = malloc(room);     /* ASan sees each byte too far */
    long rc;

    memcpy(exact, in, n);
    rc = lz4_block(to, room, exact, n);
    if (rc > 0)
        memcpy(out, to, (size_t)rc);
    free(exact);
    free(to);
    return rc;
}

static void literals_and_matches(void **state)
{
    /* "abc", 9 bytes from 3 back, then "!" */
    static const uint8_t in[] = { 0x35, 'a', 'b', 'c', 3, 0, 0x10, '!' };

    assert_int_equal(decode(in, sizeof(in), 13), 13);
    assert_memory_equal(out, "abcabcabcabc!", 13);
    assert_int_equal(decode(in, sizeof(in), 12), -1);
    for (size_t n = 0; n < sizeof(in); n++)
        assert_int_equal(decode(in, n, 13) == 13, 0);
}

static void one_byte_repeated(void **state)
{
    /* "x", then 15 + 255 + 2 + 4 bytes from 1 back, then nothing */
    static const uint8_t in[] = { 0x1f, 'x', 1, 0, 255, 2, 0x00 };

    assert_int_equal(decode(in, sizeof(in), 4096), 277);
    for (int i = 0; i < 277; i++)
        assert_int_equal(out[i], 'x');
}

static void long_distance_copies_words(void **state)
{
    uint8_t in[64] = { 0xf0, 5 }, *p = in + 22;

    for (int i = 0; i < 20; i++)
        in[2 + i] = (uint8_t)i;
    in[0] = 0xff;       /* 20 literals, 15 + 10 + 4 bytes from 20 back */
    *p++ = 20;
    *p++ = 0;
    *p++ = 10;
    *p++ = 0;
    assert_int_equal(decode(in, (size_t)(p - in), 4096), 49);
    for (int i = 0; i < 49; i++)
        assert_int_equal(out[i], i % 20);
}

static void refuses_what_cannot_be(void **state)
{
    static const uint8_t before[] = { 0x10, 'x', 2, 0, 0x00 };
    static const uint8_t zero[] = { 0x10, 'x', 0, 0, 0x00 };
    static const uint8_t endless[] = { 0xf0, 255, 255, 255 };

    assert_int_equal(decode(before, sizeof(before), 64), -1);
    assert_int_equal(decode(zero, sizeof(zero), 64), -1);
    assert_int_equal(decode(endless, sizeof(endless), 64), -1);
    assert_int_equal(decode("", 0, 64), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_and_matches),
        cmocka_unit_test(one_byte_repeated),
        cmocka_unit_test(long_distance_copies_words),
        cmocka_unit_test(refuses_what_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
