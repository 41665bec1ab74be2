/* SPDX-License-Identifier: MIT */
/* LINK: toolstack/http/response.c lib/why.c lib/printf.c lib/strlcpy.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/why.h"
#include "toolstack/http/response.h"

static struct url u;
static char why[WHY_MAX];

static int parse(const char *s)
{
    return url_parse(&u, s, why);
}

static void urls(void **state)
{
    assert_int_equal(parse("http://boot.example:8080/a/b?c=d#e"), 0);
    assert_string_equal(u.host, "boot.example");
    assert_int_equal(u.port, 8080);
    assert_string_equal(u.path, "/a/b?c=d");
    assert_int_equal(parse("http://10.0.0.1"), 0);
    assert_int_equal(u.port, 80);
    assert_string_equal(u.path, "/");
    assert_int_equal(parse("http://h?x"), 0);
    assert_string_equal(u.path, "/?x");
}

static void bad_urls(void **state)
{
    static const char *const bad[] = {
        "", "/a", "https://h/", "ftp://h/", "http://", "http:///a", "http://h:0/", "http://h:65536/",
        "http://h:/", "http://h:99999999999/", "http://h:80x/", "http://user@h/", "http://h/a b",
        "http://h/\r\nX: y", "http://h\n/", "http://[::1]/",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (parse(bad[i]) == 0)
            fail_msg("%s", bad[i]);
}

static void redirections(void **state)
{
    struct url base = { .host = "h", .port = 81, .path = "/x" };

    assert_int_equal(url_resolve(&u, &base, "/y", why), 0);
    assert_string_equal(u.host, "h");
    assert_int_equal(u.port, 81);
    assert_string_equal(u.path, "/y");
    assert_int_equal(url_resolve(&u, &base, "http://i/z", why), 0);
    assert_string_equal(u.host, "i");
    assert_int_equal(u.port, 80);
    assert_int_not_equal(url_resolve(&u, &base, "//i/z", why), 0);
    assert_int_not_equal(url_resolve(&u, &base, "https://i/z", why), 0);
}

static struct http_response r;

static int head(const char *s)
{
    return http_parse_response(s, strlen(s), &r);
}

static void heads(void **state)
{
    const char *s = "HTTP/1.1 200 OK\r\ncontent-LENGTH:  12 \r\nX: y\r\n\r\nbody";

    assert_int_equal(head(s), (int)strlen(s) - 4);
    assert_int_equal(r.status, 200);
    assert_true(r.has_length);
    assert_int_equal(r.content_length, 12);
    assert_true(head("HTTP/1.0 404 Not Found\n\n") > 0);
    assert_int_equal(r.status, 404);
    assert_true(head("HTTP/1.1 302 Found\r\nLocation: /a\r\nTransfer-Encoding: chunked\r\n\r\n") > 0);
    assert_string_equal(r.location, "/a");
    assert_true(r.has_encoding);
    assert_int_equal(head("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"), 0);
    assert_int_equal(head(""), 0);
}

static void bad_heads(void **state)
{
    assert_true(head("HTTP/2 200\r\n\r\n") < 0);
    assert_true(head("220 smtp.example ESMTP\r\n") < 0);
    assert_true(head("HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n") < 0);
    assert_true(head("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n") < 0);
    assert_true(head("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n") < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls),
        cmocka_unit_test(bad_urls),
        cmocka_unit_test(redirections),
        cmocka_unit_test(heads),
        cmocka_unit_test(bad_heads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
