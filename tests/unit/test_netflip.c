/* SPDX-License-Identifier: MIT */
/* test_netflip.c - vifs on the flip channel, from the rings' side: what arrives where, what is refused. */
/* LINK: netback/netback.c netback/tx.c netback/rx.c netback/bridge.c netback/copy.c */
/* LINK: netback/frame.c netback/shape.c netback/dma.c netback/rxpool.c netback/fdb.c netback/filter.c lib/rate.c */
/* LINK: netback/exchange.c netback/flip.c netback/fliptx.c netback/fliprow.c netback/fliprx.c netback/transfer.c */
/* LINK: netback/headers.c netback/csum.c runtime/xs.c runtime/xbdev.c runtime/loglimit.c runtime/loop.c */
/* LINK: runtime/cmdline.c runtime/xbroot.c lib/strlcpy.c tests/unit/fakes/vifs.c */
/* LINK: tests/unit/fakes/guest.c tests/unit/fakes/world.c */
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

static void come_up(struct guest *g)
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

static int setup(void **unused)
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

static int setup_extents(void **unused)
{
    extents = true;
    return setup(unused);
}

static int teardown(void **unused)
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
static struct netflip_head *head(struct guest *g, unsigned int to, unsigned int len)
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

static struct netflip_frag *frags_of(struct netflip_head *h)
{
    return (void *)(h->data + ((h->inline_len + 7) & ~7));
}

