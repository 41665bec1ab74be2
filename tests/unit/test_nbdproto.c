/* SPDX-License-Identifier: MIT */
/* test_nbdproto.c - NBD targets, handshakes, requests and replies. */
/* LINK: blkback/nbdproto.c lib/strlcpy.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "blkback/nbdproto.h"
#include "xenabi.h"

static void targets(void **unused)
{
    static const struct { const char *text, *host, *export; unsigned int port, timeout, conns; } good[] = {
        { "10.0.2.2/disk", "10.0.2.2", "disk", 10809, 300, 2 },
        { "//store:5000/a/b c", "store", "a/b c", 5000, 300, 2 },
        { "h:1/", "h", "", 1, 300, 2 },
        { "h", "h", "", 10809, 300, 2 },
        { "h/x?timeout=0&connections=8", "h", "x", 10809, 0, 8 },
        { "h:65535?timeout=5", "h", "", 65535, 5, 2 },
    };
    static const char *const bad[] = { "", "/x", ":5/x", "h:/x", "h:0/x", "h:65536/x", "h:12a/x",
        "h/x?", "h/x?timeout=", "h/x?timeout=-1", "h/x?connections=0", "h/x?connections=9", "h/x?speed=1",
        "h/x?timeout=1&", "h:99999999999/x" };
    struct nbd_target t;
    const char *why;
    char longest[400];

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(nbd_parse_target(good[i].text, &t, &why));
        assert_string_equal(t.host, good[i].host);
        assert_string_equal(t.export, good[i].export);
        assert_int_equal(t.port, good[i].port);
        assert_int_equal(t.timeout, good[i].timeout);
        assert_int_equal(t.connections, good[i].conns);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(nbd_parse_target(bad[i], &t, &why));
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    assert_false(nbd_parse_target(longest, &t, &why));
    longest[1] = '/';
    assert_false(nbd_parse_target(longest, &t, &why));
    longest[2 + NBD_EXPORT_MAX - 1] = '\0';
    assert_true(nbd_parse_target(longest, &t, &why));
}

/* A server's side of a handshake, put together piece by piece. */
static uint8_t from_server[4096];
static size_t nr_from;

static void bytes(uint64_t v, unsigned int n)
{
    while (n--)
        from_server[nr_from++] = (uint8_t)(v >> n * 8);
}

static void greet(uint16_t flags)
{
    nr_from = 0;
    bytes(0x4e42444d41474943, 8);
    bytes(0x49484156454f5054, 8);
    bytes(flags, 2);
}

static void reply(uint32_t type, uint32_t len)
{
    bytes(0x3e889045565a9, 8);
    bytes(7, 4);
    bytes(type, 4);
    bytes(len, 4);
}

static void export_info(uint64_t size, uint16_t flags)
{
    reply(3, 12);
    bytes(0, 2);
    bytes(size, 8);
    bytes(flags, 2);
}

static void block_info(uint32_t min, uint32_t pref, uint32_t max)
{
    reply(3, 14);
    bytes(3, 2);
    bytes(min, 4);
    bytes(pref, 4);
    bytes(max, 4);
}

/* Plays it in pieces of n bytes; returns how many were taken. */
static size_t play(struct nbd_hello *h, size_t n, uint8_t *out, size_t *out_len)
{
    size_t at = 0, taken, len, total = 0;

    nbd_hello_init(h, "name");
    do {
        size_t k = nr_from - at < n ? nr_from - at : n;

        taken = nbd_hello_input(h, from_server + at, k, out + total, &len);
        at += taken;
        total += len;
    } while (taken && at < nr_from && h->state < NBD_HELLO_DONE);
    *out_len = total;
    return at;
}

