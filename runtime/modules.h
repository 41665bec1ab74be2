/* SPDX-License-Identifier: MIT */
/* modules.h - boot modules, between start.c and modules.c. Users: start.h. */
#ifndef RUNTIME_MODULES_H
#define RUNTIME_MODULES_H

#include "compiler.h"

#define MODULES_MAX 128u            /* more are left out, with a line that says so */

/* Reads start_info, claims the modules' pages with start_use_bytes(). Before the allocator. */
void modules_find(void);

/* Pages that the modules take, about. */
uint64_t modules_pages(void);

/* start.c: pseudo-physical bytes [first, end) are in use. */
void start_use_bytes(uint64_t first, uint64_t end);

#endif
