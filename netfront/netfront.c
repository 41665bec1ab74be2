/* SPDX-License-Identifier: MIT */
/*
 * netfront.c - one vif from the store to the ring: states, events, the pool of pages. The protocols are in
 * standard.c and flip.c.
 */
#include "netfront/internal.h"
#include "lib/printf.h"

#define POOL_ORDER 9
_Static_assert(1u << POOL_ORDER == NETFRONT_PAGES, "the pool is one piece");

/* The pool --------------------------------------------------------------------------------- */

static int pool_init(struct netfront *nf)
{
    nf->window = glue_pages(POOL_ORDER);
    if (!nf->window)
        return -XEN_ENOMEM;
    nf->first_pfn = glue_pfn(nf->window);
    nf->first_ref = grant_range(NETFRONT_PAGES, &nf->entry);
    if (nf->first_ref == GRANT_NONE)
        return -XEN_ENOSPC;
    for (unsigned int i = NETFRONT_PAGES; i-- > 0;)
        page_free_to(nf, i);
    return 0;
}

/* For a new backend, or after resuming elsewhere: who gets the pages, and which frames are behind them. */
static void pool_prepare(struct netfront *nf)
{
    for (unsigned int i = 0; i < NETFRONT_PAGES; i++) {
        nf->entry[i].domid = nf->dev.peer_dom;
        nf->entry[i].frame = glue_frame(page_at(nf, i));
    }
}

/* The backend is gone, or has let go: every page that it had is free again. */
static void pool_take_all(struct netfront *nf)
{
    uint64_t flipped = 0, copied = 0;

    for (unsigned int i = 0; i < NETFRONT_PAGES; i++) {
        if ((nf->state[i] == PAGE_TX || nf->state[i] == PAGE_RX || nf->state[i] == PAGE_LOST) &&
            page_take(nf, i, &flipped, &copied))
            page_free_to(nf, i);
    }
    nf->nr_rx = 0;
}

static bool window_open(struct netfront *nf)
{
    struct sluice_flip_window w = { .va = (uintptr_t)nf->window, .slots = NETFRONT_PAGES,
                                    .first_ref = nf->first_ref };
    long rc;

    if (nf->has_window)
        return true;
    rc = hc_flip(SLUICE_FLIP_register, &w, 1);
    if (rc) {
        log_info("%s: no flips: %ld", nf->dev.path, rc);
        return false;
    }
    nf->window_id = w.id;
    nf->has_window = true;
    return true;
}

static void window_close(struct netfront *nf)
{
    if (nf->has_window)
        (void)hc_flip(SLUICE_FLIP_unregister, &nf->window_id, 1);
    nf->has_window = false;
}

int netfront_page_get(struct netfront *nf)
{
    unsigned int page;

    if (unlikely(!nf->nr_free) && nf->up)
        nf->wire->reap(nf, false);
    if (unlikely(!nf->nr_free)) {
        if (nf->up)
            nf->wire->reap(nf, true);
        if (!nf->nr_free) {
            nf->wants_room = true;
            return -1;
        }
    }
    page = nf->free_page[--nf->nr_free];
    nf->state[page] = PAGE_USER;
    return (int)page;
}

void netfront_page_put(struct netfront *nf, unsigned int page)
{
    BUG_ON(page >= NETFRONT_PAGES || nf->state[page] != PAGE_USER);
    page_free_to(nf, page);
    /* There was none: the backend may be waiting for pages to fill, and nothing else would wake us. */
    if (unlikely(nf->nr_free == 1))
        work_queue(&nf->work);
}

void *netfront_page_va(const struct netfront *nf, unsigned int page)
{
    return page_at(nf, page);
}

/* Frames ----------------------------------------------------------------------------------- */

bool netfront_send(struct netfront *nf, const struct netfront_frame *f)
{
    if (unlikely(!nf->up) || unlikely(!nf->wire->send(nf, f))) {
        nf->wants_room = true;
        return false;
    }
    nf->stats.tx_frames++;
    nf->stats.tx_bytes += f->len;
    if (!nf->kick_owed) {
        nf->kick_owed = true;
        work_queue_last(&nf->kick_work);
    }
    return true;
}

