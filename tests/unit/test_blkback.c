/* SPDX-License-Identifier: MIT */
/* test_blkback.c - a vbd from its ring's side: what it does, and what it refuses. */
/* LINK: blkback/blkback.c blkback/request.c blkback/copy.c blkback/disk.c blkback/ramdisk.c runtime/xs.c runtime/xbdev.c */
/* LINK: runtime/xbroot.c runtime/loop.c runtime/cmdline.c lib/strlcpy.c lib/why.c tests/unit/fakes/guest.c */
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
    assert_int_equal(one(next(BLKIF_OP_WRITE_BARRIER, 0)), BLKIF_RSP_EOPNOTSUPP);
    assert_int_equal(one(next(BLKIF_OP_DISCARD, 0)), BLKIF_RSP_EOPNOTSUPP);
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

static void no_such_file(void **unused)
{
    connect("w", "nowhere");
    assert_int_equal(state(), 1);
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
        cmocka_unit_test_setup_teardown(comes_again, setup, teardown),
        cmocka_unit_test_setup_teardown(no_such_file, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
