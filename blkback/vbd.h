/* SPDX-License-Identifier: MIT */
/* vbd.h - what blkback.c (life of a vbd) and request.c (its ring) share. */
#ifndef BLKBACK_VBD_H
#define BLKBACK_VBD_H

#include "xenabi.h"
#include <xen/io/blkif.h>
#include "blkback/copy.h"
#include "blkback/disk.h"
#include "lib/list.h"
#include "runtime/event.h"
#include "runtime/grant.h"
#include "runtime/loop.h"
#include "runtime/xbdev.h"

#define VBD_RING_SIZE   __CONST_RING_SIZE(blkif, PAGE_SIZE)
#define VBD_BUDGET      16u             /* requests of one turn */
#define VBD_SEGMENTS    32u             /* of a request */

struct vbd;

/* A request that was taken off the ring. Its pages are dom0's. */
struct vbd_req {
    struct list link;           /* vbd.free, or vbd.finished */
    struct vbd *vbd;
    struct disk_io io;
    uint64_t id;
    uint8_t op;                 /* as asked, for the answer */
    int16_t status;             /* BLKIF_RSP_ */
    bool copy_failed;           /* the guest took a page back */
    bool submitted;
    uint32_t nr_refs;
    struct copy_ref ref[VBD_SEGMENTS];
    struct disk_seg seg[VBD_SEGMENTS];  /* own pages, unless the disk copies by itself */
    uint32_t at_seg, at_byte;   /* where the last copy was: ref[at_seg] begins at at_byte */
};

struct vbd {
    struct list link;
    domid_t dom;
    uint32_t id;                /* its number: xvda = 51712 */
    char name[24];              /* vbd3.51712 */
    struct xbdev dev;
    struct disk *disk;
    struct disk_open open;
    bool connected, dropped, removed;
    bool failed;
    char why[96];
    struct work fail_work;

    struct grant_mapping ring_map;
    struct blkif_sring *ring;   /* NULL: not connected */
    evtchn_port_t port;
    uint32_t cons;              /* requests taken */
    uint32_t rsp;               /* answers written */
    struct work work;           /* takes requests */
    struct list free, finished;
    uint32_t busy;              /* requests that the disk has */
    struct vbd_req req[VBD_RING_SIZE];

    uint64_t reads, writes, flushes, errors, bytes_read, bytes_written;
};

/* Takes requests off the ring; vbd.work. */
void vbd_work(struct work *w);
void vbd_requests_init(struct vbd *v);
/* The ring holds what cannot be; the vbd is taken down in the next turn. */
void vbd_fail(struct vbd *v, const char *fmt, ...) __printf(2, 3);
/* The last request that a disconnected vbd waited for has come back. */
void vbd_idle(struct vbd *v);

#endif
