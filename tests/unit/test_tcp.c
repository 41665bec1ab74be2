/* SPDX-License-Identifier: MIT */
/*
 * test_tcp.c - dom0's TCP under storms: clients that do all that the protocol forbids, floods of SYNs, no memory. lwIP's lists
 * stay in order, nothing is lost for ever, and in between the address answers and a new connection works.
 */
/* LINK: toolstack/net/handshake.c toolstack/net/syncookie.c toolstack/net/isn.c toolstack/net/bigseg.c toolstack/net/csum.c */
/* LINK: tests/unit/fakes/nohost.c */
/* LINK: toolstack/net/link.c toolstack/net/linkout.c toolstack/net/netif.c toolstack/net/stream.c toolstack/net/addr.c toolstack/net/orphans.c */
/* LINK: netback/frame.c */
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
#include "runtime/pagetable.h"
#include "runtime/pinned.h"
#include "runtime/stream.h"
#include "runtime/time.h"
#include "tests/unit/fakes/lwipmem.h"
#include "toolstack/net/internal.h"
#include "toolstack/net/net.h"
#include "lwip/priv/tcp_priv.h"

#define HOST_IP  0x0a0900feu        /* 10.9.0.254 */
#define GOOD_IP  0x0a090007u        /* 10.9.0.7 */
#define PORT     443
#define ETH_IP   0x0800
#define ETH_ARP  0x0806
#define FIN      1u
#define SYN      2u
#define RST      4u
#define PSH      8u
#define ACK      16u

/* ------------------------------------------------------------------ around dom0's TCP */

static uint64_t clock_ns = 1000 * NS_PER_S;
static struct port *host;
static struct port wire = { .name = "nic0", .caps = PORT_UPLINK };
static long allocated;              /* by lwIP */
static unsigned int fail_one_in;    /* allocations; 0: none */

static unsigned int any(unsigned int n)
{
    return (unsigned int)rand() % n;
}

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
    if (fail_one_in && any(fail_one_in) == 0)
        return NULL;
    allocated++;
    return malloc(n);
}

void *lwip_test_calloc(size_t n, size_t size)
{
    void *p = lwip_test_malloc(n * size);

    return p ? memset(p, 0, n * size) : NULL;
}

void lwip_test_free(void *p)
{
    allocated--;
    free(p);
}

void *page_alloc(void)
{
    if (fail_one_in && any(fail_one_in) == 0)
        return NULL;
    return aligned_alloc(PAGE_SIZE, PAGE_SIZE);
}

/* Nothing is pinned: no card takes pages of guests. */
uint32_t port_caps_to(const struct port *p, const uint8_t mac[6])
{
    return 0;
}

struct pinned *pinned_by_id(uint16_t id)
{
    return NULL;
}

struct pinned *pinned_find(const void *addr, paddr_t *maddr, uint32_t *bytes)
{
    return NULL;
}

bool pinned_read(void *to, const void *addr, size_t n)
{
    return false;
}

int port_join(struct port *p, struct bridge *b)
{
    host = p;
    return 0;
}

static void run_for(uint64_t ms)
{
    for (uint64_t t = 0; t <= ms; t += 50) {
        for (unsigned int i = 0; i < 12; i++)
            loop_turn(false);
        clock_ns += MIN(ms - t + 1, (uint64_t)50) * NS_PER_MS;
    }
}

/* ------------------------------------------------------------------ clients */

/* What a client knows of its connection; all of it may be wrong. */
struct client {
    uint32_t ip, seq, ack;          /* next to send, next expected */
    uint16_t port;
    bool open, echoed;
};

#define CLIENTS 48
static struct client clients[CLIENTS], good;
static bool arp_answered;
static unsigned long answers, opened, resets;

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

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static unsigned int get16(const uint8_t *p)
{
    return (unsigned int)(p[0] << 8 | p[1]);
}

static void nobody_waits(struct frame *f)
{
    free(f->head);
    free(f);
}

/* A frame of type `type` from a station arrives; noise: some of its bits may be wrong. */
static void arrives(unsigned int type, uint32_t station, const uint8_t *body, unsigned int len, bool noise)
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
    put32(f->head + 8, station);
    put16(f->head + 12, type);
    memcpy(f->head + 14, body, len);
    for (unsigned int i = noise ? 1 + any(3) : 0; i; i--)
        f->head[14 + any(len)] ^= (uint8_t)(1u << any(8));
    host->send(host, f);
    frame_put(f);
}

