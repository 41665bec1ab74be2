/* SPDX-License-Identifier: MIT */
/* store_client.h - a store with four connections, requests over them, answers and events: for its tests. */
#ifndef STORE_CLIENT_H
#define STORE_CLIENT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
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

static inline void wake(struct conn *c)
{
}

static inline void check(void)
{
    struct client *c[NR];

    for (int i = 0; i < NR; i++)
        c[i] = &conn[i].client;
    store_check(&w->store, c, NR);
}

/* ---- one request and what comes back ---- */

static struct xsd_sockmsg got;
static char body[8192];

static inline void send_raw(int d, uint32_t type, uint32_t tx, const void *payload, size_t len)
{
    struct xsd_sockmsg m = { .type = type, .req_id = 77, .tx_id = tx, .len = (uint32_t)len };

    assert_int_equal(conn_input(&conn[d], (char *)&m, sizeof(m)), sizeof(m));
    assert_int_equal(conn_input(&conn[d], payload, len), len);
}

static inline bool receive(int d)
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
static inline const char *ask(int d, uint32_t type, uint32_t tx, const void *payload, size_t len)
{
    send_raw(d, type, tx, payload, len);
    assert_true(receive(d));
    assert_int_equal(got.req_id, 77);
    assert_int_equal(got.tx_id, tx);
    if (got.type != XS_ERROR)
        assert_int_equal(got.type, type);
    return body;
}

static inline const char *ask1(int d, uint32_t type, uint32_t tx, const char *s)
{
    return ask(d, type, tx, s, strlen(s) + 1);
}

static inline const char *rd(int d, uint32_t tx, const char *path)
{
    return ask1(d, XS_READ, tx, path);
}

static inline const char *wr(int d, uint32_t tx, const char *path, const char *value)
{
    char buf[8192];
    size_t n = strlen(path) + 1;

    memcpy(buf, path, n);
    memcpy(buf + n, value, strlen(value));
    return ask(d, XS_WRITE, tx, buf, n + strlen(value));
}

static inline const char *two(int d, uint32_t type, uint32_t tx, const char *a, const char *b)
{
    char buf[8192];
    size_t n = strlen(a) + 1, m = strlen(b) + 1;

    memcpy(buf, a, n);
    memcpy(buf + n, b, m);
    return ask(d, type, tx, buf, n + m);
}

/* perms: one string with commas. */
static inline const char *chmod_(int d, uint32_t tx, const char *path, const char *perms)
{
    char buf[512];
    int n = snprintf(buf, sizeof(buf), "%s,%s", path, perms);

    for (int i = 0; i < n; i++)
        if (buf[i] == ',')
            buf[i] = 0;
    return ask(d, XS_SET_PERMS, tx, buf, (size_t)n + 1);
}

/* A list of strings with NULs, as text with commas. */
static inline const char *list(const char *answer)
{
    for (uint32_t i = 0; i < got.len; i++)
        if (!body[i])
            body[i] = ',';
    return answer;
}

static inline const char *ls(int d, uint32_t tx, const char *path)
{
    return list(ask1(d, XS_DIRECTORY, tx, path));
}

static inline const char *perms(int d, uint32_t tx, const char *path)
{
    return list(ask1(d, XS_GET_PERMS, tx, path));
}

static inline uint32_t begin(int d)
{
    const char *id = ask(d, XS_TRANSACTION_START, 0, "", 1);

    assert_int_equal(got.type, XS_TRANSACTION_START);
    return (uint32_t)atoi(id);
}

static inline const char *end(int d, uint32_t tx, const char *how)
{
    return ask1(d, XS_TRANSACTION_END, tx, how);
}

static inline void watch(int d, const char *path, const char *token)
{
    assert_string_equal(two(d, XS_WATCH, 0, path, token), "OK");
    assert_true(receive(d)); /* the first event, with the path as given */
    assert_int_equal(got.type, XS_WATCH_EVENT);
    assert_string_equal(body, path);
    assert_string_equal(body + strlen(path) + 1, token);
}

/* The next event, as "path token"; "" when there is none. */
static inline const char *event(int d)
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

static inline bool is_introduced(uint16_t domid)
{
    return domid < NR && introduced[domid];
}

static inline int introduce(uint16_t domid, uint64_t gfn, uint32_t port)
{
    assert_int_equal(gfn, 1234);
    assert_int_equal(port, 5);
    introduced[domid] = true;
    store_fire_special(&w->store, STORE_INTRODUCE);
    return 0;
}

static inline int release(uint16_t domid)
{
    if (!introduced[domid])
        return -XEN_ENOENT;
    introduced[domid] = false;
    store_fire_special(&w->store, STORE_RELEASE);
    return 0;
}

static inline int setup(void **state)
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

static inline int teardown(void **state)
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

#endif
