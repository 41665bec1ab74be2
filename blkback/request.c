/* SPDX-License-Identifier: MIT */
/*
 * request.c - a vbd's ring: copy a request out, check the copy, act on the copy, answer.
 *
 * Data is moved by grant copies: by the disk itself if it can, straight from where it has them or
 * where it wants them; else through pages of dom0, all writes of a turn together before they are
 * submitted, all finished reads before they are answered. The ring has 32 entries and a
 * request at most 32 pages, which bounds what a frontend can make us hold.
 */
#include "blkback/vbd.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "runtime/ring.h"
#include "overflow.h"

static void free_pages(struct vbd_req *r)
{
    for (uint32_t i = 0; i < r->io.nr_segs; i++)
        page_free(r->seg[i].va);
    r->io.nr_segs = 0;
}

/* ------------------------------------------------------------------ data */

/* The segment with byte `at` of the request; most ask for one after the other. */
static const struct copy_ref *seek(struct vbd_req *r, uint32_t at)
{
    if (at < r->at_byte)
        r->at_seg = r->at_byte = 0;
    while (at - r->at_byte >= r->ref[r->at_seg].bytes)
        r->at_byte += r->ref[r->at_seg++].bytes;
    return &r->ref[r->at_seg];
}

/* The next piece, within one segment, of [at, at + *bytes). */
static struct copy_ref piece(struct vbd_req *r, uint32_t at, uint32_t *bytes)
{
    struct copy_ref c = *seek(r, at);
    uint32_t into = at - r->at_byte;

    c.offset = (uint16_t)(c.offset + into);
    c.bytes = (uint16_t)(c.bytes - into);
    *bytes = MIN(*bytes, (uint32_t)c.bytes);
    return c;
}

static void give(struct disk_io *io, uint32_t at, const void *data, uint32_t bytes)
{
    struct vbd_req *r = container_of(io, struct vbd_req, io);
    const char *from = data;

    BUG_ON(!range_inside(at, bytes, disk_io_bytes(io)));
    while (bytes) {
        uint32_t n = bytes;
        struct copy_ref c = piece(r, at, &n);

        copy_to_guest_page(r->vbd->dom, &c, from, n, &r->copy_failed);
        at += n;
        from += n;
        bytes -= n;
    }
}

static void take_data(struct disk_io *io, uint32_t at, void *data, uint32_t bytes)
{
    struct vbd_req *r = container_of(io, struct vbd_req, io);
    char *to = data;

    BUG_ON(!range_inside(at, bytes, disk_io_bytes(io)));
    while (bytes) {
        uint32_t n = bytes;
        struct copy_ref c = piece(r, at, &n);

        copy_from_guest_page(r->vbd->dom, &c, to, n, &r->copy_failed);
        at += n;
        to += n;
        bytes -= n;
    }
}

static const struct disk_io_ops io_ops = { .give = give, .take = take_data };

/* All of the data between the guest's pages and the request's own. */
static void copy_own(struct vbd_req *r, bool to_guest)
{
    for (uint32_t i = 0; i < r->io.nr_segs; i++) {
        if (to_guest)
            copy_to_guest_page(r->vbd->dom, &r->ref[i], r->seg[i].va, r->seg[i].bytes,
                               &r->copy_failed);
        else
            copy_from_guest_page(r->vbd->dom, &r->ref[i], r->seg[i].va, r->seg[i].bytes,
                                 &r->copy_failed);
    }
}

/* ------------------------------------------------------------------ answers */

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
    struct vbd_req *r, *tmp;

    list_for_each(r, &v->finished, link) {
        if (r->io.op == DISK_READ && r->status == BLKIF_RSP_OKAY)
            copy_own(r, true);
    }
    disk_settle();
    list_for_each_safe(r, tmp, &v->finished, link) {
        answer(v, r->id, r->op, r->copy_failed ? BLKIF_RSP_ERROR : r->status);
        free_pages(r);
        list_remove(&r->link);
        list_push_back(&v->free, &r->link);
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
    if (!v->connected) {                /* disconnected meanwhile: nobody to answer */
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
    if (s->last_sect < s->first_sect || s->last_sect >= PAGE_SIZE / SECTOR_SIZE)
        return false;
    r->ref[r->nr_refs++] = (struct copy_ref){
        .ref = s->gref,
        .offset = (uint16_t)(s->first_sect * SECTOR_SIZE),
        .bytes = (uint16_t)((s->last_sect - s->first_sect + 1u) * SECTOR_SIZE),
    };
    return true;
}

/* Segments of an indirect request stand in a page of the guest's: one copy of it. */
static bool read_indirect(struct vbd_req *r, const struct blkif_request_indirect *q)
{
    struct blkif_request_segment *list = page_alloc();
    struct gnttab_copy c = { .flags = GNTCOPY_source_gref };
    bool ok = false;

    if (list && q->nr_segments && q->nr_segments <= VBD_SEGMENTS) {
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
    const struct blkif_request_indirect *ind = (const void *)q;
    uint8_t op = q->operation;

    r->nr_refs = r->at_seg = r->at_byte = 0;
    r->copy_failed = false;
    r->io.nr_segs = 0;
    r->io.flags = 0;
    r->io.sectors = 0;
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
    for (uint32_t i = 0; i < r->nr_refs; i++)
        r->io.sectors += r->ref[i].bytes >> SECTOR_SHIFT;
    return true;
}

static bool alloc_pages(struct vbd_req *r)
{
    if (r->vbd->disk->caps & DISK_BY_COPY)
        return true;
    for (uint32_t i = 0; i < r->nr_refs; i++) {
        void *p = page_alloc_zeroed();

        if (!p)
            return false;
        r->seg[i] = (struct disk_seg){ p, virt_to_maddr(p), r->ref[i].bytes };
        r->io.nr_segs++;
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
    if (r->io.op == DISK_READ)
        v->bytes_read += r->io.sectors << SECTOR_SHIFT;
    else
        v->bytes_written += r->io.sectors << SECTOR_SHIFT;
    v->reads += r->io.op == DISK_READ;
    v->writes += r->io.op == DISK_WRITE;
    v->flushes += r->io.op == DISK_FLUSH;
}

static void carry_out(struct vbd *v, struct vbd_req **batch, uint32_t nr)
{
    for (uint32_t i = 0; i < nr; i++)
        if (batch[i]->io.op == DISK_WRITE)
            copy_own(batch[i], false);
    disk_settle();
    for (uint32_t i = 0; i < nr; i++) {
        struct vbd_req *r = batch[i];

        if (r->copy_failed) {
            refuse(r);
            continue;
        }
        count(v, r);
        r->io.seg = r->seg;
        r->io.ops = &io_ops;
        r->io.done = io_done;
        v->busy++;
        disk_submit(v->disk, &r->io);
    }
    disk_kick(v->disk);
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
