/* SPDX-License-Identifier: MIT */
/* Transactions of the store, as clients see them. */
/* LINK: toolstack/store/path.c toolstack/store/perm.c toolstack/store/tree.c */
/* LINK: toolstack/store/watch.c toolstack/store/txn.c toolstack/store/ops.c */
/* LINK: toolstack/store/wire.c toolstack/store/conn.c */
#include "tests/unit/store_client.h"

/* ---- transactions ---- */

static void test_txn_isolation(void **state)
{
    uint32_t tx;

    OK(wr(1, 0, "d/a", "1"));
    OK(wr(1, 0, "d/b", "1"));
    tx = begin(1);
    OK(wr(1, tx, "d/a", "2"));
    OK(wr(1, tx, "d/new/x", "n"));
    OK(ask1(1, XS_RM, tx, "d/b"));
    IS(rd(1, tx, "d/a"), "2");
    IS(rd(1, tx, "d/new/x"), "n");
    IS(rd(1, tx, "d/b"), "ENOENT");
    IS(ls(1, tx, "d"), "a,new,");
    IS(rd(1, 0, "d/a"), "1");
    IS(rd(1, 0, "d/b"), "1");
    IS(rd(1, 0, "d/new"), "ENOENT");
    IS(ls(1, 0, "d"), "a,b,");
    check();
    OK(end(1, tx, "T"));
    IS(rd(1, 0, "d/a"), "2");
    IS(rd(1, 0, "d/b"), "ENOENT");
    IS(ls(1, 0, "d"), "a,new,");
    IS(rd(1, 0, "d/new/x"), "n");
    IS(rd(1, tx, "d/a"), "ENOENT"); /* no such transaction any more */
    IS(end(1, tx, "T"), "ENOENT");
}

static void test_txn_abort(void **state)
{
    uint32_t tx = begin(1);

    OK(wr(1, tx, "n", "v"));
    OK(end(1, tx, "F"));
    IS(rd(1, 0, "n"), "ENOENT");
    tx = begin(1);
    IS(end(1, tx, "X"), "EINVAL");
    IS(ask(1, XS_TRANSACTION_START, tx, "", 1), "EBUSY");
    IS(ask(1, XS_TRANSACTION_START, 12345, "", 1), "ENOENT");
    IS(rd(2, tx, "n"), "ENOENT"); /* transactions are the client's own */
    OK(end(1, tx, "T"));
    IS(end(1, 0, "T"), "ENOENT");
}

static void test_txn_conflict(void **state)
{
    static const struct {
        const char *what;
        uint32_t in_type;   /* what the transaction does */
        const char *in, *in2;
        uint32_t out_type;  /* what happens meanwhile */
        const char *out, *out2;
        bool conflict;
    } row[] = {
        { "read, changed", XS_READ, "a", NULL, XS_WRITE, "a", "x", true },
        { "read, other changed", XS_READ, "a", NULL, XS_WRITE, "b", "x", false },
        { "read, same value written", XS_READ, "a", NULL, XS_WRITE, "a", "1", true },
        { "read, removed", XS_READ, "a", NULL, XS_RM, "a", NULL, true },
        { "read, parent removed", XS_READ, "dir/x", NULL, XS_RM, "dir", NULL, true },
        { "read, child made", XS_READ, "dir", NULL, XS_WRITE, "dir/y", "x", false },
        { "not there, appears", XS_READ, "none", NULL, XS_WRITE, "none", "x", true },
        { "not there, other appears", XS_READ, "none", NULL, XS_WRITE, "other", "x", false },
        { "list, child made", XS_DIRECTORY, "dir", NULL, XS_WRITE, "dir/y", "x", true },
        { "list, child removed", XS_DIRECTORY, "dir", NULL, XS_RM, "dir/x", NULL, true },
        { "list, child changed", XS_DIRECTORY, "dir", NULL, XS_WRITE, "dir/x", "x", false },
        { "list, grandchild made", XS_DIRECTORY, "dir", NULL, XS_WRITE, "dir/x/y", "x", false },
        { "write, written", XS_WRITE, "a", "2", XS_WRITE, "a", "x", true },
        { "make, sibling made", XS_WRITE, "dir/m", "2", XS_WRITE, "dir/o", "x", false },
        { "make, made", XS_WRITE, "dir/m", "2", XS_WRITE, "dir/m", "x", true },
        { "make, parent removed", XS_WRITE, "dir/m", "2", XS_RM, "dir", NULL, true },
        { "make deep, parent made", XS_WRITE, "p/q/r", "2", XS_WRITE, "p", "x", true },
        { "remove, removed", XS_RM, "a", NULL, XS_RM, "a", NULL, true },
        { "remove, child changed", XS_RM, "dir", NULL, XS_WRITE, "dir/x", "x", false },
        { "perms read, changed", XS_GET_PERMS, "a", NULL, XS_SET_PERMS, "a", "n1", true },
    };

    for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
        for (int order = 0; order < 2; order++) {
            uint32_t tx;

            OK(wr(1, 0, "a", "1"));
            OK(wr(1, 0, "b", "1"));
            OK(wr(1, 0, "dir/x", "1"));
            tx = begin(1);
            if (row[i].in2)
                wr(1, tx, row[i].in, row[i].in2);
            else
                ask1(1, row[i].in_type, tx, row[i].in);
            /* Meanwhile; by another transaction in the second round. */
            uint32_t other = order ? begin(1) : 0;
            if (row[i].out_type == XS_SET_PERMS)
                chmod_(1, other, row[i].out, row[i].out2);
            else if (row[i].out2)
                wr(1, other, row[i].out, row[i].out2);
            else
                ask1(1, row[i].out_type, other, row[i].out);
            if (other)
                OK(end(1, other, "T"));
            check();
            if (strcmp(end(1, tx, "T"), row[i].conflict ? "EAGAIN" : "OK"))
                fail_msg("%s: %s", row[i].what, body);
            check();
            ask1(1, XS_RM, 0, "none");
            ask1(1, XS_RM, 0, "other");
            ask1(1, XS_RM, 0, "p");
            ask1(1, XS_RM, 0, "a");
            ask1(1, XS_RM, 0, "dir");
        }
    }
}

