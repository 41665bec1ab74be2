/* SPDX-License-Identifier: MIT */
/* nbd_server.h - an NBD server that the test plays, connections to it, and a guest's requests: for tests of the client. */
#ifndef NBD_SERVER_H
#define NBD_SERVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "blkback/nbd.h"
#include "blkback/pin.h"
#include "tests/unit/fakes/guest.h"
#include "xenabi.h"

#define CONNS  64
#define SECOND 1000000000ul

/* Connections ------------------------------------------------------------------------------- */

static struct conn {
    struct stream s;
    const struct stream_events *ev;
    void *arg;
    bool open;
    uint8_t sent[65536];            /* what the client wrote */
    size_t nr_sent, taken, acked;
    struct { const void *p; size_t at, len; } ref[64];     /* pieces that are not copied */
    unsigned int nr_refs;
    size_t room;
    bool mute;
} conns[CONNS];
static unsigned int nr_conns;
static bool refuse, by_dma;

/* What is there, in memory or in a guest's page that is pinned. */
static inline void look(void *to, const void *p, size_t n)
{
    for (size_t done = 0, k; pinned_is(p) && done < n; done += k) {
        paddr_t maddr;
        uint32_t bytes;

        (void)pinned_find((const char *)p + done, &maddr, &bytes);
        k = MIN(n - done, (size_t)bytes);
        memcpy((char *)to + done, (const void *)maddr, k);
    }
    if (!pinned_is(p))
        memcpy(to, p, n);
}

static inline size_t fake_stream_write(struct stream *s, const void *data, size_t len, unsigned int flags)
{
    struct conn *c = container_of(s, struct conn, s);
    size_t n = len < c->room ? len : c->room;

    assert_true(c->open);
    assert_true(c->nr_sent + n <= sizeof(c->sent));
    if (flags & STREAM_REF) {
        c->ref[c->nr_refs].p = data;
        c->ref[c->nr_refs].at = c->nr_sent;
        c->ref[c->nr_refs++].len = n;
    }
    look(c->sent + c->nr_sent, data, n);
    c->nr_sent += n;
    c->room -= n;
    return n;
}

static inline void fake_stream_end(struct stream *s)
{
    struct conn *c = container_of(s, struct conn, s);

    assert_true(c->open);
    c->open = false;
}

static inline bool fake_by_dma(struct stream *s)
{
    return by_dma;
}

static inline void fake_mute(struct stream *s)
{
    container_of(s, struct conn, s)->mute = true;
}

static const struct stream_ops stream_ops = { .write = fake_stream_write, .close = fake_stream_end,
                                              .abort = fake_stream_end, .by_dma = fake_by_dma, .mute = fake_mute };

static inline int fake_connect(void *ctx, struct stream_addr to, const struct stream_events *ev, void *arg,
                        struct stream **s)
{
    struct conn *c = &conns[nr_conns];

    if (refuse)
        return -XEN_ECONNRESET;
    assert_int_not_equal(nr_conns, CONNS);
    nr_conns++;
    *c = (struct conn){ .s = { &stream_ops }, .ev = ev, .arg = arg, .open = true, .room = 60000 };
    *s = &c->s;
    return 0;
}

static inline void fake_resolve(void *ctx, const char *name, void (*fn)(void *arg, int rc, uint32_t ip), void *arg)
{
    fn(arg, 0, 0x0a000001);
}

static struct stream_net net = { .connect = fake_connect, .resolve = fake_resolve };

/* The peer has all that was written: memory given by reference must be what it was. */
static inline void ack(struct conn *c)
{
    size_t n = c->nr_sent - c->acked;

    for (unsigned int i = 0; i < c->nr_refs; i++) {
        static uint8_t now[sizeof(c->sent)];

        look(now, c->ref[i].p, c->ref[i].len);
        assert_memory_equal(now, c->sent + c->ref[i].at, c->ref[i].len);
    }
    c->nr_refs = 0;
    c->acked = c->nr_sent;
    if (n)
        c->ev->acked(c->arg, n);
}