/* Frame of 66 bytes and n pages of `len` bytes from the guest's page i on. */
static void send_pages(struct guest *g, unsigned int to, unsigned int i, unsigned int n,
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

static void push(struct guest *g)
{
    g->tx->slot_prod = g->tx_prod;
    fake_signal(g->dom, 7);
    fake_run();
}

static void offer(struct guest *g, unsigned int n)
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
static unsigned int rx_take(struct guest *g)
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
static unsigned int given_back(struct guest *g)
{
    unsigned int n = g->tx->ref_prod - g->tx_ref_cons;

    for (; g->tx_ref_cons != g->tx->ref_prod; g->tx_ref_cons++)
        assert_in_range(g->tx->ref[g->tx_ref_cons % NETFLIP_REFS], REF, REF + 31);
    return n;
}

static void expect_bytes(unsigned int at, unsigned int len, unsigned int value)
{
    for (unsigned int i = 0; i < len; i++)
        assert_int_equal(got_bytes[at + i], value);
}

/* An extent of n pages from i on, in the guest's own words; and the fragment. */
static struct netflip_frag extent(struct guest *g, unsigned int i, unsigned int offset, unsigned int len)
{
    for (unsigned int k = 0; k < netflip_frag_pages(offset, len); k++) {
        memset(g->page[i + k], (int)(0x40 + i + k), 4096);
        fake_offer(g->dom, REF + i + k, g->page[i + k]);
    }
    return (struct netflip_frag){ REF + i, (uint16_t)offset, (uint16_t)len };
}

/* A frame of 66 bytes and an extent. */
static struct netflip_head *send_extent(struct guest *g, unsigned int to, unsigned int i, unsigned int offset, unsigned int len)
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
static void offer_extent(struct guest *g, unsigned int i)
{
    for (unsigned int k = 0; k < NETFLIP_EXTENT; k++) {
        memset(g->page[i + k], 0xee, 4096);
        fake_offer(g->dom, REF + i + k, g->page[i + k]);
    }
    g->rx->ext[g->rx->ext_prod % NETFLIP_EXTENTS] = REF + i;
    g->rx->ext_prod++;
}

/* Is it one extent that has come back, the one from page i on, and no single page? */
static void expect_extent_back(struct guest *g, unsigned int i)
{
    assert_int_equal(g->tx->ext_prod, g->tx_ext_cons + 1);
    assert_int_equal(g->tx->ext[g->tx_ext_cons++ % NETFLIP_EXTENTS], REF + i);
    assert_int_equal(given_back(g), 0);
}

/* What is at byte `at` of the frame: len bytes of pages from i on, from that offset in the first. */
static void expect_pages(unsigned int at, unsigned int i, unsigned int offset, unsigned int len)
{
    for (unsigned int k = 0; k < len; k++)
        assert_int_equal(got_bytes[at + k], 0x40 + i + (offset + k) / 4096);
}

/* Extents ----------------------------------------------------------------------------------- */

static void extents_go_over_whole(void **unused)
{
    static const unsigned int len[] = { 15 * 4096 + 100, 65536 - 66 - 100, 4097, 3 * 4096 };

    for (unsigned int i = 0; i < ARRAY_SIZE(len); i++) {
        unsigned int offset = i == 1 ? 100 : 0, n = netflip_frag_pages(offset, len[i]);

        fake_flipped = fake_flip_calls = 0;
        offer_extent(&b, 32 + i % 2 * 16);
        (void)send_extent(&a, 2, i % 2 * 16, offset, len[i]);
        push(&a);
        assert_int_equal(fake_flipped, n);
        assert_int_equal(fake_flip_calls, 1);
        assert_int_equal(rx_take(&b), 66 + len[i]);
        assert_int_equal(got.nr_frags, 1);
        assert_int_equal(got.flags, NETFLIP_GSO_TCPV4);
        assert_int_equal(got_frag[0].ref, REF + 32 + i % 2 * 16);
        assert_int_equal(got_frag[0].offset, offset);
        expect_pages(66, i % 2 * 16, offset, len[i]);
        expect_extent_back(&a, i % 2 * 16);
        for (unsigned int k = 0; k < NETFLIP_EXTENT; k++)
            assert_int_equal(fake_is_granted(2, got_frag[0].ref + k), k >= n);
    }
    assert_int_equal(fake_copies, 0);
    /* Two in one call. */
    fake_flip_calls = 0;
    offer_extent(&b, 32);
    offer_extent(&b, 48);
    (void)send_extent(&a, 2, 0, 0, 65000);
    (void)send_extent(&a, 2, 16, 0, 65000);
    push(&a);
    assert_int_equal(fake_flip_calls, 1);
    for (unsigned int i = 0; i < 2; i++) {
        assert_int_equal(rx_take(&b), 65066);
        expect_pages(66, i * 16, 0, 65000);
    }
    assert_int_equal(a.tx->ext_prod, 6);
}

/* To a guest that has none, or none on offer: page by page. */
static void extents_to_single_pages(void **unused)
{
    for (unsigned int to = 2; to <= 3; to++) {
        struct guest *g = to == 2 ? &b : &c;

        fake_flipped = 0;
        offer(g, 20);
        (void)send_extent(&a, to, 0, 10, 60000);
        push(&a);
        assert_int_equal(fake_flipped, 15);
        assert_int_equal(fake_copies, 0);
        assert_int_equal(rx_take(g), 60066);
        assert_int_equal(got.nr_frags, 15);
        expect_pages(66, 0, 10, 60000);
        expect_extent_back(&a, 0);
    }
    /* Beside other fragments: in the order in which they stand. */
    {
        struct netflip_head *h = head(&a, 2, 66);

        fake_flipped = 0;
        offer(&b, 10);
        h->nr_frags = 3;
        h->len = 66 + 500 + 9000 + 700;
        h->flags = NETFLIP_GSO_TCPV4;
        h->gso_size = 1000;
        frags_of(h)[0] = extent(&a, 20, 0, 500);
        frags_of(h)[1] = extent(&a, 0, 0, 9000);
        frags_of(h)[2] = extent(&a, 21, 4096 - 700, 700);
        push(&a);
        assert_int_equal(rx_take(&b), 66 + 500 + 9000 + 700);
        expect_pages(66, 20, 0, 500);
        expect_pages(566, 0, 0, 9000);
        expect_pages(9566, 21, 4096 - 700, 700);
        assert_int_equal(fake_flipped, 5);
        assert_int_equal(a.tx->ext_prod, 3);
        assert_int_equal(given_back(&a), 2);
    }
}

static void extents_are_copied(void **unused)
{
    fake_flips_busy = true;
    offer_extent(&b, 32);
    (void)send_extent(&a, 2, 0, 5, 40000);
    push(&a);
    assert_int_equal(fake_flipped, 0);
    assert_int_equal(rx_take(&b), 40066);
    assert_int_equal(got.nr_frags, 1);
    assert_false(got.flags & NETFLIP_LOST);
    expect_pages(66, 0, 5, 40000);
    expect_extent_back(&a, 0);
    fake_flips_busy = false;
    /* One page of it cannot even be copied. */
    offer_extent(&b, 48);
    (void)send_extent(&a, 2, 0, 0, 40000);
    fake_grant(1, REF + 5, NULL, false);
    push(&a);
    assert_int_equal(rx_take(&b), 40066);
    assert_true(got.flags & NETFLIP_LOST);
    expect_extent_back(&a, 0);
    /* The sender asks for it; and a flood. */
    offer(&b, 32);
    offer(&c, 32);
    send_extent(&a, 2, 0, 0, 40000)->flags |= NETFLIP_COPY;
    push(&a);
    assert_int_equal(rx_take(&b), 40066);
    expect_pages(66, 0, 0, 40000);
    expect_extent_back(&a, 0);
    send_extent(&a, 0xff, 0, 3000, 1400)->flags = 0;
    push(&a);
    assert_int_equal(rx_take(&b), 1466);
    expect_pages(66, 0, 3000, 1400);
    assert_int_equal(rx_take(&c), 1466);
    expect_pages(66, 0, 3000, 1400);
    assert_int_equal(fake_nic_len[fake_nic_got - 1], 1466);
    expect_extent_back(&a, 0);
    assert_int_equal(fake_flipped, 0);
    assert_int_equal(vif_state(a.dom) + vif_state(b.dom) + vif_state(c.dom), 12);
}

/* Two in a turn, again and again, until each ring's index has wrapped; of each frame no more than its head is seen. */
static void extents_in_rows(void **unused)
{
    for (unsigned int round = 0; round < NETFLIP_SLOTS + 10; round++) {
        unsigned int inline_len = 42 + round % (NETFLIP_INLINE_MAX - 42), len[2] = { 65000 - inline_len, 4097 + round };
        uint8_t sent[2][NETFLIP_INLINE_MAX];

        memset(b.rx_slot, 0, NETFLIP_SLOTS * NETFLIP_SLOT_BYTES);
        fake_flip_calls = 0;
        for (unsigned int i = 0; i < 2; i++) {
            struct netflip_head *h = head(&a, 2, inline_len);

            offer_extent(&b, 32 + i * 16);
            memcpy(sent[i], h->data, inline_len);
            memset(h->data + inline_len, 0xaa, sizeof(h->data) - inline_len);
            h->nr_frags = 1;
            h->len = (uint16_t)(inline_len + len[i]);
            h->flags = NETFLIP_GSO_TCPV4;
            h->gso_size = 1448;
            frags_of(h)[0] = extent(&a, i * 16, 0, len[i]);
        }
        push(&a);
        assert_int_equal(fake_flip_calls, 1);
        for (unsigned int i = 0; i < 2; i++) {
            assert_int_equal(rx_take(&b), inline_len + len[i]);
            assert_memory_equal(got.data, sent[i], inline_len);
            for (unsigned int k = inline_len; k < sizeof(got.data); k++)
                if (k - ((inline_len + 7) & ~7u) >= 8)
                    assert_int_equal(got.data[k], 0);
            expect_pages(inline_len, i * 16, 0, len[i]);
            assert_int_equal(a.tx->ext[a.tx_ext_cons++ % NETFLIP_EXTENTS], REF + i * 16);
        }
        assert_int_equal(a.tx->ext_prod, a.tx_ext_cons);
    }
    assert_int_equal(fake_copies, 0);
}

static void bad_extents_fail_the_vif(void **unused)
{
    const struct { unsigned int nr, offset, len; } bad[] = {
        { 1, 4096, 5000 }, { 1, 65535, 10000 }, { 1, 4000, 0 }, { 1, 4095, 65000 }, { 2, 0, 32768 },
        { 1, 0, 65535 - 66 },
    };

    for (unsigned int i = 0; i < 2 * ARRAY_SIZE(bad); i++) {
        struct netflip_head *h = head(&a, i & 1 ? 2 : 3, 66);

        offer(&b, 4);
        offer_extent(&b, 32);
        h->nr_frags = (uint8_t)(bad[i / 2].nr + (bad[i / 2].nr == 2 ? 1 : 0));
        h->len = (uint16_t)(66 + bad[i / 2].len);
        h->flags = NETFLIP_GSO_TCPV4;
        h->gso_size = 1000;
        if (bad[i / 2].len == 65535 - 66)       /* all right but for this */
            h->flags |= NETFLIP_GSO_TCPV6;
        for (unsigned int k = 0; k < h->nr_frags; k++)
            frags_of(h)[k] = (struct netflip_frag){ REF, (uint16_t)bad[i / 2].offset, (uint16_t)bad[i / 2].len };
        push(&a);
        assert_int_equal(vif_state(a.dom), 5);
        vif_begin_anew(a.dom);
        come_up(&a);
        assert_int_equal(vif_state(a.dom), 4);
    }
    assert_int_equal(rx_take(&b), 0);
    /* A guest that has not asked for them; and one that offers more than there is room for. */
    (void)send_extent(&c, 2, 0, 0, 5000);
    push(&c);
    assert_int_equal(vif_state(c.dom), 5);
    vif_begin_anew(b.dom);
    come_up(&b);            /* has offered none */
    for (unsigned int i = 0; i < 3; i++) {
        b.rx->ext_prod = i == 0 ? NETFLIP_EXTENTS + 1 : i == 1 ? 0x80000000u : 0xffffffffu;
        (void)send_extent(&a, 2, 0, 0, 5000);
        push(&a);
        assert_int_equal(vif_state(b.dom), 5);
        vif_begin_anew(b.dom);
        come_up(&b);
    }
    assert_int_equal(vif_state(a.dom) + vif_state(b.dom), 8);
}

/* Frames ------------------------------------------------------------------------------------ */

static void small_frames_go_from_ring_to_ring(void **unused)
{
    static const unsigned int sizes[] = { 14, 60, 64, 65, 72, 73, 112 };

    for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++)
        (void)head(&a, 2, sizes[i]);
    push(&a);
    assert_int_equal(a.tx->slot_cons, ARRAY_SIZE(sizes));
    for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
        assert_int_equal(rx_take(&b), sizes[i]);
        assert_memory_equal(got.data, a.tx_slot[i].data, sizes[i]);
        assert_int_equal(got.flags, 0);
    }
    assert_int_equal(rx_take(&b), 0);
    assert_int_equal(fake_copies + fake_flip_calls, 0);
    assert_int_equal(fake_signalled(2, 8), 1);
    assert_int_equal(fake_signalled(1, 7), 0);
}

