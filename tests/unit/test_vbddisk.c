/* SPDX-License-Identifier: MIT */
/* test_vbddisk.c - a vbd on a disk whose answers the test gives: barriers, discards, limits, pages that are pinned or lent. */
/* LINK: blkback/blkback.c blkback/request.c blkback/queue.c blkback/decode.c blkback/copy.c blkback/pin.c runtime/pinned.c blkback/disk.c lib/rate.c blkback/ramdisk.c runtime/xs.c runtime/xbdev.c runtime/loglimit.c */
/* LINK: runtime/xbroot.c runtime/loop.c runtime/cmdline.c lib/strlcpy.c lib/why.c tests/unit/fakes/guest.c tests/unit/fakes/world.c */
#include "tests/unit/vbd_ring.h"

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

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(barriers), T(discards), T(large_sectors), T(limits), T(resizes), T(goes_while_busy),
        T(pinned), T(lent), T(detach), T(detach_unused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
