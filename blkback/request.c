/* SPDX-License-Identifier: MIT */
/*
 * request.c - a vbd's requests: copy one out of the ring, check the copy, act on the copy, answer.
 *
 * Data is moved by grant copies: by the disk itself if it can, straight from where it has them or
 * where it wants them (or not at all, if that only passes it on to a device); else through pages of dom0, all writes of a turn together before they are
 * submitted, all finished reads before they are answered. For disks that do DMA it is not moved at
 * all: the guest's pages are pinned until the answer.
 */
#include <stdlib.h>
#include "blkback/pin.h"
#include "blkback/vbd.h"
#include "lib/string.h"
#include "overflow.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "runtime/ring.h"
#include "runtime/time.h"

/* Bytes that a piece of data must have, one with another, to be pinned and not copied. */
#define PIN_MIN 2048u

/* What a barrier waits for. */
enum stage { BARRIER_NEW, BARRIER_DRAIN, BARRIER_FLUSH, BARRIER_WRITE, BARRIER_FLUSH_AFTER };

/* ------------------------------------------------------------------ requests come and go */

static struct vbd_req *req_get(struct vbd *v)
{
    struct vbd_req *r = list_first(&v->free, struct vbd_req, link);

    if (r) {
        list_remove(&r->link);
        v->nr_free--;
        return r;
    }
    r = v->nr_reqs < VBD_REQS ? malloc(sizeof(*r)) : NULL;
    if (!r)
        return NULL;
    v->nr_reqs++;
    list_init(&r->link);
    r->vbd = v;
    return r;
}

/* unpin_settle() has to follow. */
static void req_put(struct vbd_req *r)
{
    struct vbd *v = r->vbd;

    if (r->data) {
        for (uint32_t i = 0; i < r->nr_data; i++) {
            if (r->pin)
                unpin_page(r->data[i].maddr, r->pin[i]);
            else
                page_free(r->data[i].va);
        }
        v->pages -= r->nr_data;
        free(r->data);
    }
    if (r->q.seg != r->q.inline_seg)
        free(r->q.seg);
    if (v->nr_free >= VBD_REQS_KEPT) {
        v->nr_reqs--;
        free(r);
        return;
    }
    list_push_front(&v->free, &r->link);
    v->nr_free++;
}

void vbd_requests_init(struct vbd *v)
{
    list_init(&v->free);
}

void vbd_requests_free(struct vbd *v)
{
    struct vbd_req *r, *tmp;

    list_for_each_safe(r, tmp, &v->free, link)
        free(r);
    list_init(&v->free);
    v->nr_free = v->nr_reqs = 0;
}

void vbd_queue_drop(struct vbd_queue *q)
{
    struct vbd_req *r = q->vbd->barrier, *tmp;

    if (r && r->queue == q && r->stage == BARRIER_DRAIN) {
        q->vbd->barrier = NULL;     /* nobody has it but us */
        req_put(r);
    }
    list_for_each_safe(r, tmp, &q->finished, link) {
        list_remove(&r->link);
        req_put(r);
    }
    unpin_settle();
}

/* ------------------------------------------------------------------ data */

/* The next piece, within one segment, of the bytes from `at` on; most ask for one after the other. */
static inline struct copy_ref piece(struct vbd_req *r, uint32_t at, uint32_t *bytes)
{
    const struct copy_ref *c;
    uint32_t into;

    if (at < r->at_byte)
        r->at_seg = r->at_byte = 0;
    while (at - r->at_byte >= r->q.seg[r->at_seg].bytes)
        r->at_byte += r->q.seg[r->at_seg++].bytes;
    c = &r->q.seg[r->at_seg];
    into = at - r->at_byte;
    *bytes = MIN(*bytes, c->bytes - into);
    return (struct copy_ref){ c->ref, (uint16_t)(c->offset + into), (uint16_t)*bytes };
}

/* Nothing is copied for a frontend that is gone: its references may be others by now. */
static bool may_copy(struct vbd_req *r, uint32_t at, uint32_t bytes)
{
    BUG_ON(!range_inside(at, bytes, disk_io_bytes(&r->io)));
    if (!r->vbd->connected)
        r->copy_failed = true;
    return r->vbd->connected;
}