static void pages_are_flipped_in_one_call(void **unused)
{
    offer(&b, 20);
    for (unsigned int i = 0; i < 20; i++)
        send_pages(&a, 2, i, 1, 100, 1400);
    push(&a);
    assert_int_equal(fake_flipped, 20);
    assert_int_equal(fake_flip_calls, 1);
    assert_int_equal(fake_copies, 0);
    assert_int_equal(given_back(&a), 20);
    for (unsigned int i = 0; i < 20; i++) {
        assert_int_equal(rx_take(&b), 1466);
        expect_bytes(66, 1400, 0x40 + i);
        assert_int_equal(got_frag[0].offset, 100);
        assert_false(fake_is_granted(2, got_frag[0].ref));
        assert_false(fake_is_granted(1, REF + i));
    }
    assert_int_equal(fake_signalled(2, 8), 1);
}

static void big_frames_take_more_slots(void **unused)
{
    offer(&b, 32);
    send_pages(&a, 2, 0, 15, 0, 4096);
    a.tx_slot[0].flags = NETFLIP_CSUM_BLANK | NETFLIP_GSO_TCPV4;
    a.tx_slot[0].gso_size = 1448;
    push(&a);
    assert_int_equal(fake_flipped, 15);
    assert_int_equal(rx_take(&b), 66 + 15 * 4096);
    for (unsigned int i = 0; i < 15; i++)
        expect_bytes(66 + i * 4096, 4096, 0x40 + i);
    assert_int_equal(got.flags, NETFLIP_CSUM_BLANK | NETFLIP_GSO_TCPV4);
    assert_int_equal(got.gso_size, 1448);
    assert_int_equal(given_back(&a), 15);
}

