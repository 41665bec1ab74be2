/* SPDX-License-Identifier: MIT */
/*
 * vmhost.h - what toolstack/vm stands on, faked: loop, clock, hypervisor, builder, kernels. The
 * store is the real one.
 */
#ifndef FAKES_VMHOST_H
#define FAKES_VMHOST_H

#include "runtime/event.h"
#include "runtime/loop.h"
#include "toolstack/vm/hv.h"
#include "toolstack/vm/vm.h"

extern uint64_t clock_ns;
extern event_fn dom_exc;

/* One turn of the loop; whether there was anything to do. */
bool turn(void);
/* Turns until there is nothing to do. */
void run(void);
/* The time comes when the next timer is due; then run(). */
void run_timer(void);
unsigned int timers_set(void);

#define DOMS 16
struct fake_dom {
    bool exists, unpaused;
    unsigned int destroy_steps;
    uint32_t flags;
    uint64_t tot_pages, max_pages;
    uint32_t weight, cap;
    struct hv_affinity affinity[VM_VCPUS];
};
extern struct fake_dom dom[DOMS];
extern domid_t next_dom;
extern uint64_t host_free_pages;
extern bool slow;               /* each step takes longer than a turn */
extern bool refuse_unpause, refuse_resume;

unsigned int doms_alive(void);
/* A domain ends by itself. */
void ends(domid_t d, uint32_t reason);

extern unsigned int builds, kernels_held, build_steps, kernel_steps;
extern int start_error, step_error, kernel_error;
extern struct image image;      /* of every kernel */

/* Everything as at the beginning, but for domains that exist. */
void vmhost_reset(void);

/* Nothing of any domain is left, here and in the store. */
void vmhost_assert_clean(void);

#endif
