/* SPDX-License-Identifier: MIT */
/*
 * nbd.c - a disk on an NBD server.
 *
 * When the server goes away, requests wait and are sent again when it is back: to the guest that is a
 * pause. After target.timeout seconds they fail instead, until it is back. While the disk is being
 * opened there is no such patience: what goes wrong then is the answer.
 */
#include <stdlib.h>
#include "blkback/nbd.h"
#include "blkback/pin.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/time.h"
#include "xenabi.h"

#define OPEN_TIME     (20 * NS_PER_S)   /* the whole of opening; the host may still be getting an address */
#define CLOSE_TIME    (5 * NS_PER_S)    /* for answers to what is under way */
#define STALL_TIME    (20 * NS_PER_S)   /* of sent data that nobody acknowledges */
#define HELLO_TIME    (10 * NS_PER_S)
#define BACKOFF_MIN   100u              /* ms */
#define BACKOFF_MAX   3000u
#define BLOCK_MAX     (32u << 20)       /* of a request, if the server does not say */
#define LENGTH_MAX    (2u << 30)        /* of a trim: the field has 32 bits */

struct stream_net *nbd_net;

/* ------------------------------------------------------------------ requests */

void nbd_pages_free(struct nbd *n, struct nbd_req *r)
{
    for (uint32_t i = 0; r->page && i < r->nr_pages; i++)
        page_free(r->page[i]);
    n->pages -= r->nr_pages;
    r->nr_pages = 0;
    free(r->page);
    r->page = NULL;
}

void nbd_slot_free(struct nbd *n, struct nbd_req *r)
{
    n->slot[r->handle % NBD_SLOTS] = NULL;
    n->nr_slots--;
    if (n->closing && !n->nr_slots)
        work_queue(&n->end_work);
}

void nbd_req_free(struct nbd *n, struct nbd_req *r)
{
    nbd_pages_free(n, r);
    if (r->io)
        nbd_slot_free(n, r);
    free(r);
}

/* A card was the last to have these pages. */
static void left(void *arg)
{
    struct nbd_req *r = arg;
    struct nbd *n = container_of(r->io->disk, struct nbd, disk);

    r->pinned = NULL;
    work_queue(&n->leave_work);
}

static void orphan_left(void *arg)
{
    unpin_settle();
}

/* Those that leave and whose pages are free; and connections that must not go on. */
static void leave_work(struct work *w)
{
    struct nbd *n = container_of(w, struct nbd, leave_work);
    struct nbd_req *r, *tmp;

    for (uint32_t i = 0; i < n->nr_conns; i++) {
        if (!n->conn[i].broken)
            continue;
        strlcpy(n->why, "the guest took data back that was being sent", sizeof(n->why));
        n->guests_doing = true;
        nbd_conn_drop(&n->conn[i]);
        nbd_conn_lost(&n->conn[i], false);
    }
    list_for_each_safe(r, tmp, &n->leaving, link) {
        if (r->pinned)
            continue;
        list_remove(&r->link);
        nbd_req_done(n, r, r->rc);
    }
}

/* The disk goes, and the guest with it; a card that hangs may still have pages. They are unpinned when it is reset. */
static void leave_behind(struct nbd *n)
{
    struct nbd_req *r, *tmp;

    list_for_each_safe(r, tmp, &n->leaving, link) {
        list_remove(&r->link);
        if (r->pinned)
            r->pinned->gone = orphan_left;
        r->pinned = NULL;
        nbd_req_done(n, r, r->rc);
    }
}

void nbd_req_done(struct nbd *n, struct nbd_req *r, int rc)
{
    struct disk_io *io = r->io;

    if (r->pinned) {
        r->pinned->failed = NULL;
        r->pinned->gone = NULL;
        if (!pinned_put(r->pinned)) {
            r->pinned->gone = left;
            r->rc = rc;
            list_push_back(&n->leaving, &r->link);
            return;
        }
        r->pinned = NULL;
    }

    nbd_req_free(n, r);
    disk_done(io, rc);
}

