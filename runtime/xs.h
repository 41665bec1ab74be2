/* SPDX-License-Identifier: MIT */
/*
 * xs.h - the store as backends, drivers and the toolstack use it.
 *
 * Two providers: the ring client of runtime/xenbus.c (mini guests, driver domains) and the local
 * store in dom0 (toolstack/store). main decides with xs_set_provider(). Calls are synchronous;
 * the ring client waits for its answer without running other work. Values are bytes without a NUL;
 * what we return is always followed by one. Paths: absolute, or relative to our own domain's
 * directory. Errors: negative XEN_Exxx (ENOENT, EACCES, EAGAIN, EINVAL, ENOSPC, ...).
 */
#ifndef RUNTIME_XS_H
#define RUNTIME_XS_H

#include "xenabi.h"
#include "lib/list.h"

typedef uint32_t xs_txn;        /* 0: outside of any transaction */
#define XS_NO_TXN 0u

/* A watch: owned by the caller, must stay in place until xs_unwatch(). fn runs from the loop
 * (never from inside xs_watch or xs_write), first once for the registration itself with the
 * watched path, then for each change at or below it with the path that changed. */
struct xs_watch {
    struct list link;           /* the provider's */
    const char *path;           /* as given to xs_watch; must stay valid */
    void (*fn)(struct xs_watch *w, const char *path);
    uint32_t id;                /* the provider's */
    void *priv;                 /* the provider's */
};

struct xs_perm {
    domid_t dom;                /* entry 0: the owner, and access for all others */
    uint8_t access;             /* XS_PERM_READ | XS_PERM_WRITE */
};
#define XS_PERM_READ  1u
#define XS_PERM_WRITE 2u

/* One implementation of the store; ctx is what was given to xs_set_provider(). */
struct xs_ops {
    /* Value into buf (at most size - 1 bytes and a NUL); returns its full length. */
    int (*read)(void *ctx, xs_txn t, const char *path, char *buf, size_t size);
    int (*write)(void *ctx, xs_txn t, const char *path, const void *value, size_t len);
    int (*mkdir)(void *ctx, xs_txn t, const char *path);
    int (*rm)(void *ctx, xs_txn t, const char *path);
    /* Names of the children, each with its NUL; returns the bytes of the full list. */
    int (*directory)(void *ctx, xs_txn t, const char *path, char *buf, size_t size);
    int (*set_perms)(void *ctx, xs_txn t, const char *path, const struct xs_perm *p, size_t n);
    int (*txn_start)(void *ctx, xs_txn *t);
    int (*txn_end)(void *ctx, xs_txn t, bool commit);   /* -XEN_EAGAIN: conflict, do it again */
    int (*watch)(void *ctx, struct xs_watch *w);
    void (*unwatch)(void *ctx, struct xs_watch *w);
};

void xs_set_provider(const struct xs_ops *ops, void *ctx);
/* For who puts something between. */
const struct xs_ops *xs_provider(void);

int xs_read(xs_txn t, const char *path, char *buf, size_t size);
int xs_write(xs_txn t, const char *path, const void *value, size_t len);
int xs_mkdir(xs_txn t, const char *path);
int xs_rm(xs_txn t, const char *path);
int xs_directory(xs_txn t, const char *path, char *buf, size_t size);
int xs_set_perms(xs_txn t, const char *path, const struct xs_perm *p, size_t n);
int xs_txn_start(xs_txn *t);
int xs_txn_end(xs_txn t, bool commit);
int xs_watch(struct xs_watch *w, const char *path, void (*fn)(struct xs_watch *, const char *));
void xs_unwatch(struct xs_watch *w);

/* Conveniences, all on top of the above. dir and name are joined with a slash. */
int xs_printf(xs_txn t, const char *dir, const char *name, const char *fmt, ...) __printf(4, 5);
/* A decimal (or 0x) number; -XEN_EINVAL when it is none or does not fit. */
int xs_read_u64(xs_txn t, const char *dir, const char *name, uint64_t *value);
int xs_read_u32(xs_txn t, const char *dir, const char *name, uint32_t *value);
/* As xs_read_u32, or the default when the node is missing or not a number. */
uint32_t xs_read_default(xs_txn t, const char *dir, const char *name, uint32_t otherwise);
int xs_read_str(xs_txn t, const char *dir, const char *name, char *buf, size_t size);

#endif
