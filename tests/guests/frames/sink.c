/* SPDX-License-Identifier: MIT */
/* sink.c - checks and counts what arrives, and tells sources how far they may go. */
#include "tests/guests/frames/content.h"
#include "lib/string.h"

static struct source sources[256], *due[256];
static unsigned int nr_due;

struct source *source_of(const struct netfront_frame *f)
{
    return &sources[f->head[11]];
}

void set_due(struct source *s)
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

void settle(struct source *s)
{
    uint32_t n = s->given - s->left;

    s->good += n;
    s->owed += n;
    s->given = s->left = 0;
}

void count(struct source *s, const struct netfront_frame *f, const struct msg *m,
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

void sink_tell(void)
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

void receive_burst(void *arg, const struct netfront_frame *f, unsigned int n)
{
    if (f->head[23] == 6)
        receive_each(arg, f, n, true);      /* mostly all of them are */
    else
        receive_each(arg, f, n, false);
}

/* Others: with more pages, or by the standard protocol. */
void receive_sink(void *arg, const struct netfront_frame *f)
{
    if (f->head[23] == 6 ? count_tcp(f) : count_udp(f, pool))
        netfront_frames_put(nf, f, 1);
    else
        receive(arg, f);
}