/* Bytes from the server, `cut` at a time. */
static inline void say(struct conn *c, const void *data, size_t len, size_t cut)
{
    for (size_t at = 0, n; at < len && c->open; at += n) {
        uint8_t copy[512];          /* gone after the callback */

        n = len - at < cut ? len - at : cut;
        memcpy(copy, (const char *)data + at, n);
        assert_int_equal(c->ev->received(c->arg, copy, n), n);
        if (c->open)
            c->ev->received_all(c->arg);
        memset(copy, 0xdd, sizeof(copy));
    }
    fake_run();
}

static inline size_t put(uint8_t *p, uint64_t v, unsigned int n)
{
    for (unsigned int i = 0; i < n; i++)
        p[i] = (uint8_t)(v >> (n - 1 - i) * 8);
    return n;
}

/* max_block: what it takes in one request; 0: it does not say. */
static inline void greet_with(struct conn *c, uint64_t size, uint16_t flags, uint32_t max_block)
{
    uint8_t b[128];
    size_t n = 0;

    c->ev->connected(c->arg, 0);
    n += put(b + n, 0x4e42444d41474943, 8);
    n += put(b + n, 0x49484156454f5054, 8);
    n += put(b + n, 3, 2);
    say(c, b, n, 7);
    assert_int_equal(c->nr_sent, 4 + 16 + 4 + 1 + 4);
    c->taken = c->nr_sent;
    n = put(b, 0x3e889045565a9, 8);
    n += put(b + n, 7, 4);
    n += put(b + n, 3, 4);
    n += put(b + n, 12, 4);
    n += put(b + n, 0, 2);
    n += put(b + n, size, 8);
    n += put(b + n, flags, 2);
    if (max_block) {
        n += put(b + n, 0x3e889045565a9, 8);
        n += put(b + n, 7, 4);
        n += put(b + n, 3, 4);
        n += put(b + n, 14, 4);
        n += put(b + n, 3, 2);
        n += put(b + n, 1, 4);
        n += put(b + n, 4096, 4);
        n += put(b + n, max_block, 4);
    }
    n += put(b + n, 0x3e889045565a9, 8);
    n += put(b + n, 7, 4);
    n += put(b + n, 1, 4);
    n += put(b + n, 0, 4);
    say(c, b, n, 11);
}

static inline void greet(struct conn *c, uint64_t size, uint16_t flags)
{
    greet_with(c, size, flags, 0);
}

/* The next request that the client wrote. */
struct request { uint16_t flags, type; uint64_t handle, offset; uint32_t length; const uint8_t *data; };

static inline uint64_t get(const uint8_t *p, unsigned int n)
{
    uint64_t v = 0;

    while (n--)
        v = v << 8 | *p++;
    return v;
}

static inline struct request next(struct conn *c)
{
    const uint8_t *p = c->sent + c->taken;
    struct request r;

    assert_true(c->taken + NBD_REQUEST_SIZE <= c->nr_sent);
    assert_int_equal(get(p, 4), 0x25609513);
    r = (struct request){ (uint16_t)get(p + 4, 2), (uint16_t)get(p + 6, 2), get(p + 8, 8), get(p + 16, 8),
                          (uint32_t)get(p + 24, 4), p + 28 };
    c->taken += NBD_REQUEST_SIZE + (r.type == NBD_CMD_WRITE ? r.length : 0);
    assert_true(c->taken <= c->nr_sent);
    return r;
}

static inline void reply(struct conn *c, uint64_t handle, uint32_t error, const void *data, size_t len)
{
    uint8_t b[16 + 16384];
    size_t n = put(b, 0x67446698, 4);

    n += put(b + n, error, 4);
    n += put(b + n, handle, 8);
    if (len)
        memcpy(b + n, data, len);
    say(c, b, n + len, 500);
}

