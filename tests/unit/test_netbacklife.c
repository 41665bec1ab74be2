/* SPDX-License-Identifier: MIT */
/* test_netbacklife.c - vifs come, fail and go, and what frontends may ask for when they connect. */
/* LINK: netback/netback.c netback/tx.c netback/rx.c netback/bridge.c netback/copy.c */
/* LINK: netback/frame.c netback/shape.c netback/dma.c netback/rxpool.c netback/fdb.c netback/filter.c lib/rate.c */
/* LINK: netback/exchange.c netback/flip.c netback/fliptx.c netback/fliprow.c netback/fliprx.c netback/transfer.c */
/* LINK: netback/headers.c netback/csum.c runtime/xs.c runtime/xbdev.c runtime/loglimit.c runtime/loop.c */
/* LINK: runtime/cmdline.c runtime/xbroot.c lib/strlcpy.c tests/unit/fakes/vifs.c */
/* LINK: tests/unit/fakes/guest.c tests/unit/fakes/world.c */
#include "tests/unit/vif_rings.h"

static void closes_and_comes_again(void **unused)
{
    for (unsigned int round = 0; round < 5; round++) {
        fill(&a, 0, 2, 500);
        tx_slot(&a, 100, 0, 500, 0);
        tx_push(&a);            /* waits at b when a goes */
        vif_write(a.dom, FRONT, "state", "5");
        fake_run();
        assert_int_equal(vif_state(a.dom), 5);
        assert_int_equal(fake_mapped(1), 0);
        vif_write(a.dom, FRONT, "state", "6");
        fake_run();
        assert_int_equal(vif_state(a.dom), 6);
        rx_post(&b, 2);
        assert_int_equal(rx_take(&b), 0);
        vif_write(a.dom, FRONT, "state", "1");
        fake_run();
        assert_int_equal(vif_state(a.dom), 2);
        come_up(&a, "sgc");
        assert_int_equal(vif_state(a.dom), 4);
        fill(&a, 0, 2, 500);
        tx_slot(&a, 100, 0, 500, 0);
        tx_push(&a);
        assert_int_equal(rx_take(&b), 500);
        b.rx_prod = b.rx_cons = b.rx->rsp_prod;
        b.rx->req_prod = b.rx_prod;
    }
}

static void failed_vif_comes_again(void **unused)
{
    slot_beyond_its_page(NULL);
    vif_begin_anew(a.dom);
    come_up(&a, "sgc");
    assert_int_equal(vif_state(a.dom), 4);
}

/* It does wrong and closes at once: it is closed then, whatever was seen first. */
static void fails_and_is_closed_at_once(void **unused)
{
    for (unsigned int turns = 0; turns < 6; turns++) {
        tx_slot(&a, 100, 4000, 97, 0);
        a.tx->req_prod = a.tx_prod;
        fake_signal(a.dom, 7);
        for (unsigned int i = 0; i < turns; i++)
            loop_turn(false);
        vif_write(a.dom, FRONT, "state", "6");
        fake_run();
        assert_int_equal(vif_state(a.dom), 6);
        vif_write(a.dom, FRONT, "state", "1");
        fake_run();
        come_up(&a, "sgc");
        assert_int_equal(vif_state(a.dom), 4);
    }
}

/* As a frontend that was suspended meanwhile, and does not know that it was taken down. */
static unsigned int log_lines_with(const char *what)
{
    unsigned int n = 0;

    for (const char *p = fake_log; (p = strstr(p, what)) != NULL; p++)
        n++;
    return n;
}

/* It may do so as often as it likes: the log hears of it now and then, and of others as before. */
static void one_who_fails_again_and_again_does_not_fill_the_log(void **unused)
{
    unsigned int before;

    for (unsigned int i = 0; i < 100; i++) {
        if (i == 90)
            fake_log[0] = '\0';
        a.tx_prod = 257;
        tx_push(&a);
        vif_begin_anew(a.dom);
        come_up(&a, "sgc");
        assert_int_equal(vif_state(a.dom), 4);
    }
    assert_int_equal(log_lines_with("vif1.0"), 0);
    vif_begin_anew(b.dom);
    come_up(&b, "sgc");
    assert_int_equal(log_lines_with("vif2.0: connected"), 1);

    fake_advance(10 * NS_PER_S);
    for (unsigned int i = 0; i < 2; i++) {
        vif_begin_anew(a.dom);
        come_up(&a, "sgc");
    }
    assert_int_equal(log_lines_with("left out"), 1);
    /* 100 times two lines and the first one, of which 20 passed. */
    assert_non_null(strstr(fake_log, "/vif/1/0: 181 lines of this device left out"));
    assert_int_equal(log_lines_with("vif1.0: connected"), 1);
    /* What was left out last is said at the end, and a long pause makes all as it was. */
    before = log_lines_with("left out");
    fake_advance(1000 * NS_PER_S);
    for (unsigned int i = 0; i < 25; i++) {
        vif_begin_anew(a.dom);
        come_up(&a, "sgc");
    }
    assert_int_equal(log_lines_with("vif1.0: connected"), 21);
    vif_remove(1);
    assert_int_equal(log_lines_with("left out"), before + 2);
    assert_non_null(strstr(fake_log, "/vif/1/0: 5 lines of this device left out"));
}

