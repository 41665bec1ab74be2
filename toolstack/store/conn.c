/* SPDX-License-Identifier: MIT */
/* conn.c - one client of the store behind a byte stream. Pure. */
#include "toolstack/store/conn.h"

#include <stdlib.h>
#include <string.h>

/* ---- out ---- */

static struct conn_out *event_new(const struct watch *w, const char *path, size_t len)
{
    struct xsd_sockmsg head = { .type = XS_WATCH_EVENT };
    struct conn_out *o;

    head.len = (uint32_t)(len + 1 + w->token_len + 1);
    o = malloc(sizeof(*o) + sizeof(head) + head.len);
    if (!o)
        return NULL;
    o->len = sizeof(head) + head.len;
    o->sent = 0;
    o->is_event = true;
    memcpy(o->bytes, &head, sizeof(head));
    memcpy(o->bytes + sizeof(head), path, len);
    o->bytes[sizeof(head) + len] = 0;
    memcpy(o->bytes + sizeof(head) + len + 1, w->token, w->token_len + 1u);
    return o;
}

static void event_queue(struct conn *c, struct watch *w, struct conn_out *o)
{
    list_push_back(&c->out, &o->link);
    list_push_back(&w->pending, &o->of_watch);
    c->events++;
    c->event_bytes += o->len;
}

static struct conn_out *short_answer(struct conn *c)
{
    return (void *)c->answer;
}

static void out_free(struct conn *c, struct conn_out *o)
{
    list_remove(&o->link);
    if (o->is_event) {
        list_remove(&o->of_watch);
        c->events--;
        c->event_bytes -= o->len;
    } else {
        c->answering = false;
    }
    if (o != short_answer(c))
        free(o);
}

/* The same event waits already, untouched. */
static bool waits(const struct watch *w, const char *path, size_t len)
{
    uint32_t size = (uint32_t)(sizeof(struct xsd_sockmsg) + len + 1 + w->token_len + 1u);
    struct conn_out *o;

    list_for_each(o, &w->pending, of_watch)
        if (o->len == size && !o->sent &&
            !memcmp(o->bytes + sizeof(struct xsd_sockmsg), path, len))
            return true;
    return false;
}

static void collapse(struct conn *c, struct watch *w)
{
    w->collapsed = true;
    c->collapsed++;
}

static void conn_event(struct client *client, struct watch *w, const char *path, size_t len)
{
    struct conn *c = container_of(client, struct conn, client);
    struct conn_out *o = NULL;

    path += w->base;
    len -= w->base;
    /* Cannot be said in one message: the reference drops these as well. */
    if (c->error || w->collapsed || len + w->token_len + 2u > XENSTORE_PAYLOAD_MAX ||
        waits(w, path, len))
        return;
    if (c->events < CONN_EVENTS_MAX && c->event_bytes < CONN_EVENT_BYTES && !c->collapsed)
        o = event_new(w, path, len);
    if (o)
        event_queue(c, w, o);
    else
        collapse(c, w);
    c->wake(c);
}

static void conn_forget(struct client *client, struct watch *w)
{
    struct conn *c = container_of(client, struct conn, client);
    struct conn_out *o, *tmp;

    if (w->collapsed)
        c->collapsed--;
    list_for_each_safe(o, tmp, &w->pending, of_watch) {
        if (o->sent)
            list_remove(&o->of_watch); /* has begun, so it must end */
        else
            out_free(c, o);
    }
}

/* Everything that waited is out: now say what is owed. Without memory it stays owed. */
static void pay_collapsed(struct conn *c)
{
    struct watch *w;

    list_for_each(w, &c->client.watches, of_client) {
        struct conn_out *o;

        if (!c->collapsed || c->events >= CONN_EVENTS_MAX)
            return;
        if (!w->collapsed)
            continue;
        o = event_new(w, watch_path(w) + w->base, w->group->point->len - w->base);
        if (!o)
            return;
        w->collapsed = false;
        c->collapsed--;
        event_queue(c, w, o);
    }
}