static void test_txn_rm_and_make_again(void **state)
{
    uint32_t tx;

    OK(wr(1, 0, "d/x/y", "old"));
    OK(wr(1, 0, "d/z", "old"));
    tx = begin(1);
    OK(wr(1, tx, "d/x/y", "changed"));
    OK(ask1(1, XS_RM, tx, "d/x"));
    OK(ask1(1, XS_RM, tx, "d"));
    IS(ls(1, tx, "d"), "ENOENT,");
    OK(wr(1, tx, "d/x/new", "1"));
    IS(rd(1, tx, "d/x/y"), "ENOENT");
    IS(ls(1, tx, "d"), "x,");
    OK(ask1(1, XS_RM, tx, "d/x"));
    IS(ls(1, tx, "d"), "");
    OK(wr(1, tx, "d/x/y", "again"));
    OK(chmod_(1, tx, "d/x/y", "n1,r2"));
    IS(perms(1, tx, "d/x/y"), "n1,r2,");
    OK(wr(1, 0, "d/z/late", "goes too"));
    check();
    OK(end(1, tx, "T"));
    IS(ls(1, 0, "d"), "x,");
    IS(ls(1, 0, "d/x"), "y,");
    IS(rd(2, 0, "/local/domain/1/d/x/y"), "again");
}

static void test_txn_watch(void **state)
{
    uint32_t tx;

    OK(wr(1, 0, "d/gone/x", ""));
    OK(wr(1, 0, "d/kept", ""));
    watch(1, "d", "d");
    watch(1, "d/gone/x", "gx");
    tx = begin(1);
    OK(wr(1, tx, "d/kept", "1"));
    OK(wr(1, tx, "d/kept", "2"));
    OK(wr(1, tx, "d/p/q", "2"));
    OK(ask1(1, XS_RM, tx, "d/gone"));
    OK(wr(1, tx, "d/never", ""));
    OK(ask1(1, XS_RM, tx, "d/never"));
    IS(event(1), "");
    OK(end(1, tx, "T"));
    IS(event(1), "d/kept d");
    IS(event(1), "d/p/q d");
    IS(event(1), "d/gone d");
    IS(event(1), "d/gone/x gx");
    IS(event(1), "");
    tx = begin(1);
    OK(wr(1, tx, "d/kept", "3"));
    OK(end(1, tx, "F"));
    IS(event(1), "");
}

static void test_txn_perms(void **state)
{
    uint32_t tx;

    OK(wr(1, 0, "n", "v"));
    watch(2, "/local/domain/1/n", "t");
    tx = begin(1);
    OK(chmod_(1, tx, "n", "n1,r2"));
    IS(rd(2, 0, "/local/domain/1/n"), "EACCES");
    OK(end(1, tx, "T"));
    IS(event(2), "/local/domain/1/n t");
    tx = begin(2);
    IS(rd(2, tx, "/local/domain/1/n"), "v");
    IS(wr(2, tx, "/local/domain/1/n", ""), "EACCES");
    IS(rd(2, tx, "/local/domain/3/n"), "EACCES");
    OK(end(2, tx, "T"));
}

static void test_reset_ends_transactions(void **state)
{
    uint32_t tx = begin(1);

    OK(wr(1, tx, "n", "v"));
    OK(ask(1, XS_RESET_WATCHES, 0, "", 1));
    IS(end(1, tx, "T"), "ENOENT");
    IS(rd(1, 0, "n"), "ENOENT");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_txn_isolation), T(test_txn_abort), T(test_txn_conflict),
        T(test_txn_rm_and_make_again), T(test_txn_watch), T(test_txn_perms),
        T(test_reset_ends_transactions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
