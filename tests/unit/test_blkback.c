/* SPDX-License-Identifier: MIT */
/* test_blkback.c - a vbd from its ring's side: what it does, and what it refuses. */
/* LINK: blkback/blkback.c blkback/request.c blkback/queue.c blkback/decode.c blkback/copy.c blkback/pin.c runtime/pinned.c blkback/disk.c lib/rate.c blkback/ramdisk.c runtime/xs.c runtime/xbdev.c runtime/loglimit.c */
/* LINK: runtime/xbroot.c runtime/loop.c runtime/cmdline.c lib/strlcpy.c lib/why.c tests/unit/fakes/guest.c tests/unit/fakes/world.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "blkback/blkback.h"
#include "blkback/disk.h"
#include "runtime/pinned.h"
#include "runtime/loop.h"
#include "tests/unit/fakes/guest.h"
#include <xen/io/blkif.h>

#define BACK    "/local/domain/0/backend/vbd/3/51712"
#define FRONT   "/local/domain/3/device/vbd/51712"
#define DOM     3
#define SECTORS 64u
#define PAGES   40

static uint8_t image[SECTORS * 512];
static struct blkif_sring *ring;
static uint8_t page[PAGES][4096] __aligned(4096);       /* grants 100.. */
static uint32_t prod, taken;
static unsigned int opened, closed;
static bool inited;

static bool open_file(const char *name, struct disk_file *f)
{
    if (strcmp(name, "image"))
        return false;
    *f = (struct disk_file){ .data = image, .size = sizeof(image) };
    opened++;
    return true;
}

static void close_file(struct disk_file *f)
{
    closed++;
}

static const struct disk_files files = { .open = open_file, .close = close_file };

static void connect(const char *mode, const char *target)
{
    fake_write(BACK "/params", target);
    fake_write(BACK "/mode", mode);
    fake_write(BACK "/frontend", FRONT);
    fake_write(BACK "/frontend-id", "3");
    fake_write(FRONT "/ring-ref", "500");
    fake_write(FRONT "/event-channel", "9");
    fake_write(FRONT "/state", "1");
    fake_write(BACK "/state", "1");
    fake_run();
    fake_write(FRONT "/state", "3");
    fake_run();
}

static int setup(void **unused)
{
    fake_reset();
    for (size_t i = 0; i < sizeof(image); i++)
        image[i] = (uint8_t)(i / 512 + i);
    ring = aligned_alloc(4096, 4096);
    memset(ring, 0, 4096);
    ring->req_event = ring->rsp_event = 1;
    prod = taken = opened = closed = 0;
    fake_grant(DOM, 500, ring, false);
    for (unsigned int i = 0; i < PAGES; i++) {
        memset(page[i], 0xee, 4096);
        fake_grant(DOM, 100 + i, page[i], false);
    }
    if (!inited)
        ramdisk_init(&files);       /* kinds stay */
    inited = true;
    assert_int_equal(blkback_init(), 0);
    fake_run();
    return 0;
}

static int teardown(void **unused)
{
    fake_remove(BACK);
    fake_run();
    assert_int_equal(fake_mapped(DOM), 0);
    assert_int_equal(fake_bound(), 0);
    assert_int_equal(opened, closed);
    free(ring);
    fake_reset();
    return 0;
}

static struct blkif_request *next(uint8_t op, uint64_t sector)
{
    struct blkif_request *q = &ring->ring[prod++ & 31].req;

    memset(q, 0, sizeof(*q));
    q->operation = op;
    q->id = 1000 + prod;
    q->sector_number = sector;
    return q;
}

static void segment(struct blkif_request *q, grant_ref_t ref, uint8_t first, uint8_t last)
{
    q->seg[q->nr_segments++] = (struct blkif_request_segment){ ref, first, last };
}

static void push(void)
{
    ring->req_prod = prod;
    fake_signal(DOM, 9);
    fake_run();
}

/* The next answer's status; it is for the request of that number. */
static int16_t answer(void)
{
    struct blkif_response *r = &ring->ring[taken & 31].rsp;

    assert_int_not_equal(ring->rsp_prod, taken);
    taken++;
    return r->status;
}

static int16_t one(struct blkif_request *q)
{
    uint64_t id = q->id;

    push();
    assert_int_equal(ring->ring[taken & 31].rsp.id, id);
    return answer();
}

static int state(void)
{
    return atoi(fake_read(BACK "/state"));
}

static void reads_and_writes(void **unused)
{
    struct blkif_request *q;

    connect("w", "image");
    assert_int_equal(state(), 4);
    assert_string_equal(fake_read(BACK "/sectors"), "64");
    q = next(BLKIF_OP_READ, 2);
    segment(q, 100, 0, 7);
    segment(q, 101, 3, 4);
    assert_int_equal(one(q), BLKIF_RSP_OKAY);
    assert_memory_equal(page[0], image + 1024, 4096);
    assert_memory_equal(page[1] + 1536, image + 1024 + 4096, 1024);
    assert_int_equal(page[1][1535], 0xee);
    assert_int_equal(page[1][2560], 0xee);

    memset(page[2], 0x77, 4096);
    q = next(BLKIF_OP_WRITE, 7);
    segment(q, 102, 1, 1);
    assert_int_equal(one(q), BLKIF_RSP_OKAY);
    assert_int_equal(image[7 * 512], (uint8_t)(7 + 7 * 512));      /* the module stays */
    q = next(BLKIF_OP_READ, 6);
    segment(q, 103, 0, 2);
    assert_int_equal(one(q), BLKIF_RSP_OKAY);
    assert_memory_equal(page[3], image + 6 * 512, 512);
    assert_int_equal(page[3][512], 0x77);
    assert_int_equal(page[3][1023], 0x77);
    assert_memory_equal(page[3] + 1024, image + 8 * 512, 512);
    q = next(BLKIF_OP_FLUSH_DISKCACHE, ~0ul);
    q->nr_segments = 200;               /* stale fields of a flush mean nothing */
    assert_int_equal(one(q), BLKIF_RSP_OKAY);
}

