/* SPDX-License-Identifier: MIT */
/* test_netfrontext.c - extents of netfront's, with a backend that lies. */
/* LINK: netfront/netfront.c netfront/flip.c netfront/fliptx.c netfront/fliprx.c netfront/flipext.c netfront/extent.c netfront/standard.c runtime/grant.c runtime/xs.c */
/* LINK: runtime/xbdev.c runtime/loglimit.c lib/rate.c runtime/loop.c runtime/cmdline.c lib/strlcpy.c */
/* LINK: tests/unit/fakes/front.c tests/unit/fakes/world.c tests/unit/fakes/netpeer.c */
#include "tests/unit/netfront_peer.h"

static grant_ref_t received_in;
static unsigned int received_len;

/* A frame in the next extent on offer, of which n pages are flipped. */
static struct netflip_head *one_extent(unsigned int offset, unsigned int len, unsigned int n)
{
    struct netflip_head *h = netpeer_head(p, 66, len);

    received_in = netpeer_posted_extent(p);
    received_len = 66 + len;
    assert_int_not_equal(received_in, 0);
    h->nr_frags = 1;
    h->flags = NETFLIP_GSO_TCPV4;
    h->gso_size = 1448;
    *netpeer_frag(h) = (struct netflip_frag){ received_in, (uint16_t)offset, (uint16_t)len };
    assert_true(netpeer_flip_extent(received_in, n, 0x44));
    return h;
}

static struct netfront_stats stats(void)
{
    struct netfront_stats s;

    netfront_get_stats(p->nf, &s);
    return s;
}

static void extents_received(void **unused)
{
    static const unsigned int len[] = { 65469, 60000, 5000, 4097, 100, 3 * 4096 };

    for (unsigned int i = 0; i < ARRAY_SIZE(len); i++) {
        for (unsigned int flipped = 0; flipped < 3; flipped++) {
            unsigned int offset = i % 2 * 50, n = netflip_frag_pages(offset, len[i]);
            unsigned int now = flipped == 0 ? n : flipped == 1 ? 0 : n / 2;     /* all, none, some (one by one) */
            struct netfront_stats was = stats();

            p->got = 0;
            (void)one_extent(offset, len[i], now);
            netpeer_push(p);
            netpeer_event(p);
            assert_int_equal(p->got, 1);
            assert_int_equal(p->last.len, 66 + len[i]);
            assert_int_equal(p->last.nr_frags, 1);
            assert_int_equal(p->last.frag[0].len, len[i]);
            assert_int_equal(p->last.gso_size, 1448);
            assert_int_equal(stats().rx_flipped - was.rx_flipped, now);
            assert_int_equal(stats().rx_copied - was.rx_copied, n - now);
            assert_true(netpeer_pages_right(p) && front_frames_right());
        }
    }
    assert_true(netpeer_works(p));
}

static void extents_sent(void **unused)
{
    static const unsigned int len[] = { 65469, 60000, 5000, 4097, 100 };

    for (unsigned int i = 0; i < 3 * ARRAY_SIZE(len); i++) {
        unsigned int offset = i % 3 * 20, n = netflip_frag_pages(offset, len[i / 3]);
        struct netfront_stats was = stats();
        grant_ref_t ref;

        assert_true(netpeer_send_extent(p, offset, len[i / 3]));
        netpeer_event(p);
        ref = netpeer_sent(p);
        for (unsigned int k = 0; k < NETFRONT_EXTENT_PAGES; k++)
            assert_int_equal(front_entry(ref + k)->flags, k >= n ? 0 : GTF_permit_access | SLUICE_GTF_flip |
                                                                       (k ? 0 : SLUICE_GTF_flip_more(n - 1)));
        if (i % 3 != 1)
            assert_true(netpeer_flip_extent(ref, i % 3 ? n / 2 : n, 0));
        if (n == 1 && i % 2)
            netpeer_give_back(p, ref);      /* as the page that it is */
        else
            netpeer_give_extent(p, ref);
        netpeer_event(p);
        assert_int_equal(stats().tx_flipped - was.tx_flipped, i % 3 == 0 ? n : i % 3 == 1 ? 0 : n / 2);
        assert_int_equal(stats().tx_copied - was.tx_copied, i % 3 == 0 ? 0 : i % 3 == 1 ? n : n - n / 2);
        assert_true(netpeer_pages_right(p) && front_frames_right());
    }
    /* Until there are none; the one who waits hears of those that come back. */
    for (unsigned int i = 0; i < NETFRONT_EXTENTS - RX_EXTENTS; i++)
        assert_true(netpeer_send_extent(p, 0, 5000));
    assert_false(netpeer_send_extent(p, 0, 5000));
    assert_int_equal(p->tx->ext_event, p->ext_prod + 1);
    netpeer_give_extent(p, netpeer_sent(p));
    assert_true(netpeer_send_extent(p, 0, 5000));
}