static void segment(uint32_t ip, uint16_t port, unsigned int flags, uint32_t seq, uint32_t ack, unsigned int payload)
{
    static const uint8_t options[12] = { 2, 4, 5, 180, 1, 3, 3, 7, 1, 1, 4, 2 };
    unsigned int opt = flags & SYN && any(8) ? sizeof(options) : 0, len = 40 + opt + payload;
    uint8_t p[40 + 12 + 3000] = { 0x45, [8] = 64, [9] = 6 };
    uint16_t sum;

    put16(p + 2, len);
    put32(p + 12, ip);
    put32(p + 16, HOST_IP);
    sum = (uint16_t)~net_chksum(p, 20);
    memcpy(p + 10, &sum, 2);
    put16(p + 20, port);
    put16(p + 22, PORT);
    put32(p + 24, seq);
    put32(p + 28, ack);
    p[32] = (uint8_t)((20 + opt) / 4 << 4);
    p[33] = (uint8_t)flags;
    put16(p + 34, any(16) ? 64000 : any(3000));
    memcpy(p + 40, options, opt);
    memset(p + 40 + opt, 'x', payload);
    arrives(ETH_IP, ip, p, len, any(200) == 0);
}

static void arp(unsigned int op, uint32_t from, uint32_t to)
{
    uint8_t p[28] = { 0, 1, 8, 0, 6, 4, 0, (uint8_t)op, 0x52, 0x54 };

    put32(p + 10, from);
    put32(p + 14, from);
    put32(p + 24, to);
    arrives(ETH_ARP, from, p, sizeof(p), false);
}

static void client_hears(struct client *c, const uint8_t *tcp, unsigned int payload)
{
    unsigned int flags = tcp[13];

    if (flags & RST) {
        resets++;
        c->open = false;
        return;
    }
    c->ack = get32(tcp + 4) + payload + !!(flags & SYN) + !!(flags & FIN);
    if (flags & SYN) {
        c->seq = get32(tcp + 8);
        c->open = true;
    }
    c->echoed |= payload > 0;
}

static struct client *client_of(uint32_t ip, unsigned int port)
{
    if (good.ip == ip && good.port == port)
        return &good;
    for (unsigned int i = 0; i < CLIENTS; i++) {
        if (clients[i].ip == ip && clients[i].port == port)
            return &clients[i];
    }
    return NULL;
}

/* What dom0 sends. */
void port_receive(struct port *p, struct frame **frames, unsigned int n)
{
    const uint8_t *h = frames[0]->head, *ip = h + 14, *tcp = ip + 20;
    struct client *c;

    assert_int_equal(n, 1);
    answers++;
    if (get16(h + 12) == ETH_ARP) {
        if (ip[7] == 2)
            arp_answered = true;
        else if (any(2))
            arp(2, get32(ip + 24), HOST_IP);
        return;
    }
    assert_int_equal(get16(h + 12), ETH_IP);
    assert_int_equal(get32(ip + 12), HOST_IP);
    c = ip[9] == 6 ? client_of(get32(ip + 16), get16(tcp + 2)) : NULL;
    if (c)
        client_hears(c, tcp, get16(ip + 2) - 20 - (tcp[12] >> 4) * 4u);
}

static void client_acts(struct client *c)
{
    unsigned int what = any(20), len = any(1400);

    switch (c->open ? what : 18) {
    case 0: case 1: case 2: case 3: case 4:
        segment(c->ip, c->port, ACK | PSH, c->seq, c->ack, len);
        c->seq += len;
        break;
    case 5:                                             /* twice, or parts of it */
        segment(c->ip, c->port, ACK, c->seq - any(2000), c->ack, len);
        break;
    case 6:                                             /* too early */
        segment(c->ip, c->port, ACK, c->seq + 1 + any(20000), c->ack, len);
        break;
    case 7:
        segment(c->ip, c->port, FIN | ACK, c->seq, c->ack, any(2) ? 0 : len);
        break;
    case 8:
        segment(c->ip, c->port, RST, c->seq + (any(3) ? 0 : any(5000)), 0, 0);
        break;
    case 9:                                             /* acknowledges what nobody sent */
        segment(c->ip, c->port, ACK, c->seq, c->ack + random_u32() % 100000, 0);
        break;
    case 10:                                            /* forgets it, and begins anew from the same port */
        c->open = false;
        break;
    case 11:
        segment(c->ip, c->port, any(64), random_u32(), random_u32(), any(100));
        break;
    case 12:
        segment(c->ip, c->port, SYN | (any(2) ? ACK : 0) | (any(2) ? FIN : 0), c->seq, c->ack, any(10));
        break;
    case 18:
        c->seq = random_u32();
        segment(c->ip, c->port, SYN, c->seq++, 0, 0);
        break;
    default:
        segment(c->ip, c->port, ACK, c->seq, c->ack, 0);
    }
}

