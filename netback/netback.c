/* SPDX-License-Identifier: MIT */
/*
 * netback.c - one vif from connect to close.
 *
 * A vif exists as long as its backend directory does. States go 1, 2, 4, 5, 6 and from 6 to 2
 * again when the frontend starts anew (module reload, reboot inside the guest); frontends panic
 * at anything else.
 */
#include "netback/netback.h"
#include "netback/bridge.h"
#include "netback/exchange.h"
#include "netback/flip.h"
#include "netback/headers.h"
#include "netback/transfer.h"
#include "netback/vif.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/ring.h"
#include "runtime/time.h"
#include "runtime/xbroot.h"

#define BACKEND_ROOT "/local/domain/0/backend/vif"
#define VIF_MTU      1500

static struct list vifs = LIST_INIT(vifs);
static struct xs_watch root_watch;

/* Events ------------------------------------------------------------------------------------ */

static void tx_event(void *arg)
{
    struct vif_queue *q = arg;

    work_queue(&q->tx_work);
}

static void rx_event(void *arg)
{
    struct vif_queue *q = arg;
    struct port *port = &q->vif->port;

    if (q->vif->failed || (list_empty(&port->waiting) && !port->stalled))
        return;
    if (vif_rx_has_room(q))
        port_room(port);
}

static void both_event(void *arg)
{
    rx_event(arg);
    tx_event(arg);
}

/* The port ---------------------------------------------------------------------------------- */

static bool vif_send(struct port *p, struct frame *f)
{
    struct vif *vif = container_of(p, struct vif, port);
    struct headers h;
    unsigned int i = 0;

    if (vif->failed)
        return false;
    if (vif->nr_queues > 1 && headers_parse(&h, f->head, f->head_len, f->len))
        i = headers_hash(&h, f->head, f->head_len) % vif->nr_queues;
    return vif_rx_send(vif->queues[i], f);
}

/* Receiving sides first: letting go of their frames makes answers due, maybe in this very vif. */
static void vif_flush(struct port *p)
{
    struct vif *vif = container_of(p, struct vif, port);

    for (unsigned int i = 0; i < vif->nr_queues; i++)
        vif_rx_flush(vif->queues[i]);
    for (unsigned int i = 0; i < vif->nr_queues; i++)
        vif_tx_flush(vif->queues[i]);
}

/* Connecting -------------------------------------------------------------------------------- */

/* A NIC may still be sending from frames of this queue; the last of them frees it. */
static void queue_free(struct vif_queue *q)
{
    work_cancel(&q->tx_work);
    timer_cancel(&q->rate_timer);
    timer_cancel(&q->tell_timer);
    if (q->rx_port != q->tx_port)
        event_close(q->rx_port);
    event_close(q->tx_port);
    if (q->rx)
        grant_unmap(&q->rx_map);
    if (q->tx)
        grant_unmap(&q->tx_map);
    q->tx = NULL;
    q->rx = NULL;
    q->vif = NULL;
    free(q->rx_give);
    q->rx_give = NULL;
    if (!q->nr_frames)
        free(q);
}

static int bind_events(struct vif_queue *q, const char *dir)
{
    domid_t dom = q->vif->dom;
    uint32_t tx, rx;
    int rc;

    if (xs_read_u32(XS_NO_TXN, dir, "event-channel-tx", &tx) == 0 &&
        xs_read_u32(XS_NO_TXN, dir, "event-channel-rx", &rx) == 0) {
        rc = event_bind_interdomain(dom, tx, tx_event, q, &q->tx_port);
        if (rc)
            return rc;
        return event_bind_interdomain(dom, rx, rx_event, q, &q->rx_port);
    }
    rc = xs_read_u32(XS_NO_TXN, dir, "event-channel", &tx);
    if (rc)
        return rc;
    rc = event_bind_interdomain(dom, tx, both_event, q, &q->tx_port);
    q->rx_port = q->tx_port;
    return rc;
}

static int map_rings(struct vif_queue *q, const char *dir)
{
    grant_ref_t tx, rx;
    int rc;

    rc = xs_read_u32(XS_NO_TXN, dir, "tx-ring-ref", &tx);
    if (!rc)
        rc = xs_read_u32(XS_NO_TXN, dir, "rx-ring-ref", &rx);
    if (!rc)
        rc = grant_map(q->vif->dom, &tx, 1, 0, &q->tx_map);
    if (rc)
        return rc;
    q->tx = q->tx_map.va;
    rc = grant_map(q->vif->dom, &rx, 1, 0, &q->rx_map);
    if (rc)
        return rc;
    q->rx = q->rx_map.va;
    /* Rings begin at 0, except those of a frontend that kept them over a disconnection. */
    q->tx_cons = q->tx_rsp = q->tx_published = READ_ONCE(q->tx->rsp_prod);
    q->rx_cons = q->rx_published = READ_ONCE(q->rx->rsp_prod);
    return 0;
}

