/* SPDX-License-Identifier: MIT */
/*
 * ring.c - requests of a vbd on its ring, and their answers.
 *
 * A request's pages are granted while it is on the ring. It is answered to the user only when the
 * grants are back, so that the backend cannot touch memory that the user believes to be its own.
 */
#include "blkfront/internal.h"

#define STUCK_NS (10 * NS_PER_MS)

/* ------------------------------------------------------------------ grants */

/* Takes back what can be; true when that is all. */
static bool slot_take_back(struct slot *s)
{
    while (s->nr_refs && grant_end(s->ref[s->nr_refs - 1]))
        s->nr_refs--;
    if (s->list_ref && grant_end(s->list_ref))
        s->list_ref = GRANT_NONE;
    return !s->nr_refs && !s->list_ref;
}

/* Grants the pages of r and describes them in seg[]; false: no references left. */
static bool slot_grant(struct blkfront *b, struct slot *s, const struct blkfront_req *r,
                       struct blkif_request_segment *seg)
{
    const char *at = r->data, *end = at + (r->sectors << 9);
    unsigned int flags = r->op == BLKFRONT_WRITE ? GRANT_READONLY : 0;

    for (uint32_t n = 0; at < end; n++) {
        uint32_t off = (uint32_t)((uintptr_t)at & (PAGE_SIZE - 1));
        uint32_t bytes = (uint32_t)MIN((uint64_t)(end - at), PAGE_SIZE - off);
        grant_ref_t ref = grant_offer(b->dev.peer_dom, glue_frame(at - off), flags);

        if (ref == GRANT_NONE)
            return false;
        s->ref[s->nr_refs++] = ref;
        seg[n] = (struct blkif_request_segment){
            .gref = ref, .first_sect = (uint8_t)(off >> 9), .last_sect = (uint8_t)((off + bytes - 1) >> 9),
        };
        at += bytes;
    }
    return true;
}

/* ------------------------------------------------------------------ making it */

static int offer_ring(struct blkfront *b)
{
    for (uint32_t i = 0; i < 1u << b->order; i++) {
        b->ring_ref[i] = grant_offer(b->dev.peer_dom, glue_frame((char *)b->ring + i * PAGE_SIZE), 0);
        if (b->ring_ref[i] == GRANT_NONE)
            return -XEN_ENOSPC;
    }
    return 0;
}

int ring_make(struct blkfront *b)
{
    b->ring = glue_pages(b->order);
    b->size = __RD32((((unsigned int)PAGE_SIZE << b->order) - offsetof(struct blkif_sring, ring)) /
                     sizeof(b->ring->ring[0]));
    b->slot = calloc(b->size, sizeof(*b->slot));
    b->free = calloc(b->size, sizeof(*b->free));
    if (!b->ring || !b->slot || !b->free)
        return -XEN_ENOMEM;
    memset(b->ring, 0, PAGE_SIZE << b->order);
    b->ring->req_event = b->ring->rsp_event = 1;
    b->req_prod = b->rsp_cons = 0;
    b->nr_stuck = 0;
    for (b->nr_free = 0; b->nr_free < b->size; b->nr_free++)
        b->free[b->nr_free] = b->nr_free;
    return offer_ring(b);
}

bool ring_take_back(struct blkfront *b)
{
    bool all = true;

    for (uint32_t i = 0; b->ring && i < 1u << b->order; i++) {
        if (b->ring_ref[i] && grant_end(b->ring_ref[i]))
            b->ring_ref[i] = GRANT_NONE;
        all &= !b->ring_ref[i];
    }
    for (uint32_t i = 0; b->slot && i < b->size; i++)
        all &= slot_take_back(&b->slot[i]);
    return all;
}

static bool ring_is_granted(const struct blkfront *b)
{
    bool any = false;

    for (uint32_t i = 0; i < 1u << b->order; i++)
        any |= b->ring_ref[i] != GRANT_NONE;
    return any;
}

