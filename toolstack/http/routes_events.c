/* SPDX-License-Identifier: MIT */
/* routes_events.c - what happens to domains, as a stream of JSON objects, one a line. */
#include <stdlib.h>
#include "toolstack/http/api.h"
#include "toolstack/vm/events.h"
#include "lib/printf.h"

#define EVENT_JSON 768      /* of one at most: names and texts of escapes alone */

_Static_assert(EVENT_JSON * 2 <= HTTP_SOURCE_ROOM, "an event fits whenever fill() is called");

struct follower {
    struct http_conn *conn;
    struct vm_event_listener listener;
    uint64_t seq;
};

static size_t event_json(const struct vm_event *e, char *buf, size_t size)
{
    struct json_out o;

    json_begin(&o, buf, size);
    json_open(&o, NULL, '{');
    json_uint(&o, "seq", e->seq);
    json_seconds(&o, "time", e->seconds * 1000000000UL + e->nanoseconds);
    json_string(&o, "event", vm_event_name(e->type));
    if (e->domain[0])
        json_string(&o, "domain", e->domain);
    if (e->has_domid)
        json_uint(&o, "id", e->domid);
    if (e->text[0])
        json_string(&o, "text", e->text);
    json_close(&o, '}');
    return o.len;
}

static long fill(void *arg, char *buf, size_t size)
{
    struct follower *f = arg;
    struct vm_event e;
    size_t len = 0;

    while (size - len > EVENT_JSON && vm_events_next(&f->seq, &e)) {
        size_t n = event_json(&e, buf + len, size - len - 1);

        len += MIN(n, size - len - 1);
        buf[len++] = '\n';
    }
    return (long)len;
}

static void gone(void *arg)
{
    struct follower *f = arg;

    vm_events_unlisten(&f->listener);
    free(f);
}

static void on_event(struct vm_event_listener *l)
{
    http_wake(container_of(l, struct follower, listener)->conn);
}

static void get_events(struct api_call *k)
{
    static const struct http_source source = { .fill = fill, .gone = gone };
    struct follower *f;
    uint64_t seq;

    if (!api_query(k, "from", vm_events_end(), &seq))
        return;
    f = calloc(1, sizeof(*f));
    if (!f) {
        http_reply_error(k->conn, 503, "out of memory");
        return;
    }
    f->conn = k->conn;
    f->seq = seq;
    f->listener.fn = on_event;
    vm_events_listen(&f->listener);
    http_reply_stream(k->conn, "application/x-ndjson", &source, f);
}

static const struct api_route rows[] = {
    { HTTP_GET, "/v1/events", ROLE_READER, 0, get_events },
};

API_TABLE(routes_events, rows);
