/* SPDX-License-Identifier: MIT */
/*
 * xenbus.c - client of the store over its ring: the provider behind xs.h in mini guests.
 *
 * One request at a time: send it, wait for the reply with its number. Watch events that come in
 * between are queued and run from the loop. The store is trusted with our progress, not with our
 * memory: lengths and indices it writes are checked.
 */
#include "runtime/xenbus.h"
#include "atomic.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/event.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "runtime/start.h"
#include "runtime/xs.h"

static struct xenstore_domain_interface *ring;
static evtchn_port_t ring_port;
static uint32_t last_id, last_watch;
static struct list watches = LIST_INIT(watches);

struct watch_event {
    struct list link;
    uint32_t id;
    char path[];
};
static struct list events = LIST_INIT(events);
static struct work event_work, ring_work;

/* A message that is being received; the payload always has a NUL behind it. */
static struct {
    struct xsd_sockmsg head;
    uint32_t have;
    char payload[XENSTORE_PAYLOAD_MAX + 1];
} in;

static void wait_for_event(void)
{
    evtchn_port_t ports[1] = { ring_port };
    struct sched_poll poll = { .nr_ports = 1 };

    /* Poll looks at the pending bit even of a masked port; the bit is cleared before each look. */
    set_xen_guest_handle(poll.ports, ports);
    (void)hc_sched_op(SCHEDOP_poll, &poll);
    clear_bit(ring_port, (volatile uint64_t *)shared_info->evtchn_pending);
}

static void send(const void *data, size_t n)
{
    const char *p = data;

    while (n) {
        uint32_t prod = ring->req_prod, cons = load_acquire(&ring->req_cons);
        uint32_t room = XENSTORE_RING_SIZE - (prod - cons);

        if (room > XENSTORE_RING_SIZE)
            panic("xenbus: bad ring indices");
        if (!room) {
            event_send(ring_port);
            wait_for_event();
            continue;
        }
        for (; n && room; n--, room--)
            ring->req[MASK_XENSTORE_IDX(prod++)] = *p++;
        store_release(&ring->req_prod, prod);
    }
}

/* Takes what is there; true when `in` holds a whole message. */
static bool receive(void)
{
    uint32_t cons = ring->rsp_cons, prod = load_acquire(&ring->rsp_prod), start = cons;
    uint32_t need = sizeof(in.head);

    if (prod - cons > XENSTORE_RING_SIZE)
        panic("xenbus: bad ring indices");
    while (cons != prod) {
        char c = ring->rsp[MASK_XENSTORE_IDX(cons++)];

        if (in.have < sizeof(in.head))
            ((char *)&in.head)[in.have] = c;
        else
            in.payload[in.have - sizeof(in.head)] = c;
        in.have++;
        if (in.have < sizeof(in.head))
            continue;
        if (in.head.len > XENSTORE_PAYLOAD_MAX)
            panic("xenbus: message of %u bytes", in.head.len);
        need = (uint32_t)sizeof(in.head) + in.head.len;
        if (in.have == need)
            break;
    }
    if (cons != start) {
        store_release(&ring->rsp_cons, cons);
        event_send(ring_port);
    }
    if (in.have < sizeof(in.head) || in.have < need)
        return false;
    in.payload[in.head.len] = '\0';
    in.have = 0;
    return true;
}

static void queue_watch_event(void)
{
    size_t n = strlen(in.payload);
    struct watch_event *e = malloc(sizeof(*e) + n + 1);
    uint32_t id = 0;

    if (!e || n + 1 >= in.head.len) {
        free(e);
        return;
    }
    for (const char *p = in.payload + n + 1; *p >= '0' && *p <= '9'; p++)
        id = id * 10 + (uint32_t)(*p - '0');
    e->id = id;
    memcpy(e->path, in.payload, n + 1);
    list_push_back(&events, &e->link);
    work_queue(&event_work);
}

static void run_watch_events(struct work *w)
{
    struct watch_event *e;

    while ((e = list_first(&events, struct watch_event, link)) != NULL) {
        struct xs_watch *x;

        list_remove(&e->link);
        list_for_each(x, &watches, link) {
            if (x->id == e->id) {
                x->fn(x, e->path);
                break;
            }
        }
        free(e);
    }
}

static void ring_event(void *arg)
{
    while (receive()) {
        if (in.head.type == XS_WATCH_EVENT)
            queue_watch_event();
    }
}

static void drain_ring(struct work *w)
{
    ring_event(NULL);
}

static int error_number(const char *name)
{
    static const struct {
        const char *name;
        int number;
    } known[] = {
        { "EINVAL", XEN_EINVAL }, { "EACCES", XEN_EACCES }, { "EEXIST", XEN_EEXIST },
        { "EISDIR", XEN_EISDIR }, { "ENOENT", XEN_ENOENT }, { "ENOMEM", XEN_ENOMEM },
        { "ENOSPC", XEN_ENOSPC }, { "EIO", XEN_EIO },       { "ENOTEMPTY", XEN_ENOTEMPTY },
        { "ENOSYS", XEN_ENOSYS }, { "EROFS", XEN_EROFS },   { "EBUSY", XEN_EBUSY },
        { "EAGAIN", XEN_EAGAIN }, { "EISCONN", XEN_EISCONN }, { "E2BIG", XEN_E2BIG },
        { "EPERM", XEN_EPERM },
    };

    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (strcmp(known[i].name, name) == 0)
            return known[i].number;
    }
    return XEN_EINVAL;
}

