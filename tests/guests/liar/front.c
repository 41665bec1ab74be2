/* SPDX-License-Identifier: MIT */
/* front.c - a frontend's part of the store: its directory is where it may write, data/front. */
#include "tests/guests/liar/liar.h"
#include "runtime/hypercall.h"

static const struct xs_ops *store;      /* the ring client's */
static const char *from;
static char backend_watch[64];
uint32_t back_dom;

static const char *moved(const char *path, char *to, size_t size)
{
    size_t n = strlen(from);

    if (strncmp(path, from, n))
        return path;
    (void)snprintf(to, size, "data/front%s", path + n);
    return to;
}

static int front_read(void *ctx, xs_txn t, const char *path, char *buf, size_t size)
{
    char to[160];

    return store->read(ctx, t, moved(path, to, sizeof(to)), buf, size);
}

static int front_write(void *ctx, xs_txn t, const char *path, const void *value, size_t len)
{
    char to[160];

    return store->write(ctx, t, moved(path, to, sizeof(to)), value, len);
}

static int front_rm(void *ctx, xs_txn t, const char *path)
{
    char to[160];

    return store->rm(ctx, t, moved(path, to, sizeof(to)));
}

/* At most one watch of a driver's is in its own directory. */
static int front_watch(void *ctx, struct xs_watch *w)
{
    w->path = moved(w->path, backend_watch, sizeof(backend_watch));
    return store->watch(ctx, w);
}

void front_begin(const char *directory)
{
    static struct xs_ops wrapped;

    from = directory;
    store = xs_provider();
    wrapped = *store;
    wrapped.read = front_read;
    wrapped.write = front_write;
    wrapped.rm = front_rm;
    wrapped.watch = front_watch;
    xs_set_provider(&wrapped, NULL);
    make_directory("data/front");
}

void front_find_backend(void)
{
    char path[64];

    back_dom = 0;
    while (!back_dom) {
        back_dom = find_domain("data/back/state");
        loop_turn(false);
    }
    (void)snprintf(path, sizeof(path), "/local/domain/%u/data/back", back_dom);
    CHECK(xs_printf(XS_NO_TXN, "data/front", "backend-id", "%u", back_dom) == 0);
    CHECK(xs_write(XS_NO_TXN, "data/front/backend", path, strlen(path)) == 0);
}

bool front_has_backend(void)
{
    char path[64], value[16];

    (void)snprintf(path, sizeof(path), "/local/domain/%u/data/back/state", back_dom);
    return xs_read(XS_NO_TXN, path, value, sizeof(value)) > 0;
}

uint64_t frames_owned(void)
{
    domid_t self = DOMID_SELF;

    return (uint64_t)hc_memory_op(XENMEM_current_reservation, &self);
}
