/* SPDX-License-Identifier: MIT */
/*
 * ringconn.c - domains of the store: a shared page and an event channel each.
 *
 * The page is the guest's: it can hold anything at any time. Our own indexes are kept here and
 * only shown in the page; the guest's are checked whenever they are read. A guest that breaks
 * the rules is not served any more, which the page says; nobody else notices.
 */
#include <stdlib.h>
#include <string.h>

#include "atomic.h"
#include "runtime/event.h"
#include "runtime/loglimit.h"
#include "runtime/loop.h"
#include "toolstack/store/conn.h"
#include "toolstack/store/local.h"
#include "toolstack/store/server.h"

#define RING           XENSTORE_RING_SIZE
#define REQUEST_BUDGET 16 /* of one domain in one turn */
#define BUCKETS        256

struct ringconn {
    struct ringconn *next; /* in bucket */
    struct conn conn;
    struct xenstore_domain_interface *page;
    struct work work;
    uint32_t req_cons, rsp_prod; /* ours */
    evtchn_port_t port;
    domid_t domid;
    bool in_turn;
    struct log_limit lines; /* of the log: it can break the rules, begin anew, and break them again */
    bool shut_down; /* @releaseDomain was fired */
};

static struct ringconn *bucket[BUCKETS];
static unsigned int nr_domains;

static struct ringconn **find(domid_t domid)
{
    struct ringconn **r = &bucket[domid % BUCKETS];

    while (*r && (*r)->domid != domid)
        r = &(*r)->next;
    return r;
}

/* ---- the ring ---- */

static void stop(struct ringconn *r, int error)
{
    static const char *const why[] = {
        [XENSTORE_ERROR_COMM] = "communication",
        [XENSTORE_ERROR_RINGIDX] = "impossible ring index",
        [XENSTORE_ERROR_PROTO] = "oversized message",
    };

    r->conn.error = error;
    client_reset(&store_wire.store, &r->conn.client);
    WRITE_ONCE(r->page->error, (uint32_t)error);
    if (log_limit_pass(&r->lines, "store", "one domain"))
        log_warn("store: domain %u: %s; it is not served any more", r->domid, why[error]);
}

/* Answers and events into the ring. Returns the number of bytes. */
static size_t put(struct ringconn *r)
{
    uint32_t used = r->rsp_prod - load_acquire(&r->page->rsp_cons), start = r->rsp_prod;

    if (used > RING) {
        stop(r, XENSTORE_ERROR_RINGIDX);
        return 0;
    }
    while (used < RING && conn_has_output(&r->conn)) {
        uint32_t at = r->rsp_prod % RING;
        size_t n = conn_output(&r->conn, r->page->rsp + at, MIN(RING - used, RING - at));

        if (!n)
            break;
        r->rsp_prod += (uint32_t)n;
        used += (uint32_t)n;
    }
    if (r->rsp_prod != start)
        store_release(&r->page->rsp_prod, r->rsp_prod);
    return r->rsp_prod - start;
}

/* Requests out of the ring, at most one that is complete. Each byte is read once. */
static size_t take(struct ringconn *r)
{
    uint32_t avail = load_acquire(&r->page->req_prod) - r->req_cons, start = r->req_cons;

    if (avail > RING) {
        stop(r, XENSTORE_ERROR_RINGIDX);
        return 0;
    }
    while (avail && conn_accepts(&r->conn)) {
        uint32_t at = r->req_cons % RING;
        size_t n = conn_input(&r->conn, r->page->req + at, MIN(avail, RING - at));

        r->req_cons += (uint32_t)n;
        avail -= (uint32_t)n;
    }
    if (r->conn.error)
        stop(r, r->conn.error);
    if (r->req_cons != start)
        store_release(&r->page->req_cons, r->req_cons);
    return r->req_cons - start;
}

/* The guest starts afresh, as a kexec'ed kernel does. */
static void reconnect(struct ringconn *r)
{
    domid_t domid = r->domid;

    conn_reset(&r->conn);
    memset(r->page->req, 0, offsetof(struct xenstore_domain_interface, server_features));
    r->req_cons = r->rsp_prod = 0;
    WRITE_ONCE(r->page->error, XENSTORE_ERROR_NONE);
    store_release(&r->page->connection, XENSTORE_CONNECTED);
    log_debug("store: domain %u reconnects", domid);
}

