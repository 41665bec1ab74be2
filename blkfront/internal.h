/* SPDX-License-Identifier: MIT */
/* internal.h - what blkfront.c (life of a vbd) and ring.c (its requests) share. */
#ifndef BLKFRONT_INTERNAL_H
#define BLKFRONT_INTERNAL_H

#include "blkfront/blkfront.h"
#include "blkfront/glue.h"
#include <xen/io/blkif.h>

#define RING_ORDER  2u                  /* at most */
#define RING_PAGES  (1u << RING_ORDER)
#define SEGMENTS    64u                 /* of an indirect request: 256 KiB */

/* A place on the ring; its number is the request's id. */
struct slot {
    struct blkfront_req *req;           /* NULL: free */
    uint16_t nr_refs;
    grant_ref_t ref[SEGMENTS];
    struct blkif_request_segment *list; /* page of an indirect request; made when first needed */
    grant_ref_t list_ref;
    int rc;                             /* stuck: what the answer was */
    bool stuck;                         /* answered, but the backend has not let go of its pages */
};

enum life {
    DOWN,                               /* waits for a backend in state 2 */
    OFFERED,                            /* ring offered, waits for state 4 */
    UP,
    LETTING_GO,                         /* the backend may still have pages of ours */
    GONE,                               /* for good */
};

struct blkfront {
    char path[32];                      /* device/vbd/N */
    struct xbdev dev;
    struct xs_watch backend_watch;
    char backend_path[48];
    enum life life;
    bool was_up;
    struct blkfront_info info;
    struct blkfront_stats stats;
    void (*changed)(void *arg);
    void *arg;
    struct timer timer;                 /* looks whether pages were let go of */
    struct work over;                   /* starts over, outside of the store's callbacks */

    struct blkif_sring *ring;           /* NULL: none */
    unsigned int order;
    grant_ref_t ring_ref[RING_PAGES];
    uint32_t size, max_segs;
    evtchn_port_t port;
    uint32_t req_prod, rsp_cons;
    struct slot *slot;                  /* size of them */
    uint16_t *free, nr_free;
    uint32_t nr_stuck;

    struct list queue;                  /* not on the ring */
    struct list flight;                 /* on the ring, in the order in which they were put there */
};

/* ring.c */

int ring_make(struct blkfront *b);              /* for dev.peer_dom; 0 or a negative error */
void ring_pump(struct blkfront *b);             /* queue -> ring, and tells the backend */
/* Takes back what the backend let go of; true when that is all. */
bool ring_take_back(struct blkfront *b);
void ring_free(struct blkfront *b);             /* after that */
void ring_fail_all(struct blkfront *b);         /* everything queued ends with EIO */
void ring_answers(struct blkfront *b);          /* an event came */
void ring_look_again(struct blkfront *b);       /* the timer of a vbd that is UP */
/* What was in flight is queued again, in front. */
void ring_requeue(struct blkfront *b);

/* blkfront.c */

/* The backend does what no backend does: nothing more is to do with it. */
void blkfront_fault(struct blkfront *b, const char *what);

#endif
