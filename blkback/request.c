/* SPDX-License-Identifier: MIT */
/*
 * request.c - a vbd's ring: copy a request out, check the copy, act on the copy, answer.
 *
 * Data goes through pages of dom0, by grant copies: all writes of a turn in one hypercall before they
 * are submitted, all finished reads in one before they are answered. The ring has 32 entries and a
 * request at most 32 pages, which bounds what a frontend can make us hold.
 */
#include "blkback/vbd.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/ring.h"

#define COPY_BATCH (VBD_BUDGET * DISK_SEGMENTS)

static struct gnttab_copy copies[COPY_BATCH];       /* one loop: turns never overlap */

static void free_pages(struct vbd_req *r)
{
    for (uint32_t i = 0; i < r->io.nr_segs; i++)
        if (r->io.seg[i].data)
            page_free(r->io.seg[i].data);
    r->io.nr_segs = 0;
}

/* ------------------------------------------------------------------ answers */

static void add_copies(struct vbd_req *r, bool to_guest, uint32_t *n)
{
    for (uint32_t i = 0; i < r->io.nr_segs; i++) {
        struct gnttab_copy *c = &copies[(*n)++];

        memset(c, 0, sizeof(*c));
        c->len = r->seg[i].bytes;
        if (to_guest) {
            grant_copy_own(&c->source, r->io.seg[i].data);
            grant_copy_ref(&c->dest, r->vbd->dom, r->seg[i].ref, r->seg[i].offset);
            c->flags = GNTCOPY_dest_gref;
        } else {
            grant_copy_ref(&c->source, r->vbd->dom, r->seg[i].ref, r->seg[i].offset);
            grant_copy_own(&c->dest, r->io.seg[i].data);
            c->flags = GNTCOPY_source_gref;
        }
    }
}

/* Did the copies of r, the next ones from *at on, all succeed? */
static bool copies_ok(const struct vbd_req *r, uint32_t *at)
{
    bool ok = true;

    for (uint32_t i = 0; i < r->io.nr_segs; i++)
        ok &= copies[(*at)++].status == GNTST_okay;
    return ok;
}

static void answer(struct vbd *v, uint64_t id, uint8_t op, int16_t status)
{
    struct blkif_response rsp = { .id = id, .operation = op, .status = status };

    if (status != BLKIF_RSP_OKAY)
        v->errors++;
    memcpy(&v->ring->ring[v->rsp++ & (VBD_RING_SIZE - 1)].rsp, &rsp, sizeof(rsp));
}

/* Hands finished reads to the guest, then answers everything that is finished. Copies end before
 * an answer is visible: frontends panic when a grant is still in use then. */
static void answer_finished(struct vbd *v)
{
    while (!list_empty(&v->finished)) {
        struct vbd_req *r, *tmp;
        uint32_t n = 0, taken = 0, at = 0;

        list_for_each(r, &v->finished, link) {
            if (taken++ == VBD_BUDGET)
                break;
            if (r->io.op == DISK_READ && r->status == BLKIF_RSP_OKAY)
                add_copies(r, true, &n);
        }
        if (n)
            (void)grant_copy(copies, n);
        taken = 0;
        list_for_each_safe(r, tmp, &v->finished, link) {
            if (taken++ == VBD_BUDGET)
                break;
            if (r->io.op == DISK_READ && r->status == BLKIF_RSP_OKAY && !copies_ok(r, &at))
                r->status = BLKIF_RSP_ERROR;
            answer(v, r->id, r->op, r->status);
            free_pages(r);
            list_remove(&r->link);
            list_push_back(&v->free, &r->link);
        }
    }
    if (v->ring->rsp_prod != v->rsp &&
        ring_publish(&v->ring->rsp_prod, &v->ring->rsp_event, v->rsp))
        event_send(v->port);
}

static void io_done(struct disk_io *io, int rc)
{
    struct vbd_req *r = container_of(io, struct vbd_req, io);
    struct vbd *v = r->vbd;

    v->busy--;
    r->status = rc == 0 ? BLKIF_RSP_OKAY : rc == -XEN_EOPNOTSUPP ? BLKIF_RSP_EOPNOTSUPP
                                                                 : BLKIF_RSP_ERROR;
    if (!v->ring) {                     /* disconnected meanwhile: nobody to answer */
        free_pages(r);
        list_push_back(&v->free, &r->link);
        if (!v->busy)
            vbd_idle(v);
        return;
    }
    list_push_back(&v->finished, &r->link);
    work_queue(&v->work);
}

/* ------------------------------------------------------------------ requests */

/* One segment as the guest gave it; false if it is no piece of a page. */
static bool add_segment(struct vbd_req *r, const struct blkif_request_segment *s)
{
    uint32_t n = r->io.nr_segs;

    if (s->last_sect < s->first_sect || s->last_sect >= PAGE_SIZE / SECTOR_SIZE)
        return false;
    r->seg[n].ref = s->gref;
    r->seg[n].offset = (uint16_t)(s->first_sect * SECTOR_SIZE);
    r->seg[n].bytes = (uint16_t)((s->last_sect - s->first_sect + 1u) * SECTOR_SIZE);
    r->io.seg[n].bytes = r->seg[n].bytes;
    r->io.seg[n].data = NULL;
    r->io.nr_segs++;
    return true;
}

/* Segments of an indirect request stand in a page of the guest's: one copy of it. */
static bool read_indirect(struct vbd_req *r, const struct blkif_request_indirect *q)
{
    struct blkif_request_segment *list = page_alloc();
    struct gnttab_copy c = { .flags = GNTCOPY_source_gref };
    bool ok = false;

    if (list && q->nr_segments && q->nr_segments <= DISK_SEGMENTS) {
        c.len = (uint16_t)(q->nr_segments * sizeof(*list));
        grant_copy_ref(&c.source, r->vbd->dom, q->indirect_grefs[0], 0);
        grant_copy_own(&c.dest, list);
        ok = grant_copy(&c, 1) == 0;
        for (uint32_t i = 0; ok && i < q->nr_segments; i++)
            ok = add_segment(r, &list[i]);
    }
    if (list)
        page_free(list);
    return ok;
}

