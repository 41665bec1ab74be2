/* SPDX-License-Identifier: MIT */
/*
 * mem.c - pages (buddy allocator over the direct map) and small objects (slabs of one size).
 *
 * Free blocks are linked through their own first bytes. Larger objects are runs of pages; what
 * does not fit in one run of 2^MAX_ORDER pages is mapped together in the window area.
 */
#include "runtime/mem.h"
#include "lib/list.h"
#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/p2m.h"
#include "runtime/pagetable.h"

#define MAX_ORDER   10u
#define GROW_BELOW  64u             /* free pages at which more is asked for */
#define GROW_BY     512u
#define TRIM_ORDER  4u              /* smallest free block that is worth giving back */
#define SLAB_HEADER 64u

enum page_state { PG_NONE, PG_FREE, PG_USED, PG_SLAB };

/* One per pseudo-physical page. */
struct page_info {
    uint8_t state;                  /* of the first page of a block; PG_SLAB of every page */
    uint8_t order;                  /* PG_FREE: of the block */
    uint16_t offset;                /* PG_SLAB: pages back to the slab's first */
    uint32_t count;                 /* PG_USED by malloc: pages of the run */
};
_Static_assert(sizeof(struct page_info) == MEM_INFO_SIZE, "as start.c reserves it");

struct slab {
    struct list link;               /* its class's list, while it has free objects */
    void *free;                     /* free objects, linked through their first bytes */
    uint16_t used, total, class;
};

struct area {                       /* pages mapped together in the window */
    struct list link;
    void *va;
    size_t pages, bytes;
};

static struct page_info *info;
static size_t limit, total_pages, free_pages;
static struct list free_list[MAX_ORDER + 1];

static const uint16_t class_size[] = { 16,  32,  48,  64,  96,  128,  192,
                                       256, 384, 512, 768, 1024, 1344, 2016 };
#define CLASSES ARRAY_SIZE(class_size)
static struct list slabs[CLASSES];
static struct list areas = LIST_INIT(areas);
static size_t heap_bytes, heap_objects;
static bool growing;
static uint64_t grown_from;         /* pages from here on came later; 0: none did */
static uint64_t hole_hint;          /* no page below it (and above grown_from) is without frame */
static void (*grown)(void);

/* Pages. */

static struct list *block_at(uint64_t n)
{
    return pfn_to_virt(pfn(n));
}

static void block_put(uint64_t n, unsigned int order)
{
    info[n].state = PG_FREE;
    info[n].order = (uint8_t)order;
    list_push_front(&free_list[order], block_at(n));
}

/* Gives a block back, joined with its free neighbours. */
static void block_free(uint64_t n, unsigned int order)
{
    free_pages += 1UL << order;
    while (order < MAX_ORDER) {
        uint64_t buddy = n ^ (1UL << order);

        if (buddy >= limit || info[buddy].state != PG_FREE || info[buddy].order != order)
            break;
        list_remove(block_at(buddy));
        info[buddy].state = PG_NONE;
        n = MIN(n, buddy);
        order++;
    }
    block_put(n, order);
}

/* Frees a run of pages as the largest aligned blocks. */
static void run_free(uint64_t n, uint64_t end)
{
    while (n < end) {
        unsigned int order = n ? (unsigned int)__builtin_ctzl(n) : MAX_ORDER;

        order = MIN(order, MAX_ORDER);
        while (n + (1UL << order) > end)
            order--;
        block_free(n, order);
        n += 1UL << order;
    }
}

static void *block_alloc(unsigned int order)
{
    unsigned int have = order;
    uint64_t n;

    while (have <= MAX_ORDER && list_empty(&free_list[have]))
        have++;
    if (have > MAX_ORDER)
        return NULL;
    n = virt_to_pfn(free_list[have].next).v;
    list_remove(block_at(n));
    while (have > order) {
        have--;
        block_put(n + (1UL << have), have);
    }
    info[n].state = PG_USED;
    info[n].count = 0;
    free_pages -= 1UL << order;
    return pfn_to_virt(pfn(n));
}

