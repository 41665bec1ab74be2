/* SPDX-License-Identifier: MIT */
/*
 * evtchn.c - event channels: bind, send, close.
 *
 * The state of a port changes only under its domain's event_lock; binding and closing an
 * interdomain pair takes both domains' locks, so one lock suffices to send: while the local
 * end is bound, the remote end and its domain stay. Raising a pending bit itself takes no
 * lock: it works on words shared with the guest, and is called from interrupt handlers.
 *
 * A domain's ports are kept in buckets that are allocated as ports are used and freed only
 * when the domain dies, so look-ups need no lock either.
 *
 * Facts: <xen/event_channel.h>; PV-ABI section 3.5 and 6.1.
 */
#include "event/evtchn.h"
#include "cpu/counters.h"
#include "event/irq.h"
#include "hypercall/hypercall.h"
#include "mm/heap.h"
#include "mm/uaccess.h"
#include "sched/sched.h"
#include "dev/panic.h"
#include "atomic.h"

enum port_state {
    PORT_FREE,
    PORT_RESERVED,              /* port 0: guests take it for "none" */
    PORT_UNBOUND,
    PORT_INTERDOMAIN,
    PORT_PIRQ,
    PORT_VIRQ,
    PORT_IPI,
};

struct evtchn {
    uint8_t state;              /* enum port_state */
    uint8_t vcpu;               /* which vCPU is notified; read without the lock */
    uint16_t remote_domid;      /* PORT_UNBOUND: who may bind */
    uint32_t number;            /* PORT_INTERDOMAIN: remote port; PORT_VIRQ, PORT_PIRQ: which */
    struct domain *remote;      /* PORT_INTERDOMAIN; no reference: unbinding takes both locks */
};

#define PORTS_PER_BUCKET    128u
#define NR_BUCKETS          (EVTCHN_MAX_PORTS / PORTS_PER_BUCKET)

/* The record of a port that is in use. */
static inline struct evtchn *port_at(const struct domain *d, evtchn_port_t port)
{
    return &d->evtchn_bucket[port / PORTS_PER_BUCKET][port % PORTS_PER_BUCKET];
}

/* The port's record; NULL for a number that was never in use. */
static struct evtchn *port_lookup(const struct domain *d, evtchn_port_t port)
{
    struct evtchn *bucket;

    if (port >= d->max_evtchn_port)
        return NULL;
    bucket = load_acquire(&d->evtchn_bucket[port / PORTS_PER_BUCKET]);
    return bucket ? &bucket[port % PORTS_PER_BUCKET] : NULL;
}

/* ------------------------------------------------------------------ raising */

/* The port's word is not announced yet: announces it to v, unless that one knows of an event already. True: it is to be
 * kicked. */
static __always_inline bool announce(struct vcpu *v, evtchn_port_t port)
{
    return !test_and_set_bit(port / 64, (uint64_t *)&v->info->evtchn_pending_sel) &&
           !atomic_xchg(&v->info->evtchn_upcall_pending, 1);
}

static noinline void wake_pollers(struct domain *d, evtchn_port_t port)
{
    uint32_t waiting = load_relaxed(&d->poll_mask);

    while (waiting) {
        uint32_t id = (uint32_t)__builtin_ctz(waiting);
        struct vcpu *v = d->vcpu[id];

        waiting &= waiting - 1;
        for (uint32_t i = 0; i < READ_ONCE(v->poll_nr); i++) {
            if (READ_ONCE(v->poll_ports[i]) == port) {
                vcpu_unblock(v);
                break;
            }
        }
    }
}

/* Sets the port's pending bit and tells vCPU v as far as the guest's masks allow. leaving: the current vCPU is about to
 * sleep, as sched_hand_over() wants it. True: that handed the CPU to v. */
