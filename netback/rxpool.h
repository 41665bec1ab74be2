/* SPDX-License-Identifier: MIT */
/*
 * rxpool.h - frames that network cards receive into, each in a page of its own, which can be exchanged with a guest's
 * instead of being copied (sluice/flip.h).
 *
 * A page goes to one guest only, and all of it: nothing but this frame may be in it. Cards write no more than FRAME_ROOM
 * bytes of a page, what comes back from a guest is zeroes or what we have sent it, and what is behind the frame is cleared
 * before it is offered; so beyond FRAME_ROOM there are zeroes only.
 */
#ifndef NETBACK_RXPOOL_H
#define NETBACK_RXPOOL_H

#include "runtime/port.h"

/*
 * Shorter frames are copied, which costs less then: with 16 in a turn 370 instructions and one for each 8 bytes, against 255 for an
 * exchange and one for each 8 bytes that are cleared (docs/benchmarks.md, "To and from the wire"). rx_flip_min=BYTES on the command
 * line says otherwise.
 */
#define RX_FLIP_MIN 512

/* Pages for one card, if the hypervisor flips: 1 MiB. Without, its frames are those of frame_new(). */
void rx_pool_add(void);

/* As frame_new(), with FRAME_FLIP set if it has such a page. */
struct frame *rx_frame_new(struct port *from);

void rx_frame_done(struct frame *f);

static inline bool rx_frame_is(const struct frame *f)
{
    return f->done == rx_frame_done;
}

/* Should this frame, which is for one guest alone, be exchanged? */
bool rx_frame_flips(const struct frame *f);

/*
 * Offers its page to ourselves, for an exchange before the next rx_frame_done(): the reference, of DOMID_SELF, and where in
 * the page byte `at` of the frame is. The frame's bytes must not be looked at any more when it was exchanged.
 */
grant_ref_t rx_frame_offer(struct frame *f, unsigned int at, uint16_t *offset);

#endif
