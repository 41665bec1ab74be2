/* SPDX-License-Identifier: MIT */
/*
 * server.c - HTTP connections: collect a request, hand it to the handler, send the answer.
 *
 * A connection has one request under way. Bytes of the next one stay with the stream until the
 * answer is sent, so a client that pipelines is slowed down, not buffered.
 */
#include <stdlib.h>
#include "toolstack/http/server.h"
#include "lib/json.h"
#include "lib/list.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/time.h"
#include "xenabi.h"

enum conn_state {
    CONN_HEAD,              /* collecting the head */
    CONN_BODY,              /* collecting the body */
    CONN_HANDLER,           /* the answer is being made */
    CONN_SENDING,           /* out[] is on its way */
};

struct http_deferred {
    struct http_conn *conn;     /* NULL: the client has gone */
};

struct http_conn {
    struct list link;
    struct stream *stream;
    enum conn_state state;
    struct timer timer;
    struct http_request rq;
    char head[HTTP_HEAD_MAX];
    size_t head_len;
    char *body;
    size_t body_len;
    char *out;
    size_t out_len, out_sent;
    bool close_after, finished;
    struct http_deferred *deferred;
};

static struct list conns = LIST_INIT(conns);
static uint32_t nr_conns;
static http_handler handle;
static struct http_stats stats;

static void conn_free(struct http_conn *c)
{
    timer_cancel(&c->timer);
    list_remove(&c->link);
    nr_conns--;
    if (c->deferred)
        c->deferred->conn = NULL;
    free(c->body);
    free(c->out);
    free(c);
}

static void conn_drop(struct http_conn *c)
{
    stream_abort(c->stream);
    conn_free(c);
}

static void conn_close(struct http_conn *c)
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
        conn_drop(c);
}

static void request_over(struct http_conn *c)
{
    free(c->body);
    free(c->out);
    c->body = c->out = NULL;
    c->head_len = c->body_len = c->out_len = c->out_sent = 0;
    c->state = CONN_HEAD;
    timer_set_after(&c->timer, HTTP_IDLE_NS);
    stream_resume(c->stream);
}

/* Sends what fits. May free c. */
static void conn_send(struct http_conn *c)
{
    size_t left = c->out_len - c->out_sent;
    size_t n = stream_write(c->stream, c->out + c->out_sent, left, 0);

    c->out_sent += n;
    if (n)
        timer_set_after(&c->timer, HTTP_IDLE_NS);
    if (c->out_sent < c->out_len)
        return;
    if (c->close_after || c->finished)
        conn_close(c);
    else
        request_over(c);
}

void http_reply(struct http_conn *c, int status, const char *type, const void *data, size_t len)
{
    char head[256];
    int n;

    n = snprintf(head, sizeof(head),
                 "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                 "Cache-Control: no-store\r\n%s\r\n",
                 status, http_status_text(status), type ? type : "application/json", len,
                 c->close_after ? "Connection: close\r\n" : "");
    if (c->rq.method == HTTP_HEAD)
        len = 0;
    c->out = malloc((size_t)n + len);
    if (!c->out) {
        log_warn("http: no memory for an answer of %zu bytes", len);
        conn_drop(c);
        return;
    }
    memcpy(c->out, head, (size_t)n);
    memcpy(c->out + n, data, len);
    c->out_len = (size_t)n + len;
    c->out_sent = 0;
    c->state = CONN_SENDING;
    conn_send(c);
}

void http_reply_error(struct http_conn *c, int status, const char *what)
{
    char buf[512];
    struct json_out o;

    json_begin(&o, buf, sizeof(buf));
    json_open(&o, NULL, '{');
    json_string(&o, "error", what);
    json_close(&o, '}');
    http_reply(c, status, NULL, buf, MIN(o.len, sizeof(buf)));
}

struct http_deferred *http_defer(struct http_conn *c)
{
    struct http_deferred *d = malloc(sizeof(*d));

    if (d) {
        d->conn = c;
        c->deferred = d;
    }
    return d;
}

struct http_conn *http_deferred_conn(struct http_deferred *d)
{
    struct http_conn *c = d->conn;

