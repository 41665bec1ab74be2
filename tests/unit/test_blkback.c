/* SPDX-License-Identifier: MIT */
/* test_blkback.c - a vbd from its ring's side: what it does, and what it refuses. */
/* LINK: blkback/blkback.c blkback/request.c blkback/queue.c blkback/decode.c blkback/copy.c blkback/pin.c runtime/pinned.c blkback/disk.c lib/rate.c blkback/ramdisk.c runtime/xs.c runtime/xbdev.c runtime/loglimit.c */
/* LINK: runtime/xbroot.c runtime/loop.c runtime/cmdline.c lib/strlcpy.c lib/why.c tests/unit/fakes/guest.c tests/unit/fakes/world.c */
#include "tests/unit/vbd_ring.h"

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
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(reads_and_writes), T(indirect), T(refusals), T(read_only), T(full_ring),
        T(producer_far_ahead), T(fails_and_closes), T(comes_again), T(discarded_image),
        T(many_rings), T(wrong_rings), T(answers_are_fields_only), T(does_not_fill_the_log),
        T(no_such_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
