/* SPDX-License-Identifier: MIT */
/*
 * absent.c - hypercalls that we do not have, but whose refusal a guest can tell from that of a
 * number without a hypercall: the reference looks at the arguments or at the caller first.
 */
#include "hypercall/hypercall.h"

#include "mm/uaccess.h"
#include "sched/sched.h"

/* Of the initial domain only, and ours needs none of it. */
long do_absent_privileged(void)
{
    return current->domain->privileged ? -XEN_ENOSYS : -XEN_EPERM;
}

long do_platform_op(guest_ptr_t arg)
{
    struct xen_platform_op op;

    if (copy_from_guest(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    if (op.interface_version != XENPF_INTERFACE_VERSION)
        return -XEN_EACCES;
    return do_absent_privileged();
}

/* Performance counters, as if they were switched off by the administrator. */
long do_xenpmu_op(void)
{
    return -XEN_EOPNOTSUPP;
}
