/* SPDX-License-Identifier: MIT */
/* LINK: toolstack/http/auth.c lib/why.c lib/printf.c lib/strlcpy.c build/libmbedtls-host.a */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/why.h"
#include "toolstack/http/auth.h"

/* SHA-256 of "secret", of "other" and of nothing. */
#define SECRET "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
#define OTHER  "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"
#define EMPTY  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static struct auth_tokens t;
static char why[WHY_MAX];

static int parse(const char *s)
{
    return auth_parse_tokens(&t, s, strlen(s), why);
}

static void roles(void **state)
{
    assert_int_equal(parse("# people\n\nadmin " SECRET " alice, laptop\r\n  reader\t" OTHER), 0);
    assert_int_equal(t.n, 2);
    assert_int_equal(auth_token_role(&t, "secret"), ROLE_ADMIN);
    assert_int_equal(auth_token_role(&t, "other"), ROLE_READER);
    assert_int_equal(auth_token_role(&t, "secre"), ROLE_ANYBODY);
    assert_int_equal(auth_token_role(&t, SECRET), ROLE_ANYBODY);
}

static void listed_twice(void **state)
{
    assert_int_equal(parse("reader " SECRET "\nadmin " SECRET "\nreader " SECRET), 0);
    assert_int_equal(auth_token_role(&t, "secret"), ROLE_ADMIN);
}

static void revoked_certificates(void **state)
{
    static const uint8_t secret[32] = {
        0x2b, 0xb8, 0x0d, 0x53, 0x7b, 0x1d, 0xa3, 0xe3, 0x8b, 0xd3, 0x03, 0x61, 0xaa, 0x85, 0x56, 0x86,
        0xbd, 0xe0, 0xea, 0xcd, 0x71, 0x62, 0xfe, 0xf6, 0xa2, 0x5f, 0xe9, 0x7b, 0xf5, 0x27, 0xa2, 0x5b,
    };
    uint8_t next[32];

    memcpy(next, secret, sizeof(next));
    next[31]++;
    assert_int_equal(parse("admin " OTHER "\nrevoked " SECRET " carol's old one\n"), 0);
    assert_true(auth_revoked(&t, secret));
    assert_false(auth_revoked(&t, next));
    assert_int_equal(auth_token_role(&t, "secret"), ROLE_ANYBODY);  /* and it is no token */
    assert_int_equal(parse("admin " SECRET "\n"), 0);
    assert_false(auth_revoked(&t, secret));
    assert_int_not_equal(parse("revoked\n"), 0);
}

static void nothing_is_no_token(void **state)
{
    assert_int_equal(parse("admin " EMPTY "\n"), 0);
    assert_int_equal(auth_token_role(&t, ""), ROLE_ANYBODY);
    assert_int_equal(parse(""), 0);
    assert_int_equal(auth_token_role(&t, "secret"), ROLE_ANYBODY);
}

/* One bad line, and nobody is let in. */
static void refusals(void **state)
{
    assert_int_not_equal(parse("admin " SECRET "\nroot " OTHER "\n"), 0);
    assert_string_equal(why, "api.tokens:2: the role must be admin or reader");
    assert_int_equal(t.n, 0);
    assert_int_equal(auth_token_role(&t, "secret"), ROLE_ANYBODY);
    assert_int_not_equal(parse("admin\n"), 0);
    assert_int_not_equal(parse("admin " SECRET "0\n"), 0);
    assert_int_not_equal(parse("admin g" SECRET "\n"), 0);
    assert_int_not_equal(parse("Admin " SECRET "\n"), 0);
}

static void too_many(void **state)
{
    char text[(AUTH_TOKENS + 1) * 80] = "";

    for (int i = 0; i <= AUTH_TOKENS; i++) {
        if (i == AUTH_TOKENS)
            assert_int_equal(parse(text), 0);
        strcat(text, "reader " OTHER "\n");
    }
    assert_int_not_equal(parse(text), 0);
    assert_int_equal(t.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roles),
        cmocka_unit_test(listed_twice),
        cmocka_unit_test(revoked_certificates),
        cmocka_unit_test(nothing_is_no_token),
        cmocka_unit_test(refusals),
        cmocka_unit_test(too_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
