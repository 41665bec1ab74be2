/* SPDX-License-Identifier: MIT */
/* LINK: toolstack/net/addr.c lib/printf.c lib/strlcpy.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "toolstack/net/net.h"

static void good(void **state)
{
    struct net_config c = { .hostname = "h" };
    char text[16];

    assert_true(net_parse_config("dhcp", &c));
    assert_true(c.dhcp);
    assert_true(net_parse_config("10.0.2.15/24", &c));
    assert_false(c.dhcp);
    assert_int_equal(c.ip, 0x0a00020f);
    assert_int_equal(c.mask, 0xffffff00);
    assert_int_equal(c.gateway, 0);
    assert_true(net_parse_config("192.168.1.2/32,192.168.1.1,8.8.4.4", &c));
    assert_int_equal(c.mask, 0xffffffff);
    assert_int_equal(c.gateway, 0xc0a80101);
    assert_int_equal(c.dns, 0x08080404);
    assert_string_equal(net_ip_text(c.dns, text), "8.8.4.4");
}

static void bad(void **state)
{
    static const char *const texts[] = { "", "10.0.2.15", "10.0.2/24", "10.0.2.256/24", "10.0.2.1/33",
                                         "10.0.2.1/24,", "10.0.2.1/24,x", "10.0.2.1/24 ", "0.0.0.0/0",
                                         "1.2.3.4/8,1.2.3.4,", "1.2.3.00004/8", "dhcp6" };
    struct net_config c;
    uint32_t ip;

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        assert_false(net_parse_config(texts[i], &c));
    assert_false(net_parse_ip("1.2.3.4x", &ip));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(good), cmocka_unit_test(bad) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
