/* SPDX-License-Identifier: MIT */
/*
 * front.h - a domain for frontends on the host: pages and the frames behind them, flip windows, and a grant table, which the
 * real runtime/grant.c fills. A test plays the backend and the hypervisor: it looks at entries, maps them, flips them. The
 * rest of the world is world.h.
 */
#ifndef FAKES_FRONT_H
#define FAKES_FRONT_H

#include "runtime/grant.h"
#include "tests/unit/fakes/world.h"

struct grant_entry_v1 *front_entry(grant_ref_t ref);

/* The memory behind a grant, NULL: there is no such grant (any more). */
void *front_page(grant_ref_t ref);

/* The backend maps it (as many times as it likes), or lets go of it. */
void front_map(grant_ref_t ref, bool on);

/* What the hypervisor does in a flip: another frame, full of `fill`, is behind the page. False: it is no offer. */
bool front_flip(grant_ref_t ref, uint8_t fill);

/* Does each page have the frame that the frontend believes it to have? */
bool front_frames_right(void);

/* Entries that are in use, pages that are allocated. */
unsigned int front_grants(void), front_pages(void);

/* Does the hypervisor register windows (default)? */
extern bool front_windows;

#endif
