/* SPDX-License-Identifier: MIT */
/*
 * vbd.h - what blkback.c (life of a vbd), queue.c (its rings) and request.c (their requests) share.
 *
 * What a frontend can make dom0 hold is bounded for each vbd: VBD_REQS requests, VBD_PAGES pages of
 * data. Beyond that requests wait in the ring.
 */
#ifndef BLKBACK_VBD_H
#define BLKBACK_VBD_H

#include "xenabi.h"
#include <xen/io/blkif.h>
#include "blkback/copy.h"
#include "blkback/decode.h"
#include "blkback/disk.h"
#include "lib/list.h"
#include "lib/rate.h"
#include "runtime/event.h"
#include "runtime/grant.h"
#include "runtime/loop.h"
#include "runtime/xbdev.h"

#define VBD_BUDGET      32u             /* requests of one turn of a queue */
#define VBD_REQS        256u            /* under way at one time */
#define VBD_REQS_KEPT   32u             /* not given back to malloc when they are free */
#define VBD_PAGES       1024u           /* of data that requests hold, own or pinned */
#define VBD_QUEUES      8u
#define VBD_RING_ORDER  4u              /* rings of up to 16 pages: 512 entries */

struct vbd;

/* A request that was taken off a ring. */
struct vbd_req {
    struct list link;           /* vbd.free, a queue's finished, or its own list of one */
    struct vbd *vbd;
    struct vbd_queue *queue;
    struct disk_io io;
    struct blk_request q;       /* what was asked; its segments are in q.seg */
    int16_t status;             /* BLKIF_RSP_ */
    bool copy_failed;           /* the guest took a page back */
    bool lent;                  /* the disk has the guest's pages */
    uint8_t stage;              /* of a barrier */
    uint32_t at_seg, at_byte;   /* where the last copy was: q.seg[at_seg] begins at at_byte */
    struct disk_seg *data;      /* NULL if the disk copies by itself; else nr_data pages of it: */
    grant_handle_t *pin;        /* the guest's, pinned with these handles; NULL: own ones */
    uint32_t nr_data;
    uint64_t left;              /* sectors of a discard that are still to be submitted */
    bool submitting, again;     /* of a discard: disk_submit() is running; the next piece's turn */
};

struct vbd_queue {
    struct vbd *vbd;
    struct grant_mapping map;
    struct blkif_sring *ring;   /* NULL: not connected */
    uint32_t size;              /* entries, a power of two */
    evtchn_port_t port;
    uint32_t cons;              /* requests taken */
    uint32_t rsp;               /* answers written */
    struct work work;           /* takes requests, writes answers */
    bool working;               /* it is doing that */
    struct list finished;       /* to be answered */
};

struct vbd {
    struct list link;
    domid_t dom;
    uint32_t id;                /* its number: xvda = 51712 */
    char name[24];              /* vbd3.51712 */
    struct xbdev dev;
    struct disk *disk;          /* NULL: not open, or closed again */
    struct disk_open open;
    bool cdrom, connected, failed;
    bool dropped;               /* its domain can run no more */
    bool removed;               /* its directory is gone: freed when the disk is closed */
    bool closing;               /* the disk is being closed; then state 6 */
    char why[96];
    struct work fail_work;
    struct work kick_work;      /* something was submitted when something else was done */

    uint32_t nr_queues;
    struct vbd_queue *queue;    /* nr_queues of them; NULL: not connected */
    struct list free;           /* unused requests */
    uint32_t nr_free, nr_reqs;  /* of them; in all */
    uint32_t busy;              /* requests that the disk has, */
    uint32_t lent;              /* of them, those with pages of the guest (disk_pin()) */
    uint32_t pages;             /* of data that they hold */
    bool held;                  /* a queue found no request, page or allowance for its next one */
    struct vbd_req *barrier;    /* waits for all before it, or is carried out: no other is taken */

    struct rate bytes, ops;     /* limits; ops counts thousandths */
    struct timer limit_timer;
    uint64_t refused;           /* requests that never came to the disk */
};

/* queue.c: what the frontend says in the store about its rings; 0 or a negative error with the
 * line in why. After disconnect nothing of the frontend is mapped or bound. */
int vbd_queues_connect(struct vbd *v, char *why);
void vbd_queues_disconnect(struct vbd *v);

/* request.c */
void vbd_requests_init(struct vbd *v);
void vbd_requests_free(struct vbd *v);      /* none is under way */
void vbd_queue_work(struct work *w);
/* Requests that wait to be answered to a frontend that is gone. */
void vbd_queue_drop(struct vbd_queue *q);
/* Every queue takes requests again: what held it back is over. */
void vbd_wake(struct vbd *v);

/* blkback.c: a ring holds what cannot be; the vbd is taken down in the next turn. */
void vbd_fail(struct vbd *v, const char *fmt, ...) __printf(2, 3);
/* The last request that a disconnected vbd waited for has come back. */
void vbd_idle(struct vbd *v);

#endif
