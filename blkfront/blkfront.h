/* SPDX-License-Identifier: MIT */
/*
 * blkfront.h - the guest's side of a vbd: requests on a disk.
 *
 * Speaks <xen/io/blkif.h>: ring of several pages, indirect requests, flush, discard. When the backend goes away
 * the requests that it had are given to its successor, in their order, and the user sees only that they
 * take longer; when the disk is detached they fail with EIO.
 *
 * What the driver needs of the kernel around it stands in blkfront/glue.h. One thread, no locks: all calls,
 * and all callbacks, come from the run loop. Sectors are 512 bytes.
 */
#ifndef BLKFRONT_BLKFRONT_H
#define BLKFRONT_BLKFRONT_H

#include "compiler.h"
#include "lib/list.h"
#include "xenabi.h"

struct blkfront;

enum blkfront_op { BLKFRONT_READ, BLKFRONT_WRITE, BLKFRONT_FLUSH, BLKFRONT_DISCARD };

/* The caller's memory; the driver's from submit() to done(). */
struct blkfront_req {
    enum blkfront_op op;
    uint64_t sector, sectors;           /* multiples of the disk's sector; 0 for FLUSH */
    void *data;                         /* READ, WRITE: in one piece, aligned to 512 */
    /* rc 0; -XEN_EIO; -XEN_EOPNOTSUPP the disk cannot do that; -XEN_EINVAL beyond the end, too long, misaligned. */
    void (*done)(struct blkfront_req *r, int rc);
    void *user;

    struct list link;                   /* the driver's */
};

struct blkfront_info {
    uint64_t sectors;
    uint32_t sector_size, physical_size;
    uint32_t max_sectors;               /* of one READ or WRITE */
    bool readonly, flush, discard;
};

struct blkfront_stats {
    uint64_t reconnects;                /* times that there was a new backend, or the old one anew */
    uint64_t resubmitted;               /* requests that were given to it */
};

/*
 * Drives vbd `device` of this domain (51712 is xvda): connects, and connects again whenever the backend comes
 * back. changed(arg) runs when the disk is there, has another size, or is gone for good
 * (blkfront_info() is NULL then). NULL: no such vbd, or no memory.
 */
struct blkfront *blkfront_open(uint32_t device, void (*changed)(void *arg), void *arg);

/* NULL before the disk was there for the first time, and when it is gone for good. */
const struct blkfront_info *blkfront_info(const struct blkfront *b);
void blkfront_get_stats(const struct blkfront *b, struct blkfront_stats *s);

/* Queues a request; it need not wait for the disk to be there. done() may run before it returns. */
void blkfront_submit(struct blkfront *b, struct blkfront_req *r);
/* A batch of submit() calls is over: the backend is told. */
void blkfront_kick(struct blkfront *b);

/* Lets go of the backend and connects to it again, as if it had been restarted. For tests. */
void blkfront_reconnect(struct blkfront *b);

#endif
