/* SPDX-License-Identifier: MIT */
/*
 * xbdev.h - connection states of split drivers, for both ends.
 *
 * One end has a directory of its own ("device/vif/0" or "/local/domain/0/backend/vif/3/0") and
 * the path of its peer's. The state nodes are decimal XenbusState values.
 */
#ifndef RUNTIME_XBDEV_H
#define RUNTIME_XBDEV_H

#include "runtime/loglimit.h"
#include "runtime/xs.h"

#define XB_PATH_MAX 128

struct xbdev {
    char path[XB_PATH_MAX];             /* own directory */
    char peer[XB_PATH_MAX];             /* the other end's */
    domid_t peer_dom;
    enum xenbus_state state;            /* ours, as last written */
    enum xenbus_state peer_state;       /* as last seen */
    struct xs_watch peer_watch;         /* on peer/state */
    char peer_state_path[XB_PATH_MAX + 8];
    void (*peer_changed)(struct xbdev *d, enum xenbus_state peer);
    struct log_limit lines;             /* of the log: the other end can cause any number */
};

/* Reads peer path and domid from `path` (keys "frontend"/"frontend-id" when is_backend, else
 * "backend"/"backend-id") and watches the peer's state: peer_changed runs from the loop, first
 * with the present state (XenbusStateUnknown: no such node). 0 or a negative error. */
int xbdev_open(struct xbdev *d, const char *path, bool is_backend,
               void (*peer_changed)(struct xbdev *, enum xenbus_state));
void xbdev_close(struct xbdev *d);      /* stops watching; the state node stays */

int xbdev_set_state(struct xbdev *d, enum xenbus_state s);

/* A line of the log about this device: for what the other end can cause again and again. */
void xbdev_log(struct xbdev *d, enum log_level level, const char *fmt, ...) __printf(3, 4);

/* Writes "error" beside our state for operators, logs it by xbdev_log(), and goes to Closing. */
void xbdev_fail(struct xbdev *d, int err, const char *fmt, ...) __printf(3, 4);

#endif