static void indirect(void **unused)
{
    struct blkif_request_segment *list = (void *)page[39];
    struct blkif_request_indirect *q;

    connect("w", "image");
    memset(list, 0, 4096);
    for (unsigned int i = 0; i < 8; i++)
        list[i] = (struct blkif_request_segment){ 100 + i, 0, 7 };
    q = (void *)next(BLKIF_OP_INDIRECT, 0);
    q->indirect_op = BLKIF_OP_READ;
    q->nr_segments = 8;
    q->id = 77;
    q->sector_number = 0;
    q->indirect_grefs[0] = 139;
    push();
    assert_int_equal(ring->ring[0].rsp.id, 77);
    assert_int_equal(ring->ring[0].rsp.operation, BLKIF_OP_READ);
    assert_int_equal(answer(), BLKIF_RSP_OKAY);
    for (unsigned int i = 0; i < 8; i++)
        assert_memory_equal(page[i], image + i * 4096, 4096);

    const struct { uint8_t op; uint16_t n; grant_ref_t ref; } bad[] = {
        { BLKIF_OP_READ, 0, 139 }, { BLKIF_OP_READ, 33, 139 }, { BLKIF_OP_READ, 65535, 139 },
        { BLKIF_OP_READ, 8, 9999 }, { BLKIF_OP_FLUSH_DISKCACHE, 8, 139 }, { BLKIF_OP_INDIRECT, 8, 139 },
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        q = (void *)next(BLKIF_OP_INDIRECT, 0);
        q->indirect_op = bad[i].op;
        q->nr_segments = bad[i].n;
        q->sector_number = 0;
        q->indirect_grefs[0] = bad[i].ref;
        push();
        assert_int_equal(answer(), BLKIF_RSP_ERROR);
    }
    assert_int_equal(state(), 4);
}

static void refusals(void **unused)
{
    struct blkif_request *q;
    const struct { uint64_t sector; uint8_t first, last; grant_ref_t ref; } bad[] = {
        { SECTORS, 0, 0, 100 }, { SECTORS - 1, 0, 1, 100 }, { ~0ul, 0, 0, 100 }, { ~0ul - 7, 0, 7, 100 },
        { 0, 1, 0, 100 }, { 0, 0, 8, 100 }, { 0, 255, 255, 100 }, { 0, 0, 7, 9999 },
    };

    connect("w", "image");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        for (uint8_t op = BLKIF_OP_READ; op <= BLKIF_OP_WRITE; op++) {
            q = next(op, bad[i].sector);
            segment(q, bad[i].ref, bad[i].first, bad[i].last);
            assert_int_equal(one(q), BLKIF_RSP_ERROR);
        }
    }
    assert_int_equal(one(next(BLKIF_OP_READ, 0)), BLKIF_RSP_ERROR);        /* no segments */
    q = next(BLKIF_OP_WRITE, 0);
    q->nr_segments = 12;
    assert_int_equal(one(q), BLKIF_RSP_ERROR);
    assert_int_equal(one(next(BLKIF_OP_DISCARD, 0)), BLKIF_RSP_ERROR);      /* no sectors */
    assert_int_equal(one(next(200, 0)), BLKIF_RSP_EOPNOTSUPP);
    /* A page offered read-only cannot be read into; the disk is none the worse. */
    fake_grant(DOM, 200, page[20], true);
    q = next(BLKIF_OP_READ, 0);
    segment(q, 200, 0, 7);
    assert_int_equal(one(q), BLKIF_RSP_ERROR);
    q = next(BLKIF_OP_READ, 0);
    segment(q, 100, 0, 7);
    assert_int_equal(one(q), BLKIF_RSP_OKAY);
    assert_memory_equal(page[0], image, 4096);
}

static void read_only(void **unused)
{
    struct blkif_request *q;

    connect("r", "image");
    assert_string_equal(fake_read(BACK "/info"), "4");
    q = next(BLKIF_OP_WRITE, 0);
    segment(q, 100, 0, 7);
    assert_int_equal(one(q), BLKIF_RSP_ERROR);
    q = next(BLKIF_OP_READ, 0);
    segment(q, 100, 0, 7);
    assert_int_equal(one(q), BLKIF_RSP_OKAY);
}

