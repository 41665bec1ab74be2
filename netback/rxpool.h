/* SPDX-License-Identifier: MIT */
/*
 * rxpool.h - frames that network cards receive into, in pages of their own, which can be exchanged with a guest's
 * instead of being copied (sluice/flip.h).
 *
 * A page goes to one guest only, and all of it: nothing but this frame may be in it. Cards write no more than their *room*
 * of a page, FRAME_ROOM bytes or all of it, what comes back from a guest is zeroes or what we have sent it, and what is behind the
 * frame is cleared up to the largest room of all cards before it is offered; so beyond there are zeroes only.
 *
 * A frame that fills several pages is made of several of these: the first has all the others as fragments.
 */
#ifndef NETBACK_RXPOOL_H
#define NETBACK_RXPOOL_H

#include "runtime/port.h"

/*
 * Shorter frames are copied, which costs less then: with 16 in a turn 370 instructions and one for each 8 bytes, against 255 for an
 * exchange and one for each 8 bytes that are cleared (docs/benchmarks.md, "To and from the wire"). With whole pages as room up to 2048
 * bytes more are to be cleared, and half as many more make up for that. rx_flip_min=BYTES on the command line says otherwise.
 */
#define RX_FLIP_MIN 512

/*
 * Pages for one card that has so much room in each, if the hypervisor flips: 1 MiB. Without, its frames are those of frame.h.
 * Before any of its frames is made.
 */
void rx_pool_add(unsigned int room);

/* As frame_new(), or frame_new_page() for a room of PAGE_SIZE; with FRAME_FLIP set if it has such a page. */
struct frame *rx_frame_new(struct port *from, unsigned int room);

/*
 * `next`, of which len bytes are used, becomes the next fragment of f and f's to give back. Both are from rx_frame_new() with a
 * room of PAGE_SIZE, and f's head_len is what its own page holds. False: no memory; nothing has changed.
 */
bool rx_frame_join(struct frame *f, struct frame *next, unsigned int len);

void rx_frame_done(struct frame *f);

static inline bool rx_frame_is(const struct frame *f)
{
    return f->done == rx_frame_done;
}

/* Its pieces, each of a page: itself, then its fragments, whose head and head_len say where in their page they are. For the last: not to be used. */
struct frame *rx_frame_next(struct frame *f, struct frame *piece);

/* Should this piece of a frame be exchanged, if the frame is for one guest alone (FRAME_FLIP)? */
bool rx_piece_flips(const struct frame *piece);

/*
 * Offers its page to ourselves, for an exchange before the next rx_frame_done(): the reference, of DOMID_SELF, and where in
 * the page byte `at` of the piece is. Its bytes must not be looked at any more when it was exchanged.
 */
grant_ref_t rx_piece_offer(struct frame *piece, unsigned int at, uint16_t *offset);

#endif
