/* SPDX-License-Identifier: MIT */
/* test_netflipext.c - extents on the flip channel: whole ones, to vifs of single pages, copied, wrong ones. */
/* LINK: netback/netback.c netback/tx.c netback/rx.c netback/bridge.c netback/copy.c */
/* LINK: netback/frame.c netback/shape.c netback/dma.c netback/rxpool.c netback/fdb.c netback/filter.c lib/rate.c */
/* LINK: netback/exchange.c netback/flip.c netback/fliptx.c netback/fliprow.c netback/fliprx.c netback/transfer.c */
/* LINK: netback/headers.c netback/csum.c runtime/xs.c runtime/xbdev.c runtime/loglimit.c runtime/loop.c */
/* LINK: runtime/cmdline.c runtime/xbroot.c lib/strlcpy.c tests/unit/fakes/vifs.c */
/* LINK: tests/unit/fakes/guest.c tests/unit/fakes/world.c */
#include "tests/unit/netflip_rings.h"

static void extents_go_over_whole(void **unused)
{
    static const unsigned int len[] = { 15 * 4096 + 100, 65536 - 66 - 100, 4097, 3 * 4096 };

    for (unsigned int i = 0; i < ARRAY_SIZE(len); i++) {
        unsigned int offset = i == 1 ? 100 : 0, n = netflip_frag_pages(offset, len[i]);

        fake_flipped = fake_flip_calls = 0;
        offer_extent(&b, 32 + i % 2 * 16);
        (void)send_extent(&a, 2, i % 2 * 16, offset, len[i]);
        push(&a);
        assert_int_equal(fake_flipped, n);
        assert_int_equal(fake_flip_calls, 1);
        assert_int_equal(rx_take(&b), 66 + len[i]);
        assert_int_equal(got.nr_frags, 1);
        assert_int_equal(got.flags, NETFLIP_GSO_TCPV4);
        assert_int_equal(got_frag[0].ref, REF + 32 + i % 2 * 16);
        assert_int_equal(got_frag[0].offset, offset);
        expect_pages(66, i % 2 * 16, offset, len[i]);
        expect_extent_back(&a, i % 2 * 16);
        for (unsigned int k = 0; k < NETFLIP_EXTENT; k++)
            assert_int_equal(fake_is_granted(2, got_frag[0].ref + k), k >= n);
    }
    assert_int_equal(fake_copies, 0);
    /* Two in one call. */
    fake_flip_calls = 0;
    offer_extent(&b, 32);
    offer_extent(&b, 48);
    (void)send_extent(&a, 2, 0, 0, 65000);
    (void)send_extent(&a, 2, 16, 0, 65000);
    push(&a);
    assert_int_equal(fake_flip_calls, 1);
    for (unsigned int i = 0; i < 2; i++) {
        assert_int_equal(rx_take(&b), 65066);
        expect_pages(66, i * 16, 0, 65000);
    }
    assert_int_equal(a.tx->ext_prod, 6);
}

/* To a guest that has none, or none on offer: page by page. */
static void extents_to_single_pages(void **unused)
{
    for (unsigned int to = 2; to <= 3; to++) {
        struct guest *g = to == 2 ? &b : &c;

        fake_flipped = 0;
        offer(g, 20);
        (void)send_extent(&a, to, 0, 10, 60000);
        push(&a);
        assert_int_equal(fake_flipped, 15);
        assert_int_equal(fake_copies, 0);
        assert_int_equal(rx_take(g), 60066);
        assert_int_equal(got.nr_frags, 15);
        expect_pages(66, 0, 10, 60000);
        expect_extent_back(&a, 0);
    }
    /* Beside other fragments: in the order in which they stand. */
    {
        struct netflip_head *h = head(&a, 2, 66);

        fake_flipped = 0;
        offer(&b, 10);
        h->nr_frags = 3;
        h->len = 66 + 500 + 9000 + 700;
        h->flags = NETFLIP_GSO_TCPV4;
        h->gso_size = 1000;
        frags_of(h)[0] = extent(&a, 20, 0, 500);
        frags_of(h)[1] = extent(&a, 0, 0, 9000);
        frags_of(h)[2] = extent(&a, 21, 4096 - 700, 700);
        push(&a);
        assert_int_equal(rx_take(&b), 66 + 500 + 9000 + 700);
        expect_pages(66, 20, 0, 500);
        expect_pages(566, 0, 0, 9000);
        expect_pages(9566, 21, 4096 - 700, 700);
        assert_int_equal(fake_flipped, 5);
        assert_int_equal(a.tx->ext_prod, 3);
        assert_int_equal(given_back(&a), 2);
    }
}

static void extents_are_copied(void **unused)
{
    fake_flips_busy = true;
    offer_extent(&b, 32);
    (void)send_extent(&a, 2, 0, 5, 40000);
    push(&a);
    assert_int_equal(fake_flipped, 0);
    assert_int_equal(rx_take(&b), 40066);
    assert_int_equal(got.nr_frags, 1);
    assert_false(got.flags & NETFLIP_LOST);
    expect_pages(66, 0, 5, 40000);
    expect_extent_back(&a, 0);
    fake_flips_busy = false;
    /* One page of it cannot even be copied. */
    offer_extent(&b, 48);
    (void)send_extent(&a, 2, 0, 0, 40000);
    fake_grant(1, REF + 5, NULL, false);
    push(&a);
    assert_int_equal(rx_take(&b), 40066);
    assert_true(got.flags & NETFLIP_LOST);
    expect_extent_back(&a, 0);
    /* The sender asks for it; and a flood. */
    offer(&b, 32);
    offer(&c, 32);
    send_extent(&a, 2, 0, 0, 40000)->flags |= NETFLIP_COPY;
    push(&a);
    assert_int_equal(rx_take(&b), 40066);
    expect_pages(66, 0, 0, 40000);
    expect_extent_back(&a, 0);
    send_extent(&a, 0xff, 0, 3000, 1400)->flags = 0;
    push(&a);
    assert_int_equal(rx_take(&b), 1466);
    expect_pages(66, 0, 3000, 1400);
    assert_int_equal(rx_take(&c), 1466);
    expect_pages(66, 0, 3000, 1400);
    assert_int_equal(fake_nic_len[fake_nic_got - 1], 1466);
    expect_extent_back(&a, 0);
    assert_int_equal(fake_flipped, 0);
    assert_int_equal(vif_state(a.dom) + vif_state(b.dom) + vif_state(c.dom), 12);
}

