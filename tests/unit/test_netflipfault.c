/* SPDX-License-Identifier: MIT */
/* test_netflipfault.c - the flip channel when the hypervisor refuses: each flip and each copy in turn, and ends that die. */
/* LINK: netback/netback.c netback/tx.c netback/rx.c netback/bridge.c netback/copy.c */
/* LINK: netback/frame.c netback/shape.c netback/dma.c netback/rxpool.c netback/fdb.c netback/filter.c lib/rate.c */
/* LINK: netback/exchange.c netback/flip.c netback/fliptx.c netback/fliprow.c netback/fliprx.c netback/transfer.c */
/* LINK: netback/headers.c netback/csum.c runtime/xs.c runtime/xbdev.c runtime/loglimit.c runtime/loop.c */
/* LINK: runtime/cmdline.c runtime/xbroot.c lib/strlcpy.c tests/unit/fakes/vifs.c */
/* LINK: tests/unit/fakes/guest.c tests/unit/fakes/world.c */
#include "tests/unit/netflip_rings.h"

static unsigned int lost_frames;        /* of the last round */
static bool by_the_queue;               /* frames wait for b first, and go the bridge's way then */

/* Frames of every kind, in pages 0 to 11; b offers 32 pages, c 8. */
static void send_all_kinds(void)
{
    unsigned int at;

    offer(&b, 32);
    offer(&c, 8);
    for (unsigned int i = 0; by_the_queue && i < NETFLIP_SLOTS; i++)
        (void)head(&a, 2, 59);
    push(&a);
    (void)head(&a, 2, 60);
    send_pages(&a, 2, 0, 1, 8, 1400);
    send_pages(&a, 2, 1, 3, 0, 400);
    send_pages(&a, 2, 4, 1, 0, 1300);
    a.tx_slot[(a.tx_prod - 1) % NETFLIP_SLOTS].flags = NETFLIP_COPY;
    at = a.tx_prod;
    send_pages(&a, 2, 5, 5, 0, 4096);
    a.tx_slot[at % NETFLIP_SLOTS].flags = NETFLIP_CSUM_BLANK | NETFLIP_GSO_TCPV4;
    a.tx_slot[at % NETFLIP_SLOTS].gso_size = 1448;
    send_pages(&a, 0xff, 10, 1, 0, 1200);
    send_pages(&a, 0x77, 11, 1, 0, 1100);
    (void)head(&a, 2, 61);
    fake_nic_got = 0;
    push(&a);
    for (unsigned int i = 0; by_the_queue && i < NETFLIP_SLOTS; i++)
        assert_int_equal(rx_take(&b), 59);
    fake_signal(2, 8);
    fake_run();
}

/* What has come to g: each page once, and whole frames unless they say that they are lost. Returns their pages. */
static unsigned int take_all(struct guest *g, bool seen[32])
{
    unsigned int len, pages = 0;

    while ((len = rx_take(g)) != 0) {
        for (unsigned int i = 0; i < got.nr_frags; i++, pages++) {
            unsigned int page = got_frag[i].ref - REF - 32;

            assert_false(seen[page]);
            seen[page] = true;
        }
        if (got.flags & NETFLIP_LOST) {
            lost_frames++;
            continue;
        }
        for (unsigned int at = 66; at < len; at++) {
            unsigned int first = len == 66 + 1400 ? 0 : len == 66 + 1200 && got.nr_frags == 3 ? 1
                               : len == 66 + 1300 ? 4 : len == 66 + 5 * 4096 ? 5 : len == 66 + 1200 ? 10 : 12;
            unsigned int each = got.nr_frags == 3 ? 400 : 4096;

            assert_int_equal(got_bytes[at], 0x40 + first + (at - 66) / each);
        }
    }
    return pages;
}

/* Each of a's pages comes back once. */
static void expect_given_back(unsigned int n)
{
    bool seen[32] = { false };

    for (uint32_t i = a.tx_ref_cons; i != a.tx->ref_prod; i++) {
        unsigned int page = a.tx->ref[i % NETFLIP_REFS] - REF;

        assert_in_range(page, 0, 31);
        assert_false(seen[page]);
        seen[page] = true;
    }
    assert_int_equal(given_back(&a), n);
}

