/* SPDX-License-Identifier: MIT */
/*
 * test_netfront.c - netfront against a backend that lies: in its rings, in the store, in its states. Whatever it does, each
 * page has one place, nothing outside of the pages is touched, the vif goes down with one line that says why (or a
 * frame is lost), and a right backend can connect again.
 */
/* LINK: netfront/netfront.c netfront/flip.c netfront/fliptx.c netfront/fliprx.c netfront/flipext.c netfront/extent.c netfront/standard.c runtime/grant.c runtime/xs.c */
/* LINK: runtime/xbdev.c runtime/loglimit.c lib/rate.c runtime/loop.c runtime/cmdline.c lib/strlcpy.c */
/* LINK: tests/unit/fakes/front.c tests/unit/fakes/world.c tests/unit/fakes/netpeer.c */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/unit/fakes/netpeer.h"

static struct netpeer *p;           /* the one under test */

static int setup_flip(void **unused)
{
    p = netpeer_get(0);
    assert_true(netpeer_come_up(p));
    assert_true(netfront_flips(p->nf));
    fake_log[0] = '\0';
    return 0;
}

static int setup_extents(void **unused)
{
    p = netpeer_get(2);
    assert_true(netpeer_come_up(p));
    assert_true(netfront_flips(p->nf) && netfront_extents(p->nf));
    fake_log[0] = '\0';
    return 0;
}

static int setup_standard(void **unused)
{
    p = netpeer_get(1);
    assert_true(netpeer_come_up(p));
    assert_false(netfront_flips(p->nf));
    fake_log[0] = '\0';
    return 0;
}

/* Whatever a test did: a right backend gets a connection that works, and no page is missing. */
static int teardown(void **unused)
{
    netpeer_close(p);
    assert_true(netpeer_pages_right(p));
    assert_int_equal(netpeer_pages(p, PAGE_FREE), NETFRONT_PAGES);
    assert_int_equal(front_grants(), 0);
    assert_int_equal(front_pages(), NETPEER_PAGES);
    assert_int_equal(p->nf->nr_free_extents, extent_count(p->nf));
    assert_true(netpeer_come_up(p));
    assert_true(netpeer_works(p));
    netpeer_close(p);
    return 0;
}

static unsigned int lines(const char *what)
{
    unsigned int n = 0;

    for (const char *s = fake_log; (s = strstr(s, what)) != NULL; s++)
        n++;
    return n;
}

/* The vif is down, one line said why, and the pages are where they should be. */
static void expect_down(const char *why)
{
    netpeer_event(p);
    netpeer_event(p);
    assert_false(netfront_is_up(p->nf));
    assert_int_equal(lines("the backend is wrong"), 1);
    if (!strstr(fake_log, why))
        fail_msg("no \"%s\" in: %s", why, fake_log);
    assert_true(netpeer_pages_right(p));
    assert_int_equal(netpeer_state(p), XenbusStateClosed);
}

static void come_up_again(void)
{
    netpeer_close(p);
    assert_true(netpeer_come_up(p));
    fake_log[0] = '\0';
}

static void expect_lost(uint64_t lost)
{
    struct netfront_stats s;

    netpeer_event(p);
    netfront_get_stats(p->nf, &s);
    assert_int_equal(s.rx_lost, lost);
    assert_true(netfront_is_up(p->nf));
    assert_int_equal(lines("the backend is wrong"), 0);
    assert_true(netpeer_pages_right(p));
}

static uint64_t lost_now(void)
{
    struct netfront_stats s;

    netfront_get_stats(p->nf, &s);
    return s.rx_lost;
}

/* The flip channel -------------------------------------------------------------------------- */