static void give(struct disk_io *io, uint32_t at, const void *data, uint32_t bytes)
{
    struct vbd_req *r = container_of(io, struct vbd_req, io);
    const char *from = data;

    if (!may_copy(r, at, bytes))
        return;
    for (uint32_t n; bytes; at += n, from += n, bytes -= n) {
        struct copy_ref c;

        n = bytes;
        c = piece(r, at, &n);
        copy_to_guest_page(r->vbd->dom, &c, from, n, &r->copy_failed);
    }
}

static void take(struct disk_io *io, uint32_t at, void *data, uint32_t bytes)
{
    struct vbd_req *r = container_of(io, struct vbd_req, io);
    char *to = data;

    if (!may_copy(r, at, bytes))
        return;
    for (uint32_t n; bytes; at += n, to += n, bytes -= n) {
        struct copy_ref c;

        n = bytes;
        c = piece(r, at, &n);
        copy_from_guest_page(r->vbd->dom, &c, to, n, &r->copy_failed);
    }
}

static struct pinned *pin(struct disk_io *io)
{
    struct vbd_req *r = container_of(io, struct vbd_req, io);
    struct pinned *p = NULL;

    if (r->vbd->connected && disk_io_bytes(io) >= PIN_MIN * r->q.nr_segs)
        p = pinned_new(r->vbd->dom, r->q.nr_segs);
    if (!p)
        return NULL;
    p->release = unpin_set;
    r->vbd->lent += !r->lent;
    r->lent = true;
    for (uint32_t i = 0; i < r->q.nr_segs; i++) {
        const struct copy_ref *c = &r->q.seg[i];
        struct pinned_piece *piece = pinned_add(p, c->ref, c->offset, c->bytes);

        pin_page(r->vbd->dom, c->ref, true, &piece->maddr, &piece->handle, &r->copy_failed);
    }
    return p;
}

static bool failed(struct disk_io *io)
{
    return container_of(io, struct vbd_req, io)->copy_failed;
}

static const struct disk_io_ops io_ops = { .give = give, .take = take, .pin = pin, .failed = failed };

/* All of the data between the guest's pages and the request's own. */
static void copy_own(struct vbd_req *r, bool to_guest)
{
    for (uint32_t i = 0; i < r->nr_data && !r->pin; i++) {
        if (to_guest)
            copy_to_guest_page(r->vbd->dom, &r->q.seg[i], r->data[i].va, r->data[i].bytes,
                               &r->copy_failed);
        else
            copy_from_guest_page(r->vbd->dom, &r->q.seg[i], r->data[i].va, r->data[i].bytes,
                                 &r->copy_failed);
    }
}

/* ------------------------------------------------------------------ answers */

/* Field by field: what lies between them, too, would be of our stack. */
static void answer(struct vbd_queue *q, const struct vbd_req *r)
{
    struct blkif_response *rsp = &q->ring->ring[q->rsp++ & (q->size - 1)].rsp;

    rsp->id = r->q.id;
    rsp->operation = r->q.op;
    rsp->status = r->copy_failed ? BLKIF_RSP_ERROR : r->status;
    q->vbd->refused += r->copy_failed;
}

/* Hands finished reads to the guest, then answers everything that is finished. Copies end before
 * an answer is visible: frontends panic when a grant is still in use then. */
static void answer_finished(struct vbd_queue *q)
{
    struct vbd_req *r, *tmp;

    list_for_each(r, &q->finished, link) {
        if (r->io.op == DISK_READ && r->status == BLKIF_RSP_OKAY)
            copy_own(r, true);
    }
    disk_settle();
    list_for_each_safe(r, tmp, &q->finished, link) {
        answer(q, r);
        list_remove(&r->link);
        req_put(r);
    }
    unpin_settle();
    if (q->vbd->held) {
        q->vbd->held = false;
        vbd_wake(q->vbd);
    }
    if (q->ring->rsp_prod != q->rsp &&
        ring_publish(&q->ring->rsp_prod, &q->ring->rsp_event, q->rsp))
        loop_send_last(q->port);
}

static void finish(struct vbd_req *r, int16_t status)
{
    r->status = status;
    list_push_back(&r->queue->finished, &r->link);
    if (!r->queue->working)         /* else it looks for them itself, at its end */
        work_queue(&r->queue->work);
}

