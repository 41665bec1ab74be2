/* SPDX-License-Identifier: MIT */
/* test_type.c - page type transitions: every state against every request. */
/* LINK: hypervisor/mm/type.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "mm/type.h"

static const uint32_t types[] = { PGT_L1, PGT_L2, PGT_L3, PGT_L4, PGT_SEG_DESC, PGT_WRITABLE };
#define NR_TYPES 6

static bool checked_type(uint32_t t)
{
    return t != PGT_WRITABLE;
}

/* All words that can exist with a small or a full count. */
static size_t all_words(uint32_t *w)
{
    static const uint32_t counts[] = { 1, 2, 3, PGT_COUNT_MASK - 1, PGT_COUNT_MASK };
    size_t n = 0;

    w[n++] = PGT_NONE;
    for (size_t t = 0; t < NR_TYPES; t++) {
        w[n++] = types[t];
        if (!checked_type(types[t])) {
            for (size_t c = 0; c < 5; c++)
                w[n++] = types[t] | counts[c];
            continue;
        }
        w[n++] = types[t] | PGT_PARTIAL | 1;
        for (size_t c = 0; c < 5; c++) {
            w[n++] = types[t] | PGT_VALIDATED | counts[c];
            if (type_is_table(types[t]))
                w[n++] = types[t] | PGT_VALIDATED | PGT_PINNED | counts[c];
        }
    }
    return n;
}

/* What the header promises of every word. */
static void check_word(uint32_t x)
{
    uint32_t n = type_count(x), t = x & PGT_TYPE_MASK;

    if (n == 0) {
        assert_int_equal(x & (PGT_PINNED | PGT_VALIDATED | PGT_PARTIAL), 0);
        return;
    }
    assert_int_not_equal(t, PGT_NONE);
    if (t == PGT_WRITABLE) {
        assert_int_equal(x & (PGT_PINNED | PGT_VALIDATED | PGT_PARTIAL), 0);
        return;
    }
    /* Exactly one of the two. */
    assert_true(!(x & PGT_VALIDATED) != !(x & PGT_PARTIAL));
    if (x & PGT_PARTIAL) {
        assert_int_equal(n, 1);
        assert_false(x & PGT_PINNED);
    }
    if (x & PGT_PINNED)
        assert_true(type_is_table(x));
}

static void get_everything(void **state)
{
    uint32_t w[128];
    size_t n = all_words(w);

    for (size_t i = 0; i < n; i++) {
        check_word(w[i]);
        for (size_t t = 0; t < NR_TYPES; t++) {
            uint32_t next = 0xdeadbeef, want = types[t], x = w[i];
            enum type_step s = type_get(x, want, &next);

            if (type_count(x) && (x & PGT_TYPE_MASK) != want) {
                assert_int_equal(s, TYPE_REFUSED);
            } else if (type_count(x) == 0 && checked_type(want)) {
                assert_int_equal(s, TYPE_VALIDATE);
                assert_int_equal(next, want | PGT_PARTIAL | 1);
            } else if (type_count(x) == 0) {
                uint32_t last = x & PGT_TYPE_MASK;
                assert_int_equal(s, last == PGT_NONE || last == want ? TYPE_DONE : TYPE_CHANGE);
                assert_int_equal(next, want | 1);
            } else if (x & PGT_PARTIAL) {
                assert_int_equal(s, TYPE_RESUME);
            } else if (type_count(x) == PGT_COUNT_MASK) {
                assert_int_equal(s, TYPE_REFUSED);
            } else {
                assert_int_equal(s, TYPE_DONE);
                assert_int_equal(next, x + 1);
            }
            if (s == TYPE_REFUSED || s == TYPE_RESUME)
                assert_int_equal(next, 0xdeadbeef);
            else
                check_word(next);
        }
    }
}

static void put_everything(void **state)
{
    uint32_t w[128];
    size_t n = all_words(w);

    for (size_t i = 0; i < n; i++) {
        uint32_t next = 0xdeadbeef, x = w[i];
        enum type_step s = type_put(x, &next);

        if (type_count(x) == 0 || (x & PGT_PARTIAL) || (type_count(x) == 1 && (x & PGT_PINNED))) {
            assert_int_equal(s, TYPE_REFUSED);
            assert_int_equal(next, 0xdeadbeef);
            continue;
        }
        check_word(next);
        if (type_count(x) == 1 && type_is_table(x)) {
            assert_int_equal(s, TYPE_DEVALIDATE);
            assert_int_equal(next, (x & PGT_TYPE_MASK) | PGT_PARTIAL | 1);
            assert_int_equal(type_empty(next), x & PGT_TYPE_MASK);
            assert_int_equal(type_complete(next), x);
        } else {
            assert_int_equal(s, TYPE_DONE);
            assert_int_equal(type_count(next), type_count(x) - 1);
        }
    }
}

static void pin_everything(void **state)
{
    uint32_t w[128];
    size_t n = all_words(w);

    for (size_t i = 0; i < n; i++) {
        uint32_t next = 0xdeadbeef, x = w[i];
        bool can = type_is_table(x) && (x & PGT_VALIDATED) && !(x & PGT_PINNED);

        assert_int_equal(type_pin(x, &next), can);
        if (!can) {
            assert_int_equal(next, 0xdeadbeef);
        } else {
            uint32_t back;
            check_word(next);
            assert_true(type_unpin(next, &back));
            assert_int_equal(back, x);
        }
        assert_int_equal(type_unpin(x, &next), (x & PGT_PINNED) != 0);
    }
}

/* A frame someone can write is refused as a page table, and refusing leaves no trace. */
static void writable_is_no_table(void **state)
{
    uint32_t x = PGT_WRITABLE | 1, next = 7;

    assert_int_equal(type_get(x, PGT_L1, &next), TYPE_REFUSED);
    assert_int_equal(next, 7);
    assert_int_equal(type_put(x, &next), TYPE_DONE);
    assert_int_equal(next, PGT_WRITABLE);
    assert_int_equal(type_get(next, PGT_L1, &next), TYPE_VALIDATE);
    /* And back: the change of use is noticed. */
    x = type_complete(next);
    assert_int_equal(type_put(x, &next), TYPE_DEVALIDATE);
    assert_int_equal(type_get(type_empty(next), PGT_WRITABLE, &next), TYPE_CHANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(get_everything),
        cmocka_unit_test(put_everything),
        cmocka_unit_test(pin_everything),
        cmocka_unit_test(writable_is_no_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