void *pages_alloc(unsigned int order)
{
    void *p;

    if (order > MAX_ORDER)
        return NULL;
    if (free_pages < GROW_BELOW + (1UL << order))
        (void)mem_grow(GROW_BY + (1UL << order));
    p = block_alloc(order);
    if (!p && mem_grow(2UL << order))
        p = block_alloc(order);
    return p;
}

void pages_free(void *p, unsigned int order)
{
    uint64_t n;

    if (!p)
        return;
    n = virt_to_pfn(p).v;
    BUG_ON(n >= limit || info[n].state != PG_USED);
    info[n].state = PG_NONE;
    block_free(n, order);
}

void *page_alloc(void)
{
    return pages_alloc(0);
}

void *page_alloc_zeroed(void)
{
    void *p = pages_alloc(0);

    if (p)
        memset(p, 0, PAGE_SIZE);
    return p;
}

void page_free(void *p)
{
    pages_free(p, 0);
}

/* More memory from the hypervisor: first where pages were given back, then at the end. */

/* The next run of pages without frames, at most `most` long: its first page; *n is its length. */
static uint64_t find_holes(size_t most, size_t *n)
{
    uint64_t first = MAX(hole_hint, grown_from), end;

    while (first < p2m_pages() && mfn_is_valid_value(pfn_to_mfn(pfn(first))))
        first++;
    hole_hint = first;
    end = first;
    while (end < limit && end - first < most &&
           (end >= p2m_pages() || !mfn_is_valid_value(pfn_to_mfn(pfn(end)))))
        end++;
    *n = end - first;
    return first;
}

static size_t grow_batch(size_t want)
{
    uint64_t frames[64], first;
    size_t n;
    struct xen_memory_reservation r = { .domid = DOMID_SELF };
    long got;

    if (!grown_from)
        grown_from = p2m_pages();
    first = find_holes(MIN(want, ARRAY_SIZE(frames)), &n);
    for (size_t i = 0; i < n; i++)
        frames[i] = first + i;
    if (!n)
        return 0;
    set_xen_guest_handle(r.extent_start, (xen_pfn_t *)frames);
    r.nr_extents = n;
    got = hc_memory_op(XENMEM_populate_physmap, &r);
    if (got <= 0)
        return 0;
    for (long i = 0; i < got; i++)
        p2m_set(first + (uint64_t)i, mfn(frames[i]));
    if (direct_map_extend(first, first + (uint64_t)got))
        return 0;                   /* no table for them: they stay unused */
    mem_add(first, first + (uint64_t)got);
    return (size_t)got;
}

size_t mem_grow(size_t pages)
{
    size_t got = 0, step;

    if (growing)
        return 0;
    growing = true;
    while (got < pages && (step = grow_batch(pages - got)) != 0)
        got += step;
    growing = false;
    if (got && grown)
        grown();
    return got;
}

void mem_on_grow(void (*fn)(void))
{
    grown = fn;
}

/* Gives free pages [first, first + n) back to the hypervisor. */
static void give_back(uint64_t first, size_t n)
{
    while (n) {
        uint64_t frames[64];
        size_t k = MIN(n, ARRAY_SIZE(frames));
        struct xen_memory_reservation r = { .domid = DOMID_SELF, .nr_extents = k };

        for (size_t i = 0; i < k; i++)
            frames[i] = pfn_to_mfn(pfn(first + i)).v;
        direct_map_drop(first, first + k);
        for (size_t i = 0; i < k; i++)
            p2m_set(first + i, MFN_INVALID);
        set_xen_guest_handle(r.extent_start, (xen_pfn_t *)frames);
        BUG_ON(hc_memory_op(XENMEM_decrease_reservation, &r) != (long)k);
        hole_hint = MIN(hole_hint, first);
        first += k;
        n -= k;
    }
}

size_t mem_give_back(size_t keep)
{
    size_t given = 0;

    if (!grown_from)
        return 0;
    for (unsigned int order = MAX_ORDER; order >= TRIM_ORDER; order--) {
        struct list *l = free_list[order].next, *next;

        for (; l != &free_list[order]; l = next) {
            uint64_t n = virt_to_pfn(l).v;

            next = l->next;
            if (n < grown_from || free_pages < keep + (1UL << order))
                continue;
            list_remove(l);
            info[n].state = PG_NONE;
            free_pages -= 1UL << order;
            total_pages -= 1UL << order;
            give_back(n, 1UL << order);
            given += 1UL << order;
        }
    }
    return given;
}

