/* SPDX-License-Identifier: MIT */
/* LINK: toolstack/net/fair.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "toolstack/net/fair.h"

#define OLD(i, s)     { .ip = (i), .since = (s) }
#define TRUSTED(i, s) { .ip = (i), .since = (s), .trusted = true }
#define BUSY(i, s)    { .ip = (i), .since = (s), .trusted = true, .busy = true }

static void the_greedy_one_pays(void **state)
{
    struct fair_entry l[] = { OLD(1, 1), OLD(2, 5), OLD(2, 4), OLD(2, 6), OLD(3, 2) };

    assert_int_equal(fair_victim(l, 5, 1), 2);      /* the oldest of peer 2 */
    assert_int_equal(fair_victim(l, 5, 2), 2);
    assert_int_equal(fair_victim(l, 5, 9), 2);
}

static void a_newcomer_counts_for_its_peer(void **state)
{
    struct fair_entry l[] = { OLD(1, 1), OLD(2, 2) };

    assert_int_equal(fair_victim(l, 2, 2), 1);
    assert_int_equal(fair_victim(l, 2, 1), 0);
    assert_int_equal(fair_victim(l, 2, 3), 0);      /* all equal: the oldest */
}

static void credentials_count(void **state)
{
    struct fair_entry l[] = { TRUSTED(1, 1), TRUSTED(1, 2), TRUSTED(1, 3), OLD(2, 9) };
    struct fair_entry t[] = { TRUSTED(1, 1), BUSY(1, 0), TRUSTED(2, 0) };

    assert_int_equal(fair_victim(l, 4, 1), 3);
    assert_int_equal(fair_victim(t, 3, 3), 0);
}

static void all_busy(void **state)
{
    struct fair_entry l[] = { BUSY(1, 1), BUSY(1, 2) };

    assert_int_equal(fair_victim(l, 2, 3), -1);
    assert_int_equal(fair_victim(l, 0, 3), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_greedy_one_pays),
        cmocka_unit_test(a_newcomer_counts_for_its_peer),
        cmocka_unit_test(credentials_count),
        cmocka_unit_test(all_busy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
