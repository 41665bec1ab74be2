/* SPDX-License-Identifier: MIT */
/*
 * test_linkout.c - what dom0's TCP sends of data that is pinned in guests' pages: a card reads it there, or it is copied, and either way
 * the peer gets every byte, through losses, closed windows and segments of too many pieces; what cannot be read any more
 * never leaves.
 */
/* LINK: toolstack/net/handshake.c toolstack/net/syncookie.c toolstack/net/isn.c toolstack/net/bigseg.c toolstack/net/csum.c */
/* LINK: tests/unit/fakes/nohost.c */
/* LINK: toolstack/net/link.c toolstack/net/linkout.c toolstack/net/netif.c toolstack/net/stream.c toolstack/net/addr.c */
/* LINK: toolstack/net/orphans.c netback/frame.c runtime/pinned.c */
/* LINK: runtime/loop.c lib/hash.c lib/strlcpy.c lib/printf.c build/liblwip-host.a */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "netback/rxpool.h"
#include "runtime/event.h"
#include "runtime/hypercall.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/pinned.h"
#include "runtime/stream.h"
#include "runtime/time.h"
#include "tests/unit/fakes/lwipmem.h"
#include "toolstack/net/internal.h"
#include "toolstack/net/net.h"
#include "lwip/priv/tcp_priv.h"

#define HOST_IP 0x0a0900feu         /* 10.9.0.254 */
#define PEER_IP 0x0a090009u         /* 10.9.0.9 */
#define PORT    10809
#define ETH_IP  0x0800
#define ETH_ARP 0x0806
#define SYN     2u
#define RST     4u
#define ACK     16u
#define ALL     (PORT_SG | PORT_DMA | PORT_CSUM | PORT_TSO4)

/* ------------------------------------------------------------------ around dom0's TCP */

static uint64_t clock_ns = 1000 * NS_PER_S;
static struct port *host;
static struct port wire = { .name = "nic0", .caps = PORT_UPLINK };

uint64_t now_ns(void)
{
    return clock_ns;
}

uint32_t random_u32(void)
{
    return (uint32_t)rand() << 16 ^ (uint32_t)rand();
}

void random_bytes(void *buf, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)buf)[i] = (uint8_t)rand();
}

void log_at(enum log_level level, const char *fmt, ...)
{
}

void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    abort();
}

void *lwip_test_malloc(size_t n)
{
    return malloc(n);
}

void *lwip_test_calloc(size_t n, size_t size)
{
    return calloc(n, size);
}

void lwip_test_free(void *p)
{
    free(p);
}

void *page_alloc(void)
{
    return aligned_alloc(PAGE_SIZE, PAGE_SIZE);
}

int port_join(struct port *p, struct bridge *b)
{
    host = p;
    return 0;
}

/* ------------------------------------------------------------------ the guest */

#define PAGES 64
static uint8_t guest[PAGES][PAGE_SIZE] __aligned(4096);
static bool revoked;                /* it has taken its grants back */
static unsigned long copied;        /* bytes */

void grant_copy_own(struct gnttab_copy_ptr *side, const void *p)
{
    side->u.gmfn = (uint64_t)p >> PAGE_SHIFT;
    side->offset = (uint16_t)((uint64_t)p % PAGE_SIZE);
}

uint32_t grant_copy(struct gnttab_copy *ops, uint32_t n)
{
    for (uint32_t i = 0; i < n && !revoked; i++) {
        assert_true(ops[i].source.u.ref < PAGES && ops[i].source.offset + ops[i].len <= PAGE_SIZE);
        assert_true(ops[i].dest.offset + ops[i].len <= PAGE_SIZE);
        memcpy((uint8_t *)(ops[i].dest.u.gmfn << PAGE_SHIFT) + ops[i].dest.offset,
               guest[ops[i].source.u.ref] + ops[i].source.offset, ops[i].len);
        copied += ops[i].len;
    }
    return revoked ? n : 0;
}

static void release(struct pinned *p)
{
    pinned_free(p);
}

/* ------------------------------------------------------------------ the peer, an NBD server say */

#define STREAM_MAX (8u << 20)
static uint8_t got[STREAM_MAX], sent[STREAM_MAX];
static size_t nr_got, nr_sent, acked, close_at;
static uint32_t caps;               /* of the port that the peer is behind */
static uint32_t first_seq, window, my_seq;
static uint16_t dom0_port;
static bool is_connected, is_reset, must_ack;
static unsigned int lose_one_in;
static unsigned long frames_pinned, frames_data;
static struct frame *in_card[64];   /* it lets go of the oldest when a new one comes */
static unsigned int nr_in_card;

