/* SPDX-License-Identifier: MIT */
/* xbdev.c - connection states of split drivers, for both ends. */
#include "runtime/xbdev.h"
#include "lib/printf.h"
#include "lib/string.h"

#define THIS "this device"              /* for the log's limit */

static void peer_state_changed(struct xs_watch *w, const char *path)
{
    struct xbdev *d = container_of(w, struct xbdev, peer_watch);
    enum xenbus_state s = xs_read_default(XS_NO_TXN, d->peer, "state", XenbusStateUnknown);

    if (s > XenbusStateReconfigured)
        s = XenbusStateUnknown;
    d->peer_state = s;
    log_debug("%s: the other end is in state %d", d->path, s);
    d->peer_changed(d, s);
}

int xbdev_open(struct xbdev *d, const char *path, bool is_backend,
               void (*peer_changed)(struct xbdev *, enum xenbus_state))
{
    const char *key = is_backend ? "frontend" : "backend";
    uint32_t dom;
    int rc;

    *d = (struct xbdev){ .peer_changed = peer_changed };
    log_limit_init(&d->lines);
    if (strlcpy(d->path, path, sizeof(d->path)) >= sizeof(d->path))
        return -XEN_E2BIG;
    rc = xs_read_str(XS_NO_TXN, path, key, d->peer, sizeof(d->peer));
    if (rc < 0)
        return rc;
    rc = xs_read_u32(XS_NO_TXN, path, is_backend ? "frontend-id" : "backend-id", &dom);
    if (rc)
        return rc;
    if (dom >= DOMID_FIRST_RESERVED)
        return -XEN_EINVAL;
    d->peer_dom = (domid_t)dom;
    d->state = xs_read_default(XS_NO_TXN, path, "state", XenbusStateUnknown);
    (void)snprintf(d->peer_state_path, sizeof(d->peer_state_path), "%s/state", d->peer);
    return xs_watch(&d->peer_watch, d->peer_state_path, peer_state_changed);
}

void xbdev_close(struct xbdev *d)
{
    xs_unwatch(&d->peer_watch);
    log_limit_end(&d->lines, d->path, THIS);
}

int xbdev_set_state(struct xbdev *d, enum xenbus_state s)
{
    int rc = xs_printf(XS_NO_TXN, d->path, "state", "%d", s);

    if (!rc)
        d->state = s;
    log_debug("%s: state %d%s", d->path, s, rc ? " not written" : "");
    return rc;
}

static void log_text(struct xbdev *d, enum log_level level, const char *text)
{
    if (log_limit_pass(&d->lines, d->path, THIS))
        log_at(level, "%s", text);
}

void xbdev_log(struct xbdev *d, enum log_level level, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    log_text(d, level, text);
}

void xbdev_fail(struct xbdev *d, int err, const char *fmt, ...)
{
    char text[160], line[sizeof(d->path) + sizeof(text) + 16];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)snprintf(line, sizeof(line), "%s: %s (%d)", d->path, text, err);
    log_text(d, LOG_ERROR, line);
    (void)xs_printf(XS_NO_TXN, d->path, "error", "%d %s", -err, text);
    (void)xbdev_set_state(d, XenbusStateClosing);
}