void mem_add(uint64_t first, uint64_t end)
{
    total_pages += end - first;
    run_free(first, end);
}

void mem_begin(void *info_array, size_t pages)
{
    info = info_array;
    limit = pages;
    for (unsigned int i = 0; i <= MAX_ORDER; i++)
        list_init(&free_list[i]);
    for (unsigned int i = 0; i < CLASSES; i++)
        list_init(&slabs[i]);
}

void mem_get_stats(struct mem_stats *s)
{
    s->pages_total = total_pages;
    s->pages_free = free_pages;
    s->pages_limit = limit;
    s->heap_bytes = heap_bytes;
    s->heap_objects = heap_objects;
}

/* Small objects. */

static unsigned int class_of(size_t n)
{
    unsigned int c = 0;

    while (class_size[c] < n)
        c++;
    return c;
}

/* Small objects share single pages, the larger ones runs of four. */
static unsigned int slab_order(unsigned int class)
{
    return class_size[class] <= 512 ? 0 : 2;
}

static struct slab *slab_new(unsigned int class)
{
    unsigned int order = slab_order(class);
    size_t size = class_size[class], bytes = PAGE_SIZE << order;
    struct slab *s = pages_alloc(order);
    char *p = (char *)s + SLAB_HEADER;
    uint64_t n;

    if (!s)
        return NULL;
    n = virt_to_pfn(s).v;
    for (unsigned int i = 0; i < 1u << order; i++) {
        info[n + i].state = PG_SLAB;
        info[n + i].offset = (uint16_t)i;
    }
    s->free = NULL;
    s->used = 0;
    s->class = (uint16_t)class;
    s->total = (uint16_t)((bytes - SLAB_HEADER) / size);
    for (unsigned int i = 0; i < s->total; i++, p += size) {
        *(void **)(void *)p = s->free;
        s->free = p;
    }
    list_push_front(&slabs[class], &s->link);
    return s;
}

static void slab_delete(struct slab *s)
{
    uint64_t n = virt_to_pfn(s).v;
    unsigned int order = slab_order(s->class);

    list_remove(&s->link);
    for (unsigned int i = 0; i < 1u << order; i++)
        info[n + i].state = PG_NONE;
    block_free(n, order);
}

static void *slab_alloc(unsigned int class)
{
    struct slab *s = list_first(&slabs[class], struct slab, link);
    void *p;

    if (!s)
        s = slab_new(class);
    if (!s)
        return NULL;
    p = s->free;
    s->free = *(void **)p;
    if (++s->used == s->total)
        list_remove(&s->link);
    heap_bytes += class_size[class];
    heap_objects++;
    return p;
}

static void slab_free(struct slab *s, void *p)
{
    BUG_ON(!s->used || ((char *)p - (char *)s - SLAB_HEADER) % class_size[s->class]);
    if (s->used == s->total)
        list_push_front(&slabs[s->class], &s->link);
    *(void **)p = s->free;
    s->free = p;
    heap_bytes -= class_size[s->class];
    heap_objects--;
    /* The last slab of a class stays, or one object coming and going would make and unmake it. */
    if (--s->used == 0 && (slabs[s->class].next != &s->link || slabs[s->class].prev != &s->link))
        slab_delete(s);
}

/* Runs of pages, and areas. */

