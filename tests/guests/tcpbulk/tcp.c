/* SPDX-License-Identifier: MIT */
/*
 * tcp.c - as much of TCP (RFC 9293) as a bulk transfer needs: no congestion control, since there is nobody to share a
 * bridge with; no reassembly, what is not the next is dropped and acknowledged again. Segments are as large as
 * segmentation offload takes.
 */
#include "tests/guests/tcpbulk/tcp.h"
#include "lib/string.h"
#include "netback/csum.h"
#include "netback/headers.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/time.h"

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define PSH 0x08
#define ACK 0x10

#define HEADERS    54               /* Ethernet, IPv4, TCP without options */
#define MSS        1460
#define PAGES_MAX  15               /* of a segment; they fit into an extent */
#define SHIFT      7                /* of the window that we offer */
#define WINDOW     (255u * 4096)    /* bytes: as much as the pages that are on offer */
#define RTO        (200 * NS_PER_MS)

struct tcp {
    struct netfront *nf;
    uint8_t *pool;                  /* its page 0; the others follow */
    const struct tcp_user *user;
    uint8_t mac[6], peer_mac[6];
    uint32_t ip, peer_ip;
    uint16_t port, peer_port;
    enum tcp_state state;
    bool have_mac, fin_seen, ack_due, connecting;
    uint32_t iss, irs;              /* first sequence numbers */
    uint64_t bytes;                 /* to be sent */
    uint64_t next, acked, high;     /* stream offsets: to send next, acknowledged, ever sent */
    uint64_t received;              /* stream offset of what should come */
    uint32_t peer_window;
    unsigned int peer_shift, drop, seen;
    uint64_t resent;
    struct timer timer;
    struct work work;
};

/* A checksum's sum is in memory order already. */
static void put_sum(uint8_t *p, uint16_t sum)
{
    memcpy(p, &sum, sizeof(sum));
}

/* Sending -------------------------------------------------------------------------------------- */

/* Sequence number of a stream offset that we send. */
static uint32_t seq_of(const struct tcp *t, uint64_t offset)
{
    return t->iss + 1 + (uint32_t)offset;
}

static void headers(struct tcp *t, uint8_t *h, unsigned int len, unsigned int tcp_len, uint8_t flags,
                    uint32_t seq)
{
    uint8_t rest[4] = { 0, IP_P_TCP };      /* of the pseudo-header, behind the addresses */

    memset(h, 0, NETFRONT_HEAD_MAX);
    memcpy(h, t->peer_mac, 6);
    memcpy(h + 6, t->mac, 6);
    put_be16(h + 12, 0x0800);
    h[14] = 0x45;
    put_be16(h + 16, (uint16_t)(len - 14));
    h[20] = 0x40;
    h[22] = 64;
    h[23] = 6;
    put_be32(h + 26, t->ip);
    put_be32(h + 30, t->peer_ip);
    put_sum(h + 24, (uint16_t)~csum_fold(csum_add(0, h + 14, 20)));
    put_be16(h + 34, t->port);
    put_be16(h + 36, t->peer_port);
    put_be32(h + 38, seq);
    if (flags & ACK)
        put_be32(h + 42, t->irs + 1 + (uint32_t)t->received + t->fin_seen);
    h[46] = (uint8_t)(tcp_len / 4 << 4);
    h[47] = flags;
    put_be16(h + 48, flags & SYN ? 65535 : WINDOW >> SHIFT);
    /* The pseudo-header's sum: whoever puts the frame on a wire completes it. */
    put_be16(rest + 2, (uint16_t)(len - 34));
    put_sum(h + 50, csum_fold(csum_add(csum_add(0, h + 26, 8), rest, sizeof(rest))));
}

/* A segment without data. */
static bool send_flags(struct tcp *t, uint8_t flags, uint32_t seq)
{
    uint8_t h[NETFRONT_HEAD_MAX] __aligned(8);
    unsigned int options = flags & SYN ? 8 : 0;
    struct netfront_frame f = { .head = h, .flags = NETFRONT_CSUM_BLANK };

    f.len = f.head_len = (uint16_t)(HEADERS + options);
    headers(t, h, f.len, 20 + options, flags, seq);
    if (options) {
        put_be32(h + 54, 0x02040000 | MSS);
        put_be32(h + 58, 0x01030300 | SHIFT);
    }
    return netfront_send(t->nf, &f);
}

