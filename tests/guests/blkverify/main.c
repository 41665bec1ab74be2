/* SPDX-License-Identifier: MIT */
/*
 * blkverify - writes patterns to its disk through blkfront, flushes, reads back and compares. Words on its
 * command line:
 *   disk=N          the vbd (51712: xvda)
 *   mode=verify     the whole disk is written and read back, rounds= times (3; 0: for ever), then "blkverify: ok"
 *   mode=scribble   writes the whole disk for ever, and goes on changing the data while it is being written
 *   mode=write      writes without end; after each flush that was acknowledged "blkverify: flushed N": the
 *                   writes with sequence numbers up to N are durable
 *   mode=errors     as verify, but counts requests that fail instead of ending at the first
 *   mode=count      reads and writes everything once, whatever it is, between marks (dom0/marks.c)
 *   qd=N            requests at once (16)
 *   epoch=N         goes into every sector (1)
 *   mib=N           uses so much of the disk (all)
 *   sectors=N       all requests are so long, and begin at a page (else they have all lengths and places)
 *   suspend         its domain may be suspended and resumed; it lets go of the backend after that
 *   reconnect=MS    lets go of the backend so often and connects again
 */
#include "blkfront/blkfront.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/start.h"
#include "runtime/suspend.h"
#include "runtime/time.h"
#include "runtime/xenbus.h"
#include "runtime/xs.h"
#include "tests/guests/blkverify/pattern.h"

#define QD_MAX       64u
#define BUFFER_ORDER 6u                 /* 256 KiB */
#define BUFFER_BYTES (PAGE_SIZE << BUFFER_ORDER)

struct job {
    struct blkfront_req req;
    char *buffer;
    uint64_t seq;
    bool busy;
};

static struct blkfront *front;
static bool there, gone;
static struct job jobs[QD_MAX];
static uint32_t qd, epoch, under_way;
static uint64_t end;                    /* sectors that are used */
static uint64_t fixed;                  /* sectors of a request; 0: any */
static uint32_t unit;                   /* sectors of a disk's sector */
static bool count_errors;
static bool raw;                        /* data is neither made nor looked at */
static uint64_t failed, good;
static uint64_t seed = 88172645463325252UL;
static uint64_t reconnect_ns;

static void __noreturn fail(void)
{
    log_error("blkverify: FAILED");
    domain_shutdown(SHUTDOWN_crash);
}

