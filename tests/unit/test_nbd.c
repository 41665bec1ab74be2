/* SPDX-License-Identifier: MIT */
/* test_nbd.c - a disk on an NBD server, the server being the test: connections as it likes to have them. */
/* LINK: blkback/nbd.c blkback/nbdconn.c blkback/nbdproto.c blkback/disk.c blkback/copy.c blkback/pin.c runtime/pinned.c runtime/xs.c runtime/loglimit.c lib/rate.c */
/* LINK: runtime/loop.c runtime/cmdline.c lib/strlcpy.c lib/why.c tests/unit/fakes/guest.c tests/unit/fakes/world.c */
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
static void look(void *to, const void *p, size_t n)
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

static size_t fake_stream_write(struct stream *s, const void *data, size_t len, unsigned int flags)
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

static void fake_stream_end(struct stream *s)
{
    struct conn *c = container_of(s, struct conn, s);

    assert_true(c->open);
    c->open = false;
}

static bool fake_by_dma(struct stream *s)
{
    return by_dma;
}

static void fake_mute(struct stream *s)
{
    container_of(s, struct conn, s)->mute = true;
}

static const struct stream_ops stream_ops = { .write = fake_stream_write, .close = fake_stream_end,
                                              .abort = fake_stream_end, .by_dma = fake_by_dma, .mute = fake_mute };

