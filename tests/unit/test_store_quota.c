/* SPDX-License-Identifier: MIT */
/* What one domain may have in the store. */
/* LINK: toolstack/store/path.c toolstack/store/perm.c toolstack/store/tree.c */
/* LINK: toolstack/store/watch.c toolstack/store/txn.c toolstack/store/ops.c */
/* LINK: toolstack/store/wire.c toolstack/store/conn.c */
#include "tests/unit/store_client.h"

/* ---- quotas ---- */

static void test_quota_nodes(void **state)
{
    char name[64];
    int made = 0;

    for (int i = 0; i < 1100; i++) {
        snprintf(name, sizeof(name), "q/%d", i);
        if (!strcmp(wr(1, 0, name, "x"), "ENOSPC"))
            break;
        OK(body);
        made++;
    }
    assert_int_equal(made, 998); /* 1000 with "q" and the home */
    assert_int_equal(conn[1].client.account->nodes, 1000);
    IS(ask1(1, XS_MKDIR, 0, "more"), "ENOSPC");
    OK(wr(1, 0, "q/5", "existing"));
    uint32_t tx = begin(1);
    IS(wr(1, tx, "more", ""), "ENOSPC");
    OK(ask1(1, XS_RM, 0, "q/1"));
    OK(wr(1, tx, "more", ""));
    OK(wr(1, 0, "another", "")); /* takes the last place before the commit */
    IS(end(1, tx, "T"), "ENOSPC");
    IS(rd(1, 0, "more"), "ENOENT");
    tx = begin(1); /* makes room and uses it */
    OK(ask1(1, XS_RM, tx, "q"));
    check();
    OK(end(1, tx, "T"));
    OK(wr(0, 0, "/local/domain/1/by-dom0", ""));
    check();
}

/* A deep path cannot pass the quota by its missing parents. */
static void test_quota_deep(void **state)
{
    char path[PATH_BUF] = "a";

    while (strlen(path) + 2 <= PATH_MAX_REL)
        strcat(path, "/a");
    IS(wr(1, 0, path, ""), "ENOSPC");
    uint32_t tx = begin(1);
    IS(wr(1, tx, path, ""), "ENOSPC");
    OK(end(1, tx, "T"));
    OK(wr(0, 0, path, ""));
    IS(rd(0, 0, path), "");
    check();
    OK(ask1(0, XS_RM, 0, "a"));
}

static void test_quota_values(void **state)
{
    char value[4097];

    memset(value, 'x', sizeof(value));
    value[2049] = 0;
    IS(wr(1, 0, "big", value), "ENOSPC");
    value[2048] = 0;
    OK(wr(1, 0, "big", value));
    assert_int_equal(strlen(rd(1, 0, "big")), 2048);
    value[2048] = 'x';
    value[4096 - 5] = 0;
    OK(wr(0, 0, "/big", value));
}

static void test_quota_bytes(void **state)
{
    char value[2049], name[32];
    uint32_t tx = 0;
    int i;

    memset(value, 'x', 2048);
    value[2048] = 0;
    for (i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), "t/%d", i % 900);
        if (i % 100 == 0 && conn[1].client.nr_txns < 10)
            tx = begin(1);
        if (!strcmp(wr(1, i < 900 ? 0 : tx, name, value), "ENOMEM"))
            break;
        OK(body);
    }
    assert_in_range(i, 1000, 1300);
    check();
    assert_true(conn[1].client.account->bytes > 2400 * 1024);
}

static void test_quota_watches_txns(void **state)
{
    char token[16];

    for (int i = 0; i < 128; i++) {
        snprintf(token, sizeof(token), "%d", i);
        watch(1, "n", token);
    }
    IS(two(1, XS_WATCH, 0, "n", "x"), "E2BIG");
    IS(two(1, XS_WATCH, 0, "n", "1"), "EEXIST");
    for (int i = 0; i < 10; i++)
        begin(1);
    IS(ask(1, XS_TRANSACTION_START, 0, "", 1), "ENOSPC");
    for (int i = 0; i < 200; i++) {
        snprintf(token, sizeof(token), "%d", i);
        watch(0, "/x", token);
        begin(0);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_quota_nodes), T(test_quota_deep), T(test_quota_values), T(test_quota_bytes),
        T(test_quota_watches_txns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
