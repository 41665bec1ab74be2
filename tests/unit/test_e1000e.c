/* SPDX-License-Identifier: MIT */
/* test_e1000e.c - the 82574L's driver with a card that the test plays: pieces, checksums, cutting, a card that hangs. */
/* LINK: netback/drv/e1000e.c netback/drv/e1000e_tx.c netback/nic.c netback/bridge.c netback/copy.c */
/* LINK: netback/exchange.c netback/frame.c netback/shape.c netback/dma.c netback/rxpool.c netback/fdb.c netback/headers.c */
/* LINK: netback/csum.c runtime/loop.c runtime/cmdline.c runtime/xs.c lib/strlcpy.c */
/* LINK: tests/unit/fakes/guest.c tests/unit/fakes/world.c */
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
#include "netback/drv/e1000e.h"
#include "runtime/mem.h"
#include "tests/unit/fakes/guest.h"

/* The card --------------------------------------------------------------------------------- */

static uint32_t regs[REGS_LEN / 4];
static struct pci_dev pci = { .vendor = 0x8086, .device = 0x10d3, .class_code = 0x020000 };
static event_fn irq;
static void *irq_arg;
static bool bus_master, stuck;              /* stuck: no reset ends */
static struct { uint32_t start, field; } context;
static uint8_t packet[300][2048];
static unsigned int packet_len[300], nr_packets, resets;

#define REG(n) regs[(n) / 4]

struct pci_dev *pci_next(struct pci_dev *prev)
{
    return prev ? NULL : &pci;
}

void pci_enable(struct pci_dev *d)
{
    bus_master = true;
}

void pci_disable_dma(struct pci_dev *d)
{
    bus_master = false;
}

volatile void *pci_map_bar(struct pci_dev *d, unsigned int n, uint64_t offset, uint64_t len)
{
    return regs;
}

int pci_irq_alloc(struct pci_dev *d, struct pci_irq *irqs, unsigned int want, const event_fn *fn,
                  void *const *arg)
{
    irq = fn[0];
    irq_arg = arg[0];
    irqs[0] = (struct pci_irq){ .kind = PCI_IRQ_MSI };
    return 1;
}

int virtio_net_probe(struct pci_dev *d, const char *name, struct port **port)
{
    return -XEN_ENODEV;
}

/* The driver waits for a reset to end. */
void delay_us(unsigned int us)
{
    if (stuck || !(REG(CTRL) & CTRL_RST))
        return;
    memset(regs, 0, sizeof(regs));
    REG(STATUS) = STATUS_LU;
    REG(RAL0) = 0x00005452;
    REG(RAH0) = 0x0100;
    context.start = context.field = 0;
    resets++;
}

static uint64_t both(unsigned int lo, unsigned int hi)
{
    return REG(lo) | (uint64_t)REG(hi) << 32;
}

/* Sends at most `most` packets, as the data sheet says. */
static void card_sends(unsigned int most)
{
    struct tx_desc *ring = (struct tx_desc *)both(TDBAL, TDBAH);
    unsigned int len = 0, upper = 0;

    assert_int_equal(REG(TDLEN), RING * 16);
    while (REG(TDH) != REG(TDT) && most) {
        struct tx_desc *d = &ring[REG(TDH)];

        assert_true(d->lower & TXD_DEXT);
        REG(TDH) = (REG(TDH) + 1) % RING;
        if (!(d->lower & TXD_DATA)) {
            assert_int_equal(len, 0);
            assert_false(d->lower & TXD_RS);
            context.start = d->addr >> 32 & 0xff;
            context.field = d->addr >> 40 & 0xff;
            continue;
        }
        if (!len)
            upper = d->upper;
        assert_int_equal(d->upper, upper);
        assert_in_range(len + (d->lower & TXD_LEN), 1, 1518);
        memcpy(packet[nr_packets] + len, (void *)d->addr, d->lower & TXD_LEN);
        len += d->lower & TXD_LEN;
        if (!(d->lower & TXD_EOP))
            continue;
        if (upper & TXD_TXSM) {
            uint16_t sum = (uint16_t)~csum_fold(csum_add(0, packet[nr_packets] + context.start, len - context.start));

            memcpy(packet[nr_packets] + context.field, &sum, 2);
        }
        packet_len[nr_packets++] = len;
        assert_in_range(nr_packets, 1, 299);
        d->upper |= TXD_DD;
        len = 0;
        most--;
    }
    assert_int_equal(len, 0);
    irq(irq_arg);
    fake_run();
}

