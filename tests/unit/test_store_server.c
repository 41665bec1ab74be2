/* SPDX-License-Identifier: MIT */
/* The store in dom0: domains behind rings whose pages lie, and dom0's own access. */
/* LINK: toolstack/store/path.c toolstack/store/perm.c toolstack/store/tree.c */
/* LINK: toolstack/store/watch.c toolstack/store/txn.c toolstack/store/ops.c */
/* LINK: toolstack/store/wire.c toolstack/store/conn.c toolstack/store/ringconn.c runtime/loglimit.c lib/rate.c */
/* LINK: toolstack/store/local.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "runtime/event.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "tests/unit/store_check.h"
#include "toolstack/store/local.h"
#include "toolstack/store/server.h"

/* ---- a loop and ports of our own ---- */

static struct list works = LIST_INIT(works);
static struct {
    event_fn fn;
    void *arg;
    unsigned int sent;
} ports[32];
static int bind_error;
static unsigned int warnings;

void work_queue(struct work *w)
{
    if (!w->queued)
        list_push_back(&works, &w->link);
    w->queued = true;
}

void work_cancel(struct work *w)
{
    list_remove(&w->link);
    w->queued = false;
}

int event_bind_interdomain(domid_t dom, evtchn_port_t remote, event_fn fn, void *arg,
                           evtchn_port_t *port)
{
    if (bind_error)
        return bind_error;
    *port = remote + 10;
    ports[*port].fn = fn;
    ports[*port].arg = arg;
    ports[*port].sent = 0;
    return 0;
}

void event_close(evtchn_port_t port)
{
    ports[port].fn = NULL;
}

void event_send(evtchn_port_t port)
{
    assert_non_null(ports[port].fn);
    ports[port].sent++;
}

void log_at(enum log_level level, const char *fmt, ...)
{
    warnings += level == LOG_WARN;
}

uint64_t now_ns(void)
{
    return 1;
}

/* Runs what is queued until nothing is; returns the number of turns. */
static unsigned int run(void)
{
    unsigned int turns = 0;

    for (; !list_empty(&works); turns++) {
        struct work *w = list_first(&works, struct work, link);

        assert_true(turns < 10000);
        work_cancel(w);
        w->fn(w);
    }
    return turns;
}

/* ---- guests ---- */

static struct xenstore_domain_interface page[4];
static const struct xs_ops *const xs = &store_xs_ops;

static void kick(int d)
{
    ports[d + 10].fn(ports[d + 10].arg);
}

static void guest_put(int d, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        page[d].req[(page[d].req_prod + i) % 1024] = ((const char *)bytes)[i];
    page[d].req_prod += len;
}

static void guest_ask(int d, uint32_t type, const char *payload, size_t len)
{
    struct xsd_sockmsg m = { .type = type, .req_id = 5, .len = (uint32_t)len };

    guest_put(d, &m, sizeof(m));
    guest_put(d, payload, len);
    kick(d);
    run();
}

static size_t guest_get(int d, char *to, size_t len)
{
    size_t n = 0;

    while (n < len && page[d].rsp_cons != page[d].rsp_prod)
        to[n++] = page[d].rsp[page[d].rsp_cons++ % 1024];
    return n;
}

static char body[5000];
static struct xsd_sockmsg got;

static const char *guest_answer(int d)
{
    got.type = 999;
    if (guest_get(d, (char *)&got, sizeof(got)) != sizeof(got))
        return "nothing";
    for (size_t n = 0; n < got.len;) {
        size_t more = guest_get(d, body + n, got.len - n);

        assert_true(more > 0);
        n += more;
        kick(d);
        run();
    }
    body[got.len] = 0;
    return body;
}

static int put_str(const char *path, const char *value)
{
    return xs->write(NULL, 0, path, value, strlen(value));
}

static int setup(void **state)
{
    memset(page, 0, sizeof(page));
    memset(&store_wire, 0, sizeof(store_wire));
    warnings = 0;
    assert_int_equal(store_start(42), 0);
    for (int d = 1; d < 3; d++) {
        char home[32];
        struct xs_perm own = { .dom = (domid_t)d };

        snprintf(home, sizeof(home), "/local/domain/%d", d);
        assert_int_equal(xs->mkdir(NULL, 0, home), 0);
        assert_int_equal(xs->set_perms(NULL, 0, home, &own, 1), 0);
        assert_int_equal(store_domain_connect((domid_t)d, &page[d], (evtchn_port_t)d), 0);
    }
    run();
    return 0;
}

