/* SPDX-License-Identifier: MIT */
/*
 * blkfront.c - one vbd from the store to the ring, and back again when its backend restarts.
 *
 *   DOWN --2--> OFFERED --4--> UP --5, 6, none--> LETTING_GO --all pages are ours--> DOWN (or GONE)
 *
 * The numbers are the backend's states. Nothing of the old ring is used again, and no request is given to
 * the next backend, before the old one has let go of all pages.
 */
#include "blkfront/internal.h"
#include "lib/printf.h"

#define RELEASE_NS (10 * NS_PER_MS)

static void peer_changed(struct xbdev *d, enum xenbus_state state);

static void ring_event(void *arg)
{
    struct blkfront *b = arg;

    if (b->life == UP)
        ring_answers(b);
}

/* ------------------------------------------------------------------ connecting */

static bool is_block_size(uint32_t n)
{
    return n >= 512 && n <= 65536 && !(n & (n - 1));
}

static void read_info(struct blkfront *b)
{
    const char *peer = b->dev.peer;
    struct blkfront_info *i = &b->info;
    uint64_t sectors;

    /* Bytes must be a number, too. */
    if (xs_read_u64(XS_NO_TXN, peer, "sectors", &sectors) || sectors > UINT64_MAX >> 9) {
        log_error("%s: the backend names no size that a disk can have", b->path);
        sectors = 0;
    }
    i->sectors = sectors;
    i->sector_size = xs_read_default(XS_NO_TXN, peer, "sector-size", 512);
    if (!is_block_size(i->sector_size) || i->sector_size > 4096)
        i->sector_size = 512;
    i->physical_size = xs_read_default(XS_NO_TXN, peer, "physical-sector-size", i->sector_size);
    if (!is_block_size(i->physical_size) || i->physical_size < i->sector_size)
        i->physical_size = i->sector_size;
    i->readonly = xs_read_default(XS_NO_TXN, peer, "info", 0) & VDISK_READONLY;
    i->flush = xs_read_default(XS_NO_TXN, peer, "feature-flush-cache", 0);
    i->discard = xs_read_default(XS_NO_TXN, peer, "feature-discard", 0);
    /* One segment less, for data that does not begin at a page. */
    i->max_sectors = (b->max_segs - 1) * (PAGE_SIZE >> 9);
}

static int write_ring(struct blkfront *b)
{
    char name[48];
    int rc;

    if (!b->order) {
        snprintf(name, sizeof(name), "%s/ring-page-order", b->path);
        (void)xs_rm(XS_NO_TXN, name);   /* of a backend that could do more */
        rc = xs_printf(XS_NO_TXN, b->path, "ring-ref", "%u", b->ring_ref[0]);
    } else {
        rc = xs_printf(XS_NO_TXN, b->path, "ring-page-order", "%u", b->order);
    }
    for (uint32_t i = 0; b->order && !rc && i < 1u << b->order; i++) {
        snprintf(name, sizeof(name), "ring-ref%u", i);
        rc = xs_printf(XS_NO_TXN, b->path, name, "%u", b->ring_ref[i]);
    }
    if (!rc)
        rc = xs_printf(XS_NO_TXN, b->path, "event-channel", "%u", b->port);
    if (!rc)
        rc = xs_printf(XS_NO_TXN, b->path, "protocol", "x86_64-abi");
    return rc;
}

static void connect(struct blkfront *b)
{
    uint32_t indirect = xs_read_default(XS_NO_TXN, b->dev.peer, "feature-max-indirect-segments", 0);
    int rc;

    b->order = MIN(xs_read_default(XS_NO_TXN, b->dev.peer, "max-ring-page-order", 0), RING_ORDER);
    b->max_segs = MIN(indirect, SEGMENTS);
    b->max_segs = MAX(b->max_segs, (uint32_t)BLKIF_MAX_SEGMENTS_PER_REQUEST);
    rc = ring_make(b);
    if (!rc)
        rc = event_alloc_unbound(b->dev.peer_dom, ring_event, b, &b->port);
    if (!rc)
        rc = write_ring(b);
    if (rc) {
        event_close(b->port);
        b->port = 0;
        (void)ring_take_back(b);
        ring_free(b);
        xbdev_fail(&b->dev, rc, "%s: cannot offer a ring", b->path);
        return;
    }
    b->life = OFFERED;
    (void)xbdev_set_state(&b->dev, XenbusStateInitialised);
}

static void connected(struct blkfront *b)
{
    read_info(b);
    b->life = UP;
    (void)xbdev_set_state(&b->dev, XenbusStateConnected);
    if (b->was_up) {
        b->stats.reconnects++;
        log_info("%s: connected again", b->path);
    }
    b->was_up = true;
    b->changed(b->arg);
    ring_pump(b);
}