/* xorshift: the same requests in every run. */
static uint64_t any(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

static struct job *idle_job(void)
{
    for (uint32_t i = 0; i < qd; i++) {
        if (!jobs[i].busy)
            return &jobs[i];
    }
    return NULL;
}

/* Some length, often short, in a buffer that begins anywhere. */
static uint64_t some_sectors(uint64_t left)
{
    const struct blkfront_info *i = blkfront_info(front);
    uint64_t room = BUFFER_BYTES / 512 - 8, most = i ? MIN((uint64_t)i->max_sectors, room) : 64;
    uint64_t n = unit * (any(4) ? any(most / unit) + 1 : any(8) + 1);

    if (fixed)
        n = MIN(fixed, most);
    return MIN(n, left);
}

static void start(struct job *j, enum blkfront_op op, uint64_t sector, uint64_t sectors,
                  void (*done)(struct blkfront_req *, int))
{
    j->busy = true;
    under_way++;
    j->req = (struct blkfront_req){
        .op = op, .sector = sector, .sectors = sectors, .done = done, .user = j,
        .data = j->buffer + (fixed ? 0 : any(8 / unit) * unit * 512),
    };
    if (op == BLKFRONT_WRITE && !raw)
        pattern_fill(j->req.data, epoch, j->seq, sector, sectors);
    if (op == BLKFRONT_READ && !raw)
        memset(j->req.data, 0, sectors << 9);
    blkfront_submit(front, &j->req);
}

/* True: it went well. Else it was counted. */
static bool ended(struct job *j, int rc)
{
    static const char *const names[] = { "read", "write", "flush", "discard" };

    j->busy = false;
    under_way--;
    if (!rc) {
        good++;
        return true;
    }
    if (!count_errors) {
        log_error("blkverify: %s of %lu sectors at %lu: error %d", names[j->req.op], j->req.sectors,
                  j->req.sector, rc);
        fail();
    }
    failed++;
    return false;
}

static void wait_all(void)
{
    blkfront_kick(front);
    while (under_way)
        loop_turn(true);
}

/* ------------------------------------------------------------------ verify */

static void job_done(struct blkfront_req *r, int rc)
{
    struct job *j = r->user;
    uint64_t bad;

    if (!ended(j, rc) || r->op != BLKFRONT_READ || raw)
        return;
    bad = pattern_check(r->data, epoch, j->seq, r->sector, r->sectors);
    if (bad == r->sectors)
        return;
    if (count_errors) {                 /* its write may have failed */
        failed++;
        return;
    }
    log_error("blkverify: sector %lu is not what write %lu put there", r->sector + bad, j->seq);
    fail();
}

static void pass(enum blkfront_op op, uint64_t seq)
{
    uint64_t at = 0;

    while (at < end) {
        struct job *j = idle_job();
        uint64_t n;

        if (!j) {
            blkfront_kick(front);
            loop_turn(true);
            continue;
        }
        n = some_sectors(end - at);
        j->seq = seq;
        start(j, op, at, n, job_done);
        at += n;
    }
    wait_all();
}

static void flush(void)
{
    start(&jobs[0], BLKFRONT_FLUSH, 0, 0, job_done);
    wait_all();
}

static void verify(uint32_t rounds)
{
    const struct blkfront_info *i = blkfront_info(front);
    struct blkfront_stats s;

    for (uint32_t r = 1; r <= rounds || !rounds; r++) {
        pass(BLKFRONT_WRITE, r);
        if (i->flush)
            flush();
        pass(BLKFRONT_READ, r);
        log_info("blkverify: round %u", r);
        if (!i->discard)
            continue;
        start(&jobs[0], BLKFRONT_DISCARD, 0, end / 2 & ~7UL, job_done);
        wait_all();
    }
    blkfront_get_stats(front, &s);
    log_info("blkverify: %lu requests, %lu failed, %lu reconnects, %lu resubmitted", good + failed, failed,
             s.reconnects, s.resubmitted);
    log_info("blkverify: ok");
    domain_shutdown(SHUTDOWN_poweroff);
}

/* A line for whoever counts what the whole host does between two marks; taken before what follows. */
static void mark(const char *when, const char *what)
{
    char text[48];

    snprintf(text, sizeof(text), "%s %s", when, what);
    (void)xs_write(XS_NO_TXN, "data/mark", text, strlen(text));
    for (uint64_t until = now_ns() + 20 * NS_PER_MS; now_ns() < until;)
        (void)hc_sched_op(SCHEDOP_yield, NULL);
}

static void count_pass(enum blkfront_op op, const char *what)
{
    uint64_t before;

    pass(op, 0);                        /* once to get warm */
    before = good;
    mark("begin", what);
    pass(op, 0);
    mark("end", what);
    log_info("blkverify: %s: %lu requests", what, good - before);
}

static void count_passes(void)
{
    raw = true;
    mark("begin", "nothing");
    mark("end", "nothing");
    count_pass(BLKFRONT_READ, "read");
    count_pass(BLKFRONT_WRITE, "write");
    domain_shutdown(SHUTDOWN_poweroff);
}

/* ------------------------------------------------------------------ scribble */

/* Into all that is under way, a word in every sector. */
static void scribble(void)
{
    static uint64_t n;

    for (uint32_t i = 0; i < qd; i++) {
        for (uint64_t s = 0; jobs[i].busy && s < jobs[i].req.sectors; s++)
            ((volatile uint64_t *)jobs[i].req.data)[s * 64 + n % 64] = n;
        n++;
    }
}

static void scribble_on(void)
{
    raw = true;
    for (uint64_t at = 0, round = 1;;) {
        struct job *j = idle_job();
        uint64_t n;

        if (!j) {
            blkfront_kick(front);
            loop_turn(false);
            scribble();
            continue;
        }
        n = some_sectors(end - at);
        start(j, BLKFRONT_WRITE, at, n, job_done);
        at = (at + n) % end;
        if (!at)
            log_info("blkverify: round %lu", round++);
    }
}

/* ------------------------------------------------------------------ write */

/* Writes are numbered from 1. completed[] has a bit for each of those above all_up_to. */
#define AHEAD 1024u
static bool completed[AHEAD];
static uint64_t next_seq = 1, all_up_to;
static bool flushing;

static void write_done(struct blkfront_req *r, int rc)
{
    struct job *j = r->user;

    (void)ended(j, rc);
    completed[j->seq % AHEAD] = true;
    while (completed[(all_up_to + 1) % AHEAD]) {
        completed[(all_up_to + 1) % AHEAD] = false;
        all_up_to++;
    }
}

static void flush_done(struct blkfront_req *r, int rc)
{
    struct job *j = r->user;

    (void)ended(j, rc);
    flushing = false;
    log_info("blkverify: flushed %lu", j->seq);
}

/* Write n covers this: eight sectors to 64 KiB, one after the other, around and around. powercut.py
 * knows the rule. No two that are under way together cover the same, or nobody could say which
 * is to be there afterwards. */
static void place(uint64_t seq, uint64_t *sector, uint64_t *sectors)
{
    uint64_t places = end / 128;

    *sector = seq % places * 128;
    *sectors = 8 * (pattern_hash(epoch, seq, 0) % 16 + 1);
}

/* Goes on writing while flushes are under way, so that they race. */
static void write_on(void)
{
    for (;;) {
        struct job *j = idle_job();
        uint64_t sector, sectors;

        if (!j || next_seq - all_up_to >= MIN(AHEAD - 1, end / 128)) {
            blkfront_kick(front);
            loop_turn(true);
            continue;
        }
        if (!flushing && all_up_to && any(6) == 0) {
            flushing = true;
            j->seq = all_up_to;
            start(j, BLKFRONT_FLUSH, 0, 0, flush_done);
            continue;
        }
        j->seq = next_seq++;
        place(j->seq, &sector, &sectors);
        start(j, BLKFRONT_WRITE, sector, sectors, write_done);
    }
}

/* ------------------------------------------------------------------ start */

static void changed(void *arg)
{
    there = blkfront_info(front) != NULL;
    gone = !there;
    if (gone && !count_errors) {
        log_error("blkverify: the disk went away");
        fail();
    }
}

static void reconnect(struct timer *t)
{
    blkfront_reconnect(front);
    timer_set_after(t, reconnect_ns);
}

static void domain_resumed(void *arg)
{
    blkfront_reconnect(front);
}

static void open_disk(void)
{
    const struct blkfront_info *i;

    front = blkfront_open((uint32_t)cmdline_get_u64("disk", 51712), changed, NULL);
    if (!front)
        fail();
    while (!there)
        loop_turn(true);
    i = blkfront_info(front);
    log_info("blkverify: %lu sectors of %u bytes, at most %u a request%s%s", i->sectors, i->sector_size,
             i->max_sectors, i->flush ? ", flush" : "", i->discard ? ", discard" : "");
    unit = i->sector_size / 512;
    end = cmdline_get_u64("mib", ~0UL >> 12) << 11;
    end = MIN(i->sectors, end) & ~127UL;
    for (uint32_t k = 0; k < qd; k++) {
        jobs[k].buffer = pages_alloc(BUFFER_ORDER);
        if (!jobs[k].buffer)
            fail();
    }
}

void pv_main(void)
{
    static struct suspend_user user = { .resume = domain_resumed };
    static struct timer timer;
    char mode[16] = "verify", word[4];

    qd = (uint32_t)cmdline_get_u64("qd", 16);
    qd = qd < 1 ? 1 : MIN(qd, QD_MAX);
    epoch = (uint32_t)cmdline_get_u64("epoch", 1);
    fixed = cmdline_get_u64("sectors", 0);
    reconnect_ns = cmdline_get_u64("reconnect", 0) * NS_PER_MS;
    seed += epoch;
    (void)cmdline_get("mode", mode, sizeof(mode));
    if (xenbus_init())
        fail();
    open_disk();
    timer_init(&timer, reconnect);
    if (reconnect_ns)
        timer_set_after(&timer, reconnect_ns);
    suspend_add(&user);
    if (cmdline_get("suspend", word, sizeof(word)) && suspend_offer())
        fail();
    count_errors = !strcmp(mode, "errors");
    if (!strcmp(mode, "write"))
        write_on();
    else if (!strcmp(mode, "scribble"))
        scribble_on();
    else if (!strcmp(mode, "count"))
        count_passes();
    else
        verify((uint32_t)cmdline_get_u64("rounds", 3));
}
