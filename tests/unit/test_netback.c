/* SPDX-License-Identifier: MIT */
/* test_netback.c - vifs and bridge from the rings' side: what arrives where. */
/* LINK: netback/netback.c netback/tx.c netback/rx.c netback/bridge.c netback/copy.c */
/* LINK: netback/frame.c netback/shape.c netback/dma.c netback/rxpool.c netback/fdb.c netback/filter.c lib/rate.c */
/* LINK: netback/exchange.c netback/flip.c netback/fliptx.c netback/fliprow.c netback/fliprx.c netback/transfer.c */
/* LINK: netback/headers.c netback/csum.c runtime/xs.c runtime/xbdev.c runtime/loglimit.c runtime/loop.c */
/* LINK: runtime/cmdline.c runtime/xbroot.c lib/strlcpy.c tests/unit/fakes/vifs.c */
/* LINK: tests/unit/fakes/guest.c tests/unit/fakes/world.c */
#include "tests/unit/vif_rings.h"

static void small_and_full_frames(void **unused)
{
    static const unsigned int sizes[] = { 14, 60, 143, 144, 145, 1514 };

    rx_post(&b, 32);
    for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
        fill(&a, i, 2, sizes[i]);
        tx_slot(&a, 100 + i, 0, sizes[i], 0);
    }
    tx_push(&a);
    expect_answers(&a, ARRAY_SIZE(sizes), NETIF_RSP_OKAY);
    for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
        assert_int_equal(rx_take(&b), sizes[i]);
        assert_memory_equal(got, a.page[i], sizes[i]);
        assert_int_equal(first_rsp.flags, 0);
    }
    assert_int_equal(fake_nic_got, 0);
    assert_int_equal(fake_signalled(2, 8), 1);
    /* The sender can see its answers; it is told later. */
    assert_int_equal(fake_signalled(1, 7), 0);
    fake_advance(1000000);
    assert_int_equal(fake_signalled(1, 7), 1);
    fake_advance(1000000);
    assert_int_equal(fake_signalled(1, 7), 0);
}

/* A sender that has seen its answers is not told of them; one with many is told at once. */
static void events_for_answers(void **unused)
{
    rx_post(&b, 64);
    for (unsigned int i = 0; i < 3; i++) {
        fill(&a, i, 2, 100);
        tx_slot(&a, 100 + i, 0, 100, 0);
    }
    tx_push(&a);
    expect_answers(&a, 3, NETIF_RSP_OKAY);
    a.tx->rsp_event = a.tx->rsp_prod + 1;
    fake_advance(1000000);
    assert_int_equal(fake_signalled(1, 7), 0);
    for (unsigned int i = 0; i < 20; i++) {
        fill(&a, i, 2, 100);
        tx_slot(&a, 100 + i, 0, 100, 0);
    }
    tx_push(&a);
    assert_int_equal(fake_signalled(1, 7), 1);
    expect_answers(&a, 20, NETIF_RSP_OKAY);
}

/* One that looks whenever it sends is never told, one that stops looking is, within two waits. */
static void no_events_for_one_who_looks(void **unused)
{
    rx_post(&b, 64);
    for (unsigned int i = 0; i < 50; i++) {
        fill(&a, 0, 2, 100);
        a.tx->rsp_event = a.tx->rsp_prod + 1;
        tx_slot(&a, 100, 0, 100, 0);
        tx_push(&a);
        expect_answers(&a, 1, NETIF_RSP_OKAY);
        fake_advance(130000);
        assert_int_equal(fake_signalled(1, 7), 0);
    }
    fake_advance(400000);
    fake_advance(400000);
    assert_int_equal(fake_signalled(1, 7), 1);
    fake_advance(10000000);
    assert_int_equal(fake_signalled(1, 7), 0);
}