static void full_ring(void **unused)
{
    connect("w", "image");
    for (unsigned int round = 0; round < 3; round++) {
        for (unsigned int i = 0; i < 32; i++)
            segment(next(BLKIF_OP_READ, i), 100 + i, 0, 7);
        push();
        for (unsigned int i = 0; i < 32; i++)
            assert_int_equal(answer(), BLKIF_RSP_OKAY);
        for (unsigned int i = 0; i < 32; i++)
            assert_memory_equal(page[i], image + i * 512, 4096);
    }
}

static void producer_far_ahead(void **unused)
{
    connect("w", "image");
    prod = 33;
    push();
    assert_int_equal(state(), 5);
    assert_non_null(strstr(fake_log, "request producer 33"));
    assert_int_equal(fake_mapped(DOM), 0);
}

/* The frontend closes it in the very moment in which its ring is found to be wrong. */
static void fails_and_closes(void **unused)
{
    connect("w", "image");
    prod = 33;
    ring->req_prod = prod;
    fake_signal(DOM, 9);
    loop_turn(false);
    fake_write(FRONT "/state", "6");
    fake_run();
    assert_int_equal(state(), 6);
    fake_write(FRONT "/state", "1");
    fake_run();
    assert_int_equal(state(), 2);
}

static void comes_again(void **unused)
{
    struct blkif_request *q;

    connect("w", "image");
    fake_write(FRONT "/state", "5");
    fake_run();
    assert_int_equal(state(), 5);
    fake_write(FRONT "/state", "6");
    fake_run();
    assert_int_equal(state(), 6);
    assert_int_equal(fake_mapped(DOM), 0);
    fake_write(FRONT "/state", "1");
    fake_run();
    assert_int_equal(state(), 2);
    memset(ring, 0, 4096);
    ring->req_event = ring->rsp_event = 1;
    prod = taken = 0;
    fake_write(FRONT "/state", "3");
    fake_run();
    assert_int_equal(state(), 4);
    q = next(BLKIF_OP_READ, 0);
    segment(q, 100, 0, 7);
    assert_int_equal(one(q), BLKIF_RSP_OKAY);
}

/* A disk under the test's control: requests wait until the test answers them. ------------------ */

static struct disk fake_disk;
static struct disk_io *waiting[64];
static unsigned int nr_waiting;
static bool kicked;                 /* since the last one was submitted */
static bool fake_closed;

static void fake_submit(struct disk *d, struct disk_io *io)
{
    waiting[nr_waiting++] = io;
    kicked = false;
}

static void fake_close(struct disk *d)
{
    fake_closed = true;
    while (nr_waiting)
        disk_done(waiting[--nr_waiting], -XEN_EIO);
    disk_closed(d);
}

static void fake_kick(struct disk *d)
{
    kicked = true;
}

static const struct disk_driver fake_driver = { .submit = fake_submit, .kick = fake_kick, .close = fake_close };

static void fake_open(struct disk_open *o)
{
    nr_waiting = 0;
    fake_closed = false;
    fake_disk.driver = &fake_driver;
    fake_disk.readonly = o->spec.readonly;
    if (!strcmp(o->name, "wrong"))
        disk_not_opened(o, -XEN_EROFS, "only to be read");
    else
        disk_opened(o, &fake_disk);
}

/* The oldest request's answer. */
static void answer_first(int rc)
{
    struct disk_io *io = waiting[0];

    assert_int_not_equal(nr_waiting, 0);
    memmove(waiting, waiting + 1, --nr_waiting * sizeof(waiting[0]));
    kicked = true;
    disk_done(io, rc);
    fake_run();
    assert_true(kicked);            /* whatever that made it submit */
}

static void connect_fake(uint32_t caps, uint32_t logical)
{
    static struct disk_kind kind = { .prefix = "fake:", .open = fake_open };
    static bool known;

    if (!known)
        disk_kind_add(&kind);
    known = true;
    fake_disk = (struct disk){ .sectors = 1000, .logical = logical, .physical = 4096, .caps = caps };
    connect("w", "fake:one");
    assert_int_equal(state(), 4);
}