static unsigned int next_head;          /* first byte of the head that is to come */

static void expect_in_order(struct netpeer *peer)
{
    assert_int_equal(peer->last.head[0], (uint8_t)next_head++);
    assert_int_equal(peer->last.head[peer->last.head_len - 1], peer->last.head[0]);
}

/* Four in a turn, between them a frame without pages, with heads of any length, until each ring's index has wrapped. */
static void extents_received_in_bursts(void **unused)
{
    unsigned int sent = 0;

    p->on_receive = expect_in_order;
    next_head = 0;
    for (unsigned int round = 0; round < 80; round++) {
        struct netfront_stats was = stats();
        unsigned int pages = 0;

        p->got = 0;
        for (unsigned int i = 0; i < 5; i++) {
            unsigned int inline_len = 42 + (round * 7 + (i & 2)) % 71, len = i == 1 ? 5000 : i == 3 ? 61440 : 65400;
            struct netflip_head *h = netpeer_head(p, inline_len, i == 4 ? 0 : len);

            h->data[0] = h->data[inline_len - 1] = (uint8_t)sent++;
            if (i == 4)
                continue;
            h->nr_frags = 1;
            h->flags = NETFLIP_GSO_TCPV4;
            h->gso_size = 1448;
            received_in = netpeer_posted_extent(p);
            assert_int_not_equal(received_in, 0);
            *(struct netflip_frag *)(void *)(h->data + ((inline_len + 7) & ~7u)) = (struct netflip_frag){ received_in, 0, (uint16_t)len };
            assert_true(netpeer_flip_extent(received_in, netflip_frag_pages(0, len), 0x44));
            pages += netflip_frag_pages(0, len);
        }
        netpeer_push(p);
        netpeer_event(p);
        assert_int_equal(p->got, 5);
        assert_int_equal(stats().rx_flipped - was.rx_flipped, pages);
        assert_true(netpeer_pages_right(p) && front_frames_right());
    }
    assert_int_equal(next_head, sent);
    p->on_receive = NULL;
    assert_true(netpeer_works(p));
}

static void extents_sent_in_bursts(void **unused)
{
    static const unsigned int lens[] = { 65400, 65535 - 112, 5000, 61440 };
    static uint8_t head[4][NETFRONT_HEAD_MAX];

    for (unsigned int round = 0; round < 80; round++) {
        struct netfront_frame f[4];
        unsigned int inline_len = 42 + round % 71;
        grant_ref_t ref[4];

        for (unsigned int i = 0; i < 4; i++) {
            memset(head[i], (int)(round + i), sizeof(head[i]));
            f[i] = (struct netfront_frame){ .head = head[i], .head_len = (uint8_t)inline_len, .len = (uint16_t)(inline_len + lens[i]),
                                            .nr_frags = 1, .gso_size = 1448, .flags = NETFRONT_GSO_TCPV4 };
            f[i].frag[0].len = (uint16_t)lens[i];
        }
        assert_int_equal(netfront_extents_get(p->nf, f, 4), 4);
        assert_int_equal(netfront_send_burst(p->nf, f, 4), 4);
        netpeer_event(p);
        for (unsigned int i = 0; i < 4; i++) {
            const struct netflip_head *h = &p->tx_slot[p->tx_cons++ % NETFLIP_SLOTS];
            const struct netflip_frag *g = (const void *)(h->data + ((inline_len + 7) & ~7u));
            unsigned int n = netflip_frag_pages(0, lens[i]);

            assert_memory_equal(h->data, head[i], inline_len);
            assert_int_equal(h->len, inline_len + lens[i]);
            assert_int_equal(h->gso_size, 1448);
            assert_int_equal(g->len, lens[i]);
            ref[i] = g->ref;
            for (unsigned int k = 0; k < NETFRONT_EXTENT_PAGES; k++)
                assert_int_equal(front_entry(ref[i] + k)->flags, k >= n ? 0 : GTF_permit_access | SLUICE_GTF_flip |
                                                                              (k ? 0 : SLUICE_GTF_flip_more(n - 1)));
            if (i != round % 4)
                assert_true(netpeer_flip_extent(ref[i], n, 0));
        }
        assert_int_equal(p->tx_cons, p->tx->slot_prod);
        store_release(&p->tx->slot_cons, p->tx_cons);
        for (unsigned int i = 4; i-- > 0;)
            netpeer_give_extent(p, ref[i]);
        netpeer_event(p);
        assert_true(netpeer_pages_right(p) && front_frames_right());
    }
    assert_true(netpeer_works(p));
}

