/* SPDX-License-Identifier: MIT */
/* traps.h - exceptions of our own code: a readable report, or a fixup for expected ones. */
#ifndef RUNTIME_TRAPS_H
#define RUNTIME_TRAPS_H

#include "compiler.h"

/* Registers the trap table and the callbacks. */
void traps_init(void);

/* Reads 8 bytes that may be unmapped; false when they are. */
bool try_read64(const volatile uint64_t *p, uint64_t *value);

#endif
