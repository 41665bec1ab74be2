/* SPDX-License-Identifier: MIT */
/*
 * server.c - HTTP connections: collect a request, hand it to the app, go on to the next.
 *
 * A connection has one request under way. Bytes of the next one stay with the stream until the
 * answer is sent, so a client that pipelines is slowed down, not buffered. When connections run
 * out, the newcomer gets the place of the one that toolstack/net/fair.c points at.
 */
#include <stdlib.h>
#include "toolstack/http/conn.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/time.h"
#include "toolstack/net/fair.h"
#include "xenabi.h"

/* An upload that is slower than this on average is given up. */
#define SLOWEST_BYTES_PER_S 1024u

static struct list conns = LIST_INIT(conns);
static uint32_t nr_conns;
static const struct http_app *app;
struct http_stats http_stats;

/* Does not touch the stream. */
static void conn_free(struct http_conn *c)
{
    timer_cancel(&c->timer);
    work_cancel(&c->work);
    list_remove(&c->link);
    nr_conns--;
    if (c->deferred)
        c->deferred->conn = NULL;
    http_conn_end_parts(c);
    free(c->body);
    free(c->out);
    free(c);
}

void http_conn_drop(struct http_conn *c)
{
    stream_abort(c->stream);
    conn_free(c);
}

void http_conn_close(struct http_conn *c)
{
    stream_close(c->stream);
    conn_free(c);
}

static void on_timeout(struct timer *t)
{
    struct http_conn *c = container_of(t, struct http_conn, timer);

    if (c->state == CONN_HANDLER)       /* ours to be late, not the client's */
        timer_set_after(t, HTTP_IDLE_NS);
    else
        http_conn_drop(c);
}

void http_conn_next(struct http_conn *c)
{
    free(c->body);
    free(c->out);
    c->body = c->out = NULL;
    c->head_len = c->body_len = c->out_len = c->out_sent = 0;
    c->body_left = 0;
    c->context = NULL;
    c->state = CONN_HEAD;
    timer_set_after(&c->timer, HTTP_IDLE_NS);
    stream_resume(c->stream);
}

void http_set_context(struct http_conn *c, const void *context)
{
    c->context = context;
}

const void *http_context(const struct http_conn *c)
{
    return c->context;
}

void http_set_trusted(struct http_conn *c)
{
    c->trusted = true;
}

const char *http_identity(struct http_conn *c)
{
    return stream_identity(c->stream);
}

const uint8_t *http_fingerprint(struct http_conn *c)
{
    return stream_fingerprint(c->stream);
}

void http_drop_others(const struct http_conn *c)
{
    struct http_conn *i, *next;

    list_for_each_safe(i, next, &conns, link)
        if (i != c)
            http_conn_drop(i);
}

/* ------------------------------------------------------------------ receiving */

static void refuse(struct http_conn *c, int status, const char *why)
{
    http_stats.refused++;
    c->close_after = true;
    http_reply_error(c, status, why);
}

static void say_continue(struct http_conn *c)
{
    if (c->rq.expect_continue && c->rq.version_1_1)
        stream_write(c->stream, "HTTP/1.1 100 Continue\r\n\r\n", 25, 0);
}

static void call_complete(struct http_conn *c)
{
    c->state = CONN_HANDLER;
    if (c->body)
        c->body[c->body_len] = '\0';
    app->complete(c, &c->rq, c->body ? c->body : "");
}

void http_collect(struct http_conn *c, size_t max)
{
    if (c->rq.content_length > max) {
        refuse(c, 413, max ? "the body is too long" : "this request has no body");
        return;
    }
    if (!c->rq.content_length) {
        call_complete(c);
        return;
    }
    c->body = malloc(c->rq.content_length + 1);
    if (!c->body) {
        refuse(c, 503, "out of memory");
        return;
    }
    c->state = CONN_BODY;
    say_continue(c);
}

static void sink_end(struct http_conn *c)
{
    const struct http_sink *sink = c->sink;

    c->sink = NULL;
    c->state = CONN_HANDLER;
    sink->end(c->arg, c);
}

void http_receive(struct http_conn *c, const struct http_sink *sink, void *arg)
{
    c->sink = sink;
    c->arg = arg;
    if (!c->rq.content_length) {
        sink_end(c);
        return;
    }
    c->state = CONN_SINK;
    say_continue(c);
}

/* Takes bytes of the head; returns how many belonged to it. c may be gone when all were taken. */
static size_t take_head(struct http_conn *c, const uint8_t *data, size_t len, bool *alive)
{
    size_t before = c->head_len, n = MIN(len, sizeof(c->head) - c->head_len);
    int rc;

    memcpy(c->head + c->head_len, data, n);
    c->head_len += n;
    rc = http_parse_head(c->head, c->head_len, &c->rq);
    *alive = false;
    if (rc < 0) {
        refuse(c, -rc, c->rq.why);
        return len;
    }
    if (rc == 0)
        return n;
    c->close_after = !c->rq.keep_alive;
    c->body_left = c->rq.content_length;
    c->state = CONN_HANDLER;
    http_stats.requests++;
    n = (size_t)rc - before;
    *alive = c->body_left && n < len;
    app->begin(c, &c->rq);
    return n;
}