static void barrier_next(struct vbd_req *r);
static void discard_next(struct vbd_req *r);

static int16_t status_of(int rc)
{
    if (!rc)
        return BLKIF_RSP_OKAY;
    return rc == -XEN_EOPNOTSUPP ? BLKIF_RSP_EOPNOTSUPP : BLKIF_RSP_ERROR;
}

static void io_done(struct disk_io *io, int rc)
{
    struct vbd_req *r = container_of(io, struct vbd_req, io);
    struct vbd *v = r->vbd;

    v->busy--;
    v->lent -= r->lent;
    r->lent = false;
    if (!v->connected) {                /* nobody to answer */
        if (v->barrier == r)
            v->barrier = NULL;
        req_put(r);
        unpin_settle();
        if (!v->busy)
            vbd_idle(v);
        return;
    }
    if (!rc && v->barrier == r && r->stage != BARRIER_FLUSH_AFTER) {
        barrier_next(r);
        work_queue(&v->kick_work);      /* not at once: the disk is amid something */
        return;
    }
    if (!rc && r->left) {
        if (r->submitting) {
            r->again = true;
        } else {
            discard_next(r);
            work_queue(&v->kick_work);
        }
        return;
    }
    if (v->barrier == r) {
        v->barrier = NULL;
        vbd_wake(v);
    } else if (v->barrier && v->barrier->stage == BARRIER_DRAIN && !v->busy) {
        barrier_next(v->barrier);
        work_queue(&v->kick_work);
    }
    finish(r, status_of(rc));
}

/* ------------------------------------------------------------------ carrying out */

static void submit(struct vbd_req *r)
{
    r->vbd->busy++;
    disk_submit(r->vbd->disk, &r->io);
}

/* A discard is cut into pieces that the disk takes; one that is done at once must not call us deeper
 * and deeper. */
static void discard_next(struct vbd_req *r)
{
    uint64_t most = r->vbd->disk->max_discard;

    do {
        r->io.sector += r->io.sectors;
        r->io.sectors = most ? MIN(r->left, most) : r->left;
        r->left -= r->io.sectors;
        r->again = false;
        r->submitting = true;
        submit(r);
        r->submitting = false;
    } while (r->again);
}

static void submit_flush(struct vbd_req *r, enum stage stage)
{
    r->stage = (uint8_t)stage;
    r->io.op = DISK_FLUSH;
    r->io.sector = r->io.sectors = 0;
    submit(r);
}

/* A barrier: all before it are done; flush, write, and flush again if the disk cannot do that with
 * the write. */
static void barrier_next(struct vbd_req *r)
{
    const struct disk *d = r->vbd->disk;

    switch (r->stage) {
    case BARRIER_DRAIN:
        submit_flush(r, r->q.nr_segs ? BARRIER_FLUSH : BARRIER_FLUSH_AFTER);
        break;
    case BARRIER_FLUSH:
        r->stage = d->caps & DISK_CAP_FUA ? BARRIER_FLUSH_AFTER : BARRIER_WRITE;
        r->io.op = DISK_WRITE;
        r->io.flags = d->caps & DISK_CAP_FUA ? DISK_FUA : 0;
        r->io.sector = r->q.sector;
        r->io.sectors = r->q.sectors;
        submit(r);
        break;
    default:
        submit_flush(r, BARRIER_FLUSH_AFTER);
        break;
    }
}

static uint8_t disk_op(uint8_t op)
{
    switch (op) {
    case BLKIF_OP_READ:
        return DISK_READ;
    case BLKIF_OP_FLUSH_DISKCACHE:
        return DISK_FLUSH;
    case BLKIF_OP_DISCARD:
        return DISK_DISCARD;
    default:
        return DISK_WRITE;
    }
}

static void start(struct vbd_req *r)
{
    struct vbd *v = r->vbd;

    if (r->q.op == BLKIF_OP_WRITE_BARRIER) {
        r->stage = BARRIER_DRAIN;
        if (!v->busy)
            barrier_next(r);
    } else if (r->q.op == BLKIF_OP_DISCARD) {
        /* All of it is checked before the first piece goes. */
        if (!range_inside(r->q.sector, r->q.sectors, v->disk->sectors)) {
            v->refused++;
            finish(r, BLKIF_RSP_ERROR);
            return;
        }
        r->left = r->q.sectors;
        r->io.sectors = 0;
        discard_next(r);
    } else {
        submit(r);
    }
}

