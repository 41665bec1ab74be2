/* SPDX-License-Identifier: MIT */
/* event.c - event channels: ports and their handlers, polled by the loop. */
#include "runtime/event.h"
#include "atomic.h"
#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/start.h"

#define PORTS 4096u             /* two-level event channels on x86-64 */
#define GROUP 64u               /* ports per word of the shared bitmaps */

struct handler {
    event_fn fn;
    void *arg;
    struct handler *next;       /* others on a shared physical interrupt */
    int pirq;                   /* -1: not a physical interrupt */
    bool needs_eoi;
};

static struct handler *groups[PORTS / GROUP];

#define PENDING ((volatile uint64_t *)shared_info->evtchn_pending)
#define MASK    ((volatile uint64_t *)shared_info->evtchn_mask)

static struct handler *handler_of(evtchn_port_t port)
{
    if (port >= PORTS || !groups[port / GROUP])
        return NULL;
    return &groups[port / GROUP][port % GROUP];
}

static void raw_close(evtchn_port_t port)
{
    struct evtchn_close op = { .port = port };

    (void)hc_event_channel_op(EVTCHNOP_close, &op);
}

/* Gives a new port its handler; the port is closed again if that fails. */
static int adopt(evtchn_port_t port, event_fn fn, void *arg)
{
    struct handler *h;

    if (port < PORTS && !groups[port / GROUP])
        groups[port / GROUP] = calloc(GROUP, sizeof(struct handler));
    h = handler_of(port);
    if (!h) {
        raw_close(port);
        return -XEN_ENOMEM;
    }
    *h = (struct handler){ .fn = fn, .arg = arg, .pirq = -1 };
    return 0;
}

static int adopt_and_unmask(evtchn_port_t port, event_fn fn, void *arg, evtchn_port_t *out)
{
    int rc = adopt(port, fn, arg);

    if (rc)
        return rc;
    *out = port;
    event_unmask(port);
    return 0;
}

int event_bind_interdomain(domid_t dom, evtchn_port_t remote, event_fn fn, void *arg,
                           evtchn_port_t *port)
{
    struct evtchn_bind_interdomain op = { .remote_dom = dom, .remote_port = remote };
    long rc = hc_event_channel_op(EVTCHNOP_bind_interdomain, &op);

    return rc ? (int)rc : adopt_and_unmask(op.local_port, fn, arg, port);
}

int event_alloc_unbound(domid_t dom, event_fn fn, void *arg, evtchn_port_t *port)
{
    struct evtchn_alloc_unbound op = { .dom = DOMID_SELF, .remote_dom = dom };
    long rc = hc_event_channel_op(EVTCHNOP_alloc_unbound, &op);

    return rc ? (int)rc : adopt_and_unmask(op.port, fn, arg, port);
}

int event_bind_virq(unsigned int virq, event_fn fn, void *arg, evtchn_port_t *port)
{
    struct evtchn_bind_virq op = { .virq = virq, .vcpu = 0 };
    long rc = hc_event_channel_op(EVTCHNOP_bind_virq, &op);

    return rc ? (int)rc : adopt_and_unmask(op.port, fn, arg, port);
}

static evtchn_port_t port_of_pirq(unsigned int pirq)
{
    for (evtchn_port_t p = 1; p < PORTS; p++) {
        struct handler *h = handler_of(p);

        if (h && h->fn && h->pirq == (int)pirq)
            return p;
    }
    return 0;
}

static int share_pirq(struct handler *first, event_fn fn, void *arg)
{
    struct handler *h = malloc(sizeof(*h));

    if (!h)
        return -XEN_ENOMEM;
    *h = (struct handler){ .fn = fn, .arg = arg, .pirq = first->pirq, .next = first->next };
    first->next = h;
    return 0;
}