static __always_inline bool raise_inline(struct domain *d, struct vcpu *v, evtchn_port_t port, bool leaving)
{
    struct shared_info *s = d->shared;
    bool handed = false;

    if (test_and_set_bit(port, (uint64_t *)s->evtchn_pending))
        return false;
    count(CNT_EVENT);
    if (!test_bit(port, (uint64_t *)s->evtchn_mask) && announce(v, port)) {
        if (leaving)
            handed = sched_hand_over(v);
        else
            vcpu_kick(v);
    }
    /* A poller waits for the pending bit even while the port is masked. The full barrier of
     * the locked operation above pairs with the one in SCHEDOP_poll. */
    if (unlikely(load_relaxed(&d->poll_mask)))
        wake_pollers(d, port);
    return handed;
}

static noinline void raise(struct domain *d, struct vcpu *v, evtchn_port_t port)
{
    (void)raise_inline(d, v, port, false);
}

/* Pending but not announced, after its mask or vCPU changed: announce it to v. */
static void announce_if_pending(struct domain *d, struct vcpu *v, evtchn_port_t port)
{
    struct shared_info *s = d->shared;

    if (test_bit(port, (uint64_t *)s->evtchn_pending) &&
        !test_bit(port, (uint64_t *)s->evtchn_mask) && announce(v, port))
        vcpu_kick(v);
}

static struct vcpu *port_vcpu(const struct domain *d, const struct evtchn *chn)
{
    return d->vcpu[READ_ONCE(chn->vcpu)];
}

void evtchn_raise_port(struct domain *d, evtchn_port_t port)
{
    struct evtchn *chn = port_lookup(d, port);

    if (chn && READ_ONCE(chn->state) >= PORT_INTERDOMAIN)
        raise(d, port_vcpu(d, chn), port);
}

void evtchn_raise_virq(struct vcpu *v, uint32_t virq)
{
    evtchn_port_t port = READ_ONCE(v->virq_port[virq]);

    /* A close at the same time can make this a spurious event on a port of the same domain. */
    if (port)
        raise(v->domain, v, port);
}

void evtchn_raise_global_virq(uint32_t virq)
{
    struct vcpu *v = dom0 ? dom0->vcpu[0] : NULL;
    evtchn_port_t port = v ? READ_ONCE(v->virq_port[virq]) : 0;

    /* Bound to vCPU 0, but bind_vcpu may have moved the notification. */
    if (port)
        evtchn_raise_port(dom0, port);
}

void evtchn_vcpu_info_moved(struct vcpu *v)
{
    (void)atomic_xchg(&v->info->evtchn_pending_sel, ~0UL);
    WRITE_ONCE(v->info->evtchn_upcall_pending, 1);
    smp_mb();
    vcpu_kick(v);
}

int evtchn_is_pending(struct domain *d, evtchn_port_t port)
{
    const struct evtchn *chn = port_lookup(d, port);

    if (!chn || READ_ONCE(chn->state) < PORT_UNBOUND)
        return -XEN_EINVAL;
    return test_bit(port, (const uint64_t *)d->shared->evtchn_pending);
}

bool evtchn_poll_pending(const struct vcpu *v)
{
    const uint64_t *pending = (const uint64_t *)v->domain->shared->evtchn_pending;

    for (uint32_t i = 0; i < v->poll_nr; i++)
        if (test_bit(v->poll_ports[i], pending))
            return true;
    return false;
}

/* ------------------------------------------------------------ port life cycle */

/* The lowest free port, its bucket made if need be; port number or -errno. Lock held. */
static int port_alloc(struct domain *d, struct evtchn **chnp)
{
    ASSERT_HELD(&d->event_lock);
    for (uint32_t port = d->evtchn_hint; port < d->max_evtchn_port; port++) {
        struct evtchn *bucket = d->evtchn_bucket[port / PORTS_PER_BUCKET];

        if (!bucket) {
            bucket = xzalloc_array(struct evtchn, PORTS_PER_BUCKET);
            if (!bucket)
                return -XEN_ENOMEM;
            store_release(&d->evtchn_bucket[port / PORTS_PER_BUCKET], bucket);
        }
        if (bucket[port % PORTS_PER_BUCKET].state == PORT_FREE) {
            d->evtchn_hint = port;
            *chnp = &bucket[port % PORTS_PER_BUCKET];
            return (int)port;
        }
    }
    return -XEN_ENOSPC;
}