/* ------------------------------------------------------------------ taking */

/* Fetches the segments of an indirect request: one copy of the page that has them. */
static bool fetch_segments(struct vbd_req *r)
{
    static struct blkif_request_segment list[BLK_SEGS_MAX] __aligned(PAGE_SIZE);
    struct gnttab_copy c = { .flags = GNTCOPY_source_gref };

    c.len = (uint16_t)(r->q.nr_segs * sizeof(*list));
    grant_copy_ref(&c.source, r->vbd->dom, r->q.indirect, 0);
    grant_copy_own(&c.dest, list);
    if (grant_copy(&c, 1))
        return false;
    if (r->q.nr_segs > BLK_INLINE_SEGS) {
        r->q.seg = malloc(r->q.nr_segs * sizeof(*r->q.seg));
        if (!r->q.seg) {
            r->q.seg = r->q.inline_seg;
            return false;
        }
    }
    return blk_segments(&r->q, list, r->q.nr_segs, r->vbd->disk->logical);
}

/* The guest's own pages, for disks that do DMA; pin_settle() has to follow. */
static bool pin_data(struct vbd_req *r)
{
    uint32_t n = r->q.nr_segs;

    r->data = malloc(n * (sizeof(*r->data) + sizeof(*r->pin)));
    if (!r->data)
        return false;
    r->pin = (void *)(r->data + n);
    for (; r->nr_data < n; r->nr_data++) {
        const struct copy_ref *c = &r->q.seg[r->nr_data];
        struct disk_seg *s = &r->data[r->nr_data];

        *s = (struct disk_seg){ .maddr = c->offset, .bytes = c->bytes };
        pin_page(r->vbd->dom, c->ref, r->io.op == DISK_WRITE, &s->maddr, &r->pin[r->nr_data],
                 &r->copy_failed);
    }
    r->vbd->pages += n;
    return true;
}

/* Own pages for its data, for disks that can neither do that nor copy by themselves. */
static bool alloc_data(struct vbd_req *r)
{
    bool read = r->io.op == DISK_READ;

    r->data = malloc(r->q.nr_segs * sizeof(*r->data));
    for (; r->data && r->nr_data < r->q.nr_segs; r->nr_data++) {
        /* A disk that reads less than it says must not hand out what was there before. */
        void *p = read ? page_alloc_zeroed() : page_alloc();

        if (!p)
            return false;
        r->data[r->nr_data] = (struct disk_seg){ p, virt_to_maddr(p), r->q.seg[r->nr_data].bytes };
        r->vbd->pages++;
    }
    return r->data != NULL;
}

static bool get_data(struct vbd_req *r)
{
    uint32_t caps = r->vbd->disk->caps;

    if (!r->q.nr_segs || (caps & DISK_BY_COPY))
        return true;
    return caps & DISK_BY_FRAME ? pin_data(r) : alloc_data(r);
}

/* The entry at q->cons as a request; false: r->status says why not. */
static bool take_request(struct vbd_queue *q, struct vbd_req *r)
{
    const struct disk *d = r->vbd->disk;
    struct blkif_request entry;

    r->queue = q;
    r->data = NULL;
    r->pin = NULL;
    r->nr_data = 0;
    r->copy_failed = r->lent = false;
    r->left = 0;
    r->submitting = r->again = false;
    r->at_seg = r->at_byte = 0;
    r->stage = BARRIER_NEW;
    ring_copy_in(&entry, &q->ring->ring[q->cons++ & (q->size - 1)].req, sizeof(entry));
    r->status = blk_decode(&r->q, &entry, d->max_segs ? MIN(d->max_segs, BLK_SEGS_MAX) : BLK_SEGS_MAX,
                           d->logical);
    r->io.nr_segs = 0;
    if (r->status != BLKIF_RSP_OKAY)
        return false;
    r->status = BLKIF_RSP_ERROR;
    if (r->q.is_indirect && !fetch_segments(r))
        return false;
    r->io.op = disk_op(r->q.op);
    r->io.flags = 0;
    r->io.sector = r->q.sector;
    r->io.sectors = r->q.sectors;
    r->io.ops = &io_ops;
    r->io.done = io_done;
    if (!get_data(r))
        return false;
    r->io.seg = r->data;
    r->io.nr_segs = (uint16_t)r->nr_data;
    return true;
}

