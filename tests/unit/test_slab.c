/* SPDX-License-Identifier: MIT */
/* LINK: hypervisor/mm/slab.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "mm/slab.h"

static struct slab s;
static unsigned int pages_out;

static void *get(size_t size)
{
    unsigned int class = slab_class(size);
    void *p = slab_alloc(&s, class);

    if (!p) {
        slab_add_page(&s, class, aligned_alloc(PAGE_SIZE, PAGE_SIZE));
        pages_out++;
        p = slab_alloc(&s, class);
    }
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 16, 0);
    assert_true((uintptr_t)p % PAGE_SIZE != 0);
    assert_true(slab_owns(p));
    return p;
}

static void put(void *p)
{
    void *page = slab_free(&s, p);

    if (page) {
        free(page);
        pages_out--;
    }
}

static void classes_fit(void **state)
{
    for (size_t n = 1; n <= SLAB_MAX; n++) {
        assert_true(slab_class_size(slab_class(n)) >= n);
        assert_true(!slab_class(n) || slab_class_size(slab_class(n) - 1) < n);
    }
    assert_int_equal(slab_class(SLAB_MAX), SLAB_CLASSES - 1);
    for (unsigned int c = 0; c < SLAB_CLASSES; c++)
        assert_int_equal(slab_class_size(c) % 16, 0);
}

/* Objects keep what is written to them, and all pages come back in the end. */
static void load(void **state)
{
    static struct { unsigned char *p; size_t n; unsigned char fill; } o[300];
    uint64_t seed = 7;

    slab_init(&s);
    for (unsigned int step = 0; step < 60000; step++) {
        unsigned int i;

        seed = seed * 6364136223846793005UL + 1442695040888963407UL;
        i = (seed >> 40) % 300;
        if (o[i].p) {
            for (size_t k = 0; k < o[i].n; k++)
                assert_int_equal(o[i].p[k], o[i].fill);
            put(o[i].p);
            o[i].p = NULL;
        } else {
            o[i].n = (seed >> 20) % SLAB_MAX + 1;
            o[i].fill = (unsigned char)(seed >> 52);
            o[i].p = get(o[i].n);
            memset(o[i].p, o[i].fill, o[i].n);
        }
    }
    for (unsigned int i = 0; i < 300; i++) {
        if (o[i].p)
            put(o[i].p);
    }
    assert_int_equal(s.objects, 0);
    assert_int_equal(s.bytes, 0);
    assert_int_equal(pages_out, 0);
}

static void foreign_pointers(void **state)
{
    char *p;

    slab_init(&s);
    p = get(100);
    assert_false(slab_owns(p + 8));
    assert_false(slab_owns((void *)((uintptr_t)p & PAGE_MASK)));
    put(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_fit),
        cmocka_unit_test(load),
        cmocka_unit_test(foreign_pointers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
