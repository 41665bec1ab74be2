/* SPDX-License-Identifier: MIT */
/*
 * memop.c - memory_op: a guest's (or the toolstack's) view of how much memory there is and where.
 *
 * Long calls are lists of extents of 2^order frames. What is done so far travels in the upper bits
 * of the command when the call is restarted; results are the number of extents done, and a list
 * that cannot be read or a domain that is not there means that none was.
 */
#include "boot/multiboot.h"
#include "domain/domain.h"
#include "hypercall/hypercall.h"
#include "mm/buddy.h"
#include "mm/e820.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "mm/map.h"
#include "mm/memop.h"
#include "mm/mm.h"
#include "mm/uaccess.h"
#include "sched/sched.h"

#define CMD_BITS        6
#define CMD_MASK        ((1u << CMD_BITS) - 1)
#define MAX_ORDER_GUEST 9u
#define MAX_ORDER_PRIV  10u

/* The domain that a request is about: referenced; -ESRCH, -EPERM. */
static int domain_arg(domid_t id, struct domain **dp)
{
    struct domain *d = domain_of_arg(id);

    if (!d)
        return -XEN_ESRCH;
    if (d != current->domain && !current->domain->privileged) {
        domain_put(d);
        return -XEN_EPERM;
    }
    *dp = d;
    return 0;
}

unsigned int memop_max_order(void)
{
    return current->domain->privileged ? MAX_ORDER_PRIV : MAX_ORDER_GUEST;
}

/* ------------------------------------------------------------ reservations */

mfn_t memop_alloc(struct domain *d, unsigned int order, unsigned int mem_flags, uint64_t gpfn)
{
    unsigned int bits = XENMEMF_get_address_bits(mem_flags);
    uint64_t end = FRAMES_ANY;

    if (bits && bits < 64)
        end = bits <= PAGE_SHIFT ? 0 : 1UL << (bits - PAGE_SHIFT);
    return domain_alloc_frames(d, order, end, gpfn);
}

struct extents {
    struct domain *d;
    guest_ptr_t list;           /* u64 each; v == 0: none */
    unsigned int order, mem_flags;
};

static bool increase_one(const struct extents *x, uint64_t i)
{
    mfn_t m = memop_alloc(x->d, x->order, x->mem_flags, M2P_INVALID);

    return mfn_is_valid_value(m) && (!x->list.v || !copy_to_guest_at(x->list, i, &m.v));
}

static bool populate_one(const struct extents *x, uint64_t i)
{
    uint64_t gpfn;
    mfn_t m;

    if (copy_from_guest_at(&gpfn, x->list, i))
        return false;
    m = memop_alloc(x->d, x->order, x->mem_flags, gpfn);
    return mfn_is_valid_value(m) && !copy_to_guest_at(x->list, i, &m.v);
}

static bool decrease_one(const struct extents *x, uint64_t i)
{
    uint64_t first;

    if (copy_from_guest_at(&first, x->list, i))
        return false;
    for (uint64_t k = 0; k < 1UL << x->order; k++) {
        mfn_t m = mfn(first + k);

        if (!mfn_valid(m) || !page_get(mfn_to_page(m), x->d))
            return false;
        page_disown(mfn_to_page(m));
        page_put(mfn_to_page(m));
    }
    return true;
}

static long reservation_op(unsigned int op, uint64_t start, guest_ptr_t arg)
{
    struct xen_memory_reservation r;
    struct extents x;
    uint64_t i;
    long rc;

    if (copy_from_guest(&r, arg, sizeof(r)) || start >= r.nr_extents ||
        r.nr_extents > ~0UL >> CMD_BITS)
        return (long)start;
    if (r.extent_order > memop_max_order())
        return (long)start;
    if (domain_arg(r.domid, &x.d))
        return (long)start;
    x.list = guest_ptr((uint64_t)r.extent_start.p);
    x.order = r.extent_order;
    x.mem_flags = r.mem_flags;
    for (i = start; i < r.nr_extents; i++) {
        bool ok;

        if (i != start && hypercall_preempt_check()) {
            rc = hypercall_continue(__HYPERVISOR_memory_op, 2, (uint64_t)op | i << CMD_BITS,
                                    arg.v);
            domain_put(x.d);
            return rc;
        }
        ok = op == XENMEM_increase_reservation ? increase_one(&x, i)
           : op == XENMEM_populate_physmap ? populate_one(&x, i) : decrease_one(&x, i);
        if (!ok)
            break;
    }
    domain_put(x.d);
    return (long)i;
}

static long reservation_query(unsigned int op, guest_ptr_t arg)
{
    struct domain *d;
    domid_t id;
    uint64_t max_pfn;
    long rc;

    if (copy_from_guest(&id, arg, sizeof(id)))
        return -XEN_EFAULT;
    rc = domain_arg(id, &d);
    if (rc)
        return rc;
    switch (op) {
    case XENMEM_current_reservation:
        rc = (long)READ_ONCE(d->tot_pages);
        break;
    case XENMEM_maximum_reservation:
        rc = (long)READ_ONCE(d->max_pages);
        break;
    default:
        max_pfn = READ_ONCE(d->shared->arch.max_pfn);
        rc = (long)(max_pfn ? max_pfn - 1 : 0);
        break;
    }
    domain_put(d);
    return rc;
}

/* ------------------------------------------------------------ memory maps */