static void card_receives(const uint8_t *bytes, unsigned int len)
{
    struct rx_desc *ring = (struct rx_desc *)both(RDBAL, RDBAH);
    struct rx_desc *d = &ring[REG(RDH)];

    assert_int_not_equal(REG(RDH), REG(RDT));
    memcpy((void *)d->addr, bytes, len);
    *d = (struct rx_desc){ .addr = d->addr, .len = (uint16_t)len, .status = RXD_DD | RXD_EOP };
    REG(RDH) = (REG(RDH) + 1) % RING;
    irq(irq_arg);
    fake_run();
}

/* The guest -------------------------------------------------------------------------------- */

#define PAGES 16

static uint8_t page[PAGES][4096] __aligned(4096);
static struct port guest;
static struct out {
    struct frame f;
    uint8_t head[256];
} out[8];
static unsigned int nr_out, nr_answered, guest_got;

static void answered(struct frame *f)
{
    nr_answered++;
}

static bool guest_send(struct port *p, struct frame *f)
{
    guest_got++;
    return true;
}

/* IPv4 to the wire: 80 bytes of head, the rest from the pages on. */
static struct frame *make(unsigned int proto, unsigned int len, unsigned int mss)
{
    struct out *o = &out[nr_out++];
    uint8_t *p = o->head;
    unsigned int at = 80;
    uint16_t sum;

    memset(o, 0, sizeof(*o));
    o->f = (struct frame){ .from = &guest, .done = answered, .head = p, .head_len = 80, .len = (uint16_t)len,
                           .refs = 1, .flags = proto ? FRAME_CSUM_BLANK : 0 };
    o->f.gso = mss ? GSO_TCPV4 : GSO_NONE;
    o->f.gso_size = (uint16_t)mss;
    for (unsigned int k = 54; k < 80; k++)
        p[k] = (uint8_t)(k + nr_out);
    memcpy(p, "\x02\x02\x02\x02\x02\x02\x02\0\0\0\0\1\x08\0\x45", 15);
    put_be16(p + 16, (uint16_t)(len - 14));
    p[23] = (uint8_t)proto;
    put_be32(p + 26, 0x0a000001);
    put_be32(p + 30, 0x0a000002);
    if (proto == IP_P_TCP) {
        put_be32(p + 38, 1000);
        p[46] = 0x50;
        p[47] = 0x18;
    } else {
        put_be16(p + 38, (uint16_t)(len - 34));
    }
    sum = csum_fold(csum_add(csum_add(0, p + 26, 8), (uint8_t[]){ 0, (uint8_t)proto, (uint8_t)((len - 34) >> 8),
                                                                  (uint8_t)(len - 34) }, 4));
    memcpy(p + (proto == IP_P_TCP ? 50 : 40), &sum, 2);
    for (unsigned int i = 0; at < len; i++) {
        unsigned int n = MIN(len - at, 4000u);

        o->f.frags[o->f.nr_frags++] = (struct frag){ .kind = FRAG_GRANT, .dom = 1, .ref = 100 + i,
                                                     .offset = 50, .len = (uint16_t)n };
        at += n;
    }
    return &o->f;
}

static void receive(struct frame *f)
{
    port_receive(&guest, &f, 1);
    frame_put(f);
}

static uint8_t byte_of(const struct frame *f, unsigned int at)
{
    return at < 80 ? f->head[at] : page[(at - 80) / 4000][50 + (at - 80) % 4000];
}

/* Packet i has a right checksum, and its payload is f's from byte `at` on. */
static void expect(unsigned int i, const struct frame *f, unsigned int headers, unsigned int at)
{
    uint8_t copy[2048];

    memcpy(copy, packet[i], packet_len[i]);
    assert_true(csum_complete(copy, packet_len[i]));
    assert_memory_equal(copy, packet[i], packet_len[i]);
    for (unsigned int k = headers; k < packet_len[i]; k++)
        assert_int_equal(packet[i][k], byte_of(f, at + k - headers));
}

