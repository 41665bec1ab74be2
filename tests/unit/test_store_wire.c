/* SPDX-License-Identifier: MIT */
/* The store as clients see it, by its messages: requests and answers, permissions, the stream, death of a domain. */
/* LINK: toolstack/store/path.c toolstack/store/perm.c toolstack/store/tree.c */
/* LINK: toolstack/store/watch.c toolstack/store/txn.c toolstack/store/ops.c */
/* LINK: toolstack/store/wire.c toolstack/store/conn.c */
#include "tests/unit/store_client.h"

/* ---- reading and writing ---- */

static void test_read_write(void **state)
{
    OK(wr(1, 0, "a/b/c", "hello"));
    IS(rd(1, 0, "a/b/c"), "hello");
    assert_int_equal(got.len, 5); /* no NUL: NetBSD insists */
    IS(rd(1, 0, "/local/domain/1/a/b/c"), "hello");
    IS(rd(0, 0, "/local/domain/1/a/b/c"), "hello");
    IS(rd(1, 0, "a/b"), "");
    assert_int_equal(got.type, XS_READ);
    OK(wr(1, 0, "a/b/c", ""));
    IS(rd(1, 0, "a/b/c"), "");
    assert_int_equal(got.len, 0);
    IS(rd(1, 0, "a/x"), "ENOENT");
    IS(ls(1, 0, "a"), "b,");
    IS(ls(1, 0, "a/b/c"), "");
    /* Values are bytes. */
    OK(ask(1, XS_WRITE, 0, "a/bin\0x\0y", 9));
    assert_memory_equal(rd(1, 0, "a/bin"), "x\0y", 3);
    assert_int_equal(got.len, 3);
}

static void test_mkdir_rm(void **state)
{
    OK(ask1(1, XS_MKDIR, 0, "d/e"));
    OK(wr(1, 0, "d/e", "v"));
    OK(ask1(1, XS_MKDIR, 0, "d/e")); /* is there: its value stays */
    IS(rd(1, 0, "d/e"), "v");
    OK(ask1(1, XS_RM, 0, "d/none"));
    IS(ask1(1, XS_RM, 0, "d/none/deeper"), "ENOENT");
    OK(ask1(1, XS_RM, 0, "d"));
    IS(rd(1, 0, "d/e"), "ENOENT");
    IS(ask1(0, XS_RM, 0, "/"), "EINVAL");
    IS(ask1(1, XS_RM, 0, "/"), "EACCES");
}

static void test_paths(void **state)
{
    static const char *const bad[] = { "", "a/", "/a/", "//", "a//b", "a b", "a.b", "a:b", "@x",
                                       "/a\x80", "a/@releaseDomain/" };
    char *longer = calloc(1, 4000);

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        IS(rd(1, 0, bad[i]), "EINVAL");
    IS(rd(0, 0, "/"), "");
    memset(longer, 'a', 2048);
    IS(rd(1, 0, longer), "ENOENT");
    memset(longer, 'a', 2049);
    IS(rd(1, 0, longer), "EINVAL");
    memset(longer, 'a', 3072);
    longer[0] = '/';
    IS(rd(0, 0, longer), "ENOENT");
    longer[3072] = 'a';
    IS(rd(0, 0, longer), "EINVAL");
    /* No NUL, two strings, nothing at all. */
    IS(ask(1, XS_READ, 0, "a", 1), "EINVAL");
    IS(ask(1, XS_READ, 0, "a\0b", 4), "EINVAL");
    IS(ask(1, XS_READ, 0, "", 0), "EINVAL");
    IS(ask(1, XS_WRITE, 0, "abc", 3), "EINVAL");
    free(longer);
}

static void test_directory_part(void **state)
{
    char name[64], gen[32], all[8192] = "";
    size_t off = 0, parts = 0;

    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "dir/a-rather-long-name-%03d", i);
        OK(wr(1, 0, name, ""));
    }
    IS(ask1(1, XS_DIRECTORY, 0, "dir"), "E2BIG");
    for (bool done = false; !done; parts++) {
        char offset[16];
        size_t skip;

        snprintf(offset, sizeof(offset), "%zu", off);
        two(1, XS_DIRECTORY_PART, 0, "dir", offset);
        assert_int_equal(got.type, XS_DIRECTORY_PART);
        if (parts)
            IS(body, gen);
        strcpy(gen, body);
        skip = strlen(gen) + 1;
        for (size_t i = skip; i < got.len; i += strlen(body + i) + 1) {
            if (!body[i]) {
                done = true;
                assert_int_equal(i, got.len - 1);
                break;
            }
            strcat(all, body + i);
            off += strlen(body + i) + 1;
        }
    }
    assert_int_equal(parts, 2);
    assert_int_equal(strlen(all), 300 * 22);
    two(1, XS_DIRECTORY_PART, 0, "dir", "100000");
    assert_int_equal(got.len, strlen(gen) + 2);
    OK(wr(1, 0, "dir/more", ""));
    two(1, XS_DIRECTORY_PART, 0, "dir", "0");
    assert_string_not_equal(body, gen);
    IS(two(1, XS_DIRECTORY_PART, 0, "dir", "x"), "EINVAL");
    two(1, XS_DIRECTORY_PART, 0, "dir/more", "0");
    assert_int_equal(got.len, strlen(body) + 2);
}

