/* SPDX-License-Identifier: MIT */
/* test_netfront.c - netfront on the flip channel, with a backend that lies. */
/* LINK: netfront/netfront.c netfront/flip.c netfront/fliptx.c netfront/fliprx.c netfront/flipext.c netfront/extent.c netfront/standard.c runtime/grant.c runtime/xs.c */
/* LINK: runtime/xbdev.c runtime/loglimit.c lib/rate.c runtime/loop.c runtime/cmdline.c lib/strlcpy.c */
/* LINK: tests/unit/fakes/front.c tests/unit/fakes/world.c tests/unit/fakes/netpeer.c */
#include "tests/unit/netfront_peer.h"

static void flip_indices(void **unused)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
        assert_true(netpeer_works(p));
        p->rx->slot_prod += steps[i];
        expect_down("it fills more slots than there are");
        come_up_again();
        assert_true(netpeer_works(p));
        p->tx->ref_prod += steps[i];
        expect_down("it gives back more pages than there is room for");
        come_up_again();
        assert_true(netpeer_works(p));
        if (steps[i] == UINT32_MAX)
            continue;               /* nothing that the frontend could not have missed until now */
        p->tx->slot_cons += steps[i];
        while (netpeer_send(p, 0))
            ;
        expect_down("it takes slots that are not there");
        come_up_again();
    }
}

/* Event indices are the backend's to choose: nothing depends on them. */
static void flip_events(void **unused)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
        p->rx->cons_event += steps[i];
        p->rx->ref_event += steps[i];
        p->tx->slot_event += steps[i];
        assert_true(netpeer_works(p));
    }
}

static struct netflip_head *one_page(void)
{
    struct netflip_head *h = netpeer_head(p, 66, 1400);

    h->nr_frags = 1;
    *netpeer_frag(h) = (struct netflip_frag){ netpeer_posted(p), 100, 1400 };
    return h;
}

static void len_short(struct netflip_head *h) { h->len = 20; }
static void inline_none(struct netflip_head *h) { h->inline_len = 0; }
static void inline_short(struct netflip_head *h) { h->inline_len = 13; }
static void inline_long(struct netflip_head *h) { h->inline_len = 113; h->len = 1600; }
static void inline_most(struct netflip_head *h) { h->inline_len = 255; h->len = 65535; }
static void frags_many(struct netflip_head *h) { h->nr_frags = NETFLIP_FRAGS_MAX + 1; }
static void frags_most(struct netflip_head *h) { h->nr_frags = 255; }
static void frags_endless(struct netflip_head *h) { h->nr_frags = 10; }
static void frag_empty(struct netflip_head *h) { netpeer_frag(h)->len = 0; }
static void frag_long(struct netflip_head *h) { netpeer_frag(h)->len = 4097; }
static void frag_longest(struct netflip_head *h) { netpeer_frag(h)->len = 65535; }
static void frag_end(struct netflip_head *h) { netpeer_frag(h)->offset = 4000; }
static void frag_offset(struct netflip_head *h) { netpeer_frag(h)->offset = 65535; }
static void ref_huge(struct netflip_head *h) { netpeer_frag(h)->ref = 0xffffffff; }
static void ref_before(struct netflip_head *h) { netpeer_frag(h)->ref = p->nf->first_ref - 1; }
static void ref_after(struct netflip_head *h) { netpeer_frag(h)->ref = p->nf->first_ref + NETFRONT_PAGES; }
static void ref_ring(struct netflip_head *h) { netpeer_frag(h)->ref = p->nf->shared[1].ref[1]; }
static void ref_free(struct netflip_head *h)
{
    netpeer_frag(h)->ref = p->nf->first_ref + p->nf->free_page[0];
}

static void kept(struct netflip_head *h) { front_map(netpeer_frag(h)->ref, true); }

