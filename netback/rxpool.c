/* SPDX-License-Identifier: MIT */
/* rxpool.c - frames in pages that are exchanged with guests' pages; see rxpool.h. */
#include "netback/rxpool.h"
#include "netback/exchange.h"
#include "netback/frame.h"
#include "atomic.h"
#include "lib/string.h"
#include "runtime/grant.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/p2m.h"
#include "runtime/pagetable.h"
#include "runtime/start.h"

#define ORDER 8
#define PAGES (1u << ORDER)         /* a flip window */

struct rx_frame {
    struct frame f;
    uint8_t *page;
    grant_ref_t ref;
    bool offered;
    struct grant_entry_v1 *entry;
    struct list more;           /* the frames that are its fragments, in their order */
};

static struct list free_frames = LIST_INIT(free_frames);
static uint32_t flip_min;
static unsigned int dirty = FRAME_ROOM;    /* bytes of a page that cards may have written to */

static struct rx_frame *rx_frame_of(struct frame *f)
{
    return container_of(f, struct rx_frame, f);
}

void rx_frame_done(struct frame *f)
{
    struct rx_frame *r = rx_frame_of(f);

    while (f->nr_frags) {
        struct frame *piece = list_first(&r->more, struct frame, link);

        f->nr_frags--;
        list_remove(&piece->link);
        frame_put(piece);
    }
    list_push_front(&free_frames, &f->link);
    if (!r->offered)
        return;
    r->offered = false;
    if (load_acquire(&r->entry->flags)) {
        WRITE_ONCE(r->entry->flags, 0);     /* it was refused; nobody but us could take it meanwhile */
        return;
    }
    f->head_mfn = mfn(r->entry->frame);
    p2m_change(virt_to_pfn(r->page).v, f->head_mfn);
}

static void add(uint8_t *pages, struct rx_frame *frames, grant_ref_t first, struct grant_entry_v1 *entry)
{
    for (unsigned int i = 0; i < PAGES; i++) {
        struct rx_frame *r = &frames[i];

        r->page = pages + i * PAGE_SIZE;
        r->ref = first + i;
        r->entry = &entry[i];
        r->f.head_mfn = virt_to_mfn(r->page);
        r->f.done = rx_frame_done;
        list_init(&r->more);
        r->entry->domid = 0;            /* ourselves */
        r->entry->frame = (uint32_t)r->f.head_mfn.v;
        list_push_back(&free_frames, &r->f.link);
    }
}

void rx_pool_add(unsigned int room)
{
    struct sluice_flip_window w = { .slots = PAGES };
    struct grant_entry_v1 *entry;
    struct rx_frame *frames;
    uint8_t *pages;
    long rc;

    flip_min = (uint32_t)cmdline_get_u64("rx_flip_min", RX_FLIP_MIN);
    if (!exchange_offered() || flip_min > FRAME_ROOM)
        return;
    dirty = MAX(dirty, room);
    flip_min += (dirty - FRAME_ROOM) / 2;
    frames = calloc(PAGES, sizeof(*frames));
    pages = pages_alloc(ORDER);
    w.first_ref = grant_range(PAGES, &entry);
    if (!frames || !pages || w.first_ref == GRANT_NONE) {
        log_warn("no pages to flip from the wire");
        goto free;
    }
    memset(pages, 0, PAGES * PAGE_SIZE);
    w.va = (uintptr_t)pages;
    rc = hc_flip(SLUICE_FLIP_register, &w, 1);
    if (!rc) {
        add(pages, frames, w.first_ref, entry);
        return;
    }
    log_warn("no flip window for frames from the wire: %ld", rc);
free:
    free(frames);
    pages_free(pages, ORDER);
}

struct frame *rx_frame_new(struct port *from, unsigned int room)
{
    struct frame *f = list_first(&free_frames, struct frame, link);

    if (!f)
        return room > FRAME_ROOM ? frame_new_page(from) : frame_new(from);
    list_remove(&f->link);
    f->from = from;
    f->head = rx_frame_of(f)->page;
    f->head_len = f->len = 0;
    f->gso = GSO_NONE;
    f->gso_size = 0;
    f->flags = FRAME_FLIP;
    f->nr_frags = 0;
    f->failed = 0;
    f->refs = 1;
    return f;
}

bool rx_frame_join(struct frame *f, struct frame *next, unsigned int len)
{
    struct frag *g = &f->frags[f->nr_frags];

    if (!rx_frame_is(f))
        return frame_take_page(f, next, len);
    next->head_len = next->len = (uint16_t)len;
    *g = (struct frag){ .kind = FRAG_MEM, .len = (uint16_t)len, .va = next->head };
    list_push_back(&rx_frame_of(f)->more, &next->link);
    f->nr_frags++;
    f->len = (uint16_t)(f->len + len);
    return true;
}

struct frame *rx_frame_next(struct frame *f, struct frame *piece)
{
    return piece == f ? list_first(&rx_frame_of(f)->more, struct frame, link)
                      : list_entry(piece->link.next, struct frame, link);
}

bool rx_piece_flips(const struct frame *piece)
{
    return rx_frame_is(piece) && piece->head_len >= flip_min;
}

grant_ref_t rx_piece_offer(struct frame *piece, unsigned int at, uint16_t *offset)
{
    struct rx_frame *r = rx_frame_of(piece);
    unsigned int head = (unsigned int)(piece->head - r->page), end = head + piece->head_len;
    unsigned int word = MIN(ROUND_UP(end, 8u), dirty);

    memset(r->page + end, 0, word - end);
    memset(r->page + word, 0, dirty - word);
    *offset = (uint16_t)(head + at);
    r->offered = true;
    store_release(&r->entry->flags, (uint16_t)(GTF_permit_access | SLUICE_GTF_flip));
    return r->ref;
}
