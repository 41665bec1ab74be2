/* SPDX-License-Identifier: MIT */
/*
 * world.h - a world for split drivers on the host: event channels, a store in memory, a clock that stands still until it
 * is moved, the log. runtime/loop.c runs on top. Who is in it: guest.h (for backends), front.h (for frontends).
 */
#ifndef FAKES_WORLD_H
#define FAKES_WORLD_H

#include "runtime/event.h"
#include "runtime/xs.h"

/* Forgets events, store nodes and the log. Watches must be gone. */
void fake_world_reset(void);

/* The guest's end of channel `port` of domain dom: signals the backend that bound it. */
void fake_signal(domid_t dom, evtchn_port_t port);
/* Signals that the guest got on this channel since the last call. */
unsigned int fake_signalled(domid_t dom, evtchn_port_t port);
/* Channels that are bound, or made for others to bind. */
unsigned int fake_bound(void);
/* The same for channels that our end made, by its own number. */
void fake_signal_port(evtchn_port_t port);

void fake_write(const char *path, const char *value);
const char *fake_read(const char *path);        /* "" if there is none */
void fake_remove(const char *path);             /* with all below */

/* Runs the loop until nothing is left to do now. */
void fake_run(void);
void fake_advance(uint64_t ns);                 /* moves the clock, then fake_run() */

/* What was logged since the reset. */
extern char fake_log[4096];

#endif
