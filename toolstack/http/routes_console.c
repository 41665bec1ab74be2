/* SPDX-License-Identifier: MIT */
/* routes_console.c - endpoints about consoles of domains: what was written, a stream of it, input. */
#include <stdlib.h>
#include "toolstack/http/api.h"
#include "toolstack/vm/console.h"
#include "toolstack/vm/events.h"
#include "lib/printf.h"

static struct console *find_console(struct api_call *k)
{
    struct console *c = console_find(k->name);
    char line[VM_NAME_MAX + 32];
    struct vm *vm;

    if (c)
        return c;
    vm = api_domain_by_number(k->name);
    c = vm ? console_find(vm->cfg.name) : NULL;
    if (!c) {
        snprintf(line, sizeof(line), "no console of a domain %s", k->name);
        http_reply_error(k->conn, 404, line);
    }
    return c;
}

/* ---- a stream of output, until the domain is gone ---- */

struct follower {
    struct http_conn *conn;
    struct console_watch watch;
    struct vm_event_listener events;
    uint64_t pos;
};

static long follow_fill(void *arg, char *buf, size_t size)
{
    struct follower *f = arg;
    struct console *c = f->watch.console;
    size_t n;

    if (!c)
        return -1;
    n = console_read(c, &f->pos, buf, size);
    /* A domain that is built again goes on in the same console. */
    return n || console_alive(c) || vm_find(console_name(c)) ? (long)n : -1;
}

static void follow_gone(void *arg)
{
    struct follower *f = arg;

    console_unwatch(&f->watch);
    vm_events_unlisten(&f->events);
    free(f);
}

static void follow_output(struct console_watch *w)
{
    http_wake(container_of(w, struct follower, watch)->conn);
}

static void follow_event(struct vm_event_listener *l)
{
    http_wake(container_of(l, struct follower, events)->conn);
}

static void follow(struct api_call *k, struct console *con, uint64_t pos)
{
    static const struct http_source source = { .fill = follow_fill, .gone = follow_gone };
    struct follower *f = calloc(1, sizeof(*f));

    if (!f) {
        http_reply_error(k->conn, 503, "out of memory");
        return;
    }
    f->conn = k->conn;
    f->pos = pos;
    f->watch.fn = follow_output;
    f->events.fn = follow_event;
    console_watch(con, &f->watch);
    vm_events_listen(&f->events);
    http_reply_stream(k->conn, TEXT_PLAIN, &source, f);
}

static void console_get(struct api_call *k)
{
    struct console *con = find_console(k);
    uint64_t pos, stream;
    size_t n;
    char *buf;

    if (!con || !api_query(k, "from", 0, &pos) || !api_query(k, "follow", 0, &stream))
        return;
    if (stream) {
        follow(k, con, pos);
        return;
    }
    buf = malloc(CONSOLE_KEEP);
    if (!buf) {
        http_reply_error(k->conn, 503, "out of memory");
        return;
    }
    n = console_read(con, &pos, buf, CONSOLE_KEEP);
    http_set_next(k->conn, pos);
    http_reply(k->conn, 200, TEXT_PLAIN, buf, n);
    free(buf);
}

static void console_put(struct api_call *k)
{
    struct console *con = find_console(k);
    char answer[48];
    size_t n;

    if (!con)
        return;
    n = console_input(con, k->body, (size_t)k->rq->content_length);
    http_reply(k->conn, 200, NULL, answer,
               (size_t)snprintf(answer, sizeof(answer), "{\"accepted\":%zu}\n", n));
}

static const struct api_route rows[] = {
    { HTTP_GET, "/v1/domains/{name}/console", ROLE_READER, 0, console_get },
    { HTTP_POST, "/v1/domains/{name}/console", ROLE_ADMIN, HTTP_BODY_MAX, console_put },
};

API_TABLE(routes_console, rows);
