/* SPDX-License-Identifier: MIT */
/* test_netbackbad.c - vifs whose guests break the rules of their rings. */
/* LINK: netback/netback.c netback/tx.c netback/rx.c netback/bridge.c netback/copy.c */
/* LINK: netback/frame.c netback/shape.c netback/dma.c netback/rxpool.c netback/fdb.c netback/filter.c lib/rate.c */
/* LINK: netback/exchange.c netback/flip.c netback/fliptx.c netback/fliprow.c netback/fliprx.c netback/transfer.c */
/* LINK: netback/headers.c netback/csum.c runtime/xs.c runtime/xbdev.c runtime/loglimit.c runtime/loop.c */
/* LINK: runtime/cmdline.c runtime/xbroot.c lib/strlcpy.c tests/unit/fakes/vifs.c */
/* LINK: tests/unit/fakes/guest.c tests/unit/fakes/world.c */
#include "tests/unit/vif_rings.h"

static void producer_far_ahead(void **unused)
{
    a.tx_prod = 257;
    tx_push(&a);
    expect_failed(&a, "tx producer 257");
}

static void producer_goes_back(void **unused)
{
    fill(&a, 0, 2, 60);
    tx_slot(&a, 100, 0, 60, 0);
    tx_push(&a);
    a.tx_prod = 0;
    tx_push(&a);
    expect_failed(&a, "tx producer 0");
}

static void chain_without_end(void **unused)
{
    tx_slot(&a, 100, 0, 1000, NETTXF_more_data);
    tx_slot(&a, 100, 0, 10, NETTXF_more_data);
    tx_push(&a);
    expect_failed(&a, "chain without end");
}

static void chain_too_long(void **unused)
{
    for (unsigned int i = 0; i < 40; i++)
        tx_slot(&a, 100, 0, i ? 10 : 1000, NETTXF_more_data);
    tx_push(&a);
    expect_failed(&a, "chain without end");
}

static void slot_without_bytes(void **unused)
{
    tx_slot(&a, 100, 0, 0, 0);
    tx_push(&a);
    expect_failed(&a, "tx packet of 0 bytes");
}

static void second_slot_without_bytes(void **unused)
{
    tx_slot(&a, 100, 0, 100, NETTXF_more_data);
    tx_slot(&a, 100, 0, 0, 0);
    tx_push(&a);
    expect_failed(&a, "tx slot of 0 bytes");
}

static void more_than_the_whole(void **unused)
{
    tx_slot(&a, 100, 0, 100, NETTXF_more_data);
    tx_slot(&a, 100, 0, 100, 0);
    tx_push(&a);
    expect_failed(&a, "100 bytes with 100");
}

static void extra_without_end(void **unused)
{
    tx_slot(&a, 100, 0, 100, NETTXF_extra_info);
    tx_push(&a);
    expect_failed(&a, "extra info without end");
}

static void extra_unknown(void **unused)
{
    static const struct netif_extra_info e = { .type = 9 };

    tx_slot(&a, 100, 0, 100, NETTXF_extra_info);
    memcpy(&a.tx->ring[a.tx_prod++ % 256], &e, sizeof(e));
    tx_push(&a);
    expect_failed(&a, "extra info of type 9");
}

static void gso_of_nothing(void **unused)
{
    send_gso(&a, fill_tcp(&a, 2, 3000), 0);
    expect_failed(&a, "segmentation of type 1, size 0");
}

static void rx_producer_far_ahead(void **unused)
{
    b.rx->req_prod = 1000;
    fill(&a, 0, 2, 60);
    tx_slot(&a, 100, 0, 60, 0);
    tx_push(&a);
    assert_int_equal(vif_state(b.dom), 5);
    assert_non_null(strstr(fake_log, "rx producer 1000"));
    assert_int_equal(vif_state(a.dom), 4);
}

/* A grant that is none: the sender's loses its packet, the receiver gets nothing of it. */
static void sender_grant_is_bad(void **unused)
{
    rx_post(&b, 8);
    fill(&a, 0, 2, 1000);
    tx_slot(&a, 999, 0, 1000, 0);
    tx_push(&a);
    expect_answers(&a, 1, NETIF_RSP_ERROR);
    assert_int_equal(rx_take(&b), 0);
    tx_slot(&a, 100, 0, 1000, NETTXF_more_data);
    tx_slot(&a, 999, 0, 300, 0);
    tx_slot(&a, 100, 0, 1000, 0);
    tx_push(&a);
    assert_int_equal(rx_take(&b), 60);
    assert_int_equal(get_be16(got + 12), 0x88b5);
    assert_int_equal(rx_take(&b), 1000);
    assert_int_equal(vif_state(a.dom), 4);
    assert_int_equal(vif_state(b.dom), 4);
}

static void receiver_grant_is_bad(void **unused)
{
    for (unsigned int i = 32; i < PAGES; i++)
        fake_grant(2, 100 + i, b.page[i], true);
    rx_post(&b, 8);
    fill(&a, 0, 2, 1000);
    tx_slot(&a, 100, 0, 1000, 0);
    tx_push(&a);
    expect_answers(&a, 1, NETIF_RSP_OKAY);
    assert_int_equal(vif_state(a.dom), 4);
    assert_int_equal(vif_state(b.dom), 5);
    assert_non_null(strstr(fake_log, "cannot be written"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(producer_far_ahead), T(producer_goes_back), T(chain_without_end), T(chain_too_long),
        T(slot_beyond_its_page), T(slot_without_bytes), T(second_slot_without_bytes),
        T(more_than_the_whole), T(extra_without_end), T(extra_unknown), T(gso_of_nothing),
        T(rx_producer_far_ahead), T(sender_grant_is_bad), T(receiver_grant_is_bad),
    };

    bridge_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