static void what_is_refused_is_copied(void **unused)
{
    offer(&b, 8);
    fake_flips_busy = true;
    send_pages(&a, 2, 0, 2, 20, 700);
    push(&a);
    assert_int_equal(rx_take(&b), 1466);
    expect_bytes(66, 700, 0x40);
    expect_bytes(766, 700, 0x41);
    assert_int_equal(got.flags, 0);
    assert_int_equal(fake_flipped, 0);
    assert_int_equal(fake_copies, 2);
    assert_int_equal(given_back(&a), 2);
    /* The sender asks for it. */
    fake_flips_busy = false;
    send_pages(&a, 2, 4, 1, 0, 1400);
    a.tx_slot[1].flags = NETFLIP_COPY;
    push(&a);
    assert_int_equal(rx_take(&b), 1466);
    expect_bytes(66, 1400, 0x44);
    assert_int_equal(got.flags, 0);
    assert_int_equal(fake_flipped, 0);
    assert_int_equal(given_back(&a), 1);
}

/* Not granted, granted to read only, sent twice: the receiver hears of it, the pages are not lost. */
static void what_cannot_be_moved_is_lost(void **unused)
{
    offer(&b, 8);
    send_pages(&a, 2, 0, 1, 0, 1400);
    fake_grant(1, REF, NULL, false);
    send_pages(&a, 2, 1, 2, 0, 700);
    frags_of(&a.tx_slot[1])[1].ref = REF + 1;
    (void)head(&a, 2, 60);
    push(&a);
    assert_int_equal(rx_take(&b), 1466);
    assert_int_equal(got.flags, NETFLIP_LOST);
    assert_int_equal(rx_take(&b), 1466);
    assert_int_equal(got.flags, NETFLIP_LOST);
    assert_int_equal(rx_take(&b), 60);
    assert_int_equal(got.flags, 0);
    assert_int_equal(given_back(&a), 3);
    assert_int_equal(vif_state(a.dom) + vif_state(b.dom), 8);
}

