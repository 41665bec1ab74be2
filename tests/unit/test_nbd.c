/* SPDX-License-Identifier: MIT */
/* test_nbd.c - a disk on an NBD server, the server being the test: connections as it likes to have them. */
/* LINK: blkback/nbd.c blkback/nbdconn.c blkback/nbdproto.c blkback/disk.c blkback/copy.c blkback/pin.c runtime/pinned.c runtime/xs.c runtime/loglimit.c lib/rate.c */
/* LINK: runtime/loop.c runtime/cmdline.c lib/strlcpy.c lib/why.c tests/unit/fakes/guest.c tests/unit/fakes/world.c */
#include "tests/unit/nbd_server.h"

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
        cmocka_unit_test(stalls), cmocka_unit_test(several_connections),
        cmocka_unit_test(comes_back_worse), cmocka_unit_test(many_unacknowledged),
        cmocka_unit_test(close_waits), cmocka_unit_test(does_not_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
