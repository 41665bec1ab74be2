/* SPDX-License-Identifier: MIT */
/*
 * disk.h - what a disk is: something that carries out requests on sectors, later.
 *
 * Two sides. Whoever uses disks (blkback for its vbds, a test) opens one by its target string,
 * submits requests and gets each back by its done(). Whoever provides disks (ramdisk.c, nbd.c,
 * drv/...) registers a kind of target, and fills in a struct disk for each successful open.
 *
 * Everything runs from the loop and nothing waits: open, requests and close answer by callback,
 * which may run before the call returns. Errors are negative XEN_Exxx: ENOENT no such disk, EROFS read-only,
 * EBUSY somebody else writes it, EIO the medium, ENOSPC the medium is full, EOPNOTSUPP, EINVAL.
 *
 * Sector numbers and counts are in units of 512 bytes everywhere, whatever the disk's own sector
 * is; requests are multiples of the logical sector.
 */
#ifndef BLKBACK_DISK_H
#define BLKBACK_DISK_H

#include "addr.h"
#include "compiler.h"
#include "lib/list.h"
#include "lib/printf.h"
#include "lib/why.h"

#define SECTOR_SHIFT      9
#define SECTOR_SIZE       512u
#define DISK_SEGMENTS_MAX 256u      /* of one request: 1 MiB of whole pages */
#define DISK_TARGET_MAX   256u

struct disk;
struct disk_io;
struct pinned;

/* ------------------------------------------------------------------ requests */

enum disk_op {
    DISK_READ,
    DISK_WRITE,
    DISK_FLUSH,             /* all writes that were answered before it was submitted are durable */
    DISK_DISCARD,           /* contents are not needed any more; a hint */
    DISK_WRITE_ZEROES,
    DISK_OPS
};

#define DISK_FUA 1u         /* DISK_WRITE, DISK_WRITE_ZEROES: durable when it is answered */

/* A piece of a request's data; never crosses a page. */
struct disk_seg {
    void *va;               /* where dom0 has it mapped; NULL only for disks with DISK_BY_FRAME */
    paddr_t maddr;          /* its machine address, for DMA. Always valid */
    uint32_t bytes;         /* a multiple of 512 */
};

/* What blkback does for disks with DISK_BY_COPY; see disk_give(), disk_take() and disk_pin(). */
struct disk_io_ops {
    void (*give)(struct disk_io *io, uint32_t at, const void *data, uint32_t bytes);
    void (*take)(struct disk_io *io, uint32_t at, void *to, uint32_t bytes);
    struct pinned *(*pin)(struct disk_io *io);
    bool (*failed)(struct disk_io *io);
};

/*
 * Belongs to the disk from disk_submit() until done(), with the memory in it. The memory may be the
 * guest's own page: a guest can change what is being written, and only itself is hurt by that.
 */
struct disk_io {
    struct list link;           /* the disk's, meanwhile */
    void *priv;                 /* the disk's, meanwhile */
    struct disk *disk;          /* set by disk_submit() */
    uint8_t op;                 /* enum disk_op */
    uint8_t flags;              /* DISK_FUA */
    uint16_t nr_segs;           /* 0 for FLUSH, DISCARD, WRITE_ZEROES, and with DISK_BY_COPY */
    uint64_t sector, sectors;   /* 0 for FLUSH */
    const struct disk_seg *seg;
    const struct disk_io_ops *ops;
    void (*done)(struct disk_io *io, int rc);   /* 0 or a negative error */
};

static inline uint32_t disk_io_bytes(const struct disk_io *io)
{
    return (uint32_t)(io->sectors << SECTOR_SHIFT);
}

/*
 * Submits a request. It is checked here against size, sector size, read-only and caps (done() with
 * EINVAL, EROFS, EOPNOTSUPP), so that a provider's submit() sees valid ones only: within the disk,
 * aligned, and no larger than the disk's limits.
 */
void disk_submit(struct disk *d, struct disk_io *io);

/* ------------------------------------------------------------------ disks */