/* One that never looks hears of its answers when it is woken up for frames anyway. */
static void answers_go_along_in_a_dialogue(void **unused)
{
    rx_post(&a, 8);
    rx_post(&b, 8);
    a.tx->rsp_event = a.tx->rsp_prod + 1;
    for (unsigned int i = 0; i < 5; i++) {
        assert_int_equal(fake_signalled(1, 7), 0);
        fill(&a, 0, 2, 67);
        tx_slot(&a, 100, 0, 67, 0);
        tx_push(&a);
        a.rx->rsp_event = a.rx->rsp_prod + 1;
        fill(&b, 0, 1, 67);
        tx_slot(&b, 100, 0, 67, 0);
        tx_push(&b);
        assert_int_equal(rx_take(&a), 67);
    }
    assert_int_equal(fake_signalled(1, 7), 1);
    expect_answers(&a, 5, NETIF_RSP_OKAY);
    fake_advance(10000000);
    assert_int_equal(fake_signalled(1, 7), 0);
}

/* Many packets, few hypercalls: one for the heads and one for the payload of a turn. */
static void batches_copies(void **unused)
{
    unsigned long calls = fake_copy_calls;

    rx_post(&b, 200);
    for (unsigned int i = 0; i < 64; i++)
        tx_slot(&a, 100, 0, 1514, 0);
    fill(&a, 0, 2, 1514);
    tx_push(&a);
    expect_answers(&a, 64, NETIF_RSP_OKAY);
    assert_int_equal(fake_copy_calls - calls, 2);
}

/* ... and the loop can go to sleep after it: taking the packet and the end of the turn are all there is to do. */
static void packet_takes_one_turn(void **unused)
{
    struct loop_stats before, after;

    rx_post(&b, 1);
    fill(&a, 0, 2, 67);
    tx_slot(&a, 100, 0, 67, 0);
    loop_get_stats(&before);
    tx_push(&a);
    loop_get_stats(&after);
    expect_answers(&a, 1, NETIF_RSP_OKAY);
    assert_int_equal(rx_take(&b), 67);
    assert_int_equal(after.works - before.works, 2);
}

static void scattered_frame(void **unused)
{
    uint8_t want[300];

    rx_post(&b, 32);
    fill(&a, 0, 2, 300);
    memcpy(want, a.page[0], 300);
    memcpy(a.page[1], want, 5);
    memcpy(a.page[2] + 4000, want + 5, 96);
    memcpy(a.page[3], want + 101, 199);
    tx_slot(&a, 101, 0, 300, NETTXF_more_data | NETTXF_csum_blank | NETTXF_data_validated);
    tx_slot(&a, 102, 4000, 96, NETTXF_more_data);
    tx_slot(&a, 103, 0, 199, 0);
    tx_push(&a);
    expect_answers(&a, 3, NETIF_RSP_OKAY);
    assert_int_equal(rx_take(&b), 300);
    assert_memory_equal(got, want, 300);
    assert_int_equal(first_rsp.flags, NETRXF_csum_blank | NETRXF_data_validated);
}

static void big_frame_stays_whole(void **unused)
{
    unsigned int len = fill_tcp(&a, 2, 60000);

    rx_post(&b, 32);
    send_gso(&a, len, 1448);
    expect_answers(&a, (len + 4095) / 4096, NETIF_RSP_OKAY);
    assert_int_equal(rx_take(&b), len);
    for (unsigned int i = 0; i < len; i++)
        assert_int_equal(got[i], a.page[i / 4096][i % 4096]);
    assert_int_equal(got_extra.u.gso.size, 1448);
    assert_int_equal(got_extra.u.gso.type, XEN_NETIF_GSO_TYPE_TCPV4);
}

/* As Linux sends it: headers by themselves, payload from the middle of a page. One copy for each
 * slot, and the receiver finds each piece where it was in the sender's page. */