static void turn(struct work *work)
{
    struct ringconn *r = container_of(work, struct ringconn, work);
    unsigned int budget = REQUEST_BUDGET;
    size_t moved = 0, now;

    r->in_turn = true;
    if (load_acquire(&r->page->connection) == XENSTORE_RECONNECT) {
        reconnect(r);
        moved = 1;
    }
    do {
        now = r->conn.error ? 0 : put(r);
        now += r->conn.error ? 0 : take(r);
        moved += now;
    } while (now && --budget);
    r->in_turn = false;
    if (moved || r->conn.error)
        event_send(r->port);
    if (now)
        work_queue(work);
}

static void ring_event(void *arg)
{
    struct ringconn *r = arg;

    if (!r->conn.error || load_acquire(&r->page->connection) == XENSTORE_RECONNECT)
        work_queue(&r->work);
}

static void ring_wake(struct conn *c)
{
    struct ringconn *r = container_of(c, struct ringconn, conn);

    if (!r->in_turn)
        work_queue(&r->work);
}

/* ---- domains ---- */

int store_domain_connect(domid_t domid, void *ring, evtchn_port_t remote)
{
    struct ringconn **at = find(domid), *r;
    int rc;

    if (*at)
        return -XEN_EEXIST;
    r = calloc(1, sizeof(*r));
    if (!r)
        return -XEN_ENOMEM;
    rc = conn_init(&r->conn, &store_wire, domid, ring_wake);
    if (rc)
        goto free;
    r->page = ring;
    r->domid = domid;
    log_limit_init(&r->lines);
    r->req_cons = READ_ONCE(r->page->req_cons);
    r->rsp_prod = READ_ONCE(r->page->rsp_prod);
    work_init(&r->work, turn);
    rc = event_bind_interdomain(domid, remote, ring_event, r, &r->port);
    if (rc)
        goto close;
    WRITE_ONCE(r->page->server_features,
               XENSTORE_SERVER_FEATURE_RECONNECTION | XENSTORE_SERVER_FEATURE_ERROR);
    WRITE_ONCE(r->page->error, XENSTORE_ERROR_NONE);
    WRITE_ONCE(r->page->connection, XENSTORE_CONNECTED);
    *at = r;
    nr_domains++;
    work_queue(&r->work); /* it may have asked already */
    store_fire_special(&store_wire.store, STORE_INTRODUCE);
    return 0;
close:
    conn_close(&r->conn);
free:
    free(r);
    return rc;
}

void store_domain_disconnect(domid_t domid)
{
    struct ringconn **at = find(domid), *r = *at;
    unsigned int nodes;
    size_t bytes;

    if (r) {
        *at = r->next;
        nr_domains--;
        event_close(r->port);
        work_cancel(&r->work);
        conn_close(&r->conn);
        log_limit_end(&r->lines, "store", "one domain");
        free(r);
    }
    ops_domain_died(&store_wire.store, domid);
    if (store_get_usage(domid, &nodes, &bytes))
        log_error("store: domain %u is gone, but %u nodes (%lu bytes) of it are not", domid, nodes,
                  bytes);
    store_fire_special(&store_wire.store, STORE_RELEASE);
}

void store_domain_shutdown(domid_t domid)
{
    struct ringconn *r = *find(domid);

    if (!r || r->shut_down)
        return;
    r->shut_down = true;
    store_fire_special(&store_wire.store, STORE_RELEASE);
}

void store_domain_resumed(domid_t domid)
{
    struct ringconn *r = *find(domid);

    if (r)
        r->shut_down = false;
}

bool store_domain_is_connected(domid_t domid)
{
    return !domid || *find(domid);
}

void store_get_stats(struct store_stats *s)
{
    s->nodes = store_wire.store.tree.count;
    s->watchpoints = store_wire.store.watches.count;
    s->domains = nr_domains;
}
