/* SPDX-License-Identifier: MIT */
/* events.c - event_channel_op, its older form, and the operations of FIFO channels. */
#include "calls.h"
#include "runtime/event.h"

#define NO_PORT  4095u              /* within the table, never handed out here */

/* The reference answers with port numbers; so do we, but they need not be equal. */
static evtchn_port_t unbound, ipi, left, right;

static long alloc(domid_t dom, domid_t remote, evtchn_port_t *port)
{
    struct evtchn_alloc_unbound a = { .dom = dom, .remote_dom = remote };
    long rc = hc_event_channel_op(EVTCHNOP_alloc_unbound, &a);

    *port = rc ? 0 : a.port;
    return rc;
}

static long close_port(evtchn_port_t port)
{
    struct evtchn_close c = { .port = port };

    return hc_event_channel_op(EVTCHNOP_close, &c);
}

static long send(evtchn_port_t port)
{
    struct evtchn_send s = { .port = port };

    return hc_event_channel_op(EVTCHNOP_send, &s);
}

static long unmask(evtchn_port_t port)
{
    struct evtchn_unmask u = { .port = port };

    return hc_event_channel_op(EVTCHNOP_unmask, &u);
}

static long connect(domid_t dom, evtchn_port_t remote, evtchn_port_t *port)
{
    struct evtchn_bind_interdomain b = { .remote_dom = dom, .remote_port = remote };
    long rc = hc_event_channel_op(EVTCHNOP_bind_interdomain, &b);

    *port = rc ? 0 : b.local_port;
    return rc;
}

static long bind_virq(uint32_t virq, uint32_t vcpu)
{
    struct evtchn_bind_virq b = { .virq = virq, .vcpu = vcpu };
    long rc = hc_event_channel_op(EVTCHNOP_bind_virq, &b);

    if (rc == 0)
        MUST(close_port(b.port) == 0);
    return rc;
}

static long bind_ipi(uint32_t vcpu, evtchn_port_t *port)
{
    struct evtchn_bind_ipi b = { .vcpu = vcpu };
    long rc = hc_event_channel_op(EVTCHNOP_bind_ipi, &b);

    *port = rc ? 0 : b.port;
    return rc;
}

static long bind_pirq(uint32_t pirq, uint32_t flags)
{
    struct evtchn_bind_pirq b = { .pirq = pirq, .flags = flags };

    return hc_event_channel_op(EVTCHNOP_bind_pirq, &b);
}

static long bind_vcpu(evtchn_port_t port, uint32_t vcpu)
{
    struct evtchn_bind_vcpu b = { .port = port, .vcpu = vcpu };

    return hc_event_channel_op(EVTCHNOP_bind_vcpu, &b);
}

/* The state, or what the call answered. */
static long status(domid_t dom, evtchn_port_t port)
{
    struct evtchn_status s = { .dom = dom, .port = port };
    long rc = hc_event_channel_op(EVTCHNOP_status, &s);

    return rc ? rc : (long)s.status;
}

static long reset(domid_t dom)
{
    struct evtchn_reset r = { .dom = dom };

    return hc_event_channel_op(EVTCHNOP_reset, &r);
}

static void binding(void)
{
    evtchn_port_t p;

    TRY(alloc(DOMID_SELF, 0, &unbound));
    TRY(alloc(DOMID_SELF, NO_DOMAIN, &p));
    TRY(status(DOMID_SELF, p));
    TRY(close_port(p));
    TRY(alloc(0, DOMID_SELF, &p));
    TRY(alloc(NO_DOMAIN, DOMID_SELF, &p));
    TRY(alloc(DOMID_IO, DOMID_SELF, &p));
    TRY(alloc(DOMID_SELF, DOMID_SELF, &left));
    TRY(connect(DOMID_SELF, left, &right));
    TRY(connect(DOMID_SELF, left, &p));
    TRY(connect(DOMID_SELF, unbound, &p));
    TRY(connect(DOMID_SELF, 0, &p));
    TRY(connect(DOMID_SELF, NO_PORT, &p));
    TRY(connect(DOMID_SELF, ~0u, &p));
    TRY(connect(0, NO_PORT, &p));
    TRY(connect(0, 1, &p));
    TRY(connect(NO_DOMAIN, 1, &p));
    TRY(connect(DOMID_IO, 1, &p));
    TRY(bind_ipi(0, &ipi));
    TRY(bind_ipi(1, &p));
    TRY(close_port(p));
    TRY(bind_ipi(2, &p));
    TRY(bind_ipi(~0u, &p));
    for (uint32_t virq = 0; virq < NR_VIRQS + 2; virq++) {
        about("virq %u", virq);
        TRY(bind_virq(virq, 0));
        TRY(bind_virq(virq, 1));
        TRY(bind_virq(virq, 2));
    }
    about("%s", __func__);
    TRY(bind_virq(~0u, 0));
    TRY(bind_pirq(0, 0));
    TRY(bind_pirq(9, 0));
    TRY(bind_pirq(16, BIND_PIRQ__WILL_SHARE));
    TRY(bind_pirq(100000, 0));
    TRY(bind_pirq(~0u, 0));
}