/* ------------------------------------------------------------------ letting go */

static void gone(struct blkfront *b)
{
    log_error("%s: the disk is gone", b->path);
    b->life = GONE;
    xbdev_close(&b->dev);
    xs_unwatch(&b->backend_watch);
    ring_fail_all(b);
    b->changed(b->arg);
}

/* The backend that the store names now, from the beginning. */
static void start_over(struct work *w)
{
    struct blkfront *b = container_of(w, struct blkfront, over);
    char peer[XB_PATH_MAX];
    int rc;

    if (xs_read_str(XS_NO_TXN, b->path, "backend", peer, sizeof(peer)) < 0 ||
        (b->dev.peer_state == XenbusStateClosed && !xs_read_default(XS_NO_TXN, b->dev.peer, "online", 1))) {
        gone(b);
        return;
    }
    xbdev_close(&b->dev);
    b->life = DOWN;
    rc = xbdev_open(&b->dev, b->path, false, peer_changed);
    if (rc)
        gone(b);
    else
        (void)xbdev_set_state(&b->dev, XenbusStateInitialising);
}

static void on_timer(struct timer *t)
{
    struct blkfront *b = container_of(t, struct blkfront, timer);

    if (b->life == UP)
        ring_look_again(b);
    if (b->life != LETTING_GO)
        return;
    if (b->dev.peer_state == XenbusStateClosing || b->dev.peer_state == XenbusStateConnected ||
        !ring_take_back(b)) {
        timer_set_after(t, RELEASE_NS);
        return;
    }
    ring_free(b);
    ring_requeue(b);
    work_queue(&b->over);
}

static void let_go(struct blkfront *b)
{
    if (b->life != OFFERED && b->life != UP)
        return;
    event_close(b->port);
    b->port = 0;
    b->life = LETTING_GO;
    (void)xbdev_set_state(&b->dev, XenbusStateClosed);
    timer_set_after(&b->timer, 0);
}

void blkfront_reconnect(struct blkfront *b)
{
    let_go(b);
}

void blkfront_fault(struct blkfront *b, const char *what)
{
    log_error("%s: the backend is wrong: %s", b->path, what);
    let_go(b);
}

/* ------------------------------------------------------------------ the backend's states */

static void peer_changed(struct xbdev *d, enum xenbus_state state)
{
    struct blkfront *b = container_of(d, struct blkfront, dev);

    switch (state) {
    case XenbusStateInitWait:
        if (b->life == DOWN)
            connect(b);
        else
            let_go(b);                  /* another one, that does not know our ring */
        break;
    case XenbusStateConnected:
        if (b->life == OFFERED) {
            connected(b);
        } else if (b->life == UP) {     /* the size may have changed */
            read_info(b);
            b->changed(b->arg);
        }
        break;
    case XenbusStateClosing:
    case XenbusStateClosed:
    case XenbusStateUnknown:
        if (b->life == DOWN && state == XenbusStateClosed && d->state != XenbusStateInitialising)
            work_queue(&b->over);
        else
            let_go(b);
        break;
    default:
        break;
    }
}

/* Our toolstack names another backend. */
static void backend_changed(struct xs_watch *w, const char *path)
{
    struct blkfront *b = container_of(w, struct blkfront, backend_watch);
    char peer[XB_PATH_MAX] = "";

    (void)xs_read_str(XS_NO_TXN, b->path, "backend", peer, sizeof(peer));
    if (!strcmp(peer, b->dev.peer))
        return;
    if (b->life == DOWN)
        work_queue(&b->over);
    else
        let_go(b);
}

/* ------------------------------------------------------------------ for the user */

struct blkfront *blkfront_open(uint32_t device, void (*changed)(void *arg), void *arg)
{
    struct blkfront *b = calloc(1, sizeof(*b));
    int rc;

    if (!b)
        return NULL;
    snprintf(b->path, sizeof(b->path), "device/vbd/%u", device);
    snprintf(b->backend_path, sizeof(b->backend_path), "%s/backend", b->path);
    b->changed = changed;
    b->arg = arg;
    list_init(&b->queue);
    list_init(&b->flight);
    timer_init(&b->timer, on_timer);
    work_init(&b->over, start_over);
    rc = xbdev_open(&b->dev, b->path, false, peer_changed);
    if (rc) {
        log_error("%s: there is no such disk: error %d", b->path, rc);
        free(b);
        return NULL;
    }
    (void)xs_watch(&b->backend_watch, b->backend_path, backend_changed);
    return b;
}

const struct blkfront_info *blkfront_info(const struct blkfront *b)
{
    return b->was_up && b->life != GONE ? &b->info : NULL;
}

void blkfront_get_stats(const struct blkfront *b, struct blkfront_stats *s)
{
    *s = b->stats;
}
