/* SPDX-License-Identifier: MIT */
/* schedop.c - sched_op, its older form, and set_timer_op. PV-ABI 6.1; PV-NETBSD 4.1. */
#include "sched/sched.h"
#include "dev/console.h"
#include "domain/domain.h"
#include "event/evtchn.h"
#include "mm/uaccess.h"
#include "sched/clock.h"
#include "sched/softirq.h"
#include "atomic.h"

/* Timeouts so far away (13 days) come from wrapped arithmetic in old guests: some mean "now",
 * some "never". They get an event a little later. */
#define FAR_TIMEOUT_NS  (1UL << 50)
#define FAR_INSTEAD_NS  (100 * NS_PER_MS)

static long do_block(void)
{
    struct vcpu *v = current;

    WRITE_ONCE(v->info->evtchn_upcall_mask, 0);
    /* Locked, so it comes before the look at the events; senders do the reverse. */
    atomic_or(&v->pause_flags, VPF_BLOCKED);
    if (vcpu_event_deliverable(v))
        atomic_and(&v->pause_flags, ~VPF_BLOCKED);
    else
        softirq_raise_local(SOFTIRQ_SCHEDULE);
    return 0;
}

static long do_yield(void)
{
    sched_yield();
    return 0;
}

static long shutdown_self(uint32_t reason)
{
    domain_shutdown(current->domain, reason);
    return 0;
}

static long do_shutdown(guest_ptr_t arg)
{
    struct sched_shutdown req;

    if (copy_from_guest(&req, arg, sizeof(req)))
        return -XEN_EFAULT;
    return shutdown_self(req.reason);
}

/* The reason to be reported when the domain stops, whatever reason it stops with. */
static long do_shutdown_code(guest_ptr_t arg)
{
    struct domain *d = current->domain;
    struct sched_shutdown req;

    if (copy_from_guest(&req, arg, sizeof(req)))
        return -XEN_EFAULT;
    spin_lock(&d->shutdown_lock);
    if (d->shutdown_code == SHUTDOWN_CODE_NONE)
        d->shutdown_code = req.reason;
    spin_unlock(&d->shutdown_lock);
    return 0;
}

static long do_remote_shutdown(guest_ptr_t arg)
{
    struct sched_remote_shutdown req;
    struct domain *d;

    if (copy_from_guest(&req, arg, sizeof(req)))
        return -XEN_EFAULT;
    d = domain_get(req.domain_id);
    if (!d)
        return -XEN_ESRCH;
    if (d == current->domain || !current->domain->privileged) {
        domain_put(d);
        return -XEN_EPERM;
    }
    domain_shutdown(d, req.reason);
    domain_put(d);
    return 0;
}

static long do_poll(guest_ptr_t arg)
{
    struct vcpu *v = current;
    struct domain *d = v->domain;
    struct sched_poll req;

    if (copy_from_guest(&req, arg, sizeof(req)))
        return -XEN_EFAULT;
    if (req.nr_ports > MAX_POLL_PORTS)
        return -XEN_EINVAL;
    v->poll_nr = 0;
    if (copy_from_guest(v->poll_ports, guest_ptr((uint64_t)req.ports.p),
                        req.nr_ports * sizeof(v->poll_ports[0])))
        return -XEN_EFAULT;
    for (uint32_t i = 0; i < req.nr_ports; i++) {
        int pending = evtchn_is_pending(d, v->poll_ports[i]);

        if (pending)
            return MIN(pending, 0);
    }
    store_release(&v->poll_nr, req.nr_ports);

    /* As in do_block(): first be seen to sleep, then look. */
    atomic_or(&v->pause_flags, VPF_POLL);
    atomic_or(&d->poll_mask, 1u << v->id);
    if (evtchn_poll_pending(v) || vcpu_event_deliverable(v) ||
        (req.timeout && req.timeout <= now_ns())) {
        atomic_and(&d->poll_mask, ~(1u << v->id));
        atomic_and(&v->pause_flags, ~VPF_POLL);
        return 0;
    }
    if (req.timeout)
        vcpu_timer_set(v, &v->poll_timer, req.timeout);
    else if (timer_is_set(&v->poll_timer))
        timer_stop(&v->poll_timer);
    softirq_raise_local(SOFTIRQ_SCHEDULE);
    return 0;
}