static int setup(void **unused)
{
    static bool once;
    uint8_t hello[60] = { 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2 };

    nr_out = nr_answered = nr_packets = guest_got = 0;
    fake_pinned = fake_copies = 0;
    guest = (struct port){ .name = "vif1.0", .mac = { 2, 0, 0, 0, 0, 1 }, .mtu = 1500, .up = true,
                           .send = guest_send, .caps = PORT_GRANT | PORT_SG };
    if (!once) {
        once = true;
        fake_reset();
        assert_int_equal(nic_init(), 1);
    }
    assert_int_equal(port_join(&guest, bridge_get(NULL)), 0);
    for (unsigned int i = 0; i < PAGES; i++) {
        for (unsigned int k = 0; k < 4096; k++)
            page[i][k] = (uint8_t)(k * 7 + i);
        fake_grant(1, 100 + i, page[i], true);
    }
    card_receives(hello, sizeof(hello));
    return 0;
}

static int teardown(void **unused)
{
    assert_int_equal(nr_answered, nr_out);
    port_leave(&guest);
    assert_int_equal(fake_pinned, 0);
    return 0;
}

static struct port *nic(void)
{
    struct port *p = port_next(NULL);

    return strcmp(p->name, "nic0") ? port_next(p) : p;
}

/* Tests ------------------------------------------------------------------------------------ */

static void pieces_are_sent_from_where_they_are(void **unused)
{
    struct frame *a = make(0, 1514, 0), *b = make(0, 81, 0);

    receive(a);
    receive(b);
    fake_run();
    assert_int_equal(fake_pinned, 2);
    assert_int_equal(nr_answered, 0);
    card_sends(300);
    assert_int_equal(nr_packets, 2);
    assert_int_equal(packet_len[0], 1514);
    assert_int_equal(packet_len[1], 81);
    for (unsigned int k = 0; k < 1514; k++)
        assert_int_equal(packet[0][k], byte_of(a, k));
    assert_int_equal(nr_answered, 2);
    assert_int_equal(fake_pinned, 0);
}

static void the_card_completes_checksums(void **unused)
{
    struct frame *f[4];

    for (unsigned int i = 0; i < 4; i++) {
        f[i] = make(i & 2 ? IP_P_UDP : IP_P_TCP, 1000 + 101 * i, 0);
        receive(f[i]);
        if (i == 1)
            receive(make(0, 500, 0));
    }
    fake_run();
    card_sends(300);
    assert_int_equal(nr_packets, 5);
    for (unsigned int i = 0; i < 4; i++)
        expect(i + (i > 1), f[i], 54, 54);
}

static void big_frames_are_cut(void **unused)
{
    struct frame *a = make(IP_P_TCP, 54 + 20000, 1448), *b = make(IP_P_TCP, 1000, 0);

    receive(a);
    receive(b);
    fake_run();
    assert_int_equal(fake_copies, 0);
    card_sends(300);
    assert_int_equal(nr_packets, 15);
    for (unsigned int i = 0; i < 14; i++) {
        expect(i, a, 54, 54 + i * 1448);
        assert_int_equal(packet_len[i], i < 13 ? 1502 : 54 + 20000 - 13 * 1448);
        assert_int_equal(get_be32(packet[i] + 38), 1000 + i * 1448);
        assert_int_equal(packet[i][47], i < 13 ? 0x10 : 0x18);
    }
    expect(14, b, 54, 54);
}

/* A frame that has more packets than the ring has room for goes out bit by bit, and whole; others wait behind it. */
static void more_packets_than_descriptors(void **unused)
{
    struct frame *a = make(IP_P_TCP, 54 + 50000, 300), *b = make(0, 700, 0);

    receive(a);
    receive(b);
    fake_run();
    assert_int_equal(nic()->nr_waiting, 1);
    for (unsigned int i = 0; i < 100 && nr_answered < 2; i++)
        card_sends(7);
    assert_int_equal(nr_packets, 168);
    for (unsigned int i = 0; i < 167; i++)
        expect(i, a, 54, 54 + i * 300);
    assert_int_equal(packet_len[167], 700);
}