/* One round with the faults that are set. Afterwards all works again, and b gets each page that it offered. */
static void round_with_faults(void)
{
    bool seen_b[32] = { false }, seen_c[32] = { false };
    unsigned int pages;

    lost_frames = 0;
    send_all_kinds();
    fake_flip_fault.at = fake_copy_fault.at = FAKE_NONE;
    expect_given_back(12);
    pages = take_all(&b, seen_b);
    (void)take_all(&c, seen_c);
    assert_in_range(fake_nic_got, 0, 2);
    fake_signal(2, 8);
    fake_signal(3, 8);
    fake_run();
    for (unsigned int i = 0; pages + i < 32; i++)
        send_pages(&a, 2, i, 1, 0, 1400 + (i ? 1 : 0));
    push(&a);
    expect_given_back(32 - pages);
    while (rx_take(&b)) {
        assert_int_equal(got.flags, 0);
        assert_int_equal(got.nr_frags, 1);
        assert_false(seen_b[got_frag[0].ref - REF - 32]);
        seen_b[got_frag[0].ref - REF - 32] = true;
        pages++;
    }
    assert_int_equal(pages, 32);
    for (unsigned int i = 0; i < 7; i++) {      /* the rest of what c offered */
        send_pages(&a, 3, i, 1, 0, 1400);
        push(&a);
        assert_int_equal(rx_take(&c), 1466);
    }
    expect_given_back(7);
    assert_int_equal(vif_state(a.dom) + vif_state(b.dom) + vif_state(c.dom), 12);
}

static void each_refusal_in_turn(void **unused)
{
    static const int16_t flips[] = { SLUICE_FLIP_from_gone, SLUICE_FLIP_to_gone, SLUICE_FLIP_from_busy,
                                     SLUICE_FLIP_to_busy, SLUICE_FLIP_bad_op, -99, 77 };
    static const int16_t copies[] = { GNTST_general_error, GNTST_bad_domain, GNTST_bad_gntref,
                                      GNTST_permission_denied, GNTST_eagain };
    unsigned long flipped = fake_flipped, copied = fake_copies;
    int nr_flips, nr_copies;

    for (unsigned int way = 0; way < 2; way++) {
        by_the_queue = way;
        flipped = fake_flipped;
        copied = fake_copies;
        round_with_faults();
        assert_int_equal(lost_frames, 0);
        nr_flips = (int)(fake_flipped - flipped);
        nr_copies = (int)(fake_copies - copied);
        assert_in_range(nr_flips, 9, 60);
        assert_in_range(nr_copies, 4, 60);
        for (int at = FAKE_EACH; at <= 10; at++) {
            for (unsigned int s = 0; s < ARRAY_SIZE(flips); s++) {
                for (int copy = FAKE_EACH; copy <= 0; copy++) {
                    fake_flip_fault = (struct fake_fault){ .at = at, .status = flips[s] };
                    fake_copy_fault = (struct fake_fault){ .at = copy, .status = GNTST_bad_gntref };
                    round_with_faults();
                    /* What neither was flipped nor could be copied, and nothing else. */
                    assert_true(copy != FAKE_NONE || !lost_frames);
                    if (at == FAKE_EACH && copy == FAKE_EACH)
                        assert_in_range(lost_frames, 4, 6);
                }
            }
            for (int copy = FAKE_EACH; copy <= FAKE_NONE; copy++) {
                fake_flip_fault = (struct fake_fault){ .at = at, .call = true };
                fake_copy_fault = (struct fake_fault){ .at = copy, .status = GNTST_general_error };
                round_with_faults();
            }
        }
        for (int at = FAKE_EACH; at < nr_copies; at++) {
            for (unsigned int s = 0; s < ARRAY_SIZE(copies); s++) {
                fake_copy_fault = (struct fake_fault){ .at = at, .status = copies[s] };
                round_with_faults();
            }
        }
    }
    by_the_queue = false;
}

/* A domain dies: what it has granted is gone, while frames are under way from and to it. */
static void an_end_dies(void **unused)
{
    for (unsigned int i = 0; i < 12; i++) {
        struct guest *g = i % 2 ? &b : &a, *other = i % 2 ? &a : &b;
        unsigned int gone = 3 + i;

        offer(&b, 32);
        for (unsigned int k = 0; k < 10; k++)
            send_pages(&a, 2, k, 1, 0, 1400);
        for (unsigned int k = 0; k < gone; k++)
            fake_grant(g->dom, REF + (g == &a ? k : 32 + k), NULL, false);
        if (i % 3 == 0)
            push(&a);
        else
            a.tx->slot_prod = a.tx_prod;
        netback_drop_domain(g->dom);
        fake_run();
        assert_int_equal(fake_mapped(g->dom), 0);
        vif_remove(g->dom);
        vif_make(g->dom, NULL, NULL);
        come_up(g);
        assert_int_equal(vif_state(a.dom) + vif_state(b.dom) + vif_state(c.dom), 12);
        vif_begin_anew(other->dom);
        come_up(other);
        offer(&b, 1);
        send_pages(&a, 2, 20, 1, 0, 1400);
        push(&a);
        assert_int_equal(rx_take(&b), 1466);
        expect_bytes(66, 1400, 0x40 + 20);
        assert_int_equal(given_back(&a), 1);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define E(f) cmocka_unit_test_setup_teardown(f, setup_extents, teardown)
    const struct CMUnitTest tests[] = {
        T(each_refusal_in_turn), T(an_end_dies), E(each_refusal_in_turn), E(an_end_dies),
    };

    bridge_init();
    rx_pool_add(FRAME_ROOM);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
