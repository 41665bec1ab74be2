/* SPDX-License-Identifier: MIT */
/*
 * physscan.c - reads the partition table of a disk: sector 0, the primary header and its entries, and
 * when those are damaged the backup at the disk's end.
 */
#include <stdlib.h>
#include "blkback/physdisk.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "xenabi.h"

#define BUFFER_ORDER 4u                 /* GPT_ENTRIES_MAX */
#define CHUNK_PAGES  8u                 /* of one request; every disk takes 11 */

_Static_assert(PAGE_SIZE << BUFFER_ORDER == GPT_ENTRIES_MAX, "the buffer holds a table");

struct phys_scan {
    struct physdisk *phys;
    void (*done)(struct physdisk *p, struct phys_part *parts, uint32_t n);
    struct phys_open self;              /* the whole disk, as a user of it */
    struct disk_io io;
    struct disk_seg seg[CHUNK_PAGES];
    char *buffer;
    uint32_t got, want;                 /* bytes of the buffer */
    uint64_t block;                     /* where the buffer begins */
    void (*next)(struct phys_scan *s, int rc);
    struct gpt_header header;
    uint64_t header_at;
    const char *primary_wrong;
};

static void no_close(struct disk *d)
{
}

static void submit(struct disk *d, struct disk_io *io)
{
    struct physdisk *p = container_of(d, struct phys_open, disk)->phys;

    p->driver->submit(p, io);
}

static void kick(struct disk *d)
{
    struct physdisk *p = container_of(d, struct phys_open, disk)->phys;

    p->driver->kick(p);
}

static const struct disk_driver own_driver = { .submit = submit, .close = no_close, .kick = kick };

/* ------------------------------------------------------------------ reading */

static void read_more(struct phys_scan *s)
{
    uint32_t left = s->want - s->got, shift = s->phys->logical == 4096 ? 12 : 9, bytes = 0;

    s->io.nr_segs = 0;
    while (bytes < left && s->io.nr_segs < CHUNK_PAGES) {
        char *va = s->buffer + s->got + bytes;

        s->seg[s->io.nr_segs] = (struct disk_seg){ va, virt_to_maddr(va), MIN(left - bytes, (uint32_t)PAGE_SIZE) };
        bytes += s->seg[s->io.nr_segs++].bytes;
    }
    s->io.op = DISK_READ;
    s->io.sector = (s->block << (shift - SECTOR_SHIFT)) + (s->got >> SECTOR_SHIFT);
    s->io.sectors = bytes >> SECTOR_SHIFT;
    s->got += bytes;
    disk_submit(&s->self.disk, &s->io);
    disk_kick(&s->self.disk);
}

static void read_done(struct disk_io *io, int rc)
{
    struct phys_scan *s = container_of(io, struct phys_scan, io);

    if (!rc && s->got < s->want)
        read_more(s);
    else
        s->next(s, rc);
}

/* Reads so many bytes (rounded up to whole blocks) from a block on; then next() runs. */
static void read_blocks(struct phys_scan *s, uint64_t block, uint32_t bytes, void (*next)(struct phys_scan *, int))
{
    s->block = block;
    s->got = 0;
    s->want = (bytes + s->phys->logical - 1) & ~(s->phys->logical - 1);
    s->next = next;
    read_more(s);
}

/* ------------------------------------------------------------------ steps */

static void finish(struct phys_scan *s, struct phys_part *parts, uint32_t n)
{
    struct physdisk *p = s->phys;
    void (*done)(struct physdisk *, struct phys_part *, uint32_t) = s->done;

    if (s->buffer)
        pages_free(s->buffer, BUFFER_ORDER);
    free(s);
    done(p, parts, n);
}

static uint64_t last_block(const struct phys_scan *s)
{
    return s->phys->sectors / (s->phys->logical >> SECTOR_SHIFT) - 1;
}

static void on_header(struct phys_scan *s, int rc);

static void wrong(struct phys_scan *s, const char *what)
{
    if (s->header_at == 1) {
        s->primary_wrong = what;
        s->header_at = last_block(s);
        read_blocks(s, s->header_at, s->phys->logical, on_header);
        return;
    }
    log_warn("%s: partition table: %s; its backup: %s; the disk has no partitions", s->phys->name,
             s->primary_wrong, what);
    finish(s, NULL, 0);
}

static struct phys_part *convert(const struct physdisk *p, const struct gpt_part *from, uint32_t n)
{
    uint32_t unit = p->logical >> SECTOR_SHIFT;
    struct phys_part *to = calloc(n, sizeof(*to));

    for (uint32_t i = 0; to && i < n; i++) {
        to[i].number = from[i].number;
        to[i].start = from[i].first * unit;
        to[i].sectors = (from[i].last - from[i].first + 1) * unit;
        gpt_uuid_text(from[i].uuid, to[i].uuid);
        strlcpy(to[i].label, from[i].label, sizeof(to[i].label));
    }
    return to;
}

static void on_entries(struct phys_scan *s, int rc)
{
    struct gpt_part *parts = calloc(GPT_PARTITIONS, sizeof(*parts));
    struct phys_part *found = NULL;
    const char *bad = rc ? "the table cannot be read" : parts ? NULL : "out of memory";
    uint32_t n = 0;

    if (!bad)
        bad = gpt_parse_entries(&s->header, (const uint8_t *)s->buffer, parts, &n);
    if (!bad && n) {
        found = convert(s->phys, parts, n);
        bad = found ? NULL : "out of memory";
    }
    free(parts);
    if (bad) {
        wrong(s, bad);
        return;
    }
    if (s->primary_wrong)
        log_warn("%s: partition table: %s; its backup at the end is used", s->phys->name, s->primary_wrong);
    finish(s, found, n);
}

static void on_header(struct phys_scan *s, int rc)
{
    const char *bad = "the header cannot be read";

    if (!rc)
        bad = gpt_parse_header(&s->header, (const uint8_t *)s->buffer, s->phys->logical, s->header_at, last_block(s));
    if (bad)
        wrong(s, bad);
    else
        read_blocks(s, s->header.entries_at, s->header.entries_bytes, on_entries);
}

static void on_first(struct phys_scan *s, int rc)
{
    if (rc)
        log_warn("%s: its first sector cannot be read: error %d", s->phys->name, rc);
    if (rc || !gpt_is_protective((const uint8_t *)s->buffer)) {
        finish(s, NULL, 0);
        return;
    }
    s->header_at = 1;
    read_blocks(s, 1, s->phys->logical, on_header);
}

void physscan_start(struct physdisk *p, void (*done)(struct physdisk *p, struct phys_part *parts, uint32_t n))
{
    struct phys_scan *s = calloc(1, sizeof(*s));

    if (s)
        s->buffer = pages_alloc(BUFFER_ORDER);
    if (!s || !s->buffer || p->sectors < 64) {
        if (!s || !s->buffer)
            log_error("%s: out of memory", p->name);
        if (s && s->buffer)
            pages_free(s->buffer, BUFFER_ORDER);
        free(s);
        done(p, NULL, 0);
        return;
    }
    s->phys = p;
    s->done = done;
    s->self.phys = p;
    s->self.disk = (struct disk){
        .driver = &own_driver, .sectors = p->sectors, .logical = p->logical, .caps = DISK_BY_FRAME,
        .readonly = true,
    };
    s->io.seg = s->seg;
    s->io.done = read_done;
    read_blocks(s, 0, p->logical, on_first);
}