static void a_flood_is_copied(void **unused)
{
    offer(&b, 4);
    offer(&c, 4);
    send_pages(&a, 0xff, 0, 1, 0, 1400);
    push(&a);
    assert_int_equal(rx_take(&b), 1466);
    expect_bytes(66, 1400, 0x40);
    assert_int_equal(rx_take(&c), 1466);
    expect_bytes(66, 1400, 0x40);
    assert_int_equal(fake_nic_got, 1);
    assert_int_equal(fake_nic_len[0], 1466);
    assert_int_equal(fake_flipped, 0);
    assert_int_equal(given_back(&a), 1);
}

static void order_is_kept(void **unused)
{
    offer(&b, 8);
    for (unsigned int i = 0; i < 6; i++) {
        (void)head(&a, 2, 60 + i);
        send_pages(&a, 2, i, 1, 0, 1200 + i);
    }
    push(&a);
    for (unsigned int i = 0; i < 6; i++) {
        assert_int_equal(rx_take(&b), 60 + i);
        assert_int_equal(rx_take(&b), 66 + 1200 + i);
    }
}

static void a_frame_from_the_wire(void **unused)
{
    struct frame *f = frame_new(&fake_nic);

    offer(&b, 4);
    f->len = f->head_len = 1514;
    for (unsigned int i = 0; i < 1514; i++)
        f->head[i] = (uint8_t)(i * 11);
    vif_ether(f->head, 0x77, 2);
    port_receive(&fake_nic, &f, 1);
    fake_run();
    assert_int_equal(rx_take(&b), 1514);
    assert_memory_equal(got_bytes, f->head, 1514);
    assert_int_equal(got.inline_len, NETFLIP_INLINE_MAX);
    frame_put(f);
}

static void spoofed_frames_are_dropped(void **unused)
{
    head(&a, 2, 60)->data[11] = 9;
    send_pages(&a, 2, 0, 1, 0, 1400);
    a.tx_slot[1].data[11] = 3;
    offer(&b, 4);
    push(&a);
    assert_int_equal(rx_take(&b), 0);
    assert_int_equal(given_back(&a), 1);
    assert_int_equal(vif_state(a.dom), 4);
}

/* What the hypervisor refuses ---------------------------------------------------------------- */

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

/* Waiting ------------------------------------------------------------------------------------ */

static void frames_wait_for_slots_and_pages(void **unused)
{
    for (unsigned int i = 0; i < NETFLIP_SLOTS; i++)
        (void)head(&a, 2, 60);
    push(&a);
    for (unsigned int i = 0; i < 10; i++)
        (void)head(&a, 2, 61);
    send_pages(&a, 2, 0, 1, 0, 1400);
    push(&a);
    assert_int_equal(a.tx->slot_cons, a.tx_prod);
    for (unsigned int i = 0; i < NETFLIP_SLOTS; i++)
        assert_int_equal(rx_take(&b), 60);
    assert_int_equal(rx_take(&b), 0);
    fake_signal(2, 8);
    fake_run();
    for (unsigned int i = 0; i < 10; i++)
        assert_int_equal(rx_take(&b), 61);
    assert_int_equal(rx_take(&b), 0);
    offer(&b, 1);
    assert_int_equal(rx_take(&b), 1466);
    assert_int_equal(given_back(&a), 1);
}

/* Who takes nothing loses what waits, costs others nothing, and gets frames again when it takes some. */
static void a_vif_that_stops_consuming(void **unused)
{
    for (unsigned int round = 0; round < 8; round++) {
        for (unsigned int i = 0; i < 200; i++)
            (void)head(&a, 2, 60);
        push(&a);
        assert_int_equal(a.tx->slot_cons, a.tx_prod);
    }
    (void)head(&a, 3, 77);
    push(&a);
    assert_int_equal(rx_take(&c), 77);
    fake_advance(2 * NS_PER_S);
    for (unsigned int i = 0; i < NETFLIP_SLOTS; i++)
        assert_int_equal(rx_take(&b), 60);
    assert_int_equal(rx_take(&b), 0);
    fake_signal(2, 8);
    fake_run();
    (void)head(&a, 2, 62);
    push(&a);
    assert_int_equal(rx_take(&b), 62);
}

