/* SPDX-License-Identifier: MIT */
/*
 * nbdconn.c - one connection to an NBD server: handshake, sending requests, taking replies.
 *
 * The server is not trusted: a reply must name a request that was sent whole on this very connection
 * and is not answered yet; anything else ends the connection. What it sends for a read goes nowhere but into
 * that read's pages, and no further than it is long.
 */
#include <stdlib.h>
#include "blkback/nbd.h"
#include "lib/string.h"
#include "runtime/mem.h"
#include "runtime/time.h"
#include "xenabi.h"

#define IN_FLIGHT 64u               /* requests on one connection */

static void why(struct nbd_conn *c, const char *text)
{
    strlcpy(c->nbd->why, text, sizeof(c->nbd->why));
}

/* ------------------------------------------------------------------ the end of it */

/* TCP wants it no more. */
static void lingered(struct nbd *n, struct nbd_req *r)
{
    if (r->io)
        nbd_req_done(n, r, r->rc);
    else
        nbd_req_free(n, r);
}

/* Requests that it had wait in the queue again, before all others, in their order. */
static void give_back(struct nbd_conn *c)
{
    struct nbd *n = c->nbd;

    while (!list_empty(&c->sent)) {
        struct nbd_req *r = list_entry(c->sent.prev, struct nbd_req, link);

        list_remove(&r->link);
        r->conn = NULL;
        r->sent_whole = false;
        if (r->pinned && r->pinned->unreadable) {
            nbd_req_done(n, r, -XEN_EIO);
            continue;
        }
        list_push_front(&n->queue, &r->link);
        n->disk.stats.resent++;
    }
    while (!list_empty(&c->lingering)) {
        struct nbd_req *r = list_first(&c->lingering, struct nbd_req, link);

        list_remove(&r->link);
        lingered(n, r);
    }
    c->nr_sent = 0;
    c->reading = NULL;
    c->broken = false;
}

static void ended(struct nbd_conn *c, bool refused)
{
    c->s = NULL;
    c->state = NBD_IDLE;
    give_back(c);
    nbd_conn_lost(c, refused);
}

void nbd_conn_drop(struct nbd_conn *c)
{
    disk_settle();                  /* copies out of what the stream still holds */
    if (c->s)
        stream_abort(c->s);
    c->s = NULL;
    c->state = NBD_IDLE;
    give_back(c);
}

static void drop_because(struct nbd_conn *c, const char *text, bool refused)
{
    why(c, text);
    nbd_conn_drop(c);
    nbd_conn_lost(c, refused);
}

void nbd_conn_broken(struct nbd_conn *c)
{
    if (c->s)
        stream_mute(c->s);
    c->broken = true;
    work_queue(&c->nbd->leave_work);
}

void nbd_conn_finish(struct nbd_conn *c)
{
    uint8_t bye[NBD_REQUEST_SIZE];

    if (c->state != NBD_READY || c->broken || !list_empty(&c->lingering)) {
        nbd_conn_drop(c);
        return;
    }
    disk_settle();
    nbd_put_request(bye, NBD_CMD_DISC, 0, 0, 0, 0);
    (void)stream_write(c->s, bye, sizeof(bye), 0);
    stream_close(c->s);
    c->s = NULL;
    c->state = NBD_IDLE;
}

/* ------------------------------------------------------------------ sending */

static const uint8_t commands[DISK_OPS] = {
    [DISK_READ] = NBD_CMD_READ, [DISK_WRITE] = NBD_CMD_WRITE, [DISK_FLUSH] = NBD_CMD_FLUSH,
    [DISK_DISCARD] = NBD_CMD_TRIM, [DISK_WRITE_ZEROES] = NBD_CMD_WRITE_ZEROES,
};

static void unreadable(void *arg)
{
    struct nbd_req *r = arg;

    if (r->conn)
        nbd_conn_broken(r->conn);
}

