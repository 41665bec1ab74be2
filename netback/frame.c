/* SPDX-License-Identifier: MIT */
/* frame.c - frames in dom0 memory; see frame.h. */
#include "netback/frame.h"
#include "netback/rxpool.h"
#include "lib/string.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"

#define PER_PAGE     (PAGE_SIZE / sizeof(struct mem_frame))
#define PAGES_KEPT   128        /* free pages for fragments */

static struct list free_frames = LIST_INIT(free_frames);
static unsigned int nr_made, nr_free;
static void *free_pages[PAGES_KEPT];
static unsigned int nr_free_pages;

static void *page_get(void)
{
    return nr_free_pages ? free_pages[--nr_free_pages] : page_alloc();
}

static void page_put(void *p)
{
    if (nr_free_pages < PAGES_KEPT)
        free_pages[nr_free_pages++] = p;
    else
        page_free(p);
}

/* Head lies in `buf` again. */
static void *page_off(struct mem_frame *m)
{
    void *page = m->page;

    m->page = NULL;
    m->f.head_mfn = virt_to_mfn(m->buf);
    return page;
}

void frame_free(struct frame *f)
{
    struct mem_frame *m = mem_frame_of(f);

    if (m->page)
        page_put(page_off(m));
    for (unsigned int i = 0; i < f->nr_frags; i++)
        page_put(f->frags[i].va);
    f->nr_frags = 0;
    list_push_front(&free_frames, &f->link);
    nr_free++;
}

/* Makes a page full of frame structs, with a page of memory for each two of them. */
static void grow(void)
{
    struct mem_frame *m;

    if (nr_made + PER_PAGE > FRAMES_MAX)
        return;
    m = page_alloc_zeroed();
    if (!m)
        return;
    for (unsigned int i = 0; i + 1 < PER_PAGE; i += 2) {
        uint8_t *buf = page_alloc();

        if (!buf && !i)
            page_free(m);
        if (!buf)
            return;             /* what is not in the list stays unused */
        m[i].buf = buf;
        m[i + 1].buf = buf + FRAME_ROOM;
        m[i].f.head_mfn = m[i + 1].f.head_mfn = virt_to_mfn(buf);
        list_push_back(&free_frames, &m[i].f.link);
        list_push_back(&free_frames, &m[i + 1].f.link);
        nr_made += 2;
        nr_free += 2;
    }
}

struct frame *frame_new(struct port *from)
{
    struct frame *f;

    if (list_empty(&free_frames)) {
        grow();
        if (list_empty(&free_frames))
            return NULL;
    }
    f = list_first(&free_frames, struct frame, link);
    list_remove(&f->link);
    nr_free--;
    f->from = from;
    f->done = frame_free;
    f->head = mem_frame_of(f)->buf;
    f->head_len = 0;
    f->len = 0;
    f->gso = GSO_NONE;
    f->gso_size = 0;
    f->flags = 0;
    f->nr_frags = 0;
    f->failed = 0;
    f->refs = 1;
    return f;
}

struct frame *frame_new_page(struct port *from)
{
    struct frame *f = frame_new(from);
    void *page = f ? page_get() : NULL;

    if (page) {
        mem_frame_of(f)->page = page;
        f->head = page;
        f->head_mfn = virt_to_mfn(page);
    } else if (f) {
        frame_put(f);
    }
    return page ? f : NULL;
}

bool frame_take_page(struct frame *f, struct frame *next, unsigned int len)
{
    bool copy = next->done != frame_free;
    void *page = copy ? page_get() : page_off(mem_frame_of(next));

    if (!page)
        return false;
    if (copy)
        memcpy(page, next->head, len);
    f->frags[f->nr_frags++] = (struct frag){ .kind = FRAG_MEM, .len = (uint16_t)len, .va = page };
    f->len = (uint16_t)(f->len + len);
    frame_put(next);
    return true;
}

bool frame_is_mine(const struct frame *f)
{
    return (f->done == frame_free || rx_frame_is(f)) && f->refs == 1 && frame_is_flat(f);
}

bool frame_is_copy(const struct frame *f)
{
    return f->done == frame_free && !f->nr_frags;
}

struct frame *frame_new_big(struct port *from, unsigned int bytes)
{
    struct frame *f = frame_new(from);

    if (!f)
        return NULL;
    f->len = (uint16_t)bytes;
    f->head_len = (uint16_t)MIN(bytes, (unsigned int)FRAME_ROOM);
    bytes -= f->head_len;
    while (bytes) {
        void *page = page_get();
        unsigned int n = MIN(bytes, (unsigned int)PAGE_SIZE);

        if (!page) {
            frame_put(f);
            return NULL;
        }
        f->frags[f->nr_frags++] = (struct frag){ .kind = FRAG_MEM, .len = (uint16_t)n, .va = page };
        bytes -= n;
    }
    return f;
}

void frame_counts(unsigned int *made, unsigned int *used)
{
    *made = nr_made;
    *used = nr_made - nr_free;
}