static void port_activate(struct domain *d, struct evtchn *chn, enum port_state state,
                          uint32_t vcpu, uint32_t number)
{
    chn->vcpu = (uint8_t)vcpu;
    chn->number = number;
    WRITE_ONCE(chn->state, state);
    d->nr_evtchns++;
}

static void port_free(struct domain *d, struct evtchn *chn, evtchn_port_t port)
{
    /* Nothing of the old use may show up in the next. */
    clear_bit(port, (uint64_t *)d->shared->evtchn_pending);
    WRITE_ONCE(chn->state, PORT_FREE);
    chn->remote = NULL;
    chn->vcpu = 0;
    d->nr_evtchns--;
    if (port < d->evtchn_hint)
        d->evtchn_hint = port;
}

/*
 * Locks d and the domain at the other end of `port`, if it has one. The remote domain is read
 * under d's lock, and stays alive while we let go of it: a domain is freed only after all
 * of its ports are closed, and it is looked up anew once both locks are held.
 */
static struct domain *lock_with_remote(struct domain *d, evtchn_port_t port)
{
    for (;;) {
        struct evtchn *chn;
        struct domain *remote;

        spin_lock(&d->event_lock);
        chn = port_lookup(d, port);
        remote = chn && chn->state == PORT_INTERDOMAIN ? chn->remote : NULL;
        if (!remote || remote == d)
            return NULL;
        domain_ref(remote);
        spin_unlock(&d->event_lock);

        spin_lock_pair(&d->event_lock, &remote->event_lock);
        if (chn->state == PORT_INTERDOMAIN && chn->remote == remote)
            return remote;
        spin_unlock_pair(&d->event_lock, &remote->event_lock);
        domain_put(remote);
    }
}

static void unlock_with_remote(struct domain *d, struct domain *remote)
{
    if (!remote) {
        spin_unlock(&d->event_lock);
        return;
    }
    spin_unlock_pair(&d->event_lock, &remote->event_lock);
    domain_put(remote);
}

static long port_close(struct domain *d, evtchn_port_t port)
{
    struct domain *remote = lock_with_remote(d, port);
    struct evtchn *chn = port_lookup(d, port);
    long rc = 0;

    if (!chn) {
        rc = -XEN_EINVAL;
        goto out;
    }
    switch (chn->state) {
    case PORT_FREE:
    case PORT_RESERVED:
        rc = -XEN_EINVAL;
        goto out;
    case PORT_INTERDOMAIN: {
        struct evtchn *other = port_lookup(chn->remote, chn->number);

        BUG_ON(!other || other->state != PORT_INTERDOMAIN);
        /* The other end waits, as an unbound port, for this domain to come back. */
        if (other != chn) {
            other->remote = NULL;
            other->remote_domid = d->id;
            WRITE_ONCE(other->state, PORT_UNBOUND);
        }
        break;
    }
    case PORT_VIRQ:
        d->vcpu[virq_is_global(chn->number) ? 0 : chn->vcpu]->virq_port[chn->number] = 0;
        break;
    case PORT_PIRQ:
        pirq_unbind(d, chn->number);
        break;
    default:
        break;
    }
    port_free(d, chn, port);
out:
    unlock_with_remote(d, remote);
    return rc;
}

/* ------------------------------------------------------------------ operations */

static long op_alloc_unbound(struct evtchn_alloc_unbound *a)
{
    struct domain *d = domain_of_arg(a->dom);
    struct evtchn *chn;
    int port;

    if (!d)
        return -XEN_ESRCH;
    if (d != current->domain && !current->domain->privileged) {
        domain_put(d);
        return -XEN_EPERM;
    }
    spin_lock(&d->event_lock);
    port = domain_dying(d) ? -XEN_ESRCH : port_alloc(d, &chn);
    if (port >= 0) {
        chn->remote_domid = a->remote_dom == DOMID_SELF ? current->domain->id : a->remote_dom;
        port_activate(d, chn, PORT_UNBOUND, 0, 0);
        a->port = (evtchn_port_t)port;
    }
    spin_unlock(&d->event_lock);
    domain_put(d);
    return port < 0 ? port : 0;
}