static void put_pages(struct tcp *t, const struct netfront_frame *f)
{
    for (const struct netfront_frag *g = f->frag, *end = g + f->nr_frags; g != end; g++)
        netfront_page_put(t->nf, g->page);
}

/* The next segment with data; false: no page, or no slot. */
static bool send_data(struct tcp *t, unsigned int len)
{
    uint8_t h[NETFRONT_HEAD_MAX] __aligned(8);
    struct netfront_frame f = { .head = h, .head_len = HEADERS, .flags = NETFRONT_CSUM_BLANK };
    unsigned int left = len;
    bool last = t->next + len == t->bytes;

    f.len = (uint16_t)(HEADERS + len);
    if (len > MSS) {
        f.flags |= NETFRONT_GSO_TCPV4;
        f.gso_size = MSS;
    }
    headers(t, h, f.len, 20, ACK | (last ? PSH : 0), seq_of(t, t->next));
    while (left) {
        bool big = left > PAGE_SIZE && netfront_extents(t->nf);
        unsigned int here = big ? left : MIN(left, (unsigned int)PAGE_SIZE);
        int page = big ? netfront_extent_get(t->nf) : netfront_page_get(t->nf);

        if (page < 0) {
            put_pages(t, &f);
            return false;
        }
        for (unsigned int k = 0; k < here; k += PAGE_SIZE)
            t->user->fill(t->pool + (size_t)page * PAGE_SIZE + k, MIN(here - k, (unsigned int)PAGE_SIZE), t->next + len - left + k);
        f.frag[f.nr_frags++] = (struct netfront_frag){ (uint16_t)page, 0, (uint16_t)here };
        left -= here;
    }
    if (!netfront_send(t->nf, &f)) {
        put_pages(t, &f);
        return false;
    }
    if (t->next < t->high)
        t->resent++;
    t->next += len;
    t->high = MAX(t->high, t->next);
    t->ack_due = false;
    return true;
}

static void ask_arp(struct tcp *t)
{
    uint8_t h[NETFRONT_HEAD_MAX] __aligned(8) = { 0 };
    struct netfront_frame f = { .head = h, .len = 60, .head_len = 60 };

    memset(h, 0xff, 6);
    memcpy(h + 6, t->mac, 6);
    put_be32(h + 12, 0x08060001);
    put_be32(h + 16, 0x08000604);
    put_be16(h + 20, 1);
    memcpy(h + 22, t->mac, 6);
    put_be32(h + 28, t->ip);
    put_be32(h + 38, t->peer_ip);
    (void)netfront_send(t->nf, &f);
}

/* Whatever may be sent now. */
static void push(struct work *w)
{
    struct tcp *t = container_of(w, struct tcp, work);

    if (t->state == TCP_SYN_SENT && !t->have_mac)
        ask_arp(t);
    else if (t->state == TCP_SYN_SENT)
        (void)send_flags(t, SYN, t->iss);
    while (t->state == TCP_OPEN && t->next < t->bytes) {
        uint64_t most = t->acked + t->peer_window - t->next;
        unsigned int len = (unsigned int)MIN(t->bytes - t->next, (uint64_t)PAGES_MAX * PAGE_SIZE);

        /* Offsets stay multiples of the page, so that pages are full. */
        if (t->acked + t->peer_window < t->next)
            break;
        if (most < len)
            len = (unsigned int)(most & ~(uint64_t)(PAGE_SIZE - 1));
        if (!len || !send_data(t, len))
            break;
    }
    if (t->connecting && t->state == TCP_OPEN && t->next == t->bytes &&
        send_flags(t, FIN | ACK, seq_of(t, t->bytes)))
        t->state = TCP_FIN_SENT;
    if (t->ack_due && t->state >= TCP_OPEN && send_flags(t, ACK, seq_of(t, t->next) + (t->state == TCP_FIN_SENT)))
        t->ack_due = false;
    if (t->state != TCP_LISTEN && t->state != TCP_CLOSED && t->connecting && !timer_is_set(&t->timer))
        timer_set_after(&t->timer, RTO);
}

