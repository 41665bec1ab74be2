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

/* Have it called at the end of this turn. */
void bridge_flush_later(void);

/* Changes whenever a port joins or leaves any bridge: what bridge_unicast() said holds until then, for stations
 * of ports that are no uplinks. */
extern uint32_t bridge_changes;

/*
 * The port of the station that a frame from `from`, which is in a bridge, is for. NULL: nobody's, its own, or
 * not one station's: the frame must go through port_receive(). head: at least an Ethernet header.
 */
struct port *bridge_unicast(const struct port *from, const uint8_t *head, uint64_t now);

#endif
