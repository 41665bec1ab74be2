/* SPDX-License-Identifier: MIT */
/* test_nbdpin.c - writes to an NBD server whose data stays in the guest's pages until a card has read it there. */
/* LINK: blkback/nbd.c blkback/nbdconn.c blkback/nbdproto.c blkback/disk.c blkback/copy.c blkback/pin.c runtime/pinned.c runtime/xs.c runtime/loglimit.c lib/rate.c */
/* LINK: runtime/loop.c runtime/cmdline.c lib/strlcpy.c lib/why.c tests/unit/fakes/guest.c tests/unit/fakes/world.c */
#include "tests/unit/nbd_server.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pins), cmocka_unit_test(pinned_meanwhile), cmocka_unit_test(taken_back),
        cmocka_unit_test(taken_back_all_the_time), cmocka_unit_test(left_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