/* Minus a status ends the request. */
static void take_sink(struct http_conn *c, const uint8_t *data, size_t n)
{
    const char *why = "";
    int rc = c->sink->data(c->arg, data, n, &why);

    if (rc < 0) {
        http_conn_end_parts(c);
        refuse(c, -rc, why);
        return;
    }
    c->body_left -= n;
    if (!c->body_left)
        sink_end(c);
    else if (c->rq.content_length - c->body_left > SLOWEST_BYTES_PER_S * (HTTP_IDLE_NS / NS_PER_S))
        timer_set_after(&c->timer, HTTP_IDLE_NS);
}

static void take_body(struct http_conn *c, const uint8_t *data, size_t n)
{
    memcpy(c->body + c->body_len, data, n);
    c->body_len += n;
    c->body_left -= n;
    if (!c->body_left)
        call_complete(c);
}

static bool still_there(const struct http_conn *c)
{
    struct http_conn *i;

    list_for_each(i, &conns, link)
        if (i == c)
            return true;
    return false;
}

static size_t on_received(void *arg, const uint8_t *data, size_t len)
{
    struct http_conn *c = arg;
    size_t taken = 0, n;
    bool alive = true;

    if (c->state == CONN_HEAD) {
        taken = take_head(c, data, len, &alive);
        /* An answer at once may have been the connection's end. */
        alive = alive && still_there(c);
    }
    if (!alive || taken == len)
        return taken;
    n = MIN(len - taken, c->body_left);
    if (c->state == CONN_BODY)
        take_body(c, data + taken, n);
    else if (c->state == CONN_SINK)
        take_sink(c, data + taken, n);
    else
        n = 0;
    return taken + n;
}

static void on_writable(void *arg)
{
    struct http_conn *c = arg;

    if (c->state == CONN_SENDING || c->state == CONN_STREAM)
        http_conn_send(c);
}

/* The client sends no more. What it asked for is still answered. */
static void on_finished(void *arg)
{
    struct http_conn *c = arg;

    c->finished = true;
    if (c->state == CONN_HEAD || c->state == CONN_BODY || c->state == CONN_SINK)
        http_conn_close(c);
    else if (c->state == CONN_STREAM)
        http_wake(c);
}

static void on_closed(void *arg, int rc)
{
    conn_free(arg);
}

static void on_work(struct work *w)
{
    struct http_conn *c = container_of(w, struct http_conn, work);

    if (c->state == CONN_STREAM && !c->out_len)
        http_conn_send(c);
}

static const struct stream_events conn_events = {
    .received = on_received,
    .writable = on_writable,
    .finished = on_finished,
    .closed = on_closed,
};

/* Ends a connection so that one from this peer has a place. */
static bool make_room(struct stream_addr peer)
{
    struct fair_entry list[HTTP_CONNECTIONS];
    struct http_conn *all[HTTP_CONNECTIONS], *c;
    size_t n = 0;
    int victim;

    list_for_each(c, &conns, link) {
        list[n] = (struct fair_entry){
            .ip = c->peer.ip,
            .since = c->since,
            .trusted = c->trusted,
            .busy = c->trusted && c->state != CONN_HEAD,
        };
        all[n++] = c;
    }
    victim = fair_victim(list, n, peer.ip);
    if (victim < 0)
        return false;
    http_stats.evicted++;
    http_conn_drop(all[victim]);
    return true;
}

static int on_accept(void *arg, struct stream *s, struct stream_addr peer)
{
    struct http_conn *c;

    if (nr_conns == HTTP_CONNECTIONS && !make_room(peer))
        return -XEN_EBUSY;
    c = calloc(1, sizeof(*c));
    if (!c)
        return -XEN_ENOMEM;
    c->stream = s;
    c->peer = peer;
    c->since = now_ns();
    timer_init(&c->timer, on_timeout);
    work_init(&c->work, on_work);
    timer_set_after(&c->timer, HTTP_IDLE_NS);
    list_push_back(&conns, &c->link);
    nr_conns++;
    stream_set_events(s, &conn_events, c);
    return 0;
}

int http_listen(struct stream_net *net, uint16_t port, const struct http_app *a)
{
    app = a;
    return net->listen(net->ctx, port, on_accept, NULL);
}

void http_get_stats(struct http_stats *s)
{
    *s = http_stats;
    s->connections = nr_conns;
}
