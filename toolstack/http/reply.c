/* SPDX-License-Identifier: MIT */
/*
 * reply.c - answers: whole ones, static ones, and streams of chunks.
 *
 * A stream has one chunk under way; its source is asked for the next when that is sent, so a client
 * that reads slowly holds 4 KiB here and whatever the source keeps.
 */
#include <stdlib.h>
#include "toolstack/http/conn.h"
#include "lib/json.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/log.h"

#define CHUNK_HEAD 6        /* "ffff\r\n" */
#define CHUNK_TAIL 2

static void stream_pump(struct http_conn *c);

void http_conn_end_parts(struct http_conn *c)
{
    const struct http_sink *sink = c->sink;
    const struct http_source *source = c->source;

    c->sink = NULL;
    c->source = NULL;
    if (sink)
        sink->gone(c->arg);
    if (source) {
        http_stats.streams--;
        source->gone(c->arg);
    }
}

static bool send_part(struct http_conn *c, const char *data, size_t len, unsigned int flags)
{
    size_t n = stream_write(c->stream, data + c->out_sent, len - c->out_sent, flags);

    c->out_sent += n;
    if (n)
        timer_set_after(&c->timer, HTTP_IDLE_NS);
    return c->out_sent == len;
}

void http_conn_send(struct http_conn *c)
{
    if (c->out_len) {
        if (!send_part(c, c->out, c->out_len, c->rest_len ? STREAM_MORE : 0))
            return;
        c->out_len = c->out_sent = 0;
    }
    if (c->rest_len) {
        if (!send_part(c, c->rest, c->rest_len, 0))
            return;
        c->rest_len = c->out_sent = 0;
    }
    if (c->state == CONN_STREAM)
        stream_pump(c);
    else if (c->close_after || c->finished)
        http_conn_close(c);
    else
        http_conn_next(c);
}

#define FIELDS_MAX 512      /* what an answer may add to its head */

/* The head of an answer and room for more bytes behind it in out[]; false: c is gone. */
static bool begin_answer(struct http_conn *c, int status, const char *type, const char *more_fields,
                         size_t room)
{
    char head[FIELDS_MAX + 300], next[40] = "";
    int n;

    if (c->body_left)
        c->close_after = true;
    if (c->has_next)
        snprintf(next, sizeof(next), "Next-From: %lu\r\n", c->next);
    c->has_next = false;
    n = snprintf(head, sizeof(head),
                 "HTTP/1.1 %d %s\r\nContent-Type: %s\r\n%s%s%s"
                 "X-Content-Type-Options: nosniff\r\n%s\r\n",
                 status, http_status_text(status), type ? type : "application/json", more_fields,
                 next, status == 401 ? "WWW-Authenticate: Bearer\r\n" : "",
                 c->close_after ? "Connection: close\r\n" : "");
    free(c->out);
    c->out = malloc((size_t)n + room);
    if (!c->out) {
        log_warn("http: no memory for an answer of %zu bytes", room);
        http_conn_drop(c);
        return false;
    }
    memcpy(c->out, head, (size_t)n);
    c->out_len = (size_t)n;
    c->out_sent = 0;
    c->state = CONN_SENDING;
    return true;
}

void http_set_next(struct http_conn *c, uint64_t position)
{
    c->next = position;
    c->has_next = true;
}

void http_reply(struct http_conn *c, int status, const char *type, const void *data, size_t len)
{
    char fields[96];

    snprintf(fields, sizeof(fields), "Content-Length: %zu\r\nCache-Control: no-store\r\n", len);
    if (c->rq.method == HTTP_HEAD)
        len = 0;
    if (!begin_answer(c, status, type, fields, len))
        return;
    memcpy(c->out + c->out_len, data, len);
    c->out_len += len;
    http_conn_send(c);
}

