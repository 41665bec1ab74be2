/* SPDX-License-Identifier: MIT */
/* test_printf.c - formatted text against the C library's, whole and cut at each length. */
/* LINK: lib/printf.c lib/strlcpy.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

int vsnprintf(char *buf, size_t size, const char *fmt, va_list args);

/* snprintf() is ours here, vasprintf() the library's. */
static void same(const char *fmt, ...)
{
    char *want, got[512];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&want, fmt, ap);
    va_end(ap);
    assert_true(n >= 0 && (size_t)n + 2 < sizeof(got));
    for (size_t size = 0; size <= (size_t)n + 2; size++) {
        memset(got, '#', sizeof(got));
        va_start(ap, fmt);
        assert_int_equal(vsnprintf(size ? got : NULL, size, fmt, ap), n);
        va_end(ap);
        if (size && (size_t)n < size)
            assert_string_equal(got, want);
        else if (size)
            assert_true(!memcmp(got, want, size - 1) && !got[size - 1]);
        assert_int_equal(got[size], '#');
    }
    free(want);
}

static void as_the_library_does(void **state)
{
    same("");
    same("plain text");
    same("100 %%, and then %s", "words");
    same("%s%s", "", "x");
    same("a%5sb%-5sc%.2sd%5.1se%s", "p", "q", "rst", "uv", "a longer text than the others");
    same("%.*s|%*d|%-*d|", 3, "abcdef", 6, 42, 6, 42);
    same("%c%3c%-3c|", 'x', 'y', 'z');
    same("%d %i %5d %-5d| %05d %+d % d %.4d %d", 0, -1, 12, 34, -56, 7, 8, 9, INT32_MIN);
    same("%u %lu %zu %hu %hhu %o", 4000000000u, UINT64_MAX, (size_t)7, (unsigned short)65535, (unsigned char)200, 64u);
    same("%x %X %#x %#X %08x %#10x %-#10x| %.6x", 255u, 255u, 255u, 255u, 0xabcu, 0xabcu, 0xabcu, 0xabcu);
    same("%ld %lx %p", INT64_MIN, 0xdeadbeefcafeUL, (void *)0x1234);
    same("%s: %lu.%09lu {%s=\"%u\"} %d\n", "name", 12UL, 345UL, "cpu", 3u, -4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_library_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
