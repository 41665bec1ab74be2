/* SPDX-License-Identifier: MIT */
/*
 * netfront.c - one vif from the store to the ring: states, events, the pool of pages. The protocols are in
 * standard.c and flip.c.
 */
#include "netfront/extent.h"
#include "lib/printf.h"

#define POOL_ORDER 9                    /* 10 with extents */
#define HELD_NS    (10 * NS_PER_MS)     /* how often we look whether the backend let go */
_Static_assert(1u << POOL_ORDER == NETFRONT_PAGES && NETFRONT_EXTENTS * NETFRONT_EXTENT_PAGES == NETFRONT_PAGES,
               "the pool is one piece");

/* The pool --------------------------------------------------------------------------------- */

static int pool_init(struct netfront *nf)
{
    unsigned int order = nf->flags & NETFRONT_BIG ? POOL_ORDER + 1 : POOL_ORDER;

    nf->window = glue_pages(order);
    if (!nf->window && order > POOL_ORDER)
        nf->window = glue_pages(--order);       /* then without */
    if (!nf->window)
        return -XEN_ENOMEM;
    nf->nr_pages = 1u << order;
    nf->first_pfn = glue_pfn(nf->window);
    nf->first_ref = grant_range(nf->nr_pages, &nf->entry);
    if (nf->first_ref == GRANT_NONE) {
        glue_pages_free(nf->window, order);
        return -XEN_ENOSPC;
    }
    for (unsigned int i = NETFRONT_PAGES; i-- > 0;)
        page_free_to(nf, i);
    extents_init(nf);
    return 0;
}

/*
 * For a new backend, or after resuming elsewhere: who gets the pages, and which frames are behind them. The entry of a page
 * that another backend has not let go of says what that one may do.
 */
static void pool_prepare(struct netfront *nf)
{
    for (unsigned int i = 0; i < NETFRONT_PAGES; i++) {
        if (nf->state[i] == PAGE_LOST)
            continue;
        nf->entry[i].domid = nf->dev.peer_dom;
        nf->entry[i].frame = glue_frame(page_at(nf, i));
    }
    extents_prepare(nf);
}

/* The backend is gone, or has let go: every page that it had is free again. */
static void pool_take_all(struct netfront *nf)
{
    uint64_t flipped = 0, copied = 0;

    for (unsigned int i = 0; i < NETFRONT_PAGES; i++) {
        if ((nf->state[i] == PAGE_TX || nf->state[i] == PAGE_RX || nf->state[i] == PAGE_LOST) &&
            page_end(nf, i, &flipped, &copied))
            page_free_to(nf, i);
    }
    nf->nr_rx = 0;
    extents_take_all(nf);
}

