/* SPDX-License-Identifier: MIT */
/*
 * local.c - dom0's one store, and dom0's own access to it: runtime/xs.h without a ring.
 *
 * All parts of dom0 are one client. Events are queued and told from the loop, because an
 * operation must never find itself inside another one. The queue is bounded like that of a
 * guest (conn.h): beyond LOCAL_EVENTS_MAX a watch owes one event for the path it watches.
 */
#include "toolstack/store/local.h"

#include <stdlib.h>
#include <string.h>

#include "lib/printf.h"
#include "runtime/loop.h"
#include "toolstack/store/server.h"

#define LOCAL_EVENTS_MAX 4096

struct wire store_wire;

static struct client local;
static struct list events = LIST_INIT(events); /* struct local_event.link */
static unsigned int nr_events, nr_collapsed;
static struct work deliver_work;
static uint32_t next_token;

struct local_event {
    struct list link;
    struct list of_watch; /* struct watch.pending */
    struct watch *watch;
    uint32_t len;
    char path[];
};

/* ---- events ---- */

static void event_free(struct local_event *e)
{
    list_remove(&e->link);
    list_remove(&e->of_watch);
    nr_events--;
    free(e);
}

static bool event_queue(struct watch *w, const char *path, size_t len)
{
    struct local_event *e = malloc(sizeof(*e) + len + 1);

    if (!e)
        return false;
    e->watch = w;
    e->len = (uint32_t)len;
    memcpy(e->path, path, len);
    e->path[len] = 0;
    list_push_back(&events, &e->link);
    list_push_back(&w->pending, &e->of_watch);
    nr_events++;
    return true;
}

static void local_event(struct client *c, struct watch *w, const char *path, size_t len)
{
    struct local_event *e;

    path += w->base;
    len -= w->base;
    work_queue(&deliver_work);
    if (w->collapsed)
        return;
    /* Backends watch few paths that many events come for: the newest is the likely one. */
    if (!list_empty(&w->pending)) {
        e = list_entry(w->pending.prev, struct local_event, of_watch);
        if (e->len == len && !memcmp(e->path, path, len))
            return;
    }
    if (nr_events < LOCAL_EVENTS_MAX && !nr_collapsed && event_queue(w, path, len))
        return;
    w->collapsed = true;
    nr_collapsed++;
}

static void local_forget(struct client *c, struct watch *w)
{
    struct local_event *e, *tmp;

    if (w->collapsed)
        nr_collapsed--;
    list_for_each_safe(e, tmp, &w->pending, of_watch)
        event_free(e);
}

static void pay_collapsed(void)
{
    struct watch *w;

    list_for_each(w, &local.watches, of_client) {
        if (!nr_collapsed)
            return;
        if (!w->collapsed)
            continue;
        if (!event_queue(w, watch_path(w) + w->base, w->group->point->len - w->base))
            return;
        w->collapsed = false;
        nr_collapsed--;
    }
}

/* Tells what was queued when this turn began: what comes meanwhile waits for the next turn. */
static void deliver(struct work *work)
{
    for (unsigned int n = nr_events; n && nr_events; n--) {
        struct local_event *e = list_first(&events, struct local_event, link);
        struct xs_watch *xw = e->watch->priv;

        /* Off the lists first: fn may unwatch itself or others, which frees their events. */
        list_remove(&e->link);
        list_remove(&e->of_watch);
        nr_events--;
        xw->fn(xw, e->path);
        free(e);
    }
    if (!nr_events && nr_collapsed)
        pay_collapsed();
    if (nr_events)
        work_queue(work);
}

/* ---- runtime/xs.h ---- */

static int get_txn(xs_txn id, struct txn **x)
{
    *x = id ? txn_find(&local, id) : NULL;
    return id && !*x ? -XEN_ENOENT : 0;
}

static int local_read(void *ctx, xs_txn t, const char *path, char *buf, size_t size)
{
    const struct value *v = NULL;
    struct txn *x;
    size_t n;
    int rc = get_txn(t, &x);

    if (!rc)
        rc = ops_read(&store_wire.store, &local, x, path, strlen(path), &v);
    if (rc)
        return rc;
    if (size) {
        n = MIN(value_len(v), size - 1);
        if (n)
            memcpy(buf, v->bytes, n);
        buf[n] = 0;
    }
    return (int)value_len(v);
}

static int local_write(void *ctx, xs_txn t, const char *path, const void *value, size_t len)
{
    struct txn *x;
    int rc = get_txn(t, &x);

    return rc ? rc : ops_write(&store_wire.store, &local, x, path, strlen(path), value, len);
}

