/* SPDX-License-Identifier: MIT */
/*
 * memabsent.c - operations of memory_op on memory that is translated, paged, shared or claimed, of
 * which there is none here: each is refused as the reference refuses it to an ordinary guest.
 */
#include "hypercall/hypercall.h"
#include "mm/memop.h"
#include "mm/uaccess.h"
#include "sched/sched.h"

/* rc, if there is a domain of that number. */
static long of_domain(domid_t id, long rc)
{
    struct domain *d = domain_of_arg(id);

    if (!d)
        return -XEN_ESRCH;
    domain_put(d);
    return rc;
}

/* rc, or what others hear who ask for a domain that is not theirs. */
static long of_own_domain(domid_t id, long rc)
{
    bool own = id == DOMID_SELF || id == current->domain->id || current->domain->privileged;

    return of_domain(id, own ? rc : -XEN_EPERM);
}

static long add_to_physmap(const struct xen_add_to_physmap *a)
{
    return a->space == XENMAPSPACE_gmfn_foreign ? -XEN_ENOSYS : of_domain(a->domid, -XEN_EACCES);
}

union memop_arg {
    struct xen_add_to_physmap add;
    struct xen_add_to_physmap_batch batch;
    struct xen_remove_from_physmap remove;
    struct xen_pod_target pod;
    struct xen_mem_access_op access;
    struct xen_memory_reservation claim;
    struct xen_vnuma_topology_info vnuma;
    struct xen_reserved_device_memory_map reserved;
    struct xen_mem_acquire_resource resource;
};

/* How much of its argument each operation reads before it says anything; 0: nothing. */
static size_t arg_bytes(unsigned int op)
{
    switch (op) {
    case XENMEM_add_to_physmap:
        return sizeof(struct xen_add_to_physmap);
    case XENMEM_add_to_physmap_batch:
        return sizeof(struct xen_add_to_physmap_batch);
    case XENMEM_remove_from_physmap:
        return sizeof(struct xen_remove_from_physmap);
    case XENMEM_set_pod_target:
    case XENMEM_get_pod_target:
        return sizeof(struct xen_pod_target);
    case XENMEM_access_op:
        return sizeof(struct xen_mem_access_op);
    case XENMEM_claim_pages:
        return sizeof(struct xen_memory_reservation);
    case XENMEM_get_vnumainfo:
        return sizeof(struct xen_vnuma_topology_info);
    case XENMEM_reserved_device_memory_map:
        return sizeof(struct xen_reserved_device_memory_map);
    case XENMEM_acquire_resource:
        return sizeof(struct xen_mem_acquire_resource);
    }
    return 0;
}

long memop_absent(unsigned int op, guest_ptr_t arg)
{
    size_t n = arg_bytes(op);
    union memop_arg a;

    if (n && copy_from_guest(&a, arg, n))
        return -XEN_EFAULT;
    switch (op) {
    case XENMEM_add_to_physmap:
        return add_to_physmap(&a.add);
    case XENMEM_add_to_physmap_batch:
        return of_domain(a.batch.domid, -XEN_EACCES);
    case XENMEM_remove_from_physmap:
        return of_domain(a.remove.domid, -XEN_EACCES);
    case XENMEM_set_pod_target:
    case XENMEM_get_pod_target:
        return of_domain(a.pod.domid, -XEN_EINVAL);
    case XENMEM_access_op:
        return of_domain(a.access.domid, -XEN_EINVAL);
    case XENMEM_get_sharing_freed_pages:
    case XENMEM_get_sharing_shared_pages:
        return 0;
    case XENMEM_claim_pages:
        return current->domain->privileged ? -XEN_ENOSYS : of_domain(a.claim.domid, -XEN_EPERM);
    case XENMEM_machphys_compat_mfn_list:
        return -XEN_EOPNOTSUPP;
    case XENMEM_get_vnumainfo:
        return of_own_domain(a.vnuma.domid, -XEN_EOPNOTSUPP);
    case XENMEM_reserved_device_memory_map:
        return 0;                   /* no regions: the count that the caller has stands */
    case XENMEM_acquire_resource:
        return of_domain(a.resource.domid, -XEN_EPERM);
    }
    return -XEN_ENOSYS;
}