static void flip_frames(void **unused)
{
    static const struct { void (*spoil)(struct netflip_head *); const char *why; } bad[] = {
        { len_short, "lengths are wrong" }, { inline_none, "lengths are wrong" },
        { inline_short, "lengths are wrong" }, { inline_long, "lengths are wrong" },
        { inline_most, "lengths are wrong" }, { frags_many, "lengths are wrong" },
        { frags_most, "lengths are wrong" }, { frags_endless, "it brings a page that it does not have" },
        { frag_empty, "not within its page" }, { frag_long, "not within its page" },
        { frag_longest, "not within its page" }, { frag_end, "not within its page" },
        { frag_offset, "not within its page" }, { ref_huge, "it brings a page that it does not have" },
        { ref_before, "it brings a page that it does not have" },
        { ref_after, "it brings a page that it does not have" },
        { ref_ring, "it brings a page that it does not have" },
        { ref_free, "it brings a page that it does not have" },
        { gso_nothing, "to be cut in no known way" }, { gso_both, "to be cut in no known way" },
        { kept, "it keeps a page that it gave back" },
    };

    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
        bad[i].spoil(one_page());
        p->got = 0;
        netpeer_push(p);
        expect_down(bad[i].why);
        assert_int_equal(p->got, 0);
        come_up_again();
    }
}

static void flip_frame_without_end(void **unused)
{
    struct netflip_head *h = netpeer_head(p, 66, 9 * 100);

    h->nr_frags = 9;
    for (unsigned int i = 0; i < netflip_head_frags(66); i++)
        netpeer_frag(h)[i] = (struct netflip_frag){ netpeer_posted(p), 0, 100 };
    netpeer_push(p);
    expect_down("a frame has no end");
}

static void flip_page_twice(void **unused)
{
    struct netflip_head *h = netpeer_head(p, 66, 200);
    grant_ref_t ref = netpeer_posted(p);

    h->nr_frags = 2;
    netpeer_frag(h)[0] = netpeer_frag(h)[1] = (struct netflip_frag){ ref, 0, 100 };
    netpeer_push(p);
    expect_down("it brings a page that it does not have");
    come_up_again();
    *netpeer_frag(one_page()) = *netpeer_frag(one_page());
    netpeer_push(p);
    expect_down("it brings a page that it does not have");
}

/* Frames that a right backend could have had to bring so: only they are lost. */
static void flip_lost_frames(void **unused)
{
    uint64_t lost = lost_now();

    one_page()->flags = NETFLIP_LOST;
    one_page()->len = 1467;
    one_page()->len = 65535;
    netpeer_head(p, 66, 10);                    /* more than is there, and no fragment */
    netpeer_push(p);
    expect_lost(lost + 4);
    assert_true(netpeer_works(p));
}

static void flip_given_back(void **unused)
{
    for (unsigned int i = 0; i < 5; i++) {
        grant_ref_t ref, bad;

        assert_true(netpeer_send(p, 1));
        netpeer_event(p);
        ref = netpeer_sent(p);
        bad = i == 0 ? 0xffffffff : i == 1 ? p->nf->first_ref - 1 : i == 2 ? netpeer_posted(p)
            : i == 3 ? p->nf->first_ref + p->nf->free_page[0] : ref;
        if (i == 4)
            netpeer_give_back(p, ref);
        netpeer_give_back(p, bad);
        expect_down("it gives back a page that it does not have");
        come_up_again();
    }
    assert_true(netpeer_send(p, 1));
    netpeer_event(p);
    front_map(netpeer_sent(p), true);
    netpeer_give_back(p, netpeer_sent(p));
    expect_down("it keeps a page that it gave back");
}

/* Answers may come in any order, flipped or not, or never. */
static void flip_any_order(void **unused)
{
    grant_ref_t ref[20];

    for (unsigned int round = 0; round < 40; round++) {
        for (unsigned int i = 0; i < 20; i++)
            assert_true(netpeer_send(p, 1));
        netpeer_event(p);
        for (unsigned int i = 0; i < 20; i++)
            ref[i] = netpeer_sent(p);
        for (unsigned int i = 20; i-- > 0;) {
            if (i % 2)
                assert_true(front_flip(ref[i], 0x11));
            if (round < 30)
                netpeer_give_back(p, ref[i]);
        }
        netpeer_event(p);
        assert_true(netpeer_pages_right(p));
    }
    assert_int_equal(netpeer_pages(p, PAGE_TX), 200);
}