static void failed_vif_begins_anew(void **unused)
{
    slot_beyond_its_page(NULL);
    vif_write(a.dom, FRONT, "state", "1");
    fake_run();
    assert_int_equal(vif_state(a.dom), 2);
    come_up(&a, "sgc");
    assert_int_equal(vif_state(a.dom), 4);
}

/* The classic flip: frames come in pages that are the guest's then, with nothing else in them. */
static void a_frontend_that_takes_pages(void **unused)
{
    vif_begin_anew(b.dom);
    come_up(&b, "f");
    assert_int_equal(vif_state(b.dom), 4);
    for (unsigned int i = 0; i < 3; i++) {
        memset(b.page[32 + i], 0xee, 4096);
        fake_accept(2, 132 + i, b.page[32 + i]);
        b.rx->ring[i].req = (struct netif_rx_request){ .id = (uint16_t)i, .gref = 132 + i };
    }
    b.rx->req_prod = b.rx_prod = 3;
    fill(&a, 0, 2, 600);
    fill(&a, 1, 2, 1514);
    tx_slot(&a, 100, 0, 600, 0);
    tx_slot(&a, 101, 0, 1514, 0);
    tx_push(&a);
    assert_int_equal(fake_transferred, 2);
    for (unsigned int i = 0; i < 2; i++) {
        unsigned int len = i ? 1514 : 600;

        assert_int_equal(rx_take(&b), len);
        assert_memory_equal(got, a.page[i], len);
        for (unsigned int k = len; k < 4096; k++)
            assert_int_equal(b.page[32 + i][k], 0);
    }
    expect_answers(&a, 2, NETIF_RSP_OKAY);
    /* An entry that accepts nothing. */
    fake_grant(2, 134, b.page[34], false);
    tx_slot(&a, 100, 0, 600, 0);
    tx_push(&a);
    assert_int_equal(vif_state(b.dom), 5);
    assert_int_equal(fake_transferred, 2);
}

/* A guest that writes its own nodes in the moment when it gets a vif: what counts is what the toolstack has written. */
static void the_address_is_not_the_guests_to_choose(void **unused)
{
    vif_remove(1);
    vif_write(a.dom, FRONT, "mac", "00:16:3e:00:00:99");
    vif_make(a.dom, NULL, NULL);
    come_up(&a, "sgc");
    assert_int_equal(vif_state(a.dom), 4);
    fill(&a, 0, 0x66, 60);
    a.page[0][11] = 0x99;
    tx_slot(&a, 100, 0, 60, 0);
    tx_push(&a);
    expect_answers(&a, 1, NETIF_RSP_DROPPED);
    assert_int_equal(fake_nic_got, 0);
    fill(&a, 0, 0x66, 60);
    tx_slot(&a, 100, 0, 60, 0);
    tx_push(&a);
    expect_answers(&a, 1, NETIF_RSP_OKAY);
    assert_int_equal(fake_nic_got, 1);
    rx_post(&a, 1);
    fill(&b, 0, 1, 60);
    tx_slot(&b, 100, 0, 60, 0);
    tx_push(&b);
    assert_int_equal(rx_take(&a), 60);
}

static void refuses_what_it_cannot_serve(void **unused)
{
    vif_remove(1);
    vif_make(a.dom, "10.0.0.300", NULL);
    assert_int_equal(vif_state(a.dom), 1);
    vif_remove(1);
    vif_make(a.dom, NULL, "fast");
    assert_int_equal(vif_state(a.dom), 1);
    vif_remove(1);
    /* One address twice. */
    vif_make(a.dom, NULL, NULL);
    vif_write(a.dom, FRONT, "state", "1");
    come_up(&a, "s");
    assert_int_equal(vif_state(a.dom), 4);
}

static void several_queues(void **unused)
{
    vif_begin_anew(a.dom);
    assert_int_equal(atoi(vif_read(a.dom, BACK, "multi-queue-max-queues")), 4);
    fake_grant(1, 502, page_alloc_zeroed(), false);
    fake_grant(1, 503, page_alloc_zeroed(), false);
    vif_write(a.dom, FRONT, "multi-queue-num-queues", "2");
    vif_write(a.dom, FRONT, "queue-0/tx-ring-ref", "500");
    vif_write(a.dom, FRONT, "queue-0/rx-ring-ref", "501");
    vif_write(a.dom, FRONT, "queue-0/event-channel", "7");
    vif_write(a.dom, FRONT, "queue-1/tx-ring-ref", "502");
    vif_write(a.dom, FRONT, "queue-1/rx-ring-ref", "503");
    vif_write(a.dom, FRONT, "queue-1/event-channel", "9");
    come_up(&a, "sg");
    assert_int_equal(vif_state(a.dom), 4);
    assert_int_equal(fake_mapped(1), 4);
    rx_post(&b, 4);
    fill(&a, 0, 2, 500);
    tx_slot(&a, 100, 0, 500, 0);
    tx_push(&a);
    assert_int_equal(rx_take(&b), 500);
    vif_write(a.dom, FRONT, "multi-queue-num-queues", "1");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(closes_and_comes_again), T(one_who_fails_again_and_again_does_not_fill_the_log),
        T(failed_vif_comes_again), T(failed_vif_begins_anew), T(fails_and_is_closed_at_once),
        T(a_frontend_that_takes_pages), T(the_address_is_not_the_guests_to_choose),
        T(refuses_what_it_cannot_serve), T(several_queues),
    };

    bridge_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
