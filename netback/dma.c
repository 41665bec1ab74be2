/* SPDX-License-Identifier: MIT */
/* dma.c - guests' pages under a NIC's DMA; see dma.h. */
#include "netback/dma.h"
#include "netback/bridge.h"
#include "netback/shape.h"
#include "lib/string.h"
#include "runtime/start.h"

static struct grant_pin pins[GRANT_PINS_MAX];
static struct {
    struct mem_frame *m;
    unsigned int frag;
} who[GRANT_PINS_MAX];                              /* wants pins[i] */
static uint32_t nr_pins;
static struct list released = LIST_INIT(released);  /* done, still pinned */
static uint32_t dma_min;

void dma_init(void)
{
    dma_min = (uint32_t)MIN(cmdline_get_u64("dma_min", DMA_MIN), (uint64_t)FRAME_LEN_MAX + 1);
}

bool dma_suits(const struct port *to, const struct frame *f)
{
    return (to->caps & PORT_DMA) && f->nr_frags && f->frags[0].kind == FRAG_GRANT &&
           (uint32_t)(f->len - f->head_len) >= dma_min * f->nr_frags && shape_fits(to->caps | PORT_GRANT, f);
}

/* The device needs it no more: unpinned by the next dma_release(). */
static void dma_done(struct frame *f)
{
    list_push_back(&released, &f->link);
    bridge_flush_later();
}

void dma_settle(void)
{
    uint32_t n = nr_pins;

    if (!n)
        return;
    nr_pins = 0;
    grant_pin(pins, n);
    for (uint32_t i = 0; i < n; i++) {
        struct mem_frame *m = who[i].m;

        m->handle[who[i].frag] = pins[i].handle;
        m->f.frags[who[i].frag].maddr += pins[i].maddr;
        if (unlikely(pins[i].handle == GRANT_UNPINNED))
            m->f.failed = 1;
    }
}

static void pin(struct mem_frame *m, unsigned int frag, const struct frag *g)
{
    if (nr_pins == GRANT_PINS_MAX)
        dma_settle();
    m->f.frags[frag] = (struct frag){ .kind = FRAG_DMA, .len = g->len, .maddr = g->offset };
    who[nr_pins].m = m;
    who[nr_pins].frag = frag;
    pins[nr_pins++] = (struct grant_pin){ .dom = g->dom, .ref = g->ref, .flags = GRANT_READONLY };
}

bool dma_add(struct frame *f, struct port *to, bool may_wait, struct list *list)
{
    struct frame *nf = frame_share_used(f->from, 1) ? NULL : frame_new(f->from);
    struct mem_frame *m;

    if (!nf)
        return false;
    m = mem_frame_of(nf);
    memcpy(nf->head, f->head, f->head_len);
    nf->head_len = f->head_len;
    nf->len = f->len;
    nf->gso = f->gso;
    nf->gso_size = f->gso_size;
    nf->flags = f->flags;
    nf->nr_frags = f->nr_frags;
    nf->done = dma_done;
    frame_shaping(m, to);
    m->way = WAY_DMA;
    m->may_wait = may_wait;
    m->source = f;
    frame_get(f);
    for (unsigned int i = 0; i < f->nr_frags; i++)
        pin(m, i, &f->frags[i]);
    list_push_back(list, &nf->link);
    return true;
}

/* Appends the pins of a frame; returns how many there are then. */
static uint32_t add_pins(struct grant_pin *unpins, uint32_t n, const struct mem_frame *m)
{
    for (unsigned int i = 0; i < m->f.nr_frags; i++) {
        if (m->handle[i] != GRANT_UNPINNED)
            unpins[n++] = (struct grant_pin){ .handle = m->handle[i],
                                              .maddr = m->f.frags[i].maddr & ~(paddr_t)(PAGE_SIZE - 1) };
    }
    return n;
}

struct frame *dma_give_up(struct mem_frame *m)
{
    struct grant_pin unpins[FRAME_FRAGS_MAX];
    struct frame *source = m->source;

    grant_unpin(unpins, add_pins(unpins, 0, m));
    m->f.nr_frags = 0;
    frame_free(&m->f);
    return source;
}

void dma_release(void)
{
    struct grant_pin unpins[GRANT_PINS_MAX];
    struct frame *f;

    while (!list_empty(&released)) {
        struct list batch = LIST_INIT(batch);
        uint32_t n = 0;

        while ((f = list_first(&released, struct frame, link)) != NULL &&
               n + f->nr_frags <= GRANT_PINS_MAX) {
            n = add_pins(unpins, n, mem_frame_of(f));
            list_remove(&f->link);
            list_push_back(&batch, &f->link);
        }
        grant_unpin(unpins, n);
        while ((f = list_first(&batch, struct frame, link)) != NULL) {
            struct frame *source = mem_frame_of(f)->source;

            list_remove(&f->link);
            f->nr_frags = 0;
            frame_free(f);
            frame_put(source);
        }
    }
}
