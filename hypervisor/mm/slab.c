/* SPDX-License-Identifier: MIT */
/*
 * slab.c - size classes: each page holds objects of one size behind a header, and knows which
 * are free. Pure: no lock, pages come from the caller.
 */
#include "mm/slab.h"

#define SLAB_MAGIC 0x51ab51abu

struct slab_page {
    struct list link;               /* in partial[], unless full */
    void *free;                     /* first word of a free object is the next one */
    uint32_t magic;
    uint16_t class, used;
};

#define HEADER_BYTES ROUND_UP(sizeof(struct slab_page), 16)

/* Multiples of 16; the upper ones divide what is left of a page without much loss. */
static const uint16_t class_size[SLAB_CLASSES] = {
    16, 32, 48, 64, 96, 128, 192, 256, 400, 576, 1008, 1344, SLAB_MAX
};

_Static_assert(HEADER_BYTES + 2 * SLAB_MAX <= PAGE_SIZE, "two of the largest fit");

static struct slab_page *page_of(const void *p)
{
    return (struct slab_page *)((uintptr_t)p & PAGE_MASK);
}

void slab_init(struct slab *s)
{
    for (unsigned int i = 0; i < SLAB_CLASSES; i++)
        list_init(&s->partial[i]);
    s->objects = s->bytes = 0;
}

unsigned int slab_class(size_t size)
{
    unsigned int c = 0;

    while (class_size[c] < size)
        c++;
    return c;
}

size_t slab_class_size(unsigned int class)
{
    return class_size[class];
}

void slab_add_page(struct slab *s, unsigned int class, void *page)
{
    struct slab_page *sp = page;
    size_t size = class_size[class];

    *sp = (struct slab_page){ .magic = SLAB_MAGIC, .class = (uint16_t)class };
    for (size_t off = HEADER_BYTES; off + size <= PAGE_SIZE; off += size) {
        void **object = (void **)((char *)page + off);
        *object = sp->free;
        sp->free = object;
    }
    list_push_front(&s->partial[class], &sp->link);
}

void *slab_alloc(struct slab *s, unsigned int class)
{
    struct slab_page *sp = list_first(&s->partial[class], struct slab_page, link);
    void **object;

    if (!sp)
        return NULL;
    object = sp->free;
    sp->free = *object;
    sp->used++;
    if (!sp->free)
        list_remove(&sp->link);
    s->objects++;
    s->bytes += class_size[class];
    return object;
}

void *slab_free(struct slab *s, void *p)
{
    struct slab_page *sp = page_of(p);
    bool was_full = !sp->free;

    *(void **)p = sp->free;
    sp->free = p;
    sp->used--;
    s->objects--;
    s->bytes -= class_size[sp->class];
    if (was_full)
        list_push_back(&s->partial[sp->class], &sp->link);
    if (sp->used)
        return NULL;
    list_remove(&sp->link);
    sp->magic = 0;
    return sp;
}

bool slab_owns(const void *p)
{
    const struct slab_page *sp = page_of(p);
    size_t off = (uintptr_t)p & ~PAGE_MASK;

    return sp->magic == SLAB_MAGIC && sp->class < SLAB_CLASSES && sp->used &&
           off >= HEADER_BYTES && (off - HEADER_BYTES) % class_size[sp->class] == 0;
}