static void flood(unsigned int n)
{
    while (n--) {
        uint32_t ip = any(2) ? 0x0a090064u + any(130) : 0xc6120001u + any(60000);

        segment(ip, (uint16_t)(1024 + any(60000)), SYN, random_u32(), 0, 0);
    }
}

/* ------------------------------------------------------------------ the server behind it */

#define CONNS 100
static struct conn { struct stream *s; uint64_t since; bool good; } conns[CONNS];

static size_t on_received(void *arg, const uint8_t *data, size_t len)
{
    struct conn *c = arg;
    size_t n = c->good || any(4) ? len : any((unsigned int)len + 1);

    if (!c->good && any(40) == 0) {
        struct stream *s = c->s;

        c->s = NULL;
        if (any(2))
            stream_close(s);
        else
            stream_abort(s);
        return len;
    }
    (void)stream_write(c->s, data, n, c->good || any(2) ? 0 : STREAM_MORE);
    return n;
}

static void on_closed(void *arg, int rc)
{
    ((struct conn *)arg)->s = NULL;
}

static void on_finished(void *arg)
{
    struct conn *c = arg;

    if (any(4) == 0)
        return;
    stream_close(c->s);
    c->s = NULL;
}

static void on_writable(void *arg)
{
}

static const struct stream_events events[2] = {
    { .received = on_received, .closed = on_closed, .finished = on_finished, .writable = on_writable },
    { .received = on_received, .closed = on_closed },
};

/* When there is no room the oldest goes. */
static int on_accept(void *arg, struct stream *s, struct stream_addr peer)
{
    struct conn *c = conns;

    assert_int_equal(peer.ip != 0, 1);
    if (peer.ip != GOOD_IP && any(50) == 0)
        return -XEN_EBUSY;
    for (unsigned int i = 1; i < CONNS && c->s; i++) {
        if (!conns[i].s || conns[i].since < c->since)
            c = &conns[i];
    }
    if (c->s)
        stream_abort(c->s);
    *c = (struct conn){ .s = s, .since = clock_ns, .good = peer.ip == GOOD_IP };
    stream_set_events(s, &events[any(2)], c);
    opened++;
    return 0;
}

static void server_acts(void)
{
    static const uint8_t data[60000];
    struct conn *c = &conns[any(CONNS)];
    struct stream *s = c->s;

    if (!s)
        return;
    switch (any(12)) {
    case 0:
        c->s = NULL;
        stream_close(s);
        break;
    case 1:
        c->s = NULL;
        stream_abort(s);
        break;
    case 2: case 3:
        (void)stream_write(s, data, any(3) ? any(3000) : any(sizeof(data)), 0);
        break;
    default:
        stream_resume(s);
    }
}

/* ------------------------------------------------------------------ what must hold */

#define PCBS_MAX 20000
static const struct tcp_pcb *seen[PCBS_MAX];
static unsigned int nr_seen;

static int by_address(const void *a, const void *b)
{
    const struct tcp_pcb *x = *(const struct tcp_pcb *const *)a, *y = *(const struct tcp_pcb *const *)b;

    return x < y ? -1 : x > y;
}

static int by_peer(const void *a, const void *b)
{
    const struct tcp_pcb *x = *(const struct tcp_pcb *const *)a, *y = *(const struct tcp_pcb *const *)b;

    if (x->remote_ip.addr != y->remote_ip.addr)
        return x->remote_ip.addr < y->remote_ip.addr ? -1 : 1;
    return (int)x->remote_port - (int)y->remote_port;
}

static void walk(const struct tcp_pcb *p, bool waits)
{
    for (; p; p = p->next) {
        assert_true(nr_seen < PCBS_MAX);
        assert_int_equal(p->state == TIME_WAIT, waits);
        assert_true(p->state != CLOSED && p->state != LISTEN);
        seen[nr_seen++] = p;
    }
}