static struct nbd_req *req_new(struct nbd *n, struct disk_io *io)
{
    struct nbd_req *r = n->nr_slots < NBD_SLOTS ? calloc(1, sizeof(*r)) : NULL;

    if (!r)
        return NULL;
    while (n->slot[n->next_slot % NBD_SLOTS])
        n->next_slot++;
    r->handle = ++n->next_generation * NBD_SLOTS + n->next_slot % NBD_SLOTS;
    n->slot[n->next_slot++ % NBD_SLOTS] = r;
    n->nr_slots++;
    r->io = io;
    r->bytes = io->op == DISK_READ || io->op == DISK_WRITE ? disk_io_bytes(io) : 0;
    return r;
}

static void fail_queue(struct nbd *n)
{
    struct nbd_req *r, *tmp;

    list_for_each_safe(r, tmp, &n->queue, link) {
        list_remove(&r->link);
        nbd_req_done(n, r, -XEN_EIO);
    }
}

static struct nbd *nbd_of(struct disk *d)
{
    return container_of(d, struct nbd, disk);
}

/* The connections take from the queue; the one with the least to do first. */
static void send_queue(struct nbd *n)
{
    while (!list_empty(&n->queue)) {
        struct list *first = n->queue.next;
        struct nbd_conn *best = NULL;

        for (uint32_t i = 0; i < n->nr_conns; i++) {
            struct nbd_conn *c = &n->conn[i];

            if (c->state == NBD_READY && (!best || c->nr_sent < best->nr_sent))
                best = c;
        }
        if (best)
            nbd_conn_send(best);
        if (!best || n->queue.next == first)
            break;              /* no room anywhere */
    }
    nbd_set_timer(n);
}

static void submit(struct disk *d, struct disk_io *io)
{
    struct nbd *n = nbd_of(d);
    struct nbd_req *r = n->gave_up ? NULL : req_new(n, io);

    if (!r) {
        disk_done(io, n->gave_up ? -XEN_EIO : -XEN_ENOMEM);
        return;
    }
    list_push_back(&n->queue, &r->link);
}

static void kick(struct disk *d)
{
    send_queue(nbd_of(d));
}

/* ------------------------------------------------------------------ time */

static uint64_t timeout_at(const struct nbd *n)
{
    if (!n->down_since || !n->target.timeout || n->gave_up || !n->opened)
        return ~0UL;
    return n->down_since + n->target.timeout * NS_PER_S;
}

/* When this connection has to be looked at. */
static uint64_t conn_due(const struct nbd_conn *c)
{
    switch (c->state) {
    case NBD_IDLE:
        return c->retry_at;
    case NBD_READY:
        return c->written > c->acked ? c->progress_at + STALL_TIME : ~0UL;
    default:
        return c->progress_at + HELLO_TIME;
    }
}

void nbd_set_timer(struct nbd *n)
{
    uint64_t due = timeout_at(n);

    for (uint32_t i = 0; i < n->nr_conns && !n->closing; i++)
        due = MIN(due, conn_due(&n->conn[i]));
    if (n->open)
        due = MIN(due, n->open_until);
    if (n->closing)
        due = MIN(due, n->close_until);
    if (due == ~0UL || n->dead)
        timer_cancel(&n->timer);
    else
        timer_set(&n->timer, due);
}

static void look_at(struct nbd_conn *c, uint64_t now)
{
    if (conn_due(c) > now)
        return;
    if (c->state == NBD_IDLE) {
        c->retry_at = ~0UL;
        nbd_conn_start(c);
    } else {
        strlcpy(c->nbd->why, "no answer", sizeof(c->nbd->why));
        nbd_conn_drop(c);
        nbd_conn_lost(c, false);
    }
}