static void barriers(void **unused)
{
    struct blkif_request *q;

    connect_fake(DISK_CAP_FLUSH, 512);
    segment(next(BLKIF_OP_WRITE, 0), 100, 0, 7);
    segment(next(BLKIF_OP_WRITE_BARRIER, 8), 101, 0, 7);
    segment(next(BLKIF_OP_WRITE, 16), 102, 0, 7);
    push();
    assert_int_equal(nr_waiting, 1);            /* what comes before must end first */
    assert_int_equal(waiting[0]->sector, 0);
    answer_first(0);
    assert_int_equal(nr_waiting, 1);
    assert_int_equal(waiting[0]->op, DISK_FLUSH);
    answer_first(0);
    assert_int_equal(waiting[0]->op, DISK_WRITE);
    assert_int_equal(waiting[0]->sector, 8);
    answer_first(0);
    assert_int_equal(nr_waiting, 1);            /* no FUA: flushed once more */
    assert_int_equal(waiting[0]->op, DISK_FLUSH);
    answer_first(0);
    assert_int_equal(nr_waiting, 1);
    assert_int_equal(waiting[0]->sector, 16);
    answer_first(0);
    for (unsigned int i = 0; i < 3; i++)
        assert_int_equal(answer(), BLKIF_RSP_OKAY);

    /* With FUA the write itself is enough; without data there is only a flush. */
    fake_disk.caps |= DISK_CAP_FUA;
    segment(next(BLKIF_OP_WRITE_BARRIER, 8), 101, 0, 7);
    next(BLKIF_OP_WRITE_BARRIER, 0);
    push();
    assert_int_equal(waiting[0]->op, DISK_FLUSH);
    answer_first(0);
    assert_int_equal(waiting[0]->flags, DISK_FUA);
    answer_first(0);
    assert_int_equal(nr_waiting, 1);
    assert_int_equal(waiting[0]->op, DISK_FLUSH);
    answer_first(0);
    assert_int_equal(nr_waiting, 0);
    assert_int_equal(answer(), BLKIF_RSP_OKAY);
    assert_int_equal(answer(), BLKIF_RSP_OKAY);

    /* One that fails holds nothing up. */
    segment(next(BLKIF_OP_WRITE_BARRIER, 8), 101, 0, 7);
    q = next(BLKIF_OP_READ, 0);
    segment(q, 100, 0, 7);
    push();
    answer_first(-XEN_EIO);
    assert_int_equal(nr_waiting, 1);
    answer_first(0);
    assert_int_equal(answer(), BLKIF_RSP_ERROR);
    assert_int_equal(answer(), BLKIF_RSP_OKAY);
    /* One that still waits when the frontend goes. */
    segment(next(BLKIF_OP_WRITE, 0), 100, 0, 7);
    segment(next(BLKIF_OP_WRITE_BARRIER, 8), 101, 0, 7);
    push();
    assert_int_equal(nr_waiting, 1);
}

static struct blkif_request *discard(uint64_t sector, uint64_t n)
{
    struct blkif_request_discard *q = (void *)next(BLKIF_OP_DISCARD, sector);

    q->nr_sectors = n;
    return (void *)q;
}

static void discards(void **unused)
{
    connect_fake(DISK_CAP_DISCARD, 512);
    assert_string_equal(fake_read(BACK "/feature-discard"), "1");
    fake_disk.max_discard = 300;
    discard(100, 700);
    push();
    for (unsigned int i = 0; i < 3; i++) {
        assert_int_equal(nr_waiting, 1);
        assert_int_equal(waiting[0]->op, DISK_DISCARD);
        assert_int_equal(waiting[0]->sector, 100 + 300 * i);
        assert_int_equal(waiting[0]->sectors, i < 2 ? 300 : 100);
        answer_first(0);
    }
    assert_int_equal(answer(), BLKIF_RSP_OKAY);
    assert_int_equal(one(discard(999, 2)), BLKIF_RSP_ERROR);
    assert_int_equal(one(discard(~0ul, 2)), BLKIF_RSP_ERROR);
    assert_int_equal(one(discard(2, ~0ul)), BLKIF_RSP_ERROR);
    ((struct blkif_request_discard *)discard(0, 8))->flag = BLKIF_DISCARD_SECURE;
    push();
    assert_int_equal(answer(), BLKIF_RSP_EOPNOTSUPP);
    fake_disk.caps = 0;
    assert_int_equal(one(discard(0, 8)), BLKIF_RSP_EOPNOTSUPP);
}

static void discarded_image(void **unused)
{
    struct blkif_request *q;

    connect("w", "image");
    assert_int_equal(one(discard(1, 20)), BLKIF_RSP_OKAY);
    q = next(BLKIF_OP_READ, 0);
    segment(q, 100, 0, 7);
    segment(q, 101, 0, 7);
    segment(q, 102, 0, 7);
    assert_int_equal(one(q), BLKIF_RSP_OKAY);
    assert_memory_equal(page[0], image, 512);
    for (unsigned int i = 512; i < 21 * 512; i++)
        assert_int_equal(page[i / 4096][i % 4096], 0);
    assert_memory_equal(page[2] + 5 * 512, image + 21 * 512, 3 * 512);
}

static void large_sectors(void **unused)
{
    struct blkif_request *q;

    connect_fake(0, 4096);
    assert_string_equal(fake_read(BACK "/sector-size"), "4096");
    assert_string_equal(fake_read(BACK "/physical-sector-size"), "4096");
    q = next(BLKIF_OP_READ, 8);
    segment(q, 100, 0, 7);
    push();
    assert_int_equal(waiting[0]->sector, 8);
    assert_int_equal(waiting[0]->nr_segs, 1);
    memset(waiting[0]->seg[0].va, 0x42, 4096);
    answer_first(0);
    assert_int_equal(answer(), BLKIF_RSP_OKAY);
    assert_int_equal(page[0][4095], 0x42);
    q = next(BLKIF_OP_READ, 4);                 /* not at a sector's start */
    segment(q, 100, 0, 7);
    assert_int_equal(one(q), BLKIF_RSP_ERROR);
    q = next(BLKIF_OP_READ, 8);                 /* no whole sectors, though they add up */
    segment(q, 100, 0, 3);
    segment(q, 101, 4, 7);
    assert_int_equal(one(q), BLKIF_RSP_ERROR);
}