int event_bind_pirq(unsigned int pirq, unsigned int share, event_fn fn, void *arg,
                    evtchn_port_t *port)
{
    struct evtchn_bind_pirq op = {
        .pirq = pirq, .flags = share & EVENT_SHARED ? BIND_PIRQ__WILL_SHARE : 0,
    };
    struct physdev_irq_status_query status = { .irq = pirq };
    evtchn_port_t have = port_of_pirq(pirq);
    struct handler *h;
    long rc;

    if (have) {
        *port = have;
        return share & EVENT_SHARED ? share_pirq(handler_of(have), fn, arg) : -XEN_EBUSY;
    }
    rc = hc_event_channel_op(EVTCHNOP_bind_pirq, &op);
    if (!rc)
        rc = adopt(op.port, fn, arg);
    if (rc)
        return (int)rc;
    h = handler_of(op.port);
    h->pirq = (int)pirq;
    rc = hc_physdev_op(PHYSDEVOP_irq_status_query, &status);
    h->needs_eoi = !rc && (status.flags & XENIRQSTAT_needs_eoi);
    *port = op.port;
    event_unmask(op.port);
    return 0;
}

int event_attach(evtchn_port_t port, event_fn fn, void *arg)
{
    evtchn_port_t same;

    if (!port || port >= PORTS)
        return -XEN_EINVAL;
    return adopt_and_unmask(port, fn, arg, &same);
}

void event_close(evtchn_port_t port)
{
    struct handler *h = handler_of(port);

    if (!port || !h || !h->fn)
        return;
    event_mask(port);
    while (h->next) {
        struct handler *n = h->next;

        h->next = n->next;
        free(n);
    }
    h->fn = NULL;
    h->pirq = -1;
    raw_close(port);
}

void event_send(evtchn_port_t port)
{
    struct evtchn_send op = { .port = port };

    (void)hc_event_channel_op(EVTCHNOP_send, &op);
}

void event_mask(evtchn_port_t port)
{
    set_bit(port, MASK);
}

/* All ports notify vCPU 0, which is where this runs: what came while the port was masked is
 * raised again here, no hypercall needed. */
void event_unmask(evtchn_port_t port)
{
    struct vcpu_info *v = &shared_info->vcpu_info[0];

    clear_bit(port, MASK);
    if (test_bit(port, PENDING)) {
        set_bit(port / GROUP, (volatile uint64_t *)&v->evtchn_pending_sel);
        WRITE_ONCE(v->evtchn_upcall_pending, 1);
    }
}

/* Of a physical interrupt. */
static noinline void run_handlers(struct handler *h)
{
    struct handler *first = h, *next;
    struct physdev_eoi eoi = { .irq = (uint32_t)h->pirq };

    for (; h; h = next) {
        next = h->next;         /* a handler may close its port */
        h->fn(h->arg);
    }
    if (first->needs_eoi)
        (void)hc_physdev_op(PHYSDEVOP_eoi, &eoi);
}

/* Of the ports of one word. */
static inline void poll_group(unsigned int word)
{
    volatile uint64_t *pending = &PENDING[word], *mask = &MASK[word];

    for (uint64_t ready = *pending & ~*mask; ready; ready &= ready - 1) {
        unsigned int bit = (unsigned int)__builtin_ctzl(ready);
        struct handler *h = groups[word];

        if (test_bit(bit, mask))
            continue;           /* by a handler just now; it stays pending */
        clear_bit(bit, pending);
        if (!h || !h[bit].fn)
            continue;
        h += bit;
        if (likely(!h->next && !h->needs_eoi))
            h->fn(h->arg);
        else
            run_handlers(h);
    }
}

bool event_poll(void)
{
    struct vcpu_info *v = &shared_info->vcpu_info[0];
    uint64_t sel;

    if (!v->evtchn_upcall_pending)
        return false;
    (void)atomic_xchg(&v->evtchn_upcall_pending, 0);
    sel = atomic_xchg(&v->evtchn_pending_sel, 0);
    for (; sel; sel &= sel - 1)
        poll_group((unsigned int)__builtin_ctzl(sel));
    return true;
}

bool event_any_pending(void)
{
    return READ_ONCE(shared_info->vcpu_info[0].evtchn_upcall_pending) != 0;
}

void event_init(void)
{
    for (unsigned int i = 0; i < PORTS / GROUP; i++)
        MASK[i] = ~0UL;
    shared_info->vcpu_info[0].evtchn_upcall_mask = 1;
}
