/* SPDX-License-Identifier: MIT */
/* world.c - see world.h. */
#include "tests/unit/fakes/world.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/time.h"

#define PORTS  64
#define NODES  512

static struct channel { domid_t dom; evtchn_port_t remote; event_fn fn; void *arg;
                        unsigned int signals; bool pending; } channels[PORTS];
static struct node { char path[128], value[512]; } nodes[NODES];
static struct list watches = LIST_INIT(watches);
/* What watches have to hear, in order; a watch that goes takes its own away. */
static struct { struct xs_watch *watch; char path[128]; } news[4096];
static unsigned int nr_news;
static uint64_t clock_ns = 1000000000;

char fake_log[4096];

/* Events ------------------------------------------------------------------------------------ */

static struct channel *find_channel(domid_t dom, evtchn_port_t remote)
{
    for (unsigned int i = 1; i < PORTS; i++) {
        if (channels[i].fn && channels[i].dom == dom && channels[i].remote == remote)
            return &channels[i];
    }
    return NULL;
}

int event_bind_interdomain(domid_t dom, evtchn_port_t remote, event_fn fn, void *arg,
                           evtchn_port_t *port)
{
    for (unsigned int i = 1; i < PORTS; i++) {
        if (channels[i].fn)
            continue;
        channels[i] = (struct channel){ .dom = dom, .remote = remote, .fn = fn, .arg = arg };
        *port = i;
        return 0;
    }
    return -XEN_ENOSPC;
}

int event_alloc_unbound(domid_t dom, event_fn fn, void *arg, evtchn_port_t *port)
{
    return event_bind_interdomain(dom, 0, fn, arg, port);
}

void event_close(evtchn_port_t port)
{
    channels[port].fn = NULL;
}

void event_send(evtchn_port_t port)
{
    channels[port].signals++;
}

void fake_signal(domid_t dom, evtchn_port_t port)
{
    struct channel *c = find_channel(dom, port);

    if (c)
        c->pending = true;
}

void fake_signal_port(evtchn_port_t port)
{
    if (port < PORTS && channels[port].fn)
        channels[port].pending = true;
}

unsigned int fake_signalled(domid_t dom, evtchn_port_t port)
{
    struct channel *c = find_channel(dom, port);
    unsigned int n = c ? c->signals : 0;

    if (c)
        c->signals = 0;
    return n;
}

unsigned int fake_bound(void)
{
    unsigned int n = 0;

    for (unsigned int i = 1; i < PORTS; i++)
        n += channels[i].fn != NULL;
    return n;
}

bool event_poll(void)
{
    bool any = false;

    for (unsigned int i = 1; i < PORTS; i++) {
        if (!channels[i].fn || !channels[i].pending)
            continue;
        channels[i].pending = false;
        channels[i].fn(channels[i].arg);
        any = true;
    }
    return any;
}

bool event_any_pending(void)
{
    return false;
}

int event_bind_virq(unsigned int virq, event_fn fn, void *arg, evtchn_port_t *port)
{
    return -XEN_ENOSYS;
}

/* Store ------------------------------------------------------------------------------------- */

static struct node *find_node(const char *path)
{
    for (unsigned int i = 0; i < NODES; i++) {
        if (nodes[i].path[0] && strcmp(nodes[i].path, path) == 0)
            return &nodes[i];
    }
    return NULL;
}

static bool is_below(const char *path, const char *top)
{
    size_t n = strlen(top);

    return strncmp(path, top, n) == 0 && (!path[n] || path[n] == '/');
}

static void add_news(struct xs_watch *w, const char *path)
{
    if (nr_news == ARRAY_SIZE(news))
        abort();
    news[nr_news].watch = w;
    snprintf(news[nr_news++].path, sizeof(news[0].path), "%s", path);
}

static void changed(const char *path)
{
    struct xs_watch *w;

    list_for_each(w, &watches, link) {
        if (is_below(path, w->path) || is_below(w->path, path))
            add_news(w, path);
    }
}