/* Requests of a guest ------------------------------------------------------------------------ */

struct io { struct disk_io io; uint8_t data[16384] __aligned(4096); bool copy_fails; int rc; unsigned int done; };

static inline void io_give(struct disk_io *io, uint32_t at, const void *data, uint32_t bytes)
{
    struct io *q = container_of(io, struct io, io);

    assert_true(at + bytes <= disk_io_bytes(io));
    memcpy(q->data + at, data, bytes);
}

static inline void io_take(struct disk_io *io, uint32_t at, void *to, uint32_t bytes)
{
    struct io *q = container_of(io, struct io, io);

    assert_true(at + bytes <= disk_io_bytes(io));
    if (!q->copy_fails)
        memcpy(to, q->data + at, bytes);
}

static inline bool io_failed(struct disk_io *io)
{
    return container_of(io, struct io, io)->copy_fails;
}

#define DOM 3

/* Its first page begins where its data does, less `skew` bytes: pieces are not as pages are. */
static uint32_t skew;
static grant_ref_t next_ref;

static inline struct pinned *io_pin(struct disk_io *io)
{
    struct io *q = container_of(io, struct io, io);
    struct pinned *p = pinned_new(DOM, 5);

    assert_non_null(p);
    p->release = unpin_set;
    for (uint32_t at = 0, n; at < disk_io_bytes(io); at += n) {
        struct pinned_piece *piece;
        uint32_t offset = at ? 0 : skew;

        n = MIN(disk_io_bytes(io) - at, 4096 - offset);
        fake_grant(DOM, ++next_ref, q->data + at - offset, true);
        piece = pinned_add(p, next_ref, offset, n);
        pin_page(DOM, next_ref, true, &piece->maddr, &piece->handle, &q->copy_fails);
    }
    return p;
}

static const struct disk_io_ops io_ops = { .give = io_give, .take = io_take, .pin = io_pin, .failed = io_failed };

static inline void io_done(struct disk_io *io, int rc)
{
    struct io *q = container_of(io, struct io, io);

    q->rc = rc;
    q->done++;
}

static struct disk *disk;
static int open_rc;
static bool is_closed;
static char open_why[256];

static inline void submit(struct io *q, enum disk_op op, uint8_t flags, uint64_t sector, uint64_t sectors)
{
    q->io = (struct disk_io){ .op = (uint8_t)op, .flags = flags, .sector = sector, .sectors = sectors,
                              .ops = &io_ops, .done = io_done };
    q->done = 0;
    disk_submit(disk, &q->io);
    disk_kick(disk);
    fake_run();
}

static inline void opened(struct disk_open *o, int rc, struct disk *d, const char *why)
{
    open_rc = rc;
    disk = d;
    snprintf(open_why, sizeof(open_why), "%s", why);
}

static struct disk_open opening;

static inline void begin(const char *target, bool readonly)
{
    static bool known;

    fake_reset();
    if (!known)
        nbd_init(&net);
    known = true;
    nr_conns = 0;
    refuse = by_dma = false;
    skew = 0;
    next_ref = 100;
    disk = NULL;
    open_rc = 1;
    is_closed = false;
    opening = (struct disk_open){ .opened = opened };
    opening.spec.readonly = readonly;
    strcpy(opening.spec.target, target);
    disk_open(&opening);
    fake_run();
}

static inline void ready(const char *target)
{
    begin(target, false);
    assert_int_equal(nr_conns, 1);
    greet(&conns[0], 1 << 20, 0x6d);
    assert_int_equal(open_rc, 0);
}

static inline void closed(void *arg)
{
    is_closed = true;
}

static inline void end(void)
{
    for (unsigned int i = 0; i < nr_conns; i++)
        if (conns[i].open)
            ack(&conns[i]);
    disk_close(disk, closed, NULL);
    fake_run();
    assert_true(is_closed);
    for (unsigned int i = 0; i < nr_conns; i++)
        assert_false(conns[i].open);
}

#endif
