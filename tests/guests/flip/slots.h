/* SPDX-License-Identifier: MIT */
/*
 * slots.h - a flip window of this domain, as the tests use it: pages of the direct map, and the
 * references that belong to them.
 */
#ifndef TESTS_FLIP_SLOTS_H
#define TESTS_FLIP_SLOTS_H

#include "sluice/flip.h"
#include "xenabi.h"
#include "addr.h"

#define SLOT_ORDER  6u
#define NR_SLOTS    (1u << SLOT_ORDER)
#define FIRST_REF   600u
#define HOLE_REF    1200u           /* of hole 0 */
#define NR_HOLES    16u
#define TABLE_REFS  2048u           /* of our grant table */

extern char *slot_page;             /* of slot 0; the others follow */
extern grant_entry_v1_t *slot_table;
extern uint32_t slot_window;        /* its number */

/* Makes the pages and maps the grant table; registers the window. 0 or the call's error. */
long slots_init(void);
long slots_register(void);
long slots_unregister(uint32_t id);

static inline char *slot_addr(uint32_t i)
{
    return slot_page + (uint64_t)i * PAGE_SIZE;
}

static inline grant_entry_v1_t *slot_entry(uint32_t i)
{
    return &slot_table[FIRST_REF + i];
}

/* The frame that our page tables have for the slot. */
uint64_t slot_mfn(uint32_t i);

void slot_offer(uint32_t i, domid_t backend, uint16_t flags);
/* Takes an offer back; false: it is in use. */
bool slot_withdraw(uint32_t i);
/* After a flip: takes note of the frame that came. Every rule of flip.h that can be seen from here
 * is checked: entry, page table entry, M2P; 0, or which one was broken. */
int slot_accept(uint32_t i);

/* A page that nobody would mix up with another one; which byte is wrong, or -1. */
void slot_fill(uint32_t i, uint32_t seed);
int slot_differs(uint32_t i, uint32_t seed);
int slot_differs_behind(uint32_t i, uint32_t seed, uint32_t bytes);     /* not in the first bytes */
bool slot_is_zero(uint32_t i);

#endif