static void closing_with_frames_under_way(void **unused)
{
    for (unsigned int i = 0; i < 3; i++)
        send_pages(&a, 2, i, 1, 0, 1400);
    push(&a);
    vif_write(b.dom, FRONT, "state", "6");
    fake_run();
    assert_int_equal(fake_mapped(2), 0);
    assert_int_equal(given_back(&a), 3);
    vif_write(b.dom, FRONT, "state", "1");
    fake_run();
    come_up(&b);
    assert_int_equal(vif_state(b.dom), 4);
    (void)head(&a, 2, 60);
    push(&a);
    assert_int_equal(rx_take(&b), 60);
    for (unsigned int i = 0; i < 3; i++)
        send_pages(&a, 2, i, 1, 0, 1400);
    push(&a);
    vif_remove(1);
    fake_run();
    assert_int_equal(fake_mapped(1), 0);
}

/* Hostile ------------------------------------------------------------------------------------ */

static void bad_len(struct netflip_head *h) { h->len = 20; }
static void bad_inline(struct netflip_head *h) { h->inline_len = 13; }
static void bad_inline_long(struct netflip_head *h) { h->inline_len = 113; h->len = 113; }
static void bad_nr(struct netflip_head *h) { h->nr_frags = NETFLIP_FRAGS_MAX + 1; }
static void bad_no_frags(struct netflip_head *h) { h->nr_frags = 0; }
static void bad_all_inline(struct netflip_head *h) { h->len = h->inline_len; }
static void bad_sum(struct netflip_head *h) { h->len++; }
static void bad_frag_len(struct netflip_head *h) { frags_of(h)->len = 0; }
static void bad_frag_long(struct netflip_head *h) { frags_of(h)->len = 4097; }
static void bad_frag_end(struct netflip_head *h) { frags_of(h)->offset = 4000; }
static void bad_chain(struct netflip_head *h) { h->nr_frags = 10; }
static void bad_gso(struct netflip_head *h) { h->flags = NETFLIP_GSO_TCPV6; }

static void bad_gso_both(struct netflip_head *h)
{
    h->flags = NETFLIP_GSO_TCPV4 | NETFLIP_GSO_TCPV6;
    h->gso_size = 1000;
}

static void bad_frames_fail_the_vif(void **unused)
{
    static void (*const bad[])(struct netflip_head *) = {
        bad_len, bad_inline, bad_inline_long, bad_nr, bad_no_frags, bad_all_inline, bad_sum,
        bad_frag_len, bad_frag_long, bad_frag_end, bad_chain, bad_gso, bad_gso_both,
    };

    offer(&b, 4);
    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
        send_pages(&a, 2, 0, 1, 0, 1400);
        bad[i](&a.tx_slot[a.tx_prod - 1]);
        push(&a);
        assert_int_equal(vif_state(a.dom), 5);
        assert_int_equal(fake_mapped(1), 0);
        vif_begin_anew(a.dom);
        come_up(&a);
        assert_int_equal(vif_state(a.dom), 4);
    }
    assert_int_equal(rx_take(&b), 0);
    assert_int_equal(fake_flipped, 0);
    (void)head(&a, 2, 60);
    push(&a);
    assert_int_equal(rx_take(&b), 60);
}

static void bad_indices_fail_the_vif(void **unused)
{
    static const uint32_t steps[] = { NETFLIP_SLOTS + 1, 0x10000, 0x80000000u, 0xffffffffu };

    for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
        a.tx_prod += steps[i];
        push(&a);
        assert_int_equal(vif_state(a.dom), 5);
        vif_begin_anew(a.dom);
        come_up(&a);
        /* The receiving half: read when the backend thinks that there is no room. */
        b.rx->ref_prod = NETFLIP_REFS + 1 + i * 1000;
        send_pages(&a, 2, 0, 1, 0, 1400);
        push(&a);
        assert_int_equal(vif_state(b.dom), 5);
        vif_begin_anew(b.dom);
        come_up(&b);
        b.rx->slot_cons = 1 + i;        /* nothing was published yet */
        send_pages(&a, 2, 1, 1, 0, 1400);
        push(&a);
        assert_int_equal(vif_state(b.dom), 5);
        vif_begin_anew(b.dom);
        come_up(&b);
    }
    assert_int_equal(vif_state(a.dom) + vif_state(c.dom), 8);
}

static void bad_references_of_rings(void **unused)
{
    static const char *const bad[] = { "", "300", "300 301 302 303 304 305 306 307", "a b c",
                                       "300 301 302 303 304 305 306 307 308 309",
                                       "300 301 302 303 304 305 306 307 4294967296",
                                       "300 301 302 303 304 305 306 307 999" };

    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
        vif_write(a.dom, FRONT, "state", "6");
        fake_run();
        vif_write(a.dom, FRONT, "state", "1");
        vif_write(a.dom, FRONT, "flip-tx-refs", bad[i]);
        fake_run();
        vif_write(a.dom, FRONT, "state", "4");
        fake_run();
        assert_int_equal(vif_state(a.dom), 5);
        assert_int_equal(fake_mapped(1), 0);
    }
}