/* Each connection is on one list, once, and there is one for each pair of addresses. */
static void check_lists(void)
{
    unsigned int pending = 0;

    nr_seen = 0;
    walk(tcp_active_pcbs, false);
    walk(tcp_tw_pcbs, true);
    for (unsigned int i = 0; i < nr_seen; i++)
        pending += !!(seen[i]->flags & TF_BACKLOGPEND);
    assert_ptr_equal(tcp_listen_pcbs.listen_pcbs->next, NULL);
    assert_int_equal(tcp_listen_pcbs.listen_pcbs->accepts_pending, pending);
    qsort(seen, nr_seen, sizeof(*seen), by_address);
    for (unsigned int i = 1; i < nr_seen; i++)
        assert_ptr_not_equal(seen[i], seen[i - 1]);
    qsort(seen, nr_seen, sizeof(*seen), by_peer);
    for (unsigned int i = 1; i < nr_seen; i++)
        assert_int_not_equal(by_peer(&seen[i], &seen[i - 1]), 0);
}

/* A well-behaved client gets its answers: its address one, its connection one. */
static void still_answers(bool flooded)
{
    static uint16_t port = 20000;

    arp_answered = false;
    arp(1, GOOD_IP, HOST_IP);
    run_for(0);
    assert_true(arp_answered);
    good = (struct client){ .ip = GOOD_IP, .port = port++, .seq = random_u32() };
    for (unsigned int i = 0; i < 30 && !good.echoed; i++) {
        struct client before = good;

        if (flooded)
            flood(40);
        if (good.open)
            segment(good.ip, good.port, ACK | PSH, good.seq, good.ack, 1);
        else
            segment(good.ip, good.port, SYN, good.seq, 0, 0);
        run_for(10);
        assert_false(before.open && !good.open);
        run_for(200);
    }
    assert_true(good.echoed);
    segment(good.ip, good.port, RST, good.seq, 0, 0);
    segment(good.ip, good.port, RST, good.seq + 1, 0, 0);
    good.ip = 0;
}

static void start(void)
{
    static const struct net_config config = {
        .ip = HOST_IP, .mask = 0xffffff00, .gateway = 0x0a090001, .mac = { 2, 0, 0, 0, 0, 1 },
    };
    struct stream_net *net = net_streams();

    assert_int_equal(net_start(NULL, &config), 0);
    assert_int_equal(net->listen(net->ctx, PORT, on_accept, NULL), 0);
    for (unsigned int i = 0; i < CLIENTS; i++)
        clients[i] = (struct client){ .ip = 0x0a090002u + i % 4, .port = (uint16_t)(1000 + i) };
    run_for(5000);
}

/* All that was open is closed, and everybody has lost patience. */
static void calm(void)
{
    fail_one_in = 0;
    for (unsigned int i = 0; i < CONNS; i++) {
        struct stream *s = conns[i].s;

        conns[i].s = NULL;
        if (s)
            stream_close(s);
    }
    for (unsigned int m = 0; m < 90 && (tcp_active_pcbs || tcp_tw_pcbs || m < 8); m++)
        run_for(60000);
    check_lists();
    assert_null(tcp_active_pcbs);
    assert_null(tcp_tw_pcbs);
}

static void storms(void **state)
{
    long quiet;

    srand(1);
    start();
    still_answers(false);
    calm();
    quiet = allocated;
    for (unsigned int storm = 0; storm < 24; storm++) {
        fail_one_in = storm % 3 == 2 ? 2 + any(40) : 0;
        for (unsigned int step = 0; step < 1500; step++) {
            for (unsigned int i = any(8); i; i--)
                client_acts(&clients[any(CLIENTS)]);
            if (storm % 2 && any(4) == 0)
                flood(any(60));
            server_acts();
            run_for(any(200) ? any(20) : any(30000));
            if (step % 16 == 0)
                check_lists();
        }
        fail_one_in = 0;
        check_lists();
        still_answers(storm % 2);
        if (storm % 4 == 3) {
            calm();
            assert_int_equal(allocated, quiet);
        }
    }
    printf("%lu frames sent, %lu connections, %lu resets\n", answers, opened, resets);
    assert_true(opened > 1000 && resets > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(storms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
