/* SPDX-License-Identifier: MIT */
/* test_filter.c - who may say what on the wire. */
/* LINK: netback/filter.c netback/headers.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "netback/filter.h"
#include "netback/headers.h"

static const uint8_t own[6] = { 0x00, 0x16, 0x3e, 0x01, 0x02, 0x03 };
static const uint8_t other[6] = { 0x00, 0x16, 0x3e, 0x01, 0x02, 0x04 };
static const uint8_t all[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
static const uint8_t ip6_own[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 5 };
static const uint8_t ip6_other[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 6 };
static const uint8_t ip6_local[16] = { 0xfe, 0x80, [8] = 0x02, 0x16, 0x3e, 0xff, 0xfe, 1, 2, 3 };
static const uint8_t ip6_none[16];
static uint8_t f[144];
static struct filter by_mac, by_ip;

static int setup(void **state)
{
    memcpy(by_mac.mac, own, 6);
    by_ip = by_mac;
    assert_true(filter_parse_ips(&by_ip, "10.0.0.5 2001:db8::5"));
    return 0;
}

static void ether(const uint8_t *source, uint16_t type)
{
    memset(f, 0, sizeof(f));
    memcpy(f, all, 6);
    memcpy(f + 6, source, 6);
    put_be16(f + 12, type);
}

static bool arp(const struct filter *x, const uint8_t *sender, uint32_t ip)
{
    ether(own, ETH_P_ARP);
    put_be16(f + 14, 1);
    put_be16(f + 16, ETH_P_IP);
    f[18] = 6;
    f[19] = 4;
    put_be16(f + 20, 2);
    memcpy(f + 22, sender, 6);
    put_be32(f + 28, ip);
    return filter_pass(x, f, 60, 60);
}

static bool ip4(const struct filter *x, uint32_t source, uint8_t proto, uint16_t sport,
                uint16_t dport)
{
    ether(own, ETH_P_IP);
    f[14] = 0x45;
    put_be16(f + 16, 40);
    f[23] = proto;
    put_be32(f + 26, source);
    put_be16(f + 34, sport);
    put_be16(f + 36, dport);
    return filter_pass(x, f, 60, 60);
}

/* An ICMPv6 packet of this type; target at its place, one link-layer option. */
static bool icmp6(const struct filter *x, const uint8_t *source, uint8_t type,
                  const uint8_t *target, const uint8_t *link)
{
    ether(own, ETH_P_IPV6);
    f[14] = 0x60;
    put_be16(f + 18, 32);
    f[20] = IP_P_ICMPV6;
    memcpy(f + 22, source, 16);
    f[54] = type;
    memcpy(f + 62, target, 16);
    f[78] = type == 136 ? 2 : 1;
    f[79] = 1;
    memcpy(f + 80, link, 6);
    return filter_pass(x, f, 86, 86);
}

static void ethernet_source(void **state)
{
    ether(own, 0x1234);
    assert_true(filter_pass(&by_mac, f, 60, 60));
    assert_false(filter_pass(&by_ip, f, 60, 60));
    ether(other, ETH_P_IP);
    assert_false(filter_pass(&by_mac, f, 60, 60));
    ether(own, ETH_P_IP);
    assert_true(filter_pass(&by_mac, f, 14, 14));
    assert_false(filter_pass(&by_mac, f, 13, 13));
}

static void arp_sender(void **state)
{
    assert_true(arp(&by_mac, own, 0x0a000009));
    assert_false(arp(&by_mac, other, 0x0a000005));
    assert_true(arp(&by_ip, own, 0x0a000005));
    assert_true(arp(&by_ip, own, 0));
    assert_false(arp(&by_ip, own, 0x0a000006));
    assert_false(arp(&by_ip, other, 0x0a000005));
    ether(own, ETH_P_ARP);
    assert_false(filter_pass(&by_mac, f, 60, 60));
}

static void ipv4_source(void **state)
{
    assert_true(ip4(&by_mac, 0x01020304, 6, 1, 2));
    assert_true(ip4(&by_ip, 0x0a000005, 6, 1, 2));
    assert_false(ip4(&by_ip, 0x0a000006, 6, 1, 2));
    assert_true(ip4(&by_ip, 0, IP_P_UDP, 68, 67));
    assert_false(ip4(&by_ip, 0, IP_P_UDP, 68, 53));
    assert_false(ip4(&by_ip, 0, IP_P_TCP, 68, 67));
    /* A header that is not one is no way around. */
    assert_true(ip4(&by_ip, 0x0a000005, 6, 1, 2));
    f[14] = 0x44;
    assert_false(filter_pass(&by_ip, f, 60, 60));
    f[14] = 0x45;
    put_be16(f + 16, 200);
    assert_false(filter_pass(&by_ip, f, 60, 60));
}

