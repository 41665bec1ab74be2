/* SPDX-License-Identifier: MIT */
/*
 * test_blkfront.c - blkfront against a backend that lies: on its ring, in the store, in its states. Whatever it does, a
 * request ends once and not before its memory is the user's alone, the vbd is let go of with one line that says
 * why, and a right backend serves what was under way.
 */
/* LINK: blkfront/blkfront.c blkfront/ring.c runtime/grant.c runtime/xs.c runtime/xbdev.c runtime/loglimit.c lib/rate.c */
/* LINK: runtime/loop.c runtime/cmdline.c lib/strlcpy.c */
/* LINK: tests/unit/fakes/front.c tests/unit/fakes/world.c tests/unit/fakes/blkpeer.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/unit/fakes/blkpeer.h"

#define PAGES (BLKPEER_REQS * BLKPEER_PAGES)

static unsigned int lines(const char *what)
{
    unsigned int n = 0;

    for (const char *s = fake_log; (s = strstr(s, what)) != NULL; s++)
        n++;
    return n;
}

static int setup(void **unused)
{
    assert_true(blkpeer_come_up());
    assert_true(blkpeer_works());
    fake_log[0] = '\0';
    return 0;
}

/* Whatever a test did: a right backend serves what is left, and nothing stays granted or allocated. */
static int teardown(void **unused)
{
    blkpeer_close();
    assert_true(blkpeer_come_up());
    assert_true(blkpeer_serve());
    assert_true(blkpeer_serve());
    assert_int_equal(blkpeer_busy(), 0);
    assert_true(blkpeer_works());
    blkpeer_close();
    assert_int_equal(front_grants(), 0);
    assert_int_equal(front_pages(), PAGES);
    return 0;
}

static void submit_some(unsigned int n)
{
    for (unsigned int i = 0; i < n; i++)
        assert_true(blkpeer_submit(i, i % 2 ? BLKFRONT_READ : BLKFRONT_WRITE, i, 8 + i, 0));
}

/* Let go of, with one line; nothing that was asked for is lost, and no memory is given away while the backend has it. */
static void expect_down(const char *why, unsigned int busy)
{
    blkpeer_push();
    assert_int_equal(blkpeer_state(), XenbusStateClosed);
    assert_int_equal(lines("the backend is wrong"), 1);
    if (!strstr(fake_log, why))
        fail_msg("no \"%s\" in: %s", why, fake_log);
    assert_int_equal(blkpeer_busy(), busy);
}

static void again(void)
{
    blkpeer_close();
    assert_true(blkpeer_come_up());
    assert_true(blkpeer_serve());
    assert_int_equal(blkpeer_busy(), 0);
    fake_log[0] = '\0';
}

static void indices(void **unused)
{
    static const uint32_t far[] = { 6, 65, 0x10000, 0x7fffffff, 0x80000000u, 0xffffffffu };

    for (unsigned int i = 0; i < ARRAY_SIZE(far); i++) {
        submit_some(5);
        blkpeer.rsp_prod += far[i];
        expect_down("it answers more than it was asked", 5);
        again();
    }
}

static void ids(void **unused)
{
    const uint64_t bad[] = { blkpeer.size, 0xffff, 0x10000, UINT32_MAX, 1ull << 32, UINT64_MAX };

    for (unsigned int i = 0; i < ARRAY_SIZE(bad) + 2; i++) {
        uint64_t id;

        submit_some(5);
        id = blkpeer_take()->id;
        if (i < ARRAY_SIZE(bad)) {
            blkpeer_answer(bad[i], 0, 0);
        } else if (i == ARRAY_SIZE(bad)) {      /* one that is free */
            blkpeer_answer((id + 9) % blkpeer.size, 0, 0);
        } else {                                /* twice */
            blkpeer_answer(id, 0, 0);
            blkpeer_answer(id, 0, 0);
        }
        expect_down("it answers what it was not asked", i < ARRAY_SIZE(bad) + 1 ? 5 : 4);
        again();
    }
}

static void any_status(void **unused)
{
    static const int status[] = { BLKIF_RSP_OKAY, BLKIF_RSP_ERROR, BLKIF_RSP_EOPNOTSUPP, 1, -3, 32767, -32768 };
    static const int want[] = { 0, -XEN_EIO, -XEN_EOPNOTSUPP, -XEN_EIO, -XEN_EIO, -XEN_EIO, -XEN_EIO };

    for (unsigned int i = 0; i < ARRAY_SIZE(status); i++) {
        submit_some(1);
        blkpeer_answer(blkpeer_take()->id, 99, status[i]);
        blkpeer_push();
        assert_int_equal(blkpeer_busy(), 0);
        assert_int_equal(blkpeer.req[0].rc, want[i]);
    }
}

