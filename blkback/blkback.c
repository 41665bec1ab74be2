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
#include "runtime/ring.h"

#define BACKEND_ROOT "/local/domain/0/backend/vbd"

static struct list vbds = LIST_INIT(vbds);
static struct xs_watch root_watch;

static void ring_event(void *arg)
{
    struct vbd *v = arg;

    work_queue(&v->work);
}

/* ------------------------------------------------------------------ connecting */

static int ring_connect(struct vbd *v)
{
    grant_ref_t ref;
    uint32_t remote;
    int rc = xs_read_u32(XS_NO_TXN, v->dev.peer, "ring-ref", &ref);

    if (!rc)
        rc = xs_read_u32(XS_NO_TXN, v->dev.peer, "event-channel", &remote);
    if (!rc)
        rc = grant_map(v->dom, &ref, 1, 0, &v->ring_map);
    if (rc)
        return rc;
    v->ring = v->ring_map.va;
    v->cons = v->rsp = READ_ONCE(v->ring->rsp_prod);
    rc = event_bind_interdomain(v->dom, remote, ring_event, v, &v->port);
    if (rc) {
        grant_unmap(&v->ring_map);
        v->ring = NULL;
    }
    return rc;
}

/* After this nothing of the frontend is mapped or bound. What the disk still has under way comes
 * back to io_done() and is dropped there. */
static void vbd_disconnect(struct vbd *v)
{
    struct vbd_req *r, *tmp;

    v->connected = false;
    if (!v->ring)
        return;
    work_cancel(&v->work);
    event_close(v->port);
    grant_unmap(&v->ring_map);
    v->ring = NULL;
    list_for_each_safe(r, tmp, &v->finished, link) {
        for (uint32_t i = 0; i < r->io.nr_segs; i++)
            page_free(r->seg[i].va);
        r->io.nr_segs = 0;
        list_remove(&r->link);
        list_push_back(&v->free, &r->link);
    }
}

static void vbd_connect(struct vbd *v)
{
    int rc;

    if (v->connected)
        return;
    if (v->busy) {              /* requests of its last life are with the disk: vbd_idle() goes on */
        return;
    }
    v->failed = false;
    rc = ring_connect(v);
    if (rc) {
        xbdev_fail(&v->dev, rc, "%s: cannot connect to its frontend", v->name);
        return;
    }
    v->connected = true;
    xs_printf(XS_NO_TXN, v->dev.path, "sectors", "%lu", v->disk->sectors);
    xs_printf(XS_NO_TXN, v->dev.path, "sector-size", "%u", SECTOR_SIZE);
    xs_printf(XS_NO_TXN, v->dev.path, "physical-sector-size", "%u", SECTOR_SIZE);
    xs_printf(XS_NO_TXN, v->dev.path, "info", "%u", v->disk->readonly ? VDISK_READONLY : 0u);
    xbdev_set_state(&v->dev, XenbusStateConnected);
    log_info("%s: connected, %lu KiB%s", v->name, v->disk->sectors / 2,
             v->disk->readonly ? ", read-only" : "");
    work_queue(&v->work);
}

void vbd_idle(struct vbd *v)
{
    if (v->dev.state == XenbusStateInitWait && v->dev.peer_state == XenbusStateInitialised)
        vbd_connect(v);
}

/* ------------------------------------------------------------------ states */

static void go_closing(struct vbd *v)
{
    vbd_disconnect(v);
    if (v->dev.state == XenbusStateInitWait || v->dev.state == XenbusStateConnected)
        xbdev_set_state(&v->dev, XenbusStateClosing);
}

static void go_closed(struct vbd *v)
{
    go_closing(v);
    if (v->dev.state == XenbusStateClosing)
        xbdev_set_state(&v->dev, XenbusStateClosed);
}

static void frontend_changed(struct xbdev *d, enum xenbus_state state)
{
    struct vbd *v = container_of(d, struct vbd, dev);

    if (v->dropped || !v->disk)
        return;
    switch (state) {
    case XenbusStateInitialising:
        if (d->state == XenbusStateConnected)
            go_closed(v);
        if (d->state == XenbusStateClosed)
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

static void fail_work(struct work *w)
{
    struct vbd *v = container_of(w, struct vbd, fail_work);

    vbd_disconnect(v);
    xbdev_fail(&v->dev, -XEN_EINVAL, "%s: %s; taken down", v->name, v->why);
}

/* ------------------------------------------------------------------ coming and going */

/* Its directory is gone. What the disk still has under way comes back first. */
static void vbd_free(void *arg)
{
    struct vbd *v = arg;

    log_info("%s: removed", v->name);
    free(v);
}

static void vbd_remove(struct vbd *v)
{
    vbd_disconnect(v);
    work_cancel(&v->fail_work);
    xbdev_close(&v->dev);
    list_remove(&v->link);
    disk_open_cancel(&v->open);
    if (v->disk)
        disk_close(v->disk, vbd_free, v);
    else
        vbd_free(v);
}

static void disk_is_open(struct disk_open *o, int rc, struct disk *d, const char *why)
{
    struct vbd *v = o->arg;

    if (rc) {
        log_error("%s: %s", v->name, why);
        return;                 /* stays, closed, until its directory goes */
    }
    v->disk = d;
    xs_printf(XS_NO_TXN, v->dev.path, "feature-flush-cache", "1");
    xs_printf(XS_NO_TXN, v->dev.path, "feature-barrier", "0");
    xs_printf(XS_NO_TXN, v->dev.path, "feature-discard", "0");
    xs_printf(XS_NO_TXN, v->dev.path, "feature-persistent", "0");
    xs_printf(XS_NO_TXN, v->dev.path, "feature-max-indirect-segments", "%u", VBD_SEGMENTS);
    xbdev_set_state(&v->dev, XenbusStateInitWait);
}

static void open_disk(struct vbd *v)
{
    struct disk_spec *s = &v->open.spec;
    char mode[8] = "";

    if (xs_read_str(XS_NO_TXN, v->dev.path, "params", s->target, sizeof(s->target)) < 0) {
        log_error("%s: no params in the store", v->name);
        return;
    }
    (void)xs_read_str(XS_NO_TXN, v->dev.path, "mode", mode, sizeof(mode));
    s->readonly = mode[0] != 'w';
    s->shared = mode[0] == 'w' && mode[1] == '!';
    v->open.opened = disk_is_open;
    v->open.arg = v;
    disk_open(&v->open);
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
    if (n == 3 && vbd_find((domid_t)number[0], number[1]))
        return;
    if (n >= 2) {
        vbd_check(number[0], number[1]);
        return;
    }
    list_for_each_safe(v, tmp, &vbds, link)
        vbd_check(v->dom, v->id);
    xb_for_each_backend(BACKEND_ROOT, vbd_check);
}

void blkback_drop_domain(domid_t dom)
{
    struct vbd *v;

    list_for_each(v, &vbds, link) {
        if (v->dom == dom) {
            v->dropped = true;
            vbd_disconnect(v);
        }
    }
}

int blkback_init(void)
{
    return xs_watch(&root_watch, BACKEND_ROOT, root_changed);
}