/* Two in a turn, again and again, until each ring's index has wrapped; of each frame no more than its head is seen. */
static void extents_in_rows(void **unused)
{
    for (unsigned int round = 0; round < NETFLIP_SLOTS + 10; round++) {
        unsigned int inline_len = 42 + round % (NETFLIP_INLINE_MAX - 42), len[2] = { 65000 - inline_len, 4097 + round };
        uint8_t sent[2][NETFLIP_INLINE_MAX];

        memset(b.rx_slot, 0, NETFLIP_SLOTS * NETFLIP_SLOT_BYTES);
        fake_flip_calls = 0;
        for (unsigned int i = 0; i < 2; i++) {
            struct netflip_head *h = head(&a, 2, inline_len);

            offer_extent(&b, 32 + i * 16);
            memcpy(sent[i], h->data, inline_len);
            memset(h->data + inline_len, 0xaa, sizeof(h->data) - inline_len);
            h->nr_frags = 1;
            h->len = (uint16_t)(inline_len + len[i]);
            h->flags = NETFLIP_GSO_TCPV4;
            h->gso_size = 1448;
            frags_of(h)[0] = extent(&a, i * 16, 0, len[i]);
        }
        push(&a);
        assert_int_equal(fake_flip_calls, 1);
        for (unsigned int i = 0; i < 2; i++) {
            assert_int_equal(rx_take(&b), inline_len + len[i]);
            assert_memory_equal(got.data, sent[i], inline_len);
            for (unsigned int k = inline_len; k < sizeof(got.data); k++)
                if (k - ((inline_len + 7) & ~7u) >= 8)
                    assert_int_equal(got.data[k], 0);
            expect_pages(inline_len, i * 16, 0, len[i]);
            assert_int_equal(a.tx->ext[a.tx_ext_cons++ % NETFLIP_EXTENTS], REF + i * 16);
        }
        assert_int_equal(a.tx->ext_prod, a.tx_ext_cons);
    }
    assert_int_equal(fake_copies, 0);
}

static void bad_extents_fail_the_vif(void **unused)
{
    const struct { unsigned int nr, offset, len; } bad[] = {
        { 1, 4096, 5000 }, { 1, 65535, 10000 }, { 1, 4000, 0 }, { 1, 4095, 65000 }, { 2, 0, 32768 },
        { 1, 0, 65535 - 66 },
    };

    for (unsigned int i = 0; i < 2 * ARRAY_SIZE(bad); i++) {
        struct netflip_head *h = head(&a, i & 1 ? 2 : 3, 66);

        offer(&b, 4);
        offer_extent(&b, 32);
        h->nr_frags = (uint8_t)(bad[i / 2].nr + (bad[i / 2].nr == 2 ? 1 : 0));
        h->len = (uint16_t)(66 + bad[i / 2].len);
        h->flags = NETFLIP_GSO_TCPV4;
        h->gso_size = 1000;
        if (bad[i / 2].len == 65535 - 66)       /* all right but for this */
            h->flags |= NETFLIP_GSO_TCPV6;
        for (unsigned int k = 0; k < h->nr_frags; k++)
            frags_of(h)[k] = (struct netflip_frag){ REF, (uint16_t)bad[i / 2].offset, (uint16_t)bad[i / 2].len };
        push(&a);
        assert_int_equal(vif_state(a.dom), 5);
        vif_begin_anew(a.dom);
        come_up(&a);
        assert_int_equal(vif_state(a.dom), 4);
    }
    assert_int_equal(rx_take(&b), 0);
    /* A guest that has not asked for them; and one that offers more than there is room for. */
    (void)send_extent(&c, 2, 0, 0, 5000);
    push(&c);
    assert_int_equal(vif_state(c.dom), 5);
    vif_begin_anew(b.dom);
    come_up(&b);            /* has offered none */
    for (unsigned int i = 0; i < 3; i++) {
        b.rx->ext_prod = i == 0 ? NETFLIP_EXTENTS + 1 : i == 1 ? 0x80000000u : 0xffffffffu;
        (void)send_extent(&a, 2, 0, 0, 5000);
        push(&a);
        assert_int_equal(vif_state(b.dom), 5);
        vif_begin_anew(b.dom);
        come_up(&b);
    }
    assert_int_equal(vif_state(a.dom) + vif_state(b.dom), 8);
}

int main(void)
{
#define E(f) cmocka_unit_test_setup_teardown(f, setup_extents, teardown)
    const struct CMUnitTest tests[] = {
        E(extents_go_over_whole), E(extents_in_rows), E(extents_to_single_pages),
        E(extents_are_copied), E(bad_extents_fail_the_vif),
    };

    bridge_init();
    rx_pool_add(FRAME_ROOM);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