static int fake_connect(void *ctx, struct stream_addr to, const struct stream_events *ev, void *arg,
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

static void fake_resolve(void *ctx, const char *name, void (*fn)(void *arg, int rc, uint32_t ip), void *arg)
{
    fn(arg, 0, 0x0a000001);
}

static struct stream_net net = { .connect = fake_connect, .resolve = fake_resolve };

/* The peer has all that was written: memory given by reference must be what it was. */
static void ack(struct conn *c)
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
static void say(struct conn *c, const void *data, size_t len, size_t cut)
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

static size_t put(uint8_t *p, uint64_t v, unsigned int n)
{
    for (unsigned int i = 0; i < n; i++)
        p[i] = (uint8_t)(v >> (n - 1 - i) * 8);
    return n;
}

/* max_block: what it takes in one request; 0: it does not say. */
static void greet_with(struct conn *c, uint64_t size, uint16_t flags, uint32_t max_block)
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

static void greet(struct conn *c, uint64_t size, uint16_t flags)
{
    greet_with(c, size, flags, 0);
}

/* The next request that the client wrote. */
struct request { uint16_t flags, type; uint64_t handle, offset; uint32_t length; const uint8_t *data; };

static uint64_t get(const uint8_t *p, unsigned int n)
{
    uint64_t v = 0;

    while (n--)
        v = v << 8 | *p++;
    return v;
}

static struct request next(struct conn *c)
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

static void reply(struct conn *c, uint64_t handle, uint32_t error, const void *data, size_t len)
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

static void io_give(struct disk_io *io, uint32_t at, const void *data, uint32_t bytes)
{
    struct io *q = container_of(io, struct io, io);

    assert_true(at + bytes <= disk_io_bytes(io));
    memcpy(q->data + at, data, bytes);
}

static void io_take(struct disk_io *io, uint32_t at, void *to, uint32_t bytes)
{
    struct io *q = container_of(io, struct io, io);

    assert_true(at + bytes <= disk_io_bytes(io));
    if (!q->copy_fails)
        memcpy(to, q->data + at, bytes);
}

static bool io_failed(struct disk_io *io)
{
    return container_of(io, struct io, io)->copy_fails;
}

#define DOM 3

/* Its first page begins where its data does, less `skew` bytes: pieces are not as pages are. */
static uint32_t skew;
static grant_ref_t next_ref;

static struct pinned *io_pin(struct disk_io *io)
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

static void io_done(struct disk_io *io, int rc)
{
    struct io *q = container_of(io, struct io, io);

    q->rc = rc;
    q->done++;
}

static struct disk *disk;
static int open_rc;
static bool is_closed;
static char open_why[256];

static void submit(struct io *q, enum disk_op op, uint8_t flags, uint64_t sector, uint64_t sectors)
{
    q->io = (struct disk_io){ .op = (uint8_t)op, .flags = flags, .sector = sector, .sectors = sectors,
                              .ops = &io_ops, .done = io_done };
    q->done = 0;
    disk_submit(disk, &q->io);
    disk_kick(disk);
    fake_run();
}

static void opened(struct disk_open *o, int rc, struct disk *d, const char *why)
{
    open_rc = rc;
    disk = d;
    snprintf(open_why, sizeof(open_why), "%s", why);
}

static struct disk_open opening;

static void begin(const char *target, bool readonly)
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

static void ready(const char *target)
{
    begin(target, false);
    assert_int_equal(nr_conns, 1);
    greet(&conns[0], 1 << 20, 0x6d);
    assert_int_equal(open_rc, 0);
}

static void closed(void *arg)
{
    is_closed = true;
}

static void end(void)
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

/* The tests ---------------------------------------------------------------------------------- */

static void opens(void **unused)
{
    ready("nbd:h/x");
    assert_int_equal(disk->sectors, 2048);
    assert_int_equal(disk->caps, DISK_BY_COPY | DISK_CAP_FLUSH | DISK_CAP_FUA | DISK_CAP_DISCARD | DISK_CAP_ZEROES);
    assert_string_equal(disk->id, "nbd:10.0.0.1:10809/x");
    end();
    assert_int_equal(next(&conns[0]).type, NBD_CMD_DISC);
}

static void carries_out(void **unused)
{
    static struct io w, r, f, t;
    struct request q;

    ready("nbd:h/x");
    memset(w.data, 0x5a, sizeof(w.data));
    submit(&w, DISK_WRITE, DISK_FUA, 8, 24);
    q = next(&conns[0]);
    assert_int_equal(q.type, NBD_CMD_WRITE);
    assert_int_equal(q.flags, NBD_CMD_FUA);
    assert_int_equal(q.offset, 4096);
    assert_int_equal(q.length, 12288);
    assert_memory_equal(q.data, w.data, q.length);
    reply(&conns[0], q.handle, 0, NULL, 0);
    assert_int_equal(w.done, 1);
    assert_int_equal(w.rc, 0);
    ack(&conns[0]);                 /* the data was still there, though it was answered */

    submit(&r, DISK_READ, 0, 1, 17);
    submit(&f, DISK_FLUSH, 0, 0, 0);
    submit(&t, DISK_DISCARD, 0, 0, 2048);
    q = next(&conns[0]);
    reply(&conns[0], q.handle, 0, w.data, 17 * 512);
    assert_int_equal(r.done, 1);
    assert_memory_equal(r.data, w.data, 17 * 512);
    q = next(&conns[0]);
    assert_int_equal(q.type, NBD_CMD_FLUSH);
    reply(&conns[0], q.handle, 5, NULL, 0);
    assert_int_equal(f.rc, -XEN_EIO);
    q = next(&conns[0]);
    assert_int_equal(q.type, NBD_CMD_TRIM);
    assert_int_equal(q.length, 1 << 20);
    reply(&conns[0], q.handle, 28, NULL, 0);
    assert_int_equal(t.rc, -XEN_ENOSPC);
    /* A guest that takes its page back writes nothing, least of all what was in our memory. */
    w.copy_fails = true;
    submit(&w, DISK_WRITE, 0, 0, 8);
    assert_int_equal(w.rc, -XEN_EIO);
    assert_int_equal(conns[0].taken, conns[0].nr_sent);
    w.copy_fails = false;
    end();
}

static void waits_for_room(void **unused)
{
    static struct io a, b;
    struct request q;

    ready("nbd:h/x");
    conns[0].room = 5000;
    memset(a.data, 1, sizeof(a.data));
    memset(b.data, 2, sizeof(b.data));
    submit(&a, DISK_WRITE, 0, 0, 16);
    submit(&b, DISK_WRITE, 0, 16, 8);
    assert_int_equal(conns[0].room, 0);
    for (unsigned int i = 0; i < 40; i++) {
        conns[0].room = 1000;
        conns[0].ev->writable(conns[0].arg);
    }
    q = next(&conns[0]);
    assert_memory_equal(q.data, a.data, 8192);
    reply(&conns[0], q.handle, 0, NULL, 0);
    q = next(&conns[0]);
    assert_memory_equal(q.data, b.data, 4096);
    reply(&conns[0], q.handle, 0, NULL, 0);
    assert_int_equal(a.done + b.done, 2);
    end();
}

/* The server goes in the middle of everything, refuses for a while, comes back with another size. */
static void comes_back(void **unused)
{
    static struct io w[3], r;
    struct request q, again;

    ready("nbd:h/x");
    for (unsigned int i = 0; i < 3; i++) {
        memset(w[i].data, (int)i + 1, 4096);
        submit(&w[i], DISK_WRITE, 0, i * 8, 8);
    }
    submit(&r, DISK_READ, 0, 0, 8);
    (void)next(&conns[0]);
    q = next(&conns[0]);
    reply(&conns[0], q.handle, 0, NULL, 0);
    assert_int_equal(w[1].done, 1);
    refuse = true;
    conns[0].open = false;
    conns[0].ev->closed(conns[0].arg, -XEN_ECONNRESET);
    fake_run();
    submit(&r, DISK_READ, 0, 8, 8);         /* asked again meanwhile: another request altogether */
    for (unsigned int i = 0; i < 20; i++)
        fake_advance(SECOND);
    assert_int_equal(w[0].done + w[2].done + r.done, 0);
    refuse = false;
    for (unsigned int i = 0; i < 5 && nr_conns < 2; i++)
        fake_advance(SECOND);
    assert_int_equal(nr_conns, 2);
    greet(&conns[1], 2 << 20, 0x6d);
    assert_int_equal(disk->sectors, 4096);
    assert_int_equal(disk->stats.reconnects, 1);
    again = next(&conns[1]);
    assert_int_equal(again.offset, 0);
    assert_int_equal(again.data[0], 1);
    reply(&conns[1], again.handle, 0, NULL, 0);
    again = next(&conns[1]);
    assert_int_equal(again.offset, 8192);
    reply(&conns[1], again.handle, 0, NULL, 0);
    assert_int_equal(w[0].done, 1);
    assert_int_equal(w[1].done, 1);
    assert_int_equal(w[2].done, 1);
}

static void comes_back_and_ends(void **unused)
{
    static uint8_t zeroes[4096];

    comes_back(NULL);
    for (unsigned int i = 0; i < 2; i++)
        reply(&conns[1], next(&conns[1]).handle, 0, zeroes, 4096);
    end();
}

static void gives_up(void **unused)
{
    static struct io r;

    ready("nbd:h/x?timeout=7");
    submit(&r, DISK_READ, 0, 0, 8);
    refuse = true;
    conns[0].ev->finished(conns[0].arg);
    assert_false(conns[0].open);
    for (unsigned int i = 0; i < 6; i++)
        fake_advance(SECOND);
    assert_int_equal(r.done, 0);
    for (unsigned int i = 0; i < 3; i++)
        fake_advance(SECOND);
    assert_int_equal(r.done, 1);
    assert_int_equal(r.rc, -XEN_EIO);
    submit(&r, DISK_READ, 0, 0, 8);
    assert_int_equal(r.rc, -XEN_EIO);
    refuse = false;
    for (unsigned int i = 0; i < 5 && nr_conns < 2; i++)
        fake_advance(SECOND);
    greet(&conns[1], 1 << 20, 0x6d);
    submit(&r, DISK_READ, 0, 0, 8);
    reply(&conns[1], next(&conns[1]).handle, 0, r.data, 4096);
    assert_int_equal(r.rc, 0);
    end();
}

/* What no server may say ends the connection, and the request is none the worse. */
static void lies(void **unused)
{
    static struct io r;
    static uint8_t zeroes[8192];

    for (unsigned int i = 0; i < 6; i++) {
        struct conn *c = &conns[0];
        struct request q;

        ready("nbd:h/x");
        submit(&r, DISK_READ, 0, 0, 8);
        q = next(c);
        switch (i) {
        case 0: reply(c, q.handle + 1, 0, NULL, 0); break;
        case 1: reply(c, q.handle + 256, 0, NULL, 0); break;
        case 2: reply(c, ~0ul, 0, NULL, 0); break;
        case 3: say(c, zeroes, 16, 16); break;
        case 4: reply(c, q.handle, 108, NULL, 0); break;
        case 5: reply(c, q.handle, 0, zeroes, 4096 + 16); break;      /* more than was asked for */
        }
        assert_false(c->open);
        assert_int_equal(r.done, i == 5);
        fake_advance(SECOND);
        assert_int_equal(nr_conns, 2);
        greet(&conns[1], 1 << 20, 0x6d);
        if (i < 5)
            reply(&conns[1], next(&conns[1]).handle, 0, zeroes, 4096);
        assert_int_equal(r.done, 1);
        assert_int_equal(r.rc, 0);
        end();
    }
    /* A write that is answered before its last byte was sent. */
    ready("nbd:h/x");
    conns[0].room = 2000;
    submit(&r, DISK_WRITE, 0, 0, 8);
    reply(&conns[0], get(conns[0].sent + conns[0].taken + 8, 8), 0, NULL, 0);
    assert_false(conns[0].open);
    assert_int_equal(r.done, 0);
    end();
    assert_int_equal(r.done, 1);
}

/* Sent data that nobody acknowledges. */
static void stalls(void **unused)
{
    static struct io w;

    ready("nbd:h/x");
    submit(&w, DISK_WRITE, 0, 0, 8);
    for (unsigned int i = 0; i < 25 && nr_conns < 2; i++)
        fake_advance(SECOND);
    assert_false(conns[0].open);
    assert_int_equal(nr_conns, 2);
    end();
}

static void several_connections(void **unused)
{
    static struct io r[8];
    static uint8_t zeroes[4096];
    unsigned int left = 8;

    begin("nbd:h/x?connections=3", false);
    greet(&conns[0], 1 << 20, 0x16d);
    fake_advance(SECOND);
    assert_int_equal(nr_conns, 3);
    greet(&conns[1], 1 << 20, 0x16d);
    greet(&conns[2], 1 << 20, 0x16d);
    for (unsigned int i = 0; i < 8; i++)
        submit(&r[i], DISK_READ, 0, i * 8, 8);
    for (unsigned int i = 0; i < 3; i++)
        assert_true(conns[i].nr_sent > conns[i].taken);
    /* One breaks: the others take what it had, and nobody waits. */
    conns[1].ev->finished(conns[1].arg);
    for (unsigned int k = 0; left && k < 20; k++)
        for (unsigned int i = 0; i < 3; i += 2)
            if (conns[i].nr_sent > conns[i].taken) {
                reply(&conns[i], next(&conns[i]).handle, 0, zeroes, 4096);
                left--;
            }
    for (unsigned int i = 0; i < 8; i++)
        assert_int_equal(r[i].done, 1);
    assert_int_equal(disk->stats.reconnects, 0);
    end();
}

/*
 * A server that comes back and takes smaller requests, or does not say any more that a flush is one for all connections: what
 * the guest was promised would not hold. It waits for one that is as good.
 */
static void comes_back_worse(void **unused)
{
    static const struct { uint16_t flags; uint32_t max_block; } worse[] = {
        { 0x16d, 1 << 20 }, { 0x6d, 0 }, { 0x169, 0 },
    };
    static struct io r;
    static uint8_t zeroes[4096];

    for (size_t i = 0; i < ARRAY_SIZE(worse); i++) {
        begin("nbd:h/x?connections=2", false);
        greet(&conns[0], 1 << 20, 0x16d);
        fake_advance(SECOND);
        greet(&conns[1], 1 << 20, 0x16d);
        refuse = true;
        for (unsigned int k = 0; k < 2; k++)
            conns[k].ev->finished(conns[k].arg);
        submit(&r, DISK_READ, 0, 0, 8);
        refuse = false;
        for (unsigned int k = 0; k < 5 && nr_conns < 3; k++)
            fake_advance(SECOND);
        greet_with(&conns[2], 1 << 20, worse[i].flags, worse[i].max_block);
        assert_false(conns[2].open);
        for (unsigned int k = 0; k < 5 && nr_conns < 5; k++)
            fake_advance(SECOND);
        assert_int_equal(r.done, 0);
        greet_with(&conns[4], 1 << 20, 0x16d, 64 << 20);
        assert_true(conns[4].open);
        reply(&conns[4], next(&conns[4]).handle, 0, zeroes, 4096);
        assert_int_equal(r.done, 1);
        end();
    }
}

/* Answers come faster than acknowledgements: that is no reason to refuse anything. */
static void many_unacknowledged(void **unused)
{
    static struct io w;

    ready("nbd:h/x");
    for (unsigned int i = 0; i < 600; i++) {
        conns[0].nr_sent = conns[0].taken = 0;
        conns[0].room = 60000;
        conns[0].nr_refs = 0;
        submit(&w, DISK_WRITE, 0, 0, 1);
        reply(&conns[0], next(&conns[0]).handle, 0, NULL, 0);
        assert_int_equal(w.done, 1);
        assert_int_equal(w.rc, 0);
    }
    disk_close(disk, closed, NULL);
    fake_run();
    assert_true(is_closed);
}

static void close_waits(void **unused)
{
    static struct io w;

    ready("nbd:h/x");
    submit(&w, DISK_WRITE, 0, 0, 8);
    disk_close(disk, closed, NULL);
    fake_advance(SECOND);
    assert_false(is_closed);
    reply(&conns[0], next(&conns[0]).handle, 0, NULL, 0);
    assert_int_equal(w.rc, 0);
    assert_true(is_closed);
    assert_false(conns[0].open);
    /* But not for ever. */
    ready("nbd:h/x");
    submit(&w, DISK_WRITE, 0, 0, 8);
    disk_close(disk, closed, NULL);
    for (unsigned int i = 0; i < 6; i++)
        fake_advance(SECOND);
    assert_true(is_closed);
    assert_int_equal(w.rc, -XEN_EIO);
}

/* Data that a card reads where it is --------------------------------------------------------- */

/* The set that the stream was given last. */
static struct pinned *given(const struct conn *c)
{
    paddr_t maddr;
    uint32_t bytes;

    return pinned_find(c->ref[c->nr_refs - 1].p, &maddr, &bytes);
}

static void pins(void **unused)
{
    static struct io w, small;
    struct request q;
    struct pinned *p;

    for (skew = 0; skew <= 1024; skew += 512) {
        uint32_t was = skew;

        ready("nbd:h/x");
        by_dma = true;
        skew = was;
        for (unsigned int i = 0; i < sizeof(w.data); i++)
            w.data[i] = (uint8_t)(i * 7 + i / 256);
        submit(&small, DISK_WRITE, 0, 0, 15);
        assert_int_equal(fake_pinned, 0);
        submit(&w, DISK_WRITE, 0, 32, 24);
        assert_int_equal(fake_pinned, skew ? 4 : 3);
        q = next(&conns[0]);
        assert_int_equal(q.length, 15 * 512);
        reply(&conns[0], q.handle, 0, NULL, 0);
        q = next(&conns[0]);
        assert_memory_equal(q.data, w.data, 12288);
        p = given(&conns[0]);
        /* Answered, but TCP may still have to send it; then the card still has it. */
        reply(&conns[0], q.handle, 0, NULL, 0);
        assert_int_equal(w.done, 0);
        pinned_get(p);
        ack(&conns[0]);
        fake_run();
        assert_int_equal(w.done, 0);
        assert_int_equal(fake_pinned, skew ? 4 : 3);
        assert_true(pinned_put(p));
        fake_run();
        assert_int_equal(w.done, 1);
        assert_int_equal(w.rc, 0);
        unpin_settle();                     /* whoever answers the guest does that */
        assert_int_equal(fake_pinned, 0);
        /* In the usual order. */
        submit(&w, DISK_WRITE, 0, 32, 24);
        q = next(&conns[0]);
        ack(&conns[0]);
        assert_int_equal(w.done, 0);
        reply(&conns[0], q.handle, 28, NULL, 0);
        assert_int_equal(w.done, 1);
        assert_int_equal(w.rc, -XEN_ENOSPC);
        unpin_settle();
        assert_int_equal(fake_pinned, 0);
        end();
    }
}

/* Pages stay pinned while the server is away, and what is in them is sent again. */
static void pinned_meanwhile(void **unused)
{
    static struct io w[2];
    struct request q;

    ready("nbd:h/x");
    by_dma = true;
    memset(w[0].data, 1, sizeof(w[0].data));
    memset(w[1].data, 2, sizeof(w[1].data));
    submit(&w[0], DISK_WRITE, 0, 0, 32);
    submit(&w[1], DISK_WRITE, 0, 32, 32);
    assert_int_equal(fake_pinned, 8);
    q = next(&conns[0]);
    reply(&conns[0], q.handle, 0, NULL, 0);         /* not acknowledged: an answer all the same */
    refuse = true;
    conns[0].open = false;
    conns[0].ev->closed(conns[0].arg, -XEN_ECONNRESET);
    fake_run();
    assert_int_equal(w[0].done, 1);
    assert_int_equal(w[0].rc, 0);
    unpin_settle();
    assert_int_equal(fake_pinned, 4);
    for (unsigned int i = 0; i < 20; i++)
        fake_advance(SECOND);
    assert_int_equal(fake_pinned, 4);
    refuse = by_dma = false;                        /* nor does the way that it goes change them */
    for (unsigned int i = 0; i < 5 && nr_conns < 2; i++)
        fake_advance(SECOND);
    greet(&conns[1], 1 << 20, 0x6d);
    q = next(&conns[1]);
    assert_int_equal(q.offset, 16384);
    assert_memory_equal(q.data, w[1].data, 16384);
    ack(&conns[1]);
    reply(&conns[1], q.handle, 0, NULL, 0);
    assert_int_equal(w[1].done, 1);
    unpin_settle();
    assert_int_equal(fake_pinned, 0);
    end();
}

/* A guest that takes its pages back is never a reason to send something else. */
static void taken_back(void **unused)
{
    static struct io w[2];
    uint8_t copy[16384];
    struct request q;

    ready("nbd:h/x");
    by_dma = true;
    memset(w[0].data, 1, sizeof(w[0].data));
    memset(w[1].data, 2, sizeof(w[1].data));
    submit(&w[0], DISK_WRITE, 0, 0, 32);
    submit(&w[1], DISK_WRITE, 0, 32, 32);
    assert_true(pinned_read(copy, pinned_addr(given(&conns[0]), 512), 15000));
    assert_memory_equal(copy, w[1].data, 15000);
    fake_grant(DOM, next_ref, NULL, true);
    assert_false(pinned_read(copy, pinned_addr(given(&conns[0]), 512), 15000));
    for (unsigned int i = 0; i < 15000; i++)
        assert_int_equal(copy[i], 0);
    assert_true(conns[0].mute);
    assert_true(conns[0].open);
    fake_run();
    assert_false(conns[0].open);
    assert_int_equal(w[1].done, 1);
    assert_int_equal(w[1].rc, -XEN_EIO);
    assert_int_equal(w[0].done, 0);
    for (unsigned int i = 0; i < 5 && nr_conns < 2; i++)
        fake_advance(SECOND);
    greet(&conns[1], 1 << 20, 0x6d);
    q = next(&conns[1]);
    assert_int_equal(q.offset, 0);
    assert_memory_equal(q.data, w[0].data, 16384);
    ack(&conns[1]);
    reply(&conns[1], q.handle, 0, NULL, 0);
    assert_int_equal(conns[1].taken, conns[1].nr_sent);
    /* Before anything is sent: it fails, and that is all. */
    w[0].copy_fails = true;
    submit(&w[0], DISK_WRITE, 0, 0, 32);
    assert_int_equal(w[0].rc, -XEN_EIO);
    assert_int_equal(conns[1].taken, conns[1].nr_sent);
    w[0].copy_fails = w[1].copy_fails = false;
    unpin_settle();
    assert_int_equal(fake_pinned, 0);
    end();
}

/* One that does so again and again does not fill the log; that the server really was away is said as always. */
static void taken_back_all_the_time(void **unused)
{
    static struct io w;
    uint8_t copy[512];
    unsigned int n = 0;

    ready("nbd:h/x");
    by_dma = true;
    for (unsigned int i = 0; i < 30; i++) {
        memset(&w, 0, sizeof(w));
        submit(&w, DISK_WRITE, 0, 0, 32);
        fake_grant(DOM, next_ref, NULL, true);
        assert_false(pinned_read(copy, pinned_addr(given(&conns[nr_conns - 1]), 15872), sizeof(copy)));
        fake_run();
        assert_int_equal(w.rc, -XEN_EIO);
        for (unsigned int k = 0; k < 5 && nr_conns < i + 2; k++)
            fake_advance(SECOND / 5);
        assert_int_equal(nr_conns, i + 2);
        greet(&conns[nr_conns - 1], 1 << 20, 0x6d);
    }
    for (const char *p = fake_log; (p = strstr(p, "nbd:10.0.0.1:10809/x: ")) != NULL; p++)
        n++;
    assert_in_range(n, 10, 30);
    fake_log[0] = '\0';
    conns[nr_conns - 1].ev->closed(conns[nr_conns - 1].arg, 0);
    conns[nr_conns - 1].open = false;
    fake_run();
    assert_non_null(strstr(fake_log, "requests wait for it"));
    unpin_settle();
    assert_int_equal(fake_pinned, 0);
    end();
}

/* The guest is destroyed; the server says nothing any more and the card hangs: the pages wait for the card alone. */
static void left_behind(void **unused)
{
    static struct io w;
    struct pinned *p;

    ready("nbd:h/x");
    by_dma = true;
    submit(&w, DISK_WRITE, 0, 0, 32);
    p = given(&conns[0]);
    pinned_get(p);
    disk_close(disk, closed, NULL);
    for (unsigned int i = 0; i < 6; i++)
        fake_advance(SECOND);
    assert_true(is_closed);
    assert_int_equal(w.rc, -XEN_EIO);
    assert_int_equal(fake_pinned, 4);
    assert_true(pinned_put(p));
    assert_int_equal(fake_pinned, 0);
}

static void does_not_open(void **unused)
{
    begin("nbd:h/x", false);
    greet(&conns[0], 1 << 20, 0x6f);
    assert_int_equal(open_rc, -XEN_EROFS);
    assert_non_null(strstr(open_why, "nbd:h/x"));
    assert_false(conns[0].open);
    begin("nbd:h/x", true);
    greet(&conns[0], 1 << 20, 0x6f);
    assert_int_equal(open_rc, 0);
    end();
    begin("nbd:h/x", false);                /* never answers */
    for (unsigned int i = 0; i < 25; i++)
        fake_advance(SECOND);
    assert_int_equal(open_rc, -XEN_ETIMEDOUT);
    begin("nbd:h/x", false);
    disk_open_cancel(&opening);
    assert_false(conns[0].open);
    for (unsigned int i = 0; i < 25; i++)
        fake_advance(SECOND);
    assert_int_equal(open_rc, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens), cmocka_unit_test(carries_out), cmocka_unit_test(waits_for_room),
        cmocka_unit_test(comes_back_and_ends), cmocka_unit_test(gives_up), cmocka_unit_test(lies),
        cmocka_unit_test(stalls), cmocka_unit_test(several_connections), cmocka_unit_test(comes_back_worse),
        cmocka_unit_test(many_unacknowledged), cmocka_unit_test(close_waits),
        cmocka_unit_test(pins), cmocka_unit_test(pinned_meanwhile), cmocka_unit_test(taken_back),
        cmocka_unit_test(taken_back_all_the_time), cmocka_unit_test(left_behind),
        cmocka_unit_test(does_not_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
