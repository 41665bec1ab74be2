/* SPDX-License-Identifier: MIT */
/* test_netflip.c - vifs on the flip channel, from the rings' side: what arrives where, what is refused. */
/* LINK: netback/netback.c netback/tx.c netback/rx.c netback/bridge.c netback/copy.c */
/* LINK: netback/frame.c netback/shape.c netback/dma.c netback/rxpool.c netback/fdb.c netback/filter.c lib/rate.c */
/* LINK: netback/exchange.c netback/flip.c netback/fliptx.c netback/fliprow.c netback/fliprx.c netback/transfer.c */
/* LINK: netback/headers.c netback/csum.c runtime/xs.c runtime/xbdev.c runtime/loglimit.c runtime/loop.c */
/* LINK: runtime/cmdline.c runtime/xbroot.c lib/strlcpy.c tests/unit/fakes/vifs.c */
/* LINK: tests/unit/fakes/guest.c tests/unit/fakes/world.c */
#include "tests/unit/netflip_rings.h"

static void small_frames_go_from_ring_to_ring(void **unused)
{
    static const unsigned int sizes[] = { 14, 60, 64, 65, 72, 73, 112 };

    for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++)
        (void)head(&a, 2, sizes[i]);
    push(&a);
    assert_int_equal(a.tx->slot_cons, ARRAY_SIZE(sizes));
    for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
        assert_int_equal(rx_take(&b), sizes[i]);
        assert_memory_equal(got.data, a.tx_slot[i].data, sizes[i]);
        assert_int_equal(got.flags, 0);
    }
    assert_int_equal(rx_take(&b), 0);
    assert_int_equal(fake_copies + fake_flip_calls, 0);
    assert_int_equal(fake_signalled(2, 8), 1);
    assert_int_equal(fake_signalled(1, 7), 0);
}

static void pages_are_flipped_in_one_call(void **unused)
{
    offer(&b, 20);
    for (unsigned int i = 0; i < 20; i++)
        send_pages(&a, 2, i, 1, 100, 1400);
    push(&a);
    assert_int_equal(fake_flipped, 20);
    assert_int_equal(fake_flip_calls, 1);
    assert_int_equal(fake_copies, 0);
    assert_int_equal(given_back(&a), 20);
    for (unsigned int i = 0; i < 20; i++) {
        assert_int_equal(rx_take(&b), 1466);
        expect_bytes(66, 1400, 0x40 + i);
        assert_int_equal(got_frag[0].offset, 100);
        assert_false(fake_is_granted(2, got_frag[0].ref));
        assert_false(fake_is_granted(1, REF + i));
    }
    assert_int_equal(fake_signalled(2, 8), 1);
}

static void big_frames_take_more_slots(void **unused)
{
    offer(&b, 32);
    send_pages(&a, 2, 0, 15, 0, 4096);
    a.tx_slot[0].flags = NETFLIP_CSUM_BLANK | NETFLIP_GSO_TCPV4;
    a.tx_slot[0].gso_size = 1448;
    push(&a);
    assert_int_equal(fake_flipped, 15);
    assert_int_equal(rx_take(&b), 66 + 15 * 4096);
    for (unsigned int i = 0; i < 15; i++)
        expect_bytes(66 + i * 4096, 4096, 0x40 + i);
    assert_int_equal(got.flags, NETFLIP_CSUM_BLANK | NETFLIP_GSO_TCPV4);
    assert_int_equal(got.gso_size, 1448);
    assert_int_equal(given_back(&a), 15);
}

static void what_is_refused_is_copied(void **unused)
{
    offer(&b, 8);
    fake_flips_busy = true;
    send_pages(&a, 2, 0, 2, 20, 700);
    push(&a);
    assert_int_equal(rx_take(&b), 1466);
    expect_bytes(66, 700, 0x40);
    expect_bytes(766, 700, 0x41);
    assert_int_equal(got.flags, 0);
    assert_int_equal(fake_flipped, 0);
    assert_int_equal(fake_copies, 2);
    assert_int_equal(given_back(&a), 2);
    /* The sender asks for it. */
    fake_flips_busy = false;
    send_pages(&a, 2, 4, 1, 0, 1400);
    a.tx_slot[1].flags = NETFLIP_COPY;
    push(&a);
    assert_int_equal(rx_take(&b), 1466);
    expect_bytes(66, 1400, 0x44);
    assert_int_equal(got.flags, 0);
    assert_int_equal(fake_flipped, 0);
    assert_int_equal(given_back(&a), 1);
}

