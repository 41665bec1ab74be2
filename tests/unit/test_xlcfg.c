/* SPDX-License-Identifier: MIT */
/* LINK: lib/xlcfg.c lib/strlcpy.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/xlcfg.h"

static struct xlcfg c;

static bool parse(const char *s)
{
    return xlcfg_parse(&c, s, strlen(s));
}

static void values(void **state)
{
    struct xlcfg_node *n;

    assert_true(parse("# a comment\nname = \"web\"; memory=0x10\nx = 010\n"
                      "vif = [ 'mac=1,bridge=b', \n\t\"two\" , # why\n [ 3, ], ]\nempty=[]\n"
                      "esc = \"a\\tb\\x41\\102\\\"\\\\\"\nlast = 'no newline'"));
    assert_string_equal(xlcfg_get(&c, "name")->string, "web");
    assert_int_equal(xlcfg_get(&c, "memory")->number, 16);
    assert_int_equal(xlcfg_get(&c, "x")->number, 8);
    n = xlcfg_get(&c, "vif");
    assert_int_equal(n->type, XLCFG_LIST);
    assert_int_equal(n->key_line, 4);
    assert_string_equal(n->child->string, "mac=1,bridge=b");
    assert_string_equal(n->child->next->string, "two");
    assert_int_equal(n->child->next->line, 5);
    assert_int_equal(n->child->next->next->child->number, 3);
    assert_null(n->child->next->next->next);
    assert_null(xlcfg_get(&c, "empty")->child);
    assert_string_equal(xlcfg_get(&c, "esc")->string, "a\tbAB\"\\");
    assert_string_equal(xlcfg_get(&c, "last")->string, "no newline");
    assert_null(xlcfg_get(&c, "absent"));
    assert_true(c.first->used);
}

static void repeats(void **state)
{
    assert_true(parse("a = 1\nb = 'x'\na = 2\nb += 'y'\nl = [1]\nl += [2, 3]\nn += 4\n"));
    assert_int_equal(xlcfg_get(&c, "a")->number, 2);
    assert_string_equal(xlcfg_get(&c, "b")->string, "xy");
    assert_int_equal(xlcfg_get(&c, "l")->child->next->next->number, 3);
    assert_int_equal(xlcfg_get(&c, "n")->number, 4);
    assert_ptr_equal(c.first->next, xlcfg_get(&c, "b"));
}

static void errors(void **state)
{
    static const struct {
        const char *text;
        unsigned int line, column;
        const char *has;
    } bad[] = {
        { "a 1", 1, 3, "expected '='" },
        { "\n\n  = 1", 3, 3, "name of a key" },
        { "a = ", 1, 5, "expected a value" },
        { "a = yes", 1, 5, "quotes" },
        { "a = 'x\n'", 1, 7, "closing quote" },
        { "a = \"x", 1, 7, "closing quote" },
        { "a = \"x\\", 1, 8, "closing quote" },
        { "a = [ 1 2 ]", 1, 9, "',' or ']'" },
        { "a = [ 1, ", 1, 10, "expected a value" },
        { "a = 12ab", 1, 7, "letters" },
        { "a = 089", 1, 6, "letters or wrong digits" },
        { "a = 99999999999999999999", 1, 24, "too large" },
        { "a = 0xg", 1, 7, "hexadecimal" },
        { "a = '\\0'", 1, 8, "cannot hold" },
        { "a = 1 b = 2", 1, 7, "end of the line" },
        { "a = [[[[[1]]]]]", 1, 9, "brackets" },
        { "a = 1\na += 2", 2, 7, "+=" },
        { "a + 2", 1, 4, "'+='" },
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (parse(bad[i].text))
            fail_msg("accepted: %s", bad[i].text);
        if (!strstr(c.error, bad[i].has) || c.error_line != bad[i].line ||
            c.error_column != bad[i].column)
            fail_msg("%s: %u:%u: %s", bad[i].text, c.error_line, c.error_column, c.error);
    }
}

static void limits(void **state)
{
    char *big = malloc(400000);
    size_t n = 0;

    for (int i = 0; i < XLCFG_NODES + 1; i++)
        n += (size_t)sprintf(big + n, "k%d=1\n", i);
    assert_false(xlcfg_parse(&c, big, n));
    assert_non_null(strstr(c.error, "too many"));
    n = (size_t)sprintf(big, "a = '");
    memset(big + n, 'x', XLCFG_TEXT);
    assert_false(xlcfg_parse(&c, big, n + XLCFG_TEXT));
    assert_non_null(strstr(c.error, "too much"));
    /* What was cut off anywhere is refused or accepted, but never read beyond its end. */
    const char *whole = "a = [ \"x\\x41\", 0x12, [ 'y' ] ]; b += 3 # c\n";
    for (size_t len = 0; len <= strlen(whole); len++) {
        char *exact = malloc(len ? len : 1);
        memcpy(exact, whole, len);
        (void)xlcfg_parse(&c, exact, len);
        free(exact);
    }
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(repeats),
        cmocka_unit_test(errors),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