static int teardown(void **state)
{
    store_domain_disconnect(1);
    store_domain_disconnect(2);
    run();
    store_check_tree(&store_wire.store);
    assert_int_equal(xs->rm(NULL, 0, "/local"), 0);
    assert_int_equal(xs->rm(NULL, 0, "/tool"), 0);
    assert_int_equal(store_wire.store.tree.count, 1);
    assert_int_equal(store_wire.store.watches.count, 0);
    /* dom0's own client has no end; what it holds does. */
    account_put(&store_wire.store.tree.perms, account_find(&store_wire.store.tree.perms, 0));
    store_free(&store_wire.store);
    return 0;
}

static void test_ring(void **state)
{
    guest_ask(1, XS_WRITE, "a\0v", 3);
    assert_string_equal(guest_answer(1), "OK");
    assert_int_equal(got.req_id, 5);
    assert_true(ports[11].sent > 0);
    assert_int_equal(page[1].req_cons, 19);
    assert_int_equal(page[1].server_features, 3);
    assert_string_equal(guest_answer(1), "nothing");
    assert_int_equal(store_domain_connect(1, &page[1], 1), -XEN_EEXIST);
}

/* Longer than the ring, both ways; and indexes that wrap. */
static void test_ring_long(void **state)
{
    char value[2048];

    for (size_t i = 0; i < sizeof(value); i++)
        value[i] = (char)('a' + i % 26);
    for (int round = 0; round < 5; round++) {
        struct xsd_sockmsg m = { .type = XS_WRITE, .len = 2 + sizeof(value) };

        guest_put(1, &m, sizeof(m));
        guest_put(1, "a", 2);
        for (size_t i = 0; i < sizeof(value); i += 512) {
            guest_put(1, value + i, 512);
            kick(1);
            run();
        }
        assert_string_equal(guest_answer(1), "OK");
        guest_ask(1, XS_READ, "a", 2);
        assert_int_equal(page[1].rsp_prod - page[1].rsp_cons, 1024);
        assert_memory_equal(guest_answer(1), value, sizeof(value));
        assert_int_equal(got.len, sizeof(value));
    }
}

/* A guest that fills its ring with requests and does not read stops itself only. */
static void test_ring_not_read(void **state)
{
    for (int i = 0; i < 500; i++) {
        struct xsd_sockmsg m = { .type = XS_READ, .len = 2 };

        if (page[1].req_prod - page[1].req_cons > 1000)
            break;
        guest_put(1, &m, sizeof(m));
        guest_put(1, "a", 2);
        kick(1);
        run();
    }
    assert_int_equal(page[1].rsp_prod - page[1].rsp_cons, 1024);
    guest_ask(2, XS_WRITE, "a\0v", 3);
    assert_string_equal(guest_answer(2), "OK");
    for (int i = 0; i < 40; i++) {
        guest_answer(1);
        kick(1);
        run();
    }
    assert_int_equal(page[1].error, 0);
}

static void refuses(int d, uint32_t error)
{
    kick(d);
    run();
    assert_int_equal(page[d].error, error);
    assert_int_equal(warnings, 1);
    kick(d);
    assert_int_equal(run(), 0); /* costs nothing any more */
    guest_ask(2, XS_READ, "a", 2); /* the others go on */
    assert_string_equal(guest_answer(2), "ENOENT");
}

static void test_ring_req_index(void **state)
{
    page[1].req_prod = page[1].req_cons + 1025;
    refuses(1, XENSTORE_ERROR_RINGIDX);
}

static void test_ring_rsp_index(void **state)
{
    page[1].rsp_cons = page[1].rsp_prod + 1;
    refuses(1, XENSTORE_ERROR_RINGIDX);
}

/* The guest overwrites our indexes: ours are what counts. */
static void test_ring_our_indexes(void **state)
{
    guest_ask(1, XS_READ, "a", 2);
    guest_answer(1);
    page[1].req_cons = 12345;
    page[1].rsp_prod = 99;
    guest_ask(1, XS_READ, "a", 2);
    assert_int_equal(page[1].req_cons, 36);
    assert_string_equal(guest_answer(1), "ENOENT");
    assert_int_equal(page[1].error, 0);
}