void netfront_kick(struct netfront *nf)
{
    if (!nf->kick_owed)
        return;
    nf->kick_owed = false;
    if (nf->up)
        nf->wire->kick(nf);
}

static void kick_work(struct work *w)
{
    netfront_kick(container_of(w, struct netfront, kick_work));
}

static void turn(struct work *w)
{
    struct netfront *nf = container_of(w, struct netfront, work);

    if (!nf->up)
        return;
    nf->wire->reap(nf, false);
    if (nf->wants_room) {
        nf->wants_room = false;
        if (nf->ops->room)
            nf->ops->room(nf->arg);
        /* In vain again: whatever was missing was asked for by the one who missed it. */
    }
    if (nf->up && nf->wire->receive(nf))
        work_queue(w);
    if (nf->ops->batch_end)
        nf->ops->batch_end(nf->arg);
    if (nf->up)
        nf->wire->post(nf);
}

static void event(void *arg)
{
    struct netfront *nf = arg;

    work_queue(&nf->work);
}

/* Connecting ------------------------------------------------------------------------------- */

static int bind_events(struct netfront *nf)
{
    const char *path = nf->dev.path;
    bool split = xs_read_default(XS_NO_TXN, nf->dev.peer, "feature-split-event-channels", 0);
    int rc = event_alloc_unbound(nf->dev.peer_dom, event, nf, &nf->tx_port);

    if (rc)
        return rc;
    nf->rx_port = nf->tx_port;
    if (!split)
        return xs_printf(XS_NO_TXN, path, "event-channel", "%u", nf->tx_port);
    rc = event_alloc_unbound(nf->dev.peer_dom, event, nf, &nf->rx_port);
    if (!rc)
        rc = xs_printf(XS_NO_TXN, path, "event-channel-tx", "%u", nf->tx_port);
    if (!rc)
        rc = xs_printf(XS_NO_TXN, path, "event-channel-rx", "%u", nf->rx_port);
    return rc;
}

static int write_features(struct netfront *nf)
{
    bool all = !(nf->flags & NETFRONT_NO_OFFLOAD);
    const struct { const char *key; bool value; } features[] = {
        { "request-rx-copy", true },
        { "feature-rx-notify", true },
        { "feature-sg", all },
        { "feature-gso-tcpv4", all && !(nf->flags & NETFRONT_NO_GSO) },
        { "feature-gso-tcpv6", all && !(nf->flags & NETFRONT_NO_GSO) },
        { "feature-no-csum-offload", !all },
        { "feature-ipv6-csum-offload", all },
    };
    int rc = 0;

    for (unsigned int i = 0; i < ARRAY_SIZE(features) && !rc; i++)
        rc = xs_printf(XS_NO_TXN, nf->dev.path, features[i].key, "%u", features[i].value);
    return rc;
}

static bool flips_wanted(struct netfront *nf)
{
    return !(nf->flags & NETFRONT_NO_FLIP) &&
           xs_read_default(XS_NO_TXN, nf->dev.peer, "feature-sluice-flip", 0) >= NETFLIP_VERSION &&
           window_open(nf);
}

static void disconnect(struct netfront *nf)
{
    const struct wire *wire = nf->wire;
    bool was_up = nf->up;

    nf->up = false;
    if (!wire)
        return;
    nf->wire = NULL;
    if (nf->rx_port != nf->tx_port)
        event_close(nf->rx_port);
    event_close(nf->tx_port);
    nf->rx_port = nf->tx_port = 0;
    wire->disconnect(nf);
    pool_take_all(nf);
    if (was_up && nf->ops->link)
        nf->ops->link(nf->arg, false);
}

static void connect(struct netfront *nf)
{
    int rc;

    pool_prepare(nf);
    nf->wire = flips_wanted(nf) ? &wire_flip : &wire_standard;
    rc = bind_events(nf);
    if (!rc)
        rc = write_features(nf);
    if (!rc)
        rc = nf->wire->connect(nf);
    if (rc) {
        disconnect(nf);
        xbdev_fail(&nf->dev, rc, "vif: cannot connect");
        return;
    }
    nf->wire->post(nf);
    (void)xbdev_set_state(&nf->dev, XenbusStateConnected);
}

