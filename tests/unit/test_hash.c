/* SPDX-License-Identifier: MIT */
/* LINK: lib/hash.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "lib/hash.h"

/* The paper's own example: key 00..0f, message 00..0e. */
static void published_vector(void **state)
{
    const uint64_t key[2] = { 0x0706050403020100UL, 0x0f0e0d0c0b0a0908UL };
    uint8_t m[15];

    for (uint8_t i = 0; i < 15; i++)
        m[i] = i;
    assert_int_equal(siphash(key, m, sizeof(m)), 0xa129ca6149be45e5UL);
    assert_int_equal(siphash(key, m, 0), 0x726fdb47dd0e0e31UL);
    assert_int_equal(siphash(key, m, 8), 0x93f5f5799a932462UL);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(published_vector) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
