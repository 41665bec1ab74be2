/* SPDX-License-Identifier: MIT */
/* LINK: lib/json.c lib/utf8.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/json.h"

static struct json j;
static char text[4096];

static struct json_value *parse(const char *s)
{
    return json_parse(&j, s, strlen(s), text, sizeof(text));
}

static void reads(void **state)
{
    struct json_value *v = parse(" { \"a\" : [1, -2, true, false, null, 1.5e3], \"b\": \"x\\n\\u00e9\\ud83d\\ude00\", "
                                 "\"c\": {}, \"b2\": \"\", \"d\": 0 } ");
    struct json_value *a;

    assert_non_null(v);
    a = json_member(v, "a");
    assert_int_equal(a->child->integer, 1);
    assert_int_equal(a->child->next->integer, -2);
    assert_int_equal(a->child->next->next->type, JSON_BOOL);
    assert_int_equal(a->child->next->next->next->next->type, JSON_NULL);
    assert_int_equal(a->child->next->next->next->next->next->type, JSON_REAL);
    assert_string_equal(json_member(v, "b")->string, "x\n\xc3\xa9\xf0\x9f\x98\x80");
    assert_null(json_member(v, "c")->child);
    assert_null(json_member(v, "none"));
    assert_int_equal(parse("\"top\"")->type, JSON_STRING);
}

static void refuses(void **state)
{
    static const char *const bad[] = {
        "", " ", "{", "[", "[1", "[1,", "[1,]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "01", "1.", ".5",
        "-", "+1", "1e", "nul", "truee", "\"x", "\"\\q\"", "\"\\u12\"", "\"\\ud800\"", "\"\\udc00\"",
        "\"\\u0000\"", "\"\x01\"", "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "1 2", "99999999999999999999",
        "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "/* */ 1", "{\"a\":1 \"b\":2}",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (parse(bad[i]) || !j.error)
            fail_msg("accepted: %s", bad[i]);
}

static void limits(void **state)
{
    char many[4 * JSON_VALUES + 8] = "[", small[4];

    for (int i = 0; i < JSON_VALUES; i++)
        strcat(many, "1,");
    strcat(many, "1]");
    assert_null(parse(many));
    assert_string_equal(j.error, "too many values");
    assert_null(json_parse(&j, "\"abcd\"", 6, small, sizeof(small)));
    assert_string_equal(j.error, "too much text");
}

static void writes(void **state)
{
    struct json_out o;
    char buf[256];

    json_begin(&o, buf, sizeof(buf));
    json_open(&o, NULL, '{');
    json_string(&o, "s", "a\"\\\n\xc3\xa9\xff");
    json_uint(&o, "n", 18446744073709551615ul);
    json_open(&o, "l", '[');
    json_bool(&o, NULL, true);
    json_null(&o, NULL);
    json_open(&o, NULL, '{');
    json_close(&o, '}');
    json_close(&o, ']');
    json_close(&o, '}');
    assert_true(o.len < sizeof(buf));
    buf[o.len] = '\0';
    assert_string_equal(buf, "{\"s\":\"a\\\"\\\\\\u000a\xc3\xa9\\ufffd\",\"n\":18446744073709551615,\"l\":[true,null,{}]}");
    assert_non_null(parse("{\"s\":1}"));

    for (size_t size = 0; size < 120; size++) {     /* no room: measured, and nothing is written beyond */
        char small[128], whole[128];

        memset(small, 'x', sizeof(small));
        for (unsigned int i = 0; i < 2; i++) {
            json_begin(&o, i ? whole : small, i ? sizeof(whole) : size);
            json_open(&o, NULL, '{');
            json_string(&o, "key", "plain \x1f\x7f \xe2\x82\xac \xe2\x82");
            json_uint(&o, "zero", 0);
            json_uint(&o, "ten", 10);
            json_string(&o, "", "");
            json_close(&o, '}');
            assert_int_equal(o.len, 69);
        }
        assert_memory_equal(small, whole, size < 69 ? size : 69);
        assert_int_equal(small[size < 69 ? size : 69], 'x');
    }

    json_begin(&o, buf, 3);
    buf[3] = 'x';
    json_string(&o, NULL, "long text");
    assert_int_equal(o.len, 11);
    assert_int_equal(buf[3], 'x');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads),
        cmocka_unit_test(refuses),
        cmocka_unit_test(limits),
        cmocka_unit_test(writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