/* A frame of `len` bytes from the wire, with old bytes behind it in its page. */
static struct frame *from_wire(unsigned int to, unsigned int len)
{
    struct frame *f = rx_frame_new(&fake_nic, FRAME_ROOM);

    assert_true(rx_frame_is(f));
    memset(f->head, 0xdd, FRAME_ROOM);
    for (unsigned int i = 0; i < len; i++)
        f->head[i] = (uint8_t)(i * 5);
    vif_ether(f->head, 0x77, to);
    f->head_len = f->len = (uint16_t)len;
    return f;
}

static void arrive(struct frame *f)
{
    port_receive(&fake_nic, &f, 1);
    frame_put(f);
    fake_run();
}

static void expect_from_wire(struct guest *g, unsigned int len)
{
    assert_int_equal(rx_take(g), len);
    assert_int_equal(got.flags & NETFLIP_LOST, 0);
    for (unsigned int i = 14; i < len; i++)
        assert_int_equal(got_bytes[i], (uint8_t)(i * 5));
}

/* Big enough ones in exchange for the guest's page, and nothing else of what was in ours. */
static void frames_from_the_wire_are_flipped(void **unused)
{
    offer(&b, 8);
    offer(&c, 8);
    arrive(from_wire(2, 1514));
    assert_int_equal(fake_flipped, 1);
    assert_int_equal(fake_copies, 0);
    expect_from_wire(&b, 1514);
    assert_int_equal(got.inline_len, 112);
    assert_int_equal(got_frag[0].offset, 112);
    assert_false(fake_is_granted(2, got_frag[0].ref));
    for (unsigned int i = 1514; i < 4096; i++)
        assert_int_equal(b.page[got_frag[0].ref - REF][i], 0);
    arrive(from_wire(2, 1023));
    assert_int_equal(fake_flipped, 2);
    expect_from_wire(&b, 1023);
    for (unsigned int i = 1023; i < 4096; i++)
        assert_int_equal(b.page[got_frag[0].ref - REF][i], 0);
    /* Short ones, and those for more than one, are copied. */
    arrive(from_wire(2, 300));
    expect_from_wire(&b, 300);
    arrive(from_wire(0xff, 1514));
    expect_from_wire(&b, 1514);
    expect_from_wire(&c, 1514);
    assert_int_equal(fake_flipped, 2);
    /* What is refused is copied, by the same references, and can be flipped the next time. */
    fake_flips_busy = true;
    arrive(from_wire(2, 1400));
    expect_from_wire(&b, 1400);
    assert_true(fake_is_granted(2, got_frag[0].ref));
    fake_flips_busy = false;
    arrive(from_wire(2, 1400));
    expect_from_wire(&b, 1400);
    assert_int_equal(fake_flipped, 3);
}

/* A receiver that has offered what is not its own gets nothing; our page stays ours. */
static void frames_from_the_wire_to_a_bad_offer(void **unused)
{
    offer(&b, 2);
    fake_grant(2, b.rx->ref[0], NULL, false);
    arrive(from_wire(2, 1514));
    assert_int_equal(rx_take(&b), 1514);
    assert_int_equal(got.flags & NETFLIP_LOST, NETFLIP_LOST);
    arrive(from_wire(2, 1514));
    expect_from_wire(&b, 1514);
}

/* One of `pages` full pages and some bytes more, with old bytes in front and behind. */
static struct frame *big_from_wire(unsigned int to, unsigned int pages, unsigned int more)
{
    struct frame *f = rx_frame_new(&fake_nic, PAGE_SIZE);
    unsigned int n = 12;

    f->head += n;
    f->head_len = f->len = (uint16_t)(PAGE_SIZE - n);
    for (unsigned int i = 0; i <= pages; i++) {
        struct frame *next = i ? rx_frame_new(&fake_nic, PAGE_SIZE) : f;

        if (i)
            memset(next->head, 0xdd, PAGE_SIZE);
        for (unsigned int at = i ? 0 : n; at < (i < pages ? PAGE_SIZE : more); at++)
            next->head[i ? at : at - n] = (uint8_t)((i * PAGE_SIZE + at - n) * 5);
        if (i)
            assert_true(rx_frame_join(f, next, i < pages ? PAGE_SIZE : more));
    }
    vif_ether(f->head, 0x77, to);
    f->gso = GSO_TCPV4;
    f->gso_size = 1448;
    return f;
}

