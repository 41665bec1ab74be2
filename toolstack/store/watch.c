/* SPDX-License-Identifier: MIT */
/* watch.c - the table of watches. Pure. */
#include "toolstack/store/watch.h"

#include <stdlib.h>
#include <string.h>

#include "toolstack/store/path.h"
#include "xenabi.h"

#define FIRST_BITS 6

int watch_table_init(struct watch_table *t)
{
    t->bits = FIRST_BITS;
    t->count = 0;
    t->bucket = calloc(1u << t->bits, sizeof(*t->bucket));
    return t->bucket ? 0 : -XEN_ENOMEM;
}

void watch_table_free(struct watch_table *t)
{
    free(t->bucket);
}

size_t watch_bytes(size_t path_len, size_t token_len)
{
    return sizeof(struct watchpoint) + path_len + 1 + sizeof(struct watchgroup) +
           sizeof(struct watch) + token_len + 1;
}

static void grow(struct watch_table *t)
{
    struct watchpoint **bigger = calloc(2u << t->bits, sizeof(*bigger));

    if (!bigger)
        return;
    for (uint32_t b = 0; b < 1u << t->bits; b++) {
        struct watchpoint *p = t->bucket[b], *next;

        for (; p; p = next) {
            struct watchpoint **to = &bigger[path_bucket(p->hash, t->bits + 1)];

            next = p->next;
            p->next = *to;
            *to = p;
        }
    }
    free(t->bucket);
    t->bucket = bigger;
    t->bits++;
}

static struct watchpoint *point_find(const struct watch_table *t, uint64_t hash, const char *path,
                                     size_t len)
{
    struct watchpoint *p = t->bucket[path_bucket(hash, t->bits)];

    for (; p; p = p->next)
        if (p->hash == hash && p->len == len && !memcmp(p->path, path, len))
            return p;
    return NULL;
}

static struct watchpoint *point_new(struct watch_table *t, uint64_t hash, const char *path,
                                    size_t len)
{
    struct watchpoint *p = malloc(sizeof(*p) + len + 1), **bucket;

    if (!p)
        return NULL;
    if (t->count >= 1u << t->bits)
        grow(t);
    list_init(&p->groups);
    p->hash = hash;
    p->len = (uint16_t)len;
    memcpy(p->path, path, len);
    p->path[len] = 0;
    bucket = &t->bucket[path_bucket(hash, t->bits)];
    p->next = *bucket;
    *bucket = p;
    t->count++;
    return p;
}

static void point_drop_if_empty(struct watch_table *t, struct watchpoint *p)
{
    struct watchpoint **q = &t->bucket[path_bucket(p->hash, t->bits)];

    if (!list_empty(&p->groups))
        return;
    while (*q != p)
        q = &(*q)->next;
    *q = p->next;
    t->count--;
    free(p);
}

/*
 * Groups that a client has anywhere: it is asked once per registration, and a path that very
 * many clients watch is rare, so the list of the path is searched, newest first.
 */
static struct watchgroup *group_find(const struct watchpoint *p, const struct client *c)
{
    struct watchgroup *g;

    list_for_each(g, &p->groups, of_point)
        if (g->client == c)
            return g;
    return NULL;
}

static struct watchgroup *group_new(struct watchpoint *p, struct client *c)
{
    struct watchgroup *g = malloc(sizeof(*g));

    if (!g)
        return NULL;
    list_init(&g->watches);
    g->point = p;
    g->client = c;
    list_push_back(&p->groups, &g->of_point);
    return g;
}

static void group_drop_if_empty(struct watchgroup *g)
{
    if (!list_empty(&g->watches))
        return;
    list_remove(&g->of_point);
    free(g);
}

static struct watch *token_find(const struct watchgroup *g, const char *token, size_t len)
{
    struct watch *w;

    list_for_each(w, &g->watches, of_group)
        if (w->token_len == len && !memcmp(w->token, token, len))
            return w;
    return NULL;
}

struct watch *watch_find(const struct watch_table *t, const struct client *c, uint64_t hash,
                         const char *path, size_t len, const char *token, size_t token_len)
{
    struct watchpoint *p = point_find(t, hash, path, len);
    struct watchgroup *g = p ? group_find(p, c) : NULL;

    return g ? token_find(g, token, token_len) : NULL;
}

int watch_add(struct watch_table *t, struct client *c, uint64_t hash, const char *path, size_t len,
              uint32_t base, const char *token, size_t token_len, struct watch **out)
{
    struct watchpoint *p = point_find(t, hash, path, len);
    struct watchgroup *g = p ? group_find(p, c) : NULL;
    struct watch *w;

    if (g && token_find(g, token, token_len))
        return -XEN_EEXIST;
    if (!p)
        p = point_new(t, hash, path, len);
    if (!p)
        return -XEN_ENOMEM;
    if (!g)
        g = group_new(p, c);
    w = g ? malloc(sizeof(*w) + token_len + 1) : NULL;
    if (!w) {
        if (g)
            group_drop_if_empty(g);
        point_drop_if_empty(t, p);
        return -XEN_ENOMEM;
    }
    w->group = g;
    list_init(&w->pending);
    w->priv = NULL;
    w->base = base;
    w->collapsed = false;
    w->token_len = (uint16_t)token_len;
    memcpy(w->token, token, token_len);
    w->token[token_len] = 0;
    list_push_back(&g->watches, &w->of_group);
    list_push_back(&c->watches, &w->of_client);
    c->nr_watches++;
    c->account->bytes += watch_bytes(len, token_len);
    *out = w;
    return 0;
}

void watch_remove(struct watch_table *t, struct watch *w)
{
    struct watchgroup *g = w->group;
    struct watchpoint *p = g->point;
    struct client *c = g->client;

    if (c->forget)
        c->forget(c, w);
    c->nr_watches--;
    c->account->bytes -= watch_bytes(p->len, w->token_len);
    list_remove(&w->of_group);
    list_remove(&w->of_client);
    free(w);
    group_drop_if_empty(g);
    point_drop_if_empty(t, p);
}

void watch_fire(const struct watch_table *t, uint64_t hash, const char *at, size_t at_len,
                const char *path, size_t len, bool (*may_see)(void *arg, const struct client *c),
                void *arg)
{
    struct watchpoint *p = point_find(t, hash, at, at_len);
    struct watchgroup *g;
    struct watch *w;

    if (!p)
        return;
    list_for_each(g, &p->groups, of_point) {
        if (!may_see(arg, g->client))
            continue;
        list_for_each(w, &g->watches, of_group)
            g->client->event(g->client, w, path, len);
    }
}