static void fragments_keep_their_places(void **unused)
{
    unsigned long copies = fake_copies;
    unsigned int len = 66 + 4096 - 1000 + 2 * 4096 + 10;
    struct netif_extra_info e = { .type = XEN_NETIF_EXTRA_TYPE_GSO };

    e.u.gso.size = 1448;
    e.u.gso.type = XEN_NETIF_GSO_TYPE_TCPV4;
    for (unsigned int i = 1; i < 6; i++)
        memset(a.page[i], (int)i, 4096);
    fill(&a, 0, 2, 66);
    for (unsigned int first = 1000; first; first = first == 1000 ? 20 : 0) {
        rx_post(&b, 8);
        tx_slot(&a, 100, 0, len + 1000 - first, NETTXF_csum_blank | NETTXF_data_validated |
                NETTXF_extra_info | NETTXF_more_data);
        memcpy(&a.tx->ring[a.tx_prod++ % 256], &e, sizeof(e));
        tx_slot(&a, 101, first, 4096 - first, NETTXF_more_data);
        tx_slot(&a, 102, 0, 4096, NETTXF_more_data);
        tx_slot(&a, 103, 0, 4096, NETTXF_more_data);
        tx_slot(&a, 104, 0, 10, 0);
        tx_push(&a);
        expect_answers(&a, 5, NETIF_RSP_OKAY);
        assert_int_equal(rx_take(&b), len + 1000 - first);
        assert_memory_equal(got, a.page[0], 66);
        assert_int_equal(got[66], 1);
        assert_int_equal(got[66 + 4096 - first], 2);
        assert_int_equal(got[66 + 4096 - first + 2 * 4096], 4);
        /* Room for the headers before the payload, or not. */
        assert_int_equal(first_rsp.offset, first == 1000 ? 1000 - 66 : 0);
        assert_int_equal(first_rsp.status, first == 1000 ? 66 + 4096 - 1000 : 66);
        b.rx_prod = b.rx_cons = b.rx->rsp_prod;
        b.rx->req_prod = b.rx_prod;
    }
    assert_int_equal(fake_copies - copies, 2 * 6);
}

/* Cut for a card that cannot, with complete checksums; and for a guest that takes no fragments. */
static void big_frame_is_cut(void **unused)
{
    unsigned int len = fill_tcp(&a, 0x77, 20000), payload = 0;
    uint8_t copy[2048];

    send_gso(&a, len, 1448);
    assert_int_equal(fake_nic_got, 14);
    for (unsigned int i = 0; i < fake_nic_got; i++) {
        memcpy(copy, fake_nic_frame[i], fake_nic_len[i]);
        put_be16(copy + 50, 0);
        assert_true(csum_complete(copy, fake_nic_len[i]));
        assert_memory_equal(copy, fake_nic_frame[i], fake_nic_len[i]);
        for (unsigned int k = 54; k < fake_nic_len[i]; k++, payload++) {
            unsigned int at = 54 + payload;

            assert_int_equal(fake_nic_frame[i][k], a.page[at / 4096][at % 4096]);
        }
    }
    assert_int_equal(payload, 20000);
    vif_begin_anew(b.dom);
    come_up(&b, "c");
    assert_int_equal(vif_state(b.dom), 4);
    rx_post(&b, 32);
    fill_tcp(&a, 2, 20000);
    send_gso(&a, len, 1448);
    for (payload = 0; (len = rx_take(&b)) != 0; payload += len - 54)
        assert_true(first_rsp.flags & NETRXF_csum_blank);
    assert_int_equal(payload, 20000);
}

/* A frame is not cut into more packets than any sender needs. */
static void cuts_no_finer_than_that(void **unused)
{
    unsigned int made, used, n = 0, len;

    vif_begin_anew(b.dom);
    come_up(&b, "c");
    rx_post(&b, 250);
    len = fill_tcp(&a, 2, 20000);
    send_gso(&a, len, 8);
    assert_int_equal(rx_take(&b), 0);
    assert_int_equal(vif_state(a.dom), 4);
    send_gso(&a, fill_tcp(&a, 2, 2000), 10);
    while (rx_take(&b))
        n++;
    assert_int_equal(n, 200);
    frame_counts(&made, &used);
    assert_int_equal(used, 0);
}

