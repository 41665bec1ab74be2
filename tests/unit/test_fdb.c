/* SPDX-License-Identifier: MIT */
/* test_fdb.c - the bridge's address table. */
/* LINK: netback/fdb.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "netback/fdb.h"

static struct fdb t;
static int a, b, c;

#define STATION(n) (0x563412000000UL + ((uint64_t)(n) << 8) + 2)

static int setup(void **state)
{
    fdb_init(&t, 0x1234567);
    return 0;
}

static void learns_moves_and_ages(void **state)
{
    assert_null(fdb_find(&t, STATION(1), 0));
    fdb_learn(&t, STATION(1), &a, 10);
    assert_ptr_equal(fdb_find(&t, STATION(1), 11), &a);
    fdb_learn(&t, STATION(1), &b, 20);
    assert_ptr_equal(fdb_find(&t, STATION(1), 21), &b);
    assert_ptr_equal(fdb_find(&t, STATION(1), 20 + FDB_AGE_NS), &b);
    assert_null(fdb_find(&t, STATION(1), 21 + FDB_AGE_NS));
}

static void group_and_zero_are_ignored(void **state)
{
    fdb_learn(&t, 0, &a, 1);
    fdb_learn(&t, 0xffffffffffff, &a, 1);
    assert_null(fdb_find(&t, 0, 1));
    assert_null(fdb_find(&t, 0xffffffffffff, 1));
    assert_int_equal(fdb_add_static(&t, 0, &a), -XEN_EINVAL);
    assert_int_equal(fdb_add_static(&t, 0x5e0001, &a), -XEN_EINVAL);
}

/* What the operator configured cannot be taken over by a frame from elsewhere. */
static void static_entries_stay(void **state)
{
    fdb_learn(&t, STATION(7), &a, 1);
    assert_int_equal(fdb_add_static(&t, STATION(7), &b), 0);
    assert_int_equal(fdb_add_static(&t, STATION(7), &c), -XEN_EEXIST);
    fdb_learn(&t, STATION(7), &a, 2);
    assert_ptr_equal(fdb_find(&t, STATION(7), 10 * FDB_AGE_NS), &b);
    for (unsigned int i = 100; i < 100000; i++)
        fdb_learn(&t, STATION(i), &c, i);
    assert_ptr_equal(fdb_find(&t, STATION(7), 100000), &b);
}

static void a_full_set_loses_its_oldest(void **state)
{
    unsigned int found = 0;

    for (unsigned int i = 0; i < 4 * FDB_SETS * FDB_WAYS; i++) {
        fdb_learn(&t, STATION(i), &a, i + 1);
        assert_ptr_equal(fdb_find(&t, STATION(i), i + 1), &a);
    }
    for (unsigned int i = 0; i < 4 * FDB_SETS * FDB_WAYS; i++)
        found += fdb_find(&t, STATION(i), 5 * FDB_SETS * FDB_WAYS) != NULL;
    assert_int_equal(found, FDB_SETS * FDB_WAYS);
}

static void a_port_goes_with_all_it_had(void **state)
{
    fdb_learn(&t, STATION(1), &a, 1);
    fdb_learn(&t, STATION(2), &b, 1);
    assert_int_equal(fdb_add_static(&t, STATION(3), &a), 0);
    fdb_remove_port(&t, &a);
    assert_null(fdb_find(&t, STATION(1), 2));
    assert_ptr_equal(fdb_find(&t, STATION(2), 2), &b);
    assert_null(fdb_find(&t, STATION(3), 2));
    assert_int_equal(fdb_add_static(&t, STATION(3), &c), 0);
}

/* Each vif gets its address in, until the table is full of them; none is lost when others go. */
static void static_entries_have_room(void **state)
{
    const unsigned int all = FDB_SETS * FDB_WAYS;

    for (unsigned int i = 0; i < all; i++)
        fdb_learn(&t, STATION(i + all), &c, 1);
    for (unsigned int i = 0; i < all; i++) {
        assert_int_equal(fdb_add_static(&t, STATION(i), i % 3 ? &a : &b), 0);
        assert_int_equal(fdb_add_static(&t, STATION(i / 2), &c), -XEN_EEXIST);
    }
    assert_int_equal(fdb_add_static(&t, STATION(all), &a), -XEN_ENOSPC);
    fdb_learn(&t, STATION(all), &a, 1);
    assert_null(fdb_find(&t, STATION(all), 1));
    fdb_remove_port(&t, &a);
    for (unsigned int i = 0; i < all; i++) {
        assert_ptr_equal(fdb_find(&t, STATION(i), 1), i % 3 ? NULL : &b);
        fdb_learn(&t, STATION(i), &c, 1);       /* which takes nobody's place but its own */
        if (i % 3 == 0)
            assert_ptr_equal(fdb_find(&t, STATION(i), 1), &b);
    }
    fdb_remove_port(&t, &b);
    fdb_remove_port(&t, &c);
    for (unsigned int i = 0; i < FDB_SETS; i++)
        assert_false(t.full[i]);
}

/* Stations that differ in any one byte, as those of one maker do, are spread over the sets. */
static void neighbours_have_room(void **state)
{
    for (unsigned int byte = 0; byte < 6; byte++) {
        memset(&t, 0, sizeof(t));
        fdb_init(&t, 1234567);
        for (uint64_t i = 1; i < 128; i++)
            assert_int_equal(fdb_add_static(&t, 0x020202020202 ^ i << (byte * 8 + (byte == 0)), &a), 0);
        for (unsigned int i = 0; i < FDB_SETS; i++)
            assert_false(t.full[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(learns_moves_and_ages, setup),
        cmocka_unit_test_setup(group_and_zero_are_ignored, setup),
        cmocka_unit_test_setup(static_entries_stay, setup),
        cmocka_unit_test_setup(a_full_set_loses_its_oldest, setup),
        cmocka_unit_test_setup(a_port_goes_with_all_it_had, setup),
        cmocka_unit_test_setup(static_entries_have_room, setup),
        cmocka_unit_test_setup(neighbours_have_room, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
