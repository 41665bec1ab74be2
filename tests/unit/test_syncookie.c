/* SPDX-License-Identifier: MIT */
/* LINK: toolstack/net/syncookie.c lib/hash.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "toolstack/net/syncookie.h"

static const uint64_t key[2] = { 0x0123456789abcdef, 0xfedcba9876543210 };
static const uint64_t other_key[2] = { 0x0123456789abcdef, 0xfedcba9876543211 };
static const struct syn_conn conn = { 0x0a000001, 0x0a000002, 443, 40000, 0xdeadbeef };

static bool good(const struct syn_conn *c, uint32_t cookie, uint64_t now)
{
    struct syn_options o;

    return syncookie_check(key, c, cookie, now, &o);
}

static void what_was_offered_comes_back(void **state)
{
    static const uint16_t sizes[] = { 64, 256, 536, 1024, 1220, 1360, 1440, 1460 };

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        for (unsigned int scale = 0; scale <= SYN_SCALE_NONE; scale++) {
            struct syn_options in = { sizes[i], (uint8_t)scale }, out;
            uint32_t cookie = syncookie_make(key, &conn, &in, 1000);

            assert_true(syncookie_check(key, &conn, cookie, 1000, &out));
            assert_int_equal(out.mss, in.mss);
            assert_int_equal(out.scale, in.scale);
        }
    }
}

static void sizes_are_rounded_down(void **state)
{
    assert_int_equal(syncookie_mss(65535), 1460);
    assert_int_equal(syncookie_mss(1459), 1440);
    assert_int_equal(syncookie_mss(1400), 1360);
    assert_int_equal(syncookie_mss(536), 536);
    assert_int_equal(syncookie_mss(535), 256);
    assert_int_equal(syncookie_mss(1), 64);
}

static void another_connection_has_another_cookie(void **state)
{
    struct syn_options o = { 1460, 7 };
    uint32_t cookie = syncookie_make(key, &conn, &o, 1000);
    struct syn_conn c[5] = { conn, conn, conn, conn, conn };

    c[0].local++;
    c[1].remote++;
    c[2].local_port++;
    c[3].remote_port++;
    c[4].seq++;
    for (size_t i = 0; i < ARRAY_SIZE(c); i++)
        assert_false(good(&c[i], cookie, 1000));
    assert_false(syncookie_check(other_key, &conn, cookie, 1000, &o));
}

/* Every bit counts, those too that stand for the options. */
static void a_changed_cookie_is_refused(void **state)
{
    struct syn_options o = { 1360, 3 };
    uint32_t cookie = syncookie_make(key, &conn, &o, 1000);

    for (unsigned int bit = 0; bit < 32; bit++)
        assert_false(good(&conn, cookie ^ 1u << bit, 1000));
}

static void cookies_age(void **state)
{
    struct syn_options o = { 1460, SYN_SCALE_NONE };
    uint64_t t = 10 * SYNCOOKIE_SLOT_S;
    uint32_t cookie = syncookie_make(key, &conn, &o, t);

    assert_true(good(&conn, cookie, t + 2 * SYNCOOKIE_SLOT_S - 1));
    assert_false(good(&conn, cookie, t + 2 * SYNCOOKIE_SLOT_S));
    assert_false(good(&conn, cookie, t - 1));
    assert_true(good(&conn, syncookie_make(key, &conn, &o, 0), 0));
}

#define PARSE(...)                                                                                 \
    do {                                                                                           \
        const uint8_t bytes[] = { __VA_ARGS__ };                                                   \
        syn_parse_options(bytes, sizeof(bytes), &o);                                               \
    } while (0)

static void options(void **state)
{
    struct syn_options o;

    syn_parse_options(NULL, 0, &o);
    assert_int_equal(o.mss, 536);
    assert_int_equal(o.scale, SYN_SCALE_NONE);
    PARSE(2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7);      /* Linux' */
    assert_int_equal(o.mss, 1460);
    assert_int_equal(o.scale, 7);
    PARSE(3, 3, 99);
    assert_int_equal(o.scale, SYN_SCALE_MOST);
    PARSE(2, 4, 0, 0);                              /* no size at all */
    assert_int_equal(o.mss, 536);
    PARSE(0, 2, 4, 5, 0xb4);                        /* after the end */
    assert_int_equal(o.mss, 536);
    PARSE(2, 3, 5, 3, 3, 7);                        /* a wrong length is skipped */
    assert_int_equal(o.mss, 536);
    assert_int_equal(o.scale, 7);
}

static void broken_options_end_them(void **state)
{
    struct syn_options o;

    PARSE(2);
    PARSE(2, 4, 5);
    assert_int_equal(o.mss, 536);
    PARSE(9, 0, 3, 3, 7);
    assert_int_equal(o.scale, SYN_SCALE_NONE);
    PARSE(9, 1, 3, 3, 7);
    assert_int_equal(o.scale, SYN_SCALE_NONE);
    PARSE(9, 200, 3, 3, 7);
    assert_int_equal(o.scale, SYN_SCALE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_offered_comes_back),
        cmocka_unit_test(sizes_are_rounded_down),
        cmocka_unit_test(another_connection_has_another_cookie),
        cmocka_unit_test(a_changed_cookie_is_refused),
        cmocka_unit_test(cookies_age),
        cmocka_unit_test(options),
        cmocka_unit_test(broken_options_end_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