static long op_bind_interdomain(struct evtchn_bind_interdomain *b)
{
    struct domain *d = current->domain;
    struct domain *remote = domain_of_arg(b->remote_dom);
    struct evtchn *chn = NULL, *other;
    long rc = -XEN_EINVAL;
    int port;

    if (!remote)
        return -XEN_ESRCH;
    spin_lock_pair(&d->event_lock, &remote->event_lock);
    port = port_alloc(d, &chn);
    if (port < 0) {
        rc = port;
        goto out;
    }
    other = port_lookup(remote, b->remote_port);
    if (!other || other->state != PORT_UNBOUND || other->remote_domid != d->id || other == chn ||
        domain_dying(remote))
        goto out;
    chn->remote = remote;
    port_activate(d, chn, PORT_INTERDOMAIN, 0, b->remote_port);
    other->remote = d;
    other->number = (uint32_t)port;
    WRITE_ONCE(other->state, PORT_INTERDOMAIN);
    /* What the other end sent while it was unbound is lost: let this end look once. */
    raise(d, d->vcpu[0], (evtchn_port_t)port);
    b->local_port = (evtchn_port_t)port;
    rc = 0;
out:
    spin_unlock_pair(&d->event_lock, &remote->event_lock);
    domain_put(remote);
    return rc;
}

static long op_bind_virq(struct evtchn_bind_virq *b)
{
    struct domain *d = current->domain;
    struct evtchn *chn;
    struct vcpu *v;
    int port;

    if (b->virq >= NR_VIRQS || (virq_is_global(b->virq) && b->vcpu != 0))
        return -XEN_EINVAL;
    if (b->vcpu >= d->max_vcpus || !(v = d->vcpu[b->vcpu]))
        return -XEN_ENOENT;
    spin_lock(&d->event_lock);
    port = v->virq_port[b->virq] ? -XEN_EEXIST : port_alloc(d, &chn);
    if (port >= 0) {
        port_activate(d, chn, PORT_VIRQ, b->vcpu, b->virq);
        WRITE_ONCE(v->virq_port[b->virq], (evtchn_port_t)port);
        b->port = (evtchn_port_t)port;
    }
    spin_unlock(&d->event_lock);
    return port < 0 ? port : 0;
}

static long op_bind_ipi(struct evtchn_bind_ipi *b)
{
    struct domain *d = current->domain;
    struct evtchn *chn;
    int port;

    if (b->vcpu >= d->max_vcpus || !d->vcpu[b->vcpu])
        return -XEN_ENOENT;
    spin_lock(&d->event_lock);
    port = port_alloc(d, &chn);
    if (port >= 0) {
        port_activate(d, chn, PORT_IPI, b->vcpu, 0);
        b->port = (evtchn_port_t)port;
    }
    spin_unlock(&d->event_lock);
    return port < 0 ? port : 0;
}

static long op_bind_pirq(struct evtchn_bind_pirq *b)
{
    struct domain *d = current->domain;
    struct evtchn *chn;
    int port, rc;

    if (b->pirq >= NR_PIRQS)
        return -XEN_EINVAL;
    if (!d->io_all)
        return -XEN_EPERM;
    spin_lock(&d->event_lock);
    port = port_alloc(d, &chn);
    if (port < 0) {
        spin_unlock(&d->event_lock);
        return port;
    }
    /* Active before the interrupt is: it may fire at once. */
    port_activate(d, chn, PORT_PIRQ, 0, b->pirq);
    rc = pirq_bind(d, b->pirq, (evtchn_port_t)port, (b->flags & BIND_PIRQ__WILL_SHARE) != 0);
    if (rc)
        port_free(d, chn, (evtchn_port_t)port);
    spin_unlock(&d->event_lock);
    b->port = (evtchn_port_t)port;
    return rc;
}

static inline long op_send(evtchn_port_t port)
{
    struct domain *d = current->domain, *to;
    const struct evtchn *chn = port_lookup(d, port), *end;
    long rc = 0;

    if (unlikely(!chn))
        return -XEN_EINVAL;
    spin_lock(&d->event_lock);
    switch (chn->state) {
    case PORT_INTERDOMAIN:
        to = chn->remote;
        end = port_at(to, chn->number);
        (void)raise_inline(to, port_vcpu(to, end), chn->number, false);
        break;
    case PORT_IPI:
        raise(d, port_vcpu(d, chn), port);
        break;
    case PORT_UNBOUND:          /* nobody listens: lost */
        break;
    default:
        rc = -XEN_EINVAL;
    }
    spin_unlock(&d->event_lock);
    return rc;
}