/* A backend that uses all that is on offer gets more, up to almost all; if some are missing to send in, half of them. */
static void extents_on_offer(void **unused)
{
    struct netfront_frame f[NETFRONT_EXTENTS];
    unsigned int n;

    for (unsigned int want = RX_EXTENTS; want; want = want == RX_EXTENTS_MOST ? 0 : MIN(2 * want, (unsigned int)RX_EXTENTS_MOST)) {
        assert_int_equal(p->nf->nr_rx_extents, want);
        for (unsigned int i = 0; i < want; i++)
            (void)one_extent(0, 65400, 16);
        netpeer_push(p);
        netpeer_event(p);
    }
    assert_int_equal(p->nf->nr_rx_extents, RX_EXTENTS_MOST);
    n = netfront_extents_get(p->nf, f, 10);
    assert_int_equal(n, NETFRONT_EXTENTS - RX_EXTENTS_MOST);
    for (unsigned int i = 0; i < n; i++)
        netfront_page_put(p->nf, f[i].frag[0].page);
    for (unsigned int i = 0; i < RX_EXTENTS_MOST; i++)
        (void)one_extent(0, 65400, 16);
    netpeer_push(p);
    netpeer_event(p);
    assert_int_equal(p->nf->nr_rx_extents, RX_EXTENTS_HALF);
    for (unsigned int i = 0; i < RX_EXTENTS_HALF; i++)
        (void)one_extent(0, 65400, 16);
    netpeer_push(p);
    netpeer_event(p);
    assert_int_equal(p->nf->nr_rx_extents, RX_EXTENTS_HALF);
    n = netfront_extents_get(p->nf, f, 16);
    assert_int_equal(n, 16);
    for (unsigned int i = 0; i < n; i++)
        netfront_page_put(p->nf, f[i].frag[0].page);
    assert_true(netpeer_works(p));
}

static void ext_ref_single(struct netflip_head *h) { netpeer_frag(h)->ref = netpeer_posted(p); }
static void ext_ref_midst(struct netflip_head *h) { netpeer_frag(h)->ref++; }
static void ext_ref_free(struct netflip_head *h) { netpeer_frag(h)->ref = p->nf->first_ref + p->nf->free_extent[0]; }
static void ext_ref_after(struct netflip_head *h) { netpeer_frag(h)->ref = p->nf->first_ref + p->nf->nr_pages; }
static void ext_offset(struct netflip_head *h) { netpeer_frag(h)->offset = 4096; }
static void ext_offset_most(struct netflip_head *h) { netpeer_frag(h)->offset = 65535; }
static void ext_end(struct netflip_head *h) { netpeer_frag(h)->offset = 4095; netpeer_frag(h)->len = 65535; }
static void ext_empty(struct netflip_head *h) { netpeer_frag(h)->len = 0; }
static void ext_kept(struct netflip_head *h)
{
    front_flip(netpeer_frag(h)->ref + 3, 0);
    front_entry(netpeer_frag(h)->ref + 2)->flags |= GTF_reading;
}

