/* SPDX-License-Identifier: MIT */
/* netflip_rings.h - three guests with vifs on the flip channel, and what their frontends do: for tests of netback. */
#ifndef NETFLIP_RINGS_H
#define NETFLIP_RINGS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "netback/exchange.h"
#include "netback/headers.h"
#include "netback/netback.h"
#include "netback/rxpool.h"
#include "runtime/port.h"
#include "runtime/time.h"
#include "sluice/netflip.h"
#include "tests/unit/fakes/vifs.h"

#define PAGES 64                /* sent from 0 on, offered from 32 on */
#define REF   100

/* A guest with one vif on the channel. */
struct guest {
    domid_t dom;
    uint8_t half[2][NETFLIP_PAGES][4096] __aligned(4096);
    struct netflip_index *tx, *rx;
    struct netflip_head *tx_slot, *rx_slot;
    uint32_t tx_prod, rx_cons, tx_ref_cons, rx_ref_prod, tx_ext_cons;
    uint8_t page[PAGES][4096] __aligned(4096);
};

static bool extents;                    /* a and b have them, c does not */
static struct guest a = { .dom = 1 }, b = { .dom = 2 }, c = { .dom = 3 };
static struct netflip_head got;         /* the slot that rx_take() took */
static struct netflip_frag got_frag[NETFLIP_FRAGS_MAX];
static uint8_t got_bytes[70000];

static inline void come_up(struct guest *g)
{
    static const char *const key[2] = { "flip-tx-refs", "flip-rx-refs" };
    char text[128];

    memset(g->half, 0, sizeof(g->half));
    g->tx = (void *)g->half[0];
    g->rx = (void *)g->half[1];
    g->tx_slot = (void *)g->half[0][1];
    g->rx_slot = (void *)g->half[1][1];
    g->tx->slot_event = g->rx->slot_event = g->rx->cons_event = g->rx->ref_event = 1;
    g->tx_prod = g->rx_cons = g->tx_ref_cons = g->rx_ref_prod = g->tx_ext_cons = 0;
    for (unsigned int h = 0; h < 2; h++) {
        text[0] = '\0';
        for (unsigned int i = 0; i < NETFLIP_PAGES; i++) {
            fake_grant(g->dom, 300 + h * 10 + i, g->half[h][i], false);
            sprintf(text + strlen(text), "%u ", 300 + h * 10 + i);
        }
        text[strlen(text) - 1] = '\0';
        vif_write(g->dom, FRONT, key[h], text);
    }
    vif_write(g->dom, FRONT, "request-sluice-flip-extents", extents && g->dom != 3 ? "1" : "0");
    vif_write(g->dom, FRONT, "request-sluice-flip", "1");
    vif_write(g->dom, FRONT, "event-channel-tx", "7");
    vif_write(g->dom, FRONT, "event-channel-rx", "8");
    vif_write(g->dom, FRONT, "feature-gso-tcpv4", "1");
    vif_write(g->dom, FRONT, "state", "4");
    fake_run();
}

static inline int setup(void **unused)
{
    fake_reset();
    fake_flips_busy = false;
    assert_int_equal(netback_init(), 0);
    fake_nic_join();
    vif_make(a.dom, NULL, NULL);
    vif_make(b.dom, NULL, NULL);
    vif_make(c.dom, NULL, NULL);
    come_up(&a);
    come_up(&b);
    come_up(&c);
    assert_int_equal(vif_state(a.dom) + vif_state(b.dom) + vif_state(c.dom), 12);
    fake_flipped = fake_flip_calls = fake_copies = 0;
    return 0;
}

static inline int setup_extents(void **unused)
{
    extents = true;
    return setup(unused);
}

static inline int teardown(void **unused)
{
    extents = false;
    vif_remove(1);
    vif_remove(2);
    vif_remove(3);
    fake_run();
    assert_int_equal(fake_mapped(1) + fake_mapped(2) + fake_mapped(3), 0);
    assert_int_equal(fake_bound(), 0);
    port_leave(&fake_nic);
    assert_null(port_next(NULL));
    return 0;
}

/* The frontend's side ------------------------------------------------------------------------ */

/* A head slot with `len` bytes in it, to be completed by the caller. */
static inline struct netflip_head *head(struct guest *g, unsigned int to, unsigned int len)
{
    struct netflip_head *h = &g->tx_slot[g->tx_prod++ % NETFLIP_SLOTS];

    memset(h, 0, sizeof(*h));
    h->len = (uint16_t)len;
    h->inline_len = (uint8_t)len;
    for (unsigned int i = 0; i < len && i < sizeof(h->data); i++)
        h->data[i] = (uint8_t)(i * 3 + g->tx_prod);
    vif_ether(h->data, g->dom, to);
    return h;
}

static inline struct netflip_frag *frags_of(struct netflip_head *h)
{
    return (void *)(h->data + ((h->inline_len + 7) & ~7));
}

/* Frame of 66 bytes and n pages of `len` bytes from the guest's page i on. */
static inline void send_pages(struct guest *g, unsigned int to, unsigned int i, unsigned int n,
                       unsigned int offset, unsigned int len)
{
    struct netflip_head *h = head(g, to, 66);
    struct netflip_frag *f = frags_of(h);
    unsigned int here = netflip_head_frags(66);

    h->nr_frags = (uint8_t)n;
    h->len = (uint16_t)(66 + n * len);
    for (unsigned int k = 0; k < n; k++) {
        if (!here--) {
            f = (void *)&g->tx_slot[g->tx_prod++ % NETFLIP_SLOTS];
            here = NETFLIP_FRAGS_PER_SLOT - 1;
        }
        memset(g->page[i + k], (int)(0x40 + i + k), 4096);
        fake_offer(g->dom, REF + i + k, g->page[i + k]);
        *f++ = (struct netflip_frag){ REF + i + k, (uint16_t)offset, (uint16_t)len };
    }
}

