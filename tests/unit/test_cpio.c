/* SPDX-License-Identifier: MIT */
/* LINK: runtime/cpio.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "runtime/cpio.h"

/* Appends an entry, the way cpio writes it; returns the new length. */
static size_t add(char *buf, size_t at, const char *name, const char *data, size_t size)
{
    at += (size_t)sprintf(buf + at, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 1,
                          0100644, 0, 0, 1, 0, (unsigned int)size, 0, 0, 0, 0,
                          (unsigned int)strlen(name) + 1, 0);
    strcpy(buf + at, name);
    for (at += strlen(name) + 1; at % 4; at++)
        buf[at] = '\0';
    memcpy(buf + at, data, size);
    for (at += size; at % 4; at++)
        buf[at] = '\0';
    return at;
}

static void two_files(void **state)
{
    static char buf[1024] __attribute__((aligned(8)));
    struct cpio_entry e;
    size_t n = add(buf, 0, "host.cfg", "a = 1\n", 6), pos = 0;

    n = add(buf, n, "dir/kernel", "xyz", 3);
    n = add(buf, n, "TRAILER!!!", "", 0);
    assert_true(cpio_is_archive(buf, n));
    assert_true(cpio_next(buf, n, &pos, &e));
    assert_string_equal(e.name, "host.cfg");
    assert_int_equal(e.size, 6);
    assert_memory_equal(e.data, "a = 1\n", 6);
    assert_int_equal(e.mode, 0100644);
    assert_true(cpio_next(buf, n, &pos, &e));
    assert_string_equal(e.name, "dir/kernel");
    assert_memory_equal(e.data, "xyz", 3);
    assert_false(cpio_next(buf, n, &pos, &e));
}

static void cut_short(void **state)
{
    static char buf[1024] __attribute__((aligned(8)));
    struct cpio_entry e;
    size_t n = add(buf, 0, "file", "0123456789", 10);

    for (size_t i = 0; i < n - 2; i++) {
        size_t pos = 0;

        assert_false(cpio_next(buf, i, &pos, &e));
        assert_int_equal(pos, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_files),
        cmocka_unit_test(cut_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