static void using(void)
{
    TRY(send(left));
    TRY(send(right));
    TRY(send(ipi));
    TRY(send(unbound));
    TRY(send(0));
    TRY(send(NO_PORT));
    TRY(send(4096));
    TRY(send(~0u));
    TRY(unmask(left));
    TRY(unmask(unbound));
    TRY(unmask(0));
    TRY(unmask(NO_PORT));
    TRY(unmask(4096));
    TRY(unmask(131072));
    TRY(unmask(~0u));
    TRY(bind_vcpu(left, 1));
    TRY(bind_vcpu(left, 0));
    TRY(bind_vcpu(left, 2));
    TRY(bind_vcpu(left, ~0u));
    TRY(bind_vcpu(unbound, 1));
    TRY(bind_vcpu(ipi, 0));
    TRY(bind_vcpu(0, 0));
    TRY(bind_vcpu(NO_PORT, 0));
    TRY(bind_vcpu(~0u, 0));
    TRY(bind_vcpu(NO_PORT, 2));
    TRY(status(DOMID_SELF, unbound));
    TRY(status(DOMID_SELF, left));
    TRY(status(DOMID_SELF, ipi));
    TRY(status(DOMID_SELF, 0));
    TRY(status(DOMID_SELF, NO_PORT));
    TRY(status(DOMID_SELF, 4096));
    TRY(status(DOMID_SELF, ~0u));
    TRY(status(0, 1));
    TRY(status(NO_DOMAIN, 1));
    TRY(status(DOMID_IO, 1));
    TRY(close_port(left));
    TRY(status(DOMID_SELF, right));
    TRY(send(right));
    TRY(close_port(left));
    TRY(close_port(right));
    TRY(close_port(ipi));
    TRY(close_port(unbound));
    TRY(close_port(0));
    TRY(close_port(NO_PORT));
    TRY(close_port(4096));
    TRY(close_port(~0u));
    TRY(reset(0));
    TRY(reset(NO_DOMAIN));
    TRY(reset(DOMID_IO));
}

static void arguments(void)
{
    for (unsigned int cmd = 0; cmd < 16; cmd++) {
        about("event_channel_op %u", cmd);
        TRY(hc_event_channel_op((int)cmd, BAD_PTR));
        TRY(hc_event_channel_op((int)cmd, HV_PTR));
    }
    about("%s", __func__);
    TRY(hc_event_channel_op(~0, BAD_PTR));
}

/* Two-level channels may be all that is offered; these answer then, too. */
static void fifo(void)
{
    struct evtchn_init_control init = { .control_gfn = NO_FRAME, .vcpu = 0 };
    struct evtchn_expand_array expand = { .array_gfn = NO_FRAME };
    struct evtchn_set_priority prio = { .port = 1, .priority = 3 };

    TRY(hc_event_channel_op(EVTCHNOP_init_control, &init));
    init.vcpu = 7;
    TRY(hc_event_channel_op(EVTCHNOP_init_control, &init));
    TRY(hc_event_channel_op(EVTCHNOP_expand_array, &expand));
    TRY(hc_event_channel_op(EVTCHNOP_set_priority, &prio));
    prio.port = ~0u;
    TRY(hc_event_channel_op(EVTCHNOP_set_priority, &prio));
}

/* Hypercall 16: the command and its argument in one structure. */
static void older_form(void)
{
    struct evtchn_op op;

    for (unsigned int cmd = 0; cmd < 16; cmd++) {
        about("event_channel_op_compat %u", cmd);
        memset(&op, 0xff, sizeof(op));
        op.cmd = cmd;
        if (cmd == EVTCHNOP_reset)
            continue;               /* of DOMID_INVALID */
        TRY(hypercall(__HYPERVISOR_event_channel_op_compat, HC_PTR(&op), 0, 0, 0, 0));
    }
    about("%s", __func__);
    memset(&op, 0, sizeof(op));
    op.cmd = EVTCHNOP_alloc_unbound;
    op.u.alloc_unbound.dom = DOMID_SELF;
    TRY(hypercall(__HYPERVISOR_event_channel_op_compat, HC_PTR(&op), 0, 0, 0, 0));
    op.cmd = EVTCHNOP_close;
    op.u.close.port = op.u.alloc_unbound.port;
    TRY(hypercall(__HYPERVISOR_event_channel_op_compat, HC_PTR(&op), 0, 0, 0, 0));
    TRY(hypercall(__HYPERVISOR_event_channel_op_compat, HC_PTR(BAD_PTR), 0, 0, 0, 0));
    TRY(hypercall(__HYPERVISOR_event_channel_op_compat, HC_PTR(HV_PTR), 0, 0, 0, 0));
}

void try_events(void)
{
    PART(binding);
    PART(using);
    PART(arguments);
    PART(older_form);
    PART(fifo);
}
