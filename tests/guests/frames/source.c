/* SPDX-License-Identifier: MIT */
/* source.c - sends frames of each size, and round trips, to a sink or a reflector. */
#include "tests/guests/frames/content.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/start.h"
#include "runtime/time.h"
#include "runtime/xs.h"

static struct {
    unsigned int size, at;      /* of the frames sent now */
    uint32_t count, sent, credit, window;
    bool all;
    uint32_t tally_good, tally_bad;
    bool tally, pong;
    struct work work;
} src;

static bool send_data(void)
{
    struct msg m = { .magic = MAGIC, .kind = src.all ? DATA_FULL : DATA, .seq = src.sent,
                     .window = (uint16_t)src.window };
    unsigned int head = src.at + (unsigned int)sizeof(m), left, n = 0;
    struct netfront_frame f = { .head = out_head, .len = (uint16_t)src.size };

    /* Small frames are all head; of others, the message is the last that is in it. */
    f.head_len = (uint8_t)(src.size <= NETFRONT_HEAD_MAX ? src.size : head);
    left = src.size - f.head_len;
    if (src.size > FRAME_MTU) {
        f.flags = NETFRONT_CSUM_BLANK | NETFRONT_GSO_TCPV4;
        f.gso_size = MSS;
    }
    __builtin_memcpy(out_head + src.at, &m, sizeof(m));
    if (src.all)
        fill(out_head + head, f.head_len - head, m.seq, 0, true);
    else if (f.head_len >= head + 8)
        put_word(out_head + head, m.seq, 0);
    while (left) {
        bool big = left > PAGE_SIZE && netfront_extents(nf);
        int page = big ? netfront_extent_get(nf) : netfront_page_get(nf);
        unsigned int here = MIN(left, big ? EXTENT_BYTES : (unsigned int)PAGE_SIZE);

        if (page < 0) {
            put_pages(&f);
            return false;
        }
        for (unsigned int k = 0; k < here; k += PAGE_SIZE)
            fill(page_va((unsigned int)page) + k, MIN(here - k, (unsigned int)PAGE_SIZE), m.seq, n + k, src.all);
        f.frag[f.nr_frags++] = (struct netfront_frag){ (uint16_t)page, 0, (uint16_t)here };
        left -= here;
        n += here;
    }
    if (!netfront_send(nf, &f)) {
        put_pages(&f);
        return false;
    }
    src.sent++;
    return true;
}

/* Frames that are sent together: what is in their heads stays, but for the number and a word made from it. */
static struct {
    struct netfront_frame frame[NETFRONT_BURST];
    uint8_t head[NETFRONT_BURST][NETFRONT_HEAD_MAX] __aligned(16);
    unsigned int n;             /* frames that are made */
    bool extent;                /* what has no room in the head is in one */
} burst;

/* Makes them like the first, which was sent. */
static void make_burst(void)
{
    unsigned int head = src.at + (unsigned int)sizeof(struct msg), data = src.size - head;
    struct netfront_frame f = { .len = (uint16_t)src.size, .head_len = (uint8_t)head };

    if (src.size <= NETFRONT_HEAD_MAX) {
        f.head_len = (uint8_t)src.size;
        data = 0;
    }
    if (src.size > FRAME_MTU) {
        f.flags = NETFRONT_CSUM_BLANK | NETFRONT_GSO_TCPV4;
        f.gso_size = MSS;
    }
    burst.extent = data > PAGE_SIZE && data < EXTENT_BYTES && netfront_extents(nf);
    for (; data; data -= f.frag[f.nr_frags++].len)
        f.frag[f.nr_frags].len = (uint16_t)MIN(data, burst.extent ? data : (unsigned int)PAGE_SIZE);
    burst.n = f.nr_frags > 1 ? 1 : NETFRONT_BURST;
    for (unsigned int i = 0; i < burst.n; i++) {
        memcpy(burst.head[i], out_head, NETFRONT_HEAD_MAX);
        burst.frame[i] = f;
        burst.frame[i].head = burst.head[i];
    }
}

/* The words at the ends of each page, of which all but the last are whole. */
static void fill_whole_pages(const struct netfront_frame *f, uint32_t seq)
{
    const struct netfront_frag *g = f->frag, *last = g + f->nr_frags - 1;
    const uint64_t end_word = word_of(0, PAGE_SIZE / 8 - 1), next_page = word_of(0, PAGE_SIZE / 8);
    uint64_t w = word_of(seq, 0), v;
    uint8_t *pages = pool;

    for (; g != last; g++, w += next_page) {
        uint8_t *p = pages + (size_t)g->page * PAGE_SIZE;

        v = w + end_word;
        __builtin_memcpy(p, &w, 8);
        __builtin_memcpy(p + PAGE_SIZE - 8, &v, 8);
    }
    if (g->len >= 8) {
        v = w + word_of(0, g->len / 8u - 1);
        __builtin_memcpy(page_va(g->page), &w, 8);
        __builtin_memcpy(page_va(g->page) + (g->len / 8u - 1) * 8u, &v, 8);
    }
}