static const uint32_t steps[] = { NETFLIP_REFS + 1, 0x10000, 0x7fffffff, 0x80000000u, 0xffffffffu };

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
static void gso_nothing(struct netflip_head *h) { h->flags = NETFLIP_GSO_TCPV4; }
static void gso_both(struct netflip_head *h)
{
    h->flags = NETFLIP_GSO_TCPV4 | NETFLIP_GSO_TCPV6;
    h->gso_size = 1448;
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

/* The standard protocol ---------------------------------------------------------------------- */

/* Frames go one by one, but as those of a burst. */
static void standard_bursts(void **unused)
{
    for (unsigned int round = 0; round < 30; round++) {
        unsigned int frames = 1 + round * 7 % NETFRONT_BURST, sent = 0, n;

        do {
            n = netpeer_send_burst(p, frames, round % 2);
            sent += n;
        } while (n == frames && sent < 300);
        assert_true(sent && sent < 256);
        assert_true(netpeer_pages_right(p));
        netpeer_event(p);
        while (p->stx_cons != p->stx->req_prod)
            netpeer_answer(p, netpeer_sent_id(p), NETIF_RSP_OKAY);
        netpeer_event(p);
        assert_int_equal(netpeer_pages(p, PAGE_TX), ARRAY_SIZE(p->nf->std.head_page));
    }
}

static void standard_indices(void **unused)
{
    static const uint32_t far[] = { 257, 0x10000, 0x7fffffff, 0x80000000u, 0xffffffffu };

    for (unsigned int i = 0; i < ARRAY_SIZE(far); i++) {
        assert_true(netpeer_works(p));
        p->srx->rsp_prod += far[i];
        expect_down("it answers more than it was asked");
        come_up_again();
        assert_true(netpeer_works(p));
        p->stx->rsp_prod += far[i];
        expect_down("it answers more than it was sent");
        come_up_again();
    }
}

static void standard_answers(void **unused)
{
    static const struct { uint16_t id; int status; } bad[] = {
        { 256, NETIF_RSP_OKAY }, { 65535, NETIF_RSP_ERROR }, { 77, NETIF_RSP_OKAY }, { 0, NETIF_RSP_NULL },
    };
    uint16_t head, body;

    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_true(netpeer_send(p, 1));
        netpeer_event(p);
        netpeer_answer(p, bad[i].id, bad[i].status);
        expect_down("it answers what it was not sent");
        come_up_again();
    }
    /* Once each, in any order, with any status. */
    assert_true(netpeer_send(p, 1));
    netpeer_event(p);
    head = netpeer_sent_id(p);
    body = netpeer_sent_id(p);
    netpeer_answer(p, body, -77);
    netpeer_answer(p, head, NETIF_RSP_ERROR);
    netpeer_event(p);
    assert_true(netpeer_works(p));
}

static void standard_answers_twice(void **unused)
{
    uint16_t id;

    assert_true(netpeer_send(p, 1));
    netpeer_event(p);
    id = netpeer_sent_id(p);
    netpeer_answer(p, id, NETIF_RSP_OKAY);
    netpeer_answer(p, id, NETIF_RSP_OKAY);
    expect_down("it answers what it was not sent");
    come_up_again();
    assert_true(netpeer_send(p, 1));
    netpeer_event(p);
    (void)netpeer_sent_id(p);
    id = netpeer_sent_id(p);
    front_map(p->stx->ring[(p->stx_cons - 1) % 256].req.gref, true);
    netpeer_answer(p, id, NETIF_RSP_OKAY);
    expect_down("it keeps a page that it gave back");
}

static void standard_pieces(void **unused)
{
    static const struct { int id, offset, status, flags; const char *why; } bad[] = {
        { 1, 0, 100, 0, "it answers what it was not asked" },
        { 255, 0, 100, 0, "it answers what it was not asked" },
        { 65535, 0, 100, 0, "it answers what it was not asked" },
        { 0, 0, 4097, 0, "not within its page" }, { 0, 0, 32767, 0, "not within its page" },
        { 0, 4000, 97, 0, "not within its page" }, { 0, 65535, 1, 0, "not within its page" },
        { 0, 0, 100, NETRXF_more_data, "a frame has no end" },
        { 0, 0, 100, NETRXF_extra_info, "extra info is wrong" },
        { 0, 0, 100, NETRXF_extra_info | NETRXF_more_data, "extra info is wrong" },
    };

    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
        netpeer_bring(p, bad[i].id, bad[i].offset, bad[i].status, bad[i].flags);
        p->got = 0;
        netpeer_push(p);
        expect_down(bad[i].why);
        assert_int_equal(p->got, 0);
        come_up_again();
    }
    netpeer_bring(p, 0, 0, 100, 0);
    front_map(p->srx->ring[0].req.gref, true);
    front_map(p->nf->first_ref + p->nf->std.rx_page[0], true);
    netpeer_push(p);
    expect_down("it keeps a page that it gave back");
}

