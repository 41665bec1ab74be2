/* SPDX-License-Identifier: MIT */
/*
 * heap.c - xmalloc and xfree: small objects from slab.c, larger ones as whole frames.
 *
 * A large object starts at a page boundary, small ones never do: so xfree() tells them apart.
 * The order of a large one is kept in its first frame's struct page (nr_validated).
 */
#include "mm/heap.h"

#include "dev/panic.h"
#include "lib/string.h"
#include "mm/buddy.h"
#include "mm/slab.h"
#include "overflow.h"
#include "spinlock.h"

static spinlock_t lock = SPINLOCK_INIT(LOCK_HEAP);
static struct slab slab;
static bool ready;
static uint64_t large_objects, large_bytes;     /* atomic */

static void *alloc_large(size_t size)
{
    unsigned int order = 0;
    mfn_t m;

    while (order < BUDDY_ORDERS && PAGE_SIZE << order < size)
        order++;
    m = frames_alloc(order, 0);
    if (!mfn_is_valid_value(m))
        return NULL;
    mfn_to_page(m)->nr_validated = (uint16_t)order;
    (void)atomic_add_return(&large_objects, 1);
    (void)atomic_add_return(&large_bytes, PAGE_SIZE << order);
    return mfn_to_virt(m);
}

static void free_large(void *p)
{
    struct page *pg = mfn_to_page(virt_to_mfn(p));
    unsigned int order = pg->nr_validated;

    pg->nr_validated = 0;
    (void)atomic_sub_return(&large_objects, 1);
    (void)atomic_sub_return(&large_bytes, PAGE_SIZE << order);
    frames_free(virt_to_mfn(p), order);
}

void *xmalloc_bytes(size_t size)
{
    unsigned int class;
    void *p, *page;

    if (!size)
        size = 1;
    if (size > SLAB_MAX)
        return alloc_large(size);
    class = slab_class(size);
    spin_lock(&lock);
    if (!ready) {
        slab_init(&slab);
        ready = true;
    }
    p = slab_alloc(&slab, class);
    if (!p && (page = page_alloc_zeroed())) {
        slab_add_page(&slab, class, page);
        p = slab_alloc(&slab, class);
    }
    spin_unlock(&lock);
    return p;
}

void *xzalloc_bytes(size_t size)
{
    void *p = xmalloc_bytes(size);

    if (p)
        memset(p, 0, size);
    return p;
}

void *xzalloc_array_bytes(size_t n, size_t size)
{
    size_t total;

    return mul_overflows(n, size, &total) ? NULL : xzalloc_bytes(total);
}

void xfree(void *p)
{
    void *page;

    if (!p)
        return;
    if (!((uintptr_t)p & ~PAGE_MASK)) {
        free_large(p);
        return;
    }
    spin_lock(&lock);
    ASSERT(slab_owns(p));
    page = slab_free(&slab, p);
    if (page)
        page_free(page);
    spin_unlock(&lock);
}

uint64_t heap_objects(void)
{
    return READ_ONCE(slab.objects) + load_relaxed(&large_objects);
}

uint64_t heap_bytes(void)
{
    return READ_ONCE(slab.bytes) + load_relaxed(&large_bytes);
}
