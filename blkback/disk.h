/* SPDX-License-Identifier: MIT */
/*
 * disk.h - what a disk is to blkback: something that reads and writes sectors, later.
 *
 * Sectors are 512 bytes. Everything runs from the loop; a request is answered by its done(), which
 * may run before disk_submit() returns. The memory in a request is dom0's and belongs to the
 * disk until then.
 */
#ifndef BLKBACK_DISK_H
#define BLKBACK_DISK_H

#include "compiler.h"

#define SECTOR_SHIFT    9
#define SECTOR_SIZE     512u
#define DISK_SEGMENTS   32u

enum disk_op { DISK_READ, DISK_WRITE, DISK_FLUSH };

struct disk_io {
    enum disk_op op;
    uint64_t sector;            /* checked against the disk's size by whoever submits */
    uint32_t nr_segs;           /* 0 for DISK_FLUSH */
    struct {
        void *data;
        uint32_t bytes;         /* a multiple of 512 */
    } seg[DISK_SEGMENTS];
    void (*done)(struct disk_io *io, int rc);   /* 0 or a negative error */
};

struct disk {
    uint64_t sectors;
    bool readonly;
    void (*submit)(struct disk *d, struct disk_io *io);
    void (*close)(struct disk *d);      /* no request is under way */
};

/*
 * Opens what the target of xl.cfg's disk= names. 0, or a negative error with one line in why
 * (WHY_MAX). Known so far: the name of a boot module, a RAM disk; a writable one is a copy of
 * its own, gone with the domain.
 */
int disk_open(const char *target, bool readonly, struct disk **disk, char *why);

int ramdisk_open(const char *target, bool readonly, struct disk **disk, char *why);

/* Where RAM disks' contents come from: main hands this in, before the first disk_open(). */
struct disk_file {
    const void *data;
    size_t size;
    void *handle;               /* the provider's */
};

struct disk_files {
    bool (*open)(const char *name, struct disk_file *f);    /* false: no such file */
    void (*close)(struct disk_file *f);
};

void ramdisk_set_files(const struct disk_files *files);

#endif
