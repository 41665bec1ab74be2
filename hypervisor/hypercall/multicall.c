/* SPDX-License-Identifier: MIT */
/*
 * multicall.c - a list of hypercalls in one. PV-ABI 5.6.
 *
 * Each entry is copied in, run, and its result written back. When a sub-call asks for a
 * continuation, its new arguments go back into the guest's entry and the multicall itself is
 * continued from that entry.
 */
#include "hypercall/hypercall.h"

#include "mm/uaccess.h"
#include "sched/sched.h"

static long multicall_one(struct vcpu *v)
{
    struct multicall_entry *mc = &v->mc;

    if (mc->op >= NR_HYPERCALLS)
        return -XEN_ENOSYS;
    /* No nesting; and iret has no meaning in a list. */
    if (mc->op == __HYPERVISOR_multicall || mc->op == __HYPERVISOR_iret)
        return -XEN_EINVAL;
    return hypercall_vector[mc->op](mc->args[0], mc->args[1], mc->args[2], mc->args[3],
                                    mc->args[4]);
}

/* mc: a list of which guest_range_ok() is true. */
static inline bool read_entry(struct multicall_entry *mc, guest_ptr_t entry)
{
    uint64_t *w = (uint64_t *)mc;

    _Static_assert(sizeof(*mc) == 64, "eight words");
    return load_guest_pair(&w[0], entry) && load_guest_pair(&w[2], guest_ptr_add(entry, 16)) &&
           load_guest_pair(&w[4], guest_ptr_add(entry, 32)) &&
           load_guest_pair(&w[6], guest_ptr_add(entry, 48));
}

long do_multicall(guest_ptr_t list, uint64_t nr)
{
    struct vcpu *v = current;
    uint32_t n = (uint32_t)nr, i;

    if (v->in_multicall)
        return -XEN_EINVAL;
    if (!guest_range_ok(list, (uint64_t)n * sizeof(v->mc)))
        return -XEN_EFAULT;
    for (i = 0; i < n; i++) {
        guest_ptr_t entry = guest_ptr_add(list, i * sizeof(v->mc));

        if (i && hypercall_preempt_check())
            return hypercall_continue(__HYPERVISOR_multicall, 2, entry.v, (uint64_t)(n - i));
        if (unlikely(!read_entry(&v->mc, entry)))
            return -XEN_EFAULT;
        v->in_multicall = true;
        v->preempted = false;
        v->mc.result = (xen_ulong_t)multicall_one(v);
        v->in_multicall = false;
        if (v->preempted) {
            v->preempted = false;
            if (copy_to_guest(entry, &v->mc, sizeof(v->mc)))
                return -XEN_EFAULT;
            return hypercall_continue(__HYPERVISOR_multicall, 2, entry.v, (uint64_t)(n - i));
        }
        if (unlikely(!store_guest_word(
                guest_ptr_add(entry, offsetof(struct multicall_entry, result)), v->mc.result)))
            return -XEN_EFAULT;
    }
    return 0;
}