/* All in one turn: the ring is full of them before we look. */
static void one_sender_does_not_have_all_frames(void **unused)
{
    struct netif_extra_info e = { .type = XEN_NETIF_EXTRA_TYPE_GSO };
    unsigned int made, used, len = fill_tcp(&a, 2, 2000);

    e.u.gso.size = 10;
    e.u.gso.type = XEN_NETIF_GSO_TYPE_TCPV4;
    vif_begin_anew(b.dom);
    come_up(&b, "c");
    rx_post(&b, 250);
    for (unsigned int i = 0; i < 60; i++) {
        tx_slot(&a, 100, 0, len, NETTXF_csum_blank | NETTXF_data_validated | NETTXF_extra_info);
        memcpy(&a.tx->ring[a.tx_prod++ % 256], &e, sizeof(e));
    }
    tx_push(&a);
    while (rx_take(&b))
        ;
    frame_counts(&made, &used);
    assert_in_range(used, 0, 64);       /* those that wait for b */
    assert_in_range(made, FRAMES_SHARE / 2, FRAMES_MAX / 2);
}

/* One to everybody would be cut for each. */
static void big_frame_to_all_is_dropped(void **unused)
{
    unsigned int len = fill_tcp(&a, 0xff, 20000);

    rx_post(&b, 32);
    send_gso(&a, len, 1448);
    assert_int_equal(fake_nic_got, 0);
    assert_int_equal(rx_take(&b), 0);
    assert_int_equal(vif_state(a.dom), 4);
}

static void completes_checksum_where_needed(void **unused)
{
    unsigned int len = fill_tcp(&a, 0x77, 1000);
    uint8_t copy[2048];

    tx_slot(&a, 100, 0, len, NETTXF_csum_blank | NETTXF_data_validated);
    tx_push(&a);
    assert_int_equal(fake_nic_got, 1);
    memcpy(copy, a.page[0], len);
    assert_true(csum_complete(copy, len));
    assert_memory_equal(copy, fake_nic_frame[0], len);
}

static void floods_broadcast_but_not_to_the_sender(void **unused)
{
    rx_post(&a, 8);
    rx_post(&b, 8);
    fill(&a, 0, 0xff, 60);
    tx_slot(&a, 100, 0, 60, 0);
    tx_push(&a);
    assert_int_equal(rx_take(&b), 60);
    assert_int_equal(fake_nic_got, 1);
    assert_int_equal(rx_take(&a), 0);
    /* To an address that nobody has: out, and not to other guests. */
    fill(&a, 0, 0x55, 60);
    tx_slot(&a, 100, 0, 60, 0);
    tx_push(&a);
    assert_int_equal(fake_nic_got, 2);
    assert_int_equal(rx_take(&b), 0);
}

static void from_the_wire(void **unused)
{
    struct frame *f = frame_new(&fake_nic);

    rx_post(&b, 8);
    f->head_len = f->len = 1514;
    memset(f->head, 0x42, 1514);
    vif_ether(f->head, 0x99, 2);
    port_receive(&fake_nic, &f, 1);
    frame_put(f);
    fake_run();
    assert_int_equal(rx_take(&b), 1514);
    /* Learned: the answer goes to the card only, but so it would anyway; a foreign sender with a
     * guest's address does not move it. */
    f = frame_new(&fake_nic);
    f->head_len = f->len = 60;
    vif_ether(f->head, 2, 1);
    port_receive(&fake_nic, &f, 1);
    frame_put(f);
    fill(&a, 0, 2, 60);
    tx_slot(&a, 100, 0, 60, 0);
    tx_push(&a);
    assert_int_equal(rx_take(&b), 60);
    assert_int_equal(fake_nic_got, 0);
}