static void limits(void **unused)
{
    fake_write(BACK "/limit-iops", "10");
    connect_fake(0, 512);
    for (unsigned int i = 0; i < 8; i++)
        segment(next(BLKIF_OP_READ, i), 100, 0, 0);
    push();
    assert_int_equal(nr_waiting, 1);            /* one passes at once, then ten a second */
    for (unsigned int i = 0; i < 9; i++)
        fake_advance(50000000);
    assert_in_range(nr_waiting, 5, 6);
    for (unsigned int i = 0; i < 10; i++)
        fake_advance(50000000);
    assert_int_equal(nr_waiting, 8);
    while (nr_waiting)
        answer_first(0);
}

static void resizes(void **unused)
{
    connect_fake(0, 512);
    assert_string_equal(fake_read(BACK "/sectors"), "1000");
    fake_write(BACK "/state", "40");            /* whether it is written again */
    fake_run();
    disk_resized(&fake_disk, 2000);
    fake_run();
    assert_string_equal(fake_read(BACK "/sectors"), "2000");
    assert_int_equal(state(), 4);
}

/* The disk answers when the frontend is gone: nothing is copied, nothing is lost. */
static void goes_while_busy(void **unused)
{
    struct blkif_request *q;

    for (unsigned int by_copy = 0; by_copy < 2; by_copy++) {
        connect_fake(by_copy ? DISK_BY_COPY : 0, 512);
        q = next(BLKIF_OP_READ, 0);
        segment(q, 100, 0, 7);
        push();
        assert_int_equal(nr_waiting, 1);
        memset(page[0], 0xee, 4096);
        fake_write(FRONT "/state", "6");
        fake_run();
        assert_int_equal(fake_mapped(DOM), 0);
        /* Not closed as long as pages of it may be in use. */
        assert_int_equal(state(), by_copy ? 6 : 5);
        if (by_copy) {
            static const char secret[4096] = "secret";

            disk_give(waiting[0], 0, secret, 4096);
            disk_settle();
            assert_true(disk_copy_failed(waiting[0]));
        }
        answer_first(0);
        assert_int_equal(state(), 6);
        assert_int_equal(page[0][0], 0xee);
        fake_remove(BACK);
        fake_run();
        assert_true(fake_closed);
        prod = taken = 0;
        memset(ring, 0, 4096);
        ring->req_event = ring->rsp_event = 1;
    }
}

/* For a disk that does DMA: the guest's own pages, pinned until the answer and not longer. */
static void pinned(void **unused)
{
    struct blkif_request *q;

    connect_fake(DISK_BY_FRAME, 512);
    q = next(BLKIF_OP_READ, 0);
    segment(q, 100, 0, 7);
    segment(q, 101, 2, 3);
    q = next(BLKIF_OP_WRITE, 8);
    segment(q, 102, 0, 7);
    push();
    assert_int_equal(nr_waiting, 2);
    assert_int_equal(fake_pinned, 3);
    assert_int_equal(waiting[0]->nr_segs, 2);
    assert_int_equal(waiting[0]->seg[0].maddr, (uint64_t)page[0]);
    assert_int_equal(waiting[0]->seg[1].maddr, (uint64_t)page[1] + 1024);
    assert_int_equal(waiting[0]->seg[1].bytes, 1024);
    assert_int_equal(waiting[1]->seg[0].maddr, (uint64_t)page[2]);
    assert_null(waiting[1]->seg[0].va);
    answer_first(0);
    assert_int_equal(answer(), BLKIF_RSP_OKAY);
    assert_int_equal(fake_pinned, 1);
    answer_first(-XEN_EIO);
    assert_int_equal(answer(), BLKIF_RSP_ERROR);
    assert_int_equal(fake_pinned, 0);

    /* What is not granted, or only to be read, never comes to the disk. */
    q = next(BLKIF_OP_WRITE, 0);
    segment(q, 103, 0, 7);
    segment(q, 9999, 0, 7);
    assert_int_equal(one(q), BLKIF_RSP_ERROR);
    fake_grant(DOM, 104, page[4], true);
    q = next(BLKIF_OP_READ, 0);
    segment(q, 104, 0, 7);
    assert_int_equal(one(q), BLKIF_RSP_ERROR);
    assert_int_equal(nr_waiting, 0);
    assert_int_equal(fake_pinned, 0);
    q = next(BLKIF_OP_WRITE, 0);
    segment(q, 104, 0, 7);
    push();
    assert_int_equal(nr_waiting, 1);
    answer_first(0);
    assert_int_equal(answer(), BLKIF_RSP_OKAY);

    /* More than one hypercall takes; then the frontend goes while the disk has them. */
    for (unsigned int i = 0; i < 20; i++) {
        q = next(BLKIF_OP_READ, i);
        for (unsigned int k = 0; k < 11; k++)
            segment(q, 110 + k, 0, 7);
    }
    push();
    assert_int_equal(fake_pinned, 220);
    fake_write(FRONT "/state", "6");
    fake_run();
    assert_int_equal(fake_pinned, 220);
    assert_int_equal(state(), 5);
    while (nr_waiting)
        answer_first(0);
    assert_int_equal(fake_pinned, 0);
    assert_int_equal(state(), 6);
}

/* For a disk that only passes data on to a device: pinned when it asks for that. A frontend that goes meanwhile must not have
 * its pages back before the disk is done with them; one whose disk has none need not wait. */
