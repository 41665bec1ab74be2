/* SPDX-License-Identifier: MIT */
/*
 * store - uses xenstore through runtime/xenbus.c as a driver domain would: values, directories,
 * transactions, watches, errors. Prints "store: ok" or the first thing that failed.
 */
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/start.h"
#include "runtime/time.h"
#include "runtime/xbdev.h"
#include "runtime/xenbus.h"
#include "runtime/xs.h"

#define CHECK(cond) \
    do { \
        if (!(cond)) { \
            log_error("store: FAILED at line %d: %s", __LINE__, #cond); \
            domain_shutdown(SHUTDOWN_crash); \
        } \
    } while (0)

static char buf[4096];
static char home[64];

static char *in_home(const char *name)
{
    static char path[2][256];
    static unsigned int turn;

    turn ^= 1;
    (void)snprintf(path[turn], sizeof(path[turn]), "%s/%s", home, name);
    return path[turn];
}

static void test_values(void)
{
    uint32_t n;

    CHECK(xs_read(0, "domid", buf, sizeof(buf)) > 0);
    (void)snprintf(home, sizeof(home), "/local/domain/%s", buf);
    CHECK(xs_read(0, in_home("name"), buf, sizeof(buf)) > 0);
    log_info("store: I am %s, %s", buf, home);
    CHECK(xs_write(0, "data/a", "12345", 5) == 0);
    CHECK(xs_read(0, in_home("data/a"), buf, 4) == 5);
    CHECK(strcmp(buf, "123") == 0);
    CHECK(xs_read_u32(0, "data", "a", &n) == 0 && n == 12345);
    CHECK(xs_write(0, "data/a", "", 0) == 0);
    CHECK(xs_read(0, "data/a", buf, sizeof(buf)) == 0 && buf[0] == '\0');
    CHECK(xs_printf(0, "data", "x", "0x%x", 255) == 0);
    CHECK(xs_read_default(0, "data", "x", 1) == 255);
    CHECK(xs_read_default(0, "data", "missing", 77) == 77);
    CHECK(xs_mkdir(0, "data/dir/deep") == 0);
    CHECK(xs_directory(0, "data", buf, sizeof(buf)) == 8);      /* "a" "x" "dir" */
    CHECK(xs_rm(0, "data/dir") == 0);
    CHECK(xs_read(0, "data/dir/deep", buf, sizeof(buf)) == -XEN_ENOENT);
}

static void test_errors(void)
{
    memset(buf, 'v', sizeof(buf));
    CHECK(xs_write(0, "/tool/x", "1", 1) == -XEN_EACCES);
    CHECK(xs_write(0, in_home("name"), "1", 1) == -XEN_EACCES);
    CHECK(xs_write(0, "data/bad//path", "1", 1) == -XEN_EINVAL);
    CHECK(xs_write(0, "data/big", buf, 3000) < 0);
    CHECK(xs_write(0, "data/big", buf, 4096) == -XEN_E2BIG);
    CHECK(xs_write(0, "data/big", buf, 2000) == 0);
    CHECK(xs_read(0, "data/big", buf, sizeof(buf)) == 2000);
    CHECK(xs_txn_end(12345, true) == -XEN_ENOENT);
}

static void test_transactions(void)
{
    xs_txn t, u;

    CHECK(xs_txn_start(&t) == 0 && t != 0);
    CHECK(xs_write(t, "data/t", "in", 2) == 0);
    CHECK(xs_read(0, "data/t", buf, sizeof(buf)) == -XEN_ENOENT);
    CHECK(xs_read(t, "data/t", buf, sizeof(buf)) == 2);
    CHECK(xs_txn_end(t, true) == 0);
    CHECK(xs_read(0, "data/t", buf, sizeof(buf)) == 2);
    CHECK(xs_txn_start(&t) == 0 && xs_txn_start(&u) == 0);
    CHECK(xs_read(t, "data/t", buf, sizeof(buf)) == 2);
    CHECK(xs_write(u, "data/t", "other", 5) == 0);
    CHECK(xs_write(t, "data/t", "mine", 4) == 0);
    CHECK(xs_txn_end(u, true) == 0);
    CHECK(xs_txn_end(t, true) == -XEN_EAGAIN);
    CHECK(xs_txn_start(&t) == 0 && xs_rm(t, "data/t") == 0 && xs_txn_end(t, false) == 0);
    CHECK(xs_read(0, "data/t", buf, sizeof(buf)) == 5);
}

static unsigned int fired;
static char last_path[128];

static void on_watch(struct xs_watch *w, const char *path)
{
    fired++;
    strlcpy(last_path, path, sizeof(last_path));
}

static void wait_fired(unsigned int n)
{
    uint64_t end = now_ns() + 5 * NS_PER_S;

    while (fired < n && now_ns() < end)
        loop_turn(false);
    CHECK(fired >= n);
}

static void test_watches(void)
{
    struct xs_watch w;

    CHECK(xs_watch(&w, "data/w", on_watch) == 0);
    wait_fired(1);
    CHECK(strcmp(last_path, "data/w") == 0);
    CHECK(xs_write(0, "data/w/child", "1", 1) == 0);
    wait_fired(2);
    CHECK(strcmp(last_path, "data/w/child") == 0);
    xs_unwatch(&w);
    CHECK(xs_write(0, "data/w/child", "2", 1) == 0);
    for (unsigned int i = 0; i < 50; i++)
        loop_turn(false);
    CHECK(fired == 2);
}

/* Many requests, so that both rings wrap at every offset. */
static void test_many(void)
{
    uint64_t start = now_ns();

    for (unsigned int i = 0; i < 2000; i++) {
        size_t n = i % 700;

        memset(buf, (int)('a' + i % 26), n);
        CHECK(xs_write(0, "data/many", buf, n) == 0);
        memset(buf, 0, n);
        CHECK(xs_read(0, "data/many", buf, sizeof(buf)) == (int)n);
        CHECK(!n || (buf[0] == (char)('a' + i % 26) && buf[n - 1] == buf[0]));
    }
    log_info("store: %lu us for a write and a read", (now_ns() - start) / NS_PER_US / 2000);
}

void pv_main(void)
{
    CHECK(xenbus_init() == 0);
    test_values();
    test_errors();
    test_transactions();
    test_watches();
    test_many();
    log_info("store: ok");
}