static void not_opened(struct nbd *n, int rc)
{
    if (!n->open_error)
        n->open_error = rc;
    work_queue(&n->end_work);
}

static void timer_due(struct timer *t)
{
    struct nbd *n = container_of(t, struct nbd, timer);
    uint64_t now = now_ns();

    /* Once each: a timer that is set to what is over would never let the work run. */
    if (n->closing && now >= n->close_until) {
        n->close_until = ~0UL;
        work_queue(&n->end_work);
    }
    if (n->open && now >= n->open_until) {
        n->open_until = ~0UL;
        not_opened(n, -XEN_ETIMEDOUT);
    }
    if (now >= timeout_at(n)) {
        n->gave_up = true;
        log_error("%s: the server has been gone for %u s: requests fail now", n->disk.id,
                  n->target.timeout);
        fail_queue(n);
    }
    for (uint32_t i = 0; i < n->nr_conns && !n->closing; i++)
        look_at(&n->conn[i], now);
    nbd_set_timer(n);
}

/* ------------------------------------------------------------------ connections come and go */

static bool any_ready(const struct nbd *n)
{
    for (uint32_t i = 0; i < n->nr_conns; i++)
        if (n->conn[i].state == NBD_READY)
            return true;
    return false;
}

static bool power_of_two(uint32_t v)
{
    return v && !(v & (v - 1));
}

static bool unfit(struct nbd *n, int rc, const char *text)
{
    strlcpy(n->why, text, sizeof(n->why));
    n->open_error = rc;
    return false;
}

/* Is this an export that can be a disk, and the kind of access that was asked for? */
static bool check_export(struct nbd *n, const struct nbd_export *e, bool readonly)
{
    uint32_t max = e->max_block ? e->max_block : BLOCK_MAX;

    if (!readonly && (e->flags & NBD_FLAG_READ_ONLY))
        return unfit(n, -XEN_EROFS, "the export is read-only; it can be had with access=ro");
    if (e->size < PAGE_SIZE)
        return unfit(n, -XEN_EINVAL, "the export is smaller than 4096 bytes");
    if (e->min_block > 4096 || (e->min_block && !power_of_two(e->min_block)))
        return unfit(n, -XEN_EINVAL, "the export's blocks are larger than 4096 bytes");
    if (max < 11 * PAGE_SIZE)
        return unfit(n, -XEN_EINVAL, "the server does not take requests of 44 KiB");
    return true;
}

static uint32_t caps_of(const struct nbd_export *e)
{
    return (e->flags & NBD_FLAG_FLUSH ? DISK_CAP_FLUSH : 0) |
           (e->flags & NBD_FLAG_FUA ? DISK_CAP_FUA : 0) |
           (e->flags & NBD_FLAG_TRIM ? DISK_CAP_DISCARD : 0) |
           (e->flags & NBD_FLAG_WRITE_ZEROES ? DISK_CAP_ZEROES : 0);
}

static uint32_t logical_of(const struct nbd_export *e)
{
    return e->min_block > SECTOR_SIZE ? 4096 : SECTOR_SIZE;
}

static uint32_t max_sectors_of(const struct nbd_export *e, uint32_t logical)
{
    uint32_t max = e->max_block ? e->max_block : BLOCK_MAX;

    return (max & ~(logical - 1)) >> SECTOR_SHIFT;
}

/*
 * The guest was promised what the export could do when it was opened. And a flush on one of several connections is one for what was
 * written on the others only as long as the server says so.
 */
static bool same_kind(const struct nbd *n, const struct nbd_export *e)
{
    return logical_of(e) <= n->disk.logical && !(n->disk.caps & ~DISK_BY_COPY & ~caps_of(e)) &&
           max_sectors_of(e, n->disk.logical) >= n->disk.max_sectors &&
           (n->nr_conns == 1 || (e->flags & NBD_FLAG_MULTI_CONN));
}