/* The same in an extent. */
static __always_inline void fill_whole(uint8_t *p, unsigned int pages, uint64_t w)
{
    uint64_t end_word = word_of(0, PAGE_SIZE / 8 - 1), next_page = word_of(0, PAGE_SIZE / 8), v;

    __asm__("" : "+r"(end_word), "+r"(next_page));      /* registers: no sums of constants */
#pragma GCC unroll 16
    for (unsigned int i = 0; i < pages; i++, p += PAGE_SIZE, w += next_page) {
        __asm__("" : "+r"(w));
        v = w + end_word;
        __builtin_memcpy(p, &w, 8);
        __builtin_memcpy(p + PAGE_SIZE - 8, &v, 8);
    }
}

static void fill_extent(const struct netfront_frag *g, uint32_t seq)
{
    unsigned int whole = g->len / PAGE_SIZE, rest = g->len % PAGE_SIZE;
    uint8_t *p = pool + (size_t)g->page * PAGE_SIZE;
    uint64_t first = word_of(seq, 0), w = first + word_of(0, PAGE_SIZE / 8) * whole, v;

    if (likely(whole == NETFRONT_EXTENT_PAGES - 1))
        fill_whole(p, NETFRONT_EXTENT_PAGES - 1, first);
    else
        fill_whole(p, whole, first);
    if (rest < 8)
        return;
    p += (size_t)whole * PAGE_SIZE;
    v = w + word_of(0, rest / 8u - 1);
    __builtin_memcpy(p, &w, 8);
    __builtin_memcpy(p + (rest / 8u - 1) * 8u, &v, 8);
}

/* Makes the first n of burst.frame, which have their pages. */
static void fill_frames(unsigned int n)
{
    unsigned int at = src.at + (unsigned int)offsetof(struct msg, seq);
    unsigned int word = src.at + (unsigned int)sizeof(struct msg), last = burst.frame[0].frag[0].len & ~7u;
    bool small = src.size >= word + 8 && src.size <= NETFRONT_HEAD_MAX;
    uint32_t seq = src.sent;
    uint8_t *pages = pool;

    if (burst.frame[0].nr_frags == 1 && last > 8 && !burst.extent) {
        const uint64_t end_word = word_of(0, last / 8 - 1);

        for (unsigned int i = 0; i < n; i++, seq++) {
            uint8_t *p = pages + (size_t)burst.frame[i].frag[0].page * PAGE_SIZE;
            uint64_t w = word_of(seq, 0), v = w + end_word;

            __builtin_memcpy(burst.head[i] + at, &seq, sizeof(seq));
            __builtin_memcpy(p, &w, sizeof(w));
            __builtin_memcpy(p + last - 8, &v, sizeof(v));
        }
        return;
    }
    if (burst.extent) {
        for (unsigned int i = 0; i < n; i++, seq++) {
            fill_extent(burst.frame[i].frag, seq);
            __builtin_memcpy(burst.head[i] + at, &seq, sizeof(seq));
        }
        return;
    }
    for (unsigned int i = 0; i < n; i++, seq++) {
        if (burst.frame[i].nr_frags)
            fill_whole_pages(&burst.frame[i], seq);
        __builtin_memcpy(burst.head[i] + at, &seq, sizeof(seq));
        if (small)
            put_word(burst.head[i] + word, seq, 0);
    }
}

static void send_bursts(void)
{
    uint32_t end = MIN(src.count, src.credit + src.window);

    while (src.sent < end) {
        unsigned int most = MIN(end - src.sent, burst.n), n = most, sent;

        if (burst.extent)
            n = netfront_extents_get(nf, burst.frame, n);
        else if (burst.frame[0].nr_frags)
            n = netfront_frames_get(nf, burst.frame, n);
        fill_frames(n);
        sent = netfront_send_burst(nf, burst.frame, n);
        if (unlikely(sent != n))
            netfront_frames_put(nf, burst.frame + sent, n - sent);
        src.sent += sent;
        if (sent != most)
            break;
    }
}

static void source_work(struct work *w)
{
    while (src.sent < src.count && src.sent - src.credit < src.window && (src.all || !src.sent)) {
        if (!send_data())
            return;
        burst.n = 0;
    }
    if (src.all)
        return;
    if (!burst.n)
        make_burst();
    send_bursts();
}

static struct source came_back = { .due = true };   /* nobody is to be told */

void hear(const struct netfront_frame *f, const struct msg *m, unsigned int at)
{
    switch (m->kind) {
    case CREDIT:
        src.credit = m->seq;
        work_queue(&src.work);
        break;
    case TALLY:
        src.tally_good = m->value;
        src.tally_bad = m->seq;
        src.tally = true;
        break;
    case PING:                  /* a reflector's answer */
    case PONG:
        src.pong = true;
        break;
    default:                    /* what was sent, come back */
        count(&came_back, f, m, at);
        if (came_back.credit_due) {
            came_back.credit_due = false;
            src.credit = came_back.next;
            work_queue(&src.work);
        }
        break;
    }
}

void source_init(void)
{
    work_init(&src.work, source_work);
}