#define DISK_CAP_FLUSH   0x01u  /* has a cache that can be flushed; without it writes are durable */
#define DISK_CAP_FUA     0x02u  /* else disk_submit() refuses DISK_FUA */
#define DISK_CAP_DISCARD 0x04u
#define DISK_CAP_ZEROES  0x08u
/* How it wants its data. By default segments with both addresses valid. */
#define DISK_BY_FRAME    0x10u  /* segments of which it uses maddr only: guests' pages are not mapped */
#define DISK_BY_COPY     0x20u  /* no segments: it calls disk_give() and disk_take() */

struct disk_stats {
    uint64_t ops[DISK_OPS];     /* answered without an error */
    uint64_t bytes[DISK_OPS];
    uint64_t errors;
    uint64_t reconnects;        /* NBD: how often the server came back */
    uint64_t resent;            /* NBD: requests sent again after that */
    uint64_t pinned;            /* NBD: bytes written that no processor has touched */
    uint32_t in_flight;
};

/* What is to be opened, and how. */
struct disk_spec {
    char target[DISK_TARGET_MAX];   /* as in xl.cfg: docs/disks.md */
    bool readonly;
    bool shared;                /* xl's "w!": others may have it open, whatever they do with it */
};

struct disk_driver {
    /* A valid request. Ends with disk_done(). */
    void (*submit)(struct disk *d, struct disk_io *io);
    /* Called once; nothing is submitted after it. Requests under way are finished or failed
     * first (EIO), then comes disk_closed(), after which the disk's memory is the provider's again. */
    void (*close)(struct disk *d);
    /* May be NULL. A batch of submit() calls is over: doorbells. */
    void (*kick)(struct disk *d);
};

struct disk {
    /* The provider's, before disk_opened(); constant but for sectors. */
    const struct disk_driver *driver;
    char id[DISK_TARGET_MAX];   /* names the medium: "nbd:10.0.2.2:10809/a", "phy:nvme0n1"; "" is
                                   one that nobody else can reach (a private copy) */
    uint64_t id_start;          /* where on that medium it begins (partitions); 0 otherwise */
    uint64_t sectors;           /* size; change it with disk_resized() only */
    uint32_t logical;           /* 512 or 4096 */
    uint32_t physical;          /* >= logical; 512..65536 */
    uint32_t caps;              /* DISK_CAP_, DISK_BY_ */
    uint32_t max_segs;          /* of a request, 0: DISK_SEGMENTS_MAX; at least 11 */
    uint32_t max_sectors;       /* of READ and WRITE, 0: no limit; at least 88 (11 pages) */
    uint64_t max_discard;       /* sectors of DISCARD and WRITE_ZEROES, 0: no limit */
    uint32_t discard_granularity;   /* bytes; 0: the logical sector */
    uint32_t discard_alignment;     /* bytes */
    bool readonly;              /* by the medium or because it was opened so */
    struct disk_stats stats;    /* disk.c counts; a provider only the fields marked as its own */

    /* The user's, after open; may be NULL. */
    void (*resized)(struct disk *d);
    void *user;

    /* disk.c's. */
    struct list link;
    bool shared, closing;
    const void *parked_by;      /* NULL: in use */
    struct disk_spec spec;      /* as it was opened */
    void (*closed)(void *arg);
    void *closed_arg;
};

/* Ends a batch of disk_submit() calls. */
static inline void disk_kick(struct disk *d)
{
    if (d->driver->kick)
        d->driver->kick(d);
}

/* Submit nothing any more; closed (may be NULL) runs when nothing is left of it. */
void disk_close(struct disk *d, void (*closed)(void *arg), void *arg);

/* ------------------------------------------------------------------ opening */

/* An open under way. The caller's memory; spec and opened are set by it. */
struct disk_open {
    struct disk_spec spec;
    /* rc 0: d is open. Else d is NULL and why one line that names the target. */
    void (*opened)(struct disk_open *o, int rc, struct disk *d, const char *why);
    void *arg;                  /* the caller's */

