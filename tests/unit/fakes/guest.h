/* SPDX-License-Identifier: MIT */
/*
 * guest.h - a world for backends on the host: guests with pages and grants, event channels, a
 * store in memory, a clock that stands still until it is moved. runtime/loop.c runs on top.
 */
#ifndef FAKES_GUEST_H
#define FAKES_GUEST_H

#include "runtime/event.h"
#include "runtime/grant.h"
#include "runtime/xs.h"

/* Forgets everything: grants, events, store nodes. Watches must be gone. */
void fake_reset(void);

/* Page `ref` of domain dom; readonly or not. NULL: takes the grant back. */
void fake_grant(domid_t dom, grant_ref_t ref, void *page, bool readonly);
/* Offers that page for flipping, too; it is no grant any more once it was flipped. */
void fake_offer(domid_t dom, grant_ref_t ref, void *page);
/* A place for a page that is transferred: what is in that lands here, once. */
void fake_accept(domid_t dom, grant_ref_t ref, void *page);
bool fake_is_granted(domid_t dom, grant_ref_t ref);
/* How many of a domain's grants are mapped now. */
unsigned int fake_mapped(domid_t dom);

/* The guest's end of channel `port` of domain dom: signals the backend that bound it. */
void fake_signal(domid_t dom, evtchn_port_t port);
/* Signals that the guest got on this channel since the last call. */
unsigned int fake_signalled(domid_t dom, evtchn_port_t port);
/* Channels that a backend has bound. */
unsigned int fake_bound(void);

void fake_write(const char *path, const char *value);
const char *fake_read(const char *path);        /* "" if there is none */
void fake_remove(const char *path);             /* with all below */

/* Runs the loop until nothing is left to do now. */
void fake_run(void);
void fake_advance(uint64_t ns);                 /* moves the clock, then fake_run() */

/* Does the hypervisor know FLIP_exchange (default), and does it refuse all flips as busy? */
extern bool fake_flips, fake_flips_busy;
extern unsigned long fake_flipped, fake_flip_calls, fake_transferred;
/* Copy operations and hypercalls for them so far. */
extern unsigned long fake_copies, fake_copy_calls;
/* Pages that are pinned now. */
extern unsigned int fake_pinned;
/* What was logged since fake_reset(). */
extern char fake_log[4096];

#endif
