/* SPDX-License-Identifier: MIT */
/* LINK: hypervisor/mm/buddy.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "mm/buddy.h"

#define FRAMES (1u << 20)

static struct page *pages;
static struct buddy b;

static int fresh(void **state)
{
    pages = calloc(FRAMES + 4096, sizeof(*pages));
    buddy_init(&b, pages, FRAMES + 4096);
    return pages ? 0 : -1;
}

static int done(void **state)
{
    free(pages);
    return 0;
}

/* Splitting and joining again leaves one block, as at first. */
static void split_and_join(void **state)
{
    uint32_t f[1024];

    buddy_add(&b, 1024, 1024);
    assert_int_equal(b.free[0], 1024);
    assert_int_equal(b.head[0][10], 1024);
    for (unsigned int i = 0; i < 1024; i++) {
        f[i] = buddy_alloc(&b, 0, false);
        assert_true(f[i] >= 1024 && f[i] < 2048);
        assert_false(buddy_is_free(&b, f[i]));
    }
    assert_int_equal(buddy_alloc(&b, 0, false), FRAME_NIL);
    assert_int_equal(b.free[0], 0);
    for (unsigned int i = 0; i < 1024; i++)
        buddy_free(&b, f[i * 7 % 1024], 0);
    assert_int_equal(b.head[0][10], 1024);
    assert_int_equal(b.free[0], 1024);
    for (unsigned int o = 0; o < 10; o++)
        assert_int_equal(b.head[0][o], FRAME_NIL);
}

static void ranges_of_any_shape(void **state)
{
    buddy_add(&b, 3, 1000);
    assert_int_equal(b.free[0], 1000);
    assert_false(buddy_is_free(&b, 2));
    assert_true(buddy_is_free(&b, 3));
    assert_true(buddy_is_free(&b, 1002));
    assert_false(buddy_is_free(&b, 1003));
    for (unsigned int i = 0; i < 1000; i++)
        assert_int_not_equal(buddy_alloc(&b, 0, true), FRAME_NIL);
    assert_int_equal(buddy_alloc(&b, 0, true), FRAME_NIL);
}

static void blocks_are_aligned(void **state)
{
    buddy_add(&b, 1, 4095);
    for (unsigned int o = 0; o < 11; o++) {
        uint32_t f = buddy_alloc(&b, o, false);

        assert_int_not_equal(f, FRAME_NIL);
        assert_int_equal(f & ((1u << o) - 1), 0);
    }
    assert_int_equal(buddy_alloc(&b, 12, false), FRAME_NIL);
}

/* Frames above 4 GiB go first; who needs low ones never gets others. */
static void low_memory_lasts(void **state)
{
    buddy_add(&b, 16, 16);
    buddy_add(&b, FRAMES_BELOW_4G, 16);
    for (unsigned int i = 0; i < 16; i++)
        assert_true(buddy_alloc(&b, 0, false) >= FRAMES_BELOW_4G);
    assert_int_equal(b.free[1], 0);
    for (unsigned int i = 0; i < 8; i++)
        assert_true(buddy_alloc(&b, 0, true) < FRAMES_BELOW_4G);
    assert_true(buddy_alloc(&b, 0, false) < FRAMES_BELOW_4G);
    assert_int_equal(b.free[0], 7);
}

/* A page in use beside a free one must not be joined, whatever its fields say. */
static void used_neighbour_stays(void **state)
{
    uint32_t x, y;

    buddy_add(&b, 64, 2);
    x = buddy_alloc(&b, 0, false);
    y = buddy_alloc(&b, 0, false);
    pages[y].count = PGC_ALLOCATED | 1;
    pages[y].nr_validated = 0;
    buddy_free(&b, x, 0);
    assert_int_equal(b.head[0][0], x);
    assert_int_equal(b.head[0][1], FRAME_NIL);
    pages[y].count = 0;
    buddy_free(&b, y, 0);
    assert_int_equal(b.head[0][1], 64);
}

static void random_load(void **state)
{
    static struct { uint32_t frame; unsigned int order; } held[512];
    unsigned int n = 0;
    uint64_t used = 0, seed = 1;

    buddy_add(&b, 5, 9000);
    for (unsigned int step = 0; step < 200000; step++) {
        seed = seed * 6364136223846793005UL + 1442695040888963407UL;
        if ((seed >> 60) & 1 && n < 512) {
            unsigned int order = (seed >> 40) % 6;
            uint32_t f = buddy_alloc(&b, order, (seed >> 50) & 1);

            if (f == FRAME_NIL)
                continue;
            for (uint32_t i = 0; i < 1u << order; i++) {
                assert_int_equal(pages[f + i].owner, 0);
                pages[f + i].owner = 1;         /* nobody else may get it */
            }
            held[n].frame = f;
            held[n++].order = order;
            used += 1u << order;
        } else if (n) {
            unsigned int i = (seed >> 33) % n;

            for (uint32_t k = 0; k < 1u << held[i].order; k++)
                pages[held[i].frame + k].owner = 0;
            buddy_free(&b, held[i].frame, held[i].order);
            used -= 1u << held[i].order;
            held[i] = held[--n];
        }
        assert_int_equal(b.free[0] + used, 9000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(split_and_join, fresh, done),
        cmocka_unit_test_setup_teardown(ranges_of_any_shape, fresh, done),
        cmocka_unit_test_setup_teardown(blocks_are_aligned, fresh, done),
        cmocka_unit_test_setup_teardown(low_memory_lasts, fresh, done),
        cmocka_unit_test_setup_teardown(used_neighbour_stays, fresh, done),
        cmocka_unit_test_setup_teardown(random_load, fresh, done),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