static void test_ring_oversize(void **state)
{
    struct xsd_sockmsg m = { .type = XS_READ, .len = 5000 };

    guest_ask(1, XS_WATCH, "a\0t", 4);
    guest_put(1, &m, sizeof(m));
    refuses(1, XENSTORE_ERROR_PROTO);
    assert_int_equal(store_wire.store.watches.count, 0);
    /* It can begin again. */
    page[1].connection = XENSTORE_RECONNECT;
    kick(1);
    run();
    assert_int_equal(page[1].connection, XENSTORE_CONNECTED);
    assert_int_equal(page[1].req_prod, 0);
    guest_ask(1, XS_READ, "a", 2);
    assert_string_equal(guest_answer(1), "ENOENT");
    /* As often as it likes: the log does not hear of each. */
    warnings = 0;
    for (unsigned int i = 0; i < 50; i++) {
        page[1].req_prod += 5000;
        kick(1);
        run();
        assert_int_equal(page[1].error, XENSTORE_ERROR_RINGIDX);
        page[1].connection = XENSTORE_RECONNECT;
        kick(1);
        run();
    }
    assert_in_range(warnings, 5, 20);
}

/* A restored domain goes on with the indexes that it had; half an answer may wait. */
static void test_ring_continues(void **state)
{
    page[3].req_cons = page[3].req_prod = 0xfffffff0u;
    page[3].rsp_cons = 0xfffffff8u;
    page[3].rsp_prod = 0xfffffffcu;
    assert_int_equal(store_domain_connect(3, &page[3], 3), 0);
    guest_ask(3, XS_GET_DOMAIN_PATH, "3", 2);
    page[3].rsp_cons += 4;
    assert_string_equal(guest_answer(3), "/local/domain/3");
    store_domain_disconnect(3);
}

static void test_bind_fails(void **state)
{
    bind_error = -XEN_EINVAL;
    assert_int_equal(store_domain_connect(3, &page[3], 3), -XEN_EINVAL);
    bind_error = 0;
    assert_false(store_domain_is_connected(3));
    run();
}

/* Requests without end from one domain do not keep another waiting. */
static void test_fairness(void **state)
{
    struct xsd_sockmsg m = { .type = XS_READ, .len = 2 };

    for (int i = 0; i < 56; i++) {
        guest_put(1, &m, sizeof(m));
        guest_put(1, "a", 2);
    }
    kick(1);
    guest_put(2, &m, sizeof(m));
    guest_put(2, "a", 2);
    kick(2);
    for (int i = 0; i < 2; i++) {
        struct work *w = list_first(&works, struct work, link);

        work_cancel(w);
        w->fn(w);
    }
    assert_int_equal(page[2].req_cons, 18);
    assert_true(page[1].req_cons < page[1].req_prod);
    run();
}

/* ---- dom0's own ---- */

static char seen[4096];
static struct xs_watch *unwatch_in_fn;

static void note(struct xs_watch *w, const char *path)
{
    strcat(strcat(seen, path), ";");
    if (unwatch_in_fn) {
        xs->unwatch(NULL, unwatch_in_fn);
        unwatch_in_fn = NULL;
    }
}

static const char *saw(void)
{
    static char last[sizeof(seen)];

    run();
    strcpy(last, seen);
    seen[0] = 0;
    return last;
}

static void test_local_values(void **state)
{
    char buf[16];
    struct xs_perm p[2] = { { 1, 0 }, { 2, XS_PERM_READ } };
    xs_txn t;

    assert_int_equal(put_str("/x/y", "value"), 0);
    assert_int_equal(xs->read(NULL, 0, "/x/y", buf, sizeof(buf)), 5);
    assert_string_equal(buf, "value");
    assert_int_equal(xs->read(NULL, 0, "/x/y", buf, 3), 5);
    assert_string_equal(buf, "va");
    assert_int_equal(xs->read(NULL, 0, "/x/y", NULL, 0), 5);
    assert_int_equal(xs->read(NULL, 0, "/x", buf, sizeof(buf)), 0);
    assert_string_equal(buf, "");
    assert_int_equal(xs->read(NULL, 0, "/none", buf, sizeof(buf)), -XEN_ENOENT);
    assert_int_equal(xs->write(NULL, 7, "/x", "", 0), -XEN_ENOENT);
    assert_int_equal(put_str("/x/second", ""), 0);
    assert_int_equal(xs->directory(NULL, 0, "/x", buf, sizeof(buf)), 9);
    assert_memory_equal(buf, "y\0second", 9);
    assert_int_equal(xs->directory(NULL, 0, "/x", buf, 4), 9);
    assert_int_equal(xs->set_perms(NULL, 0, "/x/y", p, 2), 0);
    guest_ask(2, XS_READ, "/x/y", 5);
    assert_string_equal(guest_answer(2), "value");
    assert_int_equal(xs->txn_start(NULL, &t), 0);
    assert_int_equal(xs->read(NULL, t, "/x/y", buf, sizeof(buf)), 5);
    guest_ask(1, XS_WRITE, "/x/y\0new", 8);
    assert_string_equal(guest_answer(1), "OK");
    assert_int_equal(xs->txn_end(NULL, t, true), -XEN_EAGAIN);
    assert_int_equal(xs->txn_end(NULL, t, true), -XEN_ENOENT);
    assert_int_equal(put_str("relative", "1"), 0);
    assert_int_equal(xs->read(NULL, 0, "/local/domain/0/relative", buf, sizeof(buf)), 1);
    assert_int_equal(xs->rm(NULL, 0, "/x"), 0);
}

