/* SPDX-License-Identifier: MIT */
/* flip.c - the flip channel of a vif from connect to close; see flip.h. */
#include "netback/flip.h"
#include "netback/exchange.h"
#include "lib/string.h"
#include "runtime/mem.h"
#include "runtime/ring.h"

static void tx_event(void *arg)
{
    struct vif_flip *v = arg;

    work_queue(&v->tx_work);
}

static void rx_event(void *arg)
{
    struct vif_flip *v = arg;
    struct port *port = &v->vif->port;

    if (v->vif->failed || (list_empty(&port->waiting) && !port->stalled))
        return;
    if (flip_rx_has_room(v))
        port_room(port);
}

static void both_event(void *arg)
{
    rx_event(arg);
    tx_event(arg);
}

static int bind_events(struct vif_flip *v, const char *dir)
{
    domid_t dom = v->vif->dom;
    uint32_t tx, rx;
    int rc;

    if (xs_read_u32(XS_NO_TXN, dir, "event-channel-tx", &tx) == 0 &&
        xs_read_u32(XS_NO_TXN, dir, "event-channel-rx", &rx) == 0) {
        rc = event_bind_interdomain(dom, tx, tx_event, v, &v->tx_port);
        return rc ? rc : event_bind_interdomain(dom, rx, rx_event, v, &v->rx_port);
    }
    rc = xs_read_u32(XS_NO_TXN, dir, "event-channel", &tx);
    if (!rc)
        rc = event_bind_interdomain(dom, tx, both_event, v, &v->tx_port);
    v->rx_port = v->tx_port;
    return rc;
}

/* The references of a half, decimal numbers with blanks between them. */
static int read_refs(const char *dir, const char *key, grant_ref_t *refs)
{
    char text[NETFLIP_PAGES * 11 + 1];
    const char *p = text;
    int rc = xs_read_str(XS_NO_TXN, dir, key, text, sizeof(text));

    if (rc < 0)
        return rc;
    if (rc >= (int)sizeof(text))
        return -XEN_E2BIG;
    for (unsigned int i = 0; i < NETFLIP_PAGES; i++) {
        uint64_t n = 0;

        while (*p == ' ')
            p++;
        if (*p < '0' || *p > '9')
            return -XEN_EINVAL;
        while (*p >= '0' && *p <= '9' && n <= UINT32_MAX)
            n = n * 10 + (uint64_t)(*p++ - '0');
        if (n > UINT32_MAX || (*p && *p != ' '))
            return -XEN_EINVAL;
        refs[i] = (grant_ref_t)n;
    }
    return *p ? -XEN_EINVAL : 0;
}

static int map_half(struct vif_flip *v, const char *key, struct grant_mapping *m)
{
    grant_ref_t refs[NETFLIP_PAGES];
    int rc = read_refs(v->vif->dev.peer, key, refs);

    return rc ? rc : grant_map(v->vif->dom, refs, NETFLIP_PAGES, 0, m);
}

bool vif_flip_wanted(const struct vif *vif)
{
    return exchange_offered() &&
           xs_read_default(XS_NO_TXN, vif->dev.peer, "request-sluice-flip", 0) == NETFLIP_VERSION;
}

int vif_flip_connect(struct vif *vif)
{
    struct vif_flip *v = calloc(1, sizeof(*v));
    int rc;

    if (!v)
        return -XEN_ENOMEM;
    v->vif = vif;
    vif->flip = v;
    work_init(&v->tx_work, flip_tx_work);
    timer_init(&v->rate_timer, flip_tx_rate_timer);
    rc = map_half(v, "flip-tx-refs", &v->tx_map);
    if (!rc)
        rc = map_half(v, "flip-rx-refs", &v->rx_map);
    if (rc)
        return rc;
    v->tx = v->tx_map.va;
    v->tx_slot = (const void *)((uint8_t *)v->tx_map.va + PAGE_SIZE);
    v->rx = v->rx_map.va;
    v->rx_slot = (void *)((uint8_t *)v->rx_map.va + PAGE_SIZE);
    v->plain = filter_plain(&vif->filter);
    v->extents = exchange_extents() && xs_read_default(XS_NO_TXN, vif->dev.peer, "request-sluice-flip-extents", 0) == 1;
    vif->port.send = flip_send;
    vif->port.flush = flip_flush;
    return bind_events(v, vif->dev.peer);
}

void vif_flip_disconnect(struct vif *vif)
{
    struct vif_flip *v = vif->flip;

    if (!v)
        return;
    vif->flip = NULL;
    work_cancel(&v->tx_work);
    timer_cancel(&v->rate_timer);
    if (v->rx_port != v->tx_port)
        event_close(v->rx_port);
    event_close(v->tx_port);
    grant_unmap(&v->rx_map);
    grant_unmap(&v->tx_map);
    v->vif = NULL;
    if (!v->nr_frames)
        free(v);
}