static long write_map(guest_ptr_t arg, const struct e820_entry *e, uint32_t n)
{
    struct xen_memory_map map;

    if (copy_from_guest(&map, arg, sizeof(map)))
        return -XEN_EFAULT;
    map.nr_entries = MIN(map.nr_entries, n);
    if (copy_to_guest(guest_ptr((uint64_t)map.buffer.p), e, map.nr_entries * sizeof(*e)) ||
        copy_to_guest(arg, &map, sizeof(map)))
        return -XEN_EFAULT;
    return 0;
}

static long memory_map(guest_ptr_t arg)
{
    struct domain *d = current->domain;
    struct e820_entry whole = { 0, READ_ONCE(d->max_pages) << PAGE_SHIFT, REGION_RAM };
    struct e820_map *m, copy;

    spin_lock(&d->page_lock);
    m = d->e820;
    if (m)
        copy = *m;
    spin_unlock(&d->page_lock);
    return m ? write_map(arg, copy.e, copy.n) : write_map(arg, &whole, 1);
}

static long set_memory_map(guest_ptr_t arg)
{
    struct xen_foreign_memory_map req;
    struct e820_map *m, *old;
    struct domain *d;
    long rc;

    if (copy_from_guest(&req, arg, sizeof(req)))
        return -XEN_EFAULT;
    if (req.map.nr_entries > E820_ENTRIES_MAX)
        return -XEN_EINVAL;
    rc = domain_arg(req.domid, &d);
    if (rc)
        return rc;
    m = xzalloc(struct e820_map);
    rc = -XEN_ENOMEM;
    if (!m)
        goto out;
    m->n = req.map.nr_entries;
    rc = -XEN_EFAULT;
    if (copy_from_guest(m->e, guest_ptr((uint64_t)req.map.buffer.p), m->n * sizeof(m->e[0])))
        goto out;
    spin_lock(&d->page_lock);
    old = d->e820;
    d->e820 = m;
    spin_unlock(&d->page_lock);
    m = old;
    rc = 0;
out:
    xfree(m);
    domain_put(d);
    return rc;
}

static long machine_memory_map(guest_ptr_t arg)
{
    const struct boot_info *bi = boot_info();
    struct xen_memory_map map;
    uint32_t n = 0;

    if (!current->domain->privileged)
        return -XEN_EPERM;
    if (copy_from_guest(&map, arg, sizeof(map)))
        return -XEN_EFAULT;
    for (; n < bi->nr_regions && n < map.nr_entries; n++) {
        const struct boot_region *r = &bi->region[n];
        struct e820_entry e = { r->start, r->end - r->start, r->type };

        if (copy_to_guest_at(guest_ptr((uint64_t)map.buffer.p), n, &e))
            return -XEN_EFAULT;
    }
    map.nr_entries = n;
    return copy_to_guest(arg, &map, sizeof(map)) ? -XEN_EFAULT : 0;
}

/* ------------------------------------------------------------ machine to phys */

static long machphys_mapping(guest_ptr_t arg)
{
    struct xen_machphys_mapping map = {
        .v_start = M2P_START, .v_end = M2P_END, .max_mfn = max_mfn,
    };

    return copy_to_guest(arg, &map, sizeof(map)) ? -XEN_EFAULT : 0;
}

/* The first frame of each 2 MiB of the M2P; 0 where it has none of that size. */
static long machphys_mfn_list(guest_ptr_t arg)
{
    struct xen_machphys_mfn_list req;
    uint64_t n = DIV_ROUND_UP(max_mfn + 1, (2UL << 20) / sizeof(uint64_t));
    const pte_t *l3 = mfn_to_virt(pte_mfn(idle_l4[HV_SLOT_M2P]));
    uint32_t i;

    if (copy_from_guest(&req, arg, sizeof(req)))
        return -XEN_EFAULT;
    for (i = 0; i < n && i < req.max_extents; i++) {
        pte_t e = l3[i / PTES_PER_TABLE];
        uint64_t m = 0;

        if (e & PTE_P)
            e = ((const pte_t *)mfn_to_virt(pte_mfn(e)))[i % PTES_PER_TABLE];
        if ((e & (PTE_P | PTE_PSE)) == (PTE_P | PTE_PSE))
            m = pte_mfn(e & ~(1UL << 12)).v;
        if (copy_to_guest_at(guest_ptr((uint64_t)req.extent_start.p), i, &m))
            return -XEN_EFAULT;
    }
    req.nr_extents = i;
    return copy_to_guest(arg, &req, sizeof(req)) ? -XEN_EFAULT : 0;
}

/* ------------------------------------------------------------ the call */

long do_memory_op(uint64_t cmd, guest_ptr_t arg)
{
    unsigned int op = (unsigned int)cmd & CMD_MASK;
    uint64_t start = cmd >> CMD_BITS;

    switch (op) {
    case XENMEM_increase_reservation:
    case XENMEM_decrease_reservation:
    case XENMEM_populate_physmap:
        return reservation_op(op, start, arg);
    case XENMEM_exchange:
        return memop_exchange(arg);
    case XENMEM_maximum_ram_page:
        return (long)max_mfn + 1;
    case XENMEM_current_reservation:
    case XENMEM_maximum_reservation:
    case XENMEM_maximum_gpfn:
        return reservation_query(op, arg);
    case XENMEM_memory_map:
        return memory_map(arg);
    case XENMEM_set_memory_map:
        return set_memory_map(arg);
    case XENMEM_machine_memory_map:
        return machine_memory_map(arg);
    case XENMEM_machphys_mapping:
        return machphys_mapping(arg);
    case XENMEM_machphys_mfn_list:
        return machphys_mfn_list(arg);
    default:
        return memop_absent(op, arg);
    }
}