/* A TCP segment from the wire in the frame's head, as much of it as fits there. */
static void fill_head(struct frame *f, unsigned int len, unsigned int room)
{
    static struct guest wire = { .dom = 9 };

    assert_int_equal(fill_tcp(&wire, 2, len - 54), len);
    f->head_len = f->len = (uint16_t)MIN(len, room);
    for (unsigned int i = 0; i < f->head_len; i++)
        f->head[i] = wire.page[i / 4096][i % 4096];
    f->flags = FRAME_CSUM_BLANK;
}

/* A frame that nobody else has gets its checksum where it lies. */
static void completes_checksum_in_place(void **unused)
{
    struct port host = { .name = "dom0", .mac = { 2 }, .mtu = 1500, .up = true,
                         .send = fake_nic.send };
    unsigned int made, before, used;
    uint8_t want[2048];
    struct frame *f;

    assert_int_equal(port_join(&host, bridge_get(NULL)), 0);
    frame_counts(&made, &before);
    for (unsigned int flood = 0; flood < 2; flood++) {
        f = frame_new(&host);
        fill_head(f, 1514, 2048);
        f->head[5] = 99;                /* to an unknown station: out of the uplink */
        if (flood)
            f->head[0] = 0xff;          /* to everybody, of whom some want it and some do not */
        memcpy(want, f->head, f->len);
        assert_true(csum_complete(want, f->len));
        fake_nic_got = 0;
        rx_post(&b, 2);
        port_receive(&host, &f, 1);
        frame_counts(&made, &used);
        assert_int_equal(used, before + 1);
        frame_put(f);
        fake_run();
        assert_int_equal(fake_nic_got, 1);
        assert_memory_equal(fake_nic_frame[0], want, 1514);
        if (flood)
            assert_int_equal(rx_take(&b), 1514);
    }
    frame_counts(&made, &used);
    assert_int_equal(used, before);
    port_leave(&host);
}

/* A card has put together several packets, in several buffers. */
static void big_frame_from_the_wire(void **unused)
{
    unsigned int made, before, used, len = 12000, at;
    struct frame *f;

    frame_counts(&made, &before);
    rx_post(&b, 8);
    f = frame_new_page(&fake_nic);
    f->head += 12;
    fill_head(f, len, 4084);
    for (at = 4084; at < len;) {
        struct frame *next = frame_new_page(&fake_nic);
        unsigned int n = MIN(len - at, 4096u);

        for (unsigned int k = 0; k < n; k++)
            next->head[k] = (uint8_t)((at + k) * 13);
        frame_take_page(f, next, n);
        at += n;
    }
    f->gso = GSO_TCPV4;
    f->gso_size = 1448;
    port_receive(&fake_nic, &f, 1);
    frame_put(f);
    fake_run();
    assert_int_equal(rx_take(&b), len);
    for (unsigned int k = 54; k < len; k++)
        assert_int_equal(got[k], (uint8_t)(k * 13));
    assert_int_equal(got_extra.u.gso.size, 1448);
    assert_true(first_rsp.flags & NETRXF_csum_blank);
    frame_counts(&made, &used);
    assert_int_equal(used, before);
}

/* A receiver without slots is waited for, and a dead one is not waited for for ever. */
static void waits_for_room(void **unused)
{
    fill(&a, 0, 2, 1000);
    for (unsigned int i = 0; i < 10; i++)
        tx_slot(&a, 100, 0, 1000, 0);
    tx_push(&a);
    expect_answers(&a, 0, 0);
    rx_post(&b, 4);
    expect_answers(&a, 4, NETIF_RSP_OKAY);
    rx_post(&b, 20);
    expect_answers(&a, 6, NETIF_RSP_OKAY);
    for (unsigned int i = 0; i < 10; i++)
        assert_int_equal(rx_take(&b), 1000);
    for (unsigned int i = 0; i < 100; i++)
        tx_slot(&a, 100, 0, 1000, 0);
    tx_push(&a);
    expect_answers(&a, 14 + 22, NETIF_RSP_OKAY);      /* delivered, and no place to wait */
    for (unsigned int i = 0; i < 7; i++)
        fake_advance(200 * NS_PER_MS);
    expect_answers(&a, 64, NETIF_RSP_OKAY);
    tx_slot(&a, 100, 0, 1000, 0);
    tx_push(&a);
    expect_answers(&a, 1, NETIF_RSP_OKAY);            /* stalled: dropped at once */
    while (rx_take(&b))
        ;
    rx_post(&b, 4);
    tx_slot(&a, 100, 0, 1000, 0);
    tx_push(&a);
    assert_int_equal(rx_take(&b), 1000);
}