/* ---- permissions ---- */

static void test_perms_matrix(void **state)
{
    static const struct {
        const char *perms;
        bool read2, write2, read3, write3;
    } row[] = {
        { "n1", 0, 0, 0, 0 },       { "r1", 1, 0, 1, 0 },     { "w1", 0, 1, 0, 1 },
        { "b1", 1, 1, 1, 1 },       { "n1,r2", 1, 0, 0, 0 },  { "n1,w2", 0, 1, 0, 0 },
        { "n1,b2", 1, 1, 0, 0 },    { "b1,n2", 0, 0, 1, 1 },  { "r1,w2,b3", 0, 1, 1, 1 },
        { "n1,r3,b2", 1, 1, 1, 0 }, { "n1,n2,b2", 0, 0, 0, 0 },
    };
    const char *const node = "/local/domain/1/n";

    for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
        OK(wr(1, 0, "n", "v"));
        OK(chmod_(1, 0, "n", row[i].perms));
        IS(rd(1, 0, "n"), "v");
        OK(wr(1, 0, "n", "v"));
        IS(rd(2, 0, node), row[i].read2 ? "v" : "EACCES");
        IS(rd(3, 0, node), row[i].read3 ? "v" : "EACCES");
        IS(wr(2, 0, node, "v"), row[i].write2 ? "OK" : "EACCES");
        IS(wr(3, 0, node, "v"), row[i].write3 ? "OK" : "EACCES");
        IS(ls(2, 0, node), row[i].read2 ? "" : "EACCES,");
        IS(perms(2, 0, node)[0] == 'E' ? "no" : "yes", row[i].read2 ? "yes" : "no");
        IS(chmod_(2, 0, node, "b1"), "EACCES");
        IS(rd(0, 0, node), "v");
        OK(wr(0, 0, node, "v"));
        char text[32];
        snprintf(text, sizeof(text), "%s,", row[i].perms);
        IS(perms(1, 0, "n"), text);
        IS(ask1(2, XS_RM, 0, node), row[i].write2 ? "OK" : "EACCES");
        check();
    }
}

/* Whether something exists that one may not know of is not told. */
static void test_perms_existence(void **state)
{
    OK(wr(1, 0, "secret/inner", "v"));
    IS(rd(2, 0, "/local/domain/1/secret/inner"), "EACCES");
    IS(rd(2, 0, "/local/domain/1/secret/none"), "EACCES");
    IS(rd(2, 0, "/local/domain/1/none"), "EACCES");
    IS(rd(2, 0, "/local/domain/1"), "EACCES");
    IS(rd(2, 0, "/nothing/at/all"), "EACCES");
    IS(ask1(2, XS_RM, 0, "/local/domain/1/none"), "EACCES");
    IS(ask1(2, XS_MKDIR, 0, "/local/domain/1/none"), "EACCES");
    OK(chmod_(1, 0, "secret", "n1,r2"));
    IS(rd(2, 0, "/local/domain/1/secret/none"), "ENOENT");
    IS(rd(2, 0, "/local/domain/1/secret/inner"), "EACCES");
    IS(wr(2, 0, "/local/domain/1/secret/none", ""), "EACCES");
}

static void test_perms_inherit(void **state)
{
    OK(wr(1, 0, "share/x", ""));
    OK(chmod_(1, 0, "share", "n1,b2,r3"));
    OK(wr(2, 0, "/local/domain/1/share/of2/deep", "mine"));
    IS(perms(2, 0, "/local/domain/1/share/of2"), "n2,b2,r3,");
    IS(perms(2, 0, "/local/domain/1/share/of2/deep"), "n2,b2,r3,");
    IS(rd(3, 0, "/local/domain/1/share/of2/deep"), "mine");
    IS(rd(1, 0, "share/of2/deep"), "EACCES"); /* the reference's rule too: it is 2's now */
    OK(wr(0, 0, "/local/domain/1/share/of0", ""));
    IS(perms(0, 0, "/local/domain/1/share/of0"), "n1,b2,r3,");
    OK(ask1(1, XS_RM, 0, "share")); /* with what others have below */
}