void http_reply_static(struct http_conn *c, const char *type, const char *encoding,
                       const char *more, const void *data, size_t len)
{
    char fields[FIELDS_MAX];

    snprintf(fields, sizeof(fields), "Content-Length: %zu\r\nCache-Control: no-cache\r\n%s%s%s%s", len,
             encoding ? "Content-Encoding: " : "", encoding ? encoding : "",
             encoding ? "\r\n" : "", more ? more : "");
    if (!begin_answer(c, 200, type, fields, 0))
        return;
    if (c->rq.method != HTTP_HEAD) {
        c->rest = data;
        c->rest_len = len;
    }
    http_conn_send(c);
}

void http_reply_error(struct http_conn *c, int status, const char *what)
{
    char buf[512];
    struct json_out o;

    json_begin(&o, buf, sizeof(buf) - 1);
    json_open(&o, NULL, '{');
    json_string(&o, "error", what);
    json_close(&o, '}');
    o.len = MIN(o.len, sizeof(buf) - 1);
    buf[o.len++] = '\n';
    http_reply(c, status, NULL, buf, o.len);
}

/* Later. */

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

/* Streams. */

/* The last chunk; what follows is an ordinary end of an answer. */
static void stream_end(struct http_conn *c)
{
    http_conn_end_parts(c);
    c->state = CONN_SENDING;
    if (c->chunked) {
        memcpy(c->out, "0\r\n\r\n", 5);
        c->out_len = 5;
    }
    http_conn_send(c);
}

static void stream_pump(struct http_conn *c)
{
    char head[CHUNK_HEAD + 1];
    long n;

    /* The client has closed its side: nobody listens for more. */
    n = c->finished ? -1 : c->source->fill(c->arg, c->out + CHUNK_HEAD, HTTP_SOURCE_ROOM);
    if (n == 0) {
        timer_cancel(&c->timer);
        return;
    }
    if (n < 0) {
        stream_end(c);
        return;
    }
    if (c->chunked) {
        snprintf(head, sizeof(head), "%04lx\r\n", (unsigned long)n);
        memcpy(c->out, head, CHUNK_HEAD);
        memcpy(c->out + CHUNK_HEAD + n, "\r\n", CHUNK_TAIL);
        c->out_len = CHUNK_HEAD + (size_t)n + CHUNK_TAIL;
    } else {
        memmove(c->out, c->out + CHUNK_HEAD, (size_t)n);
        c->out_len = (size_t)n;
    }
    c->out_sent = 0;
    timer_set_after(&c->timer, HTTP_IDLE_NS);
    /* Not from here again: a source that is always full must not keep others waiting. */
    if (send_part(c, c->out, c->out_len, 0)) {
        c->out_len = c->out_sent = 0;
        work_queue(&c->work);
    }
}

void http_reply_stream(struct http_conn *c, const char *type, const struct http_source *source,
                       void *arg)
{
    if (http_stats.streams == HTTP_STREAMS) {
        source->gone(arg);
        http_reply_error(c, 503, "too many streams are open");
        return;
    }
    http_stats.streams++;
    c->source = source;
    c->arg = arg;
    c->chunked = c->rq.version_1_1;
    if (!c->chunked)
        c->close_after = true;
    if (!begin_answer(c, 200, type,
                      c->chunked ? "Transfer-Encoding: chunked\r\nCache-Control: no-store\r\n"
                                 : "Cache-Control: no-store\r\n",
                      CHUNK_HEAD + HTTP_SOURCE_ROOM + CHUNK_TAIL))
        return;
    if (c->rq.method == HTTP_HEAD) {
        http_conn_end_parts(c);
        http_conn_send(c);
        return;
    }
    c->state = CONN_STREAM;
    if (send_part(c, c->out, c->out_len, 0)) {
        c->out_len = c->out_sent = 0;
        work_queue(&c->work);
    }
}

void http_wake(struct http_conn *c)
{
    if (c->state == CONN_STREAM && !c->out_len)
        work_queue(&c->work);
}