size_t conn_output(struct conn *c, char *bytes, size_t room)
{
    size_t done = 0;

    while (done < room) {
        struct conn_out *o;
        size_t n;

        if (list_empty(&c->out) && c->collapsed)
            pay_collapsed(c);
        o = list_first(&c->out, struct conn_out, link);
        if (!o)
            break;
        n = MIN(room - done, (size_t)(o->len - o->sent));
        memcpy(bytes + done, o->bytes + o->sent, n);
        o->sent += (uint32_t)n;
        done += n;
        if (o->sent == o->len)
            out_free(c, o);
    }
    return done;
}

/* ---- in ---- */

static struct conn_out *answer_alloc(struct conn *c, uint32_t len)
{
    return len <= CONN_SMALL ? short_answer(c) : malloc(sizeof(struct conn_out) + len);
}

/* Puts the answer in front of `mark`, that is, before the events that its request caused. */
static void answer(struct conn *c, struct xsd_sockmsg *msg, struct list *mark)
{
    struct conn_out *o = answer_alloc(c, sizeof(*msg) + msg->len);

    if (!o) {
        /* Only reading makes long answers, so nothing was done that would be denied here. */
        wire_error(c->wire, msg, -XEN_ENOMEM);
        o = short_answer(c);
    }
    o->is_event = false;
    o->sent = 0;
    o->len = sizeof(*msg) + msg->len;
    list_init(&o->of_watch);
    memcpy(o->bytes, msg, sizeof(*msg));
    memcpy(o->bytes + sizeof(*msg), c->wire->reply, msg->len);
    list_insert_between(&o->link, mark->prev, mark);
    c->answering = true;
}

static void body_free(struct conn *c)
{
    if (c->body != c->small)
        free(c->body);
    c->body = NULL;
    c->head_got = c->body_got = 0;
}

static void handle(struct conn *c)
{
    struct xsd_sockmsg msg = c->head;
    struct list mark;

    list_push_back(&c->out, &mark);
    if (c->body)
        wire_handle(c->wire, &c->client, &msg, c->body);
    else
        wire_error(c->wire, &msg, -XEN_ENOMEM);
    answer(c, &msg, &mark);
    list_remove(&mark);
    body_free(c);
    c->wake(c);
}

/* The header is complete. */
static void begin_body(struct conn *c)
{
    if (c->head.len > XENSTORE_PAYLOAD_MAX)
        c->error = XENSTORE_ERROR_PROTO;
    else
        c->body = c->head.len <= sizeof(c->small) ? c->small : malloc(c->head.len);
}

size_t conn_input(struct conn *c, const char *bytes, size_t len)
{
    size_t done = 0;

    while (done < len && conn_accepts(c)) {
        size_t n;

        if (c->head_got < sizeof(c->head)) {
            n = MIN(len - done, sizeof(c->head) - c->head_got);
            memcpy((char *)&c->head + c->head_got, bytes + done, n);
            c->head_got += (uint32_t)n;
            if (c->head_got == sizeof(c->head))
                begin_body(c);
        } else {
            n = MIN(len - done, (size_t)(c->head.len - c->body_got));
            if (c->body)
                memcpy(c->body + c->body_got, bytes + done, n);
            c->body_got += (uint32_t)n;
        }
        done += n;
        if (!c->error && c->head_got == sizeof(c->head) && c->body_got == c->head.len)
            handle(c);
    }
    return done;
}

/* ---- life ---- */

int conn_init(struct conn *c, struct wire *w, uint16_t domid, void (*wake)(struct conn *c))
{
    int rc;

    memset(c, 0, sizeof(*c));
    rc = client_init(&w->store, &c->client, domid, conn_event);
    if (rc)
        return rc;
    c->client.forget = conn_forget;
    c->wire = w;
    c->wake = wake;
    list_init(&c->out);
    return 0;
}

void conn_reset(struct conn *c)
{
    client_reset(&c->wire->store, &c->client);
    while (!list_empty(&c->out))
        out_free(c, list_first(&c->out, struct conn_out, link));
    body_free(c);
    c->error = XENSTORE_ERROR_NONE;
}

void conn_close(struct conn *c)
{
    conn_reset(c);
    client_close(&c->wire->store, &c->client);
}
