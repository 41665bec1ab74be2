/* SPDX-License-Identifier: MIT */
/* LINK: hypervisor/sched/timerq.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "sched/timerq.h"

#define N 500

static uint64_t seed = 3;

static uint64_t next_random(void)
{
    seed = seed * 6364136223846793005UL + 1442695040888963407UL;
    return seed >> 33;
}

static void comes_out_in_order(void **state)
{
    static struct timerq_node n[N];
    struct timerq q = { NULL };
    uint64_t last = 0;

    for (unsigned int i = 0; i < N; i++)
        timerq_insert(&q, &n[i], next_random() % 1000);
    for (unsigned int i = 0; i < N; i++) {
        struct timerq_node *first = q.root;

        assert_non_null(first);
        assert_true(first->expires >= last);
        last = first->expires;
        timerq_remove(&q, first);
    }
    assert_null(q.root);
}

/* Against a plain array: insert, remove from anywhere, look at the first. */
static void like_a_model(void **state)
{
    static struct timerq_node n[N];
    static bool in[N];
    struct timerq q = { NULL };

    for (unsigned int step = 0; step < 50000; step++) {
        unsigned int i = next_random() % N;
        uint64_t min = ~0UL;
        bool any = false;

        if (in[i])
            timerq_remove(&q, &n[i]);
        else
            timerq_insert(&q, &n[i], next_random());
        in[i] = !in[i];
        if (step % 16)
            continue;
        for (unsigned int k = 0; k < N; k++) {
            if (in[k]) {
                any = true;
                min = MIN(min, n[k].expires);
            }
        }
        assert_int_equal(any, q.root != NULL);
        if (any)
            assert_int_equal(q.root->expires, min);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_out_in_order),
        cmocka_unit_test(like_a_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