/* Has a write's data stay in the guest's pages until nobody wants it any more. */
static bool pin(struct nbd *n, struct nbd_req *r)
{
    r->pinned = disk_pin(r->io);
    if (!r->pinned)
        return false;
    r->pinned->failed = unreadable;
    r->pinned->arg = r;
    r->nr_pages = r->pinned->nr;
    n->pages += r->nr_pages;
    return true;
}

/* Takes a write's data. False: no memory for it now. */
static bool fetch(struct nbd_conn *c, struct nbd_req *r)
{
    struct nbd *n = c->nbd;
    uint32_t pages = (r->bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;

    if (r->io->op != DISK_WRITE || r->nr_pages)
        return true;
    if (n->pages && n->pages + pages > NBD_PAGES)
        return false;
    if (r->bytes >= NBD_PIN && stream_by_dma(c->s) && pin(n, r))
        return true;
    r->page = malloc(pages * sizeof(*r->page));
    for (; r->page && r->nr_pages < pages; r->nr_pages++) {
        uint32_t at = r->nr_pages << PAGE_SHIFT;
        void *p = page_alloc();

        if (!p)
            break;
        r->page[r->nr_pages] = p;
        n->pages++;
        disk_take(r->io, at, p, MIN(r->bytes - at, (uint32_t)PAGE_SIZE));
    }
    if (r->page && r->nr_pages == pages)
        return true;
    disk_settle();
    nbd_pages_free(n, r);
    return false;
}

/* Puts one request from the queue on the connection. */
static void begin(struct nbd_conn *c, struct nbd_req *r)
{
    const struct disk_io *io = r->io;

    list_remove(&r->link);
    list_push_back(&c->sent, &r->link);
    c->nr_sent++;
    r->conn = c;
    r->sent_whole = false;
    nbd_put_request(r->header, commands[io->op], io->flags & DISK_FUA ? NBD_CMD_FUA : 0, r->handle,
                    io->sector << SECTOR_SHIFT, (uint32_t)(io->sectors << SECTOR_SHIFT));
    c->header_at = c->data_at = 0;
}

/* Gives n bytes to the stream, by reference. False: it did not take all. */
static bool write_ref(struct nbd_conn *c, const void *data, uint32_t n, bool more, uint32_t *at)
{
    size_t taken = stream_write(c->s, data, n, STREAM_REF | (more ? STREAM_MORE : 0));

    *at += (uint32_t)taken;
    c->written += taken;
    return taken == n;
}

/* Writes as much of the last request as there is room for. True: all of it. more: another follows. */
static bool push(struct nbd_conn *c, struct nbd_req *r, bool more)
{
    uint32_t data = r->nr_pages ? r->bytes : 0;

    if (c->header_at < NBD_REQUEST_SIZE &&
        !write_ref(c, r->header + c->header_at, NBD_REQUEST_SIZE - c->header_at, data || more, &c->header_at))
        return false;
    while (c->data_at < data) {
        uint32_t off = c->data_at & (PAGE_SIZE - 1), n = data - c->data_at;
        const void *p;

        if (r->pinned) {
            p = pinned_addr(r->pinned, c->data_at);
        } else {
            p = (char *)r->page[c->data_at >> PAGE_SHIFT] + off;
            n = MIN((uint32_t)PAGE_SIZE - off, n);
        }
        if (!write_ref(c, p, n, more || c->data_at + n < data, &c->data_at))
            return false;
    }
    r->end = c->written;
    r->sent_whole = true;
    return true;
}

void nbd_conn_send(struct nbd_conn *c)
{
    struct nbd *n = c->nbd;
    struct nbd_req *r, *tmp;
    uint64_t before = c->written;
    uint32_t fetched = 0;

    if (c->state != NBD_READY || c->broken)
        return;
    if (!list_empty(&c->sent)) {
        r = list_entry(c->sent.prev, struct nbd_req, link);
        if (!r->sent_whole && !push(c, r, !list_empty(&n->queue)))
            return;
    }
    /* The data of all that will go now is taken from the guest, or pinned, in one hypercall. */
    list_for_each(r, &n->queue, link) {
        if (c->nr_sent + fetched >= IN_FLIGHT || !fetch(c, r))
            break;
        fetched++;
    }
    disk_settle();
    list_for_each_safe(r, tmp, &n->queue, link) {
        if (!fetched--)
            break;
        if (r->io->op == DISK_WRITE && disk_copy_failed(r->io)) {
            list_remove(&r->link);
            nbd_req_done(n, r, -XEN_EIO);
            continue;
        }
        if (list_empty(&c->sent))
            c->progress_at = now_ns();
        begin(c, r);
        if (!push(c, r, fetched))
            break;
    }
    if (c->written != before)
        (void)stream_write(c->s, "", 0, 0);     /* the end of STREAM_MORE */
}

/* ------------------------------------------------------------------ receiving */

/* The request is answered; TCP may still want it for a while. What is pinned is answered to the guest only then. */
static void answered(struct nbd_conn *c, struct nbd_req *r, int rc)
{
    struct disk_io *io;

    list_remove(&r->link);
    c->nr_sent--;
    r->is_answered = true;
    if (r->pinned && !rc)
        c->nbd->disk.stats.pinned += r->bytes - MIN(r->bytes, r->pinned->copied);
    if (r->end <= c->acked) {
        nbd_req_done(c->nbd, r, rc);
        return;
    }
    list_push_back(&c->lingering, &r->link);
    r->rc = rc;
    if (r->pinned)
        return;
    nbd_slot_free(c->nbd, r);
    io = r->io;
    r->io = NULL;
    disk_done(io, rc);
}

/* A whole header is there. False: the connection was dropped. */
static bool take_reply(struct nbd_conn *c)
{
    struct nbd *n = c->nbd;
    struct nbd_reply reply;
    struct nbd_req *r;

    c->reply_have = 0;
    if (!nbd_get_reply(c->reply, &reply)) {
        drop_because(c, "the server sent what is no reply", false);
        return false;
    }
    r = n->slot[reply.handle % NBD_SLOTS];
    if (!r || r->conn != c || r->handle != reply.handle || !r->sent_whole || r->is_answered) {
        drop_because(c, "the server answered a request that it was not sent", false);
        return false;
    }
    if (reply.error == NBD_ESHUTDOWN) {
        drop_because(c, "the server is shutting down", false);
        return false;
    }
    if (!reply.error && r->io->op == DISK_READ) {
        c->reading = r;
        c->read_at = 0;
    } else {
        answered(c, r, nbd_error(reply.error));
    }
    return true;
}

static size_t receive_replies(struct nbd_conn *c, const uint8_t *data, size_t len)
{
    size_t at = 0;

    while (at < len) {
        struct nbd_req *r = c->reading;

        if (r) {
            uint32_t n = (uint32_t)MIN((size_t)(r->bytes - c->read_at), len - at);

            disk_give(r->io, c->read_at, data + at, n);
            c->read_at += n;
            at += n;
            if (c->read_at == r->bytes) {
                c->reading = NULL;
                answered(c, r, 0);
            }
        } else {
            uint32_t n = (uint32_t)MIN((size_t)(NBD_REPLY_SIZE - c->reply_have), len - at);

            memcpy(c->reply + c->reply_have, data + at, n);
            c->reply_have += n;
            at += n;
            if (c->reply_have == NBD_REPLY_SIZE && !take_reply(c))
                break;
        }
    }
    return len;
}

static size_t receive_hello(struct nbd_conn *c, const uint8_t *data, size_t len)
{
    uint8_t out[NBD_HELLO_OUT];
    size_t out_len, n = nbd_hello_input(&c->hello, data, len, out, &out_len);

    if (out_len)
        (void)stream_write(c->s, out, out_len, 0);
    c->written += out_len;
    if (c->hello.state == NBD_HELLO_FAILED) {
        drop_because(c, c->hello.why, c->hello.refused);
        return len;
    }
    if (c->hello.state != NBD_HELLO_DONE)
        return n;
    c->state = NBD_READY;
    if (!nbd_conn_ready(c)) {
        if (c->s)
            nbd_conn_finish(c);
        nbd_conn_lost(c, true);
        return len;
    }
    return n;
}

/* The data that was given away is not ours any longer. */
static void received_all(void *arg)
{
    struct nbd_conn *c = arg;

    c->progress_at = now_ns();
    disk_settle();
    if (c->state == NBD_READY && !list_empty(&c->nbd->queue))
        nbd_conn_send(c);
}

static size_t received(void *arg, const uint8_t *data, size_t len)
{
    struct nbd_conn *c = arg;
    size_t n = 0;

    if (c->state == NBD_HELLO)
        n = receive_hello(c, data, len);
    if (c->state != NBD_READY)
        return len;
    return n + receive_replies(c, data + n, len - n);
}

/* ------------------------------------------------------------------ other events */

static void acked(void *arg, size_t bytes)
{
    struct nbd_conn *c = arg;
    struct nbd_req *r, *tmp;

    c->acked += bytes;
    c->progress_at = now_ns();
    list_for_each_safe(r, tmp, &c->lingering, link) {
        if (r->end > c->acked)
            continue;
        list_remove(&r->link);
        lingered(c->nbd, r);
    }
}

static void writable(void *arg)
{
    nbd_conn_send(arg);
}

static const char *connect_error(int rc)
{
    switch (rc) {
    case -XEN_ECONNRESET:
        return "connection refused";
    case -XEN_ETIMEDOUT:
        return "no answer";
    case -XEN_EHOSTUNREACH:
        return "no route to it";
    case -XEN_ENOENT:
        return "no such host";
    default:
        return "cannot connect";
    }
}

static void connected(void *arg, int rc)
{
    struct nbd_conn *c = arg;

    if (rc) {
        why(c, connect_error(rc));
        ended(c, rc == -XEN_ECONNRESET);
        return;
    }
    c->state = NBD_HELLO;
    c->progress_at = now_ns();
    stream_keepalive(c->s, 10, 5, 4);
    nbd_hello_init(&c->hello, c->nbd->target.export);
}

/* The server has nothing more to say. Aborted, because pages that were given by reference must not
 * stay behind in a connection that is being closed. */
static void finished(void *arg)
{
    drop_because(arg, "the server closed the connection", false);
}

static void closed(void *arg, int rc)
{
    struct nbd_conn *c = arg;

    why(c, "the connection broke");
    ended(c, false);
}

static const struct stream_events events = {
    .connected = connected, .received = received, .received_all = received_all, .writable = writable, .acked = acked,
    .finished = finished, .closed = closed,
};

/* ------------------------------------------------------------------ the beginning of it */

static void resolved(void *arg, int rc, uint32_t ip)
{
    struct nbd_conn *c = arg;
    struct nbd *n = c->nbd;

    n->resolving--;
    if (n->dead || c->state != NBD_RESOLVING) {
        if (n->dead && !n->resolving)
            free(n);
        return;
    }
    if (!rc) {
        n->ip = ip;
        c->state = NBD_CONNECTING;
        c->progress_at = now_ns();
        rc = nbd_net->connect(nbd_net->ctx, (struct stream_addr){ ip, n->target.port }, &events, c,
                              &c->s);
    }
    if (rc) {
        why(c, connect_error(rc));
        ended(c, rc == -XEN_ENOENT);
    }
}

void nbd_conn_start(struct nbd_conn *c)
{
    c->state = NBD_RESOLVING;
    c->header_at = c->data_at = c->reply_have = c->read_at = 0;
    c->written = c->acked = 0;
    c->progress_at = now_ns();
    c->nbd->resolving++;
    nbd_net->resolve(nbd_net->ctx, c->nbd->target.host, resolved, c);
}

void nbd_conn_init(struct nbd *n, struct nbd_conn *c)
{
    c->nbd = n;
    list_init(&c->sent);
    list_init(&c->lingering);
}