/* An answered request whose pages the backend keeps ends when it lets go, and not before. */
static void pages_kept(void **unused)
{
    struct blkif_request r;

    for (unsigned int round = 0; round < 3; round++) {
        submit_some(3);
        r = *blkpeer_take();
        front_map(r.seg[0].gref, true);
        blkpeer_answer(r.id, 0, 0);
        blkpeer_push();
        fake_advance(NS_PER_S);
        assert_int_equal(blkpeer_busy(), 3);
        if (round == 1) {                       /* and an answer once more */
            blkpeer_answer(r.id, 0, 0);
            expect_down("it answers what it was not asked", 3);
            fake_advance(NS_PER_S);
            assert_int_equal(blkpeer_busy(), 3);
            again();
            continue;
        }
        front_map(r.seg[0].gref, false);
        fake_advance(NS_PER_S);
        assert_int_equal(blkpeer_busy(), 2);
        assert_true(blkpeer_serve());
    }
}

/* A backend that comes anew gets nothing before the last one let go of everything. */
static void ring_kept(void **unused)
{
    unsigned int pages;

    submit_some(20);
    pages = front_pages();
    for (unsigned int i = 0; i < 20; i++) {
        blkpeer_state_to("6");
        blkpeer_state_to("2");
        fake_advance(NS_PER_S);
    }
    assert_int_equal(front_pages(), pages);
    assert_int_not_equal(blkpeer_state(), XenbusStateInitialised);
    blkpeer_unmap();
    fake_advance(NS_PER_S);
    assert_int_equal(blkpeer_state(), XenbusStateInitialised);
    blkpeer_map();
    blkpeer_state_to("4");
    assert_true(blkpeer_serve());
    assert_int_equal(blkpeer_busy(), 0);
}

static void keys(void **unused)
{
    static const char *const names[] = { "sectors", "sector-size", "physical-sector-size", "info",
                                         "feature-flush-cache", "feature-discard", "max-ring-page-order",
                                         "feature-max-indirect-segments" };
    static const char *const values[] = { "", "-1", "0", "1", "3", "99999999999999999999999", "4294967295",
                                          "18446744073709551615", "zwei", "0x", "1 2", NULL };
    const struct blkfront_info *info;

    for (unsigned int k = 0; k < ARRAY_SIZE(names); k++) {
        for (unsigned int v = 0; v < ARRAY_SIZE(values); v++) {
            blkpeer_close();
            assert_true(blkpeer_come_up());
            blkpeer_close();
            if (values[v])
                blkpeer_write(names[k], values[v]);
            else
                blkpeer_remove(names[k]);
            fake_log[0] = '\0';
            assert_true(blkpeer_connect());
            info = blkfront_info(blkpeer.b);
            assert_true(info->sectors <= UINT64_MAX >> 9);
            assert_true(info->sector_size == 512);
            assert_true(info->physical_size == 512 || info->physical_size == 4096);
            assert_in_range(info->max_sectors, 8, 63 * 8);
            /* Requests end, one way or the other. */
            submit_some(30);
            assert_true(blkpeer_submit(40, BLKFRONT_READ, UINT64_MAX, 8, 0));
            assert_true(blkpeer_submit(41, BLKFRONT_READ, 0, 100, 512));
            assert_true(blkpeer_submit(42, BLKFRONT_DISCARD, 10, UINT32_MAX, 0));
            assert_true(blkpeer_serve() && blkpeer_serve());
            assert_int_equal(blkpeer_busy(), 0);
            assert_int_equal(blkpeer.req[40].rc, -XEN_EINVAL);
            if (k == 0)
                assert_int_equal(lines("size") != 0, v != 2 && v != 3 && v != 4 && v != 6);
        }
    }
}

static void any_state(void **unused)
{
    static const char *const states[] = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "-4", "",
                                          "4294967298", "closed", NULL };

    for (unsigned int step = 0; step < 3; step++) {
        for (unsigned int i = 0; i < ARRAY_SIZE(states); i++) {
            for (unsigned int k = 0; k < ARRAY_SIZE(states); k++) {
                blkpeer_close();
                if (step == 1)
                    blkpeer_state_to("2");
                if (step == 2)
                    assert_true(blkpeer_come_up());
                for (unsigned int r = 0; r < 5; r++)
                    (void)blkpeer_submit(r, BLKFRONT_READ, 0, 8, 0);
                blkpeer_state_to(states[i]);
                blkpeer_state_to(states[k]);
            }
        }
    }
    assert_int_equal(lines("the backend is wrong"), 0);
    assert_false(blkpeer.gone);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(indices), T(ids), T(any_status), T(pages_kept), T(ring_kept), T(keys), T(any_state),
    };

    blkpeer_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