static void lent(void **unused)
{
    struct blkif_request *q;
    struct pinned *p;
    paddr_t maddr;
    uint32_t bytes;
    uint8_t copy[8192];

    connect_fake(DISK_BY_COPY, 512);
    q = next(BLKIF_OP_WRITE, 0);
    segment(q, 100, 1, 7);
    segment(q, 101, 0, 6);
    push();
    memset(page[0], 1, 4096);
    memset(page[1], 2, 4096);
    p = disk_pin(waiting[0]);
    assert_non_null(p);
    disk_settle();
    assert_false(disk_copy_failed(waiting[0]));
    assert_int_equal(fake_pinned, 2);
    assert_int_equal(p->bytes, 14 * 512);
    assert_ptr_equal(pinned_find(pinned_addr(p, 7 * 512 + 4), &maddr, &bytes), p);
    assert_int_equal(maddr, (uint64_t)page[1] + 4);
    assert_int_equal(bytes, 7 * 512 - 4);
    assert_true(pinned_read(copy, pinned_addr(p, 0), 14 * 512));
    assert_int_equal(copy[7 * 512 - 1], 1);
    assert_int_equal(copy[7 * 512], 2);
    assert_true(pinned_put(p));
    answer_first(0);
    assert_int_equal(answer(), BLKIF_RSP_OKAY);
    assert_int_equal(fake_pinned, 0);

    /* Small pieces are not worth it; what is not granted fails. */
    q = next(BLKIF_OP_WRITE, 0);
    segment(q, 100, 0, 7);
    for (unsigned int i = 0; i < 3; i++)
        segment(q, 101 + i, i, i);
    push();
    assert_null(disk_pin(waiting[0]));
    answer_first(0);
    assert_int_equal(answer(), BLKIF_RSP_OKAY);
    q = next(BLKIF_OP_WRITE, 0);
    segment(q, 100, 0, 7);
    segment(q, 9999, 0, 7);
    push();
    p = disk_pin(waiting[0]);
    disk_settle();
    assert_true(disk_copy_failed(waiting[0]));
    assert_true(pinned_put(p));
    answer_first(0);
    assert_int_equal(answer(), BLKIF_RSP_ERROR);
    assert_int_equal(fake_pinned, 0);

    segment(next(BLKIF_OP_WRITE, 0), 100, 0, 7);
    push();
    fake_write(FRONT "/state", "6");
    fake_run();
    assert_int_equal(state(), 6);
    assert_null(disk_pin(waiting[0]));
    answer_first(-XEN_EIO);
    prod = taken = 0;
    memset(ring, 0, 4096);
    ring->req_event = ring->rsp_event = 1;
    fake_write(FRONT "/state", "1");
    fake_run();
    fake_write(FRONT "/state", "3");
    fake_run();
    assert_int_equal(state(), 4);
    segment(next(BLKIF_OP_WRITE, 0), 100, 0, 7);
    push();
    p = disk_pin(waiting[0]);
    assert_non_null(p);
    disk_settle();
    fake_write(FRONT "/state", "6");
    fake_run();
    assert_int_equal(state(), 5);
    assert_int_equal(fake_pinned, 1);
    assert_true(pinned_put(p));
    answer_first(0);
    fake_run();
    assert_int_equal(fake_pinned, 0);
    assert_int_equal(state(), 6);
}

static void detach(void **unused)
{
    connect_fake(0, 512);
    fake_write(BACK "/online", "0");
    fake_write(BACK "/state", "5");             /* as a toolstack does */
    fake_run();
    assert_false(fake_closed);                  /* the frontend has it still */
    fake_write(FRONT "/state", "5");
    fake_run();
    fake_write(FRONT "/state", "6");
    fake_run();
    assert_true(fake_closed);                   /* before state 6 says so */
    assert_int_equal(state(), 6);
    fake_write(FRONT "/state", "1");
    fake_run();
    assert_int_equal(state(), 6);
}

/* There is no driver in the guest that could answer. */
static void detach_unused(void **unused)
{
    connect_fake(0, 512);
    fake_write(FRONT "/state", "1");
    fake_run();
    assert_int_equal(state(), 2);
    fake_write(BACK "/online", "0");
    fake_write(BACK "/state", "5");
    fake_run();
    assert_true(fake_closed);
    assert_int_equal(state(), 6);
}

/* Who may have one medium open together. */
static int second_rc;
static struct disk second;

static void second_opened(struct disk_open *o, int rc, struct disk *d, const char *why)
{
    second_rc = rc;
    if (rc)
        assert_non_null(strstr(why, "medium:b"));
    else
        disk_close(d, NULL, NULL);
}

static void medium_submit(struct disk *d, struct disk_io *io)
{
}

static bool closes_late;
static struct disk *closing_disk;

static void medium_close(struct disk *d)
{
    if (closes_late)
        closing_disk = d;
    else
        disk_closed(d);
}

static void medium_open(struct disk_open *o)
{
    static const struct disk_driver driver = { .submit = medium_submit, .close = medium_close };
    static struct disk first;
    struct disk *d = *o->name == 'a' ? &first : &second;

    *d = (struct disk){ .driver = &driver, .sectors = 500, .logical = 512,
                        .id_start = o->name[1] ? 500 : 0, .readonly = o->spec.readonly };
    strcpy(d->id, "medium");
    disk_opened(o, d);
}

