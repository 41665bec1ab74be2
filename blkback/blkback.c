/* SPDX-License-Identifier: MIT */
/*
 * blkback.c - one vbd from connect to close.
 *
 * A vbd exists as long as its backend directory does. Its state goes 1, 2, 4, 5, 6, and from 6 to 2
 * again when the frontend starts anew. Everything that the frontend reads is written before state 4.
 */
#include <stdlib.h>
#include "blkback/blkback.h"
#include "blkback/vbd.h"
#include "runtime/mem.h"
#include "runtime/xbroot.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "lib/why.h"
#include "runtime/log.h"
#include "runtime/time.h"

#define BACKEND_ROOT "/local/domain/0/backend/vbd"

static void vbd_free(struct vbd *v);

static struct list vbds = LIST_INIT(vbds);
static struct xs_watch root_watch;

/* ------------------------------------------------------------------ connecting */

/* After this nothing of the frontend is mapped or bound. What the disk still has under way comes
 * back and is dropped. */
static void vbd_disconnect(struct vbd *v)
{
    if (!v->connected)
        return;
    disk_settle();                  /* copies for its requests that were collected */
    v->connected = false;
    timer_cancel(&v->limit_timer);
    vbd_queues_disconnect(v);
}

static void write_size(struct vbd *v)
{
    const char *path = v->dev.path;

    xs_printf(XS_NO_TXN, path, "sectors", "%lu", v->disk->sectors);
    xs_printf(XS_NO_TXN, path, "sector-size", "%u", v->disk->logical);
    xs_printf(XS_NO_TXN, path, "physical-sector-size", "%u", v->disk->physical);
}

static void vbd_connect(struct vbd *v)
{
    char why[WHY_MAX];
    int rc;

    if (v->connected || v->busy)    /* requests of its last life are with the disk: vbd_idle() */
        return;
    v->failed = false;
    rc = vbd_queues_connect(v, why);
    if (rc) {
        xbdev_fail(&v->dev, rc, "%s: cannot connect to its frontend: %s", v->name, why);
        return;
    }
    v->connected = true;
    write_size(v);
    xs_printf(XS_NO_TXN, v->dev.path, "info", "%u",
              (v->disk->readonly ? VDISK_READONLY : 0u) | (v->cdrom ? VDISK_CDROM : 0u));
    xbdev_set_state(&v->dev, XenbusStateConnected);
    xbdev_log(&v->dev, LOG_INFO, "%s: connected, %lu KiB%s, %u x %u requests", v->name, v->disk->sectors / 2,
             v->disk->readonly ? ", read-only" : "", v->nr_queues, v->queue[0].size);
    vbd_wake(v);
}

/* The frontend watches our state, and looks at the size again whenever that says "connected". */
static void resized(struct disk *d)
{
    struct vbd *v = d->user;

    log_info("%s: has %lu KiB now", v->name, d->sectors / 2);
    if (!v->connected)
        return;
    write_size(v);
    xbdev_set_state(&v->dev, XenbusStateConnected);
}

/* ------------------------------------------------------------------ states */

static void go_closing(struct vbd *v)
{
    vbd_disconnect(v);
    if (v->dev.state == XenbusStateInitWait || v->dev.state == XenbusStateConnected)
        xbdev_set_state(&v->dev, XenbusStateClosing);
}

/* The disk of a vbd that is being detached is closed: whoever waits for state 6 can have it. */
static void detached(void *arg)
{
    struct vbd *v = arg;

    v->disk = NULL;
    v->closing = false;
    if (v->removed)
        vbd_free(v);
    else if (!v->dropped)
        xbdev_set_state(&v->dev, XenbusStateClosed);
}

static void go_closed(struct vbd *v)
{
    bool online;

    go_closing(v);
    if (v->dev.state != XenbusStateClosing || v->closing)
        return;
    online = xs_read_default(XS_NO_TXN, v->dev.path, "online", 1);
    /* Pages of the guest may be with the disk: it must not think that they are its own, nor that what
     * it had asked for is over. */
    if (v->busy && (!(v->disk->caps & DISK_BY_COPY) || (v->lent && online)))
        return;                     /* vbd_idle() */
    if (online) {
        xbdev_set_state(&v->dev, XenbusStateClosed);
        return;
    }
    v->closing = true;
    disk_close(v->disk, detached, v);
}

static bool peer_is_closed(const struct vbd *v)
{
    return v->dev.peer_state == XenbusStateClosed || v->dev.peer_state == XenbusStateUnknown;
}

void vbd_idle(struct vbd *v)
{
    if (v->closing || v->removed)
        return;
    if (v->dev.state == XenbusStateInitWait && v->dev.peer_state == XenbusStateInitialised)
        vbd_connect(v);
    else if (v->dev.state == XenbusStateClosing && peer_is_closed(v))
        go_closed(v);
}

