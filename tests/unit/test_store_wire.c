/* SPDX-License-Identifier: MIT */
/* The store as clients see it: every request over a connection, its answer and its events. */
/* LINK: toolstack/store/path.c toolstack/store/perm.c toolstack/store/tree.c */
/* LINK: toolstack/store/watch.c toolstack/store/txn.c toolstack/store/ops.c */
/* LINK: toolstack/store/wire.c toolstack/store/conn.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/store_check.h"
#include "toolstack/store/conn.h"

#define NR 4
static struct wire *w;
static struct conn conn[NR]; /* dom0, 1, 2, 3 */
static bool introduced[NR];

static void wake(struct conn *c)
{
}

static void check(void)
{
    struct client *c[NR];

    for (int i = 0; i < NR; i++)
        c[i] = &conn[i].client;
    store_check(&w->store, c, NR);
}

/* ---- one request and what comes back ---- */

static struct xsd_sockmsg got;
static char body[8192];

static void send_raw(int d, uint32_t type, uint32_t tx, const void *payload, size_t len)
{
    struct xsd_sockmsg m = { .type = type, .req_id = 77, .tx_id = tx, .len = (uint32_t)len };

    assert_int_equal(conn_input(&conn[d], (char *)&m, sizeof(m)), sizeof(m));
    assert_int_equal(conn_input(&conn[d], payload, len), len);
}

static bool receive(int d)
{
    size_t n = conn_output(&conn[d], (char *)&got, sizeof(got));

    if (!n)
        return false;
    assert_int_equal(n, sizeof(got));
    assert_true(got.len <= XENSTORE_PAYLOAD_MAX);
    assert_int_equal(conn_output(&conn[d], body, got.len), got.len);
    body[got.len] = 0;
    return true;
}

/* Returns the answer's payload, or for errors their name. Nothing else may be waiting. */
static const char *ask(int d, uint32_t type, uint32_t tx, const void *payload, size_t len)
{
    send_raw(d, type, tx, payload, len);
    assert_true(receive(d));
    assert_int_equal(got.req_id, 77);
    assert_int_equal(got.tx_id, tx);
    if (got.type != XS_ERROR)
        assert_int_equal(got.type, type);
    return body;
}

static const char *ask1(int d, uint32_t type, uint32_t tx, const char *s)
{
    return ask(d, type, tx, s, strlen(s) + 1);
}

static const char *rd(int d, uint32_t tx, const char *path)
{
    return ask1(d, XS_READ, tx, path);
}

static const char *wr(int d, uint32_t tx, const char *path, const char *value)
{
    char buf[8192];
    size_t n = strlen(path) + 1;

    memcpy(buf, path, n);
    memcpy(buf + n, value, strlen(value));
    return ask(d, XS_WRITE, tx, buf, n + strlen(value));
}

static const char *two(int d, uint32_t type, uint32_t tx, const char *a, const char *b)
{
    char buf[8192];
    size_t n = strlen(a) + 1, m = strlen(b) + 1;

    memcpy(buf, a, n);
    memcpy(buf + n, b, m);
    return ask(d, type, tx, buf, n + m);
}

/* perms: one string with commas. */
static const char *chmod_(int d, uint32_t tx, const char *path, const char *perms)
{
    char buf[512];
    int n = snprintf(buf, sizeof(buf), "%s,%s", path, perms);

    for (int i = 0; i < n; i++)
        if (buf[i] == ',')
            buf[i] = 0;
    return ask(d, XS_SET_PERMS, tx, buf, (size_t)n + 1);
}

/* A list of strings with NULs, as text with commas. */
static const char *list(const char *answer)
{
    for (uint32_t i = 0; i < got.len; i++)
        if (!body[i])
            body[i] = ',';
    return answer;
}

static const char *ls(int d, uint32_t tx, const char *path)
{
    return list(ask1(d, XS_DIRECTORY, tx, path));
}

static const char *perms(int d, uint32_t tx, const char *path)
{
    return list(ask1(d, XS_GET_PERMS, tx, path));
}

