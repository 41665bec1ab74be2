/* SPDX-License-Identifier: MIT */
/* LINK: toolstack/cli/table.c toolstack/cli/text.c lib/utf8.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "toolstack/cli/table.h"
#include "toolstack/cli/text.h"

static const struct table_column columns[] = {
    { .title = "Name", .least = 6 },
    { .title = "ID", .right = true },
    { .title = "Extra", .drop = 1 },
    { .title = "More", .drop = 2 },
};

static void expect(unsigned int width, const char *want)
{
    struct table t;
    char *text;

    table_begin(&t, columns, 4);
    table_row(&t, (const char *[]){ "a-long-name", "7", "x", NULL });
    table_row(&t, (const char *[]){ "b", "1234", "yy", "z" });
    text = table_text(&t, width, "", "", "~");
    assert_string_equal(text, want);
    free(text);
    table_end(&t);
}

static void fits(void **state)
{
    expect(0, "Name           ID  Extra  More\n"
              "a-long-name     7  x      -\n"
              "b            1234  yy     z\n");
    expect(30, "Name           ID  Extra  More\n"
               "a-long-name     7  x      -\n"
               "b            1234  yy     z\n");
}

static void shrinks(void **state)
{
    expect(27, "Name        ID  Extra  More\n"
               "a-long-~     7  x      -\n"
               "b         1234  yy     z\n");
}

/* The highest number goes first, and what is left may still be too wide: then it is. */
static void drops(void **state)
{
    expect(19, "Name      ID  Extra\n"
               "a-lon~     7  x\n"
               "b       1234  yy\n");
    expect(18, "Name      ID\n"
               "a-lon~     7\n"
               "b       1234\n");
    expect(3, "Name      ID\n"
              "a-lon~     7\n"
              "b       1234\n");
}

static void empty(void **state)
{
    struct table t;
    char *text;

    table_begin(&t, columns, 2);
    text = table_text(&t, 80, "<b>", "</b>", "~");
    assert_string_equal(text, "<b>Name  ID</b>\n");
    free(text);
    table_end(&t);
}

/* A name of more than one byte a letter keeps its columns and is cut between letters. */
static void utf8(void **state)
{
    static const struct table_column two[] = { { .title = "N", .least = 3 }, { .title = "X" } };
    struct table t;
    char *text;

    table_begin(&t, two, 2);
    table_row(&t, (const char *[]){ "\u00e4\u00f6\u00fc\u00df\u20ac", "1" });
    table_row(&t, (const char *[]){ "ab", "2" });
    text = table_text(&t, 0, "", "", "\u2026");
    assert_string_equal(text, "N      X\n\u00e4\u00f6\u00fc\u00df\u20ac  1\nab     2\n");
    free(text);
    text = table_text(&t, 6, "", "", "\u2026");
    assert_string_equal(text, "N    X\n\u00e4\u00f6\u2026  1\nab   2\n");
    free(text);
    table_end(&t);
}

/* What a host sends cannot steer the terminal. */
static void control_characters(void **state)
{
    static const struct { const char *in, *out; } t[] = {
        { "plain", "plain" },
        { "a\033[2Jb", "a?[2Jb" },
        { "a\nb\tc\rd\177", "a?b?c?d?" },
        { "\xc2\x9b" "31m", "??31m" },          /* CSI as one code point */
        { "\xff\xfe", "??" },
        { "\xe2\x82", "??" },                   /* cut off */
        { "\xc0\x80", "??" },                   /* overlong */
        { "x\u202ey", "x???y" },                /* text from right to left */
        { "gr\u00fcn", "gr\u00fcn" },
        { "", "" },
    };
    char text[] = "a\n\tb\033\n";

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        char *s = clean(t[i].in);

        assert_string_equal(s, t[i].out);
        free(s);
    }
    clean_bytes(text, strlen(text), true);
    assert_string_equal(text, "a\n\tb?\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fits), cmocka_unit_test(shrinks), cmocka_unit_test(drops),
        cmocka_unit_test(empty), cmocka_unit_test(utf8), cmocka_unit_test(control_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
