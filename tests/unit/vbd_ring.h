/* SPDX-License-Identifier: MIT */
/* vbd_ring.h - a vbd's frontend for tests: its ring and pages, a RAM disk behind it, and a disk whose answers the test gives. */
#ifndef VBD_RING_H
#define VBD_RING_H

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

static inline bool open_file(const char *name, struct disk_file *f)
{
    if (strcmp(name, "image"))
        return false;
    *f = (struct disk_file){ .data = image, .size = sizeof(image) };
    opened++;
    return true;
}

static inline void close_file(struct disk_file *f)
{
    closed++;
}

static const struct disk_files files = { .open = open_file, .close = close_file };

static inline void connect(const char *mode, const char *target)
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

static inline int setup(void **unused)
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

static inline int teardown(void **unused)
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

static inline struct blkif_request *next(uint8_t op, uint64_t sector)
{
    struct blkif_request *q = &ring->ring[prod++ & 31].req;

    memset(q, 0, sizeof(*q));
    q->operation = op;
    q->id = 1000 + prod;
    q->sector_number = sector;
    return q;
}

static inline void segment(struct blkif_request *q, grant_ref_t ref, uint8_t first, uint8_t last)
{
    q->seg[q->nr_segments++] = (struct blkif_request_segment){ ref, first, last };
}

static inline void push(void)
{
    ring->req_prod = prod;
    fake_signal(DOM, 9);
    fake_run();
}

/* The next answer's status; it is for the request of that number. */
static inline int16_t answer(void)
{
    struct blkif_response *r = &ring->ring[taken & 31].rsp;

    assert_int_not_equal(ring->rsp_prod, taken);
    taken++;
    return r->status;
}

static inline int16_t one(struct blkif_request *q)
{
    uint64_t id = q->id;

    push();
    assert_int_equal(ring->ring[taken & 31].rsp.id, id);
    return answer();
}

static inline int state(void)
{
    return atoi(fake_read(BACK "/state"));
}

/* A disk under the test's control: requests wait until the test answers them. ------------------ */

static struct disk fake_disk;
static struct disk_io *waiting[64];
static unsigned int nr_waiting;
static bool kicked;                 /* since the last one was submitted */
static bool fake_closed;

static inline void fake_submit(struct disk *d, struct disk_io *io)
{
    waiting[nr_waiting++] = io;
    kicked = false;
}

static inline void fake_close(struct disk *d)
{
    fake_closed = true;
    while (nr_waiting)
        disk_done(waiting[--nr_waiting], -XEN_EIO);
    disk_closed(d);
}

static inline void fake_kick(struct disk *d)
{
    kicked = true;
}

static const struct disk_driver fake_driver = { .submit = fake_submit, .kick = fake_kick, .close = fake_close };

static inline void fake_open(struct disk_open *o)
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
static inline void answer_first(int rc)
{
    struct disk_io *io = waiting[0];

    assert_int_not_equal(nr_waiting, 0);
    memmove(waiting, waiting + 1, --nr_waiting * sizeof(waiting[0]));
    kicked = true;
    disk_done(io, rc);
    fake_run();
    assert_true(kicked);            /* whatever that made it submit */
}

static inline void connect_fake(uint32_t caps, uint32_t logical)
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

static inline struct blkif_request *discard(uint64_t sector, uint64_t n)
{
    struct blkif_request_discard *q = (void *)next(BLKIF_OP_DISCARD, sector);

    q->nr_sectors = n;
    return (void *)q;
}

#endif