static void extents_bad(void **unused)
{
    static const struct { void (*spoil)(struct netflip_head *); const char *why; } bad[] = {
        { ext_ref_single, "not within its page" }, { ext_ref_midst, "it brings a page that it does not have" },
        { ext_ref_free, "it brings a page that it does not have" }, { ext_ref_after, "it brings a page that it does not have" },
        { ext_offset, "not within its page" }, { ext_offset_most, "not within its page" }, { ext_end, "not within its page" },
        { ext_empty, "not within its page" }, { gso_nothing, "to be cut in no known way" }, { gso_both, "to be cut in no known way" },
        { ext_kept, "it keeps a page that it gave back" },
    };

    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
        struct netflip_head *h = one_extent(0, 40000, i % 2 ? 10 : 0);

        if (i < 8)
            h->flags = 0;
        h->gso_size = bad[i].spoil == gso_nothing ? 0 : 1448;
        bad[i].spoil(h);
        p->got = 0;
        netpeer_push(p);
        expect_down(bad[i].why);
        assert_int_equal(p->got, 0);
        come_up_again();
        assert_true(netpeer_works(p));
    }
    /* Twice; one that was not sent; more of them than there is room for. */
    *netpeer_frag(one_extent(0, 40000, 10)) = *netpeer_frag(one_extent(0, 40000, 10));
    netpeer_push(p);
    expect_down("it brings a page that it does not have");
    come_up_again();
    netpeer_give_extent(p, p->nf->first_ref + NETFRONT_PAGES);
    expect_down("it gives back a page that it does not have");
    come_up_again();
    p->tx->ext_prod = NETFLIP_EXTENTS + 1;
    expect_down("it gives back more extents than there is room for");
    come_up_again();
    /* Lost frames; lengths that do not add up. */
    one_extent(0, 40000, 10)->flags |= NETFLIP_LOST;
    one_extent(0, 40000, 10)->len--;
    netpeer_push(p);
    expect_lost(lost_now() + 2);
    assert_true(netpeer_works(p));
}

/* It is mapped when the backend goes: lost until that one lets go. One that the user has meanwhile cannot be sent to one who has none. */
static void extents_and_backends(void **unused)
{
    uint8_t head[NETFRONT_HEAD_MAX] = { 2 };
    struct netfront_frame f = { .head = head, .head_len = 66, .len = 66 + 5000, .nr_frags = 1 };
    grant_ref_t ref = netpeer_posted_extent(p);
    int page = netfront_extent_get(p->nf);

    assert_true(page >= NETFRONT_PAGES);
    front_entry(ref + 7)->flags |= GTF_reading;
    netpeer_unmap(p);
    netpeer_state_to(p, "6");
    assert_int_equal(p->nf->nr_free_extents, NETFRONT_EXTENTS - 2);
    netpeer_write(p, "feature-sluice-flip", "1");
    netpeer_write(p, "feature-sluice-flip-extents", "0");
    assert_true(netpeer_connect(p));
    assert_false(netfront_extents(p->nf));
    assert_int_equal(netfront_extent_get(p->nf), -1);
    assert_int_equal(p->rx->ext_prod, 0);
    f.frag[0] = (struct netfront_frag){ (uint32_t)page, 0, 5000 };
    assert_true(netfront_send(p->nf, &f));
    netpeer_event(p);
    assert_int_equal(p->tx->slot_prod, 0);
    assert_true(netpeer_works(p));
    assert_int_equal(p->nf->nr_free_extents, NETFRONT_EXTENTS - 1);
    front_entry(ref + 7)->flags &= (uint16_t)~GTF_reading;
}

int main(void)
{
#define E(f) cmocka_unit_test_setup_teardown(f, setup_extents, teardown)
    const struct CMUnitTest tests[] = {
        E(extents_received), E(extents_sent), E(extents_received_in_bursts),
        E(extents_sent_in_bursts), E(extents_on_offer), E(extents_bad), E(extents_and_backends),
    };

    netpeer_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
