/* SPDX-License-Identifier: MIT */
/*
 * mem.h - pages and small objects.
 *
 * Pages come from all pseudo-physical memory of the domain, which is mapped at the direct map
 * (pagetable.h), so an allocated page is always usable. When memory runs short the domain asks
 * the hypervisor for more, up to a limit. Single-threaded: nothing here locks, and nothing may be
 * called from a trap handler. Small objects are malloc's, with C's own prototypes, so that code
 * which only allocates builds on the host too.
 */
#ifndef RUNTIME_MEM_H
#define RUNTIME_MEM_H

#include "compiler.h"

/* 2^order pages, contiguous in pseudo-physical (not machine) memory and aligned to their size;
 * contents undefined. NULL when there is no memory. order <= 10. */
void *pages_alloc(unsigned int order);
void pages_free(void *p, unsigned int order);

/* One page. */
void *page_alloc(void);
void *page_alloc_zeroed(void);
void page_free(void *p);

/* As in C: NULL when there is no memory; aligned to 16; free(NULL) does nothing. */
void *malloc(size_t n);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t n);
void free(void *p);
char *strdup(const char *s);

struct mem_stats {
    size_t pages_total;     /* pages the domain has */
    size_t pages_free;      /* of them not allocated */
    size_t pages_limit;     /* pages_total may grow up to this */
    size_t heap_bytes;      /* bytes handed out by malloc and not freed */
    size_t heap_objects;
};

void mem_get_stats(struct mem_stats *s);

/* Gets up to this many more pages from the hypervisor; returns how many came. Called by itself
 * when an allocation would fail. */
size_t mem_grow(size_t pages);

/* fn runs after memory has grown; it must not allocate. One at most. */
void mem_on_grow(void (*fn)(void));

/* Gives pages that came by growth back, as far as they are free in larger blocks, but keeps so
 * many pages free. Returns how many went. */
size_t mem_give_back(size_t keep);

/* Start of day. info: zeroed memory for limit * MEM_INFO_SIZE bytes; then each range of free
 * pseudo-physical pages [first, end), which the direct map must reach. */
#define MEM_INFO_SIZE 8
void mem_begin(void *info, size_t limit);
void mem_add(uint64_t first_pfn, uint64_t end_pfn);

#endif