/* A guest's timers that end it unless it sets them again in time. id 0 asks for a new one. */
static void watchdog_fired(void *arg)
{
    struct domain *d = arg;

    if (READ_ONCE(d->shutting_down) || domain_dying(d))
        return;
    printk(LOG_WARNING, "domain %u: its watchdog fired\n", d->id);
    domain_shutdown(d, SHUTDOWN_watchdog);
}

void watchdog_init(struct domain *d)
{
    for (uint32_t i = 0; i < NR_WATCHDOGS; i++)
        timer_init(&d->watchdog[i], watchdog_fired, d, 0);
}

void watchdog_destroy(struct domain *d)
{
    for (uint32_t i = 0; i < NR_WATCHDOGS; i++)
        timer_kill(&d->watchdog[i]);
}

static long do_watchdog(guest_ptr_t arg)
{
    struct domain *d = current->domain;
    struct sched_watchdog req;
    uint32_t i;
    long rc = 0;

    if (copy_from_guest(&req, arg, sizeof(req)))
        return -XEN_EFAULT;
    if (req.id > NR_WATCHDOGS)
        return -XEN_EINVAL;
    spin_lock(&d->lock);
    if (req.id == 0) {
        for (i = 0; i < NR_WATCHDOGS && d->watchdog_used & 1u << i; i++)
            continue;
        rc = i == NR_WATCHDOGS ? -XEN_ENOSPC : (long)i + 1;
    } else {
        i = req.id - 1;
        rc = d->watchdog_used & 1u << i ? 0 : -XEN_EINVAL;
    }
    if (rc >= 0 && req.id && !req.timeout) {
        d->watchdog_used &= ~(1u << i);
        timer_stop(&d->watchdog[i]);
    } else if (rc >= 0) {
        d->watchdog_used |= 1u << i;
        timer_set(&d->watchdog[i], now_ns() + (uint64_t)req.timeout * 1000 * NS_PER_MS);
    }
    spin_unlock(&d->lock);
    return rc;
}

long do_sched_op(uint64_t cmd, guest_ptr_t arg)
{
    if (likely(cmd == SCHEDOP_block))
        return do_block();
    switch (cmd) {
    case SCHEDOP_yield:
        return do_yield();
    case SCHEDOP_shutdown:
        return do_shutdown(arg);
    case SCHEDOP_poll:
        return do_poll(arg);
    case SCHEDOP_remote_shutdown:
        return do_remote_shutdown(arg);
    case SCHEDOP_shutdown_code:
        return do_shutdown_code(arg);
    case SCHEDOP_watchdog:
        return do_watchdog(arg);
    case SCHEDOP_pin_override:      /* for hardware that works on one CPU only; we have no need */
        return current->domain->privileged ? -XEN_ENOSYS : -XEN_EPERM;
    default:
        return -XEN_ENOSYS;
    }
}

/* Hypercall 6: the same three by value. */
long do_sched_op_compat(uint64_t cmd, uint64_t arg)
{
    switch (cmd) {
    case SCHEDOP_yield:
        return do_yield();
    case SCHEDOP_block:
        return do_block();
    case SCHEDOP_shutdown:
        return shutdown_self((uint32_t)arg);
    default:
        return -XEN_ENOSYS;
    }
}

long do_set_timer_op(int64_t timeout_ns)
{
    struct vcpu *v = current;
    uint64_t now = now_ns(), at = (uint64_t)timeout_ns;

    if (timeout_ns == 0) {
        timer_stop(&v->singleshot);
        return 0;
    }
    if (timeout_ns < 0 || (at > now && at - now >= FAR_TIMEOUT_NS))
        at = now + FAR_INSTEAD_NS;
    if (at <= now) {
        timer_stop(&v->singleshot);
        evtchn_raise_virq(v, VIRQ_TIMER);
    } else {
        vcpu_timer_set(v, &v->singleshot, at);
    }
    return 0;
}