void ring_free(struct blkfront *b)
{
    for (uint32_t i = 0; b->slot && i < b->size; i++)
        if (b->slot[i].list)
            glue_pages_free(b->slot[i].list, 0);
    free(b->slot);
    free(b->free);
    if (b->ring && !ring_is_granted(b))     /* else a backend that guessed has it: it is lost */
        glue_pages_free(b->ring, b->order);
    b->ring = NULL;
    b->slot = NULL;
    b->free = NULL;
}

void ring_requeue(struct blkfront *b)
{
    while (!list_empty(&b->flight)) {
        struct list *last = b->flight.prev;

        list_remove(last);
        list_push_front(&b->queue, last);
        b->stats.resubmitted++;
    }
}

void ring_fail_all(struct blkfront *b)
{
    struct blkfront_req *r;

    while ((r = list_first(&b->queue, struct blkfront_req, link)) != NULL) {
        list_remove(&r->link);
        r->done(r, -XEN_EIO);
    }
}

/* ------------------------------------------------------------------ requests */

static uint32_t segments_of(const struct blkfront_req *r)
{
    uint64_t off = (uintptr_t)r->data & (PAGE_SIZE - 1);

    return (uint32_t)((off + (r->sectors << 9) + PAGE_SIZE - 1) >> PAGE_SHIFT);
}

static bool has_data(const struct blkfront_req *r)
{
    return r->op == BLKFRONT_READ || r->op == BLKFRONT_WRITE;
}

static int check(const struct blkfront *b, const struct blkfront_req *r)
{
    uint32_t unit = b->info.sector_size >> 9;

    if (r->op == BLKFRONT_FLUSH)
        return b->info.flush ? 0 : -XEN_EOPNOTSUPP;
    if (r->op == BLKFRONT_DISCARD && !b->info.discard)
        return -XEN_EOPNOTSUPP;
    if (!r->sectors || (r->sector | r->sectors) & (unit - 1) || r->sector > b->info.sectors ||
        r->sectors > b->info.sectors - r->sector)
        return -XEN_EINVAL;
    if (has_data(r) && (r->sectors > b->info.max_sectors || (uintptr_t)r->data & 511))
        return -XEN_EINVAL;
    return 0;
}

static uint8_t opcode(const struct blkfront_req *r)
{
    static const uint8_t codes[] = {
        [BLKFRONT_READ] = BLKIF_OP_READ, [BLKFRONT_WRITE] = BLKIF_OP_WRITE,
        [BLKFRONT_FLUSH] = BLKIF_OP_FLUSH_DISKCACHE, [BLKFRONT_DISCARD] = BLKIF_OP_DISCARD,
    };

    return codes[r->op];
}

/* Its segments stand in a page of their own. */
static bool fill_indirect(struct blkfront *b, struct slot *s, const struct blkfront_req *r, uint32_t segs,
                          struct blkif_request_indirect *q)
{
    if (!s->list)
        s->list = glue_pages(0);
    if (!s->list || !slot_grant(b, s, r, s->list))
        return false;
    s->list_ref = grant_offer(b->dev.peer_dom, glue_frame(s->list), GRANT_READONLY);
    if (!s->list_ref)
        return false;
    q->operation = BLKIF_OP_INDIRECT;
    q->indirect_op = opcode(r);
    q->nr_segments = (uint16_t)segs;
    q->sector_number = r->sector;
    q->indirect_grefs[0] = s->list_ref;
    return true;
}

union entry {
    struct blkif_request rw;
    struct blkif_request_indirect indirect;
    struct blkif_request_discard discard;
};

static bool fill(struct blkfront *b, uint16_t id, const struct blkfront_req *r, union entry *e)
{
    struct slot *s = &b->slot[id];
    uint32_t segs = has_data(r) ? segments_of(r) : 0;

    memset(e, 0, sizeof(*e));
    if (segs > BLKIF_MAX_SEGMENTS_PER_REQUEST) {
        e->indirect.id = id;
        return fill_indirect(b, s, r, segs, &e->indirect);
    }
    e->rw.operation = opcode(r);
    e->rw.nr_segments = (uint8_t)segs;
    e->rw.id = id;
    e->rw.sector_number = r->sector;
    if (r->op == BLKFRONT_DISCARD)
        e->discard.nr_sectors = r->sectors;
    return !segs || slot_grant(b, s, r, e->rw.seg);
}

