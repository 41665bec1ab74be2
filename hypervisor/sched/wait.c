/* SPDX-License-Identifier: MIT */
/*
 * wait.c - sluice_wait: an event sent and the sender asleep in one hypercall; include/sluice/wait.h.
 *
 * The CPU is handed to who gets the event inside of the call, if the scheduler would choose him next (sched_hand_over()):
 * the call does not return then, and the way out is his. There is nothing on this CPU's stack that somebody needs.
 */
#include "sluice/wait.h"

#include "cpu/traps.h"
#include "event/evtchn.h"
#include "sched/sched.h"
#include "sched/softirq.h"
#include "atomic.h"

/* Not to sleep after all. */
static void stay_awake(struct vcpu *v)
{
    atomic_and(&v->pause_flags, ~VPF_BLOCKED);
}

static long send_and_sleep(struct vcpu *v, uint64_t port)
{
    struct vcpu *next = NULL;
    long rc = evtchn_send_leaving(port, &next);

    if (likely(next)) {
        guest_regs()->rax = 0;
        sched_hand_over_end(next);
        return_to_guest();
    }
    if (unlikely(rc))
        stay_awake(v);
    else
        softirq_raise_local(SOFTIRQ_SCHEDULE);
    return rc;
}

long do_sluice_wait(uint64_t cmd, uint64_t port)
{
    struct vcpu *v = current;
    long rc;

    if (unlikely(cmd != SLUICE_WAIT_event))
        return cmd == SLUICE_WAIT_query ? SLUICE_WAIT_VERSION : -XEN_ENOSYS;
    /* A list of calls goes on after this one. */
    if (unlikely(v->in_multicall)) {
        rc = port ? evtchn_send(port) : 0;
        if (rc)
            return rc;
        port = 0;
    }
    /* Locked, so it comes before the look at the events; senders do the reverse. Who comes after the look clears the
     * flag, and schedule() does not let the vCPU go. */
    atomic_or(&v->pause_flags, VPF_BLOCKED);
    if (READ_ONCE(v->info->evtchn_upcall_pending)) {
        stay_awake(v);
        return port ? evtchn_send(port) : 0;
    }
    if (likely(port))
        return send_and_sleep(v, port);
    softirq_raise_local(SOFTIRQ_SCHEDULE);
    return 0;
}