long evtchn_send(uint64_t port)
{
    return port < current->domain->max_evtchn_port ? op_send((evtchn_port_t)port) : -XEN_EINVAL;
}

long evtchn_send_leaving(uint64_t port, struct vcpu **next)
{
    struct domain *d = current->domain, *to;
    const struct evtchn *chn, *end;
    struct vcpu *v;

    if (unlikely(port >= d->max_evtchn_port))
        return -XEN_EINVAL;
    chn = port_lookup(d, (evtchn_port_t)port);
    if (unlikely(!chn))
        return -XEN_EINVAL;
    spin_lock(&d->event_lock);
    if (unlikely(chn->state != PORT_INTERDOMAIN)) {
        spin_unlock(&d->event_lock);
        return evtchn_send(port);
    }
    to = chn->remote;
    end = port_at(to, chn->number);
    v = port_vcpu(to, end);
    /* v may be freed once the lock is given back, but not while a CPU is its own. */
    if (likely(raise_inline(to, v, chn->number, true)))
        *next = v;
    spin_unlock(&d->event_lock);
    return 0;
}

static void status_fill(struct domain *d, struct evtchn *chn, struct evtchn_status *s)
{
    switch (chn->state) {
    case PORT_UNBOUND:
        s->status = EVTCHNSTAT_unbound;
        s->u.unbound.dom = chn->remote_domid;
        break;
    case PORT_INTERDOMAIN:
        s->status = EVTCHNSTAT_interdomain;
        s->u.interdomain.dom = chn->remote->id;
        s->u.interdomain.port = chn->number;
        break;
    case PORT_PIRQ:
        s->status = EVTCHNSTAT_pirq;
        s->u.pirq = chn->number;
        break;
    case PORT_VIRQ:
        s->status = EVTCHNSTAT_virq;
        s->u.virq = chn->number;
        break;
    case PORT_IPI:
        s->status = EVTCHNSTAT_ipi;
        break;
    default:
        s->status = EVTCHNSTAT_closed;
    }
    s->vcpu = chn->vcpu;
}

static long op_status(struct evtchn_status *s)
{
    struct domain *d = domain_of_arg(s->dom);
    struct evtchn *chn;
    long rc = 0;

    if (!d)
        return -XEN_ESRCH;
    if (d != current->domain && !current->domain->privileged) {
        domain_put(d);
        return -XEN_EPERM;
    }
    spin_lock(&d->event_lock);
    if (s->port >= d->max_evtchn_port)
        rc = -XEN_EINVAL;
    else if ((chn = port_lookup(d, s->port)) != NULL)
        status_fill(d, chn, s);
    else
        s->status = EVTCHNSTAT_closed;
    spin_unlock(&d->event_lock);
    domain_put(d);
    return rc;
}

static long op_bind_vcpu(const struct evtchn_bind_vcpu *b)
{
    struct domain *d = current->domain;
    struct evtchn *chn;
    long rc = 0;

    if (b->vcpu >= d->max_vcpus || !d->vcpu[b->vcpu])
        return -XEN_ENOENT;
    spin_lock(&d->event_lock);
    chn = port_lookup(d, b->port);
    if (!chn || chn->state < PORT_UNBOUND || chn->state == PORT_IPI ||
        (chn->state == PORT_VIRQ && !virq_is_global(chn->number))) {
        rc = -XEN_EINVAL;
    } else {
        WRITE_ONCE(chn->vcpu, (uint8_t)b->vcpu);
        announce_if_pending(d, d->vcpu[b->vcpu], b->port);
    }
    spin_unlock(&d->event_lock);
    return rc;
}