static void push_on(struct netpeer *peer)
{
    peer->srx->rsp_prod += 0x40000000;
}

static void standard_extra(void **unused)
{
    const struct netif_extra_info gso = { .type = XEN_NETIF_EXTRA_TYPE_GSO,
                                          .u.gso = { .size = 1448, .type = XEN_NETIF_GSO_TYPE_TCPV4 } };
    struct netif_extra_info e;

    for (unsigned int i = 0; i < 5; i++) {
        e = gso;
        if (i == 4)
            netpeer_bring(p, 0, 0, 100, 0);
        netpeer_bring(p, 0, 0, 100, NETRXF_extra_info);
        if (i == 0)
            e.u.gso.size = 0;
        else if (i == 1)
            e.u.gso.type = 7;
        else if (i == 2)
            e.u.gso.type = 0;
        else
            e.flags = XEN_NETIF_EXTRA_FLAG_MORE;
        netpeer_extra(p, &e);
        netpeer_push(p);
        /* Without end, all around the ring and on, while the frontend is at it. */
        for (unsigned int k = 0; k < 253 && i == 4; k++)
            netpeer_extra(p, &e);
        p->on_receive = i == 4 ? push_on : NULL;
        expect_down("a frame's extra info is wrong");
        come_up_again();
    }
    /* An unknown one is nobody's business. */
    netpeer_bring(p, 0, 0, 100, NETRXF_extra_info);
    e = (struct netif_extra_info){ .type = 9, .flags = XEN_NETIF_EXTRA_FLAG_MORE };
    netpeer_extra(p, &e);
    netpeer_extra(p, &gso);
    p->got = 0;
    netpeer_push(p);
    netpeer_event(p);
    assert_int_equal(p->got, 1);
    assert_int_equal(p->last.gso_size, 1448);
    assert_int_equal(p->last.flags, NETFRONT_GSO_TCPV4);
}

static void standard_lost_frames(void **unused)
{
    uint64_t lost = lost_now();

    netpeer_bring(p, 0, 0, NETIF_RSP_ERROR, 0);
    netpeer_bring(p, 0, 0, 0, 0);
    netpeer_bring(p, 0, 0, 13, 0);              /* shorter than an address */
    netpeer_bring(p, 0, 65535, NETIF_RSP_DROPPED, 0);
    for (unsigned int i = 0; i < 20; i++)       /* too many pieces */
        netpeer_bring(p, 0, 0, 64, i < 19 ? NETRXF_more_data : 0);
    for (unsigned int i = 0; i < 17; i++)       /* too many bytes */
        netpeer_bring(p, 0, 0, 4096, i < 16 ? NETRXF_more_data : 0);
    netpeer_push(p);
    expect_lost(lost + 6);
    assert_true(netpeer_works(p));
}

/* Store and states --------------------------------------------------------------------------- */

static void keys(void **unused)
{
    static const char *const names[] = { "feature-sluice-flip", "feature-split-event-channels" };
    static const char *const values[] = { "", "-1", "99999999999999999999999", "4294967296", "zwei",
                                          "0x", "1 2", "4294967295" };

    for (unsigned int k = 0; k < ARRAY_SIZE(names); k++) {
        for (unsigned int v = 0; v < ARRAY_SIZE(values); v++) {
            netpeer_close(p);
            netpeer_write(p, names[k], values[v]);
            assert_true(netpeer_connect(p));
            assert_true(netpeer_works(p));
        }
        netpeer_close(p);
        netpeer_remove(p, names[k]);
        assert_true(netpeer_connect(p));
        assert_true(netpeer_works(p));
    }
}

