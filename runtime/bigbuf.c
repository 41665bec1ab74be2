/* SPDX-License-Identifier: MIT */
/* bigbuf.c - memory for large files, in pieces (see bigbuf.h). */
#include "runtime/bigbuf.h"
#include "lib/list.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"

#define STEP       64u      /* pages that are mapped or unmapped together */
#define FREE_TURN  512u     /* pages that are freed in a turn */
#define KEEP_PAGES 512u     /* free ones that do not go back to the hypervisor */

struct bigbuf {
    char *va;
    size_t pages, mapped;
    struct work work;       /* freeing */
};

struct bigbuf *bigbuf_new(size_t bytes)
{
    struct bigbuf *b = calloc(1, sizeof(*b));

    if (!b)
        return NULL;
    b->pages = MAX(DIV_ROUND_UP(bytes, PAGE_SIZE), 1UL);
    b->va = va_alloc(b->pages);
    if (!b->va) {
        free(b);
        return NULL;
    }
    return b;
}

void *bigbuf_data(struct bigbuf *b)
{
    return b->va;
}

static bool map_step(struct bigbuf *b)
{
    size_t want = MIN((size_t)STEP, b->pages - b->mapped), n = 0;
    mfn_t frames[STEP];

    while (n < want) {
        void *p = page_alloc();

        if (!p)
            break;
        frames[n++] = virt_to_mfn(p);
    }
    if (n && map_at(b->va + (b->mapped << PAGE_SHIFT), DOMID_SELF, frames, n, MAP_RW, NULL))
        panic("cannot map own memory");
    b->mapped += n;
    return n == want;
}

bool bigbuf_reach(struct bigbuf *b, size_t bytes)
{
    while (b->mapped << PAGE_SHIFT < bytes)
        if (b->mapped == b->pages || !map_step(b))
            return b->mapped << PAGE_SHIFT >= bytes;
    return true;
}

static void unmap_step(struct bigbuf *b)
{
    size_t n = MIN((size_t)STEP, b->mapped);
    char *at = b->va + ((b->mapped - n) << PAGE_SHIFT);
    pfn_t page[STEP];

    for (size_t i = 0; i < n; i++)
        page[i] = virt_to_pfn(at + (i << PAGE_SHIFT));
    unmap_at(at, n);
    for (size_t i = 0; i < n; i++)
        page_free(pfn_to_virt(page[i]));
    b->mapped -= n;
}

/* What dom0 grew by goes back, so much in a turn. False: nothing more. */
static bool give_back(void)
{
    struct mem_stats s;

    mem_get_stats(&s);
    return mem_give_back(s.pages_free > KEEP_PAGES + FREE_TURN ? s.pages_free - FREE_TURN
                                                               : KEEP_PAGES) != 0;
}

static void free_some(struct work *w)
{
    struct bigbuf *b = container_of(w, struct bigbuf, work);

    for (unsigned int i = 0; i < FREE_TURN / STEP && b->mapped; i++)
        unmap_step(b);
    if (b->mapped || give_back()) {
        work_queue(w);
        return;
    }
    va_free(b->va, b->pages);
    free(b);
}

void bigbuf_free(struct bigbuf *b)
{
    if (!b)
        return;
    work_init(&b->work, free_some);
    work_queue(&b->work);
}
