/* SPDX-License-Identifier: MIT */
/* test_netflipwire.c - frames from the wire, in pages that are flipped to guests. */
/* LINK: netback/netback.c netback/tx.c netback/rx.c netback/bridge.c netback/copy.c */
/* LINK: netback/frame.c netback/shape.c netback/dma.c netback/rxpool.c netback/fdb.c netback/filter.c lib/rate.c */
/* LINK: netback/exchange.c netback/flip.c netback/fliptx.c netback/fliprow.c netback/fliprx.c netback/transfer.c */
/* LINK: netback/headers.c netback/csum.c runtime/xs.c runtime/xbdev.c runtime/loglimit.c runtime/loop.c */
/* LINK: runtime/cmdline.c runtime/xbroot.c lib/strlcpy.c tests/unit/fakes/vifs.c */
/* LINK: tests/unit/fakes/guest.c tests/unit/fakes/world.c */
#include "tests/unit/netflip_rings.h"

/* A frame of `len` bytes from the wire, with old bytes behind it in its page. */
static struct frame *from_wire(unsigned int to, unsigned int len)
{
    struct frame *f = rx_frame_new(&fake_nic, FRAME_ROOM);

    assert_true(rx_frame_is(f));
    memset(f->head, 0xdd, FRAME_ROOM);
    for (unsigned int i = 0; i < len; i++)
        f->head[i] = (uint8_t)(i * 5);
    vif_ether(f->head, 0x77, to);
    f->head_len = f->len = (uint16_t)len;
    return f;
}

static void arrive(struct frame *f)
{
    port_receive(&fake_nic, &f, 1);
    frame_put(f);
    fake_run();
}

static void expect_from_wire(struct guest *g, unsigned int len)
{
    assert_int_equal(rx_take(g), len);
    assert_int_equal(got.flags & NETFLIP_LOST, 0);
    for (unsigned int i = 14; i < len; i++)
        assert_int_equal(got_bytes[i], (uint8_t)(i * 5));
}

/* Big enough ones in exchange for the guest's page, and nothing else of what was in ours. */
static void frames_from_the_wire_are_flipped(void **unused)
{
    offer(&b, 8);
    offer(&c, 8);
    arrive(from_wire(2, 1514));
    assert_int_equal(fake_flipped, 1);
    assert_int_equal(fake_copies, 0);
    expect_from_wire(&b, 1514);
    assert_int_equal(got.inline_len, 112);
    assert_int_equal(got_frag[0].offset, 112);
    assert_false(fake_is_granted(2, got_frag[0].ref));
    for (unsigned int i = 1514; i < 4096; i++)
        assert_int_equal(b.page[got_frag[0].ref - REF][i], 0);
    arrive(from_wire(2, 1023));
    assert_int_equal(fake_flipped, 2);
    expect_from_wire(&b, 1023);
    for (unsigned int i = 1023; i < 4096; i++)
        assert_int_equal(b.page[got_frag[0].ref - REF][i], 0);
    /* Short ones, and those for more than one, are copied. */
    arrive(from_wire(2, 300));
    expect_from_wire(&b, 300);
    arrive(from_wire(0xff, 1514));
    expect_from_wire(&b, 1514);
    expect_from_wire(&c, 1514);
    assert_int_equal(fake_flipped, 2);
    /* What is refused is copied, by the same references, and can be flipped the next time. */
    fake_flips_busy = true;
    arrive(from_wire(2, 1400));
    expect_from_wire(&b, 1400);
    assert_true(fake_is_granted(2, got_frag[0].ref));
    fake_flips_busy = false;
    arrive(from_wire(2, 1400));
    expect_from_wire(&b, 1400);
    assert_int_equal(fake_flipped, 3);
}

/* A receiver that has offered what is not its own gets nothing; our page stays ours. */
static void frames_from_the_wire_to_a_bad_offer(void **unused)
{
    offer(&b, 2);
    fake_grant(2, b.rx->ref[0], NULL, false);
    arrive(from_wire(2, 1514));
    assert_int_equal(rx_take(&b), 1514);
    assert_int_equal(got.flags & NETFLIP_LOST, NETFLIP_LOST);
    arrive(from_wire(2, 1514));
    expect_from_wire(&b, 1514);
}

/* One of `pages` full pages and some bytes more, with old bytes in front and behind. */
static struct frame *big_from_wire(unsigned int to, unsigned int pages, unsigned int more)
{
    struct frame *f = rx_frame_new(&fake_nic, PAGE_SIZE);
    unsigned int n = 12;

    f->head += n;
    f->head_len = f->len = (uint16_t)(PAGE_SIZE - n);
    for (unsigned int i = 0; i <= pages; i++) {
        struct frame *next = i ? rx_frame_new(&fake_nic, PAGE_SIZE) : f;

        if (i)
            memset(next->head, 0xdd, PAGE_SIZE);
        for (unsigned int at = i ? 0 : n; at < (i < pages ? PAGE_SIZE : more); at++)
            next->head[i ? at : at - n] = (uint8_t)((i * PAGE_SIZE + at - n) * 5);
        if (i)
            assert_true(rx_frame_join(f, next, i < pages ? PAGE_SIZE : more));
    }
    vif_ether(f->head, 0x77, to);
    f->gso = GSO_TCPV4;
    f->gso_size = 1448;
    return f;
}

/* All pages are flipped, but the last, if it is short; in floods all are copied. Nothing else is in them. */
static void frames_of_several_pages_from_the_wire(void **unused)
{
    static const unsigned int last[] = { 3000, 100 };
    unsigned int flips = 0;

    rx_pool_add(PAGE_SIZE);
    for (unsigned int i = 0; i < 400; i++) {
        unsigned int pages = 1 + i % 15, more = last[i % 2], len = pages * 4096 - 12 + more;

        offer(&b, pages + 1);
        arrive(big_from_wire(2, pages, more));
        expect_from_wire(&b, len);
        assert_int_equal(got.nr_frags, pages + 1);
        assert_int_equal(got_frag[0].offset, 12 + 112);
        flips += pages + (more == 3000);
        assert_int_equal(fake_flipped, flips);
        for (unsigned int at = more; more == 3000 && at < 4096; at++)
            assert_int_equal(b.page[got_frag[pages].ref - REF][at], 0);
    }
    offer(&b, 3);
    offer(&c, 3);
    arrive(big_from_wire(0xff, 2, 3000));
    expect_from_wire(&b, 2 * 4096 - 12 + 3000);
    expect_from_wire(&c, 2 * 4096 - 12 + 3000);
    assert_int_equal(fake_flipped, flips);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(frames_from_the_wire_are_flipped), T(frames_from_the_wire_to_a_bad_offer),
        T(frames_of_several_pages_from_the_wire),
    };

    bridge_init();
    rx_pool_add(FRAME_ROOM);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
