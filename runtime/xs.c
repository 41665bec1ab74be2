/* SPDX-License-Identifier: MIT */
/* xs.c - the store as everybody uses it: passes calls on to the provider; conveniences. */
#include "runtime/xs.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/cmdline.h"
#include "runtime/log.h"

#define PATH_MAX 1024

static const struct xs_ops *provider;
static void *provider_ctx;

void xs_set_provider(const struct xs_ops *ops, void *ctx)
{
    provider = ops;
    provider_ctx = ctx;
}

const struct xs_ops *xs_provider(void)
{
    return provider;
}

int xs_read(xs_txn t, const char *path, char *buf, size_t size)
{
    return provider->read(provider_ctx, t, path, buf, size);
}

int xs_write(xs_txn t, const char *path, const void *value, size_t len)
{
    return provider->write(provider_ctx, t, path, value, len);
}

int xs_mkdir(xs_txn t, const char *path)
{
    return provider->mkdir(provider_ctx, t, path);
}

int xs_rm(xs_txn t, const char *path)
{
    return provider->rm(provider_ctx, t, path);
}

int xs_directory(xs_txn t, const char *path, char *buf, size_t size)
{
    return provider->directory(provider_ctx, t, path, buf, size);
}

int xs_set_perms(xs_txn t, const char *path, const struct xs_perm *p, size_t n)
{
    return provider->set_perms(provider_ctx, t, path, p, n);
}

int xs_txn_start(xs_txn *t)
{
    return provider->txn_start(provider_ctx, t);
}

int xs_txn_end(xs_txn t, bool commit)
{
    return provider->txn_end(provider_ctx, t, commit);
}

int xs_watch(struct xs_watch *w, const char *path, void (*fn)(struct xs_watch *, const char *))
{
    int rc;

    list_init(&w->link);
    w->path = path;
    w->fn = fn;
    rc = provider->watch(provider_ctx, w);
    if (rc)
        w->path = NULL;
    return rc;
}

void xs_unwatch(struct xs_watch *w)
{
    if (!w->path)
        return;
    provider->unwatch(provider_ctx, w);
    w->path = NULL;
}

static int join(char *path, const char *dir, const char *name)
{
    int n = snprintf(path, PATH_MAX, "%s/%s", dir, name);

    return n < PATH_MAX ? 0 : -XEN_E2BIG;
}

int xs_printf(xs_txn t, const char *dir, const char *name, const char *fmt, ...)
{
    char path[PATH_MAX], value[512];
    va_list ap;
    int n, rc = join(path, dir, name);

    if (rc)
        return rc;
    va_start(ap, fmt);
    n = vsnprintf(value, sizeof(value), fmt, ap);
    va_end(ap);
    if ((size_t)n >= sizeof(value))
        return -XEN_E2BIG;
    return xs_write(t, path, value, (size_t)n);
}

int xs_read_str(xs_txn t, const char *dir, const char *name, char *buf, size_t size)
{
    char path[PATH_MAX];
    int rc = join(path, dir, name);

    if (rc)
        return rc;
    rc = xs_read(t, path, buf, size);
    if (rc >= 0 && (size_t)rc >= size)
        return -XEN_E2BIG;
    return rc;
}

int xs_read_u64(xs_txn t, const char *dir, const char *name, uint64_t *value)
{
    char text[32];
    int rc = xs_read_str(t, dir, name, text, sizeof(text));

    if (rc == -XEN_E2BIG || (rc >= 0 && strlen(text) != (size_t)rc))
        return -XEN_EINVAL;
    if (rc < 0)
        return rc;
    return parse_u64(text, value) ? 0 : -XEN_EINVAL;
}

int xs_read_u32(xs_txn t, const char *dir, const char *name, uint32_t *value)
{
    uint64_t v;
    int rc = xs_read_u64(t, dir, name, &v);

    if (rc)
        return rc;
    if (v > UINT32_MAX)
        return -XEN_EINVAL;
    *value = (uint32_t)v;
    return 0;
}

uint32_t xs_read_default(xs_txn t, const char *dir, const char *name, uint32_t otherwise)
{
    uint32_t v;

    return xs_read_u32(t, dir, name, &v) ? otherwise : v;
}
