/* SPDX-License-Identifier: MIT */
/*
 * ap.h - what several attacks need beyond the runtime, which has one vCPU: starting the others,
 * and our own domain's number. For one file per guest.
 *
 * Code on another vCPU may make hypercalls and touch memory; it may not allocate, log or wait.
 */
#ifndef ATTACK_AP_H
#define ATTACK_AP_H

#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "runtime/start.h"
#include "runtime/traps.h"

#define AP_STACK_ORDER 2u
#define AP_STACK_SIZE  (PAGE_SIZE << AP_STACK_ORDER)

typedef void (*ap_fn)(unsigned int cpu);

static inline unsigned int ap_count(void)
{
    unsigned int n = 1;

    while (n < XEN_LEGACY_MAX_VCPUS && hc_vcpu_op(VCPUOP_is_up, n, NULL) >= 0)
        n++;
    return n;
}

static inline void ap_entry(unsigned int cpu, ap_fn fn)
{
    traps_init();
    fn(cpu);
    for (;;)
        (void)hc_vcpu_op(VCPUOP_down, cpu, NULL);
}

/* Runs fn(cpu) on that vCPU, in our address space; when it returns, the vCPU goes down. */
static inline long ap_start(unsigned int cpu, ap_fn fn)
{
    static struct vcpu_guest_context c;
    char *stack = pages_alloc(AP_STACK_ORDER);
    long rc;

    if (!stack)
        return -XEN_ENOMEM;
    memset(&c, 0, sizeof(c));
    c.flags = VGCF_in_kernel;
    c.user_regs.rip = (uint64_t)ap_entry;
    c.user_regs.rdi = cpu;
    c.user_regs.rsi = (uint64_t)fn;
    c.user_regs.cs = FLAT_KERNEL_CS;
    c.user_regs.ss = FLAT_KERNEL_SS;
    c.user_regs.rflags = 0x200;
    c.user_regs.rsp = (uint64_t)stack + AP_STACK_SIZE - 8;
    c.kernel_ss = FLAT_KERNEL_SS;
    c.kernel_sp = c.user_regs.rsp;
    c.ctrlreg[3] = virt_to_maddr((void *)start_info->pt_base);
    shared_info->vcpu_info[cpu].evtchn_upcall_mask = 1;
    rc = hc_vcpu_op(VCPUOP_initialise, cpu, &c);
    return rc ? rc : hc_vcpu_op(VCPUOP_up, cpu, NULL);
}

/* Our own number: the one under which we can reach a port that we offer to ourselves. */
static inline domid_t own_domid(void)
{
    for (domid_t id = 0; id < 0x400; id++) {
        struct evtchn_alloc_unbound a = { .dom = DOMID_SELF, .remote_dom = DOMID_SELF };
        struct evtchn_bind_interdomain b = { .remote_dom = id };
        struct evtchn_close close;
        long rc;

        if (hc_event_channel_op(EVTCHNOP_alloc_unbound, &a))
            return DOMID_SELF;
        b.remote_port = a.port;
        rc = hc_event_channel_op(EVTCHNOP_bind_interdomain, &b);
        if (rc == 0) {
            close.port = b.local_port;
            (void)hc_event_channel_op(EVTCHNOP_close, &close);
        }
        close.port = a.port;
        (void)hc_event_channel_op(EVTCHNOP_close, &close);
        if (rc == 0)
            return id;
    }
    return DOMID_SELF;
}

#endif
