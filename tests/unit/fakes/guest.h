/* SPDX-License-Identifier: MIT */
/*
 * guest.h - guests for backends on the host: their pages, their grants, and what the hypervisor does with them.
 * The rest of the world is world.h.
 */
#ifndef FAKES_GUEST_H
#define FAKES_GUEST_H

#include "runtime/grant.h"
#include "tests/unit/fakes/world.h"

/* Forgets everything: grants, and the world. Watches must be gone. */
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

/* Does the hypervisor know FLIP_exchange (default), and does it refuse all flips as busy? */
extern bool fake_flips, fake_flips_busy;
extern unsigned long fake_flipped, fake_flip_calls, fake_transferred;
/* Copy operations and hypercalls for them so far. */
extern unsigned long fake_copies, fake_copy_calls;
/* A number on dom0's command line; NULL: there is none. */
extern const char *fake_word;
extern uint64_t fake_word_value;
/* Operation `at` from now on, or each (FAKE_EACH), fails with `status`; call: and so does the hypercall, with all that
 * come after it left as they are. */
#define FAKE_NONE (-1)
#define FAKE_EACH (-2)
struct fake_fault {
    int at;
    int16_t status;
    bool call;
};
extern struct fake_fault fake_flip_fault, fake_copy_fault;
/* References of our own begin here (grant_range). */
#define FAKE_OWN_REF 5000u
/* Pages that are pinned now. */
extern unsigned int fake_pinned;

#endif