/* All pages are flipped, but the last, if it is short; in floods all are copied. Nothing else is in them. */
static void frames_of_several_pages_from_the_wire(void **unused)
{
    static const unsigned int last[] = { 3000, 100 };
    unsigned int flips = 0;

    rx_pool_add(PAGE_SIZE);
    for (unsigned int i = 0; i < 400; i++) {
        unsigned int pages = 1 + i % 15, more = last[i % 2], len = pages * 4096 - 12 + more;

        offer(&b, pages + 1);
        arrive(big_from_wire(2, pages, more));
        expect_from_wire(&b, len);
        assert_int_equal(got.nr_frags, pages + 1);
        assert_int_equal(got_frag[0].offset, 12 + 112);
        flips += pages + (more == 3000);
        assert_int_equal(fake_flipped, flips);
        for (unsigned int at = more; more == 3000 && at < 4096; at++)
            assert_int_equal(b.page[got_frag[pages].ref - REF][at], 0);
    }
    offer(&b, 3);
    offer(&c, 3);
    arrive(big_from_wire(0xff, 2, 3000));
    expect_from_wire(&b, 2 * 4096 - 12 + 3000);
    expect_from_wire(&c, 2 * 4096 - 12 + 3000);
    assert_int_equal(fake_flipped, flips);
}

/* What lies behind a head in the sender's slot is of frames to others: the receiver does not get it. */
static void nothing_behind_a_head_is_seen(void **unused)
{
    static const unsigned int with_page[] = { 42, 54, 64, 66, 67, 97, 112 };

    for (unsigned int len = 14; len <= NETFLIP_INLINE_MAX; len++) {
        struct netflip_head *h = head(&a, 2, len);
        uint8_t sent[NETFLIP_INLINE_MAX];

        memcpy(sent, h->data, len);
        memset(h->data + len, 0xaa, sizeof(h->data) - len);
        push(&a);
        assert_int_equal(rx_take(&b), len);
        assert_memory_equal(got.data, sent, len);
        for (unsigned int i = len; i < sizeof(got.data); i++)
            assert_int_equal(got.data[i], 0);
    }
    for (unsigned int k = 0; k < 2 * ARRAY_SIZE(with_page); k++) {
        unsigned int len = with_page[k / 2], n = 1 + k % 2, end = ((len + 7) & ~7u) + 8 * n;
        struct netflip_head *h = head(&a, 2, len);

        if (netflip_head_frags(len) < n) {
            n = 1;
            end -= 8;
        }
        memset(h->data + len, 0xaa, sizeof(h->data) - len);
        h->nr_frags = (uint8_t)n;
        h->len = (uint16_t)(len + n * 100);
        for (unsigned int i = 0; i < n; i++) {
            fake_offer(1, REF + i, a.page[i]);
            frags_of(h)[i] = (struct netflip_frag){ .ref = REF + i, .len = 100 };
        }
        offer(&b, n);
        push(&a);
        assert_int_equal(rx_take(&b), len + n * 100);
        for (unsigned int i = len; i < sizeof(got.data); i++)
            if (i < ((len + 7) & ~7u) || i >= end)
                assert_int_equal(got.data[i], 0);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(small_frames_go_from_ring_to_ring), T(nothing_behind_a_head_is_seen), T(pages_are_flipped_in_one_call),
        T(big_frames_take_more_slots), T(what_is_refused_is_copied),
        T(what_cannot_be_moved_is_lost), T(a_flood_is_copied), T(order_is_kept),
        T(a_frame_from_the_wire), T(spoofed_frames_are_dropped), T(frames_wait_for_slots_and_pages),
        T(a_vif_that_stops_consuming), T(closing_with_frames_under_way),
        T(each_refusal_in_turn), T(an_end_dies), T(bad_frames_fail_the_vif),
        T(bad_indices_fail_the_vif), T(bad_references_of_rings),
        T(frames_from_the_wire_are_flipped), T(frames_from_the_wire_to_a_bad_offer),
        T(frames_of_several_pages_from_the_wire),
#define E(f) cmocka_unit_test_setup_teardown(f, setup_extents, teardown)
        E(extents_go_over_whole), E(extents_in_rows), E(extents_to_single_pages), E(extents_are_copied), E(bad_extents_fail_the_vif),
        E(big_frames_take_more_slots), E(order_is_kept), E(each_refusal_in_turn), E(an_end_dies),
    };

    bridge_init();
    rx_pool_add(FRAME_ROOM);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