static void frontend_changed(struct xbdev *d, enum xenbus_state state)
{
    struct vbd *v = container_of(d, struct vbd, dev);

    if (v->dropped || !v->disk || v->closing)
        return;
    switch (state) {
    case XenbusStateInitialising:
        if (d->state == XenbusStateConnected || d->state == XenbusStateClosing)
            go_closed(v);
        if (d->state == XenbusStateClosed && v->disk)
            xbdev_set_state(d, XenbusStateInitWait);
        break;
    case XenbusStateInitialised:
    case XenbusStateConnected:
        if (d->state == XenbusStateInitWait)
            vbd_connect(v);
        break;
    case XenbusStateClosing:
        go_closing(v);
        break;
    case XenbusStateClosed:
    case XenbusStateUnknown:
        go_closed(v);
        break;
    default:
        break;
    }
}

/* A toolstack detaches a disk by writing state 5 to our directory, which the frontend sees as well.
 * If there is none that could answer, we do. */
static void own_state_changed(struct vbd *v)
{
    uint32_t s = xs_read_default(XS_NO_TXN, v->dev.path, "state", XenbusStateUnknown);

    if (s != XenbusStateClosing || v->dev.state == XenbusStateClosing || !v->disk || v->closing)
        return;
    log_info("%s: is to be detached", v->name);
    v->dev.state = XenbusStateClosing;
    if (peer_is_closed(v) || v->dev.peer_state == XenbusStateInitialising)
        go_closed(v);
}

void vbd_fail(struct vbd *v, const char *fmt, ...)
{
    va_list ap;

    if (v->failed)
        return;
    v->failed = true;
    va_start(ap, fmt);
    vsnprintf(v->why, sizeof(v->why), fmt, ap);
    va_end(ap);
    work_queue(&v->fail_work);
}

static void kick_work(struct work *w)
{
    struct vbd *v = container_of(w, struct vbd, kick_work);

    if (v->disk)
        disk_kick(v->disk);
}

static void fail_work(struct work *w)
{
    struct vbd *v = container_of(w, struct vbd, fail_work);

    if (!v->connected)              /* its frontend has closed it meanwhile */
        return;
    vbd_disconnect(v);
    xbdev_fail(&v->dev, -XEN_EINVAL, "%s: %s; taken down", v->name, v->why);
}

/* ------------------------------------------------------------------ coming and going */

static void vbd_free(struct vbd *v)
{
    vbd_requests_free(v);
    log_info("%s: removed", v->name);
    free(v);
}

static void disk_is_closed(void *arg)
{
    vbd_free(arg);
}

/* Its directory is gone. What the disk still has under way comes back first. */
static void vbd_remove(struct vbd *v)
{
    vbd_disconnect(v);
    work_cancel(&v->fail_work);
    work_cancel(&v->kick_work);
    xbdev_close(&v->dev);
    list_remove(&v->link);
    disk_open_cancel(&v->open);
    v->removed = true;
    if (v->closing)
        return;                     /* detached() */
    if (v->disk)
        disk_close(v->disk, disk_is_closed, v);
    else
        vbd_free(v);
}

static void write_features(struct vbd *v)
{
    const struct disk *d = v->disk;
    const char *path = v->dev.path;

    xs_printf(XS_NO_TXN, path, "feature-flush-cache", "1");
    xs_printf(XS_NO_TXN, path, "feature-barrier", "1");
    xs_printf(XS_NO_TXN, path, "feature-persistent", "0");
    xs_printf(XS_NO_TXN, path, "feature-max-indirect-segments", "%u",
              d->max_segs ? MIN(d->max_segs, BLK_SEGS_MAX) : BLK_SEGS_MAX);
    xs_printf(XS_NO_TXN, path, "max-ring-page-order", "%u", VBD_RING_ORDER);
    xs_printf(XS_NO_TXN, path, "multi-queue-max-queues", "%u", VBD_QUEUES);
    if (!(d->caps & DISK_CAP_DISCARD) || d->readonly ||
        !xs_read_default(XS_NO_TXN, path, "discard-enable", 1))
        return;
    xs_printf(XS_NO_TXN, path, "discard-granularity", "%u",
              d->discard_granularity ? d->discard_granularity : d->logical);
    xs_printf(XS_NO_TXN, path, "discard-alignment", "%u", d->discard_alignment);
    xs_printf(XS_NO_TXN, path, "discard-secure", "0");
    xs_printf(XS_NO_TXN, path, "feature-discard", "1");
}

/* limit-bytes and limit-iops: what a vbd may do each second. */
static void read_limits(struct vbd *v)
{
    uint32_t iops = xs_read_default(XS_NO_TXN, v->dev.path, "limit-iops", 0);
    char text[32] = "";

    (void)xs_read_str(XS_NO_TXN, v->dev.path, "limit-bytes", text, sizeof(text));
    if (!rate_parse(&v->bytes, text))
        log_error("%s: limit-bytes %s is no rate such as 10MB/s: there is none", v->name, text);
    v->ops = (struct rate){ .per_second = iops * 1000UL, .burst = MAX(iops * 50UL, 1000UL),
                            .interval = 50 * NS_PER_MS };
    rate_start(&v->bytes, now_ns());
    rate_start(&v->ops, now_ns());
}