static void what_cannot_be_sent_is_dropped(void **unused)
{
    uint64_t before = nic()->stats.tx_dropped[DROP_MALFORMED];
    struct frame *a = make(IP_P_TCP, 5000, 1448), *b = make(IP_P_TCP, 60000, 1), *c = make(0, 1000, 0);

    a->head[23] = IP_P_UDP;     /* not what its segmentation says */
    c->flags = FRAME_CSUM_BLANK;
    receive(a);
    receive(b);
    receive(c);
    fake_run();
    card_sends(300);
    assert_int_equal(nr_packets, 0);
    assert_int_equal(nic()->stats.tx_dropped[DROP_MALFORMED] - before, 3);
}

/* What the card had is given back only after its reset, and lost; then it works again, both ways. */
static void a_card_that_hangs_is_reset(void **unused)
{
    uint8_t in[60] = { 2, 0, 0, 0, 0, 1, 2, 2, 2, 2, 2, 2 };
    unsigned int before = resets;

    receive(make(IP_P_TCP, 54 + 50000, 300));
    receive(make(0, 700, 0));
    fake_run();
    for (unsigned int i = 0; i < 4; i++) {
        fake_advance(1 * NS_PER_S);
        assert_int_equal(resets, before);
        assert_in_range(fake_pinned, 13, 14);
    }
    for (unsigned int i = 0; i < 3; i++)
        fake_advance(1 * NS_PER_S);
    assert_int_equal(resets, before + 1);
    assert_int_equal(nr_answered, 2);
    assert_int_equal(fake_pinned, 0);
    card_sends(300);
    assert_int_equal(nr_packets, 0);
    receive(make(IP_P_TCP, 1000, 0));
    fake_run();
    card_sends(300);
    expect(0, &out[2].f, 54, 54);
    card_receives(in, sizeof(in));
    assert_int_equal(guest_got, 1);
    for (unsigned int i = 0; i < 20; i++)
        fake_advance(1 * NS_PER_S);
    assert_int_equal(resets, before + 1);
}

/* A slow card is no card that hangs. */
static void a_slow_card_is_not_reset(void **unused)
{
    unsigned int before = resets;

    receive(make(IP_P_TCP, 54 + 50000, 1448));
    fake_run();
    for (unsigned int i = 0; i < 20; i++) {
        fake_advance(3 * NS_PER_S);
        card_sends(1);
    }
    assert_int_equal(resets, before);
    card_sends(300);
}

/* One of which its driver says that it does what it may not: reset soon, once, though it had nothing to send. */
static void a_card_that_is_wrong_is_reset(void **unused)
{
    struct nic_watch *w = &container_of(nic(), struct e1000e, port)->watch;
    unsigned int before = resets;

    for (unsigned int i = 0; i < 3; i++)
        nic_watch_wrong(w);
    fake_run();
    assert_int_equal(resets, before);
    for (unsigned int i = 0; i < 5; i++)
        fake_advance(1 * NS_PER_S);
    assert_int_equal(resets, before + 1);
}

static void a_card_that_stays_dead_loses_its_dma(void **unused)
{
    stuck = true;
    receive(make(0, 1000, 0));
    fake_run();
    for (unsigned int i = 0; i < 7; i++)
        fake_advance(1 * NS_PER_S);
    assert_false(bus_master);
    assert_false(nic()->up);
    assert_int_equal(nr_answered, 1);
    irq(irq_arg);
    fake_run();
    assert_false(nic()->up);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(pieces_are_sent_from_where_they_are), T(the_card_completes_checksums), T(big_frames_are_cut),
        T(more_packets_than_descriptors), T(what_cannot_be_sent_is_dropped), T(a_card_that_hangs_is_reset),
        T(a_slow_card_is_not_reset), T(a_card_that_is_wrong_is_reset),
        T(a_card_that_stays_dead_loses_its_dma),    /* the last: it stays so */
    };

    fake_word = "dma_min";
    fake_word_value = 1;
    bridge_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
