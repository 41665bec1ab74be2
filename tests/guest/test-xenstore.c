/* SPDX-License-Identifier: MIT */
/*
 * test-xenstore.c - runs in a guest: the store through the stock kernel's /dev/xen/xenbus. What a
 * guest may do and what it may not, watches, transactions, quotas, and many requests in a row.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(c) do { if (!(c)) { printf("xenstore: %s:%d: %s (last answer \"%s\")\n", __func__, \
                      __LINE__, #c, body); exit(1); } } while (0)
#define IS(e, s) CHECK(!strcmp((e), (s)))

enum { DIRECTORY = 1, READ, GET_PERMS, WATCH, UNWATCH, START, END, GET_PATH = 10, WRITE, MKDIR, RM,
       SET_PERMS, EVENT, ERROR, INTRODUCED };

struct head {
    uint32_t type, req, tx, len;
};

static char body[8192];
static struct head got;
static uint32_t next_req;

static void read_all(int fd, void *to, size_t len)
{
    for (char *p = to; len;) {
        ssize_t n = read(fd, p, len);

        CHECK(n > 0);
        p += n;
        len -= (size_t)n;
    }
}

static void receive(int fd)
{
    read_all(fd, &got, sizeof(got));
    CHECK(got.len < sizeof(body));
    read_all(fd, body, got.len);
    body[got.len] = 0;
}

/* Events that came while an answer was awaited: the kernel may queue a watch's first event before
 * the answer to the watch itself. */
static char kept[16][256];
static unsigned int nr_kept;

static void keep_event(void)
{
    CHECK(nr_kept < 16 && got.len < sizeof(kept[0]));
    body[strlen(body)] = ' ';
    strcpy(kept[nr_kept++], body);
}

/* The answer as text; of errors their name. Events that come before it are kept for event(). */
static const char *ask(int fd, uint32_t type, uint32_t tx, const char *payload, size_t len)
{
    char msg[8192];
    struct head h = { type, ++next_req, tx, (uint32_t)len };

    memcpy(msg, &h, sizeof(h));
    memcpy(msg + sizeof(h), payload, len);
    if (write(fd, msg, sizeof(h) + len) != (ssize_t)(sizeof(h) + len)) {
        snprintf(body, sizeof(body), "errno %d", errno);
        return body;
    }
    for (;;) {
        receive(fd);
        if (got.type != EVENT)
            return body;
        keep_event();
    }
}

static const char *ask1(int fd, uint32_t type, uint32_t tx, const char *s)
{
    return ask(fd, type, tx, s, strlen(s) + 1);
}

static const char *put(int fd, uint32_t tx, const char *path, const char *value)
{
    char p[4200];
    size_t n = strlen(path) + 1;

    memcpy(p, path, n);
    memcpy(p + n, value, strlen(value));
    return ask(fd, WRITE, tx, p, n + strlen(value));
}

static const char *get(int fd, uint32_t tx, const char *path)
{
    return ask1(fd, READ, tx, path);
}

/* The next event as "path token", or "" when none comes within a second. */
static const char *event(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    if (nr_kept) {
        strcpy(body, kept[0]);
        memmove(kept[0], kept[1], sizeof(kept[0]) * --nr_kept);
        return body;
    }
    if (poll(&p, 1, 1000) < 1)
        return "";
    receive(fd);
    CHECK(got.type == EVENT);
    body[strlen(body)] = ' ';
    return body;
}