static void first_opened(struct disk_open *o, int rc, struct disk *d, const char *why)
{
    assert_int_equal(rc, 0);
    o->arg = d;
}

static void two_writers(void **unused)
{
    static struct disk_kind kind = { .prefix = "medium:", .open = medium_open };
    static const struct { bool ro1, shared1; const char *target; bool ro2, shared2; int rc; } t[] = {
        { false, false, "medium:b", false, false, -XEN_EBUSY },
        { false, false, "medium:b", true, false, -XEN_EBUSY },
        { true, false, "medium:b", false, false, -XEN_EBUSY },
        { true, false, "medium:b", true, false, 0 },
        { false, true, "medium:b", false, true, 0 },
        { false, false, "medium:b", false, true, 0 },
        { false, false, "medium:b2", false, false, 0 },         /* another part of it */
    };

    disk_kind_add(&kind);
    for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
        struct disk_open a = { .spec = { "medium:a", t[i].ro1, t[i].shared1 }, .opened = first_opened };
        struct disk_open b = { .spec = { .readonly = t[i].ro2, .shared = t[i].shared2 },
                               .opened = second_opened };

        strcpy(b.spec.target, t[i].target);
        disk_open(&a);
        second_rc = 1;
        disk_open(&b);
        assert_int_equal(second_rc, t[i].rc);
        disk_close(a.arg, NULL, NULL);
        disk_open(&b);                  /* and when the first is gone */
        assert_int_equal(second_rc, 0);
    }
}

/* One that is being closed is waited for, not in the way. */
static void waits_for_close(void **unused)
{
    struct disk_open a = { .spec = { .target = "medium:a" }, .opened = first_opened };
    struct disk_open b = { .spec = { .target = "medium:b" }, .opened = second_opened };

    disk_open(&a);
    closes_late = true;
    disk_close(a.arg, NULL, NULL);
    second_rc = 1;
    disk_open(&b);
    assert_int_equal(second_rc, 1);
    closes_late = false;
    disk_closed(closing_disk);
    assert_int_equal(second_rc, 0);

    /* Who waits may give up, and is not called then. */
    disk_open(&a);
    closes_late = true;
    disk_close(a.arg, NULL, NULL);
    closes_late = false;
    second_rc = 1;
    disk_open(&b);
    disk_open_cancel(&b);
    disk_closed(closing_disk);
    assert_int_equal(second_rc, 1);
    disk_open(&b);
    assert_int_equal(second_rc, 0);
}

/* An open disk that waits for its backend: it is in others' way, and its backend gets that very one. */
static void parked(void **unused)
{
    static int me;
    struct disk_open a = { .spec = { .target = "medium:a" }, .opened = first_opened };
    struct disk_open again = { .spec = { .target = "medium:a" }, .opened = first_opened };
    struct disk_open b = { .spec = { .target = "medium:b" }, .opened = second_opened };

    disk_open(&a);
    disk_park(a.arg, &me);
    disk_open(&b);
    assert_int_equal(second_rc, -XEN_EBUSY);
    disk_open_parked(&again);
    assert_ptr_equal(again.arg, a.arg);
    disk_unpark(&me);               /* is in use: stays */
    disk_open(&b);
    assert_int_equal(second_rc, -XEN_EBUSY);
    disk_close(a.arg, NULL, NULL);
    disk_open(&a);
    disk_park(a.arg, &me);
    disk_unpark(&me);
    disk_open(&b);
    assert_int_equal(second_rc, 0);
}

/* Rings of several pages, and several of them. */
static void many_rings(void **unused)
{
    static uint8_t big[2][16 * 4096] __aligned(4096);
    struct blkif_sring *r;

    memset(big, 0, sizeof(big));
    fake_write(FRONT "/multi-queue-num-queues", "2");
    fake_write(FRONT "/ring-page-order", "4");
    for (unsigned int q = 0; q < 2; q++) {
        char path[96], value[16];

        for (unsigned int i = 0; i < 16; i++) {
            snprintf(path, sizeof(path), FRONT "/queue-%u/ring-ref%u", q, i);
            snprintf(value, sizeof(value), "%u", 600 + q * 16 + i);
            fake_write(path, value);
            fake_grant(DOM, 600 + q * 16 + i, big[q] + i * 4096, false);
        }
        snprintf(path, sizeof(path), FRONT "/queue-%u/event-channel", q);
        snprintf(value, sizeof(value), "%u", 20 + q);
        fake_write(path, value);
    }
    connect("r", "image");
    assert_int_equal(state(), 4);
    assert_int_equal(fake_mapped(DOM), 32);
    for (unsigned int q = 0; q < 2; q++) {
        r = (void *)big[q];
        for (unsigned int i = 0; i < 512; i++) {
            struct blkif_request *e = &r->ring[i].req;

            e->operation = BLKIF_OP_READ;
            e->id = i + q * 1000;
            e->nr_segments = 1;
            e->seg[0] = (struct blkif_request_segment){ 100 + q, 0, 0 };
        }
        r->req_prod = 512;
        fake_signal(DOM, 20 + q);
    }
    fake_run();
    for (unsigned int q = 0; q < 2; q++) {
        r = (void *)big[q];
        assert_int_equal(r->rsp_prod, 512);
        for (unsigned int i = 0; i < 512; i++) {
            assert_int_equal(r->ring[i].rsp.id, i + q * 1000);
            assert_int_equal(r->ring[i].rsp.status, BLKIF_RSP_OKAY);
        }
    }
    assert_memory_equal(page[0], image, 512);
}