static void deliver_news(void)
{
    for (unsigned int i = 0; i < nr_news; i++) {
        if (news[i].watch)
            news[i].watch->fn(news[i].watch, news[i].path);
    }
    nr_news = 0;
}

void fake_write(const char *path, const char *value)
{
    struct node *n = find_node(path);

    for (unsigned int i = 0; !n && i < NODES; i++) {
        if (!nodes[i].path[0])
            n = &nodes[i];
    }
    if (!n)
        abort();
    snprintf(n->path, sizeof(n->path), "%s", path);
    snprintf(n->value, sizeof(n->value), "%s", value);
    changed(path);
}

const char *fake_read(const char *path)
{
    struct node *n = find_node(path);

    return n ? n->value : "";
}

void fake_remove(const char *path)
{
    for (unsigned int i = 0; i < NODES; i++) {
        if (nodes[i].path[0] && is_below(nodes[i].path, path))
            nodes[i].path[0] = '\0';
    }
    changed(path);
}

static int store_read(void *ctx, xs_txn t, const char *path, char *buf, size_t size)
{
    struct node *n = find_node(path);

    if (!n)
        return -XEN_ENOENT;
    snprintf(buf, size, "%s", n->value);
    return (int)strlen(n->value);
}

static int store_write(void *ctx, xs_txn t, const char *path, const void *value, size_t len)
{
    char text[512];

    memcpy(text, value, len);
    text[len] = '\0';
    fake_write(path, text);
    return 0;
}

static int store_rm(void *ctx, xs_txn t, const char *path)
{
    if (!find_node(path))
        return -XEN_ENOENT;
    fake_remove(path);
    return 0;
}

static int store_directory(void *ctx, xs_txn t, const char *path, char *buf, size_t size)
{
    size_t n = strlen(path), used = 0;

    for (unsigned int i = 0; i < NODES; i++) {
        const char *name = nodes[i].path + n + 1;
        size_t len;
        bool known = false;

        if (!nodes[i].path[0] || !is_below(nodes[i].path, path) || !nodes[i].path[n])
            continue;
        len = strcspn(name, "/");
        for (size_t at = 0; at < used; at += strlen(buf + at) + 1)
            known = known || (strlen(buf + at) == len && !memcmp(buf + at, name, len));
        if (known || used + len + 1 > size)
            continue;
        memcpy(buf + used, name, len);
        buf[used + len] = '\0';
        used += len + 1;
    }
    return used ? (int)used : -XEN_ENOENT;
}

static int store_watch(void *ctx, struct xs_watch *w)
{
    list_push_back(&watches, &w->link);
    add_news(w, w->path);
    return 0;
}

static void store_unwatch(void *ctx, struct xs_watch *w)
{
    list_remove(&w->link);
    for (unsigned int i = 0; i < nr_news; i++) {
        if (news[i].watch == w)
            news[i].watch = NULL;
    }
}

static const struct xs_ops store_ops = { .read = store_read, .write = store_write,
    .rm = store_rm, .directory = store_directory, .watch = store_watch, .unwatch = store_unwatch };

/* The rest ---------------------------------------------------------------------------------- */

uint64_t now_ns(void)
{
    return clock_ns;
}

uint32_t random_u32(void)
{
    return 4711;
}

void log_at(enum log_level level, const char *fmt, ...)
{
    size_t used = strlen(fake_log);
    va_list ap;

    if (level == LOG_DEBUG)
        return;
    va_start(ap, fmt);
    vsnprintf(fake_log + used, sizeof(fake_log) - used, fmt, ap);
    va_end(ap);
}

void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    abort();
}

void fake_world_reset(void)
{
    fake_log[0] = '\0';
    memset(channels, 0, sizeof(channels));
    memset(nodes, 0, sizeof(nodes));
    list_init(&watches);
    nr_news = 0;
    xs_set_provider(&store_ops, NULL);
}

/* Turns until surely nothing changes any more. */
void fake_run(void)
{
    deliver_news();
    for (unsigned int i = 0; i < 40; i++)
        loop_turn(false);
    deliver_news();
}

void fake_advance(uint64_t ns)
{
    clock_ns += ns;
    fake_run();
}