static inline void push(struct guest *g)
{
    g->tx->slot_prod = g->tx_prod;
    fake_signal(g->dom, 7);
    fake_run();
}

static inline void offer(struct guest *g, unsigned int n)
{
    while (n--) {
        unsigned int i = 32 + g->rx_ref_prod % 32;

        memset(g->page[i], 0xee, 4096);
        fake_offer(g->dom, REF + i, g->page[i]);
        g->rx->ref[g->rx_ref_prod++ % NETFLIP_REFS] = REF + i;
    }
    g->rx->ref_prod = g->rx_ref_prod;
    fake_signal(g->dom, 8);
    fake_run();
}

/* Takes a frame into got, got_frag and got_bytes; its length, or 0. */
static inline unsigned int rx_take(struct guest *g)
{
    struct netflip_frag *f = frags_of(&got);
    unsigned int here, len;

    if (g->rx_cons == g->rx->slot_prod)
        return 0;
    got = g->rx_slot[g->rx_cons++ % NETFLIP_SLOTS];
    here = netflip_head_frags(got.inline_len);
    f = frags_of(&got);
    memcpy(got_bytes, got.data, got.inline_len);
    len = got.inline_len;
    for (unsigned int i = 0; i < got.nr_frags; i++) {
        if (!here--) {
            assert_true(g->rx_cons != g->rx->slot_prod);
            f = (void *)&g->rx_slot[g->rx_cons++ % NETFLIP_SLOTS];
            here = NETFLIP_FRAGS_PER_SLOT - 1;
        }
        got_frag[i] = *f++;
        assert_in_range(got_frag[i].ref, REF + 32, REF + 63);
        assert_in_range(got_frag[i].offset + got_frag[i].len, 1, extents && got_frag[i].ref % 16 == REF % 16 ? 65536 : 4096);
        memcpy(got_bytes + len, g->page[got_frag[i].ref - REF] + got_frag[i].offset, got_frag[i].len);
        len += got_frag[i].len;
    }
    g->rx->slot_cons = g->rx_cons;
    assert_int_equal(len, got.len);
    return len;
}

/* Pages that the backend gave back since the last call. */
static inline unsigned int given_back(struct guest *g)
{
    unsigned int n = g->tx->ref_prod - g->tx_ref_cons;

    for (; g->tx_ref_cons != g->tx->ref_prod; g->tx_ref_cons++)
        assert_in_range(g->tx->ref[g->tx_ref_cons % NETFLIP_REFS], REF, REF + 31);
    return n;
}

static inline void expect_bytes(unsigned int at, unsigned int len, unsigned int value)
{
    for (unsigned int i = 0; i < len; i++)
        assert_int_equal(got_bytes[at + i], value);
}

/* An extent of n pages from i on, in the guest's own words; and the fragment. */
static inline struct netflip_frag extent(struct guest *g, unsigned int i, unsigned int offset, unsigned int len)
{
    for (unsigned int k = 0; k < netflip_frag_pages(offset, len); k++) {
        memset(g->page[i + k], (int)(0x40 + i + k), 4096);
        fake_offer(g->dom, REF + i + k, g->page[i + k]);
    }
    return (struct netflip_frag){ REF + i, (uint16_t)offset, (uint16_t)len };
}

/* A frame of 66 bytes and an extent. */
static inline struct netflip_head *send_extent(struct guest *g, unsigned int to, unsigned int i, unsigned int offset, unsigned int len)
{
    struct netflip_head *h = head(g, to, 66);

    h->nr_frags = 1;
    h->len = (uint16_t)(66 + len);
    h->flags = NETFLIP_GSO_TCPV4;
    h->gso_size = 1448;
    frags_of(h)[0] = extent(g, i, offset, len);
    return h;
}

/* Pages 32 to 47, or 48 to 63. */
static inline void offer_extent(struct guest *g, unsigned int i)
{
    for (unsigned int k = 0; k < NETFLIP_EXTENT; k++) {
        memset(g->page[i + k], 0xee, 4096);
        fake_offer(g->dom, REF + i + k, g->page[i + k]);
    }
    g->rx->ext[g->rx->ext_prod % NETFLIP_EXTENTS] = REF + i;
    g->rx->ext_prod++;
}

/* Is it one extent that has come back, the one from page i on, and no single page? */
static inline void expect_extent_back(struct guest *g, unsigned int i)
{
    assert_int_equal(g->tx->ext_prod, g->tx_ext_cons + 1);
    assert_int_equal(g->tx->ext[g->tx_ext_cons++ % NETFLIP_EXTENTS], REF + i);
    assert_int_equal(given_back(g), 0);
}

/* What is at byte `at` of the frame: len bytes of pages from i on, from that offset in the first. */
static inline void expect_pages(unsigned int at, unsigned int i, unsigned int offset, unsigned int len)
{
    for (unsigned int k = 0; k < len; k++)
        assert_int_equal(got_bytes[at + k], 0x40 + i + (offset + k) / 4096);
}

#endif