/* Nothing was acknowledged for a while: from there again. */
static void timeout(struct timer *timer)
{
    struct tcp *t = container_of(timer, struct tcp, timer);

    if (t->state == TCP_FIN_SENT)
        t->state = TCP_OPEN;
    t->next = t->acked;
    work_queue(&t->work);
}

/* Receiving ------------------------------------------------------------------------------------ */

static void take_ack(struct tcp *t, uint32_t ack, uint32_t window)
{
    uint32_t more = ack - seq_of(t, t->acked);

    t->peer_window = window;
    if (!more || more > t->high - t->acked + 1)
        return;
    t->acked = MIN(t->acked + more, t->bytes);
    t->next = MAX(t->next, t->acked);
    timer_cancel(&t->timer);
    if (t->state == TCP_FIN_SENT && ack == seq_of(t, t->bytes) + 1 && t->fin_seen)
        t->state = TCP_CLOSED;
    work_queue(&t->work);
}

/* The data of a segment that begins at byte `at` of the frame. */
static void take_data(struct tcp *t, const struct netfront_frame *f, unsigned int at, unsigned int len)
{
    unsigned int here = MIN(f->head_len > at ? f->head_len - at : 0, len);
    uint64_t received = t->received;

    t->user->check(f->head + at, here, received);
    received += here;
    len -= here;
    for (const struct netfront_frag *g = f->frag, *end = g + f->nr_frags; g != end && len; g++) {
        const uint8_t *p = t->pool + (size_t)g->page * PAGE_SIZE + g->offset;

        for (unsigned int left = MIN((unsigned int)g->len, len), n; left; left -= n, p += n) {
            n = MIN(left, (unsigned int)(PAGE_SIZE - ((uintptr_t)p & (PAGE_SIZE - 1))));
            t->user->check(p, n, received);
            received += n;
            len -= n;
        }
    }
    t->received = received;
}

static unsigned int window_shift(const uint8_t *h, unsigned int from, unsigned int to)
{
    while (from + 2 < to && h[from]) {
        if (h[from] == 3)
            return MIN((unsigned int)h[from + 2], 14u);
        from += h[from] == 1 ? 1 : MAX((unsigned int)h[from + 1], 2u);
    }
    return 0;
}

static void take_syn(struct tcp *t, const uint8_t *h, unsigned int data_at, uint8_t flags)
{
    t->irs = get_be32(h + 38);
    t->peer_shift = window_shift(h, HEADERS, MIN(data_at, (unsigned int)NETFRONT_HEAD_MAX));
    t->peer_window = get_be16(h + 48);
    t->received = t->next = t->acked = t->high = 0;
    t->fin_seen = false;
    if (t->state == TCP_SYN_SENT && (flags & ACK) && get_be32(h + 42) == t->iss + 1) {
        t->state = TCP_OPEN;
        t->ack_due = true;
        timer_cancel(&t->timer);
        work_queue(&t->work);
        return;
    }
    memcpy(t->peer_mac, h + 6, 6);
    t->peer_ip = get_be32(h + 26);
    t->peer_port = (uint16_t)get_be16(h + 34);
    t->state = TCP_SYN_RECEIVED;
    (void)send_flags(t, SYN | ACK, t->iss);
}

static void take_segment(struct tcp *t, const struct netfront_frame *f)
{
    const uint8_t *h = f->head;
    unsigned int at = HEADERS - 20 + (h[46] >> 4) * 4u, end = get_be16(h + 16) + 14;
    uint8_t flags = h[47];
    uint32_t seq = get_be32(h + 38);

    if (h[14] != 0x45 || get_be16(h + 36) != t->port || get_be32(h + 30) != t->ip || at > end || end > f->len ||
        at < HEADERS || at > NETFRONT_HEAD_MAX)
        return;
    if (flags & SYN) {
        if (t->state == TCP_SYN_SENT || t->state == TCP_LISTEN || t->state == TCP_SYN_RECEIVED)
            take_syn(t, h, at, flags);
        return;
    }
    if (t->state < TCP_SYN_RECEIVED || get_be16(h + 34) != t->peer_port || get_be32(h + 26) != t->peer_ip)
        return;
    if (flags & RST) {
        t->state = TCP_CLOSED;
        return;
    }
    if (t->state == TCP_SYN_RECEIVED && get_be32(h + 42) == t->iss + 1)
        t->state = TCP_OPEN;
    if (seq == t->irs + 1 + (uint32_t)t->received && !t->fin_seen) {
        take_data(t, f, at, end - at);
        t->fin_seen = flags & FIN;
    }
    if (end != at || (flags & FIN)) {
        t->ack_due = true;
        work_queue(&t->work);
    }
    if (flags & ACK)
        take_ack(t, get_be32(h + 42), (uint32_t)get_be16(h + 48) << t->peer_shift);
    /* A receiver has nothing to say and closes when the other has; a lost last ACK is its problem. */
    if (t->fin_seen && !t->connecting) {
        (void)send_flags(t, FIN | ACK, seq_of(t, 0));
        t->state = TCP_CLOSED;
    } else if (t->fin_seen && t->state == TCP_FIN_SENT && t->acked == t->bytes) {
        (void)send_flags(t, ACK, seq_of(t, t->bytes) + 1);
        timer_cancel(&t->timer);
        t->state = TCP_CLOSED;
    }
}

