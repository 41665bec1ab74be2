/* SPDX-License-Identifier: MIT */
/* vif_rings.h - two guests with vifs on the standard protocol, and what their frontends do: for tests of netback. */
#ifndef VIF_RINGS_H
#define VIF_RINGS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "netback/csum.h"
#include "netback/frame.h"
#include "netback/headers.h"
#include "netback/netback.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/port.h"
#include "runtime/time.h"
#include "tests/unit/fakes/vifs.h"
#include "xen/io/netif.h"

#define PAGES 64

/* A guest with one vif: the frontend's side. */
struct guest {
    domid_t dom;
    struct netif_tx_sring *tx;
    struct netif_rx_sring *rx;
    uint32_t tx_prod, tx_cons, rx_prod, rx_cons;
    uint8_t page[PAGES][4096] __aligned(4096);      /* tx from 0, rx from 32 */
};

static struct guest a = { .dom = 1 }, b = { .dom = 2 };
static uint8_t got[70000];
static struct netif_rx_response first_rsp;
static struct netif_extra_info got_extra;

/* The frontend's part of connecting; features is a string of letters. */
static inline void come_up(struct guest *g, const char *features)
{
    free(g->tx);
    free(g->rx);
    g->tx = aligned_alloc(4096, 4096);
    g->rx = aligned_alloc(4096, 4096);
    SHARED_RING_INIT(g->tx);
    SHARED_RING_INIT(g->rx);
    g->tx_prod = g->tx_cons = g->rx_prod = g->rx_cons = 0;
    fake_grant(g->dom, 500, g->tx, false);
    fake_grant(g->dom, 501, g->rx, false);
    for (unsigned int i = 0; i < PAGES; i++)
        fake_grant(g->dom, 100 + i, g->page[i], i < 32);
    vif_write(g->dom, FRONT, "tx-ring-ref", "500");
    vif_write(g->dom, FRONT, "rx-ring-ref", "501");
    vif_write(g->dom, FRONT, "event-channel-tx", "7");
    vif_write(g->dom, FRONT, "event-channel-rx", "8");
    vif_write(g->dom, FRONT, "request-rx-copy", strchr(features, 'f') ? "0" : "1");
    vif_write(g->dom, FRONT, "feature-sg", strchr(features, 's') ? "1" : "0");
    vif_write(g->dom, FRONT, "feature-gso-tcpv4", strchr(features, 'g') ? "1" : "0");
    vif_write(g->dom, FRONT, "feature-no-csum-offload", strchr(features, 'c') ? "0" : "1");
    vif_write(g->dom, FRONT, "state", "4");
    fake_run();
}

static inline int setup(void **unused)
{
    fake_reset();
    fake_transferred = 0;
    assert_int_equal(netback_init(), 0);
    fake_nic_join();
    vif_make(a.dom, NULL, NULL);
    vif_make(b.dom, NULL, NULL);
    come_up(&a, "sgc");
    come_up(&b, "sgc");
    assert_int_equal(vif_state(a.dom), 4);
    assert_int_equal(vif_state(b.dom), 4);
    return 0;
}

/* Whatever a test did: removing the directories gives everything back. */
static inline int teardown(void **unused)
{
    vif_remove(1);
    vif_remove(2);
    fake_run();
    assert_int_equal(fake_mapped(1) + fake_mapped(2), 0);
    assert_int_equal(fake_bound(), 0);
    port_leave(&fake_nic);
    assert_null(port_next(NULL));
    return 0;
}

/* Frontend operations ----------------------------------------------------------------------- */

static inline struct netif_tx_request *tx_slot(struct guest *g, grant_ref_t ref, unsigned int offset,
                                        unsigned int size, unsigned int flags)
{
    struct netif_tx_request *r = &g->tx->ring[g->tx_prod % 256].req;

    *r = (struct netif_tx_request){ .gref = ref, .offset = (uint16_t)offset,
        .size = (uint16_t)size, .flags = (uint16_t)flags, .id = (uint16_t)(g->tx_prod % 256) };
    g->tx_prod++;
    return r;
}

static inline void tx_push(struct guest *g)
{
    g->tx->req_prod = g->tx_prod;
    fake_signal(g->dom, 7);
    fake_run();
}

/* Answers so far must be n, all with this status; those of extra slots do not count. */
static inline void expect_answers(struct guest *g, unsigned int n, int status)
{
    unsigned int have = 0;

    for (; g->tx_cons != g->tx->rsp_prod; g->tx_cons++) {
        if (g->tx->ring[g->tx_cons % 256].rsp.status == NETIF_RSP_NULL)
            continue;
        assert_int_equal(g->tx->ring[g->tx_cons % 256].rsp.status, status);
        have++;
    }
    assert_int_equal(have, n);
}

