/* SPDX-License-Identifier: MIT */
/* Watches of the store, as clients see them. */
/* LINK: toolstack/store/path.c toolstack/store/perm.c toolstack/store/tree.c */
/* LINK: toolstack/store/watch.c toolstack/store/txn.c toolstack/store/ops.c */
/* LINK: toolstack/store/wire.c toolstack/store/conn.c */
#include "tests/unit/store_client.h"

/* ---- watches ---- */

static void test_watch_basic(void **state)
{
    watch(1, "dev", "t1");
    watch(1, "/local/domain/1/dev", "t2");
    watch(0, "/local/domain/1", "zero");
    OK(wr(1, 0, "dev/a/state", "1"));
    IS(event(1), "dev/a/state t1");
    IS(event(1), "/local/domain/1/dev/a/state t2");
    IS(event(1), "");
    IS(event(0), "/local/domain/1/dev/a/state zero");
    OK(wr(1, 0, "devx", "1")); /* no child of dev */
    IS(event(1), "");
    IS(event(0), "/local/domain/1/devx zero");
    OK(ask1(1, XS_MKDIR, 0, "dev/b"));
    IS(event(1), "dev/b t1");
    event(1);
    OK(ask1(1, XS_MKDIR, 0, "dev/b")); /* changes nothing */
    IS(event(1), "");
    OK(chmod_(1, 0, "dev/b", "n1,r2"));
    IS(event(1), "dev/b t1");
    event(1);
    IS(two(1, XS_WATCH, 0, "dev", "t1"), "EEXIST");
    IS(two(1, XS_UNWATCH, 0, "dev", "other"), "ENOENT");
    OK(two(1, XS_UNWATCH, 0, "dev", "t1"));
    OK(wr(1, 0, "dev/b", "2"));
    IS(event(1), "/local/domain/1/dev/b t2");
    IS(event(1), "");
    OK(ask(1, XS_RESET_WATCHES, 0, "", 1));
    OK(wr(1, 0, "dev/b", "2"));
    IS(event(1), "");
}

static void test_watch_removal(void **state)
{
    OK(wr(1, 0, "p/q/r", ""));
    OK(wr(1, 0, "p/s", ""));
    watch(1, "p/q/r", "r");
    watch(1, "p/q", "q");
    watch(1, "p/none", "none");
    watch(1, "p", "p");
    OK(ask1(1, XS_RM, 0, "p"));
    IS(event(1), "p p");
    IS(event(1), "p/q/r r"); /* each by its own name */
    IS(event(1), "p/q q");
    IS(event(1), "");
    OK(wr(1, 0, "p/q/r", ""));
    IS(event(1), "p/q/r r");
    IS(event(1), "p/q/r q");
    IS(event(1), "p/q/r p");
    OK(ask1(1, XS_RM, 0, "p/q/nothing"));
    IS(event(1), "");
}

static void test_watch_permission(void **state)
{
    watch(2, "/local/domain/1", "spy");
    watch(2, "/", "all");
    watch(2, "/local/domain/1/n", "node");
    OK(wr(1, 0, "n", "v"));
    IS(event(2), "");
    OK(chmod_(1, 0, "n", "n1,r2"));
    IS(event(2), "/local/domain/1/n node");
    IS(event(2), "/local/domain/1/n spy");
    IS(event(2), "/local/domain/1/n all");
    OK(chmod_(1, 0, "n", "n1")); /* could read it until now */
    IS(event(2), "/local/domain/1/n node");
    event(2);
    event(2);
    OK(wr(1, 0, "n", "w"));
    IS(event(2), "");
    OK(ask1(1, XS_RM, 0, "n"));
    IS(event(2), "");
}

static void test_watch_special(void **state)
{
    watch(0, "@introduceDomain", "i");
    watch(0, "@releaseDomain", "r");
    watch(1, "@introduceDomain", "i");
    watch(1, "@whatever", "i");
    OK(ask(0, XS_INTRODUCE, 0, "3\0" "1234\0" "5", 9));
    IS(event(0), "@introduceDomain i");
    IS(event(0), "");
    IS(event(1), "");
    IS(ask1(1, XS_IS_DOMAIN_INTRODUCED, 0, "3"), "T");
    OK(ask1(0, XS_RELEASE, 0, "3"));
    IS(event(0), "@releaseDomain r");
    IS(ask1(1, XS_IS_DOMAIN_INTRODUCED, 0, "3"), "F");
    IS(perms(0, 0, "@introduceDomain"), "n0,");
    IS(perms(1, 0, "@introduceDomain"), "EACCES,");
    IS(chmod_(1, 0, "@introduceDomain", "r0"), "EACCES");
    OK(chmod_(0, 0, "@introduceDomain", "n0,r1"));
    OK(ask(0, XS_INTRODUCE, 0, "3\0" "1234\0" "5", 9));
    IS(event(1), "@introduceDomain i");
    IS(event(1), "");
    IS(event(0), "@introduceDomain i");
    IS(chmod_(0, 0, "@other", "n0"), "EINVAL");
}

/* The client's own events come after the answer to what caused them. */
static void test_watch_order(void **state)
{
    watch(1, "n", "t");
    send_raw(1, XS_WRITE, 0, "n\0v", 3);
    assert_true(receive(1));
    assert_int_equal(got.type, XS_WRITE);
    assert_true(receive(1));
    assert_int_equal(got.type, XS_WATCH_EVENT);
    /* An older event comes before the next answer. */
    OK(wr(0, 0, "/local/domain/1/n", "w"));
    send_raw(1, XS_READ, 0, "n", 2);
    IS(event(1), "n t");
    assert_true(receive(1));
    assert_int_equal(got.type, XS_READ);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_watch_basic), T(test_watch_removal), T(test_watch_permission), T(test_watch_special),
        T(test_watch_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
