/* SPDX-License-Identifier: MIT */
/*
 * physdisk.h - disks of this machine: what a driver in drv/ fills in, and the kind "phy:" that makes
 * disks and their GPT partitions targets (docs/disks.md).
 *
 * A driver adds each disk that it found, once. A disk stays known when its device dies; its requests
 * fail then.
 */
#ifndef BLKBACK_PHYSDISK_H
#define BLKBACK_PHYSDISK_H

#include "blkback/disk.h"
#include "blkback/gpt.h"
#include "runtime/pci.h"

struct physdisk;

struct physdisk_driver {
    /* A valid request; its place on the device is physdisk_sector(io). Ends with physdisk_done(). */
    void (*submit)(struct physdisk *p, struct disk_io *io);
    /* A batch of submit() calls is over. */
    void (*kick)(struct physdisk *p);
};

#define PHYS_PART_NAME 48

/* A partition; sectors of 512 bytes. */
struct phys_part {
    uint32_t number;
    uint64_t start, sectors;
    char uuid[GPT_UUID_TEXT];
    char label[GPT_LABEL];
};

struct physdisk {
    /* The driver's, before physdisk_add(); constant but for sectors (physdisk_resized). */
    const struct physdisk_driver *driver;
    char name[32];                      /* as Linux calls such disks: vda, nvme0n1 */
    char model[64];                     /* for the log */
    uint64_t sectors;                   /* of 512 bytes */
    uint32_t logical, physical;         /* bytes */
    uint32_t caps;                      /* DISK_CAP_; all are DISK_BY_FRAME */
    uint32_t max_segs, max_sectors;     /* as in struct disk */
    uint64_t max_discard;
    uint32_t discard_granularity;
    bool readonly;

    /* physdisk.c's. */
    struct list link;
    struct list opens;                  /* struct phys_open */
    struct phys_part *parts;
    uint32_t nr_parts;
    bool scanning;                      /* its table is being read */
};

/* A disk or partition that somebody has open. */
struct phys_open {
    struct disk disk;
    struct physdisk *phys;
    struct list link;                   /* physdisk.opens */
    uint64_t start;                     /* first sector on the device */
    bool whole;                         /* not a partition */
};

static inline uint64_t physdisk_sector(const struct disk_io *io)
{
    return container_of(io->disk, struct phys_open, disk)->start + io->sector;
}

void physdisk_done(struct disk_io *io, int rc);

/* Registers the kind "phy:", and starts the drivers of all disk controllers there are. */
void physdisk_init(void);

/* A controller is being brought up: nobody is told that a disk is not there until it is done. */
void physdisk_hold(void);
void physdisk_release(void);

/* A disk is there. Its partition table is read. */
void physdisk_add(struct physdisk *p);
void physdisk_resized(struct physdisk *p, uint64_t sectors);

/*
 * physscan.c: reads the partition table of p, and logs what it finds. done(parts, n, arg) runs once, from
 * the loop or before the call returns; parts is malloc's and the caller's then.
 */
void physscan_start(struct physdisk *p, void (*done)(struct physdisk *p, struct phys_part *parts, uint32_t n));

/* The disks there are, in the order they were found: the one after p (NULL: the first), or NULL. */
const struct physdisk *physdisk_next(const struct physdisk *p);
/* "nvme0n1p2", "vda2". */
void phys_part_name(const struct physdisk *p, const struct phys_part *part, char *name, size_t size);

/*
 * Drivers: 0 when it took the device, and then it holds and releases as above; -XEN_ENODEV: not for
 * this driver; else it should have been, and why not was logged. n: the how manieth of its kind.
 */
int virtio_blk_probe(struct pci_dev *pci, unsigned int n);
int nvme_probe(struct pci_dev *pci, unsigned int n);

/* After so long without an answer a device is reset (command line: disk_timeout=SECONDS). */
uint64_t physdisk_timeout_ns(void);

#endif