static void come_up(struct netfront *nf)
{
    nf->up = true;
    log_info("%s: connected, %s", nf->dev.path, nf->wire == &wire_flip ? "flips" : "standard rings");
    nf->wants_room = true;
    work_queue(&nf->work);
    if (nf->ops->link)
        nf->ops->link(nf->arg, true);
}

static void peer_changed(struct xbdev *d, enum xenbus_state peer)
{
    struct netfront *nf = container_of(d, struct netfront, dev);

    if (nf->suspended)
        return;
    switch (peer) {
    case XenbusStateInitWait:
        /* A backend that begins anew has forgotten us, whether it said goodbye or not. */
        if (d->state == XenbusStateConnected) {
            disconnect(nf);
            (void)xbdev_set_state(d, XenbusStateInitialising);
        }
        if (d->state == XenbusStateInitialising)
            connect(nf);
        break;
    case XenbusStateConnected:
        if (d->state == XenbusStateConnected && nf->wire && !nf->up)
            come_up(nf);
        break;
    case XenbusStateClosing:
    case XenbusStateClosed:
    case XenbusStateUnknown:
        disconnect(nf);
        if (d->state != XenbusStateInitialising && peer == XenbusStateClosing)
            (void)xbdev_set_state(d, XenbusStateClosed);
        else if (d->state != XenbusStateInitialising)
            (void)xbdev_set_state(d, XenbusStateInitialising);
        break;
    default:
        break;
    }
}

/* ------------------------------------------------------------------------------------------- */

static int read_mac(struct netfront *nf)
{
    char text[24];
    unsigned int digits = 0;
    int rc = xs_read_str(XS_NO_TXN, nf->dev.path, "mac", text, sizeof(text));

    for (const char *c = text; rc > 0 && *c && digits < 12; c++) {
        int v = *c >= '0' && *c <= '9' ? *c - '0' : (*c | 32) >= 'a' && (*c | 32) <= 'f' ?
                (*c | 32) - 'a' + 10 : -1;

        if (v < 0)
            continue;
        nf->mac[digits / 2] = (uint8_t)(nf->mac[digits / 2] << 4 | v);
        digits++;
    }
    return digits == 12 ? 0 : -XEN_EINVAL;
}

struct netfront *netfront_open(unsigned int handle, unsigned int flags,
                               const struct netfront_ops *ops, void *arg)
{
    struct netfront *nf = calloc(1, sizeof(*nf));
    char path[32];
    int rc;

    if (!nf)
        return NULL;
    nf->ops = ops;
    nf->arg = arg;
    nf->flags = flags;
    nf->copy_flag = flags & NETFRONT_COPY ? NETFLIP_COPY : 0;
    work_init(&nf->work, turn);
    work_init(&nf->kick_work, kick_work);
    (void)snprintf(path, sizeof(path), "device/vif/%u", handle);
    rc = pool_init(nf);
    if (!rc)
        rc = xbdev_open(&nf->dev, path, false, peer_changed);
    if (!rc)
        rc = read_mac(nf);
    if (rc) {
        log_error("%s: cannot be used: error %d", path, rc);
        return NULL;        /* what was allocated stays: a guest does this once */
    }
    (void)xbdev_set_state(&nf->dev, XenbusStateInitialising);
    return nf;
}

bool netfront_is_up(const struct netfront *nf)
{
    return nf->up;
}

bool netfront_flips(const struct netfront *nf)
{
    return nf->wire == &wire_flip;
}

void netfront_mac(const struct netfront *nf, uint8_t mac[6])
{
    memcpy(mac, nf->mac, 6);
}

void netfront_suspend(struct netfront *nf)
{
    nf->suspended = true;
    disconnect(nf);
    window_close(nf);
}

void netfront_resume(struct netfront *nf)
{
    nf->suspended = false;
    (void)xbdev_set_state(&nf->dev, XenbusStateInitialising);
}

void netfront_get_stats(const struct netfront *nf, struct netfront_stats *s)
{
    *s = nf->stats;
}
