/* SPDX-License-Identifier: MIT */
/*
 * watch.h - who wants to know of changes where. Pure.
 *
 * Watches stand in a hash table under the path they watch: a change looks at the paths of the
 * node and its ancestors only, whoever else watches whatever. The watches of one client at one
 * path are a group, so permissions are looked at once per client.
 */
#ifndef STORE_WATCH_H
#define STORE_WATCH_H

#include "toolstack/store/perm.h"

struct watch;

/* One who uses the store: a domain behind a ring, or a part of dom0. */
struct client {
    struct account *account; /* holds a reference */
    size_t byte_limit;       /* of account->bytes, SIZE_MAX: none */
    struct list watches;     /* struct watch.of_client, oldest first */
    struct list txns;        /* struct txn.of_client */
    unsigned int nr_watches;
    unsigned int nr_txns;
    uint32_t next_txn;
    uint16_t domid;
    /*
     * A watch of this client fires for path. Must only note it: the store is in the middle of a
     * change. path[w->base..] is what the client calls the path.
     */
    void (*event)(struct client *c, struct watch *w, const char *path, size_t len);
    /* The watch is about to go: nothing may refer to it any more. May be NULL. */
    void (*forget)(struct client *c, struct watch *w);
};

/* May the client's account grow by that much? */
static inline bool client_affords(const struct client *c, size_t bytes)
{
    return c->byte_limit == SIZE_MAX ||
           (bytes <= c->byte_limit && c->account->bytes <= c->byte_limit - bytes);
}

struct watchpoint {
    struct watchpoint *next; /* in watch_table.bucket */
    struct list groups;      /* struct watchgroup.of_point */
    uint64_t hash;
    uint16_t len;
    char path[];
};

struct watchgroup {
    struct list of_point;
    struct list watches; /* struct watch.of_group */
    struct watchpoint *point;
    struct client *client;
};

struct watch {
    struct list of_group;
    struct list of_client;
    struct watchgroup *group;
    struct list pending; /* the client's: events not delivered yet */
    void *priv;          /* the client's */
    uint32_t base;       /* leading bytes of paths that the client does not see */
    uint16_t token_len;
    bool collapsed;      /* the client's: owes one event for the watched path itself */
    char token[];
};

struct watch_table {
    struct watchpoint **bucket; /* 1 << bits */
    unsigned int bits;
    unsigned int count; /* watchpoints */
};

int watch_table_init(struct watch_table *t); /* 0 or -XEN_ENOMEM */
void watch_table_free(struct watch_table *t); /* no watches are left */

/*
 * Watches an absolute path (or a special event's name) with that hash.
 * 0, -XEN_EEXIST (this client has it with this token already), -XEN_ENOMEM.
 */
int watch_add(struct watch_table *t, struct client *c, uint64_t hash, const char *path, size_t len,
              uint32_t base, const char *token, size_t token_len, struct watch **out);
struct watch *watch_find(const struct watch_table *t, const struct client *c, uint64_t hash,
                         const char *path, size_t len, const char *token, size_t token_len);
void watch_remove(struct watch_table *t, struct watch *w);
size_t watch_bytes(size_t path_len, size_t token_len); /* what the client is charged */

static inline const char *watch_path(const struct watch *w)
{
    return w->group->point->path;
}

/* Fires what stands exactly at at[0..at_len), for those who may see it; they are told path. */
void watch_fire(const struct watch_table *t, uint64_t hash, const char *at, size_t at_len,
                const char *path, size_t len, bool (*may_see)(void *arg, const struct client *c),
                void *arg);

#endif