/* Not granted, granted to read only, sent twice: the receiver hears of it, the pages are not lost. */
static void what_cannot_be_moved_is_lost(void **unused)
{
    offer(&b, 8);
    send_pages(&a, 2, 0, 1, 0, 1400);
    fake_grant(1, REF, NULL, false);
    send_pages(&a, 2, 1, 2, 0, 700);
    frags_of(&a.tx_slot[1])[1].ref = REF + 1;
    (void)head(&a, 2, 60);
    push(&a);
    assert_int_equal(rx_take(&b), 1466);
    assert_int_equal(got.flags, NETFLIP_LOST);
    assert_int_equal(rx_take(&b), 1466);
    assert_int_equal(got.flags, NETFLIP_LOST);
    assert_int_equal(rx_take(&b), 60);
    assert_int_equal(got.flags, 0);
    assert_int_equal(given_back(&a), 3);
    assert_int_equal(vif_state(a.dom) + vif_state(b.dom), 8);
}

static void a_flood_is_copied(void **unused)
{
    offer(&b, 4);
    offer(&c, 4);
    send_pages(&a, 0xff, 0, 1, 0, 1400);
    push(&a);
    assert_int_equal(rx_take(&b), 1466);
    expect_bytes(66, 1400, 0x40);
    assert_int_equal(rx_take(&c), 1466);
    expect_bytes(66, 1400, 0x40);
    assert_int_equal(fake_nic_got, 1);
    assert_int_equal(fake_nic_len[0], 1466);
    assert_int_equal(fake_flipped, 0);
    assert_int_equal(given_back(&a), 1);
}

static void order_is_kept(void **unused)
{
    offer(&b, 8);
    for (unsigned int i = 0; i < 6; i++) {
        (void)head(&a, 2, 60 + i);
        send_pages(&a, 2, i, 1, 0, 1200 + i);
    }
    push(&a);
    for (unsigned int i = 0; i < 6; i++) {
        assert_int_equal(rx_take(&b), 60 + i);
        assert_int_equal(rx_take(&b), 66 + 1200 + i);
    }
}

static void a_frame_from_the_wire(void **unused)
{
    struct frame *f = frame_new(&fake_nic);

    offer(&b, 4);
    f->len = f->head_len = 1514;
    for (unsigned int i = 0; i < 1514; i++)
        f->head[i] = (uint8_t)(i * 11);
    vif_ether(f->head, 0x77, 2);
    port_receive(&fake_nic, &f, 1);
    fake_run();
    assert_int_equal(rx_take(&b), 1514);
    assert_memory_equal(got_bytes, f->head, 1514);
    assert_int_equal(got.inline_len, NETFLIP_INLINE_MAX);
    frame_put(f);
}

static void spoofed_frames_are_dropped(void **unused)
{
    head(&a, 2, 60)->data[11] = 9;
    send_pages(&a, 2, 0, 1, 0, 1400);
    a.tx_slot[1].data[11] = 3;
    offer(&b, 4);
    push(&a);
    assert_int_equal(rx_take(&b), 0);
    assert_int_equal(given_back(&a), 1);
    assert_int_equal(vif_state(a.dom), 4);
}

static void frames_wait_for_slots_and_pages(void **unused)
{
    for (unsigned int i = 0; i < NETFLIP_SLOTS; i++)
        (void)head(&a, 2, 60);
    push(&a);
    for (unsigned int i = 0; i < 10; i++)
        (void)head(&a, 2, 61);
    send_pages(&a, 2, 0, 1, 0, 1400);
    push(&a);
    assert_int_equal(a.tx->slot_cons, a.tx_prod);
    for (unsigned int i = 0; i < NETFLIP_SLOTS; i++)
        assert_int_equal(rx_take(&b), 60);
    assert_int_equal(rx_take(&b), 0);
    fake_signal(2, 8);
    fake_run();
    for (unsigned int i = 0; i < 10; i++)
        assert_int_equal(rx_take(&b), 61);
    assert_int_equal(rx_take(&b), 0);
    offer(&b, 1);
    assert_int_equal(rx_take(&b), 1466);
    assert_int_equal(given_back(&a), 1);
}

