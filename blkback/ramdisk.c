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
    uint8_t **own;              /* written pages; NULL: as in the file. NULL array: read-only */
};

/* Page n of the module, of which the last may be cut off: what is missing reads as zero. */
static void read_file_page(const struct ramdisk *r, uint64_t n, uint32_t off, void *to, uint32_t len)
{
    uint64_t at = (n << PAGE_SHIFT) + off;
    uint64_t have = at < r->file.size ? MIN((uint64_t)len, r->file.size - at) : 0;

    memcpy(to, (const char *)r->file.data + at, have);
    memset((char *)to + have, 0, len - have);
}

static uint8_t *own_page(struct ramdisk *r, uint64_t n)
{
    if (!r->own[n]) {
        uint8_t *p = page_alloc();

        if (!p)
            return NULL;
        read_file_page(r, n, 0, p, PAGE_SIZE);
        r->own[n] = p;
    }
    return r->own[n];
}

/* One piece inside of one page. */
static int transfer(struct ramdisk *r, enum disk_op op, uint64_t at, uint8_t *data, uint32_t len)
{
    uint64_t n = at >> PAGE_SHIFT;
    uint32_t off = (uint32_t)(at & (PAGE_SIZE - 1));
    uint8_t *p;

    if (op == DISK_READ) {
        if (r->own && r->own[n])
            memcpy(data, r->own[n] + off, len);
        else
            read_file_page(r, n, off, data, len);
        return 0;
    }
    p = own_page(r, n);
    if (!p)
        return -XEN_ENOMEM;
    memcpy(p + off, data, len);
    return 0;
}

static void submit(struct disk *d, struct disk_io *io)
{
    struct ramdisk *r = container_of(d, struct ramdisk, disk);
    uint64_t at = io->sector << SECTOR_SHIFT;
    int rc = 0;

    for (uint32_t i = 0; i < io->nr_segs && !rc; i++) {
        uint8_t *data = io->seg[i].data;

        for (uint32_t left = io->seg[i].bytes; left && !rc;) {
            uint32_t n = MIN(left, (uint32_t)(PAGE_SIZE - (at & (PAGE_SIZE - 1))));

            rc = transfer(r, io->op, at, data, n);
            at += n;
            data += n;
            left -= n;
        }
    }
    io->done(io, rc);
}

static void close_disk(struct disk *d)
{
    struct ramdisk *r = container_of(d, struct ramdisk, disk);

    for (uint64_t i = 0; r->own && i < r->pages; i++)
        if (r->own[i])
            page_free(r->own[i]);
    free(r->own);
    files->close(&r->file);
    free(r);
}

void ramdisk_set_files(const struct disk_files *f)
{
    files = f;
}

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
        .sectors = (f->size + SECTOR_SIZE - 1) >> SECTOR_SHIFT,
        .readonly = readonly,
        .submit = submit,
        .close = close_disk,
    };
    return r;
}

int ramdisk_open(const char *target, bool readonly, struct disk **disk, char *why)
{
    struct disk_file f;
    struct ramdisk *r;

    if (!files || !files->open(target, &f))
        return why_set(why, -XEN_ENOENT, "disk \"%s\": no such file on this host", target);
    r = f.size ? ramdisk_new(&f, readonly) : NULL;
    if (!r) {
        int rc = f.size ? -XEN_ENOMEM : -XEN_EINVAL;

        files->close(&f);
        return why_set(why, rc, "disk \"%s\": %s", target, rc == -XEN_ENOMEM ? "out of memory"
                                                                          : "the file is empty");
    }
    *disk = &r->disk;
    return 0;
}

int disk_open(const char *target, bool readonly, struct disk **disk, char *why)
{
    const char *colon = strchr(target, ':');

    if (colon && !strncmp(colon, "://", 3))
        return why_set(why, -XEN_ENOSYS, "disk \"%s\": this kind of target is not supported yet",
                       target);
    return ramdisk_open(target, readonly, disk, why);
}