static void vlan_tags_only_without_a_list(void **state)
{
    ether(own, ETH_P_VLAN);
    put_be16(f + 16, ETH_P_IP);
    assert_true(filter_pass(&by_mac, f, 60, 60));
    assert_false(filter_pass(&by_ip, f, 60, 60));
    put_be16(f + 16, ETH_P_ARP);
    assert_false(filter_pass(&by_mac, f, 60, 60));
}

static void ipv6_source_and_neighbours(void **state)
{
    assert_true(icmp6(&by_mac, ip6_other, 135, ip6_other, own));
    assert_false(icmp6(&by_mac, ip6_other, 135, ip6_other, other));
    assert_false(icmp6(&by_mac, ip6_own, 136, ip6_own, other));
    assert_true(icmp6(&by_ip, ip6_own, 135, ip6_other, own));
    assert_true(icmp6(&by_ip, ip6_local, 135, ip6_other, own));
    assert_false(icmp6(&by_ip, ip6_other, 135, ip6_other, own));
    assert_true(icmp6(&by_ip, ip6_own, 136, ip6_own, own));
    assert_false(icmp6(&by_ip, ip6_own, 136, ip6_other, own));
    assert_true(icmp6(&by_ip, ip6_none, 135, ip6_own, own));
    assert_false(icmp6(&by_ip, ip6_none, 128, ip6_own, own));
    assert_false(icmp6(&by_ip, ip6_own, 134, ip6_own, own));
    assert_false(icmp6(&by_ip, ip6_own, 137, ip6_own, own));
}

/* Discovery messages cannot hide behind extension headers or in fragments. */
static void extension_headers(void **state)
{
    ether(own, ETH_P_IPV6);
    f[14] = 0x60;
    put_be16(f + 18, 72);
    f[20] = IP_P_HOPOPTS;
    memcpy(f + 22, ip6_own, 16);
    f[54] = IP_P_ICMPV6;
    f[62] = 136;
    memcpy(f + 70, ip6_other, 16);
    assert_false(filter_pass(&by_ip, f, 126, 126));
    memcpy(f + 70, ip6_own, 16);
    put_be16(f + 18, 32);
    assert_true(filter_pass(&by_ip, f, 94, 94));
    f[20] = IP_P_FRAGMENT;
    f[57] = 1;                  /* more follow */
    assert_false(filter_pass(&by_ip, f, 94, 94));
    f[55] = 0;
    f[20] = IP_P_HOPOPTS;
    f[55] = 40;                 /* an extension header longer than what we have */
    put_be16(f + 18, 500);
    assert_false(filter_pass(&by_ip, f, 144, 554));
}

static void reads_addresses(void **state)
{
    static const char *const good[] = { "", "1.2.3.4", "1.2.3.4, 5.6.7.8", "::", "::1", "fe80::1",
        "1:2:3:4:5:6:7:8", "1::8", "1:2:3:4:5:6:7::", " 10.0.0.1  2001:db8::1 " };
    static const char *const bad[] = { "1.2.3", "1.2.3.256", "1.2.3.4.5", "1.2.3.4x", ":", ":::",
        "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "12345::", "g::", "1:", "1.2.3.4/24",
        "::1.2.3.4", "1:2:3:4:5:6:7:8::", "1 2" };
    static const char *const macs[] = { "", "00:16:3e:01:02", "00:16:3e:01:02:03:04",
        "00-16-3e-01-02-03", "01:16:3e:01:02:03", "00:00:00:00:00:00", "00:16:3e:01:02:0g" };
    struct filter x = by_ip;
    uint8_t mac[6];

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(filter_parse_ips(&x, good[i]));
    assert_int_equal(x.nr_ip4, 1);
    assert_int_equal(x.nr_ip6, 1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(filter_parse_ips(&x, bad[i]));
    assert_true(x.by_ip && x.nr_ip4 == 1 && x.ip4[0] == 0x0a000001);
    assert_memory_equal(x.ip6[0], "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16);
    assert_true(filter_parse_ips(&x, ""));
    assert_false(x.by_ip);
    assert_true(filter_parse_mac(mac, "00:16:3E:01:02:03"));
    assert_memory_equal(mac, own, 6);
    for (size_t i = 0; i < sizeof(macs) / sizeof(macs[0]); i++)
        assert_false(filter_parse_mac(mac, macs[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ethernet_source), cmocka_unit_test(arp_sender),
        cmocka_unit_test(ipv4_source), cmocka_unit_test(vlan_tags_only_without_a_list),
        cmocka_unit_test(ipv6_source_and_neighbours), cmocka_unit_test(extension_headers),
        cmocka_unit_test(reads_addresses),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
