/* SPDX-License-Identifier: MIT */
/*
 * The HTTP server with a hostile client and an app that does each thing the server offers, by the first
 * letter of the path. Input: commands (a byte, and for some a length) with the bytes that they send.
 *
 * LINK: toolstack/http/server.c toolstack/http/reply.c toolstack/http/parse.c toolstack/net/fair.c
 * LINK: tests/unit/fakes/lower.c lib/json.c lib/utf8.c lib/printf.c lib/strlcpy.c
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "runtime/time.h"
#include "tests/unit/fakes/lower.h"
#include "toolstack/http/server.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CONNS 3

static struct lower low[CONNS];
static int sinks, sources;              /* that were begun and have not ended */
static struct http_deferred *deferred[8];
static unsigned int nr_deferred;

struct part {
    struct http_conn *conn;
    unsigned int left;
    bool refuses;
};

static struct part *streams[64];

static struct part *part_new(struct http_conn *c, unsigned int left)
{
    struct part *p = calloc(1, sizeof(*p));

    p->conn = c;
    p->left = left;
    return p;
}

static int sink_data(void *arg, const void *data, size_t len, const char **why)
{
    struct part *p = arg;

    *why = "enough";
    return p->refuses && p->left < len ? -413 : 0;
}

static void sink_end(void *arg, struct http_conn *c)
{
    sinks--;
    free(arg);
    http_reply(c, 201, NULL, "{}", 2);
}

static void sink_gone(void *arg)
{
    sinks--;
    free(arg);
}

static long source_fill(void *arg, char *buf, size_t size)
{
    struct part *p = arg;

    if (size < HTTP_SOURCE_ROOM / 2)
        __builtin_trap();
    if (!p->left)
        return -1;
    p->left--;
    if (p->left % 3 == 1)
        return 0;
    memset(buf, 's', size / (p->left + 1));
    return (long)(size / (p->left + 1));
}

static void source_gone(void *arg)
{
    sources--;
    for (size_t i = 0; i < 64; i++)
        if (streams[i] == arg)
            streams[i] = NULL;
    free(arg);
}

static const struct http_sink sink = { sink_data, sink_end, sink_gone };
static const struct http_source source = { source_fill, source_gone };
static char text[20000];

static void start_stream(struct http_conn *c)
{
    struct part *p = part_new(c, 9);

    for (size_t i = 0; i < 64; i++) {
        if (!streams[i]) {
            streams[i] = p;
            break;
        }
    }
    sources++;
    http_reply_stream(c, "text/plain", &source, p);
}

static void begin(struct http_conn *c, const struct http_request *rq)
{
    struct part *p;

    if (rq->path[0] != '/')
        __builtin_trap();
    switch (rq->path[1]) {
    case 'c':
        http_collect(c, HTTP_BODY_MAX);
        return;
    case 's':
        start_stream(c);
        return;
    case 'u':
    case 'x':
        if (!rq->has_length)
            break;
        p = part_new(c, 100);
        p->refuses = rq->path[1] == 'x';
        sinks++;
        http_receive(c, &sink, p);
        return;
    case 'd':
        if (nr_deferred == 8)
            break;
        deferred[nr_deferred++] = http_defer(c);
        return;
    case 'f':
        http_reply_static(c, "text/html", "gzip", NULL, text, sizeof(text));
        return;
    case 'b':
        http_reply(c, 200, "text/plain", text, sizeof(text));
        return;
    case 't':
        http_set_trusted(c);
        break;
    }
    http_reply_error(c, 404, "\"nothing\"");
}

static void complete(struct http_conn *c, const struct http_request *rq, const char *body)
{
    if (body[rq->content_length])
        __builtin_trap();
    http_reply(c, 200, NULL, body, rq->content_length);
}

static void answer_deferred(void)
{
    struct http_conn *c;

    if (!nr_deferred)
        return;
    c = http_deferred_conn(deferred[--nr_deferred]);
    if (c)
        http_reply(c, 200, NULL, "late", 4);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const struct http_app app = { begin, complete };

    return http_listen(&lower_net, 80, &app);
}

static void wake_all(void)
{
    for (size_t i = 0; i < 64; i++)
        if (streams[i])
            http_wake(streams[i]->conn);
    fake_run();
}

/* One command; how many bytes of data it used. */
static size_t command(const uint8_t *data, size_t size)
{
    struct lower *l = &low[data[0] >> 4 & 1];
    size_t n = size > 1 ? MIN((size_t)data[1], size - 2) : 0;

    switch (data[0] & 15) {
    case 0:
        lower_give_room(l, size > 1 ? data[1] * 64u : 100);
        return 2;
    case 1:
        fake_time(size > 1 ? data[1] * NS_PER_S / 8 : 1);
        return 2;
    case 2:
        wake_all();
        return 1;
    case 3:
        answer_deferred();
        return 1;
    case 4:
        if (l->ev)
            lower_finish(l);
        return 1;
    case 5:
        if (l->ev)
            lower_reset(l);
        return 1;
    case 6:
        if (!l->ev && lower_connect(l, data[0] >> 5))
            __builtin_trap();
        return 1;
    default:
        if (l->ev && l->in_len + n < sizeof(l->in))
            lower_feed(l, data + 2, n);
        fake_run();
        if (l->out_len > sizeof(l->out) / 2)
            l->out_len = 0;
        return 2 + n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_stats s;

    for (int i = 0; i < 2; i++)
        lower_connect(&low[i], (uint32_t)i);
    while (size) {
        size_t n = MIN(command(data, size), size);

        data += n;
        size -= n;
    }
    while (nr_deferred)
        answer_deferred();
    for (int i = 0; i < 2; i++)
        if (low[i].ev)
            lower_reset(&low[i]);
    fake_time(3600 * NS_PER_S);
    http_get_stats(&s);
    if (s.connections || s.streams || sinks || sources)
        __builtin_trap();
    return 0;
}
