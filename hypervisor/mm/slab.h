/* SPDX-License-Identifier: MIT */
/* slab.h - size classes for small objects, over pages that the caller provides. Pure. */
#ifndef HV_MM_SLAB_H
#define HV_MM_SLAB_H

#include "compiler.h"
#include "lib/list.h"

#define SLAB_CLASSES    13
#define SLAB_MAX        2016u           /* two of them and the header fit into a page */

struct slab {
    struct list partial[SLAB_CLASSES];  /* pages with room, by class */
    uint64_t objects, bytes;            /* alive; bytes of their classes */
};

void slab_init(struct slab *s);
/* Class for size (1..SLAB_MAX), and the size of its objects. */
unsigned int slab_class(size_t size);
size_t slab_class_size(unsigned int class);
/* An object of that class, or NULL: then give it a page (page-aligned) and ask again. */
void *slab_alloc(struct slab *s, unsigned int class);
void slab_add_page(struct slab *s, unsigned int class, void *page);
/* Returns the page when it became empty and is no longer the slab's; else NULL. */
void *slab_free(struct slab *s, void *p);
/* Does p look like an object of a slab page, alive as far as one can see? (assertions) */
bool slab_owns(const void *p);

#endif