static void limit_due(struct timer *t)
{
    vbd_wake(container_of(t, struct vbd, limit_timer));
}

/* May one more request be taken now? What forbids it calls vbd_wake() when it is over. */
static bool may_take(struct vbd *v)
{
    uint64_t now, wait;

    if (v->barrier || v->pages > VBD_PAGES - BLK_SEGS_MAX)
        return false;
    if (likely(!v->bytes.per_second && !v->ops.per_second))
        return true;
    now = now_ns();
    wait = MAX(rate_wait(&v->bytes, now), rate_wait(&v->ops, now));
    if (wait) {
        v->limit_timer.fn = limit_due;
        timer_set(&v->limit_timer, now + wait);
    }
    return !wait;
}

static void charge(struct vbd *v, const struct vbd_req *r)
{
    rate_charge(&v->ops, 1000);
    if (r->io.op == DISK_READ || r->io.op == DISK_WRITE)
        rate_charge(&v->bytes, (uint32_t)(r->q.sectors << SECTOR_SHIFT));
}

/* Takes requests off the ring into batch[]; returns how many are to be carried out. *held: more are
 * there and may not be taken now. */
static uint32_t take_some(struct vbd_queue *q, uint32_t prod, struct vbd_req **batch, bool *held)
{
    struct vbd *v = q->vbd;
    uint32_t n = 0;

    *held = false;
    for (uint32_t i = 0; i < VBD_BUDGET && q->cons != prod; i++) {
        struct vbd_req *r = may_take(v) ? req_get(v) : NULL;

        if (!r) {
            *held = v->held = true;
            break;
        }
        if (!take_request(q, r)) {
            v->refused++;
            list_push_back(&q->finished, &r->link);
            continue;
        }
        charge(v, r);
        if (r->q.op == BLKIF_OP_WRITE_BARRIER)
            v->barrier = r;         /* nothing is taken behind it */
        batch[n++] = r;
    }
    return n;
}

/* Everything in batch[] is submitted, the writes' data first taken from the guest together. */
static void carry_out(struct vbd_queue *q, struct vbd_req **batch, uint32_t nr)
{
    struct vbd *v = q->vbd;
    bool by_copy = v->disk->caps & DISK_BY_COPY;

    for (uint32_t i = 0; i < nr && !by_copy; i++)
        if (batch[i]->io.op == DISK_WRITE)
            copy_own(batch[i], false);
    if (!by_copy)
        disk_settle();
    pin_settle();
    for (uint32_t i = 0; i < nr; i++) {
        if (batch[i]->copy_failed) {
            if (v->barrier == batch[i]) {
                v->barrier = NULL;
                vbd_wake(v);
            }
            list_push_back(&q->finished, &batch[i]->link);
        } else {
            start(batch[i]);
        }
    }
    if (nr)
        disk_kick(v->disk);
}

void vbd_queue_work(struct work *w)
{
    struct vbd_queue *q = container_of(w, struct vbd_queue, work);
    struct vbd *v = q->vbd;
    struct vbd_req *batch[VBD_BUDGET];
    uint32_t prod;
    bool held;

    if (!v->connected || v->failed)
        return;
    prod = ring_read_prod(&q->ring->req_prod);
    if (prod - q->rsp > q->size) {
        vbd_fail(v, "request producer %u, answered %u", prod, q->rsp);
        return;
    }
    q->working = true;
    carry_out(q, batch, take_some(q, prod, batch, &held));
    if (!list_empty(&q->finished))
        answer_finished(q);
    q->working = false;
    if (held)
        return;                     /* vbd_wake() */
    if (q->cons != prod || ring_rearm(&q->ring->req_event, &q->ring->req_prod, q->cons))
        work_queue(&q->work);
}

void vbd_wake(struct vbd *v)
{
    for (uint32_t i = 0; i < v->nr_queues; i++)
        work_queue(&v->queue[i].work);
}