/* What the server has said about the export becomes the disk. */
static void describe(struct nbd *n, const struct nbd_export *e)
{
    struct disk *d = &n->disk;
    char ip[16];

    d->logical = logical_of(e);
    d->physical = d->logical;
    if (power_of_two(e->preferred_block) && e->preferred_block > d->logical)
        d->physical = MIN(e->preferred_block, 65536u);
    d->sectors = (e->size & ~(uint64_t)(d->logical - 1)) >> SECTOR_SHIFT;
    d->max_sectors = max_sectors_of(e, d->logical);
    d->max_segs = MIN(d->max_sectors >> (PAGE_SHIFT - SECTOR_SHIFT), DISK_SEGMENTS_MAX);
    d->max_discard = LENGTH_MAX >> SECTOR_SHIFT;
    d->readonly = n->open->spec.readonly;
    d->caps = DISK_BY_COPY | caps_of(e);
    snprintf(ip, sizeof(ip), "%u.%u.%u.%u", n->ip >> 24, n->ip >> 16 & 255, n->ip >> 8 & 255,
             n->ip & 255);
    snprintf(d->id, sizeof(d->id), "nbd:%s:%u/%s", ip, n->target.port, n->target.export);
}

static void open_more(struct nbd *n, const struct nbd_export *e)
{
    if (!(e->flags & NBD_FLAG_MULTI_CONN))
        return;
    n->nr_conns = n->target.connections;
    for (uint32_t i = 1; i < n->nr_conns; i++)
        n->conn[i].retry_at = now_ns();
}

/* May the log hear that the server is away, or back? */
static bool may_say(struct nbd *n)
{
    return !n->guests_doing || log_limit_pass(&n->lines, n->disk.id, "this disk");
}

/* The server is (again) where it belongs. A changed size is the guest's affair. */
static void back(struct nbd *n, const struct nbd_export *e)
{
    uint64_t sectors = (e->size & ~(uint64_t)(n->disk.logical - 1)) >> SECTOR_SHIFT;

    if (n->down_since) {
        n->disk.stats.reconnects++;
        if (may_say(n))
            log_info("%s: the server is back after %lu ms", n->disk.id,
                     (now_ns() - n->down_since) / NS_PER_MS);
    }
    n->guests_doing = false;
    n->down_since = 0;
    n->gave_up = false;
    disk_resized(&n->disk, sectors);
}

bool nbd_conn_ready(struct nbd_conn *c)
{
    struct nbd *n = c->nbd;
    const struct nbd_export *e = &c->hello.info;
    struct disk_open *o = n->open;

    if (!check_export(n, e, o ? o->spec.readonly : n->disk.readonly))
        return false;
    if (!o && !same_kind(n, e))
        return unfit(n, -XEN_EIO, "the export cannot do any more what it could before");
    c->backoff_ms = BACKOFF_MIN;
    c->retry_at = ~0UL;
    if (o) {
        n->opened = true;
        n->open_error = 0;
        open_more(n, e);
        describe(n, e);
        n->open = NULL;
        log_info("%s: %lu KiB%s%s", n->disk.id, n->disk.sectors / 2,
                 n->disk.readonly ? ", read-only" : "",
                 n->nr_conns > 1 ? ", several connections" : "");
        disk_opened(o, &n->disk);
    } else {
        back(n, e);
    }
    if (!n->closing)
        send_queue(n);
    return true;
}

void nbd_conn_lost(struct nbd_conn *c, bool refused)
{
    struct nbd *n = c->nbd;

    c->backoff_ms = c->backoff_ms ? MIN(c->backoff_ms * 2, BACKOFF_MAX) : BACKOFF_MIN;
    c->retry_at = now_ns() + c->backoff_ms * NS_PER_MS;
    if (n->open) {
        if (refused)
            not_opened(n, -XEN_EIO);
    } else if (n->opened && !n->closing && !any_ready(n) && !n->down_since) {
        n->down_since = now_ns();
        if (may_say(n))
            log_warn("%s: %s; requests wait for it", n->disk.id, n->why);
    }
    if (n->closing)
        fail_queue(n);
    else if (any_ready(n))
        send_queue(n);              /* the others take what it had */
    nbd_set_timer(n);
}

