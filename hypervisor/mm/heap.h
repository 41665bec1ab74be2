/* SPDX-License-Identifier: MIT */
/*
 * heap.h - small objects, from whole frames; 16-byte aligned.
 *
 * Sizes up to 2 KiB come from size classes (one frame holds objects of one size), larger ones
 * are whole frames. Rank LOCK_HEAP; any context but interrupts.
 */
#ifndef HV_MM_HEAP_H
#define HV_MM_HEAP_H

#include "compiler.h"

/* NULL when memory is short. Contents are undefined (xmalloc) or zero (xzalloc). */
void *xmalloc_bytes(size_t size) __must_check;
void *xzalloc_bytes(size_t size) __must_check;
/* n objects of size bytes, zeroed; NULL also when n * size overflows. */
void *xzalloc_array_bytes(size_t n, size_t size) __must_check;
/* NULL is fine. */
void xfree(void *p);

#define xmalloc(type)           ((type *)xmalloc_bytes(sizeof(type)))
#define xzalloc(type)           ((type *)xzalloc_bytes(sizeof(type)))
#define xzalloc_array(type, n)  ((type *)xzalloc_array_bytes((n), sizeof(type)))

/* For leak checks: objects alive, and bytes in them (rounded up to their class). */
uint64_t heap_objects(void);
uint64_t heap_bytes(void);

#endif
