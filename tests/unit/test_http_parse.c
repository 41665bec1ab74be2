/* SPDX-License-Identifier: MIT */
/* LINK: toolstack/http/parse.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "toolstack/http/parse.h"

static struct http_request rq;

static int parse(const char *s)
{
    return http_parse_head(s, strlen(s), &rq);
}

static void requests(void **state)
{
    const char *s = "POST /v1/domains/a%2Bb?from=12&x HTTP/1.1\r\nHost: h\r\nContent-Length:  42 \r\n"
                    "Content-Type: Application/JSON; charset=utf-8\r\nExpect: 100-continue\r\n\r\nbody";

    assert_int_equal(parse(s), (int)strlen(s) - 4);
    assert_int_equal(rq.method, HTTP_POST);
    assert_int_equal(rq.content_length, 42);
    assert_string_equal(rq.path, "/v1/domains/a+b");
    assert_true(rq.json && rq.expect_continue && rq.keep_alive);
    assert_string_equal(rq.query, "from=12&x");
}

static void tokens(void **state)
{
    assert_true(parse("GET / HTTP/1.1\r\nAuthorization: bearer  a.b-c~/+==\r\n\r\n") > 0);
    assert_string_equal(rq.token, "a.b-c~/+==");
    assert_true(parse("GET / HTTP/1.1\r\nAuthorization: Basic YWJj\r\n\r\n") > 0);
    assert_string_equal(rq.token, "");
    assert_true(parse("GET / HTTP/1.1\r\nAuthorization: Bearer\r\n\r\n") > 0);
    assert_string_equal(rq.token, "");
    assert_int_equal(parse("GET / HTTP/1.1\r\nAuthorization: Bearer a\r\n"
                           "Authorization: Bearer b\r\n\r\n"), -400);
}

static bool cross_site(const char *fields)
{
    char text[512];

    snprintf(text, sizeof(text), "POST /v1/domains HTTP/1.1\r\n%s\r\n", fields);
    assert_true(parse(text) > 0);
    return rq.cross_site;
}

/* What a browser sends for a page from elsewhere. */
static void sites(void **state)
{
    assert_false(cross_site("Host: h\r\n"));
    assert_false(cross_site("Host: h:443\r\nOrigin: https://h:443\r\nSec-Fetch-Site: same-origin\r\n"));
    assert_false(cross_site("Origin: https://h\r\nHost: h\r\n"));
    assert_false(cross_site("Host: h\r\nSec-Fetch-Site: none\r\n"));
    assert_true(cross_site("Host: h\r\nOrigin: https://evil.example\r\n"));
    assert_true(cross_site("Host: h\r\nOrigin: https://h.evil.example\r\n"));
    assert_true(cross_site("Host: h\r\nOrigin: null\r\n"));
    assert_true(cross_site("Origin: https://\r\n"));
    assert_true(cross_site("Host: h\r\nSec-Fetch-Site: cross-site\r\n"));
    assert_true(cross_site("Host: h\r\nOrigin: https://h\r\nSec-Fetch-Site: same-site\r\n"));
    assert_int_equal(parse("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), -400);
}

static void connections(void **state)
{
    assert_true(parse("GET / HTTP/1.0\r\n\r\n") > 0);
    assert_false(rq.keep_alive);
    assert_true(parse("GET / HTTP/1.1\r\nConnection: foo, Close\r\n\r\n") > 0);
    assert_false(rq.keep_alive);
    assert_true(parse("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n") > 0);
    assert_true(rq.keep_alive);
    assert_true(parse("PATCH / HTTP/1.1\r\n\r\n") > 0);
    assert_int_equal(rq.method, HTTP_PATCH);
    assert_true(parse("BREW / HTTP/1.1\r\n\r\n") > 0);
    assert_int_equal(rq.method, HTTP_OTHER);
}

static void incomplete(void **state)
{
    const char *s = "GET /x HTTP/1.1\r\nA: b\r\n\r\n";

    for (size_t n = 0; n < strlen(s); n++) {
        char *exact = malloc(n ? n : 1);
        memcpy(exact, s, n);
        assert_int_equal(http_parse_head(exact, n, &rq), 0);
        free(exact);
    }
}

static void refusals(void **state)
{
    static const struct { const char *text; int status; } bad[] = {
        { "\r\n\r\n", 400 }, { "GET\r\n\r\n", 400 }, { "GET /\r\n\r\n", 400 }, { "GET / HTTP/2.0\r\n\r\n", 400 },
        { "GET  / HTTP/1.1\r\n\r\n", 400 }, { "GET x HTTP/1.1\r\n\r\n", 400 }, { " GET / HTTP/1.1\r\n\r\n", 400 },
        { "GET /%zz HTTP/1.1\r\n\r\n", 400 }, { "GET /%0 HTTP/1.1\r\n\r\n", 400 }, { "GET /%00 HTTP/1.1\r\n\r\n", 400 },
        { "GET /a\nb HTTP/1.1\r\n\r\n", 400 }, { "GET / HTTP/1.1\nA: b\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n: b\r\n\r\n", 400 }, { "GET / HTTP/1.1\r\nA : b\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", 400 }, { "GET / HTTP/1.1\r\nA: \x01\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400 }, { "GET / HTTP/1.1\r\nContent-Length: \r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nContent-Length: 99999999999999999\r\n\r\n", 413 },
        { "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 501 },
    };
    char big[HTTP_HEAD_MAX + 64];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (parse(bad[i].text) != -bad[i].status || !rq.why)
            fail_msg("%s -> %d", bad[i].text, parse(bad[i].text));
    memset(big, 'a', sizeof(big));
    assert_int_equal(http_parse_head(big, sizeof(big), &rq), -431);
    memcpy(big, "GET /", 5);
    memcpy(big + 400, " HTTP/1.1\r\n\r\n", 13);
    assert_int_equal(http_parse_head(big, 413, &rq), -414);
}

static void queries(void **state)
{
    uint64_t v;

    assert_true(http_query_uint("a=1&from=23", "from", 7, &v) && v == 23);
    assert_true(http_query_uint("xfrom=1", "from", 7, &v) && v == 7);
    assert_true(http_query_uint("", "from", 7, &v) && v == 7);
    assert_false(http_query_uint("from=", "from", 7, &v));
    assert_false(http_query_uint("from=1x", "from", 7, &v));
    assert_false(http_query_uint("from=99999999999999999999", "from", 7, &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),
        cmocka_unit_test(tokens),
        cmocka_unit_test(sites),
        cmocka_unit_test(connections),
        cmocka_unit_test(incomplete),
        cmocka_unit_test(refusals),
        cmocka_unit_test(queries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