static void values_and_permissions(int fd)
{
    char path[64], domid[16];

    strcpy(domid, get(fd, 0, "domid"));
    CHECK(atoi(domid) > 0);
    snprintf(path, sizeof(path), "/local/domain/%s", domid);
    IS(ask1(fd, GET_PATH, 0, domid), path);
    IS(ask1(fd, INTRODUCED, 0, domid), "T");
    IS(put(fd, 0, "data/a/b", "value"), "OK");
    IS(get(fd, 0, "data/a/b"), "value");
    strcat(path, "/data/a/b");
    IS(get(fd, 0, path), "value");
    IS(ask1(fd, DIRECTORY, 0, "data"), "a");
    IS(get(fd, 0, "data/none"), "ENOENT");
    IS(get(fd, 0, "data//x"), "EINVAL");
    /* Not ours. */
    IS(get(fd, 0, "/local/domain/0"), "EACCES");
    IS(get(fd, 0, "/local/domain/0/none"), "EACCES");
    IS(get(fd, 0, "/local/domain/999/name"), "EACCES");
    IS(ask1(fd, DIRECTORY, 0, "/local/domain"), "EACCES");
    IS(put(fd, 0, "name", "another"), "EACCES");
    IS(put(fd, 0, "/made-up", ""), "EACCES");
    IS(ask1(fd, RM, 0, "name"), "EACCES");
    IS(ask1(fd, RM, 0, "data/a"), "OK");
    IS(get(fd, 0, "data/a/b"), "ENOENT");
}

static void watches(int fd)
{
    IS(ask(fd, WATCH, 0, "data\0tok", 9), "OK");
    IS(event(fd), "data tok");
    IS(put(fd, 0, "data/w/x", "1"), "OK");
    IS(event(fd), "data/w/x tok");
    IS(ask1(fd, RM, 0, "data/w"), "OK");
    IS(event(fd), "data/w tok");
    IS(ask(fd, UNWATCH, 0, "data\0tok", 9), "OK");
    IS(put(fd, 0, "data/w", "1"), "OK");
    IS(event(fd), "");
}

static void transactions(int fd, int other)
{
    uint32_t tx = (uint32_t)atoi(ask(fd, START, 0, "", 1));

    IS(put(fd, tx, "data/t", "inside"), "OK");
    IS(get(fd, tx, "data/t"), "inside");
    IS(get(other, 0, "data/t"), "ENOENT");
    IS(ask1(fd, END, tx, "T"), "OK");
    IS(get(other, 0, "data/t"), "inside");
    tx = (uint32_t)atoi(ask(fd, START, 0, "", 1));
    IS(get(fd, tx, "data/t"), "inside");
    IS(put(other, 0, "data/t", "changed"), "OK");
    IS(put(fd, tx, "data/u", "x"), "OK");
    IS(ask1(fd, END, tx, "T"), "EAGAIN");
    IS(get(fd, 0, "data/u"), "ENOENT");
    tx = (uint32_t)atoi(ask(fd, START, 0, "", 1));
    IS(put(fd, tx, "data/u", "x"), "OK");
    IS(ask1(fd, END, tx, "F"), "OK");
    IS(get(fd, 0, "data/u"), "ENOENT");
}

static void quotas(int fd)
{
    char name[32], big[2050];
    int i;

    memset(big, 'x', sizeof(big));
    big[2049] = 0;
    IS(put(fd, 0, "data/big", big), "ENOSPC");
    big[2048] = 0;
    IS(put(fd, 0, "data/big", big), "OK");
    CHECK(strlen(get(fd, 0, "data/big")) == 2048);
    for (i = 0; i < 1100; i++) {
        snprintf(name, sizeof(name), "data/q/%d", i);
        if (strcmp(put(fd, 0, name, "v"), "OK"))
            break;
    }
    IS(body, "ENOSPC");
    CHECK(i > 900);
    IS(ask1(fd, RM, 0, "data/q"), "OK");
    IS(put(fd, 0, "data/after", "v"), "OK");
}

static void many(int fd)
{
    char value[16];

    for (int i = 0; i < 3000; i++) {
        snprintf(value, sizeof(value), "%d", i);
        IS(put(fd, 0, "data/many", value), "OK");
        IS(get(fd, 0, "data/many"), value);
    }
}

int main(void)
{
    int fd = open("/dev/xen/xenbus", O_RDWR), other = open("/dev/xen/xenbus", O_RDWR);

    CHECK(fd >= 0 && other >= 0);
    values_and_permissions(fd);
    watches(fd);
    transactions(fd, other);
    quotas(fd);
    many(fd);
    return 0;
}
