/* SPDX-License-Identifier: MIT */
/*
 * nbd.h - what nbd.c (a disk on a server: open, queue, server gone and back, close) and nbdconn.c (one
 * connection to it) share.
 *
 * A request is in one of these places: the disk's queue (not sent); a connection's `sent` list (sent, or
 * being sent: the last one); its `lingering` list (answered, but TCP may still send it again); the disk's `leaving` list
 * (a card may still send it).
 *
 * Data of a write is kept until the answer, because it may have to be sent again: in the guest's own pages, pinned, if the card
 * reads it there; else copied out of the guest when there is room to send it. What is pinned is not
 * answered to the guest before TCP and the card are done with it. NBD_PAGES bounds how much of either one disk holds
 * (the last request may go beyond).
 */
#ifndef BLKBACK_NBD_H
#define BLKBACK_NBD_H

#include "blkback/disk.h"
#include "blkback/nbdproto.h"
#include "runtime/loglimit.h"
#include "runtime/loop.h"
#include "runtime/pinned.h"
#include "runtime/stream.h"

#define NBD_SLOTS 256u
#define NBD_PAGES 1024u
#define NBD_PIN   8192u       /* bytes of data that is pinned; less is copied, which costs as little */

struct nbd;
struct nbd_conn;

struct nbd_req {
    struct list link;
    struct disk_io *io;         /* NULL: the guest has its answer, and this only lingers */
    struct nbd_conn *conn;      /* NULL: in the queue */
    uint64_t handle;            /* its slot in the low bits; never the same twice */
    uint32_t bytes;             /* of data */
    uint32_t nr_pages;          /* a write whose data is here: */
    void **page;                /* copied, or */
    struct pinned *pinned;      /* the guest's pages */
    bool sent_whole, is_answered;
    int rc;                     /* the answer, of one that lingers or leaves */
    uint64_t end;               /* where its last byte is in what was written to the connection */
    uint8_t header[NBD_REQUEST_SIZE];
};

enum nbd_conn_state {
    NBD_IDLE,                   /* no stream; retry_at says when to try */
    NBD_RESOLVING, NBD_CONNECTING, NBD_HELLO,
    NBD_READY,
};

struct nbd_conn {
    struct nbd *nbd;
    enum nbd_conn_state state;
    struct stream *s;
    struct nbd_hello hello;
    uint64_t retry_at;
    uint32_t backoff_ms;

    struct list sent;           /* requests, in the order in which they were sent */
    uint32_t nr_sent;
    /* Sending: the last of `sent`, as long as it is not whole. */
    uint32_t header_at, data_at;
    uint64_t written, acked;    /* bytes of the stream, in all */
    uint64_t progress_at;       /* when something moved last */
    /* What was answered before all of it was acknowledged; it may be sent again by TCP. */
    struct list lingering;
    bool broken;                /* something that is to be sent cannot be read: dropped in the next turn */
    /* Receiving. */
    uint8_t reply[NBD_REPLY_SIZE];
    uint32_t reply_have;
    struct nbd_req *reading;    /* whose data comes now */
    uint32_t read_at;
};

struct nbd {
    struct disk disk;
    struct nbd_target target;
    uint32_t ip;
    struct disk_open *open;     /* while it is not open yet */
    bool opened, closing;
    int open_error;             /* why it will not open; then n->why says more */
    uint32_t nr_conns;          /* that are to be there */
    struct nbd_conn conn[NBD_CONNS_MAX];
    struct list queue;
    struct nbd_req *slot[NBD_SLOTS];
    uint32_t nr_slots, next_slot;
    uint64_t next_generation;
    uint32_t pages;
    struct list leaving;        /* answered; a card still has their pages */
    struct work leave_work;
    struct timer timer;         /* the earliest of: try again, give up, look for progress */
    uint64_t down_since;        /* 0: the server is there */
    bool guests_doing;          /* what a connection ended of last: it can do that as often as it likes */
    struct log_limit lines;     /* about that */
    uint64_t open_until, close_until;
    bool gave_up;               /* it has been down for longer than the timeout */
    uint32_t resolving;         /* callbacks that will still come */
    bool dead;                  /* freed when none comes any more */
    struct work end_work;       /* closes, or fails to open, outside of all callbacks */
    char why[200];              /* what a connection ended of last */
};

/* nbdconn.c */
void nbd_conn_init(struct nbd *n, struct nbd_conn *c);
void nbd_conn_start(struct nbd_conn *c);
/* Sends what is in the disk's queue as far as there is room. */
void nbd_conn_send(struct nbd_conn *c);
/* Ends it without further ado; requests go back into the queue. */
void nbd_conn_drop(struct nbd_conn *c);
/* Nothing is under way: says goodbye. */
void nbd_conn_finish(struct nbd_conn *c);

/* nbd.c, called by nbdconn.c */
extern struct stream_net *nbd_net;
/* The handshake is done. False: the export will not do, and the connection is to end. */
bool nbd_conn_ready(struct nbd_conn *c);
/* It ended, or never came to be; n->why says why. `refused`: the server is there and will not have us. */
void nbd_conn_lost(struct nbd_conn *c, bool refused);
/* r is in no list. The guest gets its answer, now or when a card is done with its pages. */
void nbd_req_done(struct nbd *n, struct nbd_req *r, int rc);
void nbd_req_free(struct nbd *n, struct nbd_req *r);    /* data included */
void nbd_slot_free(struct nbd *n, struct nbd_req *r);   /* answered: r->io goes now */
void nbd_pages_free(struct nbd *n, struct nbd_req *r);
void nbd_set_timer(struct nbd *n);
/* Pinned data of one of its requests cannot be read: it says nothing any more, and is dropped soon. */
void nbd_conn_broken(struct nbd_conn *c);
void nbd_init(struct stream_net *net);

#endif