/* False: it has to wait for others. */
static bool put(struct blkfront *b, struct blkfront_req *r)
{
    uint16_t id = b->free[b->nr_free - 1];
    struct slot *s = &b->slot[id];
    union entry e;

    if (!fill(b, id, r, &e)) {
        (void)slot_take_back(s);        /* nobody knows of them yet */
        return false;
    }
    memcpy(&b->ring->ring[b->req_prod++ & (b->size - 1)].req, &e, sizeof(e));
    b->nr_free--;
    s->req = r;
    return true;
}

void ring_pump(struct blkfront *b)
{
    struct blkfront_req *r;

    while (b->life == UP && b->nr_free && (r = list_first(&b->queue, struct blkfront_req, link))) {
        int rc = check(b, r);

        if (!rc && !put(b, r)) {
            if (b->nr_free < b->size)
                break;                  /* goes on when one of those under way is answered */
            rc = -XEN_ENOMEM;
        }
        list_remove(&r->link);
        if (rc)
            r->done(r, rc);
        else
            list_push_back(&b->flight, &r->link);
    }
    if (b->life == UP && ring_publish(&b->ring->req_prod, &b->ring->req_event, b->req_prod))
        event_send(b->port);
}

void blkfront_submit(struct blkfront *b, struct blkfront_req *r)
{
    if (b->life == GONE)
        r->done(r, -XEN_EIO);
    else
        list_push_back(&b->queue, &r->link);
}

void blkfront_kick(struct blkfront *b)
{
    ring_pump(b);
}

/* ------------------------------------------------------------------ answers */

static void finish(struct blkfront *b, uint16_t id, int rc)
{
    struct blkfront_req *r = b->slot[id].req;

    b->slot[id].req = NULL;
    b->slot[id].stuck = false;
    b->free[b->nr_free++] = id;
    list_remove(&r->link);
    r->done(r, rc);
}

static void answered(struct blkfront *b, uint16_t id, int16_t status)
{
    struct slot *s = &b->slot[id];
    int rc = status == BLKIF_RSP_OKAY ? 0 : status == BLKIF_RSP_EOPNOTSUPP ? -XEN_EOPNOTSUPP : -XEN_EIO;

    if (slot_take_back(s)) {
        finish(b, id, rc);
        return;
    }
    s->stuck = true;
    s->rc = rc;
    b->nr_stuck++;
    timer_set_after(&b->timer, STUCK_NS);
}

/* The timer of a connected vbd: are pages of answered requests ours again? */
void ring_look_again(struct blkfront *b)
{
    for (uint32_t i = 0; i < b->size && b->life == UP && b->nr_stuck; i++) {
        struct slot *s = &b->slot[i];

        if (!s->stuck || !slot_take_back(s))
            continue;
        b->nr_stuck--;
        finish(b, (uint16_t)i, s->rc);
    }
    if (b->life != UP)
        return;
    if (b->nr_stuck)
        timer_set_after(&b->timer, STUCK_NS);
    ring_pump(b);
}

void ring_answers(struct blkfront *b)
{
    do {
        uint32_t prod = ring_read_prod(&b->ring->rsp_prod);

        if (prod - b->rsp_cons > b->req_prod - b->rsp_cons) {
            blkfront_fault(b, "it answers more than it was asked");
            return;
        }
        while (b->life == UP && b->rsp_cons != prod) {
            struct blkif_response rsp;

            ring_copy_in(&rsp, &b->ring->ring[b->rsp_cons++ & (b->size - 1)].rsp, sizeof(rsp));
            if (rsp.id >= b->size || !b->slot[rsp.id].req || b->slot[rsp.id].stuck) {
                blkfront_fault(b, "it answers what it was not asked");
                return;
            }
            answered(b, (uint16_t)rsp.id, rsp.status);
        }
    } while (b->life == UP && ring_rearm(&b->ring->rsp_event, &b->ring->rsp_prod, b->rsp_cons));
    ring_pump(b);
}
