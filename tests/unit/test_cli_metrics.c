/* SPDX-License-Identifier: MIT */
/* LINK: toolstack/cli/metrics.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "toolstack/cli/metrics.h"

static struct metrics_moved web;

static struct metrics_moved *only_web(void *arg, const char *name, size_t len)
{
    assert_ptr_equal(arg, &web);
    return len == 3 && !memcmp(name, "web", 3) ? &web : NULL;
}

/* The text is exactly as long as it is said to be: ASan sees a byte too many. */
static void read_text(const char *s)
{
    char *copy = malloc(strlen(s) + 1);

    memcpy(copy, s, strlen(s));
    copy = realloc(copy, strlen(s) ? strlen(s) : 1);
    memset(&web, 0, sizeof(web));
    metrics_read(copy, strlen(s), only_web, &web);
    free(copy);
}

static void sums(void **state)
{
    read_text("# HELP sluice_port_in_bytes_total x{domain=\"web\"} 7\n"
              "sluice_port_in_bytes_total{port=\"vif1.0\",domain=\"web\"} 100\n"
              "sluice_port_in_bytes_total{port=\"vif1.1\",domain=\"web\"} 11\n"
              "sluice_port_in_bytes_total{port=\"nic0\"} 5000\n"
              "sluice_port_in_bytes_total{port=\"vif2.0\",domain=\"web2\"} 9\n"
              "sluice_port_out_bytes_total{domain=\"web\",port=\"vif1.0\"} 18446744073709551615\n"
              "sluice_port_out_bytes_total{domain=\"web\"} 1\n"
              "sluice_vbd_read_bytes_total{domain=\"web\",vdev=\"xvda\"} 512\n"
              "sluice_vbd_write_bytes_total{domain=\"web\",vdev=\"xvda\"} 3");
    assert_true(web.known);
    assert_int_equal(web.sent, 111);
    assert_int_equal(web.received, UINT64_MAX);
    assert_int_equal(web.read, 512);
    assert_int_equal(web.written, 3);
}

static void nonsense(void **state)
{
    static const char *const text[] = {
        "", "\n\n", "{", "sluice_port_in_bytes_total", "sluice_port_in_bytes_total{", "sluice_port_in_bytes_total{}",
        "sluice_port_in_bytes_total{domain=\"web\"", "sluice_port_in_bytes_total{domain=\"web\"}",
        "sluice_port_in_bytes_total{domain=\"web\"} ", "sluice_port_in_bytes_total{domain=\"web\"} x",
        "sluice_port_in_bytes_total{domain=\"web\"} -1", "sluice_port_in_bytes_total{domain=\"web\"} 99999999999999999999",
        "sluice_port_in_bytes_total{domain=\"web} 1", "sluice_port_in_bytes_total{subdomain=\"web\"} 1",
        "sluice_port_in_bytes_total{domain=\"\"} 1", "xsluice_port_in_bytes_total{domain=\"web\"} 1",
    };

    for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
        read_text(text[i]);
        if (web.known)
            fail_msg("took: %s", text[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(sums), cmocka_unit_test(nonsense) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
