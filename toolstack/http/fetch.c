/* SPDX-License-Identifier: MIT */
/* fetch.c - a small HTTP client (see fetch.h). */
#include <stdlib.h>
#include "toolstack/http/fetch.h"
#include "toolstack/http/response.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "lib/why.h"
#include "runtime/loop.h"
#include "xenabi.h"

#define REDIRECTS 5u

struct fetch {
    struct stream_net *net;
    const struct fetch_events *ev;
    void *arg;
    struct url url;
    struct stream *stream;      /* NULL: none now */
    struct timer timer;
    struct work begin;
    bool resolving, cancelled;
    bool body;                  /* the head was read */
    uint64_t left;
    unsigned int redirects;
    char head[RESPONSE_HEAD_MAX];
    size_t head_len;
};

static void drop_stream(struct fetch *f)
{
    if (f->stream)
        stream_abort(f->stream);
    f->stream = NULL;
}

/* Frees f unless a name is being looked up: then its answer does. */
static void release(struct fetch *f)
{
    timer_cancel(&f->timer);
    work_cancel(&f->begin);
    drop_stream(f);
    f->cancelled = true;
    if (!f->resolving)
        free(f);
}

void fetch_cancel(struct fetch *f)
{
    release(f);
}

static void over(struct fetch *f, int rc, const char *why)
{
    const struct fetch_events *ev = f->ev;
    void *arg = f->arg;

    release(f);
    ev->done(arg, rc, why);
}

static void fail(struct fetch *f, const char *what, int rc)
{
    char why[WHY_MAX];

    why_set(why, rc, "http://%s:%u: %s (error %d)", f->url.host, f->url.port, what, -rc);
    over(f, rc, why);
}

static void redirect(struct fetch *f, const char *location)
{
    struct url next;
    char why[WHY_MAX];
    int rc;

    if (!*location || f->redirects++ == REDIRECTS) {
        over(f, -XEN_EIO, *location ? "too many redirections" : "a redirection to nowhere");
        return;
    }
    rc = url_resolve(&next, &f->url, location, why);
    if (rc) {
        over(f, rc, why);
        return;
    }
    drop_stream(f);
    f->url = next;
    f->head_len = 0;
    f->body = false;
    work_queue(&f->begin);
}

/* False: f is gone, or its stream. */
static bool take_response(struct fetch *f, const struct http_response *r)
{
    char why[WHY_MAX];
    int rc;

    if (r->status == 301 || r->status == 302 || r->status == 303 || r->status == 307 ||
        r->status == 308) {
        redirect(f, r->location);
        return false;
    }
    if (r->status != 200) {
        why_set(why, 0, "http://%s:%u%s: status %d", f->url.host, f->url.port, f->url.path,
                r->status);
        over(f, -XEN_ENOENT, why);
        return false;
    }
    if (!r->has_length || r->has_encoding) {
        fail(f, "the server does not say how long the file is", -XEN_EINVAL);
        return false;
    }
    rc = f->ev->size(f->arg, r->content_length, why);
    if (rc) {
        over(f, rc, why);
        return false;
    }
    f->left = r->content_length;
    f->body = true;
    return true;
}

static size_t take_head(struct fetch *f, const uint8_t *data, size_t len)
{
    size_t before = f->head_len, n = MIN(len, sizeof(f->head) - f->head_len);
    struct http_response r;
    int end;

    memcpy(f->head + before, data, n);
    f->head_len += n;
    end = http_parse_response(f->head, f->head_len, &r);
    if (end == 0)
        return n;
    if (end < 0) {
        fail(f, "no HTTP response", -XEN_EIO);
        return len;
    }
    return take_response(f, &r) ? (size_t)end - before : len;
}

static size_t on_received(void *arg, const uint8_t *data, size_t len)
{
    struct fetch *f = arg;
    size_t taken = 0;

    timer_set_after(&f->timer, FETCH_IDLE_NS);
    if (!f->body) {
        taken = take_head(f, data, len);
        if (taken == len)       /* or f is gone */
            return len;
    }
    if (f->left) {
        size_t n = MIN(len - taken, f->left);

        f->left -= n;
        f->ev->data(f->arg, data + taken, n);
    }
    if (!f->left)
        over(f, 0, "");
    return len;
}

static void on_connected(void *arg, int rc)
{
    struct fetch *f = arg;
    char ask[URL_PATH_MAX + URL_HOST_MAX + 96];
    size_t n;

    if (rc) {
        f->stream = NULL;
        fail(f, "cannot connect", rc);
        return;
    }
    n = (size_t)snprintf(ask, sizeof(ask),
                         "GET %s HTTP/1.0\r\nHost: %s:%u\r\nUser-Agent: sluice\r\n"
                         "Connection: close\r\n\r\n",
                         f->url.path, f->url.host, f->url.port);
    if (stream_write(f->stream, ask, n, 0) != n)
        fail(f, "cannot send", -XEN_EIO);
}

static void on_finished(void *arg)
{
    struct fetch *f = arg;

    /* An empty file has no byte that could have brought us here. */
    if (f->body && !f->left)
        over(f, 0, "");
    else
        fail(f, "the server ended before the file did", -XEN_ECONNRESET);
}

static void on_closed(void *arg, int rc)
{
    struct fetch *f = arg;

    f->stream = NULL;
    fail(f, "the connection broke", rc ? rc : -XEN_ECONNRESET);
}

static void on_timeout(struct timer *t)
{
    fail(container_of(t, struct fetch, timer), "no answer in time", -XEN_ETIMEDOUT);
}

static const struct stream_events events = {
    .connected = on_connected,
    .received = on_received,
    .finished = on_finished,
    .closed = on_closed,
};

static void resolved(void *arg, int rc, uint32_t ip)
{
    struct fetch *f = arg;
    struct stream_addr to = { .ip = ip, .port = f->url.port };

    f->resolving = false;
    if (f->cancelled) {
        free(f);
        return;
    }
    if (rc) {
        fail(f, "no such host", rc);
        return;
    }
    rc = f->net->connect(f->net->ctx, to, &events, f, &f->stream);
    if (rc) {
        f->stream = NULL;
        fail(f, "cannot connect", rc);
    }
}

/* The answer may come while we ask: then f may be gone afterwards. */
static void on_begin(struct work *w)
{
    struct fetch *f = container_of(w, struct fetch, begin);

    f->resolving = true;
    timer_set_after(&f->timer, FETCH_IDLE_NS);
    f->net->resolve(f->net->ctx, f->url.host, resolved, f);
}

struct fetch *fetch_start(struct stream_net *net, const char *url, const struct fetch_events *ev,
                          void *arg, char *why)
{
    struct fetch *f = calloc(1, sizeof(*f));

    if (!f) {
        why_set(why, -XEN_ENOMEM, "out of memory");
        return NULL;
    }
    if (url_parse(&f->url, url, why)) {
        free(f);
        return NULL;
    }
    f->net = net;
    f->ev = ev;
    f->arg = arg;
    timer_init(&f->timer, on_timeout);
    work_init(&f->begin, on_begin);
    work_queue(&f->begin);
    return f;
}