/* What the store says of a vif that cannot be: one line, and nothing is left. */
static void no_such_vif(void **unused)
{
    static const struct netfront_ops ops = { 0 };
    static const struct { const char *key, *value; } bad[] = {
        { "backend", NULL }, { "backend-id", NULL }, { "mac", NULL }, { "backend-id", "" },
        { "backend-id", "-1" }, { "backend-id", "32752" }, { "backend-id", "65536" },
        { "backend-id", "4294967296" }, { "backend-id", "dom" }, { "mac", "" }, { "mac", "00:16:3e" },
        { "mac", "00:16:3e:00:00:01:00:16:3e:00:00:01" }, { "backend", "long" },
    };
    unsigned int pages = front_pages(), grants = front_grants();
    char path[64], text[200];

    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
        fake_write("device/vif/5/backend", "/local/domain/7/backend/vif/9/5");
        fake_write("device/vif/5/backend-id", "7");
        fake_write("device/vif/5/mac", "00:16:3e:00:00:01");
        snprintf(path, sizeof(path), "device/vif/5/%s", bad[i].key);
        if (bad[i].value)
            fake_write(path, strcmp(bad[i].value, "long") ? bad[i].value : text);
        else
            fake_remove(path);
        fake_log[0] = '\0';
        assert_null(netfront_open(5, 0, &ops, NULL));
        fake_run();
        assert_int_equal(lines("device/vif/5: "), 1);
        assert_int_equal(front_pages(), pages);
        assert_int_equal(front_grants(), grants);
    }
}

/* Any state after any other, at each step of a connection, with the rings mapped or not. */
static void any_state(void **unused)
{
    static const char *const states[] = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "-4", "",
                                          "4294967298", "closed", NULL };

    for (unsigned int step = 0; step < 3; step++) {
        for (unsigned int i = 0; i < ARRAY_SIZE(states); i++) {
            for (unsigned int k = 0; k < ARRAY_SIZE(states); k++) {
                netpeer_close(p);
                if (step)
                    netpeer_write(p, "state", "2");
                fake_run();
                if (step == 2)
                    assert_true(netpeer_come_up(p));
                netpeer_state_to(p, states[i]);
                netpeer_state_to(p, states[k]);
                assert_true(netpeer_pages_right(p));
            }
        }
    }
    assert_int_equal(lines("the backend is wrong"), 0);
}

/* One that closes, whatever we have seen of it, waits for us to close. */
static void closing_is_answered(void **unused)
{
    netpeer_close(p);
    assert_int_equal(netpeer_state(p), XenbusStateInitialising);
    netpeer_state_to(p, "5");
    assert_int_equal(netpeer_state(p), XenbusStateClosed);
    assert_true(netpeer_come_up(p));
    netfront_suspend(p->nf);
    netpeer_state_to(p, "5");
    netfront_resume(p->nf);
    fake_run();
    assert_int_equal(netpeer_state(p), XenbusStateClosed);
}

/* A backend that goes through its states but keeps what it mapped gets nothing more. */
static void rings_kept(void **unused)
{
    unsigned int pages = front_pages();

    for (unsigned int i = 0; i < 20; i++) {
        netpeer_write(p, "state", "6");
        fake_run();
        netpeer_write(p, "state", "2");
        fake_run();
    }
    assert_int_equal(front_pages(), pages);
    assert_int_equal(netpeer_state(p), XenbusStateInitialising);
    assert_int_equal(lines("still maps"), 1);
    netpeer_unmap(p);
    fake_advance(NS_PER_S);
    assert_int_equal(netpeer_state(p), XenbusStateConnected);
    netpeer_map(p);
    netpeer_write(p, "state", "4");
    fake_run();
    assert_true(netpeer_works(p));
}

/* Pages that it keeps are missing until it lets go, and no other. */
static void pages_kept(void **unused)
{
    unsigned int kept_pages = 0;

    for (unsigned int i = 0; i < NETFRONT_PAGES; i++) {
        if (p->nf->state[i] == PAGE_RX && kept_pages < 30) {
            front_map(p->nf->first_ref + i, true);
            kept_pages++;
        }
    }
    netpeer_unmap(p);
    netpeer_state_to(p, "6");
    assert_int_equal(netpeer_pages(p, PAGE_LOST), 30);
    assert_true(netpeer_come_up(p));
    assert_true(netpeer_works(p));
    assert_int_equal(netpeer_pages(p, PAGE_LOST), 30);
    for (unsigned int i = 0; i < NETFRONT_PAGES; i++) {
        if (p->nf->state[i] != PAGE_LOST)
            continue;
        front_map(p->nf->first_ref + i, false);
        /* Some it flips now: the offer was never taken back. */
        (void)(i % 2 && front_flip(p->nf->first_ref + i, 0x22));
    }
}