/* Who takes nothing loses what waits, costs others nothing, and gets frames again when it takes some. */
static void a_vif_that_stops_consuming(void **unused)
{
    for (unsigned int round = 0; round < 8; round++) {
        for (unsigned int i = 0; i < 200; i++)
            (void)head(&a, 2, 60);
        push(&a);
        assert_int_equal(a.tx->slot_cons, a.tx_prod);
    }
    (void)head(&a, 3, 77);
    push(&a);
    assert_int_equal(rx_take(&c), 77);
    fake_advance(2 * NS_PER_S);
    for (unsigned int i = 0; i < NETFLIP_SLOTS; i++)
        assert_int_equal(rx_take(&b), 60);
    assert_int_equal(rx_take(&b), 0);
    fake_signal(2, 8);
    fake_run();
    (void)head(&a, 2, 62);
    push(&a);
    assert_int_equal(rx_take(&b), 62);
}

static void closing_with_frames_under_way(void **unused)
{
    for (unsigned int i = 0; i < 3; i++)
        send_pages(&a, 2, i, 1, 0, 1400);
    push(&a);
    vif_write(b.dom, FRONT, "state", "6");
    fake_run();
    assert_int_equal(fake_mapped(2), 0);
    assert_int_equal(given_back(&a), 3);
    vif_write(b.dom, FRONT, "state", "1");
    fake_run();
    come_up(&b);
    assert_int_equal(vif_state(b.dom), 4);
    (void)head(&a, 2, 60);
    push(&a);
    assert_int_equal(rx_take(&b), 60);
    for (unsigned int i = 0; i < 3; i++)
        send_pages(&a, 2, i, 1, 0, 1400);
    push(&a);
    vif_remove(1);
    fake_run();
    assert_int_equal(fake_mapped(1), 0);
}

static void bad_len(struct netflip_head *h) { h->len = 20; }
static void bad_inline(struct netflip_head *h) { h->inline_len = 13; }
static void bad_inline_long(struct netflip_head *h) { h->inline_len = 113; h->len = 113; }
static void bad_nr(struct netflip_head *h) { h->nr_frags = NETFLIP_FRAGS_MAX + 1; }
static void bad_no_frags(struct netflip_head *h) { h->nr_frags = 0; }
static void bad_all_inline(struct netflip_head *h) { h->len = h->inline_len; }
static void bad_sum(struct netflip_head *h) { h->len++; }
static void bad_frag_len(struct netflip_head *h) { frags_of(h)->len = 0; }
static void bad_frag_long(struct netflip_head *h) { frags_of(h)->len = 4097; }
static void bad_frag_end(struct netflip_head *h) { frags_of(h)->offset = 4000; }
static void bad_chain(struct netflip_head *h) { h->nr_frags = 10; }
static void bad_gso(struct netflip_head *h) { h->flags = NETFLIP_GSO_TCPV6; }

static void bad_gso_both(struct netflip_head *h)
{
    h->flags = NETFLIP_GSO_TCPV4 | NETFLIP_GSO_TCPV6;
    h->gso_size = 1000;
}

static void bad_frames_fail_the_vif(void **unused)
{
    static void (*const bad[])(struct netflip_head *) = {
        bad_len, bad_inline, bad_inline_long, bad_nr, bad_no_frags, bad_all_inline, bad_sum,
        bad_frag_len, bad_frag_long, bad_frag_end, bad_chain, bad_gso, bad_gso_both,
    };

    offer(&b, 4);
    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
        send_pages(&a, 2, 0, 1, 0, 1400);
        bad[i](&a.tx_slot[a.tx_prod - 1]);
        push(&a);
        assert_int_equal(vif_state(a.dom), 5);
        assert_int_equal(fake_mapped(1), 0);
        vif_begin_anew(a.dom);
        come_up(&a);
        assert_int_equal(vif_state(a.dom), 4);
    }
    assert_int_equal(rx_take(&b), 0);
    assert_int_equal(fake_flipped, 0);
    (void)head(&a, 2, 60);
    push(&a);
    assert_int_equal(rx_take(&b), 60);
}