    /* For the kind: */
    const char *name;           /* the target without its prefix */
    void *priv;
    /* disk.c's. */
    const struct disk_kind *kind;
    struct list waiting;        /* for `disk` to be free */
    struct disk *disk;
    bool under_way;
};

/*
 * Opens what the target names. Only one may have a medium open for writing, and then nobody may
 * have it open at all (overlapping partitions included), unless all but one say "shared": EBUSY. One
 * that is being closed is waited for.
 */
void disk_open(struct disk_open *o);
/* Gives up: opened() does not run any more. */
void disk_open_cancel(struct disk_open *o);

/*
 * Between those who see to it that a domain's disks are there before it is built, and the backend that
 * opens them later: an open disk that nobody uses yet. disk_open_parked() is disk_open(), but takes a
 * parked one that was opened just so. by: whoever parks it, not NULL.
 */
void disk_park(struct disk *d, const void *by);
void disk_open_parked(struct disk_open *o);
/* Closes what is still parked by him. */
void disk_unpark(const void *by);

/* ------------------------------------------------------------------ for providers */

/* A kind of target. Registered once, at start; asked in the order of registration. */
struct disk_kind {
    struct list link;
    const char *prefix;         /* "nbd:", "phy:" */
    /* Takes this name without a prefix, too. NULL: only prefixed ones are its own. */
    bool (*knows)(const char *name);
    /* Ends, now or later, with exactly one of disk_opened() and disk_not_opened(). o->spec.readonly
     * is to be obeyed; a medium that cannot be written and readonly not set: EROFS. */
    void (*open)(struct disk_open *o);
    /* Stops an open() that has not ended. NULL: it always ends at once. */
    void (*cancel)(struct disk_open *o);
};

void disk_kind_add(struct disk_kind *k);

/* d is filled in. If the user may not have it (EBUSY), d->driver->close() runs at once. */
void disk_opened(struct disk_open *o, struct disk *d);
void disk_not_opened(struct disk_open *o, int rc, const char *fmt, ...) __printf(3, 4);

void disk_done(struct disk_io *io, int rc);
void disk_closed(struct disk *d);
/* The medium has another size now. Requests beyond the end that are under way fail or not, as the medium does. */
void disk_resized(struct disk *d, uint64_t sectors);

/*
 * DISK_BY_COPY. Bytes [at, at + bytes) of the request's data: give them to whoever reads, or take
 * them from whoever writes, straight from or into the provider's memory, piece by piece in any
 * order. Copies are collected: the memory must stay as it is (give) and holds the data (take) only
 * after disk_settle(), or after the turn in which disk_done() was called for the request. What cannot be
 * copied, because the guest took its page back, makes the request fail whatever disk_done() says.
 */
static inline void disk_give(struct disk_io *io, uint32_t at, const void *data, uint32_t bytes)
{
    io->ops->give(io, at, data, bytes);
}

static inline void disk_take(struct disk_io *io, uint32_t at, void *to, uint32_t bytes)
{
    io->ops->take(io, at, to, bytes);
}

/*
 * DISK_BY_COPY. Instead of taking all of a write's data: has it stay where it is, pinned (runtime/pinned.h), for a device to
 * read. Valid after disk_settle() unless disk_copy_failed(). The caller has a reference; the last one must be gone before
 * disk_done(). NULL: not now, or in pieces so small that copying costs less.
 */
static inline struct pinned *disk_pin(struct disk_io *io)
{
    return io->ops->pin(io);
}

/* After disk_settle(): a copy of this request has failed, or its guest is gone. Memory that was
 * to be filled by disk_take() holds then what it held before, and must not be written anywhere. */
static inline bool disk_copy_failed(struct disk_io *io)
{
    return io->ops->failed(io);
}

/* Carries out all copies and pins collected so far, of every disk, in a hypercall each if there are few. */
void disk_settle(void);

/* ------------------------------------------------------------------ RAM disks */

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

/* Registers the kind "file:" (and every name that files knows): a boot module as a disk. A writable one is a copy
 * of its own, gone with the vbd. */
void ramdisk_init(const struct disk_files *files);

#endif