/* Bursts of frames with no, one or more pages, until nothing more goes: in order, with the pages that they were given. */
static void flip_bursts(void **unused)
{
    for (unsigned int round = 0; round < 60; round++) {
        unsigned int pages = round % 4 == 3 ? 9 : round % 4, frames = 1 + round * 7 % NETFRONT_BURST, first = p->nr_sent, sent = 0, n;
        grant_ref_t ref[NETFLIP_REFS];
        unsigned int nr_refs = 0;

        do {
            n = netpeer_send_burst(p, frames, pages);
            sent += n;
        } while (n == frames && sent < 300);
        assert_true(sent && sent <= NETFLIP_SLOTS);
        assert_int_equal(p->nr_sent, first + sent);
        assert_true(netpeer_pages_right(p));
        assert_int_equal(netpeer_pages(p, PAGE_TX), sent * pages);
        netpeer_event(p);
        for (unsigned int i = 0; i < sent; i++) {
            const struct netflip_head *h = &p->tx_slot[p->tx_cons++ % NETFLIP_SLOTS];
            const struct netflip_frag *g = netpeer_frag((struct netflip_head *)(uintptr_t)h);

            assert_int_equal(h->data[0], (uint8_t)(first + i));
            assert_int_equal(h->nr_frags, pages);
            assert_int_equal(h->len, 66 + 100 * pages);
            for (unsigned int k = 0; k < pages; k++) {
                if (k == netflip_head_frags(66))
                    g = (const void *)&p->tx_slot[p->tx_cons++ % NETFLIP_SLOTS];
                assert_int_equal(g->offset, 8);
                assert_int_equal(g->len, 100);
                assert_int_equal(*((uint8_t *)front_page(g->ref) + 8), 0x33);
                ref[nr_refs++] = g++->ref;
            }
        }
        assert_int_equal(p->tx_cons, p->tx->slot_prod);
        store_release(&p->tx->slot_cons, p->tx_cons);
        while (nr_refs)
            netpeer_give_back(p, ref[--nr_refs]);
        netpeer_event(p);
        assert_int_equal(netpeer_pages(p, PAGE_TX), 0);
    }
}

static unsigned int order[100], nr_order;
static void note(struct netpeer *peer) { order[nr_order++] = peer->last.len; }

/* Frames of every kind arrive as they were put into the ring. */
static void flip_mixture(void **unused)
{
    p->on_receive = note;
    for (unsigned int round = 0; round < 40; round++) {
        unsigned int n = 1 + round * 11 % 60;

        nr_order = 0;
        for (unsigned int i = 0; i < n; i++) {
            unsigned int kind = (i * (round + 3) >> 2) % 4, pages = kind < 2 ? kind : kind - 1;
            struct netflip_head *h = netpeer_head(p, 66, pages * (100 + i));

            h->nr_frags = (uint8_t)pages;
            h->flags = kind == 3 ? NETFLIP_CSUM_BLANK | NETFLIP_GSO_TCPV4 : 0;
            h->gso_size = kind == 3 ? 1448 : 77;
            for (unsigned int k = 0; k < pages; k++) {
                netpeer_frag(h)[k] = (struct netflip_frag){ netpeer_posted(p), 0, (uint16_t)(100 + i) };
                if (round % 3)
                    assert_true(front_flip(netpeer_frag(h)[k].ref, 0x44));
            }
        }
        netpeer_push(p);
        netpeer_event(p);
        assert_int_equal(nr_order, n);
        for (unsigned int i = 0; i < n; i++) {
            unsigned int kind = (i * (round + 3) >> 2) % 4, pages = kind < 2 ? kind : kind - 1;

            assert_int_equal(order[i], 66 + pages * (100 + i));
        }
        assert_true(netpeer_pages_right(p));
    }
}

int main(void)
{
#define F(f) cmocka_unit_test_setup_teardown(f, setup_flip, teardown)
#define E(f) cmocka_unit_test_setup_teardown(f, setup_extents, teardown)
    const struct CMUnitTest tests[] = {
        F(flip_indices), F(flip_events), F(flip_frames), F(flip_frame_without_end),
        F(flip_page_twice), F(flip_lost_frames), F(flip_given_back), F(flip_any_order),
        F(flip_bursts), F(flip_mixture), E(flip_bursts), E(flip_mixture),
    };

    netpeer_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