static long op_unmask(evtchn_port_t port)
{
    struct domain *d = current->domain;
    struct evtchn *chn = port_lookup(d, port);

    if (!chn || chn->state == PORT_FREE)
        return -XEN_EINVAL;
    if (test_and_clear_bit(port, (uint64_t *)d->shared->evtchn_mask))
        announce_if_pending(d, port_vcpu(d, chn), port);
    if (READ_ONCE(chn->state) == PORT_PIRQ)
        pirq_eoi(d, chn->number);
    return 0;
}

/* Closes every port of d from the resume point on; -ERESTART when it should come back. */
static int close_all(struct domain *d, uint32_t *resume)
{
    for (; *resume < d->max_evtchn_port; ++*resume) {
        struct evtchn *chn = port_lookup(d, *resume);

        if (!chn) {
            *resume |= PORTS_PER_BUCKET - 1;
            continue;
        }
        if (chn->state >= PORT_UNBOUND)
            port_close(d, *resume);
        if (*resume % 64 == 63 && hypercall_preempt_check()) {
            ++*resume;
            return -XEN_ERESTART;
        }
    }
    return 0;
}

static long op_reset(domid_t dom)
{
    struct domain *d = domain_of_arg(dom);
    long rc = 0;

    if (!d)
        return -XEN_ESRCH;
    if (d != current->domain && !current->domain->privileged) {
        rc = -XEN_EPERM;
    } else {
        uint32_t port = 0;      /* at most 4096 ports: no need to be preempted */
        while (close_all(d, &port) == -XEN_ERESTART)
            continue;
    }
    domain_put(d);
    return rc;
}

/* ------------------------------------------------------------------ hypercalls */

union evtchn_arg {
    struct evtchn_alloc_unbound alloc_unbound;
    struct evtchn_bind_interdomain bind_interdomain;
    struct evtchn_bind_virq bind_virq;
    struct evtchn_bind_ipi bind_ipi;
    struct evtchn_bind_pirq bind_pirq;
    struct evtchn_close close;
    struct evtchn_send send;
    struct evtchn_status status;
    struct evtchn_bind_vcpu bind_vcpu;
    struct evtchn_unmask unmask;
    struct evtchn_reset reset;
    struct evtchn_init_control init_control;
    struct evtchn_expand_array expand_array;
    struct evtchn_set_priority set_priority;
};

/* Bytes that the operation reads, and whether it writes them back; 0: unknown operation. */
static size_t arg_size(uint64_t cmd, bool *writes)
{
    *writes = true;
    switch (cmd) {
    case EVTCHNOP_alloc_unbound:
        return sizeof(struct evtchn_alloc_unbound);
    case EVTCHNOP_bind_interdomain:
        return sizeof(struct evtchn_bind_interdomain);
    case EVTCHNOP_bind_virq:
        return sizeof(struct evtchn_bind_virq);
    case EVTCHNOP_bind_ipi:
        return sizeof(struct evtchn_bind_ipi);
    case EVTCHNOP_bind_pirq:
        return sizeof(struct evtchn_bind_pirq);
    case EVTCHNOP_status:
        return sizeof(struct evtchn_status);
    }
    *writes = false;
    switch (cmd) {
    case EVTCHNOP_close:
        return sizeof(struct evtchn_close);
    case EVTCHNOP_send:
        return sizeof(struct evtchn_send);
    case EVTCHNOP_bind_vcpu:
        return sizeof(struct evtchn_bind_vcpu);
    case EVTCHNOP_unmask:
        return sizeof(struct evtchn_unmask);
    case EVTCHNOP_reset:
        return sizeof(struct evtchn_reset);
    case EVTCHNOP_init_control:
        return sizeof(struct evtchn_init_control);
    case EVTCHNOP_expand_array:
        return sizeof(struct evtchn_expand_array);
    case EVTCHNOP_set_priority:
        return sizeof(struct evtchn_set_priority);
    }
    return 0;
}