/* The driver lets go and comes again, with frames under way in both directions. */
static void suspended(void **unused)
{
    for (unsigned int i = 0; i < 5; i++) {
        for (unsigned int k = 0; k < 10; k++)
            assert_true(netpeer_send(p, 1));
        netfront_suspend(p->nf);
        assert_false(netfront_is_up(p->nf));
        assert_false(netpeer_send(p, 0));
        fake_run();
        netpeer_write(p, "state", "2");     /* nobody listens */
        fake_run();
        assert_false(netfront_is_up(p->nf));
        netfront_resume(p->nf);
        netpeer_unmap(p);
        fake_run();
        netpeer_write(p, "state", "5");
        fake_run();
        assert_true(netpeer_come_up(p));
        assert_true(netpeer_works(p));
    }
}

/* A flip on another CPU, at any moment while the grant is being taken back. */
static grant_ref_t flipping;
static bool enough;

static void *flips(void *unused)
{
    while (!load_acquire(&enough))
        (void)front_flip(flipping, 0);
    return NULL;
}

static void flip_while_ending(void **unused)
{
    struct netfront *nf = p->nf;
    int page = netfront_page_get(nf);
    uint64_t flipped = 0, copied = 0;
    pthread_t other;

    assert_true(page >= 0);
    flipping = nf->first_ref + (unsigned int)page;
    store_release(&enough, false);
    assert_int_equal(pthread_create(&other, NULL, flips, NULL), 0);
    for (unsigned int i = 0; i < 200000; i++) {
        page_offer(nf, (unsigned int)page, GTF_permit_access | SLUICE_GTF_flip, PAGE_TX);
        for (unsigned int k = i % 64; k; k--)
            __asm__ volatile("");
        assert_true(page_end(nf, (unsigned int)page, &flipped, &copied));
        assert_int_equal(nf->entry[page].flags, 0);
        assert_int_equal(nf->entry[page].frame, glue_frame(page_at(nf, (unsigned int)page)));
    }
    store_release(&enough, true);
    assert_int_equal(pthread_join(other, NULL), 0);
    assert_true(front_frames_right());
    assert_int_equal(flipped + copied, 200000);
    nf->state[page] = PAGE_USER;
    netfront_page_put(nf, (unsigned int)page);
}

/* Extents ------------------------------------------------------------------------------------ */

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
#define F(f) cmocka_unit_test_setup_teardown(f, setup_flip, teardown)
#define S(f) cmocka_unit_test_setup_teardown(f, setup_standard, teardown)
    const struct CMUnitTest tests[] = {
        F(flip_indices), F(flip_events), F(flip_frames), F(flip_frame_without_end), F(flip_page_twice),
        F(flip_lost_frames), F(flip_given_back), F(flip_any_order), F(flip_bursts), F(flip_mixture),
        S(standard_bursts), S(standard_indices), S(standard_answers), S(standard_answers_twice), S(standard_pieces),
        S(standard_extra), S(standard_lost_frames),
        F(keys), S(keys), F(no_such_vif), F(any_state), S(any_state), F(closing_is_answered), S(closing_is_answered),
        F(rings_kept), S(rings_kept), F(pages_kept),
        S(pages_kept), F(suspended), S(suspended), F(flip_while_ending),
#define E(f) cmocka_unit_test_setup_teardown(f, setup_extents, teardown)
        E(extents_received), E(extents_sent), E(extents_received_in_bursts), E(extents_sent_in_bursts), E(extents_on_offer), E(extents_bad), E(extents_and_backends), E(flip_bursts), E(flip_mixture),
        E(any_state), E(rings_kept), E(suspended),
    };

    netpeer_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