static int local_mkdir(void *ctx, xs_txn t, const char *path)
{
    struct txn *x;
    int rc = get_txn(t, &x);

    return rc ? rc : ops_mkdir(&store_wire.store, &local, x, path, strlen(path));
}

static int local_rm(void *ctx, xs_txn t, const char *path)
{
    struct txn *x;
    int rc = get_txn(t, &x);

    return rc ? rc : ops_rm(&store_wire.store, &local, x, path, strlen(path));
}

struct names {
    char *buf;
    size_t size, len;
};

static void add_name(void *arg, const char *name, size_t len)
{
    struct names *n = arg;

    /* Whole names only; the length goes on, so that the caller sees what it lacks. */
    if (n->len + len + 1 <= n->size)
        memcpy(n->buf + n->len, name, len + 1);
    n->len += len + 1;
}

static int local_directory(void *ctx, xs_txn t, const char *path, char *buf, size_t size)
{
    struct names names = { .buf = buf, .size = size };
    struct txn *x;
    int rc = get_txn(t, &x);

    if (!rc)
        rc = ops_directory(&store_wire.store, &local, x, path, strlen(path), add_name, &names,
                           NULL);
    return rc ? rc : (int)names.len;
}

static int local_set_perms(void *ctx, xs_txn t, const char *path, const struct xs_perm *p,
                           size_t n)
{
    struct perm entry[PERMS_MAX];
    struct txn *x;
    int rc = get_txn(t, &x);

    if (rc)
        return rc;
    if (n > PERMS_MAX)
        return -XEN_EINVAL;
    for (size_t i = 0; i < n; i++) {
        entry[i].domid = p[i].dom;
        entry[i].access = (p[i].access & XS_PERM_READ ? PERM_READ : 0) |
                          (p[i].access & XS_PERM_WRITE ? PERM_WRITE : 0);
    }
    return ops_set_perms(&store_wire.store, &local, x, path, strlen(path), entry,
                         (unsigned int)n);
}

static int local_txn_start(void *ctx, xs_txn *t)
{
    struct txn *x;
    int rc = ops_txn_start(&store_wire.store, &local, &x);

    if (!rc)
        *t = x->id;
    return rc;
}

static int local_txn_end(void *ctx, xs_txn t, bool commit)
{
    struct txn *x = txn_find(&local, t);

    return x ? ops_txn_end(&store_wire.store, x, commit) : -XEN_ENOENT;
}

static int local_watch(void *ctx, struct xs_watch *xw)
{
    struct watch *w;
    char token[16];
    int rc, len;

    /* Ours alone, so that two parts may watch the same path. */
    len = snprintf(token, sizeof(token), "%u", ++next_token);
    rc = ops_watch(&store_wire.store, &local, xw->path, strlen(xw->path), token, (size_t)len, &w);
    if (rc)
        return rc;
    w->priv = xw;
    xw->priv = w;
    local_event(&local, w, watch_path(w), w->group->point->len);
    return 0;
}

static void local_unwatch(void *ctx, struct xs_watch *xw)
{
    if (xw->priv)
        watch_remove(&store_wire.store.watches, xw->priv);
    xw->priv = NULL;
}

const struct xs_ops store_xs_ops = {
    .read = local_read,
    .write = local_write,
    .mkdir = local_mkdir,
    .rm = local_rm,
    .directory = local_directory,
    .set_perms = local_set_perms,
    .txn_start = local_txn_start,
    .txn_end = local_txn_end,
    .watch = local_watch,
    .unwatch = local_unwatch,
};

int store_start(uint64_t seed)
{
    static const char *const first[] = { "/tool", "/local/domain" };
    int rc = store_init(&store_wire.store, seed);

    if (rc)
        return rc;
    store_wire.is_introduced = store_domain_is_connected;
    work_init(&deliver_work, deliver);
    rc = client_init(&store_wire.store, &local, 0, local_event);
    local.forget = local_forget;
    for (unsigned int i = 0; i < ARRAY_SIZE(first) && !rc; i++)
        rc = local_mkdir(NULL, XS_NO_TXN, first[i]);
    return rc;
}

bool store_get_usage(domid_t domid, unsigned int *nodes, size_t *bytes)
{
    const struct account *a = account_find(&store_wire.store.tree.perms, domid);

    if (!a)
        return false;
    *nodes = a->nodes;
    *bytes = a->bytes;
    return true;
}