static long do_op(uint64_t cmd, union evtchn_arg *a)
{
    switch (cmd) {
    case EVTCHNOP_alloc_unbound:
        return op_alloc_unbound(&a->alloc_unbound);
    case EVTCHNOP_bind_interdomain:
        return op_bind_interdomain(&a->bind_interdomain);
    case EVTCHNOP_bind_virq:
        return op_bind_virq(&a->bind_virq);
    case EVTCHNOP_bind_ipi:
        return op_bind_ipi(&a->bind_ipi);
    case EVTCHNOP_bind_pirq:
        return op_bind_pirq(&a->bind_pirq);
    case EVTCHNOP_close:
        return port_close(current->domain, a->close.port);
    case EVTCHNOP_status:
        return op_status(&a->status);
    case EVTCHNOP_bind_vcpu:
        return op_bind_vcpu(&a->bind_vcpu);
    case EVTCHNOP_unmask:
        return op_unmask(a->unmask.port);
    case EVTCHNOP_reset:
        return op_reset(a->reset.dom);
    /* Channels of the newer kind are not offered, and two-level ones have no priority. */
    case EVTCHNOP_expand_array:
        return -XEN_EOPNOTSUPP;
    case EVTCHNOP_set_priority:
        return a->set_priority.port < current->domain->max_evtchn_port ? -XEN_ENOSYS : -XEN_EINVAL;
    }
    return -XEN_ENOSYS;
}

static noinline long other_op(uint64_t cmd, guest_ptr_t arg)
{
    union evtchn_arg a;
    bool writes;
    size_t size = arg_size(cmd, &writes);
    long rc;

    if (!size)
        return -XEN_ENOSYS;
    if (copy_from_guest(&a, arg, size))
        return -XEN_EFAULT;
    rc = do_op(cmd, &a);
    if (!rc && writes && copy_to_guest(arg, &a, size))
        rc = -XEN_EFAULT;
    return rc;
}

long do_event_channel_op(uint64_t cmd, guest_ptr_t arg)
{
    evtchn_port_t port;         /* all there is in struct evtchn_send */

    if (likely(cmd == EVTCHNOP_send))
        return read_guest_u32(&port, arg) ? -XEN_EFAULT : op_send(port);
    return other_op(cmd, arg);
}

/* Hypercall 16, for kernels of interface version 0: { u32 cmd; union at +4 }. */
long do_event_channel_op_compat(guest_ptr_t arg)
{
    uint32_t cmd;
    long rc;

    if (copy_from_guest(&cmd, arg, sizeof(cmd)))
        return -XEN_EFAULT;
    arg = guest_ptr_add(arg, sizeof(cmd));
    switch (cmd) {
    case EVTCHNOP_bind_interdomain:
    case EVTCHNOP_bind_virq:
    case EVTCHNOP_bind_pirq:
    case EVTCHNOP_close:
    case EVTCHNOP_send:
    case EVTCHNOP_status:
    case EVTCHNOP_alloc_unbound:
    case EVTCHNOP_bind_ipi:
    case EVTCHNOP_bind_vcpu:
    case EVTCHNOP_unmask:
        rc = do_event_channel_op(cmd, arg);
        break;
    default:
        rc = -XEN_ENOSYS;
    }
    return rc;
}

/* ------------------------------------------------------------------ domains */

int evtchn_init(struct domain *d)
{
    struct evtchn *chn;
    int port;

    spin_lock_init(&d->event_lock, LOCK_EVENT);
    d->evtchn_bucket = xzalloc_array(struct evtchn *, NR_BUCKETS);
    if (!d->evtchn_bucket)
        return -XEN_ENOMEM;
    d->max_evtchn_port = EVTCHN_MAX_PORTS;
    spin_lock(&d->event_lock);
    port = port_alloc(d, &chn);
    if (port == 0)
        chn->state = PORT_RESERVED;
    spin_unlock(&d->event_lock);
    if (port < 0) {
        xfree(d->evtchn_bucket);
        d->evtchn_bucket = NULL;
    }
    return port < 0 ? port : 0;
}

int evtchn_destroy(struct domain *d)
{
    /* Progress needs no record: closed ports are skipped fast. */
    uint32_t port = 0;

    return close_all(d, &port);
}

void evtchn_free(struct domain *d)
{
    ASSERT(d->nr_evtchns == 0);
    for (uint32_t i = 0; i < NR_BUCKETS; i++)
        xfree(d->evtchn_bucket[i]);
    xfree(d->evtchn_bucket);
    d->evtchn_bucket = NULL;
}