static void wrong_rings(void **unused)
{
    static const struct { const char *key, *value; } bad[] = {
        { "multi-queue-num-queues", "9" }, { "multi-queue-num-queues", "0" }, { "ring-page-order", "5" },
        { "num-ring-pages", "17" }, { "ring-page-order", "1" }, { "protocol", "x86_32-abi" },
        { "multi-queue-num-queues", "2" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        char path[96];

        snprintf(path, sizeof(path), FRONT "/%s", bad[i].key);
        fake_write(path, bad[i].value);
        connect("r", "image");
        assert_int_equal(state(), 5);
        assert_int_equal(fake_mapped(DOM), 0);
        assert_int_equal(fake_bound(), 0);
        fake_remove(BACK);
        fake_remove(FRONT);
        fake_run();
    }
}

/* Bytes of an answer that are no field are the guest's own, as they were in the request. */
static void answers_are_fields_only(void **unused)
{
    const size_t between[] = { 9, 12, 13, 14, 15 };

    _Static_assert(offsetof(struct blkif_response, operation) == 8 && offsetof(struct blkif_response, status) == 10 &&
                   sizeof(struct blkif_response) == 16, "these are not");
    connect("w", "image");
    for (unsigned int i = 0; i < 100; i++) {
        uint8_t *entry = (uint8_t *)&ring->ring[prod & 31];
        struct blkif_request *q = next(i % 3 ? BLKIF_OP_READ : BLKIF_OP_FLUSH_DISKCACHE, 0);
        uint64_t id = q->id = 0x5a5a5a5a5a5a5a5aUL + i;

        if (i % 3)
            segment(q, 100, 0, i % 3 == 2 ? 9 : 0);
        push();
        assert_int_equal(answer(), i % 3 == 2 ? BLKIF_RSP_ERROR : BLKIF_RSP_OKAY);
        assert_memory_equal(entry, &id, 8);
        for (unsigned int k = 0; k < sizeof(between) / sizeof(between[0]); k++)
            assert_int_equal(entry[between[k]], 0x5a);
    }
}

static void does_not_fill_the_log(void **unused)
{
    unsigned int n = 0;

    connect("w", "image");
    for (unsigned int i = 0; i < 50; i++) {
        fake_write(FRONT "/state", "6");
        fake_run();
        fake_write(FRONT "/state", "1");
        fake_run();
        if (i % 2)
            fake_remove(FRONT "/ring-ref");
        else
            fake_write(FRONT "/ring-ref", "500");
        fake_write(FRONT "/state", "3");
        fake_run();
        assert_int_equal(state(), i % 2 ? 5 : 4);
    }
    for (const char *p = fake_log; (p = strstr(p, "vbd3.51712: ")) != NULL; p++)
        n++;
    assert_int_equal(n, 20);
    fake_remove(BACK);
    fake_run();
    assert_non_null(strstr(fake_log, "31 lines of this device left out"));
}

static void no_such_file(void **unused)
{
    connect("w", "nowhere");
    assert_int_equal(state(), 6);
    assert_non_null(strstr(fake_log, "nowhere"));
    assert_int_equal(fake_mapped(DOM), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_and_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(indirect, setup, teardown),
        cmocka_unit_test_setup_teardown(refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(read_only, setup, teardown),
        cmocka_unit_test_setup_teardown(full_ring, setup, teardown),
        cmocka_unit_test_setup_teardown(producer_far_ahead, setup, teardown),
        cmocka_unit_test_setup_teardown(fails_and_closes, setup, teardown),
        cmocka_unit_test_setup_teardown(comes_again, setup, teardown),
        cmocka_unit_test_setup_teardown(barriers, setup, teardown),
        cmocka_unit_test_setup_teardown(discards, setup, teardown),
        cmocka_unit_test_setup_teardown(discarded_image, setup, teardown),
        cmocka_unit_test_setup_teardown(large_sectors, setup, teardown),
        cmocka_unit_test_setup_teardown(limits, setup, teardown),
        cmocka_unit_test_setup_teardown(resizes, setup, teardown),
        cmocka_unit_test_setup_teardown(goes_while_busy, setup, teardown),
        cmocka_unit_test_setup_teardown(pinned, setup, teardown),
        cmocka_unit_test_setup_teardown(lent, setup, teardown),
        cmocka_unit_test_setup_teardown(detach, setup, teardown),
        cmocka_unit_test_setup_teardown(detach_unused, setup, teardown),
        cmocka_unit_test_setup_teardown(many_rings, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_rings, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_are_fields_only, setup, teardown),
        cmocka_unit_test_setup_teardown(does_not_fill_the_log, setup, teardown),
        cmocka_unit_test_setup_teardown(no_such_file, setup, teardown),
        cmocka_unit_test(two_writers),
        cmocka_unit_test(waits_for_close),
        cmocka_unit_test(parked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
