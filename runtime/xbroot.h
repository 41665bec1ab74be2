/* SPDX-License-Identifier: MIT */
/*
 * xbroot.h - finding backends in the store: directories ROOT/DOMID/NUMBER.
 */
#ifndef RUNTIME_XBROOT_H
#define RUNTIME_XBROOT_H

#include "compiler.h"

/*
 * The numbers of a path below root. Returns how many stand there (0..2: "", "/3", "/3/0"), 3 when
 * more follows them ("/3/0/state"), 0 too for anything else.
 */
unsigned int xb_path_numbers(const char *root, const char *path, uint32_t number[2]);

/* Calls fn for each ROOT/DOMID/NUMBER that there is. fn may change the store. */
void xb_for_each_backend(const char *root, void (*fn)(uint32_t dom, uint32_t number));

#endif
