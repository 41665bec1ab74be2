/* SPDX-License-Identifier: MIT */
/* test_netdma.c - frames of granted pages to a NIC that reads them itself: pinned, in order, unpinned when it is done. */
/* LINK: netback/bridge.c netback/copy.c netback/exchange.c netback/frame.c netback/shape.c netback/dma.c netback/rxpool.c */
/* LINK: netback/fdb.c netback/headers.c netback/csum.c runtime/loop.c runtime/cmdline.c */
/* LINK: runtime/xs.c lib/strlcpy.c tests/unit/fakes/guest.c tests/unit/fakes/world.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "netback/bridge.h"
#include "netback/frame.h"
#include "netback/headers.h"
#include "netback/netback.h"
#include "runtime/mem.h"
#include "tests/unit/fakes/guest.h"

#define DOM   1
#define PAGES 40
#define NONE  999               /* a reference that is not granted */

static uint8_t page[PAGES][4096] __aligned(4096);
static struct port guest, nic;
static struct frame *sent[64];  /* what the NIC has, its references */
static unsigned int nr_sent, nr_answered, room;

/* A frame from the guest: 66 bytes of head, n pages from page i on. */
static struct out {
    struct frame f;
    uint8_t head[256];
} out[64];
static unsigned int nr_out;

static void answered(struct frame *f)
{
    nr_answered++;
}

static bool guest_send(struct port *p, struct frame *f)
{
    return true;
}

static bool nic_send(struct port *p, struct frame *f)
{
    if (nr_sent == room)
        return false;
    frame_get(f);
    sent[nr_sent++] = f;
    return true;
}

static void sends_all(void)
{
    for (unsigned int i = 0; i < nr_sent; i++)
        frame_put(sent[i]);
    nr_sent = 0;
    fake_run();
}

static struct frame *make(unsigned int i, unsigned int n, unsigned int len)
{
    struct out *o = &out[nr_out++];

    memset(o, 0, sizeof(*o));
    o->f = (struct frame){ .from = &guest, .done = answered, .head = o->head, .head_len = 66,
                           .len = (uint16_t)(66 + n * len), .nr_frags = (uint8_t)n, .refs = 1 };
    for (unsigned int k = 0; k < 66; k++)
        o->head[k] = (uint8_t)(k + nr_out);
    memset(o->head, 2, 12);
    put_be16(o->head + 12, ETH_P_IP);
    for (unsigned int k = 0; k < n; k++)
        o->f.frags[k] = (struct frag){ .kind = FRAG_GRANT, .dom = DOM, .ref = 100 + i + k,
                                       .offset = (uint16_t)(4096 - len), .len = (uint16_t)len };
    return &o->f;
}

static void receive(struct frame *f)
{
    port_receive(&guest, &f, 1);
    frame_put(f);
}

static int setup(void **unused)
{
    struct frame *f;

    fake_reset();
    nr_out = nr_sent = nr_answered = 0;
    room = 64;
    fake_pinned = 0;
    fake_copies = 0;
    guest = (struct port){ .name = "vif1.0", .mac = { 2, 0, 0, 0, 0, 1 }, .mtu = 1500, .up = true,
                           .send = guest_send, .caps = PORT_GRANT | PORT_SG };
    nic = (struct port){ .name = "nic0", .mtu = 1500, .up = true, .send = nic_send,
                         .caps = PORT_UPLINK | PORT_SG | PORT_DMA | PORT_CSUM | PORT_TSO4 };
    assert_int_equal(port_join(&guest, bridge_get(NULL)), 0);
    assert_int_equal(port_join(&nic, bridge_get(NULL)), 0);
    f = frame_new(&nic);        /* from now on its station is known */
    memset(f->head, 2, 60);
    f->head_len = f->len = 60;
    port_receive(&nic, &f, 1);
    frame_put(f);
    for (unsigned int i = 0; i < PAGES; i++) {
        memset(page[i], (int)i + 1, 4096);
        fake_grant(DOM, 100 + i, page[i], true);
    }
    return 0;
}

static int teardown(void **unused)
{
    unsigned int made, used;

    sends_all();
    port_leave(&guest);
    port_leave(&nic);
    fake_run();
    frame_counts(&made, &used);
    assert_int_equal(used, 0);
    assert_int_equal(fake_pinned, 0);
    assert_int_equal(nr_answered, nr_out);
    return 0;
}

/* What the NIC has as its frame i: head, and pages from page p on. */
static void expect(unsigned int i, const struct frame *f, unsigned int p, unsigned int n, unsigned int len)
{
    assert_in_range(i, 0, nr_sent - 1);
    assert_int_equal(sent[i]->len, f->len);
    assert_int_equal(sent[i]->head_len, f->head_len);
    assert_memory_equal(sent[i]->head, f->head, f->head_len);
    assert_int_equal(sent[i]->nr_frags, n);
    for (unsigned int k = 0; k < n; k++) {
        assert_int_equal(sent[i]->frags[k].kind, FRAG_DMA);
        assert_int_equal(sent[i]->frags[k].len, len);
        assert_ptr_equal((void *)sent[i]->frags[k].maddr, page[p + k] + 4096 - len);
    }
}