static void test_set_perms_refused(void **state)
{
    OK(wr(1, 0, "n", ""));
    IS(chmod_(1, 0, "n", "n2"), "EPERM");
    IS(chmod_(1, 0, "n", "x1"), "EINVAL");
    IS(chmod_(1, 0, "n", "r"), "EINVAL");
    IS(chmod_(1, 0, "n", "r70000"), "EINVAL");
    IS(chmod_(1, 0, "n", "r32752"), "EINVAL");
    IS(chmod_(1, 0, "n", "n1,"), "EINVAL");
    IS(ask1(1, XS_SET_PERMS, 0, "n"), "EINVAL");
    IS(chmod_(1, 0, "n", "n1,r2,r3,r4,r5,r6"), "ENOSPC");
    OK(chmod_(1, 0, "n", "n1,r2,r3,r4,r5"));
    IS(chmod_(0, 0, "/", "n1"), "EINVAL");
    OK(chmod_(0, 0, "/local/domain/1/n", "b2")); /* dom0 may give it away */
    IS(rd(1, 0, "n"), "");
    IS(chmod_(1, 0, "n", "n1"), "EACCES");
    check();
}

static void test_set_target(void **state)
{
    OK(wr(1, 0, "n", "v"));
    IS(rd(2, 0, "/local/domain/1/n"), "EACCES");
    IS(two(1, XS_SET_TARGET, 0, "2", "1"), "EACCES");
    OK(two(0, XS_SET_TARGET, 0, "2", "1"));
    IS(rd(2, 0, "/local/domain/1/n"), "v");
    OK(chmod_(2, 0, "/local/domain/1/n", "n1,r3"));
    IS(rd(1, 0, "n"), "v");
    IS(two(0, XS_SET_TARGET, 0, "999", "1"), "ENOENT");
}

/* ---- the stream ---- */

static void test_partial_messages(void **state)
{
    static const char msg[] = "\x0b\0\0\0\7\0\0\0\0\0\0\0\7\0\0\0" "a/b\0val";

    for (size_t i = 0; i < sizeof(msg) - 1; i++) {
        assert_false(conn_has_output(&conn[1]));
        assert_int_equal(conn_input(&conn[1], msg + i, 1), 1);
    }
    for (size_t i = 0; i < 16 + 3; i++)
        assert_int_equal(conn_output(&conn[1], body + i, 1), 1);
    assert_string_equal(body + 16, "OK");
    assert_int_equal(conn_output(&conn[1], body, 1), 0);
    IS(rd(1, 0, "a/b"), "val");
}

/* Many requests at once: one is answered, the others wait for the answer to be read. */
static void test_backpressure(void **state)
{
    char msg[2][18], many[36];

    for (int i = 0; i < 2; i++) {
        struct xsd_sockmsg m = { .type = XS_READ, .req_id = (uint32_t)i, .len = 2 };

        memcpy(msg[i], &m, 16);
        memcpy(msg[i] + 16, "n", 2);
        memcpy(many + i * 18, msg[i], 18);
    }
    assert_int_equal(conn_input(&conn[1], many, 36), 18);
    assert_int_equal(conn_input(&conn[1], many + 18, 18), 0);
    assert_true(receive(1));
    assert_int_equal(got.req_id, 0);
    assert_int_equal(conn_input(&conn[1], many + 18, 18), 18);
    assert_true(receive(1));
    assert_int_equal(got.req_id, 1);
}

static void test_oversize(void **state)
{
    struct xsd_sockmsg m = { .type = XS_READ, .len = 4097 };

    assert_int_equal(conn_input(&conn[1], (char *)&m, 16), 16);
    assert_int_equal(conn[1].error, XENSTORE_ERROR_PROTO);
    assert_int_equal(conn_input(&conn[1], (char *)&m, 16), 0);
    assert_false(conn_has_output(&conn[1]));
    IS(rd(0, 0, "/local/domain/1"), ""); /* the others go on */
    /* The largest that is allowed. */
    memset(body, 'a', sizeof(body));
    send_raw(2, XS_READ, 0, body, 4096);
    assert_true(receive(2));
    IS(body, "EINVAL");
}

static void test_types(void **state)
{
    static const uint32_t unknown[] = { XS_WATCH_EVENT, XS_ERROR, 20, 23, 1000, 0xffffffff };

    for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
        IS(ask1(1, unknown[i], 0, "x"), "ENOSYS");
        assert_int_equal(got.type, XS_ERROR);
        assert_int_equal(got.len, 7);
    }
    IS(ask1(1, XS_CONTROL, 0, "help"), "EACCES");
    IS(ask1(0, XS_CONTROL, 0, "help"), "ENOSYS");
    IS(ask1(1, XS_INTRODUCE, 0, "1"), "EACCES");
    IS(ask1(1, XS_RELEASE, 0, "2"), "EACCES");
    IS(ask1(1, XS_RESUME, 0, "2"), "EACCES");
    IS(ask1(0, XS_RESUME, 0, "2"), "ENOSYS");
    IS(ask1(0, XS_RELEASE, 0, "2"), "ENOENT");
    IS(ask1(0, XS_INTRODUCE, 0, "1"), "EINVAL");
    IS(ask1(1, XS_GET_DOMAIN_PATH, 0, "7"), "/local/domain/7");
    IS(ask1(1, XS_GET_DOMAIN_PATH, 0, "99999"), "EINVAL");
    IS(ask1(1, XS_GET_DOMAIN_PATH, 0, ""), "EINVAL");
}