static void bad_indices_fail_the_vif(void **unused)
{
    static const uint32_t steps[] = { NETFLIP_SLOTS + 1, 0x10000, 0x80000000u, 0xffffffffu };

    for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
        a.tx_prod += steps[i];
        push(&a);
        assert_int_equal(vif_state(a.dom), 5);
        vif_begin_anew(a.dom);
        come_up(&a);
        /* The receiving half: read when the backend thinks that there is no room. */
        b.rx->ref_prod = NETFLIP_REFS + 1 + i * 1000;
        send_pages(&a, 2, 0, 1, 0, 1400);
        push(&a);
        assert_int_equal(vif_state(b.dom), 5);
        vif_begin_anew(b.dom);
        come_up(&b);
        b.rx->slot_cons = 1 + i;        /* nothing was published yet */
        send_pages(&a, 2, 1, 1, 0, 1400);
        push(&a);
        assert_int_equal(vif_state(b.dom), 5);
        vif_begin_anew(b.dom);
        come_up(&b);
    }
    assert_int_equal(vif_state(a.dom) + vif_state(c.dom), 8);
}

static void bad_references_of_rings(void **unused)
{
    static const char *const bad[] = { "", "300", "300 301 302 303 304 305 306 307", "a b c",
                                       "300 301 302 303 304 305 306 307 308 309",
                                       "300 301 302 303 304 305 306 307 4294967296",
                                       "300 301 302 303 304 305 306 307 999" };

    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
        vif_write(a.dom, FRONT, "state", "6");
        fake_run();
        vif_write(a.dom, FRONT, "state", "1");
        vif_write(a.dom, FRONT, "flip-tx-refs", bad[i]);
        fake_run();
        vif_write(a.dom, FRONT, "state", "4");
        fake_run();
        assert_int_equal(vif_state(a.dom), 5);
        assert_int_equal(fake_mapped(1), 0);
    }
}

/* What lies behind a head in the sender's slot is of frames to others: the receiver does not get it. */
static void nothing_behind_a_head_is_seen(void **unused)
{
    static const unsigned int with_page[] = { 42, 54, 64, 66, 67, 97, 112 };

    for (unsigned int len = 14; len <= NETFLIP_INLINE_MAX; len++) {
        struct netflip_head *h = head(&a, 2, len);
        uint8_t sent[NETFLIP_INLINE_MAX];

        memcpy(sent, h->data, len);
        memset(h->data + len, 0xaa, sizeof(h->data) - len);
        push(&a);
        assert_int_equal(rx_take(&b), len);
        assert_memory_equal(got.data, sent, len);
        for (unsigned int i = len; i < sizeof(got.data); i++)
            assert_int_equal(got.data[i], 0);
    }
    for (unsigned int k = 0; k < 2 * ARRAY_SIZE(with_page); k++) {
        unsigned int len = with_page[k / 2], n = 1 + k % 2, end = ((len + 7) & ~7u) + 8 * n;
        struct netflip_head *h = head(&a, 2, len);

        if (netflip_head_frags(len) < n) {
            n = 1;
            end -= 8;
        }
        memset(h->data + len, 0xaa, sizeof(h->data) - len);
        h->nr_frags = (uint8_t)n;
        h->len = (uint16_t)(len + n * 100);
        for (unsigned int i = 0; i < n; i++) {
            fake_offer(1, REF + i, a.page[i]);
            frags_of(h)[i] = (struct netflip_frag){ .ref = REF + i, .len = 100 };
        }
        offer(&b, n);
        push(&a);
        assert_int_equal(rx_take(&b), len + n * 100);
        for (unsigned int i = len; i < sizeof(got.data); i++)
            if (i < ((len + 7) & ~7u) || i >= end)
                assert_int_equal(got.data[i], 0);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define E(f) cmocka_unit_test_setup_teardown(f, setup_extents, teardown)
    const struct CMUnitTest tests[] = {
        T(small_frames_go_from_ring_to_ring), T(nothing_behind_a_head_is_seen),
        T(pages_are_flipped_in_one_call), T(big_frames_take_more_slots),
        T(what_is_refused_is_copied), T(what_cannot_be_moved_is_lost), T(a_flood_is_copied),
        T(order_is_kept), T(a_frame_from_the_wire), T(spoofed_frames_are_dropped),
        T(frames_wait_for_slots_and_pages), T(a_vif_that_stops_consuming),
        T(closing_with_frames_under_way), T(bad_frames_fail_the_vif), T(bad_indices_fail_the_vif),
        T(bad_references_of_rings), E(big_frames_take_more_slots), E(order_is_kept),
    };

    bridge_init();
    rx_pool_add(FRAME_ROOM);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