/* A queue's keys are in the frontend's directory itself if it is the only one. */
static void queue_dir(const struct vif *vif, unsigned int index, unsigned int nr, char *dir,
                      size_t size)
{
    if (nr == 1)
        strlcpy(dir, vif->dev.peer, size);
    else
        snprintf(dir, size, "%s/queue-%u", vif->dev.peer, index);
}

static int queue_connect(struct vif *vif, unsigned int index, unsigned int nr)
{
    struct vif_queue *q = calloc(1, sizeof(*q));
    char dir[XB_PATH_MAX + 24];
    int rc;

    if (!q)
        return -XEN_ENOMEM;
    q->vif = vif;
    q->index = index;
    work_init(&q->tx_work, vif_tx_work);
    timer_init(&q->rate_timer, vif_tx_rate_timer);
    timer_init(&q->tell_timer, vif_tx_tell_timer);
    queue_dir(vif, index, nr, dir, sizeof(dir));
    if (!xs_read_default(XS_NO_TXN, vif->dev.peer, "request-rx-copy", 0)) {
        q->rx_give = calloc(VIF_SLOTS, sizeof(*q->rx_give));
        if (!q->rx_give) {
            queue_free(q);
            return -XEN_ENOMEM;
        }
    }
    rc = map_rings(q, dir);
    if (!rc)
        rc = bind_events(q, dir);
    if (rc) {
        queue_free(q);
        return rc;
    }
    vif->queues[vif->nr_queues++] = q;
    return 0;
}

/* After this nothing of the frontend is mapped or bound. Harmless when not connected. */
/* What was wrong with the connection goes with it. */
static void vif_disconnect(struct vif *vif)
{
    work_cancel(&vif->fail_work);
    vif->connected = false;
    vif->port.up = false;
    port_leave(&vif->port);
    while (vif->nr_queues)
        queue_free(vif->queues[--vif->nr_queues]);
    vif_flip_disconnect(vif);
}

/* What the frontend can receive. */
static uint32_t read_caps(const char *front)
{
    uint32_t caps = PORT_GRANT;
    bool flip = xs_read_default(XS_NO_TXN, front, "request-sluice-flip", 0);

    if (!xs_read_default(XS_NO_TXN, front, "feature-no-csum-offload", 0))
        caps |= PORT_CSUM;
    if (xs_read_default(XS_NO_TXN, front, "feature-ipv6-csum-offload", 0))
        caps |= PORT_CSUM6;
    if (!flip && (!xs_read_default(XS_NO_TXN, front, "feature-sg", 0) ||
                  !xs_read_default(XS_NO_TXN, front, "request-rx-copy", 0)))
        return caps;
    caps |= PORT_SG;
    if (xs_read_default(XS_NO_TXN, front, "feature-gso-tcpv4", 0))
        caps |= PORT_TSO4;
    if (xs_read_default(XS_NO_TXN, front, "feature-gso-tcpv6", 0))
        caps |= PORT_TSO6;
    return caps;
}

static int connect_queues(struct vif *vif)
{
    const char *front = vif->dev.peer;
    uint32_t nr = xs_read_default(XS_NO_TXN, front, "multi-queue-num-queues", 1);
    int rc = 0;

    if (vif_flip_wanted(vif))
        return vif_flip_connect(vif);
    vif->port.send = vif_send;
    vif->port.flush = vif_flush;
    if (!nr || nr > VIF_QUEUES_MAX)
        return -XEN_EINVAL;
    for (unsigned int i = 0; i < nr && !rc; i++)
        rc = queue_connect(vif, i, nr);
    return rc;
}

static struct bridge *read_bridge(struct vif *vif)
{
    char name[64];

    if (xs_read_str(XS_NO_TXN, vif->dev.path, "bridge", name, sizeof(name)) < 0)
        name[0] = '\0';
    return bridge_get(name);
}