static inline void rx_post(struct guest *g, unsigned int n)
{
    while (n--) {
        unsigned int i = g->rx_prod % 32;

        g->rx->ring[g->rx_prod % 256].req = (struct netif_rx_request){
            .id = (uint16_t)(g->rx_prod % 256), .gref = 132 + i };
        memset(g->page[32 + i], 0xee, 4096);
        g->rx_prod++;
    }
    g->rx->req_prod = g->rx_prod;
    fake_signal(g->dom, 8);
    fake_run();
}

/* Takes a frame out of the ring into got[]; 0: there is none. */
static inline unsigned int rx_take(struct guest *g)
{
    unsigned int len = 0;
    bool more = true;

    if (g->rx_cons == g->rx->rsp_prod)
        return 0;
    while (more) {
        struct netif_rx_response r = g->rx->ring[g->rx_cons % 256].rsp;
        unsigned int page = 32 + g->rx_cons % 32;

        assert_true(g->rx_cons != g->rx->rsp_prod);
        assert_int_equal(r.id, g->rx_cons % 256);
        assert_in_range(r.status, 1, 4096);
        assert_in_range(r.offset + r.status, 1, 4096);
        if (!len)
            first_rsp = r;
        memcpy(got + len, g->page[page] + r.offset, (size_t)r.status);
        len += (unsigned int)r.status;
        more = r.flags & NETRXF_more_data;
        g->rx_cons++;
        if (r.flags & NETRXF_extra_info)
            memcpy(&got_extra, &g->rx->ring[g->rx_cons++ % 256], sizeof(got_extra));
    }
    return len;
}

/* A frame of len bytes in the guest's page i. */
static inline void fill(struct guest *g, unsigned int i, unsigned int to, unsigned int len)
{
    for (unsigned int k = 0; k < len; k++)
        g->page[i][k] = (uint8_t)(k * 7 + i);
    vif_ether(g->page[i], g->dom, to);
}

/* A TCP segment of `payload` bytes over slots of the guest's pages 0, 1, ... Returns its length. */
static inline unsigned int fill_tcp(struct guest *g, unsigned int to, unsigned int payload)
{
    unsigned int len = 54 + payload;
    uint8_t *p = g->page[0];

    for (unsigned int k = 0; k < len; k++)
        g->page[k / 4096][k % 4096] = (uint8_t)(k * 13);
    vif_ether(p, g->dom, to);
    memset(p + 14, 0, 40);
    p[14] = 0x45;
    put_be16(p + 16, (uint16_t)(len - 14));
    p[23] = IP_P_TCP;
    put_be32(p + 26, 0x0a000001);
    put_be32(p + 30, 0x0a000002);
    p[46] = 0x50;
    p[47] = 0x10;
    return len;
}

static inline void send_gso(struct guest *g, unsigned int len, unsigned int size)
{
    struct netif_extra_info e = { .type = XEN_NETIF_EXTRA_TYPE_GSO };
    unsigned int done = MIN(len, 4096u);

    e.u.gso.size = (uint16_t)size;
    e.u.gso.type = XEN_NETIF_GSO_TYPE_TCPV4;
    tx_slot(g, 100, 0, len, NETTXF_csum_blank | NETTXF_data_validated | NETTXF_extra_info |
            (done < len ? NETTXF_more_data : 0));
    memcpy(&g->tx->ring[g->tx_prod++ % 256], &e, sizeof(e));
    for (unsigned int i = 1; done < len; i++) {
        unsigned int n = MIN(len - done, 4096u);

        done += n;
        tx_slot(g, 100 + i, 0, n, done < len ? NETTXF_more_data : 0);
    }
    tx_push(g);
}

static inline void expect_failed(struct guest *g, const char *why)
{
    assert_int_equal(vif_state(g->dom), 5);
    assert_non_null(strstr(fake_log, why));
    assert_int_equal(fake_mapped(g->dom), 0);
    /* The other one is as before. */
    rx_post(&b, 2);
    fill(&b, 0, 0x66, 60);
    tx_slot(&b, 100, 0, 60, 0);
    fake_nic_got = 0;
    tx_push(&b);
    assert_int_equal(fake_nic_got, 1);
    assert_int_equal(vif_state(b.dom), 4);
}

static inline void slot_beyond_its_page(void **unused)
{
    tx_slot(&a, 100, 4000, 97, 0);
    tx_push(&a);
    expect_failed(&a, "tx slot of 97 bytes at 4000");
}

#endif
