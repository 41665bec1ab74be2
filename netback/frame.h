/* SPDX-License-Identifier: MIT */
/*
 * frame.h - frames in dom0 memory: what NICs receive into, what dom0's own stack sends, and what
 * the bridge brings into shape. Bounded, kept for reuse; see also frame_new() in runtime/port.h.
 */
#ifndef NETBACK_FRAME_H
#define NETBACK_FRAME_H

#include "runtime/grant.h"
#include "runtime/port.h"

/* Most of these frames at one time; 4 KiB of memory for each two of them. */
#define FRAMES_MAX 2048
/* Most that the frames of one port may have while they are brought into shape: more than one receiver takes in a turn. */
#define FRAMES_SHARE (FRAMES_MAX / 4)

/* What the bridge makes of a frame's source. */
enum mem_way {
    WAY_COPY,                   /* f is a copy of it, or of a part */
    WAY_DMA,                    /* f's fragments are its pages, pinned */
    WAY_BEHIND,                 /* it goes as it is, in its turn; f only keeps the place */
};

struct mem_frame {
    struct frame f;
    uint8_t *buf;               /* FRAME_ROOM bytes, half a page */
    void *page;                 /* NULL, or what head lies in instead */
    /* While the bridge shapes it: */
    struct port *to;
    struct frame *source;       /* a reference, until the copies out of it are done; until f is, if pinned */
    enum mem_way way;
    bool complete_csum;
    bool may_wait;
    grant_handle_t handle[FRAME_FRAGS_MAX];     /* of pinned fragments */
};

static inline struct mem_frame *mem_frame_of(struct frame *f)
{
    return container_of(f, struct mem_frame, f);
}

/* Has what came from that port its share already? An uplink is many senders. */
static inline bool frame_share_used(const struct port *from, unsigned int more)
{
    return from->nr_shaped_from + more > FRAMES_SHARE && !(from->caps & PORT_UPLINK);
}

/* m is one that is brought into shape for port `to`, from here to frame_shaped(). */
static inline void frame_shaping(struct mem_frame *m, struct port *to)
{
    m->to = to;
    to->nr_shaping++;
    m->f.from->nr_shaped_from++;
}

static inline void frame_shaped(struct mem_frame *m)
{
    m->to->nr_shaping--;
    m->f.from->nr_shaped_from--;
}

/*
 * As frame_new(), with a whole page for the head. frame_take_page() makes the page of `next`, of which len bytes are
 * used, the next fragment of such a frame, and gives back what is left of `next`; if that is none of these but of rxpool.h, its bytes.
 * False: no memory; nothing has changed.
 */
struct frame *frame_new_page(struct port *from);
bool frame_take_page(struct frame *f, struct frame *next, unsigned int len);

/* Is it one of these, flat, and known to nobody else: may it be changed? */
bool frame_is_mine(const struct frame *f);

/* Is it one of these, flat, that no longer has anything to do with anybody's memory but ours? */
bool frame_is_copy(const struct frame *f);

/* As their done() does: f, which owns the memory of its fragments, is free again. */
void frame_free(struct frame *f);

/* Frames that exist and frames in use. */
void frame_counts(unsigned int *made, unsigned int *used);

#endif
