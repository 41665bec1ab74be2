/* SPDX-License-Identifier: MIT */
/*
 * evtchn.h - event channels, two-level ABI: 4096 ports of a domain, states as in
 * <xen/event_channel.h>.
 */
#ifndef EVENT_EVTCHN_H
#define EVENT_EVTCHN_H

#include "domain/domain.h"

#define EVTCHN_MAX_PORTS 4096u

int evtchn_init(struct domain *d);              /* port 0 reserved */
/* Closes every port, in bounded steps: 0 done, -ERESTART call again. */
int evtchn_destroy(struct domain *d);
/* Frees the records, once nobody can look up a port of d any more (last reference gone). */
void evtchn_free(struct domain *d);

long do_event_channel_op(uint64_t cmd, guest_ptr_t arg);
long do_event_channel_op_compat(guest_ptr_t arg);       /* hypercall 16 */

/* Raises a virtual interrupt: of vCPU v (VIRQ_TIMER, VIRQ_DEBUG...), or of the domain that
 * handles a global one (VIRQ_DOM_EXC, VIRQ_CON_RING ...: dom0). Any context. */
void evtchn_raise_virq(struct vcpu *v, uint32_t virq);
void evtchn_raise_global_virq(uint32_t virq);
/* A physical interrupt bound to `port` of d fired. Any context. */
void evtchn_raise_port(struct domain *d, evtchn_port_t port);

/* EVTCHNOP_send of the current vCPU. */
long evtchn_send(uint64_t port);
/* The same of one that is about to sleep as sched_hand_over() wants it. 0 and *next set: that is who has the CPU
 * now, see there; 0 and *next left alone: sent in the ordinary way; -EINVAL: not a port to send on. */
long evtchn_send_leaving(uint64_t port, struct vcpu **next);

/* Global VIRQs belong to a domain, the others to a vCPU each. */
static inline bool virq_is_global(uint32_t virq)
{
    return virq != VIRQ_TIMER && virq != VIRQ_DEBUG && virq != VIRQ_XENOPROF &&
           virq != VIRQ_XENPMU;
}

/* Is something deliverable to v: pending and not masked? */
static inline bool vcpu_event_deliverable(const struct vcpu *v)
{
    return READ_ONCE(v->info->evtchn_upcall_pending) && !READ_ONCE(v->info->evtchn_upcall_mask);
}

/* After vcpu_info moved: everything may be pending there (PV-ABI 3.5, rule 7). */
void evtchn_vcpu_info_moved(struct vcpu *v);
/* 1 or 0; -EINVAL: no port of d in use. */
int evtchn_is_pending(struct domain *d, evtchn_port_t port);
/* Is any of v->poll_ports pending? Caller is about to sleep in SCHEDOP_poll. */
bool evtchn_poll_pending(const struct vcpu *v);

#endif