static uint32_t begin(int d)
{
    const char *id = ask(d, XS_TRANSACTION_START, 0, "", 1);

    assert_int_equal(got.type, XS_TRANSACTION_START);
    return (uint32_t)atoi(id);
}

static const char *end(int d, uint32_t tx, const char *how)
{
    return ask1(d, XS_TRANSACTION_END, tx, how);
}

static void watch(int d, const char *path, const char *token)
{
    assert_string_equal(two(d, XS_WATCH, 0, path, token), "OK");
    assert_true(receive(d)); /* the first event, with the path as given */
    assert_int_equal(got.type, XS_WATCH_EVENT);
    assert_string_equal(body, path);
    assert_string_equal(body + strlen(path) + 1, token);
}

/* The next event, as "path token"; "" when there is none. */
static const char *event(int d)
{
    if (!receive(d))
        return "";
    assert_int_equal(got.type, XS_WATCH_EVENT);
    assert_int_equal(got.req_id, 0);
    assert_int_equal(got.tx_id, 0);
    body[strlen(body)] = ' ';
    return body;
}

#define OK(e) assert_string_equal((e), "OK")
#define IS(e, s) assert_string_equal((e), (s))

static bool is_introduced(uint16_t domid)
{
    return domid < NR && introduced[domid];
}

static int introduce(uint16_t domid, uint64_t gfn, uint32_t port)
{
    assert_int_equal(gfn, 1234);
    assert_int_equal(port, 5);
    introduced[domid] = true;
    store_fire_special(&w->store, STORE_INTRODUCE);
    return 0;
}

static int release(uint16_t domid)
{
    if (!introduced[domid])
        return -XEN_ENOENT;
    introduced[domid] = false;
    store_fire_special(&w->store, STORE_RELEASE);
    return 0;
}

static int setup(void **state)
{
    w = calloc(1, sizeof(*w));
    assert_int_equal(store_init(&w->store, 0x1234567), 0);
    w->introduce = introduce;
    w->release = release;
    w->is_introduced = is_introduced;
    for (int i = 0; i < NR; i++) {
        char home[32], own[8];

        assert_int_equal(conn_init(&conn[i], w, (uint16_t)i, wake), 0);
        if (!i)
            continue;
        snprintf(home, sizeof(home), "/local/domain/%d", i);
        OK(ask1(0, XS_MKDIR, 0, home));
        snprintf(own, sizeof(own), "n%d", i);
        OK(chmod_(0, 0, home, own));
    }
    check();
    return 0;
}

static int teardown(void **state)
{
    check();
    for (int i = 0; i < NR; i++)
        conn_close(&conn[i]);
    for (int i = 1; i < NR; i++)
        ops_domain_died(&w->store, (uint16_t)i);
    store_check(&w->store, NULL, 0);
    store_free(&w->store);
    for (unsigned int b = 0; b < PERM_BUCKETS; b++) {
        assert_null(w->store.tree.perms.account[b]);
        assert_null(w->store.tree.perms.list[b]);
    }
    free(w);
    return 0;
}

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
    check();
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_read_write), T(test_mkdir_rm), T(test_paths), T(test_directory_part),
        T(test_perms_matrix), T(test_perms_existence), T(test_perms_inherit),
        T(test_set_perms_refused), T(test_set_target), T(test_watch_basic),
        T(test_watch_removal), T(test_watch_permission), T(test_watch_special),
        T(test_watch_order), T(test_txn_isolation), T(test_txn_abort), T(test_txn_conflict),
        T(test_txn_rm_and_make_again), T(test_txn_watch), T(test_txn_perms),
        T(test_reset_ends_transactions), T(test_quota_nodes), T(test_quota_deep),
        T(test_quota_values), T(test_quota_bytes), T(test_quota_watches_txns),
        T(test_partial_messages), T(test_backpressure), T(test_oversize), T(test_types),
        T(test_events_collapse), T(test_domain_death),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
