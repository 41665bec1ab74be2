/* SPDX-License-Identifier: MIT */
/*
 * ops.h - what can be asked of the store: names, permissions, quotas, events. Pure.
 *
 * Every operation is done for a client, inside its transaction x or outside (x NULL), on a path
 * as the client wrote it. A refused one changes nothing. Errors, besides those named:
 *   -XEN_EINVAL  not a valid path
 *   -XEN_ENOENT  no such node, and the nearest ancestor may be accessed in the same way
 *   -XEN_EACCES  not permitted, or nothing the client is to know about
 *   -XEN_ENOMEM  no memory, or the client's share of it is used up
 *   -XEN_ENOSPC  a quota
 * dom0 (domain 0) may do everything and has no quotas.
 */
#ifndef STORE_OPS_H
#define STORE_OPS_H

#include "toolstack/store/txn.h"

/* What a domain other than dom0 may have. */
struct store_quota {
    unsigned int nodes, watches, txns, perms;
    size_t value; /* bytes of one value */
    size_t bytes; /* all together */
};

enum store_special {
    STORE_INTRODUCE, /* @introduceDomain: the store began to serve a domain */
    STORE_RELEASE,   /* @releaseDomain: a domain is gone, or has shut down */
    STORE_SPECIALS
};

struct store {
    struct tree tree;
    struct watch_table watches;
    struct perms *special[STORE_SPECIALS];
    struct store_quota quota;
    size_t path_len;
    char path[PATH_BUF];  /* of the operation that runs */
    char event[PATH_BUF]; /* of the event that is being told */
};

/* seed: unpredictable. 0 or -XEN_ENOMEM. free: all clients are closed. */
int store_init(struct store *s, uint64_t seed);
void store_free(struct store *s);

/* event: see struct client. close: watches and transactions go, nodes stay. */
int client_init(struct store *s, struct client *c, uint16_t domid,
                void (*event)(struct client *c, struct watch *w, const char *path, size_t len));
void client_close(struct store *s, struct client *c);
void client_reset(struct store *s, struct client *c); /* RESET_WATCHES */

/* A domain is gone for good: the nodes that it owns go with all that is below them, and
 * nobody's permissions name it any more. Its client, if any, is closed already. */
void ops_domain_died(struct store *s, uint16_t domid);
void store_fire_special(struct store *s, enum store_special which);

/* The value; NULL when it is empty. Valid until the store changes. */
int ops_read(struct store *s, struct client *c, struct txn *x, const char *path, size_t len,
             const struct value **value);
int ops_write(struct store *s, struct client *c, struct txn *x, const char *path, size_t len,
              const void *bytes, size_t value_len);
int ops_mkdir(struct store *s, struct client *c, struct txn *x, const char *path, size_t len);
/* Fine if there is no such node but its parent. "/": -XEN_EINVAL. */
int ops_rm(struct store *s, struct client *c, struct txn *x, const char *path, size_t len);

typedef void (*ops_name_fn)(void *arg, const char *name, size_t len);
/* Calls fn (if any) with the name of each child. *generation, if wanted, is another number
 * whenever the list has changed. */
int ops_directory(struct store *s, struct client *c, struct txn *x, const char *path, size_t len,
                  ops_name_fn fn, void *arg, uint64_t *generation);

/* Valid until the store changes. Both also take the name of a special event. */
int ops_get_perms(struct store *s, struct client *c, struct txn *x, const char *path, size_t len,
                  const struct perms **perms);
/* -XEN_EPERM: only dom0 gives nodes away. -XEN_EINVAL: no entries, or too many for anybody. */
int ops_set_perms(struct store *s, struct client *c, struct txn *x, const char *path, size_t len,
                  const struct perm *entry, unsigned int count);

/* -XEN_EEXIST, -XEN_E2BIG (too many watches). The first event is the caller's to tell.
 * unwatch: -XEN_ENOENT; find first, so that the client can forget what is pending. */
int ops_watch(struct store *s, struct client *c, const char *path, size_t len, const char *token,
              size_t token_len, struct watch **w);
int ops_find_watch(struct store *s, struct client *c, const char *path, size_t len,
                   const char *token, size_t token_len, struct watch **w);

int ops_txn_start(struct store *s, struct client *c, struct txn **x);
/* Ends x whatever it returns. -XEN_EAGAIN: conflict, nothing was done. */
int ops_txn_end(struct store *s, struct txn *x, bool commit);

/* domid may act as target. */
int ops_set_target(struct store *s, uint16_t domid, uint16_t target);

#endif