static void pages_are_pinned_until_they_are_sent(void **unused)
{
    struct frame *a = make(0, 15, 4096), *b = make(20, 1, 4096);

    a->gso = GSO_TCPV4;
    a->gso_size = 1448;
    a->flags = FRAME_CSUM_BLANK;
    b->len = (uint16_t)(66 + (b->frags[0].len = 1400));
    b->frags[0].offset = 4096 - 1400;
    receive(a);
    receive(b);
    fake_run();
    assert_int_equal(nr_sent, 2);
    expect(0, a, 0, 15, 4096);
    assert_int_equal(sent[0]->gso, GSO_TCPV4);
    assert_int_equal(sent[0]->gso_size, 1448);
    assert_int_equal(sent[0]->flags, FRAME_CSUM_BLANK);
    assert_int_equal(fake_pinned, 15);
    /* The other has too little in its page: copied, in its turn, and answered at once. */
    assert_int_equal(sent[1]->len, 1466);
    assert_int_equal(sent[1]->head[66], 21);
    assert_int_equal(fake_copies, 1);
    assert_int_equal(nr_answered, 1);
    frame_put(sent[0]);
    fake_run();
    assert_int_equal(fake_pinned, 0);
    assert_int_equal(nr_answered, 2);
    sent[0] = sent[--nr_sent];
}

/* What cannot be pinned is copied, and lost if it cannot be copied either; nobody else's frame is. */
static void what_is_not_granted_is_lost_alone(void **unused)
{
    struct frame *a = make(0, 2, 4096), *bad = make(4, 3, 4096), *b = make(8, 2, 4096);

    a->gso = b->gso = bad->gso = GSO_TCPV4;
    a->gso_size = b->gso_size = bad->gso_size = 1448;
    bad->frags[1].ref = NONE;
    receive(a);
    receive(bad);
    receive(b);
    fake_run();
    assert_int_equal(nr_sent, 2);
    expect(0, a, 0, 2, 4096);
    expect(1, b, 8, 2, 4096);
    assert_int_equal(fake_pinned, 4);
    assert_int_equal(nr_answered, 1);
    assert_int_equal((int)guest.stats.rx_dropped[DROP_COPY], 1);
}

/* A frame that needs nothing does not overtake one whose pages are still to be pinned. */
static void order_is_kept(void **unused)
{
    struct frame *f[6];

    for (unsigned int i = 0; i < 6; i++) {
        f[i] = make(i * 2, i % 2 ? 0 : 2, i % 2 ? 0 : 4096);
        if (!(i % 2)) {
            f[i]->gso = GSO_TCPV4;
            f[i]->gso_size = 1448;
        }
        receive(f[i]);
    }
    fake_run();
    assert_int_equal(nr_sent, 6);
    for (unsigned int i = 0; i < 6; i++) {
        assert_int_equal(sent[i]->len, f[i]->len);
        assert_memory_equal(sent[i]->head, f[i]->head, 66);
    }
}

/* Frames that wait for the NIC, and those that it has, when their sender goes: pinned as long as it has them. */
static void the_sender_goes(void **unused)
{
    room = 2;
    for (unsigned int i = 0; i < 5; i++) {
        struct frame *f = make(i * 4, 4, 4096);

        f->gso = GSO_TCPV4;
        f->gso_size = 1448;
        receive(f);
    }
    fake_run();
    assert_int_equal(nr_sent, 2);
    assert_int_equal(nic.nr_waiting, 3);
    assert_int_equal(fake_pinned, 20);
    port_leave(&guest);
    fake_run();
    assert_int_equal(nic.nr_waiting, 0);
    assert_int_equal(fake_pinned, 8);
    assert_int_equal(nr_answered, 3);
    sends_all();
    assert_int_equal(fake_pinned, 0);
}

/* A checksum that nobody else completes: somebody has to read it all, so it is copied. */
static void copied_where_the_nic_cannot(void **unused)
{
    struct frame *a = make(0, 2, 700), *b = make(4, 0, 0);

    nic.caps &= ~(uint32_t)PORT_CSUM;
    a->flags = FRAME_CSUM_BLANK;
    a->head[14] = 0x45;
    put_be16(a->head + 16, (uint16_t)(a->len - 14));
    memset(a->head + 18, 0, 5);
    a->head[23] = IP_P_UDP;
    put_be16(a->head + 38, (uint16_t)(a->len - 34));
    receive(a);
    receive(b);
    fake_run();
    assert_int_equal(nr_sent, 2);
    assert_int_equal(fake_pinned, 0);
    assert_int_equal(sent[0]->len, a->len);
    assert_int_equal(sent[1]->len, 66);
    assert_int_equal(sent[0]->head[66], 1);
    assert_int_equal(sent[0]->head[66 + 700], 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(pages_are_pinned_until_they_are_sent), T(what_is_not_granted_is_lost_alone), T(order_is_kept),
        T(the_sender_goes), T(copied_where_the_nic_cannot),
    };

    fake_word = "dma_min";
    fake_word_value = 2048;
    bridge_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
