/* SPDX-License-Identifier: MIT */
/*
 * flip.h - the flip channel of a vif (include/sluice/netflip.h), the backend's side.
 *
 * fliptx.c takes frames from the guest (fliprow.c: by the short way), fliprx.c brings it frames, flip.c makes and ends the channel. Frames that
 * are all head take a short way: from ring to ring by way of our own copy, which the filter has seen; no struct
 * frame, no hypercall. Others become frames like those of every vif, whose fragments may be flipped (FRAME_FLIP).
 *
 * What a guest can make us hold: FLIP_FRAMES_MAX frames, the packets below, 18 mapped pages.
 */
#ifndef NETBACK_FLIP_H
#define NETBACK_FLIP_H

#include "netback/vif.h"
#include "sluice/netflip.h"

#define FLIP_BUDGET     256         /* frames a turn */
#define FLIP_FRAMES_MAX 256         /* frames of one vif that dom0 holds at one time */

/* A frame from a guest. Its pages go back when the last reference goes. */
struct flip_frame {
    struct frame f;
    struct vif_flip *flip;
    uint32_t of_extent, first;      /* bit i: fragment i is a page of an extent, and the first of it */
    uint8_t head[NETFLIP_INLINE_MAX];
};

/* A frame on its way to the guest, whose payload is still to be moved. */
struct flip_packet {
    struct frame *frame;            /* a reference */
    uint16_t slot;                  /* of its head */
    uint8_t failed;                 /* a page of it could not be brought */
};

struct vif_flip {
    struct vif *vif;                /* NULL: disconnected, only frames are left */

    /* Guest to bridge. Indices run free. */
    struct netflip_index *tx;
    const struct netflip_head *tx_slot;
    uint32_t tx_cons, tx_published; /* next slot to take; what the guest knows of it */
    uint32_t ref_prod, ref_published;   /* pages given back, and what the guest knows of it */
    uint32_t ext_prod, ext_published;   /* the same of extents */
    bool extents;                   /* the guest has them */
    unsigned int nr_frames;         /* flip_frames in use */
    struct work tx_work;
    struct timer rate_timer;
    evtchn_port_t tx_port;

    /* Bridge to guest. */
    struct netflip_index *rx;
    struct netflip_head *rx_slot;
    uint32_t rx_prod, rx_published; /* next slot to write; what the guest knows of it */
    uint32_t rx_cons;               /* slots that the guest has taken, as last read */
    uint32_t rx_ref_cons;           /* next offer to take */
    uint32_t rx_ref_prod;           /* offers, as last read */
    uint32_t rx_ext_cons, rx_ext_prod;  /* the same of extents */
    unsigned int nr_packets;
    uint32_t frames, bytes;         /* brought since the last flush, without payload to wait for */
    evtchn_port_t rx_port;          /* == tx_port: one for both */
    struct flip_packet packets[NETFLIP_SLOTS];

    /* Frames that went the short way since the turn began. */
    uint32_t short_frames, short_bytes;
    /* Source and type of the frames that need no more filter than this; 0: all do. */
    uint64_t plain;
    /* Where the last frame went: bridge_unicast() of that address, while the bridge stays as it is. */
    uint64_t to_key;
    struct vif_flip *to;
    uint32_t to_changes;

    struct grant_mapping tx_map, rx_map;
};


/* flip.c ----------------------------------------------------------------------------------- */

/* Does the frontend ask for the channel? */
bool vif_flip_wanted(const struct vif *vif);

/* Maps, binds; the port's send and flush are the channel's then. 0 or a negative error. */
int vif_flip_connect(struct vif *vif);

/* Nothing of the guest is mapped any more. Harmless when not connected. */
void vif_flip_disconnect(struct vif *vif);

/* fliptx.c --------------------------------------------------------------------------------- */

void flip_tx_work(struct work *w);
void flip_tx_rate_timer(struct timer *t);

/* Gives pages back that nobody needs any more, and slots. */
void flip_tx_flush(struct vif_flip *v);

/* fliprx.c --------------------------------------------------------------------------------- */

/* As port.send and port.flush; the latter does both directions. */
bool flip_send(struct port *p, struct frame *f);
void flip_flush(struct port *p);

/* Is there room for so many slots and pages? False: we hear of it when there is. */
bool flip_has_room(struct vif_flip *v, unsigned int slots, unsigned int refs);

/* Is there an extent on offer? */
bool flip_has_extent(struct vif_flip *v);

/* Would send() succeed again? */
bool flip_rx_has_room(struct vif_flip *v);

#endif