/* ------------------------------------------------------------------ closing */

static void nbd_free(struct nbd *n)
{
    for (uint32_t i = 0; i < NBD_CONNS_MAX; i++)
        nbd_conn_finish(&n->conn[i]);
    fail_queue(n);
    leave_behind(n);
    timer_cancel(&n->timer);
    work_cancel(&n->end_work);
    work_cancel(&n->leave_work);
    log_limit_end(&n->lines, n->disk.id, "this disk");
    BUG_ON(n->nr_slots || n->pages);
    n->dead = true;
    if (!n->resolving)
        free(n);
}

/* Closing is over, or opening has failed; nothing of this disk is on the stack. */
static void end_work(struct work *w)
{
    struct nbd *n = container_of(w, struct nbd, end_work);
    struct disk_open *o = n->open;

    if (o) {
        int rc = n->open_error;
        char text[sizeof(n->why)];

        strlcpy(text, n->why[0] ? n->why : "no answer", sizeof(text));
        n->open = NULL;
        nbd_free(n);
        disk_not_opened(o, rc, "%s", text);
        return;
    }
    for (uint32_t i = 0; i < NBD_CONNS_MAX; i++)
        if (n->conn[i].nr_sent)
            nbd_conn_drop(&n->conn[i]);
    fail_queue(n);
    leave_behind(n);
    if (n->disk.stats.bytes[DISK_WRITE])
        log_info("%s: closed; of %lu KiB that were written %lu went straight out of guests' pages", n->disk.id,
                 n->disk.stats.bytes[DISK_WRITE] >> 10, n->disk.stats.pinned >> 10);
    disk_closed(&n->disk);
    nbd_free(n);
}

/* What was sent is answered first, so that no write of this guest comes to the medium later than
 * what the next user does. */
static void close_disk(struct disk *d)
{
    struct nbd *n = nbd_of(d);

    n->closing = true;
    n->close_until = now_ns() + CLOSE_TIME;
    fail_queue(n);
    if (!any_ready(n) || !n->nr_slots)
        work_queue(&n->end_work);
    else
        nbd_set_timer(n);
}

/* ------------------------------------------------------------------ opening */

static const struct disk_driver driver = { .submit = submit, .kick = kick, .close = close_disk };

static void open_nbd(struct disk_open *o)
{
    const char *why = "out of memory";
    struct nbd *n = calloc(1, sizeof(*n));

    if (!n) {
        disk_not_opened(o, -XEN_ENOMEM, "%s", why);
        return;
    }
    if (!nbd_parse_target(o->name, &n->target, &why)) {
        free(n);
        disk_not_opened(o, -XEN_EINVAL, "%s", why);
        return;
    }
    n->disk.driver = &driver;
    n->open = o;
    o->priv = n;
    n->open_until = now_ns() + OPEN_TIME;
    n->nr_conns = 1;
    list_init(&n->queue);
    list_init(&n->leaving);
    work_init(&n->end_work, end_work);
    work_init(&n->leave_work, leave_work);
    timer_init(&n->timer, timer_due);
    log_limit_init(&n->lines);
    for (uint32_t i = 0; i < NBD_CONNS_MAX; i++)
        nbd_conn_init(n, &n->conn[i]);
    nbd_conn_start(&n->conn[0]);
    nbd_set_timer(n);
}

static void cancel(struct disk_open *o)
{
    struct nbd *n = o->priv;

    n->open = NULL;
    nbd_free(n);
}

void nbd_init(struct stream_net *net)
{
    static struct disk_kind kind = { .prefix = "nbd:", .open = open_nbd, .cancel = cancel };

    nbd_net = net;
    disk_kind_add(&kind);
}