static void limits_the_rate(void **unused)
{
    vif_remove(1);
    vif_make(a.dom, NULL, "50000,50000");
    come_up(&a, "sgc");
    rx_post(&b, 250);
    fill(&a, 0, 2, 1500);
    for (unsigned int i = 0; i < 200; i++)
        tx_slot(&a, 100, 0, 1500, 0);
    tx_push(&a);
    expect_answers(&a, 88, NETIF_RSP_OKAY);           /* the burst */
    fake_advance(50 * NS_PER_MS);
    expect_answers(&a, 33, NETIF_RSP_OKAY);
    fake_advance(500 * NS_PER_MS);
    expect_answers(&a, 79, NETIF_RSP_OKAY);
}

/* One that connects again does not get another burst. */
static void limits_the_rate_of_one_who_connects_again(void **unused)
{
    unsigned int passed = 0;

    vif_remove(1);
    vif_make(a.dom, NULL, "50000,50000");
    rx_post(&b, 250);
    fill(&a, 0, 2, 1500);
    for (unsigned int life = 0; life < 3; life++) {
        come_up(&a, "sgc");
        assert_int_equal(vif_state(a.dom), 4);
        for (unsigned int i = 0; i < 100; i++)
            tx_slot(&a, 100, 0, 1500, 0);
        tx_push(&a);
        passed += a.tx->rsp_prod;
        vif_begin_anew(a.dom);
    }
    assert_int_equal(passed, 88);
    come_up(&a, "sgc");
}

static void spoofed_frames_are_dropped(void **unused)
{
    rx_post(&b, 8);
    fill(&a, 0, 2, 60);
    a.page[0][11] = 9;
    tx_slot(&a, 100, 0, 60, 0);
    tx_push(&a);
    expect_answers(&a, 1, NETIF_RSP_DROPPED);
    assert_int_equal(rx_take(&b), 0);
    assert_int_equal(vif_state(a.dom), 4);
}

/* What is filtered is what is delivered: the guest changes its page after the head was copied. */
static void head_comes_from_our_memory(void **unused)
{
    fill(&a, 0, 2, 200);
    tx_slot(&a, 100, 0, 200, 0);
    tx_push(&a);                        /* waits: b has no slots */
    a.page[0][11] = 9;
    rx_post(&b, 4);
    assert_int_equal(rx_take(&b), 200);
    assert_int_equal(got[11], 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(small_and_full_frames), T(events_for_answers), T(no_events_for_one_who_looks),
        T(answers_go_along_in_a_dialogue), T(batches_copies), T(packet_takes_one_turn),
        T(scattered_frame), T(big_frame_stays_whole), T(fragments_keep_their_places),
        T(big_frame_is_cut), T(cuts_no_finer_than_that), T(one_sender_does_not_have_all_frames),
        T(big_frame_to_all_is_dropped), T(completes_checksum_where_needed),
        T(floods_broadcast_but_not_to_the_sender), T(from_the_wire), T(completes_checksum_in_place),
        T(big_frame_from_the_wire), T(waits_for_room), T(limits_the_rate),
        T(limits_the_rate_of_one_who_connects_again), T(spoofed_frames_are_dropped),
        T(head_comes_from_our_memory),
    };

    bridge_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