static bool window_open(struct netfront *nf)
{
    struct sluice_flip_window w = { .va = (uintptr_t)nf->window, .slots = nf->nr_pages,
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

/* Rings ------------------------------------------------------------------------------------- */

void *netfront_share(struct netfront *nf, unsigned int i, unsigned int n, unsigned int order)
{
    struct shared_pages *p = &nf->shared[i];

    BUG_ON(p->va || n > NETFLIP_PAGES);
    p->va = glue_pages(order);
    p->order = order;
    if (!p->va)
        return NULL;
    memset(p->va, 0, (size_t)n << PAGE_SHIFT);
    for (unsigned int k = 0; k < n; k++) {
        p->ref[k] = grant_offer(nf->dev.peer_dom, mfn(glue_frame(p->va + ((size_t)k << PAGE_SHIFT))), 0);
        if (p->ref[k] == GRANT_NONE)
            return NULL;
    }
    return p->va;
}

/* Takes the rings back and frees them. False: the backend still maps some of their pages. */
static bool shared_release(struct netfront *nf)
{
    bool all = true;

    for (unsigned int i = 0; i < ARRAY_SIZE(nf->shared); i++) {
        struct shared_pages *p = &nf->shared[i];
        bool free_it = p->va != NULL;

        for (unsigned int k = 0; k < NETFLIP_PAGES; k++) {
            if (p->ref[k] && grant_end(p->ref[k]))
                p->ref[k] = GRANT_NONE;
            free_it &= !p->ref[k];
        }
        all &= !p->va || free_it;
        if (!free_it)
            continue;
        glue_pages_free(p->va, p->order);
        p->va = NULL;
    }
    return all;
}

/* The pool's pages, for the user -------------------------------------------------------------- */

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
    if (unlikely(page >= NETFRONT_PAGES)) {
        extent_put(nf, page);
        return;
    }
    BUG_ON(page >= NETFRONT_PAGES || nf->state[page] != PAGE_USER);
    page_free_to(nf, page);
    /* There was none: the backend may be waiting for pages to fill, and nothing else would wake us. */
    if (unlikely(nf->nr_free == 1))
        work_queue(&nf->work);
}

static __always_inline void put_one(struct netfront *nf, uint8_t *state, uint16_t **to, uint32_t page)
{
    if (unlikely(page >= NETFRONT_PAGES)) {
        BUG_ON(page >= nf->nr_pages || state[page] != PAGE_USER);
        extent_free_to(nf, page);       /* of no other page is that the state */
        return;
    }
    BUG_ON(state[page] != PAGE_USER);
    state[page] = PAGE_FREE;
    *(*to)++ = (uint16_t)page;
}

void netfront_frames_put(struct netfront *nf, const struct netfront_frame *f, unsigned int n)
{
    unsigned int was = nf->nr_free;
    uint16_t *to = nf->free_page + was;
    uint8_t *state = nf->state;

    for (const struct netfront_frame *end = f + n; f != end; f++) {
        if (likely(f->nr_frags == 1))
            put_one(nf, state, &to, f->frag[0].page);
        else
            for (const struct netfront_frag *g = f->frag, *last = g + f->nr_frags; g != last; g++)
                put_one(nf, state, &to, g->page);
    }
    nf->nr_free = (unsigned int)(to - nf->free_page);
    if (unlikely(!was && nf->nr_free))      /* as above */
        work_queue(&nf->work);
}

/* Pages for frames [f, end), as long as there are some; the frame that has none. */
static struct netfront_frame *frames_fill(struct netfront *nf, struct netfront_frame *f, const struct netfront_frame *end)
{
    unsigned int nr_free = nf->nr_free;
    const uint16_t *pages = nf->free_page;
    uint8_t *state = nf->state;

    for (; f != end && likely(f->nr_frags <= nr_free); f++) {
        if (likely(f->nr_frags == 1)) {
            f->frag[0].page = pages[--nr_free];
            state[f->frag[0].page] = PAGE_USER;
            continue;
        }
        for (struct netfront_frag *g = f->frag, *last = g + f->nr_frags; g != last; g++) {
            g->page = pages[--nr_free];
            state[g->page] = PAGE_USER;
        }
    }
    nf->nr_free = nr_free;
    return f;
}

unsigned int netfront_frames_get(struct netfront *nf, struct netfront_frame *f, unsigned int n)
{
    struct netfront_frame *end = f + n, *done;

    if (nf->nr_free < n + NETFRONT_FRAGS_MAX && nf->up)
        nf->wire->reap(nf, false);
    done = frames_fill(nf, f, end);
    if (unlikely(done != end) && nf->up) {
        nf->wire->reap(nf, true);
        done = frames_fill(nf, done, end);
    }
    nf->wants_room |= done != end;
    return (unsigned int)(done - f);
}

void *netfront_page_va(const struct netfront *nf, unsigned int page)
{
    return page_at(nf, page);
}

/* Frames ----------------------------------------------------------------------------------- */

/* Nothing was sent since the last kick, or nothing can be. */
static __always_inline bool send_begin(struct netfront *nf)
{
    if (!nf->up)
        return netfront_no_room(nf);
    nf->kick_owed = true;
    work_queue_last(&nf->kick_work);
    return true;
}

static noinline bool send_first(struct netfront *nf, const struct netfront_frame *f)
{
    return send_begin(nf) && nf->wire->send(nf, f);
}

bool netfront_send(struct netfront *nf, const struct netfront_frame *f)
{
    if (unlikely(!nf->kick_owed || !nf->up))
        return send_first(nf, f);
    return nf->wire->send(nf, f);
}

unsigned int netfront_send_burst(struct netfront *nf, const struct netfront_frame *f, unsigned int n)
{
    unsigned int done = 0;

    if (unlikely(!nf->kick_owed || !nf->up) && !send_begin(nf))
        return 0;
    while (done != n) {
        if (nf->wire->send_burst)
            done += nf->wire->send_burst(nf, f + done, n - done);
        /* One by the way that every frame can go. */
        if (done != n && !nf->wire->send(nf, &f[done++]))
            return done - 1;
    }
    return done;
}

/* Publishes what was sent since the last time. True: and the backend wants an event. */
static inline bool publish(struct netfront *nf)
{
    bool owed = nf->kick_owed;

    nf->kick_owed = false;
    return owed && nf->up && nf->wire->publish(nf);
}

void netfront_kick(struct netfront *nf)
{
    if (publish(nf))
        event_send(nf->tx_port);
}

/* The last that is done in a turn: mostly the processor is given up with the event. */
static void kick_work(struct work *w)
{
    struct netfront *nf = container_of(w, struct netfront, kick_work);

    if (publish(nf))
        loop_send_last(nf->tx_port);
}

static void disconnect(struct netfront *nf);

void netfront_fault(struct netfront *nf, const char *what)
{
    nf->stats.bad++;
    if (!nf->fault)
        nf->fault = what;
    work_queue(&nf->work);
}

/* Goes the way that a backend may take, too, to begin again. */
static void go_down(struct netfront *nf)
{
    log_error("%s: the backend is wrong: %s", nf->dev.path, nf->fault);
    disconnect(nf);
    (void)xbdev_set_state(&nf->dev, XenbusStateClosed);
}

static void turn(struct work *w)
{
    struct netfront *nf = container_of(w, struct netfront, work);

    if (!nf->up)
        return;
    if (!nf->fault)
        nf->wire->reap(nf, false);
    if (nf->wants_room && !nf->fault) {
        nf->wants_room = false;
        if (nf->ops->room)
            nf->ops->room(nf->arg);
        /* In vain again: whatever was missing was asked for by the one who missed it. */
    }
    if (nf->up && !nf->fault && nf->wire->receive(nf))
        work_queue(w);
    if (nf->ops->batch_end)
        nf->ops->batch_end(nf->arg);
    if (nf->up && !nf->fault)
        nf->wire->post(nf);
    if (nf->up && nf->fault)
        go_down(nf);
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
    bool was_up = nf->up;

    nf->up = false;
    nf->fault = NULL;
    if (!nf->wire)
        return;
    nf->wire = NULL;
    if (nf->rx_port != nf->tx_port)
        event_close(nf->rx_port);
    event_close(nf->tx_port);
    nf->rx_port = nf->tx_port = 0;
    (void)shared_release(nf);
    pool_take_all(nf);
    if (was_up && nf->ops->link)
        nf->ops->link(nf->arg, false);
}

/*
 * Offers rings to a backend in state InitWait. Not before those of the last connection are ours again: what a backend can
 * keep is no more than one connection's pages.
 */
static void connect(struct netfront *nf)
{
    int rc;

    if (!shared_release(nf)) {
        if (!nf->held)
            log_error("%s: waits for the rings that the last backend still maps", nf->dev.path);
        nf->held = true;
        timer_set_after(&nf->held_timer, HELD_NS);
        return;
    }
    nf->held = false;
    pool_take_all(nf);
    pool_prepare(nf);
    nf->wire = flips_wanted(nf) ? &wire_flip : &wire_standard;
    nf->flip.extents = false;
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

static void held_timer(struct timer *t)
{
    struct netfront *nf = container_of(t, struct netfront, held_timer);

    if (!nf->suspended && !nf->wire && nf->dev.state == XenbusStateInitialising &&
        nf->dev.peer_state == XenbusStateInitWait)
        connect(nf);
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
        /* A backend that begins anew has forgotten us, whether it said goodbye or not (we may have seen only a part
         * of its states). */
        if (d->state != XenbusStateInitialising) {
            disconnect(nf);
            (void)xbdev_set_state(d, XenbusStateInitialising);
        }
        if (d->state == XenbusStateInitialising && !nf->wire)
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
        /* Even before there was a connection: it waits for that. */
        if (peer == XenbusStateClosing)
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
    for (unsigned int i = 0; i < NETFRONT_BURST; i++)
        nf->burst[i].head = nf->burst_head[i];
    work_init(&nf->work, turn);
    work_init(&nf->kick_work, kick_work);
    timer_init(&nf->held_timer, held_timer);
    (void)snprintf(path, sizeof(path), "device/vif/%u", handle);
    rc = xbdev_open(&nf->dev, path, false, peer_changed);
    if (rc) {
        log_error("%s: there is no such vif: error %d", path, rc);
        free(nf);
        return NULL;
    }
    rc = read_mac(nf);
    if (!rc)
        rc = pool_init(nf);
    if (rc) {
        log_error("%s: cannot be used: error %d", path, rc);
        xbdev_close(&nf->dev);
        free(nf);
        return NULL;
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

bool netfront_extents(const struct netfront *nf)
{
    return nf->up && nf->flip.extents;
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
    char path[XB_PATH_MAX];
    int rc;

    /* Another domain may serve us now. */
    strlcpy(path, nf->dev.path, sizeof(path));
    xbdev_close(&nf->dev);
    rc = xbdev_open(&nf->dev, path, false, peer_changed);
    nf->suspended = false;
    if (rc)
        log_error("%s: no backend after resuming: error %d", path, rc);
    else
        (void)xbdev_set_state(&nf->dev, XenbusStateInitialising);
}

void netfront_get_stats(const struct netfront *nf, struct netfront_stats *s)
{
    *s = nf->stats;
}
