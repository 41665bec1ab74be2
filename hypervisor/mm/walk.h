/* SPDX-License-Identifier: MIT */
/* walk.h - finding guests' page-table entries, through the direct map. */
#ifndef MM_WALK_H
#define MM_WALK_H

#include "domain/domain.h"
#include "mm/frame.h"

/* The leaf entry that maps va under root, in a validated L1 of d; NULL: there is no such table.
 * Caller holds d's mmu_lock: the entry is good until it lets go. */
uint64_t *walk_l1_locked(const struct domain *d, mfn_t root, uint64_t va);

/* The leaf entry of va under a CR3, with RW, U and NX as the whole walk gives them; 0: not
 * present. Takes no lock: a snapshot of tables that others may be changing. */
uint64_t walk_effective(uint64_t cr3, uint64_t va);

#endif
