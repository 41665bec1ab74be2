/* SPDX-License-Identifier: MIT */
/*
 * frames - packet source, sink and reflector on netfront. What arrives is checked.
 *
 *   role=sink                          checks frames, lets their source send on, counts
 *     hold                             and keeps their pages for a while, until the driver has none left
 *   role=reflect                       sends each frame back in the pages in which it came
 *   role=source peer=MAC sizes=A,B     sends frames of these sizes (bytes) to a sink or reflector
 *     count=N window=N                 how many of each, how many may be under way
 *     rr=N                             and so many round trips of one frame
 *   mode=flip|pages|copy|standard|plain    the channel; without extents; and copying; the standard protocol; that without offloads
 *     big=N                            how many of more than 1514 bytes (24 in extents, else 16)
 *   at=SECONDS                         begin at that system time
 *   back                               the source's frames come back from a reflector
 *
 * A frame is IPv4: UDP, or above 1514 bytes TCP to be cut. Behind the headers stands struct msg, then bytes that
 * follow from its number. Each size is sent twice: some frames of which the receiver checks each byte, then
 * those that are timed, of which it checks header, length, and the first and last word of each page.
 */
#include "lib/printf.h"
#include "lib/string.h"
#include "netback/filter.h"
#include "netfront/netfront.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/start.h"
#include "runtime/time.h"
#include "runtime/xenbus.h"
#include "runtime/xs.h"

#define MAGIC     0x736c6963u
#define UDP_MSG   42
#define TCP_MSG   54
#define MSS       1448
#define FRAME_MTU 1514
#define EXTENT_BYTES ((unsigned int)(NETFRONT_EXTENT_PAGES * PAGE_SIZE))
#define FULL_MAX  256           /* frames of which every byte is checked */

enum kind { DATA_FULL = 1, DATA, PING, PONG, CREDIT, END, TALLY };

struct msg {
    uint32_t magic;
    uint16_t kind;
    uint16_t window;            /* CREDIT is due each half of it */
    uint32_t seq;
    uint32_t value;             /* END: frames sent; TALLY: frames that were right */
};

static struct netfront *nf;
static uint8_t *pool;           /* page 0; the others follow */
static uint8_t mac[6], peer[6];
static uint8_t out_head[NETFRONT_HEAD_MAX] __aligned(8);

static uint64_t word_of(uint32_t seq, uint32_t n)
{
    return (seq * 0x9e3779b97f4a7c15UL) + n * 0xbf58476d1ce4e5b9UL;
}

static uint8_t *page_va(unsigned int page)
{
    return pool + (size_t)page * PAGE_SIZE;
}

/* Frames ----------------------------------------------------------------------------------- */

