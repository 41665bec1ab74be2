/* SPDX-License-Identifier: MIT */
/*
 * shape.h - bring a frame into the form that a port takes: into dom0 memory, cut into packets,
 * with its checksum completed.
 */
#ifndef NETBACK_SHAPE_H
#define NETBACK_SHAPE_H

#include "netback/frame.h"

/* Does a port with these caps take the frame as it is? */
bool shape_fits(uint32_t caps, const struct frame *f);

/*
 * Completes the checksum where the frame lies, if that is all that is missing and nobody else has the frame. False:
 * it is not, or there is none.
 */
bool shape_in_place(uint32_t caps, struct frame *f);

/*
 * Makes one or more frames out of f in the form that port `to` takes, queues the copies that
 * fill them and appends them to list. Returns DROP_REASONS, or why f had to be dropped (what was
 * appended before is in order).
 */
enum port_drop shape(struct frame *f, struct port *to, bool may_wait, struct list *list);

/* The copies are done: last touches. False: it cannot be sent; why was counted. Either way the
 * reference that m had to its source is gone. */
bool shape_finish(struct mem_frame *m);

#endif