static void take_arp(struct tcp *t, const struct netfront_frame *f)
{
    uint8_t h[NETFRONT_HEAD_MAX] __aligned(8) = { 0 };
    struct netfront_frame out = { .head = h, .len = 60, .head_len = 60 };

    if (f->head_len < 42 || get_be32(f->head + 38) != t->ip)
        return;
    if (get_be16(f->head + 20) == 2 && get_be32(f->head + 28) == t->peer_ip && !t->have_mac) {
        memcpy(t->peer_mac, f->head + 22, 6);
        t->have_mac = true;
        work_queue(&t->work);
        return;
    }
    memcpy(h, f->head + 6, 6);
    memcpy(h + 6, t->mac, 6);
    memcpy(h + 12, f->head + 12, 8);
    put_be16(h + 20, 2);
    memcpy(h + 22, t->mac, 6);
    put_be32(h + 28, t->ip);
    memcpy(h + 32, f->head + 22, 10);
    (void)netfront_send(t->nf, &out);
}

static void receive(void *arg, const struct netfront_frame *f)
{
    struct tcp *t = arg;

    if (f->head_len >= 42 && get_be16(f->head + 12) == 0x0806)
        take_arp(t, f);
    else if (f->head_len >= HEADERS && get_be16(f->head + 12) == 0x0800 && f->head[23] == 6 &&
             (!t->drop || ++t->seen % t->drop))
        take_segment(t, f);
    put_pages(t, f);
}

static void room(void *arg)
{
    struct tcp *t = arg;

    work_queue(&t->work);
}

static void link_changed(void *arg, bool up)
{
    struct tcp *t = arg;

    if (up && t->state == TCP_DOWN && t->connecting)
        t->state = TCP_SYN_SENT;
    work_queue(&t->work);
}

/* ------------------------------------------------------------------------------------------------ */

struct tcp *bulk_open(unsigned int flags, uint32_t ip, unsigned int drop, const struct tcp_user *user)
{
    static const struct netfront_ops ops = { .receive = receive, .room = room, .link = link_changed };
    struct tcp *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->ip = ip;
    t->user = user;
    t->drop = drop;
    work_init(&t->work, push);
    timer_init(&t->timer, timeout);
    t->nf = netfront_open(0, flags, &ops, t);
    if (!t->nf)
        return NULL;
    netfront_mac(t->nf, t->mac);
    t->pool = netfront_page_va(t->nf, 0);
    return t;
}

void bulk_connect(struct tcp *t, uint32_t to, uint16_t port, uint64_t bytes)
{
    t->peer_ip = to;
    t->peer_port = port;
    t->port = 40000;
    t->bytes = bytes;
    t->iss = random_u32();
    t->connecting = true;
    t->state = netfront_is_up(t->nf) ? TCP_SYN_SENT : TCP_DOWN;
    work_queue(&t->work);
}

void bulk_listen(struct tcp *t, uint16_t port)
{
    t->port = port;
    t->iss = random_u32();
    t->bytes = 0;
    t->state = TCP_LISTEN;
}

enum tcp_state bulk_state(const struct tcp *t)
{
    return t->state;
}

uint64_t bulk_acked(const struct tcp *t)
{
    return t->acked;
}

uint64_t bulk_resent(const struct tcp *t)
{
    return t->resent;
}
