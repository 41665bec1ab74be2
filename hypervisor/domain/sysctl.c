/* SPDX-License-Identifier: MIT */
/* sysctl.c - the host as dom0 sees it, <xen/sysctl.h>. Under domctl_lock, as domctl. */
#include "domain/domain.h"
#include "domain/domain_impl.h"
#include "dev/console.h"
#include "hypercall/hypercall.h"
#include "lib/string.h"
#include "mm/buddy.h"
#include "mm/frame.h"
#include "mm/uaccess.h"
#include "sched/clock.h"
#include "sched/sched.h"
#include "atomic.h"

#define CONSOLE_CHUNK   512u

typedef long (*sysctl_fn)(struct xen_sysctl *op);

static long op_physinfo(struct xen_sysctl *op)
{
    struct xen_sysctl_physinfo *p = &op->u.physinfo;

    memset(p, 0, sizeof(*p));
    p->threads_per_core = 1;
    p->cores_per_socket = nr_cpus;
    p->nr_cpus = nr_cpus;
    p->max_cpu_id = nr_cpus - 1;
    p->nr_nodes = 1;
    p->cpu_khz = (uint32_t)clock_tsc_khz();
    p->capabilities = XEN_SYSCTL_PHYSCAP_pv;
    p->total_pages = frames_total();
    p->free_pages = frames_free_count();
    p->max_mfn = max_mfn;
    return 0;
}

static long op_sched_id(struct xen_sysctl *op)
{
    op->u.sched_id.sched_id = XEN_SCHEDULER_CREDIT;
    return 0;
}

static long op_getdomaininfolist(struct xen_sysctl *op)
{
    struct xen_sysctl_getdomaininfolist *req = &op->u.getdomaininfolist;
    guest_ptr_t buffer = guest_ptr((uint64_t)req->buffer.p);
    uint32_t n = 0, id = req->first_domain;
    struct domain *d;

    while (n < req->max_domains && (d = domain_get_from(id)) != NULL) {
        struct xen_domctl_getdomaininfo info;

        domain_info(d, &info);
        id = d->id + 1u;
        domain_put(d);
        if (copy_to_guest_at(buffer, n, &info))
            return -XEN_EFAULT;
        n++;
    }
    req->num_domains = n;
    return 0;
}

static long op_getcpuinfo(struct xen_sysctl *op)
{
    struct xen_sysctl_getcpuinfo *req = &op->u.getcpuinfo;
    guest_ptr_t info = guest_ptr((uint64_t)req->info.p);
    uint32_t n = MIN(req->max_cpus, nr_cpus);

    for (uint32_t i = 0; i < n; i++) {
        struct xen_sysctl_cpuinfo c = { .idletime = vcpu_cpu_ns(idle_vcpu[i]) };

        if (copy_to_guest_at(info, i, &c))
            return -XEN_EFAULT;
    }
    req->nr_cpus = n;
    return 0;
}

static long op_readconsole(struct xen_sysctl *op)
{
    struct xen_sysctl_readconsole *req = &op->u.readconsole;
    guest_ptr_t buffer = guest_ptr((uint64_t)req->buffer.p);
    uint64_t pos = req->incremental ? req->index : 0;
    uint32_t done = 0;
    char chunk[CONSOLE_CHUNK];

    while (done < req->count) {
        size_t n = console_ring_read(&pos, chunk, MIN((uint32_t)sizeof(chunk), req->count - done));

        if (!n)
            break;
        if (copy_to_guest(guest_ptr_add(buffer, done), chunk, n))
            return -XEN_EFAULT;
        done += (uint32_t)n;
    }
    if (req->clear)
        console_ring_clear();
    req->count = done;
    req->index = (uint32_t)pos;
    return 0;
}

static long op_availheap(struct xen_sysctl *op)
{
    struct xen_sysctl_availheap *req = &op->u.availheap;
    uint64_t low = frames_free_low(), all = frames_free_count(), n = all;

    if (req->node != -1 && req->node != 0)
        return -XEN_EINVAL;
    /* Two zones: addresses below 4 GiB, and the rest. */
    if (req->max_bitwidth && req->max_bitwidth <= 32)
        n = low;
    else if (req->min_bitwidth > 32)
        n = all - low;
    req->avail_bytes = n << PAGE_SHIFT;
    return 0;
}

static const struct {
    uint32_t cmd;
    sysctl_fn fn;
} ops[] = {
    { XEN_SYSCTL_readconsole,           op_readconsole },
    { XEN_SYSCTL_perfc_op,              sysctl_perfc },
    { XEN_SYSCTL_physinfo,              op_physinfo },
    { XEN_SYSCTL_sched_id,              op_sched_id },
    { XEN_SYSCTL_getdomaininfolist,     op_getdomaininfolist },
    { XEN_SYSCTL_getcpuinfo,            op_getcpuinfo },
    { XEN_SYSCTL_availheap,             op_availheap },
};

long do_sysctl(guest_ptr_t arg)
{
    struct xen_sysctl op;

    if (copy_from_guest(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    if (op.interface_version != XEN_SYSCTL_INTERFACE_VERSION)
        return -XEN_EACCES;
    if (!current->domain->privileged)
        return -XEN_EPERM;
    for (uint32_t i = 0; i < ARRAY_SIZE(ops); i++) {
        long rc;

        if (ops[i].cmd != op.cmd)
            continue;
        spin_lock(&domctl_lock);
        rc = ops[i].fn(&op);
        spin_unlock(&domctl_lock);
        if (!rc && copy_to_guest(arg, &op, sizeof(op)))
            rc = -XEN_EFAULT;
        return rc;
    }
    return -XEN_ENOSYS;
}
