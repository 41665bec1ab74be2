/* SPDX-License-Identifier: MIT */
/* test_affinity.c - which CPUs a vCPU may use, prefers, and goes to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sched/affinity.h"

#define ONLINE 0xful

static struct affinity set(cpumask_t hard, cpumask_t soft)
{
    struct affinity a;

    assert_true(affinity_set(&a, hard, soft, ONLINE));
    return a;
}

static void none_online_is_refused(void **state)
{
    struct affinity a = set(CPUMASK_ALL, 1), before = a;

    assert_false(affinity_set(&a, 0, CPUMASK_ALL, ONLINE));
    assert_false(affinity_set(&a, 0x30, CPUMASK_ALL, ONLINE));
    assert_memory_equal(&a, &before, sizeof(a));
    assert_true(affinity_set(&a, 0x31, CPUMASK_ALL, ONLINE));
    assert_int_equal(a.hard, 0x31);         /* as it was set: CPUs may be missing */
    assert_int_equal(a.allowed, 1);
}

static void soft_counts_within_hard(void **state)
{
    assert_int_equal(set(6, CPUMASK_ALL).preferred, 6);
    assert_int_equal(set(6, 3).preferred, 2);
    assert_int_equal(set(6, 9).preferred, 6);       /* none of it is allowed: no preference */
    assert_int_equal(set(6, 0).preferred, 6);
    assert_int_equal(set(CPUMASK_ALL, 0x12).preferred, 2);
}

static void idle_cpus_are_chosen_by_preference(void **state)
{
    struct affinity any = set(CPUMASK_ALL, CPUMASK_ALL), pinned = set(4, CPUMASK_ALL), soft = set(7, 2);

    assert_int_equal(affinity_idle(&any, 2, 0xf), 2);       /* stays */
    assert_int_equal(affinity_idle(&any, 2, 0xb), 0);
    assert_int_equal(affinity_idle(&any, 2, 0), NR_CPUS);
    assert_int_equal(affinity_idle(&pinned, 0, 0xf), 2);
    assert_int_equal(affinity_idle(&pinned, 2, 0xb), NR_CPUS);
    assert_int_equal(affinity_idle(&soft, 0, 0xf), 1);      /* not its own, but preferred */
    assert_int_equal(affinity_idle(&soft, 0, 0xd), 0);
    assert_int_equal(affinity_idle(&soft, 0, 0xc), 2);      /* any that is allowed before none */
    assert_int_equal(affinity_idle(&soft, 0, 8), NR_CPUS);
}

static void who_may_not_stay_leaves(void **state)
{
    struct affinity pinned = set(4, CPUMASK_ALL), soft = set(7, 2);

    assert_false(affinity_leaves(&pinned, 2, 0xf));
    assert_true(affinity_leaves(&pinned, 1, 0));
    /* Only for an idle one does it leave a CPU that it does not prefer. */
    assert_false(affinity_leaves(&soft, 1, 0xf));
    assert_false(affinity_leaves(&soft, 0, 0xd));
    assert_true(affinity_leaves(&soft, 0, 2));
    assert_true(affinity_leaves(&soft, 3, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_online_is_refused),
        cmocka_unit_test(soft_counts_within_hard),
        cmocka_unit_test(idle_cpus_are_chosen_by_preference),
        cmocka_unit_test(who_may_not_stay_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