static void disk_is_open(struct disk_open *o, int rc, struct disk *d, const char *why)
{
    struct vbd *v = o->arg;

    if (rc) {
        log_error("%s: %s", v->name, why);
        xs_printf(XS_NO_TXN, v->dev.path, "error", "%d %s", -rc, why);
        xbdev_set_state(&v->dev, XenbusStateClosed);
        return;                 /* stays so until its directory goes */
    }
    v->disk = d;
    d->user = v;
    d->resized = resized;
    write_features(v);
    read_limits(v);
    xbdev_set_state(&v->dev, XenbusStateInitWait);
    if (v->dev.peer_state == XenbusStateInitialised)
        vbd_connect(v);
}

static void open_disk(struct vbd *v)
{
    struct disk_spec *s = &v->open.spec;
    char mode[8] = "", type[8] = "";

    if (xs_read_str(XS_NO_TXN, v->dev.path, "params", s->target, sizeof(s->target)) < 0) {
        log_error("%s: no params in the store", v->name);
        return;
    }
    (void)xs_read_str(XS_NO_TXN, v->dev.path, "mode", mode, sizeof(mode));
    s->readonly = mode[0] != 'w';
    s->shared = mode[0] == 'w' && mode[1] == '!';
    (void)xs_read_str(XS_NO_TXN, v->dev.path, "device-type", type, sizeof(type));
    v->cdrom = !strcmp(type, "cdrom");
    v->open.opened = disk_is_open;
    v->open.arg = v;
    disk_open_parked(&v->open);
}

static void vbd_new(domid_t dom, uint32_t id, const char *path)
{
    struct vbd *v = calloc(1, sizeof(*v));
    int rc;

    if (!v) {
        log_error("vbd%u.%u: out of memory", dom, id);
        return;
    }
    v->dom = dom;
    v->id = id;
    snprintf(v->name, sizeof(v->name), "vbd%u.%u", dom, id);
    work_init(&v->fail_work, fail_work);
    work_init(&v->kick_work, kick_work);
    list_init(&v->link);
    vbd_requests_init(v);
    rc = xbdev_open(&v->dev, path, true, frontend_changed);
    if (rc) {
        log_error("%s: cannot read its nodes in the store: error %d", v->name, rc);
        free(v);
        return;
    }
    list_push_back(&vbds, &v->link);
    v->dev.state = XenbusStateInitialising;
    if (v->dev.peer_dom == dom)
        open_disk(v);
}

static struct vbd *vbd_find(domid_t dom, uint32_t id)
{
    struct vbd *v;

    list_for_each(v, &vbds, link) {
        if (v->dom == dom && v->id == id)
            return v;
    }
    return NULL;
}

/* Makes or removes a vbd as the store says. */
static void vbd_check(uint32_t dom, uint32_t id)
{
    static const char *const needed[] = { "frontend", "frontend-id", "state", "params" };
    struct vbd *v = vbd_find((domid_t)dom, id);
    char path[XB_PATH_MAX], value[256];
    bool there = true;

    snprintf(path, sizeof(path), BACKEND_ROOT "/%u/%u", dom, id);
    for (unsigned int i = 0; i < ARRAY_SIZE(needed); i++)
        there = there && xs_read_str(XS_NO_TXN, path, needed[i], value, sizeof(value)) >= 0;
    if (v && !there)
        vbd_remove(v);
    else if (!v && there)
        vbd_new((domid_t)dom, id, path);
}

static void root_changed(struct xs_watch *w, const char *path)
{
    struct vbd *v, *tmp;
    uint32_t number[2];
    unsigned int n = xb_path_numbers(BACKEND_ROOT, path, number);

    /* Most events are writes of our own to a vbd that we have. */
    if (n == 3 && (v = vbd_find((domid_t)number[0], number[1])) != NULL) {
        if (!strcmp(strrchr(path, '/'), "/state"))
            own_state_changed(v);
        return;
    }
    if (n >= 2) {
        vbd_check(number[0], number[1]);
        return;
    }
    list_for_each_safe(v, tmp, &vbds, link)
        vbd_check(v->dom, v->id);
    xb_for_each_backend(BACKEND_ROOT, vbd_check);
}

const struct disk *blkback_disk(domid_t dom, uint32_t device)
{
    const struct vbd *v = vbd_find(dom, device);

    return v ? v->disk : NULL;
}

/* The disks go at once, too: a domain that is started again wants them. */
void blkback_drop_domain(domid_t dom)
{
    struct vbd *v;

    list_for_each(v, &vbds, link) {
        if (v->dom != dom || v->dropped)
            continue;
        v->dropped = true;
        vbd_disconnect(v);
        disk_open_cancel(&v->open);
        if (!v->disk || v->closing)
            continue;
        v->closing = true;
        disk_close(v->disk, detached, v);
    }
}

int blkback_init(void)
{
    return xs_watch(&root_watch, BACKEND_ROOT, root_changed);
}