static void vif_connect(struct vif *vif)
{
    struct bridge *b = read_bridge(vif);
    int rc;

    if (vif->connected)
        return;
    if (!b) {
        xbdev_fail(&vif->dev, -XEN_EINVAL, "%s: no such bridge", vif->port.name);
        return;
    }
    vif->failed = false;
    rc = connect_queues(vif);
    if (rc) {
        vif_disconnect(vif);
        xbdev_fail(&vif->dev, rc, "%s: cannot connect to its frontend", vif->port.name);
        return;
    }
    vif->port.caps = read_caps(vif->dev.peer);
    rc = port_join(&vif->port, b);
    if (rc) {
        vif_disconnect(vif);
        xbdev_fail(&vif->dev, rc, rc == -XEN_ENOSPC ? "%s: its bridge has no room for another address"
                                                    : "%s: its address is in use", vif->port.name);
        return;
    }
    vif->connected = true;
    vif->port.up = true;
    xbdev_set_state(&vif->dev, XenbusStateConnected);
    xbdev_log(&vif->dev, LOG_INFO, "%s: connected, %s%u queue%s%s%s", vif->port.name, vif->flip ? "flip, " : "",
             vif->flip ? 1 : vif->nr_queues, vif->nr_queues > 1 ? "s" : "", vif->port.caps & PORT_SG ? ", sg" : "",
             vif->port.caps & PORT_TSO4 ? ", tso" : "");
    for (unsigned int i = 0; i < vif->nr_queues; i++)
        work_queue(&vif->queues[i]->tx_work);
    if (vif->flip)
        work_queue(&vif->flip->tx_work);
}

/* States ------------------------------------------------------------------------------------ */

static void go_closing(struct vif *vif)
{
    vif_disconnect(vif);
    if (vif->dev.state == XenbusStateInitWait || vif->dev.state == XenbusStateConnected)
        xbdev_set_state(&vif->dev, XenbusStateClosing);
}

static void go_closed(struct vif *vif)
{
    go_closing(vif);
    if (vif->dev.state == XenbusStateClosing)
        xbdev_set_state(&vif->dev, XenbusStateClosed);
}

static void offer(struct vif *vif)
{
    const struct { const char *key; unsigned int value; } features[] = {
        { "feature-sg", 1 },
        { "feature-gso-tcpv4", 1 },
        { "feature-gso-tcpv6", 1 },
        { "feature-ipv6-csum-offload", 1 },
        { "feature-rx-copy", 1 },
        { "feature-rx-flip", 1 },
        { "feature-split-event-channels", 1 },
        { "feature-multicast-control", 0 },
        { "feature-sluice-flip", exchange_offered() ? NETFLIP_VERSION : 0 },
        { "feature-sluice-flip-extents", exchange_offered() && exchange_extents() },
        { "multi-queue-max-queues", VIF_QUEUES_MAX },
    };

    for (unsigned int i = 0; i < ARRAY_SIZE(features); i++)
        xs_printf(XS_NO_TXN, vif->dev.path, features[i].key, "%u", features[i].value);
    xbdev_set_state(&vif->dev, XenbusStateInitWait);
}

static void frontend_changed(struct xbdev *d, enum xenbus_state state)
{
    struct vif *vif = container_of(d, struct vif, dev);

    if (vif->dropped)
        return;
    switch (state) {
    case XenbusStateInitialising:
        /* A frontend that starts again without having closed finds nothing of its past, nor does one that was taken down. */
        if (d->state == XenbusStateConnected || d->state == XenbusStateClosing)
            go_closed(vif);
        if (d->state == XenbusStateClosed)
            xbdev_set_state(d, XenbusStateInitWait);
        break;
    case XenbusStateConnected:
        if (d->state == XenbusStateInitWait)
            vif_connect(vif);
        break;
    case XenbusStateClosing:
        go_closing(vif);
        break;
    case XenbusStateClosed:
    case XenbusStateUnknown:
        go_closed(vif);
        break;
    default:
        break;
    }
}

void vif_fail(struct vif *vif, const char *fmt, ...)
{
    va_list ap;

    if (vif->failed)
        return;
    vif->failed = true;
    va_start(ap, fmt);
    vsnprintf(vif->why, sizeof(vif->why), fmt, ap);
    va_end(ap);
    work_queue(&vif->fail_work);
}

static void fail_work(struct work *w)
{
    struct vif *vif = container_of(w, struct vif, fail_work);

    vif_disconnect(vif);
    xbdev_fail(&vif->dev, -XEN_EINVAL, "%s: %s; taken down", vif->port.name, vif->why);
}

/* Coming and going -------------------------------------------------------------------------- */

static void vif_free(struct vif *vif)
{
    vif_disconnect(vif);
    xbdev_close(&vif->dev);
    list_remove(&vif->link);
    log_info("%s: removed", vif->port.name);
    free(vif);
}