/* Sends one request made of parts and waits: payload length, the reply is in in.payload. */
static int request(uint32_t type, xs_txn t, const char *a, size_t na, const void *b, size_t nb)
{
    struct xsd_sockmsg head = {
        .type = type, .req_id = ++last_id, .tx_id = t, .len = (uint32_t)(na + nb),
    };

    if (na + nb > XENSTORE_PAYLOAD_MAX)
        return -XEN_E2BIG;
    send(&head, sizeof(head));
    send(a, na);
    send(b, nb);
    event_send(ring_port);
    for (;;) {
        if (!receive()) {
            wait_for_event();
        } else if (in.head.type == XS_WATCH_EVENT) {
            queue_watch_event();
        } else if (in.head.req_id == head.req_id) {
            /* What came in one event with the reply has no event of its own any more. */
            if (load_acquire(&ring->rsp_prod) != ring->rsp_cons)
                work_queue(&ring_work);
            return in.head.type == XS_ERROR ? -error_number(in.payload) : (int)in.head.len;
        }
    }
}

static int copy_reply(int rc, char *buf, size_t size)
{
    size_t n;

    if (rc < 0 || !size)
        return rc;
    n = MIN((size_t)rc, size - 1);
    memcpy(buf, in.payload, n);
    buf[n] = '\0';
    return rc;
}

static int bus_read(void *ctx, xs_txn t, const char *path, char *buf, size_t size)
{
    return copy_reply(request(XS_READ, t, path, strlen(path) + 1, NULL, 0), buf, size);
}

static int bus_directory(void *ctx, xs_txn t, const char *path, char *buf, size_t size)
{
    return copy_reply(request(XS_DIRECTORY, t, path, strlen(path) + 1, NULL, 0), buf, size);
}

static int done(int rc)
{
    return rc < 0 ? rc : 0;
}

static int bus_write(void *ctx, xs_txn t, const char *path, const void *value, size_t len)
{
    return done(request(XS_WRITE, t, path, strlen(path) + 1, value, len));
}

static int bus_mkdir(void *ctx, xs_txn t, const char *path)
{
    return done(request(XS_MKDIR, t, path, strlen(path) + 1, NULL, 0));
}

static int bus_rm(void *ctx, xs_txn t, const char *path)
{
    return done(request(XS_RM, t, path, strlen(path) + 1, NULL, 0));
}

static int bus_set_perms(void *ctx, xs_txn t, const char *path, const struct xs_perm *p, size_t n)
{
    static const char letters[] = { 'n', 'r', 'w', 'b' };
    char list[256];
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        if (at + 8 > sizeof(list))
            return -XEN_E2BIG;
        at += (size_t)snprintf(list + at, sizeof(list) - at, "%c%u", letters[p[i].access & 3],
                               p[i].dom) + 1;
    }
    return done(request(XS_SET_PERMS, t, path, strlen(path) + 1, list, at));
}

static int bus_txn_start(void *ctx, xs_txn *t)
{
    int rc = request(XS_TRANSACTION_START, 0, "", 1, NULL, 0);

    *t = 0;
    for (const char *p = in.payload; rc >= 0 && *p >= '0' && *p <= '9'; p++)
        *t = *t * 10 + (uint32_t)(*p - '0');
    return done(rc);
}

static int bus_txn_end(void *ctx, xs_txn t, bool commit)
{
    return done(request(XS_TRANSACTION_END, t, commit ? "T" : "F", 2, NULL, 0));
}

static int bus_watch(void *ctx, struct xs_watch *w)
{
    char token[16];
    int rc;

    w->id = ++last_watch;
    (void)snprintf(token, sizeof(token), "%u", w->id);
    list_push_back(&watches, &w->link);
    rc = done(request(XS_WATCH, 0, w->path, strlen(w->path) + 1, token, strlen(token) + 1));
    if (rc)
        list_remove(&w->link);
    return rc;
}

static void bus_unwatch(void *ctx, struct xs_watch *w)
{
    char token[16];

    list_remove(&w->link);
    (void)snprintf(token, sizeof(token), "%u", w->id);
    (void)request(XS_UNWATCH, 0, w->path, strlen(w->path) + 1, token, strlen(token) + 1);
}

static const struct xs_ops bus_ops = {
    .read = bus_read,
    .write = bus_write,
    .mkdir = bus_mkdir,
    .rm = bus_rm,
    .directory = bus_directory,
    .set_perms = bus_set_perms,
    .txn_start = bus_txn_start,
    .txn_end = bus_txn_end,
    .watch = bus_watch,
    .unwatch = bus_unwatch,
};

int xenbus_init(void)
{
    pfn_t page = mfn_to_pfn(mfn(start_info->store_mfn));

    if (!start_info->store_evtchn || page.v == ~0UL)
        return -XEN_ENODEV;
    ring = pfn_to_virt(page);
    ring_port = start_info->store_evtchn;
    work_init(&event_work, run_watch_events);
    work_init(&ring_work, drain_ring);
    xs_set_provider(&bus_ops, NULL);
    return event_attach(ring_port, ring_event, NULL);
}