static void test_local_watch(void **state)
{
    struct xs_watch a = { .path = "/local/domain/1/dev", .fn = note };
    struct xs_watch b = { .path = "/local/domain/1/dev", .fn = note };
    struct xs_watch c = { .path = "own", .fn = note };

    assert_int_equal(xs->watch(NULL, &a), 0);
    assert_string_equal(seen, ""); /* never from inside */
    assert_string_equal(saw(), "/local/domain/1/dev;");
    guest_ask(1, XS_WRITE, "dev/x\0v", 7);
    assert_string_equal(saw(), "/local/domain/1/dev/x;");
    assert_int_equal(xs->watch(NULL, &b), 0);
    saw();
    put_str("/local/domain/1/dev/x", "1");
    put_str("/local/domain/1/dev/x", "2");
    put_str("/local/domain/1/dev/y", "2");
    unwatch_in_fn = &b; /* the first callback ends the second watch, whose events wait */
    assert_string_equal(saw(), "/local/domain/1/dev/x;/local/domain/1/dev/y;");
    assert_int_equal(xs->watch(NULL, &c), 0);
    assert_string_equal(saw(), "own;");
    put_str("own/sub", "1");
    assert_string_equal(saw(), "own/sub;");
    unwatch_in_fn = &a;
    put_str("/local/domain/1/dev/x", "1"); /* ends itself */
    assert_string_equal(saw(), "/local/domain/1/dev/x;");
    put_str("/local/domain/1/dev/x", "1");
    assert_string_equal(saw(), "");
    xs->unwatch(NULL, &c);
    xs->unwatch(NULL, &c);
}

static unsigned int calls, own_path;

static void count(struct xs_watch *w, const char *path)
{
    calls++;
    own_path += !strcmp(path, w->path);
}

static void test_local_collapse(void **state)
{
    struct xs_watch a = { .path = "/m", .fn = count };
    char name[32];

    calls = own_path = 0;
    assert_int_equal(xs->watch(NULL, &a), 0);
    for (int i = 0; i < 6000; i++) {
        snprintf(name, sizeof(name), "/m/%d", i);
        put_str(name, "");
    }
    run();
    assert_int_equal(calls, 4097);
    assert_int_equal(own_path, 2);
    put_str("/m/1", "");
    run();
    assert_int_equal(calls, 4098);
    xs->unwatch(NULL, &a);
    assert_int_equal(xs->rm(NULL, 0, "/m"), 0);
}

static void test_domain_comes_and_goes(void **state)
{
    struct xs_watch in = { .path = "@introduceDomain", .fn = note };
    struct xs_watch out = { .path = "@releaseDomain", .fn = note };
    unsigned int nodes;
    size_t bytes;

    assert_int_equal(xs->watch(NULL, &in), 0);
    assert_int_equal(xs->watch(NULL, &out), 0);
    saw();
    assert_int_equal(store_domain_connect(3, &page[3], 3), 0);
    assert_string_equal(saw(), "@introduceDomain;");
    guest_ask(1, XS_IS_DOMAIN_INTRODUCED, "3", 2);
    assert_string_equal(guest_answer(1), "T");
    store_domain_shutdown(3);
    store_domain_shutdown(3);
    assert_string_equal(saw(), "@releaseDomain;");
    store_domain_resumed(3);
    store_domain_shutdown(3);
    assert_string_equal(saw(), "@releaseDomain;");
    store_domain_disconnect(3);
    assert_string_equal(saw(), "@releaseDomain;");
    assert_false(store_domain_is_connected(3));
    assert_false(store_get_usage(3, &nodes, &bytes));
    assert_true(store_get_usage(1, &nodes, &bytes));
    assert_int_equal(nodes, 1);
    xs->unwatch(NULL, &in);
    xs->unwatch(NULL, &out);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_ring), T(test_ring_long), T(test_ring_not_read), T(test_ring_req_index),
        T(test_ring_rsp_index), T(test_ring_our_indexes), T(test_ring_oversize),
        T(test_ring_continues), T(test_bind_fails), T(test_fairness), T(test_local_values),
        T(test_local_watch), T(test_local_collapse), T(test_domain_comes_and_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
