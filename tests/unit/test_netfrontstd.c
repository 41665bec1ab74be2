/* SPDX-License-Identifier: MIT */
/* test_netfrontstd.c - netfront on the standard protocol, with a backend that lies. */
/* LINK: netfront/netfront.c netfront/flip.c netfront/fliptx.c netfront/fliprx.c netfront/flipext.c netfront/extent.c netfront/standard.c runtime/grant.c runtime/xs.c */
/* LINK: runtime/xbdev.c runtime/loglimit.c lib/rate.c runtime/loop.c runtime/cmdline.c lib/strlcpy.c */
/* LINK: tests/unit/fakes/front.c tests/unit/fakes/world.c tests/unit/fakes/netpeer.c */
#include "tests/unit/netfront_peer.h"

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

int main(void)
{
#define S(f) cmocka_unit_test_setup_teardown(f, setup_standard, teardown)
    const struct CMUnitTest tests[] = {
        S(standard_bursts), S(standard_indices), S(standard_answers), S(standard_answers_twice),
        S(standard_pieces), S(standard_extra), S(standard_lost_frames),
    };

    netpeer_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
