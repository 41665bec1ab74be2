/* SPDX-License-Identifier: MIT */
/* desccheck.h - segment descriptors that a guest may have in its GDT and LDT. Pure. */
#ifndef MM_DESCCHECK_H
#define MM_DESCCHECK_H

#include "compiler.h"

/*
 * Can *d be given to the processor? Changes what must be different: privilege level 3 for
 * segments; 0 for call gates, so that using one faults. Not-present descriptors pass as they are.
 */
bool descriptor_check(uint64_t *d);
/* All n of a table, in place; false at the first bad one. */
bool descriptors_check(uint64_t *table, uint32_t n);

#endif