void source_go(void)
{
    work_queue(&src.work);
}

void source_channel_changed(void)
{
    burst.n = 0;                /* extents may have come or gone */
    source_go();
}

/* A line for whoever counts what the whole host does between two marks. */
static void mark(const char *what)
{
    (void)xs_write(XS_NO_TXN, "data/mark", what, strlen(what));
}

static void wake(struct timer *t)
{
}

/* Sleeps until *what, or for so long. */
static bool wait_for(const bool *what, uint64_t ms)
{
    uint64_t end = now_ns() + ms * NS_PER_MS;
    struct timer alarm;

    timer_init(&alarm, wake);
    timer_set(&alarm, end);
    while (!*what && now_ns() < end)
        loop_turn(true);
    timer_cancel(&alarm);
    return *what;
}

/* END may get lost like any frame; it is sent until it is answered. */
static bool ask_tally(uint32_t n)
{
    src.tally = false;
    for (unsigned int i = 0; i < 20 && !src.tally; i++) {
        (void)send_msg(peer, END, 0, n);
        (void)wait_for(&src.tally, 200);
    }
    return src.tally;
}

static uint64_t run(unsigned int size, uint32_t n, bool all, uint32_t window)
{
    uint64_t start = now_ns(), last = start, seen = 0;
    struct timer alarm;

    timer_init(&alarm, wake);
    src.size = size;
    src.at = headers(out_head, peer, size);
    src.count = n;
    src.all = all;
    src.window = window;
    src.sent = src.credit = 0;
    came_back = (struct source){ .due = true };
    work_queue(&src.work);
    timer_set_after(&alarm, 3 * NS_PER_S);
    while (src.sent < n || (comes_back && came_back.next < n)) {
        loop_turn(true);
        if (!timer_is_set(&alarm))
            timer_set_after(&alarm, 3 * NS_PER_S);
        if (seen != src.sent + came_back.next) {
            seen = src.sent + came_back.next;
            last = now_ns();
        } else if (now_ns() - last > 10 * NS_PER_S) {
            break;
        }
    }
    timer_cancel(&alarm);
    if (!comes_back && !ask_tally(n))
        log_error("frames: no answer from the sink");
    return now_ns() - start;
}

static void send_size(unsigned int size, uint32_t n, uint32_t window)
{
    char text[32];
    uint64_t ns;
    uint32_t full, full_good;

    if (size > FRAME_MTU)
        window = MIN(window, (uint32_t)cmdline_get_u64("big", netfront_extents(nf) ? 24 : 16));
    full = MIN(n, (uint32_t)FULL_MAX);
    (void)run(size, full, true, window);
    full_good = comes_back ? came_back.good : src.tally_good;
    (void)snprintf(text, sizeof(text), "begin %u", size);
    mark(text);
    ns = run(size, n, false, window);
    (void)snprintf(text, sizeof(text), "end %u", size);
    mark(text);
    log_info("frames: size %u sent %u ns %lu right %u of %u every byte of %u %s", size, n, ns,
             comes_back ? came_back.good : src.tally_good, n, full_good,
             full_good == full && (comes_back ? came_back.good : src.tally_good) == n ? "ok" : "WRONG");
}

static void round_trips(uint32_t n)
{
    uint64_t start = 0;
    uint32_t good = 0;

    for (uint32_t i = 0; i < n + 20; i++) {
        if (i == 20) {
            mark("begin rr");
            start = now_ns();
            good = 0;
        }
        src.pong = false;
        (void)send_msg(peer, PING, i, 0);
        loop_until(&src.pong);
        good++;
    }
    mark("end rr");
    log_info("frames: rr %u ns %lu %s", n, now_ns() - start, good == n ? "ok" : "WRONG");
}

void source_main(void)
{
    uint32_t n = (uint32_t)cmdline_get_u64("count", 1000);
    uint32_t window = (uint32_t)cmdline_get_u64("window", 192);
    char sizes[64] = "64";
    bool up = false, never = false;

    (void)cmdline_get("sizes", sizes, sizeof(sizes));
    while (!up) {
        loop_turn(true);
        up = netfront_is_up(nf);
    }
    /* The other one may still be starting. */
    for (unsigned int i = 0; i < 100 && !src.pong; i++) {
        (void)send_msg(peer, PING, 0, 0);
        (void)wait_for(&src.pong, 100);
    }
    if (cmdline_get_u64("at", 0) * NS_PER_S > now_ns())
        (void)wait_for(&never, (cmdline_get_u64("at", 0) * NS_PER_S - now_ns()) / NS_PER_MS);
    mark("begin nothing");
    mark("end nothing");
    for (const char *p = sizes; *p;) {
        unsigned int size = 0;

        while (*p >= '0' && *p <= '9')
            size = size * 10 + (unsigned int)(*p++ - '0');
        if (size >= 64 && size <= 65535)
            send_size(size, size > FRAME_MTU ? MAX(n / 16, 1u) : n, window);
        if (*p)
            p++;
    }
    if (cmdline_get_u64("rr", 0))
        round_trips((uint32_t)cmdline_get_u64("rr", 0));
}