    if (c)
        c->deferred = NULL;
    free(d);
    return c;
}

/* ------------------------------------------------------------------ receiving */

static void refuse(struct http_conn *c, int status, const char *why)
{
    stats.refused++;
    c->close_after = true;
    http_reply_error(c, status, why);
}

static void call_handler(struct http_conn *c)
{
    c->state = CONN_HANDLER;
    stats.requests++;
    if (c->body)
        c->body[c->body_len] = '\0';
    handle(c, &c->rq, c->body ? c->body : "");
}

/* The head is complete, *head_bytes of it. True when a body is to be read. */
static bool head_done(struct http_conn *c)
{
    c->close_after = !c->rq.keep_alive;
    if (c->rq.content_length > HTTP_BODY_MAX) {
        refuse(c, 413, "the body is larger than 64 KiB");
        return false;
    }
    if (!c->rq.has_length && (c->rq.method == HTTP_POST || c->rq.method == HTTP_PUT))
        c->rq.content_length = 0;
    if (!c->rq.content_length) {
        call_handler(c);
        return false;
    }
    c->body = malloc(c->rq.content_length + 1);
    if (!c->body) {
        refuse(c, 503, "out of memory");
        return false;
    }
    c->body_len = 0;
    c->state = CONN_BODY;
    if (c->rq.expect_continue)
        stream_write(c->stream, "HTTP/1.1 100 Continue\r\n\r\n", 25, 0);
    return true;
}

/* Takes bytes of the head; returns how many belonged to it. *alive: c may be used further. */
static size_t take_head(struct http_conn *c, const uint8_t *data, size_t len, bool *more)
{
    size_t before = c->head_len, n = MIN(len, sizeof(c->head) - c->head_len);
    int rc;

    memcpy(c->head + c->head_len, data, n);
    c->head_len += n;
    rc = http_parse_head(c->head, c->head_len, &c->rq);
    *more = false;
    if (rc < 0) {
        refuse(c, -rc, c->rq.why);
        return len;
    }
    if (rc == 0)
        return n;
    *more = head_done(c);
    return (size_t)rc - before;
}

static size_t on_received(void *arg, const uint8_t *data, size_t len)
{
    struct http_conn *c = arg;
    size_t taken = 0;
    bool body = c->state == CONN_BODY;

    if (c->state == CONN_HEAD)
        taken = take_head(c, data, len, &body);
    if (body && taken < len) {
        size_t n = MIN(len - taken, c->rq.content_length - c->body_len);

        memcpy(c->body + c->body_len, data + taken, n);
        c->body_len += n;
        taken += n;
        if (c->body_len == c->rq.content_length)
            call_handler(c);
    }
    return taken;
}

static void on_writable(void *arg)
{
    struct http_conn *c = arg;

    if (c->state == CONN_SENDING)
        conn_send(c);
}

/* The client sends no more. What it asked for is still answered. */
static void on_finished(void *arg)
{
    struct http_conn *c = arg;

    c->finished = true;
    if (c->state == CONN_HEAD || c->state == CONN_BODY)
        conn_close(c);
}

static void on_closed(void *arg, int rc)
{
    conn_free(arg);
}

static const struct stream_events conn_events = {
    .received = on_received,
    .writable = on_writable,
    .finished = on_finished,
    .closed = on_closed,
};

static int on_accept(void *arg, struct stream *s, struct stream_addr peer)
{
    struct http_conn *c;

    if (nr_conns == HTTP_CONNECTIONS)
        return -XEN_EBUSY;
    c = calloc(1, sizeof(*c));
    if (!c)
        return -XEN_ENOMEM;
    c->stream = s;
    timer_init(&c->timer, on_timeout);
    timer_set_after(&c->timer, HTTP_IDLE_NS);
    list_push_back(&conns, &c->link);
    nr_conns++;
    stream_set_events(s, &conn_events, c);
    return 0;
}

int http_listen(struct stream_net *net, uint16_t port, http_handler handler)
{
    handle = handler;
    return net->listen(net->ctx, port, on_accept, NULL);
}

void http_get_stats(struct http_stats *s)
{
    *s = stats;
    s->connections = nr_conns;
}
