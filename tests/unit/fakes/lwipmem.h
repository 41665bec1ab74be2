/* SPDX-License-Identifier: MIT */
/* lwipmem.h - included before all of lwIP when that is built for the host: a test hands out its memory. */
#ifndef FAKES_LWIPMEM_H
#define FAKES_LWIPMEM_H

#include <stddef.h>

void *lwip_test_malloc(size_t n);
void *lwip_test_calloc(size_t n, size_t size);
void lwip_test_free(void *p);

#define mem_clib_malloc lwip_test_malloc
#define mem_clib_calloc lwip_test_calloc
#define mem_clib_free   lwip_test_free

#endif
