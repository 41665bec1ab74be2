/* SPDX-License-Identifier: MIT */
/* test_csum.c - checksums against a simple reference, and cutting TCP frames. */
/* LINK: netback/csum.c netback/headers.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <stdlib.h>
#include "netback/csum.h"
#include "netback/headers.h"

static uint8_t big[70000], out[2048];

/* RFC 1071 in its plainest form. */
static uint16_t plain_sum(const uint8_t *p, size_t n, uint32_t sum)
{
    for (size_t i = 0; i < n; i += 2)
        sum += (uint32_t)p[i] << 8 | (i + 1 < n ? p[i + 1] : 0);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* True when the transport checksum of a frame without options or extension headers is right. */
static bool l4_is_right(const uint8_t *p, unsigned int version, size_t len)
{
    size_t l4 = version == 4 ? 34 : 54;
    uint32_t sum = (uint32_t)(len - l4) + p[version == 4 ? 23 : 20];
    const uint8_t *addr = p + (version == 4 ? 26 : 22);

    for (size_t i = 0; i < (version == 4 ? 8u : 32u); i += 2)
        sum += get_be16(addr + i);
    return plain_sum(p + l4, len - l4, sum) == 0xffff;
}

static size_t make(unsigned int version, uint8_t proto, size_t payload)
{
    size_t l4 = version == 4 ? 34 : 54, hl = proto == IP_P_TCP ? 32 : 8, len = l4 + hl + payload;

    for (size_t i = 0; i < len; i++)
        big[i] = (uint8_t)rand();
    put_be16(big + 12, version == 4 ? ETH_P_IP : ETH_P_IPV6);
    if (version == 4) {
        big[14] = 0x45;
        put_be16(big + 16, (uint16_t)(len - 14));
        put_be16(big + 20, 0x4000);
        big[23] = proto;
        put_be16(big + 24, 0);
        put_be16(big + 24, (uint16_t)~plain_sum(big + 14, 20, 0));
    } else {
        big[14] = 0x60;
        put_be16(big + 18, (uint16_t)(len - 54));
        big[20] = proto;
    }
    if (proto == IP_P_TCP)
        big[l4 + 12] = 0x80;
    else
        put_be16(big + l4 + 4, (uint16_t)(hl + payload));
    return len;
}

static void sums_as_rfc1071(void **state)
{
    for (size_t n = 0; n < 300; n++) {
        for (size_t i = 0; i < n; i++)
            big[i] = n % 3 ? (uint8_t)rand() : 0xff;
        uint16_t want = plain_sum(big, n, 0), got = csum_fold(csum_add(0, big, n));

        assert_int_equal(__builtin_bswap16(got), want);
        got = csum_fold(csum_add(csum_add(0, big, n / 4 * 2), big + n / 4 * 2, n - n / 4 * 2));
        assert_int_equal(__builtin_bswap16(got), want);
    }
}

static void completes(void **state)
{
    for (size_t payload = 0; payload < 1400; payload += 7) {
        for (unsigned int version = 4; version <= 6; version += 2) {
            size_t len = make(version, IP_P_TCP, payload);

            assert_true(csum_complete(big, len));
            assert_true(l4_is_right(big, version, len));
            len = make(version, IP_P_UDP, payload);
            /* A frame may be padded behind the packet. */
            assert_true(csum_complete(big, len + 6));
            assert_true(l4_is_right(big, version, len));
            assert_int_not_equal(get_be16(big + (version == 4 ? 40 : 60)), 0);
        }
    }
}

static void refuses_what_it_cannot_complete(void **state)
{
    size_t len = make(4, IP_P_TCP, 100);

    assert_false(csum_complete(big, 50));
    big[23] = 1;
    assert_false(csum_complete(big, len));
    make(4, IP_P_TCP, 100);
    put_be16(big + 20, 0x2000);
    assert_false(csum_complete(big, len));
    make(4, IP_P_TCP, 100);
    put_be16(big + 16, (uint16_t)len);
    assert_false(csum_complete(big, len));
    make(4, IP_P_TCP, 100);
    put_be16(big + 16, 30);
    assert_false(csum_complete(big, len));
}

static void cut(unsigned int version, size_t payload, uint16_t size)
{
    size_t len = make(version, IP_P_TCP, payload), l4 = version == 4 ? 34 : 54, done = 0;
    uint32_t seq = get_be32(big + l4 + 4);
    uint16_t id = get_be16(big + 18);
    struct gso g;

    big[l4 + 13] = 0x99;        /* CWR ACK PSH FIN */
    assert_true(gso_plan(&g, big, 144 < len ? 144 : len, len, version, size));
    assert_int_equal(g.payload, payload);
    for (uint32_t i = 0; i < g.packets; i++) {
        uint32_t offset, n = gso_payload(&g, i, &offset);
        size_t all = g.headers + n;

        assert_true(n > 0 && n <= size && offset == done);
        gso_headers(&g, big, i, out);
        memcpy(out + g.headers, big + g.headers + offset, n);
        assert_true(csum_complete(out, all));
        assert_true(l4_is_right(out, version, all));
        assert_int_equal(get_be32(out + l4 + 4), (uint32_t)(seq + done));
        assert_int_equal(out[l4 + 13],
                         0x10 | (i ? 0 : 0x80) | (i + 1 == g.packets ? 0x09 : 0));
        if (version == 4) {
            assert_int_equal(plain_sum(out + 14, 20, 0), 0xffff);
            assert_int_equal(get_be16(out + 18), (uint16_t)(id + i));
        }
        done += n;
    }
    assert_int_equal(done, payload);
}

static void cuts_tcp(void **state)
{
    cut(4, 60000, 1448);
    cut(6, 60000, 1428);
    cut(4, 1448, 1448);
    cut(4, 1449, 1448);
    cut(4, 65000, 536);
    cut(4, 2000, 1);
}

static void refuses_to_cut(void **state)
{
    size_t len = make(4, IP_P_TCP, 3000);
    struct gso g;

    assert_false(gso_plan(&g, big, 144, len, 4, 0));
    assert_false(gso_plan(&g, big, 144, len, 6, 1000));
    assert_false(gso_plan(&g, big, 60, len, 4, 1000));
    big[34 + 12] = 0x40;
    assert_false(gso_plan(&g, big, 144, len, 4, 1000));
    big[34 + 12] = 0x80;
    big[23] = IP_P_UDP;
    assert_false(gso_plan(&g, big, 144, len, 4, 1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_as_rfc1071), cmocka_unit_test(completes),
        cmocka_unit_test(refuses_what_it_cannot_complete), cmocka_unit_test(cuts_tcp),
        cmocka_unit_test(refuses_to_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