static void handshake(void **unused)
{
    static const uint8_t want[] = { 0, 0, 0, 3, 'I', 'H', 'A', 'V', 'E', 'O', 'P', 'T', 0, 0, 0, 7,
        0, 0, 0, 12, 0, 0, 0, 4, 'n', 'a', 'm', 'e', 0, 1, 0, 3 };
    struct nbd_hello h;
    uint8_t out[2 * NBD_HELLO_OUT];
    size_t len, end;

    for (size_t n = 1; n < 64; n++) {
        greet(3);
        export_info(1 << 20, 0x16d);
        reply(3, 200);              /* a kind of information that we do not know, and long */
        bytes(2, 2);
        nr_from += 198;
        block_info(1, 4096, 1 << 25);
        reply(1, 0);
        end = nr_from;
        bytes(0x1234, 2);           /* what follows is not the handshake's */
        assert_int_equal(play(&h, n, out, &len), end);
        assert_int_equal(h.state, NBD_HELLO_DONE);
        assert_int_equal(len, sizeof(want));
        assert_memory_equal(out, want, sizeof(want));
        assert_int_equal(h.info.size, 1 << 20);
        assert_int_equal(h.info.flags, 0x16d);
        assert_int_equal(h.info.preferred_block, 4096);
        assert_int_equal(h.info.max_block, 1 << 25);
    }
}

static void refusals(void **unused)
{
    struct nbd_hello h;
    uint8_t out[2 * NBD_HELLO_OUT];
    size_t len;

    greet(3);
    reply(0x80000006, 9);
    memcpy(from_server + nr_from, "no \033[2Jsuch", 9);
    nr_from += 9;
    play(&h, 100, out, &len);
    assert_int_equal(h.state, NBD_HELLO_FAILED);
    assert_true(h.refused);
    assert_non_null(strstr(h.why, "no such export: no ?[2J"));
    greet(3);
    reply(0x80000007, 0);
    play(&h, 100, out, &len);
    assert_false(h.refused);
    greet(3);
    reply(0x80000005, 60000);       /* longer than what is kept of it */
    memset(from_server + nr_from, 'x', 1000);
    nr_from += 1000;
    play(&h, 100, out, &len);
    assert_int_equal(h.state, NBD_HELLO_FAILED);
    assert_non_null(strstr(h.why, "TLS"));
}

static void nonsense(void **unused)
{
    struct nbd_hello h;
    uint8_t out[64 * NBD_HELLO_OUT];
    size_t len;

    for (unsigned int i = 0; i < 12; i++) {
        greet(i == 0 ? 0 : 3);
        if (i == 1)
            from_server[0] ^= 1;
        if (i == 2)
            from_server[8] ^= 1;
        if (i == 3)
            reply(1, 0);            /* no size was given */
        if (i == 4)
            export_info(~0ul, 0), reply(1, 0);
        if (i == 5)
            reply(3, 65537);
        if (i == 6)
            for (unsigned int k = 0; k < 65; k++)
                reply(99, 0);
        if (i == 7)
            reply(3, 10), bytes(0, 8), bytes(0, 2);    /* export information cut short */
        if (i == 8)
            reply(3, 200), bytes(0, 2), nr_from += 198;
        if (i == 9)
            reply(3, 13), bytes(3, 2), nr_from += 11;
        if (i == 10)
            reply(1, 0), from_server[18] ^= 1;
        if (i == 11)
            reply(1, 0), from_server[29] ^= 1;
        play(&h, 1000, out, &len);
        assert_int_equal(h.state, NBD_HELLO_FAILED);
        assert_true(strlen(h.why) > 5);
    }
}

static void requests(void **unused)
{
    static const uint8_t want[] = { 0x25, 0x60, 0x95, 0x13, 0, 1, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8,
        0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0x10, 0 };
    uint8_t out[NBD_REQUEST_SIZE];

    nbd_put_request(out, NBD_CMD_WRITE, NBD_CMD_FUA, 0x0102030405060708, 0x100000002, 4096);
    assert_memory_equal(out, want, sizeof(want));
}

static void replies(void **unused)
{
    uint8_t in[] = { 0x67, 0x44, 0x66, 0x98, 0, 0, 0, 28, 1, 2, 3, 4, 5, 6, 7, 8 };
    struct nbd_reply r;

    assert_true(nbd_get_reply(in, &r));
    assert_int_equal(r.error, 28);
    assert_int_equal(r.handle, 0x0102030405060708);
    in[0] = 0x66;
    assert_false(nbd_get_reply(in, &r));
    assert_int_equal(nbd_error(0), 0);
    assert_int_equal(nbd_error(28), -XEN_ENOSPC);
    assert_int_equal(nbd_error(12345), -XEN_EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets), cmocka_unit_test(handshake), cmocka_unit_test(refusals),
        cmocka_unit_test(nonsense), cmocka_unit_test(requests), cmocka_unit_test(replies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
