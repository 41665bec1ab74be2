/* SPDX-License-Identifier: MIT */
/*
 * bridge.h - learning bridges. What ports need is in runtime/port.h; this is for start-up.
 *
 * A turn: ports hand in frames, the bridge finds each one's way and calls send() of the ports
 * there; at the end of the turn all copies that were queued are done in one go, then each port
 * that was sent something gets its flush(). A frame to a known address waits a while (a few at a
 * time, WAIT_NS) when its port has no room, so that a TCP sender meets a full queue instead of a
 * loss; floods never wait.
 */
#ifndef NETBACK_BRIDGE_H
#define NETBACK_BRIDGE_H

#include "runtime/port.h"


/* Ends the turn now: does all copies, flushes all ports. Not from inside send() or flush(). */
void bridge_flush(void);

#endif