static void *run_alloc(size_t bytes)
{
    size_t pages = (bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;
    unsigned int order = 0;
    uint64_t n;
    void *p;

    while (1UL << order < pages)
        order++;
    p = pages_alloc(order);
    if (!p)
        return NULL;
    n = virt_to_pfn(p).v;
    info[n].count = (uint32_t)pages;
    run_free(n + pages, n + (1UL << order));
    heap_bytes += pages << PAGE_SHIFT;
    heap_objects++;
    return p;
}

static void area_free_pages(struct area *a, size_t n)
{
    for (size_t done = 0; done < n;) {
        char *at = (char *)a->va + (done << PAGE_SHIFT);
        size_t some = MIN(n - done, (size_t)64);
        pfn_t page[64];

        for (size_t i = 0; i < some; i++)
            page[i] = virt_to_pfn(at + (i << PAGE_SHIFT));
        unmap_at(at, some);
        for (size_t i = 0; i < some; i++)
            page_free(pfn_to_virt(page[i]));
        done += some;
    }
    va_free(a->va, a->pages);
}

static void *area_alloc(size_t bytes)
{
    struct area *a = malloc(sizeof(*a));
    size_t done = 0;

    if (!a)
        return NULL;
    a->pages = (bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;
    a->va = va_alloc(a->pages);
    if (!a->va) {
        free(a);
        return NULL;
    }
    while (done < a->pages) {
        mfn_t frames[64];
        size_t n = 0;

        while (n < ARRAY_SIZE(frames) && done + n < a->pages) {
            void *p = page_alloc();

            if (!p)
                break;
            frames[n++] = virt_to_mfn(p);
        }
        if (n && map_at((char *)a->va + (done << PAGE_SHIFT), DOMID_SELF, frames, n, MAP_RW, NULL))
            panic("cannot map own memory");
        done += n;
        if (!n) {
            area_free_pages(a, done);
            free(a);
            return NULL;
        }
    }
    list_push_front(&areas, &a->link);
    heap_bytes += a->pages << PAGE_SHIFT;
    heap_objects++;
    return a->va;
}

static struct area *area_of(const void *p)
{
    struct area *a;

    list_for_each(a, &areas, link) {
        if (a->va == p)
            return a;
    }
    return NULL;
}

static bool is_area(const void *p)
{
    return (uint64_t)p >= WINDOW_MAP && (uint64_t)p < WINDOW_END;
}

void *malloc(size_t n)
{
    void *p = NULL;

    if (n <= class_size[CLASSES - 1])
        return slab_alloc(class_of(n));
    if (n > 1UL << 40)
        return NULL;
    if (n <= PAGE_SIZE << MAX_ORDER)
        p = run_alloc(n);
    return p ? p : area_alloc(n);
}

void free(void *p)
{
    struct page_info *i;
    uint64_t n;

    if (!p)
        return;
    if (is_area(p)) {
        struct area *a = area_of(p);

        BUG_ON(!a);
        list_remove(&a->link);
        heap_bytes -= a->pages << PAGE_SHIFT;
        heap_objects--;
        area_free_pages(a, a->pages);
        free(a);
        return;
    }
    n = virt_to_pfn(p).v;
    BUG_ON(n >= limit);
    i = &info[n];
    if (i->state == PG_SLAB) {
        slab_free(pfn_to_virt(pfn(n - i->offset)), p);
        return;
    }
    BUG_ON(i->state != PG_USED || !i->count || (uint64_t)p % PAGE_SIZE);
    i->state = PG_NONE;
    heap_bytes -= (size_t)i->count << PAGE_SHIFT;
    heap_objects--;
    run_free(n, n + i->count);
}

/* Bytes that fit at p. */
static size_t usable_size(void *p)
{
    struct page_info *i;
    uint64_t n;

    if (is_area(p))
        return area_of(p)->pages << PAGE_SHIFT;
    n = virt_to_pfn(p).v;
    i = &info[n];
    if (i->state == PG_SLAB)
        return class_size[((struct slab *)pfn_to_virt(pfn(n - i->offset)))->class];
    return (size_t)i->count << PAGE_SHIFT;
}

void *realloc(void *p, size_t n)
{
    size_t have;
    void *q;

    if (!p)
        return malloc(n);
    have = usable_size(p);
    if (n <= have && (n >= have / 2 || have <= 64))
        return p;
    q = malloc(n);
    if (!q)
        return n <= have ? p : NULL;
    memcpy(q, p, MIN(n, have));
    free(p);
    return q;
}

void *calloc(size_t n, size_t size)
{
    size_t bytes;
    void *p;

    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    p = malloc(bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}

char *strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = malloc(n);

    return p ? memcpy(p, s, n) : NULL;
}
