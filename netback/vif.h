/* SPDX-License-Identifier: MIT */
/*
 * vif.h - what the files of netback share: one virtual interface, its queues, and the frames
 * that a guest sends.
 *
 * Life: netback.c makes a vif for a backend directory in the store and connects it when the
 * frontend has written its rings; tx.c takes frames from the guest to the bridge, rx.c the other
 * way. A guest that breaks the ring protocol fails its vif (vif_fail): nothing of its rings is
 * looked at again, and the vif is taken down from the run loop.
 */
#ifndef NETBACK_VIF_H
#define NETBACK_VIF_H

#include "netback/filter.h"
#include "lib/rate.h"
#include "runtime/event.h"
#include "runtime/grant.h"
#include "runtime/loop.h"
#include "runtime/port.h"
#include "runtime/xbdev.h"

#include <xen/io/netif.h>

#define VIF_QUEUES_MAX   4
#define VIF_SLOTS        256        /* of either ring: one page */
#define VIF_PACKET_SLOTS 18         /* slots that a packet may have; more are refused */
#define VIF_CHAIN_MAX    20         /* a chain longer than this fails the vif */
#define VIF_TX_BUDGET    64         /* packets a turn, for each queue */
#define VIF_FRAMES_MAX   192        /* frames of one queue that dom0 holds at one time */

struct vif_queue;
struct transfer;
struct vif_flip;

/* A packet from a guest. Its slots are answered when the last reference goes. */
struct vif_frame {
    struct frame f;
    struct vif_queue *queue;
    int16_t status;                 /* NETIF_RSP_xxx for all its slots */
    uint8_t nr_ids;
    uint8_t nr_extras;              /* slots that carried extra info */
    uint16_t ids[VIF_CHAIN_MAX];
    uint8_t head[FRAME_HEAD_MAX];
};

/* A packet on its way to a guest: its slots are taken and its copies queued. */
struct vif_rx_packet {
    struct frame *frame;            /* a reference */
    uint16_t first;                 /* ring index of the first slot, low bits */
    uint8_t nr_slots;
    uint8_t failed;                 /* a copy failed, the sender's or the receiver's fault */
};

struct vif_queue {
    struct vif *vif;                /* NULL: disconnected, only frames are left */
    unsigned int index;

    /* Guest to bridge. Indices run free; slots are at index % VIF_SLOTS. */
    struct netif_tx_sring *tx;
    uint32_t tx_cons;               /* next request to take */
    uint32_t tx_rsp;                /* next answer to write */
    uint32_t tx_published;          /* answers that the guest can see */
    bool tx_owed;                   /* the guest asked for an event that was not sent yet */
    uint32_t tx_untold;             /* answers published that the guest was not told of and has not seen */
    unsigned int tx_along;          /* events for received frames since it was told */
    uint32_t tx_quiet;              /* tx_published when tell_timer was set */
    unsigned int nr_frames;         /* vif_frames in use */
    struct work tx_work;
    struct timer rate_timer, tell_timer;
    struct grant_mapping tx_map;
    evtchn_port_t tx_port;

    /* Bridge to guest. */
    struct netif_rx_sring *rx;
    uint32_t rx_cons;               /* next request to take = next answer to write */
    uint32_t rx_published;
    unsigned int nr_packets;
    struct grant_mapping rx_map;
    evtchn_port_t rx_port;          /* == tx_port without split event channels */
    struct vif_rx_packet packets[VIF_SLOTS];
    uint16_t rx_id[VIF_SLOTS];      /* what was taken, to answer a packet that failed */
    grant_ref_t rx_ref[VIF_SLOTS];
    struct transfer *rx_give;       /* classic flip: pages to be given away, NULL else */
    unsigned int nr_give;
};

struct vif {
    struct port port;
    struct list link;               /* all vifs */
    struct xbdev dev;
    domid_t dom;
    uint32_t handle;
    bool connected;                 /* rings are mapped and in use */
    bool dropped;                   /* its domain is dying: never to be connected again */
    bool failed;                    /* do not look at its rings again */
    struct work fail_work;
    struct filter filter;
    struct rate rate;
    char why[96];                   /* what it did, once failed */
    unsigned int nr_queues;
    struct vif_queue *queues[VIF_QUEUES_MAX];
    struct vif_flip *flip;          /* in place of queues: the flip channel, flip.h */
};

/* The guest broke a rule: says so in the log, once, and takes the vif down soon. */
void vif_fail(struct vif *vif, const char *fmt, ...) __printf(2, 3);

/* tx.c ------------------------------------------------------------------------------------- */

/* Work: take packets from the guest, at most a budget full of them. */
void vif_tx_work(struct work *w);

/* Timer: the rate limit, or memory, lets frames pass again. */
void vif_tx_rate_timer(struct timer *t);

/* Timer: the guest hears of its answers, unless it has seen them. */
void vif_tx_tell_timer(struct timer *t);

/* Publishes the answers that are due. */
void vif_tx_flush(struct vif_queue *q);
/* The guest gets an event anyway: may it learn of its answers by the way? */
void vif_tx_tell_along(struct vif_queue *q);

/* rx.c ------------------------------------------------------------------------------------- */

/* Takes slots for a frame and queues its copies. False: no room; we asked to be told. */
bool vif_rx_send(struct vif_queue *q, struct frame *f);

/* All copies are done: answers the slots, lets go of the frames. */
void vif_rx_flush(struct vif_queue *q);

/* Did the guest add slots since somebody waited? */
bool vif_rx_has_room(struct vif_queue *q);

#endif
