/* SPDX-License-Identifier: MIT */
/*
 * ramdisk.c - a boot module as a disk. Read-only, it is read where it lies; writable, each page that
 * is written becomes a copy first, so that the module stays as it was for everybody else.
 */
#include <stdlib.h>
#include "blkback/disk.h"
#include "lib/string.h"
#include "lib/why.h"
#include "runtime/mem.h"
#include "xenabi.h"

static const struct disk_files *files;

struct ramdisk {
    struct disk disk;
    struct disk_file file;
    uint64_t pages;
    uint8_t **own;              /* written pages, or zeroes; NULL: as in the file. NULL array:
                                   read-only */
};

static uint8_t zeroes[PAGE_SIZE] __aligned(PAGE_SIZE);      /* never written */

/* Where page n is to be read, and how much of it is there: behind the file's end come zeroes. */
static const uint8_t *page_at(const struct ramdisk *r, uint64_t n, uint32_t off, uint32_t *len)
{
    uint64_t at = (n << PAGE_SHIFT) + off;

    if (r->own && r->own[n])
        return r->own[n] + off;
    if (at >= r->file.size)
        return zeroes + off;
    *len = (uint32_t)MIN((uint64_t)*len, r->file.size - at);
    return (const uint8_t *)r->file.data + at;
}

static void own_drop(struct ramdisk *r, uint64_t n)
{
    if (r->own[n] && r->own[n] != zeroes)
        page_free(r->own[n]);
    r->own[n] = NULL;
}

/* The page to write. It begins as what was there, even if all of it will be overwritten: the guest
 * can make that copy fail, and must not read then what dom0 had in the page before. */
static uint8_t *own_page(struct ramdisk *r, uint64_t n)
{
    uint8_t *p = r->own[n];
    uint32_t len = PAGE_SIZE;
    const uint8_t *old;

    if (p && p != zeroes)
        return p;
    p = page_alloc();
    if (!p)
        return NULL;
    old = page_at(r, n, 0, &len);
    memcpy(p, old, len);
    memset(p + len, 0, PAGE_SIZE - len);
    r->own[n] = p;
    return p;
}

static int zero(struct ramdisk *r, uint64_t n, uint32_t off, uint32_t len)
{
    uint8_t *p;

    disk_settle();              /* copies into the page that were queued before */
    if (len == PAGE_SIZE) {
        own_drop(r, n);
        r->own[n] = zeroes;
        return 0;
    }
    p = own_page(r, n);
    if (!p)
        return -XEN_ENOSPC;
    memset(p + off, 0, len);
    return 0;
}

/* One piece inside of one page; *len is made shorter if it reaches over the file's end. */
static int transfer(struct ramdisk *r, struct disk_io *io, uint64_t at, uint32_t done, uint32_t *len)
{
    uint64_t n = at >> PAGE_SHIFT;
    uint32_t off = (uint32_t)(at & (PAGE_SIZE - 1));
    const uint8_t *from;
    uint8_t *p;

    if (io->op == DISK_READ) {
        from = page_at(r, n, off, len);
        disk_give(io, done, from, *len);
        return 0;
    }
    if (io->op != DISK_WRITE)
        return zero(r, n, off, *len);
    p = own_page(r, n);
    if (!p)
        return -XEN_ENOSPC;
    disk_take(io, done, p + off, *len);
    return 0;
}

static void submit(struct disk *d, struct disk_io *io)
{
    struct ramdisk *r = container_of(d, struct ramdisk, disk);
    uint64_t at = io->sector << SECTOR_SHIFT, left = io->sectors << SECTOR_SHIFT;
    uint32_t done = 0;
    int rc = 0;

    while (left && !rc) {
        uint32_t n = (uint32_t)MIN(left, PAGE_SIZE - (at & (PAGE_SIZE - 1)));

        rc = transfer(r, io, at, done, &n);
        at += n;
        done += n;
        left -= n;
    }
    disk_done(io, rc);
}

static void close_disk(struct disk *d)
{
    struct ramdisk *r = container_of(d, struct ramdisk, disk);

    disk_settle();
    for (uint64_t i = 0; r->own && i < r->pages; i++)
        own_drop(r, i);
    free(r->own);
    files->close(&r->file);
    disk_closed(d);
    free(r);
}

static const struct disk_driver driver = { .submit = submit, .close = close_disk };

static struct ramdisk *ramdisk_new(const struct disk_file *f, bool readonly)
{
    struct ramdisk *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    r->pages = (f->size + PAGE_SIZE - 1) >> PAGE_SHIFT;
    if (!readonly)
        r->own = calloc(r->pages, sizeof(*r->own));
    if (!readonly && !r->own) {
        free(r);
        return NULL;
    }
    r->file = *f;
    r->disk = (struct disk){
        .driver = &driver,
        .sectors = (f->size + SECTOR_SIZE - 1) >> SECTOR_SHIFT,
        .logical = SECTOR_SIZE,
        .physical = SECTOR_SIZE,
        .caps = DISK_BY_COPY | DISK_CAP_FUA | (readonly ? 0 : DISK_CAP_DISCARD | DISK_CAP_ZEROES),
        .readonly = readonly,
    };
    return r;
}

static void open_ramdisk(struct disk_open *o)
{
    struct disk_file f;
    struct ramdisk *r;

    if (!files->open(o->name, &f)) {
        disk_not_opened(o, -XEN_ENOENT, "no such file on this host");
        return;
    }
    r = f.size ? ramdisk_new(&f, o->spec.readonly) : NULL;
    if (r) {
        disk_opened(o, &r->disk);
        return;
    }
    files->close(&f);
    if (f.size)
        disk_not_opened(o, -XEN_ENOMEM, "out of memory");
    else
        disk_not_opened(o, -XEN_EINVAL, "the file is empty");
}

static bool knows(const char *name)
{
    struct disk_file f;

    if (!files->open(name, &f))
        return false;
    files->close(&f);
    return true;
}

void ramdisk_init(const struct disk_files *f)
{
    static struct disk_kind kind = { .prefix = "file:", .open = open_ramdisk, .knows = knows };

    files = f;
    disk_kind_add(&kind);
}
