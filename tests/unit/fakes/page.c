/* SPDX-License-Identifier: MIT */
/* page.c - the runtime's page allocator on the host's malloc, for tests. */
#include <stdlib.h>
#include "runtime/mem.h"

void *page_alloc(void)
{
    return aligned_alloc(PAGE_SIZE, PAGE_SIZE);
}

void page_free(void *p)
{
    free(p);
}