static void put16(uint8_t *p, unsigned int v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p + 2, v & 0xffff);
}

static unsigned int get16(const uint8_t *p)
{
    return (unsigned int)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void nobody_waits(struct frame *f)
{
    free(f->head);
    free(f);
}

static void arrives(unsigned int type, const uint8_t *body, unsigned int len)
{
    struct frame *f = calloc(1, sizeof(*f));

    f->head = malloc(14 + len);
    f->head_len = f->len = (uint16_t)(14 + len);
    f->refs = 1;
    f->done = nobody_waits;
    f->from = &wire;
    f->flags = FRAME_CSUM_VALID;
    memcpy(f->head, host->mac, 6);
    put16(f->head + 6, 0x5254);
    put32(f->head + 8, PEER_IP);
    put16(f->head + 12, type);
    memcpy(f->head + 14, body, len);
    host->send(host, f);
    frame_put(f);
}

static void segment(unsigned int flags, uint32_t ack)
{
    static const uint8_t options[8] = { 2, 4, 5, 180, 1, 3, 3, 4 };
    unsigned int opt = flags & SYN ? sizeof(options) : 0;
    uint8_t p[48] = { 0x45, [8] = 64, [9] = 6 };
    uint16_t sum;

    put16(p + 2, 40 + opt);
    put32(p + 12, PEER_IP);
    put32(p + 16, HOST_IP);
    sum = (uint16_t)~net_chksum(p, 20);
    memcpy(p + 10, &sum, 2);
    put16(p + 20, PORT);
    put16(p + 22, dom0_port);
    put32(p + 24, my_seq);
    put32(p + 28, ack);
    p[32] = (uint8_t)((20 + opt) / 4 << 4);
    p[33] = (uint8_t)flags;
    put16(p + 34, flags & SYN ? MIN(window, 65535u) : window >> 4);
    memcpy(p + 40, options, opt);
    arrives(ETH_IP, p, 40 + opt);
}

static void send_ack(void)
{
    must_ack = false;
    if (nr_got == close_at)         /* only with new data acknowledged may a window become smaller */
        window = 0;
    segment(ACK, first_seq + 1 + (uint32_t)nr_got);
}

static void arp_answer(void)
{
    uint8_t p[28] = { 0, 1, 8, 0, 6, 4, 0, 2, 0x52, 0x54 };

    put32(p + 10, PEER_IP);
    put32(p + 14, PEER_IP);
    put32(p + 24, HOST_IP);
    arrives(ETH_ARP, p, sizeof(p));
}

/* Appends the frame's bytes from `at` on to data. */
static size_t bytes_of(const struct frame *f, unsigned int at, uint8_t *data)
{
    size_t n = f->head_len - at;

    memcpy(data, f->head + at, n);
    for (unsigned int i = 0; i < f->nr_frags; i++) {
        const struct frag *g = &f->frags[i];

        assert_true(g->len && g->len <= PAGE_SIZE);
        if (g->kind == FRAG_DMA)
            assert_true(f->flags & FRAME_PINNED);
        memcpy(data + n, g->kind == FRAG_DMA ? (const void *)g->maddr : g->va, g->len);
        n += g->len;
    }
    return n;
}

static void take_data(const struct frame *f)
{
    static uint8_t data[65536];
    const uint8_t *ip = f->head + 14, *tcp = ip + 20;
    uint32_t at = get32(tcp + 4) - first_seq - 1;
    size_t n = bytes_of(f, 54, data);

    assert_int_equal(n + 54, f->len);
    assert_int_equal(get16(ip + 2), f->len - 14);
    assert_int_equal((uint16_t)~net_chksum(ip, 20), 0);
    assert_true(f->flags & FRAME_CSUM_BLANK);
    assert_int_equal(f->gso, f->len > 1514 ? GSO_TCPV4 : GSO_NONE);
    assert_true(f->gso == GSO_NONE || f->gso_size == 1460);
    if (!n)
        return;
    frames_data++;
    frames_pinned += !!(f->flags & FRAME_PINNED);
    if (lose_one_in && (unsigned int)rand() % lose_one_in == 0)
        return;
    must_ack = true;
    if (at > nr_got || at + n <= nr_got || (!window && n > 1))
        return;
    memcpy(got + at, data, n);
    assert_memory_equal(got + at, sent + at, n);
    nr_got = at + n;
}

/* What dom0 sends. */
void port_receive(struct port *p, struct frame **frames, unsigned int n)
{
    struct frame *f = frames[0];
    const uint8_t *ip = f->head + 14, *tcp = ip + 20;

    assert_int_equal(n, 1);
    if (get16(f->head + 12) == ETH_ARP) {
        if (ip[7] == 1)
            arp_answer();
        return;
    }
    if (ip[9] != 6)
        return;
    if (tcp[13] & RST) {
        is_reset = true;
    } else if (tcp[13] & SYN) {
        first_seq = get32(tcp + 4);
        dom0_port = (uint16_t)get16(tcp);
        segment(SYN | ACK, first_seq + 1);
        my_seq++;
    } else if (f->len > 54) {
        take_data(f);
    }
    if (f->flags & FRAME_PINNED) {
        assert_true(caps & PORT_DMA);
        frame_get(f);
        if (nr_in_card == ARRAY_SIZE(in_card)) {
            frame_put(in_card[0]);
            memmove(in_card, in_card + 1, --nr_in_card * sizeof(in_card[0]));
        }
        in_card[nr_in_card++] = f;
    }
}

uint32_t port_caps_to(const struct port *p, const uint8_t mac[6])
{
    return caps;
}

static void empty_card(void)
{
    while (nr_in_card)
        frame_put(in_card[--nr_in_card]);
}

static void run_for(uint64_t ms)
{
    for (uint64_t t = 0; t <= ms; t += 50) {
        for (unsigned int i = 0; i < 12; i++) {
            loop_turn(false);
            if (must_ack)
                send_ack();
        }
        clock_ns += MIN(ms - t + 1, (uint64_t)50) * NS_PER_MS;
    }
}

/* ------------------------------------------------------------------ dom0's side */

static struct stream *s;

static void on_connected(void *arg, int rc)
{
    assert_int_equal(rc, 0);
    is_connected = true;
}

static size_t on_received(void *arg, const uint8_t *data, size_t len)
{
    return len;
}

static void on_acked(void *arg, size_t bytes)
{
    acked += bytes;
}

static void on_closed(void *arg, int rc)
{
    s = NULL;
}

static const struct stream_events events = { .connected = on_connected, .received = on_received, .acked = on_acked,
                                             .closed = on_closed };

static void connect(uint32_t port_caps)
{
    struct stream_net *net = net_streams();
    static bool started;
    const struct net_config config = { .mac = { 0, 0x16, 0x3e, 1, 2, 3 }, .ip = HOST_IP, .mask = 0xffffff00u };

    if (!started)
        assert_int_equal(net_start(NULL, &config), 0);
    started = true;
    for (unsigned int i = 0; i < PAGES; i++)
        random_bytes(guest[i], PAGE_SIZE);
    caps = port_caps;
    window = 256 << 10;
    my_seq = 1;
    nr_got = nr_sent = acked = 0;
    close_at = ~0ul;
    is_connected = is_reset = must_ack = revoked = false;
    copied = frames_pinned = frames_data = 0;
    assert_int_equal(net->connect(net->ctx, (struct stream_addr){ PEER_IP, PORT }, &events, NULL, &s), 0);
    run_for(3000);
    assert_true(is_connected);
    assert_int_equal(stream_by_dma(s), caps == ALL);
}

/* Pieces of `bytes` of pages from `first` on, each beginning `offset` into its page. */
static struct pinned *pin(unsigned int first, unsigned int nr, unsigned int offset, unsigned int bytes)
{
    struct pinned *p = pinned_new(3, nr);

    assert_non_null(p);
    p->release = release;
    for (unsigned int i = 0; i < nr; i++) {
        unsigned int page = (first + i) % PAGES;

        pinned_add(p, page, offset, bytes)->maddr = (paddr_t)guest[page] + offset;
    }
    return p;
}

/* Writes all of it, by reference. */
static void put(const void *data, size_t n)
{
    for (size_t at = 0; at < n && s;) {
        size_t k = stream_write(s, (const char *)data + at, n - at, STREAM_REF | STREAM_MORE);

        at += k;
        if (at < n)
            run_for(100);
    }
}

static void put_pinned(const struct pinned *p)
{
    for (uint32_t at = 0, n; at < p->bytes; at += n) {
        paddr_t maddr;

        (void)pinned_find(pinned_addr(p, at), &maddr, &n);
        memcpy(sent + nr_sent, (const void *)maddr, n);
        nr_sent += n;
    }
    put(pinned_addr(p, 0), p->bytes);
}

static void put_own(const void *data, size_t n)
{
    memcpy(sent + nr_sent, data, n);
    nr_sent += n;
    put(data, n);
}

static void flush(void)
{
    if (s)
        (void)stream_write(s, "", 0, 0);
}

static void end(struct pinned **sets, unsigned int nr)
{
    for (unsigned int i = 0; i < 600 && s && acked < nr_sent; i++)
        run_for(200);
    assert_int_equal(nr_got, nr_sent);
    assert_int_equal(acked, nr_sent);
    assert_memory_equal(got, sent, nr_sent);
    empty_card();
    for (unsigned int i = 0; i < nr; i++)
        assert_true(pinned_put(sets[i]));
    stream_abort(s);
    run_for(1000);
}

/* ------------------------------------------------------------------ the tests */

#define SETS 60

/* Requests of headers and data, `nr` pieces each. Nearly every window is open for large segments soon. */
static void requests(unsigned int nr, unsigned int offset, unsigned int bytes)
{
    static uint8_t header[SETS][28];
    struct pinned *sets[SETS];

    for (unsigned int i = 0; i < SETS; i++) {
        random_bytes(header[i], sizeof(header[i]));
        sets[i] = pin(i * nr, nr, offset, bytes);
        put_own(header[i], sizeof(header[i]));
        put_pinned(sets[i]);
        if (i % 7 == 0)
            flush();
    }
    flush();
    end(sets, SETS);
}

static void by_dma(void **unused)
{
    connect(ALL);
    requests(16, 0, 4096);
    assert_int_equal(copied, 0);
    assert_int_equal(frames_pinned, frames_data);
    connect(ALL);
    requests(5, 512, 3072);             /* three or four in two frames */
    assert_int_equal(copied, 0);
    assert_int_equal(frames_pinned, frames_data);
    connect(ALL);
    requests(30, 1536, 512);            /* more pieces than two frames hold, once segments are large */
    assert_true(frames_pinned < frames_data);
    assert_true(copied > 0);
}

static void copied_else(void **unused)
{
    static const uint32_t less[] = { 0, ALL & ~PORT_CSUM, ALL & ~PORT_DMA, ALL & ~PORT_SG, PORT_SG | PORT_GRANT };

    for (unsigned int i = 0; i < ARRAY_SIZE(less); i++) {
        connect(less[i]);
        requests(8, 0, 4096);
        assert_int_equal(frames_pinned, 0);
        assert_true(copied >= SETS * 8 * 4096ul);
    }
    connect(ALL & ~PORT_TSO4);
    requests(8, 0, 4096);
    assert_true(copied > 0);
}

static void losses(void **unused)
{
    connect(ALL);
    lose_one_in = 4;
    requests(16, 0, 4096);
    lose_one_in = 0;
    assert_int_equal(frames_pinned, frames_data);
}

/* A window that is closed, then one smaller than what waits; lwIP asks with a byte, and cuts. */
static void closed_window(void **unused)
{
    struct pinned *sets[2];

    connect(ALL);
    sets[0] = pin(0, 16, 0, 4096);
    sets[1] = pin(16, 16, 0, 4096);
    close_at = 16 * 4096;
    put_pinned(sets[0]);
    flush();
    run_for(2000);
    assert_int_equal(window, 0);
    put_pinned(sets[1]);
    flush();
    run_for(30000);
    assert_true(copied > 0 && copied < 64);
    close_at = ~0ul;
    window = 3008;
    send_ack();
    run_for(2000);
    window = 256 << 10;
    send_ack();
    end(sets, 2);
}

static void on_failed(void *arg)
{
    stream_mute(s);
}

/* The same, but the guest has taken its grants back: nothing is said in the data's place. */
static void unreadable(void **unused)
{
    struct pinned *set;
    unsigned long before;

    connect(ALL);
    set = pin(0, 16, 0, 4096);
    close_at = 16 * 4096;
    put_pinned(set);
    flush();
    run_for(2000);
    assert_int_equal(window, 0);
    pinned_get(set);
    set->failed = on_failed;
    put_pinned(set);
    flush();
    run_for(100);
    revoked = true;
    before = frames_data;
    run_for(30000);
    assert_true(set->unreadable);
    assert_int_equal(frames_data, before);
    stream_abort(s);
    assert_true(is_reset);
    run_for(1000);
    empty_card();
    assert_false(pinned_put(set));
    assert_true(pinned_put(set));
    /* Others are heard. */
    connect(ALL);
    requests(4, 0, 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_dma), cmocka_unit_test(copied_else), cmocka_unit_test(losses),
        cmocka_unit_test(closed_window), cmocka_unit_test(unreadable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