static void put16(uint8_t *p, unsigned int v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

/* Headers of frames of this length to `to`; returns where the message begins. */
static unsigned int headers(uint8_t *h, const uint8_t *to, unsigned int len)
{
    bool tcp = len > FRAME_MTU;
    uint32_t sum = 0;

    memset(h, 0, TCP_MSG);
    memcpy(h, to, 6);
    memcpy(h + 6, mac, 6);
    put16(h + 12, 0x0800);
    h[14] = 0x45;
    put16(h + 16, len - 14);
    h[22] = 64;
    h[23] = tcp ? 6 : 17;
    h[26] = h[30] = 10;
    h[29] = mac[5];
    h[33] = to[5];
    for (unsigned int i = 14; i < 34; i += 2)
        sum += (uint32_t)(h[i] << 8 | h[i + 1]);
    sum = (sum & 0xffff) + (sum >> 16);
    put16(h + 24, ~(sum + (sum >> 16)) & 0xffff);
    put16(h + 34, 9);
    put16(h + 36, 9);
    if (!tcp) {
        put16(h + 38, len - 34);
        return UDP_MSG;
    }
    h[46] = 0x50;
    h[47] = 0x10;
    sum = 10 * 256 + mac[5] + 10 * 256 + to[5] + 6 + len - 34;
    sum = (sum & 0xffff) + (sum >> 16);
    put16(h + 50, sum);
    return TCP_MSG;
}

/* Headers of the last message stay for the next one to the same station. */
static bool send_msg(const uint8_t *to, enum kind kind, uint32_t seq, uint32_t value)
{
    static uint8_t head[NETFRONT_HEAD_MAX] __aligned(8);
    static const struct netfront_frame f = { .head = head, .head_len = 64, .len = 64 };
    struct msg m = { .magic = MAGIC, .kind = (uint16_t)kind, .seq = seq, .value = value };

    if (memcmp(head, to, 6) != 0)
        (void)headers(head, to, 64);
    __builtin_memcpy(head + UDP_MSG, &m, sizeof(m));
    return netfront_send(nf, &f);
}

/* Byte k of what follows the message. */
static uint8_t byte_of(uint32_t seq, uint32_t k)
{
    return (uint8_t)(word_of(seq, k / 8) >> 8 * (k % 8));
}

static void put_word(uint8_t *p, uint32_t seq, uint32_t k)
{
    uint64_t w = word_of(seq, k / 8);

    __builtin_memcpy(p, &w, 8);
}

/* Fills bytes [k, k + len) of a frame, k a multiple of 8: all of them, or the first and the last whole word. */
static void fill(uint8_t *p, unsigned int len, uint32_t seq, uint32_t k, bool all)
{
    unsigned int words = len / 8;

    for (unsigned int i = 0; i < words; i += all || words < 2 ? 1 : words - 1) {
        uint64_t w = word_of(seq, k / 8 + i);

        __builtin_memcpy(p + i * 8, &w, 8);
    }
    for (unsigned int i = words * 8; i < len && all; i++)
        p[i] = byte_of(seq, k + i);
}

static bool right_word(const uint8_t *p, unsigned int len, uint32_t seq, uint32_t k, uint32_t at)
{
    uint64_t w;

    if (at < k || at + 8 > k + len)
        return true;            /* not here */
    __builtin_memcpy(&w, p + (at - k), 8);
    return w == word_of(seq, at / 8);
}

/*
 * Are bytes [k, k + len) of a frame with `total` of them right? All, or the words that fill() wrote at the
 * ends of each of its pages.
 */
static bool right(const uint8_t *p, unsigned int len, uint32_t seq, uint32_t k, uint32_t total,
                  bool all)
{
    bool ok = true;

    for (unsigned int i = 0; i < len && all; i++)
        ok &= p[i] == byte_of(seq, k + i);
    if (all)
        return ok;
    for (uint32_t page = k & ~(uint32_t)(PAGE_SIZE - 1); page < k + len; page += PAGE_SIZE) {
        uint32_t here = MIN(total - page, (uint32_t)PAGE_SIZE);

        ok &= right_word(p, len, seq, k, page);
        if (here >= 16)
            ok &= right_word(p, len, seq, k, page + here / 8 * 8 - 8);
    }
    return ok;
}

/* Receiving: both sides ------------------------------------------------------------------------ */

static bool is_sink;

/* What has come from one source; sources are told apart by the last byte of their address. */
static struct source {
    uint8_t mac[6];
    uint32_t next;              /* number that should come */
    uint32_t left;              /* as many may be right, before anything else is to be done but count them */
    uint64_t begin;             /* how the message of such a frame begins: magic, kind, window */
    uint32_t given;             /* left, as it was set */
    uint32_t good, bad, lost;
    uint32_t owed;              /* frames for which no credit was sent */
    bool credit_due, tally_due, due;
} sources[256], *due[256];
static unsigned int nr_due;

static struct source *source_of(const struct netfront_frame *f)
{
    return &sources[f->head[11]];
}

/* Has to be told something at the end of the batch. */
static void set_due(struct source *s)
{
    if (!s->due)
        due[nr_due++] = s;
    s->due = true;
}

/* Are the words at the ends of each page of an extent right, which are whole? */
static __always_inline bool whole_right(const uint8_t *p, unsigned int pages, uint64_t first)
{
    uint64_t end_word = word_of(0, PAGE_SIZE / 8 - 1), next_page = word_of(0, PAGE_SIZE / 8), w, v;

    __asm__("" : "+r"(end_word), "+r"(next_page));      /* registers: no sums of constants */
#pragma GCC unroll 16
    for (unsigned int i = 0; i < pages; i++, p += PAGE_SIZE, first += next_page) {
        __asm__("" : "+r"(first));
        __builtin_memcpy(&w, p, 8);
        if (w != first)
            return false;
        __builtin_memcpy(&v, p + PAGE_SIZE - 8, 8);
        if (v != first + end_word)
            return false;
    }
    return true;
}

/* And those of the last one? */
static __always_inline bool extent_right(const struct netfront_frag *g, uint32_t seq, uint32_t total)
{
    unsigned int whole = total / PAGE_SIZE, rest = total % PAGE_SIZE;
    const uint8_t *p = pool + (size_t)g->page * PAGE_SIZE;
    uint64_t first = word_of(seq, 0), w, v;

    if (g->len != total || g->offset || (rest && rest < 16))
        return false;
    if (likely(whole == NETFRONT_EXTENT_PAGES - 1) ? !whole_right(p, NETFRONT_EXTENT_PAGES - 1, first) : !whole_right(p, whole, first))
        return false;
    if (!rest)
        return true;
    p += (size_t)whole * PAGE_SIZE;
    first += word_of(0, PAGE_SIZE / 8) * whole;
    __builtin_memcpy(&w, p, 8);
    __builtin_memcpy(&v, p + (rest / 8u - 1) * 8u, 8);
    return w == first && v == first + word_of(0, rest / 8u - 1);
}

/* Are the words at the ends of each page right, of which all but the last are whole? */
static __always_inline bool whole_pages_right(const struct netfront_frame *f, uint32_t seq, uint32_t total)
{
    const struct netfront_frag *g = f->frag, *last = g + f->nr_frags - 1;
    const uint64_t end_word = word_of(0, PAGE_SIZE / 8 - 1), next_page = word_of(0, PAGE_SIZE / 8);
    const uint8_t *pages = pool;
    uint64_t first = word_of(seq, 0), w, v;

    if (f->nr_frags == 1 && g->len > PAGE_SIZE)
        return extent_right(g, seq, total);
    if (!f->nr_frags || total - last->len != (f->nr_frags - 1) * (uint32_t)PAGE_SIZE || last->len < 16)
        return false;
    for (; g != last; g++, first += next_page) {
        const uint8_t *p = pages + (size_t)g->page * PAGE_SIZE;

        __builtin_memcpy(&w, p, 8);
        __builtin_memcpy(&v, p + PAGE_SIZE - 8, 8);
        if (g->len != PAGE_SIZE || w != first || v != first + end_word)
            return false;
    }
    __builtin_memcpy(&w, page_va(last->page) + last->offset, 8);
    __builtin_memcpy(&v, page_va(last->page) + last->offset + (last->len / 8u - 1) * 8u, 8);
    return w == first && v == first + word_of(0, last->len / 8u - 1);
}

/* Is a data frame what its source made? */
static bool check(const struct netfront_frame *f, const struct msg *m, unsigned int at, bool all)
{
    unsigned int rest = at + (unsigned int)sizeof(*m);
    uint32_t total, k;
    bool ok = f->head_len >= rest && f->len == (unsigned int)(f->head[16] << 8 | f->head[17]) + 14;

    if (!ok)
        return false;
    total = f->len - rest;
    k = f->head_len - rest;
    if (!all && !k && whole_pages_right(f, m->seq, total))
        return true;
    ok = all ? right(f->head + rest, k, m->seq, 0, total, true)
             : right_word(f->head + rest, k, m->seq, 0, 0);
    for (const struct netfront_frag *g = f->frag, *end = g + f->nr_frags; g != end; g++) {
        const uint8_t *p = page_va(g->page) + g->offset;

        ok &= right(p, g->len, m->seq, k, total, all);
        k += g->len;
    }
    return ok && k == total;
}

/* Adds the frames that were only counted down. */
static void settle(struct source *s)
{
    uint32_t n = s->given - s->left;

    s->good += n;
    s->owed += n;
    s->given = s->left = 0;
}

static void count(struct source *s, const struct netfront_frame *f, const struct msg *m,
                  unsigned int at)
{
    bool ok = check(f, m, at, m->kind == DATA_FULL);

    settle(s);
    if (m->seq == 0) {
        memcpy(s->mac, f->head + 6, 6);
        s->next = s->good = s->bad = s->lost = s->owed = 0;
    }
    if (m->seq != s->next)
        s->lost += m->seq - s->next;
    s->next = m->seq + 1;
    if (ok)
        s->good++;
    else
        s->bad++;
    if (++s->owed >= m->window / 2u) {
        s->owed = 0;
        s->credit_due = true;
        set_due(s);
    }
    if (m->kind == DATA && s->owed + 1 < m->window / 2u)
        s->given = s->left = m->window / 2u - 1 - s->owed;
    __builtin_memcpy(&s->begin, m, sizeof(s->begin));
}

/*
 * The same for a frame that is right, and no reason to do anything but count it: all head or with one page; with more. What is
 * looked at is the same: magic, kind, protocol, number, both lengths, the first word, and the first and last one of each page.
 */
static __always_inline bool in_order(const struct source *s, const struct netfront_frame *f, unsigned int at, uint32_t seq)
{
    uint64_t begin;
    uint16_t len;

    _Static_assert(offsetof(struct msg, kind) == 4 && offsetof(struct msg, window) == 6, "what begin is");
    __builtin_memcpy(&begin, f->head + at, sizeof(begin));
    __builtin_memcpy(&len, f->head + 16, sizeof(len));
    return begin == s->begin && seq == s->next && f->len == __builtin_bswap16(len) + 14u && s->left;
}

static __always_inline uint32_t seq_of(const struct netfront_frame *f, unsigned int at)
{
    uint32_t seq;

    __builtin_memcpy(&seq, f->head + at + offsetof(struct msg, seq), sizeof(seq));
    return seq;
}

static __always_inline bool count_udp(const struct netfront_frame *f, const uint8_t *pages)
{
    const unsigned int rest = UDP_MSG + sizeof(struct msg);
    struct source *s = source_of(f);
    uint32_t seq = seq_of(f, UDP_MSG);

    /* The message is the last that is in the head of a frame with a page. */
    if (likely(f->head_len == rest && f->nr_frags == 1)) {
        const struct netfront_frag *g = f->frag;
        const uint8_t *p = pages + (size_t)g->page * PAGE_SIZE + g->offset;
        uint64_t first = word_of(seq, 0), w, v;

        if (g->len < 16)
            return false;
        __builtin_memcpy(&w, p, 8);
        __builtin_memcpy(&v, p + (g->len / 8u - 1) * 8u, 8);
        if (w != first || v != first + word_of(0, g->len / 8u - 1))
            return false;
    } else if (f->nr_frags || f->head_len < rest ||
               (f->head_len >= rest + 8 && !right_word(f->head + rest, f->head_len - rest, seq, 0, 0))) {
        return false;
    }
    if (f->head[23] != 17 || !in_order(s, f, UDP_MSG, seq))
        return false;
    s->next++;
    s->left--;
    return true;
}

static __always_inline bool count_tcp(const struct netfront_frame *f)
{
    const unsigned int rest = TCP_MSG + sizeof(struct msg);
    uint32_t total = f->len - rest, k = f->head_len - rest, seq = seq_of(f, TCP_MSG);
    struct source *s = source_of(f);

    if (f->head_len < rest || f->head[23] != 6 || !in_order(s, f, TCP_MSG, seq))
        return false;
    /* The message is the last that is in the head; all pages but the last are whole. */
    if (k || !whole_pages_right(f, seq, total))
        return false;
    s->next++;
    s->left--;
    return true;
}

static void put_pages(const struct netfront_frame *f)
{
    for (const struct netfront_frag *g = f->frag, *end = g + f->nr_frags; g != end; g++)
        netfront_page_put(nf, g->page);
}

static void sink_tell(void)
{
    unsigned int left = 0;

    for (unsigned int i = 0; i < nr_due; i++) {
        struct source *s = due[i];

        if (s->credit_due && send_msg(s->mac, CREDIT, s->next, 0))
            s->credit_due = false;
        if (s->tally_due && send_msg(s->mac, TALLY, s->bad, s->good))
            s->tally_due = false;
        s->due = s->credit_due || s->tally_due;
        if (s->due)
            due[left++] = s;
    }
    nr_due = left;
}

/* Pages that are kept: more than the driver can do without. */
static uint16_t held[NETFRONT_PAGES];
static unsigned int nr_held;
static bool holds;
static struct timer hold_timer;

static void let_go(struct timer *t)
{
    while (nr_held)
        netfront_page_put(nf, held[--nr_held]);
}

static void hold(const struct netfront_frame *f)
{
    for (unsigned int i = 0; i < f->nr_frags; i++)
        held[nr_held++] = f->frag[i].page;
    if (!timer_is_set(&hold_timer))
        timer_set_after(&hold_timer, 100 * NS_PER_MS);
}

/* A frame goes back in its own pages: addresses change places. */
static void reflect(const struct netfront_frame *f)
{
    struct netfront_frame r = *f;

    memcpy(out_head, f->head, f->head_len);
    memcpy(out_head, f->head + 6, 6);
    memcpy(out_head + 6, f->head, 6);
    r.head = out_head;
    if (!netfront_send(nf, &r))
        put_pages(f);           /* the source will miss it */
}

/* The source ----------------------------------------------------------------------------------- */

static bool is_reflect, comes_back;

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

/* What a source hears. */
static void hear(const struct netfront_frame *f, const struct msg *m, unsigned int at)
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

/* Callbacks ------------------------------------------------------------------------------------ */

static noinline void receive(void *arg, const struct netfront_frame *f)
{
    unsigned int at = f->head[23] == 6 ? TCP_MSG : UDP_MSG;
    struct msg m;

    if (f->head_len >= at + sizeof(m))
        __builtin_memcpy(&m, f->head + at, sizeof(m));
    if (f->head_len < at + sizeof(m) || m.magic != MAGIC) {
        put_pages(f);
        return;
    }
    if (is_reflect) {
        reflect(f);
        return;
    }
    if (!is_sink) {
        hear(f, &m, at);
    } else if (m.kind == PING) {
        (void)send_msg(f->head + 6, PONG, m.seq, 0);
    } else if (m.kind == END) {
        struct source *s = source_of(f);

        settle(s);
        memcpy(s->mac, f->head + 6, 6);
        s->lost += m.value - s->next;
        s->tally_due = true;
        set_due(s);
    } else {
        count(source_of(f), f, &m, at);
    }
    if (holds)
        hold(f);
    else
        put_pages(f);
}

/* A sink's. Pages of frames that are in order go back together. */
static __always_inline void receive_each(void *arg, const struct netfront_frame *f, unsigned int n, const bool tcp)
{
    const struct netfront_frame *first = f, *end = f + n;
    const uint8_t *pages = pool;

    for (; f != end; f++) {
        if (unlikely(tcp ? !count_tcp(f) : !count_udp(f, pages))) {
            if (f != first)
                netfront_frames_put(nf, first, (unsigned int)(f - first));
            receive(arg, f);
            first = f + 1;
        }
    }
    if (f != first)
        netfront_frames_put(nf, first, (unsigned int)(f - first));
}

static void receive_burst(void *arg, const struct netfront_frame *f, unsigned int n)
{
    if (f->head[23] == 6)
        receive_each(arg, f, n, true);      /* mostly all of them are */
    else
        receive_each(arg, f, n, false);
}

/* Others: with more pages, or by the standard protocol. */
static void receive_sink(void *arg, const struct netfront_frame *f)
{
    if (f->head[23] == 6 ? count_tcp(f) : count_udp(f, pool))
        netfront_frames_put(nf, f, 1);
    else
        receive(arg, f);
}

static void batch_end(void *arg)
{
    if (nr_due)
        sink_tell();
}

static void room(void *arg)
{
    batch_end(arg);
    work_queue(&src.work);
}

static void link_changed(void *arg, bool up)
{
    burst.n = 0;                /* extents may have come or gone */
    log_info("frames: link %s%s", up ? "up" : "down", up && netfront_flips(nf) ? ", flips" : "");
    work_queue(&src.work);
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

static void source_main(void)
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

static unsigned int mode(void)
{
    char text[16] = "flip";

    (void)cmdline_get("mode", text, sizeof(text));
    if (!strcmp(text, "pages"))
        return 0;
    if (!strcmp(text, "copy"))
        return NETFRONT_COPY;
    if (!strcmp(text, "standard"))
        return NETFRONT_NO_FLIP;
    if (!strcmp(text, "plain"))
        return NETFRONT_NO_FLIP | NETFRONT_NO_OFFLOAD;
    return NETFRONT_BIG;
}

void pv_main(void)
{
    static struct netfront_ops ops = { .receive = receive, .batch_end = batch_end, .room = room,
                                       .link = link_changed };
    char role[16] = "sink", text[24] = "";
    struct netfront_stats s;

    work_init(&src.work, source_work);
    BUG_ON(xenbus_init());
    (void)cmdline_get("role", role, sizeof(role));
    is_sink = !strcmp(role, "sink");
    holds = cmdline_get("hold", text, sizeof(text));
    if (is_sink && !holds) {
        ops.receive_burst = receive_burst;
        ops.receive = receive_sink;
    }
    is_reflect = !strcmp(role, "reflect");
    comes_back = cmdline_get("back", text, sizeof(text));
    timer_init(&hold_timer, let_go);
    nf = netfront_open(0, mode(), &ops, NULL);
    if (!nf)
        domain_shutdown(SHUTDOWN_crash);
    netfront_mac(nf, mac);
    pool = netfront_page_va(nf, 0);
    if (strcmp(role, "source"))
        loop_run();
    if (!cmdline_get("peer", text, sizeof(text)) || !filter_parse_mac(peer, text)) {
        log_error("frames: peer=MAC is missing");
        domain_shutdown(SHUTDOWN_crash);
    }
    source_main();
    netfront_get_stats(nf, &s);
    log_info("frames: pages sent: %lu flipped, %lu copied; received: %lu flipped, %lu copied; "
             "lost %lu, bad %lu", s.tx_flipped, s.tx_copied, s.rx_flipped, s.rx_copied, s.rx_lost,
             s.bad);
    log_info("frames: end");
    if (cmdline_get("stay", text, sizeof(text)))
        loop_run();
}