static bool decode(struct vbd_req *r, const struct blkif_request *q)
{
    const struct disk *d = r->vbd->disk;
    const struct blkif_request_indirect *ind = (const void *)q;
    uint64_t sectors = 0;
    uint8_t op = q->operation;

    r->io.nr_segs = 0;
    r->id = q->operation == BLKIF_OP_INDIRECT ? ind->id : q->id;
    r->op = q->operation;
    r->status = BLKIF_RSP_ERROR;
    r->io.sector = q->sector_number;
    if (op == BLKIF_OP_INDIRECT) {
        op = r->op = ind->indirect_op;          /* what the answer must name */
        r->io.sector = ind->sector_number;
        if ((op != BLKIF_OP_READ && op != BLKIF_OP_WRITE) || !read_indirect(r, ind))
            return false;
    } else if (op == BLKIF_OP_READ || op == BLKIF_OP_WRITE) {
        if (!q->nr_segments || q->nr_segments > BLKIF_MAX_SEGMENTS_PER_REQUEST)
            return false;
        for (uint32_t i = 0; i < q->nr_segments; i++)
            if (!add_segment(r, &q->seg[i]))
                return false;
    } else if (op == BLKIF_OP_FLUSH_DISKCACHE) {
        r->io.op = DISK_FLUSH;          /* every other field may be stale (NetBSD) */
        return true;
    } else {
        r->status = BLKIF_RSP_EOPNOTSUPP;
        return false;
    }
    r->io.op = op == BLKIF_OP_READ ? DISK_READ : DISK_WRITE;
    for (uint32_t i = 0; i < r->io.nr_segs; i++)
        sectors += r->seg[i].bytes >> SECTOR_SHIFT;
    if (r->io.sector > d->sectors || sectors > d->sectors - r->io.sector)
        return false;
    return r->io.op == DISK_READ || !d->readonly;
}

static bool alloc_pages(struct vbd_req *r)
{
    for (uint32_t i = 0; i < r->io.nr_segs; i++) {
        r->io.seg[i].data = page_alloc();
        if (!r->io.seg[i].data)
            return false;
    }
    return true;
}

static void refuse(struct vbd_req *r)
{
    free_pages(r);
    list_push_back(&r->vbd->finished, &r->link);
}

/* Takes up to n requests off the ring into batch[]; returns how many are to be carried out. */
static uint32_t take(struct vbd *v, uint32_t prod, struct vbd_req **batch)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < VBD_BUDGET && v->cons != prod && !list_empty(&v->free); i++) {
        struct vbd_req *r = list_first(&v->free, struct vbd_req, link);
        struct blkif_request q;

        list_remove(&r->link);
        ring_copy_in(&q, &v->ring->ring[v->cons++ & (VBD_RING_SIZE - 1)].req, sizeof(q));
        if (decode(r, &q) && alloc_pages(r))
            batch[n++] = r;
        else
            refuse(r);
    }
    return n;
}

static void count(struct vbd *v, const struct vbd_req *r)
{
    for (uint32_t i = 0; i < r->io.nr_segs; i++) {
        if (r->io.op == DISK_READ)
            v->bytes_read += r->seg[i].bytes;
        else
            v->bytes_written += r->seg[i].bytes;
    }
    v->reads += r->io.op == DISK_READ;
    v->writes += r->io.op == DISK_WRITE;
    v->flushes += r->io.op == DISK_FLUSH;
}

static void carry_out(struct vbd *v, struct vbd_req **batch, uint32_t nr)
{
    uint32_t n = 0, at = 0;

    for (uint32_t i = 0; i < nr; i++)
        if (batch[i]->io.op == DISK_WRITE)
            add_copies(batch[i], false, &n);
    if (n)
        (void)grant_copy(copies, n);
    /* All results are looked at before the first submission: a disk may answer at once, and
     * what follows may use copies[] again. */
    for (uint32_t i = 0; i < nr; i++) {
        if (batch[i]->io.op == DISK_WRITE && !copies_ok(batch[i], &at)) {
            refuse(batch[i]);
            batch[i] = NULL;
        }
    }
    for (uint32_t i = 0; i < nr; i++) {
        if (!batch[i])
            continue;
        count(v, batch[i]);
        batch[i]->io.done = io_done;
        v->busy++;
        v->disk->submit(v->disk, &batch[i]->io);
    }
}

void vbd_work(struct work *w)
{
    struct vbd *v = container_of(w, struct vbd, work);
    struct vbd_req *batch[VBD_BUDGET];
    uint32_t prod;

    if (!v->ring || v->failed)
        return;
    prod = ring_read_prod(&v->ring->req_prod);
    if (prod - v->rsp > VBD_RING_SIZE) {
        vbd_fail(v, "request producer %u, answered %u", prod, v->rsp);
        return;
    }
    carry_out(v, batch, take(v, prod, batch));
    answer_finished(v);
    if ((v->cons != prod && !list_empty(&v->free)) ||
        ring_rearm(&v->ring->req_event, &v->ring->req_prod, v->cons))
        work_queue(&v->work);
}

void vbd_requests_init(struct vbd *v)
{
    list_init(&v->free);
    list_init(&v->finished);
    work_init(&v->work, vbd_work);
    for (uint32_t i = 0; i < VBD_RING_SIZE; i++) {
        v->req[i].vbd = v;
        list_push_back(&v->free, &v->req[i].link);
    }
}