/*
 * Its address, its IP addresses and its rate. 0, or an error that was logged. All of them out of our own directory: the
 * frontend's is the guest's, who could have written there before we look.
 */
static int read_config(struct vif *vif)
{
    const char *back = vif->dev.path;
    char text[512];

    if (xs_read_str(XS_NO_TXN, back, "mac", text, sizeof(text)) < 0 ||
        !filter_parse_mac(vif->filter.mac, text)) {
        log_error("%s: mac missing or not the address of a station", vif->port.name);
        return -XEN_EINVAL;
    }
    memcpy(vif->port.mac, vif->filter.mac, sizeof(vif->port.mac));
    if (xs_read_str(XS_NO_TXN, back, "ip", text, sizeof(text)) >= 0 &&
        !filter_parse_ips(&vif->filter, text)) {
        log_error("%s: ip=%s: not a list of addresses", vif->port.name, text);
        return -XEN_EINVAL;
    }
    if (xs_read_str(XS_NO_TXN, back, "rate", text, sizeof(text)) >= 0 &&
        !rate_parse(&vif->rate, text)) {
        log_error("%s: rate=%s: not a rate", vif->port.name, text);
        return -XEN_EINVAL;
    }
    /* Once: a frontend that connects again must not find a full bucket each time. */
    rate_start(&vif->rate, now_ns());
    return 0;
}

static void vif_new(domid_t dom, uint32_t handle, const char *path)
{
    struct vif *vif = calloc(1, sizeof(*vif));
    int rc;

    if (!vif) {
        log_error("vif%u.%u: out of memory", dom, handle);
        return;
    }
    vif->dom = dom;
    vif->handle = handle;
    vif->port.mtu = VIF_MTU;
    vif->port.send = vif_send;
    vif->port.flush = vif_flush;
    snprintf(vif->port.name, sizeof(vif->port.name), "vif%u.%u", dom, handle);
    work_init(&vif->fail_work, fail_work);
    rc = xbdev_open(&vif->dev, path, true, frontend_changed);
    if (rc) {
        log_error("%s: cannot read its nodes in the store: error %d", vif->port.name, rc);
        free(vif);
        return;
    }
    list_push_back(&vifs, &vif->link);
    /* One that is configured wrongly stays, closed, until its directory goes. */
    vif->dev.state = XenbusStateInitialising;
    if (read_config(vif) == 0 && vif->dev.peer_dom == dom)
        offer(vif);
}

static struct vif *vif_find(domid_t dom, uint32_t handle)
{
    struct vif *vif;

    list_for_each(vif, &vifs, link) {
        if (vif->dom == dom && vif->handle == handle)
            return vif;
    }
    return NULL;
}

/* Makes or removes a vif as the store says. */
static void vif_check(uint32_t dom, uint32_t handle)
{
    static const char *const needed[] = { "frontend", "frontend-id", "state" };
    struct vif *vif = vif_find((domid_t)dom, handle);
    char path[XB_PATH_MAX], value[XB_PATH_MAX];
    bool there = true;

    snprintf(path, sizeof(path), BACKEND_ROOT "/%u/%u", dom, handle);
    for (unsigned int i = 0; i < ARRAY_SIZE(needed); i++)
        there = there && xs_read_str(XS_NO_TXN, path, needed[i], value, sizeof(value)) >= 0;
    if (vif && !there)
        vif_free(vif);
    else if (!vif && there)
        vif_new((domid_t)dom, handle, path);
}

static void root_changed(struct xs_watch *w, const char *path)
{
    struct vif *vif, *tmp;
    uint32_t number[2];
    unsigned int n = xb_path_numbers(BACKEND_ROOT, path, number);

    /* Most events are writes of our own to a vif that we have. */
    if (n == 3 && vif_find((domid_t)number[0], number[1]))
        return;
    if (n >= 2) {
        vif_check(number[0], number[1]);
        return;
    }
    list_for_each_safe(vif, tmp, &vifs, link)
        vif_check(vif->dom, vif->handle);
    xb_for_each_backend(BACKEND_ROOT, vif_check);
}

const struct port *netback_port(domid_t dom, uint32_t handle)
{
    const struct vif *vif = vif_find(dom, handle);

    return vif ? &vif->port : NULL;
}

void netback_drop_domain(domid_t dom)
{
    struct vif *vif;

    list_for_each(vif, &vifs, link) {
        if (vif->dom == dom) {
            vif->dropped = true;
            vif_disconnect(vif);
        }
    }
}

int netback_init(void)
{
    return xs_watch(&root_watch, BACKEND_ROOT, root_changed);
}