/* A client that does not read its events costs no more than a bound, and misses nothing. */
static void test_events_collapse(void **state)
{
    char name[64];
    bool owed = false;
    int n = 0;

    watch(1, "d", "t");
    watch(1, "e", "u");
    for (int i = 0; i < 100; i++)
        OK(wr(0, 0, "/local/domain/1/d/same", "x")); /* equal ones are one */
    assert_int_equal(conn[1].events, 1);
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), "/local/domain/1/d/%d", i);
        OK(wr(0, 0, name, "x"));
    }
    OK(wr(0, 0, "/local/domain/1/e/x", "x"));
    assert_true(conn[1].events <= CONN_EVENTS_MAX);
    assert_int_equal(conn[1].collapsed, 2);
    check();
    for (const char *e; *(e = event(1)); n++)
        owed |= !strcmp(e, "d t");
    assert_true(owed);
    assert_int_equal(n, CONN_EVENTS_MAX + 2);
    assert_false(conn_has_output(&conn[1]));
    OK(wr(0, 0, "/local/domain/1/d/1", "x"));
    IS(event(1), "d/1 t");
    /* Unwatching forgets what waits, whether it is half sent or owed. */
    OK(wr(0, 0, "/local/domain/1/d/1", "x"));
    OK(wr(0, 0, "/local/domain/1/d/2", "x"));
    assert_int_equal(conn_output(&conn[1], body, 5), 5);
    watch_remove(&w->store.watches, list_first(&conn[1].client.watches, struct watch, of_client));
    assert_int_equal(conn[1].events, 1);
    assert_int_equal(conn_output(&conn[1], body, 100), 16 + 6 - 5);
    assert_false(conn_has_output(&conn[1]));
}

/* ---- a domain dies ---- */

static void test_domain_death(void **state)
{
    OK(wr(1, 0, "d/x", ""));
    OK(chmod_(1, 0, "d", "n1,b2"));
    OK(wr(2, 0, "/local/domain/1/d/of2", ""));
    OK(wr(2, 0, "mine", ""));
    OK(chmod_(2, 0, "mine", "n2,r1,r3"));
    OK(wr(0, 0, "/back/1", ""));
    OK(chmod_(0, 0, "/back/1", "n0,r1"));
    watch(0, "/local/domain/1/d/x", "t");
    OK(two(0, XS_SET_TARGET, 0, "3", "1"));
    watch(1, "d", "t");
    begin(1);
    conn_close(&conn[1]);
    ops_domain_died(&w->store, 1);
    IS(event(0), "/local/domain/1/d/x t");
    IS(rd(0, 0, "/local/domain/1"), "ENOENT");
    IS(perms(2, 0, "mine"), "n2,r3,");
    IS(perms(0, 0, "/back/1"), "n0,");
    assert_int_equal(conn_init(&conn[1], w, 1, wake), 0); /* the next with this number */
    IS(rd(1, 0, "/local/domain/2/mine"), "EACCES");
    IS(rd(1, 0, "/back/1"), "EACCES");
    OK(wr(0, 0, "/local/domain/1/n", "v"));
    OK(chmod_(0, 0, "/local/domain/1/n", "n1"));
    IS(rd(3, 0, "/local/domain/1/n"), "EACCES"); /* does not act as the new one */
    IS(rd(3, 0, "/local/domain/2/mine"), "");
    /* Nor does the next number 3 find what the first was given by a list that lost another name before. */
    conn_close(&conn[3]);
    ops_domain_died(&w->store, 3);
    IS(perms(2, 0, "mine"), "n2,");
    assert_int_equal(conn_init(&conn[3], w, 3, wake), 0);
    IS(rd(3, 0, "/local/domain/2/mine"), "EACCES");
    check();
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_read_write), T(test_mkdir_rm), T(test_paths), T(test_directory_part),
        T(test_perms_matrix), T(test_perms_existence), T(test_perms_inherit),
        T(test_set_perms_refused), T(test_set_target), T(test_partial_messages),
        T(test_backpressure), T(test_oversize), T(test_types), T(test_events_collapse),
        T(test_domain_death),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
