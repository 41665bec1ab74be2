/* SPDX-License-Identifier: MIT */
/*
 * domctl.c - domain control, <xen/domctl.h>: dom0's builder, its life-cycle code, and whatever
 * other toolstack speaks this ABI.
 *
 * The argument is copied in once, handed to the row of the table below, and copied back where
 * the row says so. One at a time, under domctl_lock. A call that fails has changed nothing.
 */
#include "domain/domain.h"
#include "domain/domain_impl.h"
#include "domain/hypercall_page.h"
#include "boot/smp.h"
#include "dev/console.h"
#include "event/evtchn.h"
#include "hypercall/hypercall.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "mm/mm.h"
#include "mm/uaccess.h"
#include "sched/clock.h"
#include "sched/sched.h"
#include "atomic.h"

#define DEFAULT_GRANT_FRAMES        64u
#define DEFAULT_MAPTRACK_FRAMES     1024u
#define MAX_GRANT_FRAMES            4096u
#define MAX_MAPTRACK_FRAMES         4096u
#define MAX_PAGEFRAMEINFO           1024u
#define TSC_MODE_DEFAULT            0u
#define TSC_MODE_NATIVE             2u

/* d: the domain that op names, referenced; NULL for rows with ANY_DOMAIN. */
typedef long (*domctl_fn)(struct domain *d, struct xen_domctl *op);

/* ----------------------------------------------------------------- life cycle */

/* A free number: the one that was asked for, else the next after the last one given. */
static long choose_id(domid_t want)
{
    static uint32_t last;

    if (want > 0 && want < DOMID_FIRST_RESERVED)
        return domain_id_taken(want) ? -XEN_EEXIST : (long)want;
    for (uint32_t i = 1; i < DOMID_FIRST_RESERVED; i++) {
        uint32_t id = last + i;

        if (id >= DOMID_FIRST_RESERVED)
            id -= DOMID_FIRST_RESERVED - 1;     /* 0 is dom0's alone */
        if (!domain_id_taken(id)) {
            last = id;
            return id;
        }
    }
    return -XEN_ENOMEM;
}

static uint32_t limit(int32_t asked, uint32_t otherwise)
{
    return asked < 0 ? otherwise : (uint32_t)asked;
}

static long op_createdomain(struct domain *none, struct xen_domctl *op)
{
    const struct xen_domctl_createdomain *c = &op->u.createdomain;
    struct domain_config cfg = {
        .max_vcpus = c->max_vcpus,
        /* The highest port allowed, in the ABI. */
        .max_evtchn_port = MIN(c->max_evtchn_port, EVTCHN_MAX_PORTS - 1) + 1,
        .max_grant_frames = limit(c->max_grant_frames, DEFAULT_GRANT_FRAMES),
        .max_maptrack_frames = limit(c->max_maptrack_frames, DEFAULT_MAPTRACK_FRAMES),
    };
    uint32_t version = XEN_DOMCTL_GRANT_version(c->grant_opts);
    struct domain *d;
    long id;
    int rc;

    /* PV guests only, and nothing that goes with hardware virtualization. */
    if (c->flags & ~XEN_DOMCTL_CDF_xs_domain || c->iommu_opts || c->vmtrace_size ||
        c->cpupool_id || c->arch.emulation_flags || c->grant_opts & ~XEN_DOMCTL_GRANT_version_mask)
        return -XEN_EINVAL;
    if (version < 1 || version > 2 || cfg.max_grant_frames > MAX_GRANT_FRAMES ||
        cfg.max_maptrack_frames > MAX_MAPTRACK_FRAMES)
        return -XEN_EINVAL;
    id = choose_id(op->domain);
    if (id < 0)
        return id;
    cfg.id = (domid_t)id;
    memcpy(cfg.handle, c->handle, sizeof(cfg.handle));
    rc = domain_create(&cfg, &d);
    if (rc)
        return rc;
    domain_put(d);      /* the table's reference keeps it */
    op->domain = (domid_t)id;
    return 0;
}

static long op_max_vcpus(struct domain *d, struct xen_domctl *op)
{
    if (d == current->domain || op->u.max_vcpus.max != d->max_vcpus || domain_dying(d))
        return -XEN_EINVAL;
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        int rc = d->vcpu[i] ? 0 : vcpu_create(d, i);

        if (rc)
            return rc;      /* those that exist stay; the call can be repeated */
    }
    return 0;
}

static long op_max_mem(struct domain *d, struct xen_domctl *op)
{
    spin_lock(&d->page_lock);
    d->max_pages = MIN(op->u.max_mem.max_memkb >> (PAGE_SHIFT - 10), (uint64_t)UINT32_MAX);
    spin_unlock(&d->page_lock);
    return 0;
}

static long op_pause(struct domain *d, struct xen_domctl *op)
{
    if (d == current->domain)
        return -XEN_EINVAL;
    domain_pause_by_toolstack(d);
    return 0;
}

static long op_unpause(struct domain *d, struct xen_domctl *op)
{
    /* An unbuilt domain has nothing to run. */
    if (!d->vcpu[0] || domain_dying(d))
        return -XEN_EINVAL;
    return domain_unpause_by_toolstack(d);
}

static long op_resume(struct domain *d, struct xen_domctl *op)
{
    if (d == current->domain || domain_dying(d))
        return -XEN_EINVAL;
    return domain_resume(d);
}

static long op_destroy(struct domain *d, struct xen_domctl *op)
{
    int rc;

    if (d == current->domain || d == dom0)
        return -XEN_EINVAL;
    rc = domain_destroy_step(d);
    /* Back to dom0 in between: its event loop has other things to do, and asks again. */
    return rc == -XEN_ERESTART ? -XEN_EAGAIN : rc;
}

/* ---------------------------------------------------------------- information */

static long op_getdomaininfo(struct domain *none, struct xen_domctl *op)
{
    struct domain *d = domain_get_from(op->domain);

    if (!d)
        return -XEN_ESRCH;
    domain_info(d, &op->u.getdomaininfo);
    op->domain = d->id;
    domain_put(d);
    return 0;
}

static struct vcpu *vcpu_of(const struct domain *d, uint32_t id)
{
    return id < d->max_vcpus ? d->vcpu[id] : NULL;
}

static long op_getvcpuinfo(struct domain *d, struct xen_domctl *op)
{
    struct xen_domctl_getvcpuinfo *info = &op->u.getvcpuinfo;
    struct vcpu *v = vcpu_of(d, info->vcpu);
    uint32_t flags;

    if (!v)
        return -XEN_ESRCH;
    flags = load_acquire(&v->pause_flags);
    info->online = !(flags & VPF_DOWN);
    info->blocked = (flags & (VPF_BLOCKED | VPF_POLL)) != 0;
    info->running = READ_ONCE(v->running);
    info->cpu_time = vcpu_cpu_ns(v);
    info->cpu = READ_ONCE(v->cpu);
    return 0;
}

/* ------------------------------------------------------------------- contexts */

static long op_setvcpucontext(struct domain *d, struct xen_domctl *op)
{
    const struct xen_domctl_vcpucontext *req = &op->u.vcpucontext;
    struct vcpu *v = vcpu_of(d, req->vcpu);
    struct vcpu_guest_context *c;
    long rc = -XEN_EFAULT;

    if (!v || d == current->domain || domain_dying(d) || !req->ctxt.p)
        return -XEN_EINVAL;
    c = xmalloc(struct vcpu_guest_context);
    if (!c)
        return -XEN_ENOMEM;
    if (!copy_from_guest(c, guest_ptr((uint64_t)req->ctxt.p), sizeof(*c))) {
        domain_pause(d);
        spin_lock(&d->lock);
        do {
            rc = vcpu_set_context(v, c);
        } while (rc == -XEN_ERESTART);
        if (!rc && c->flags & VGCF_online)
            atomic_and(&v->pause_flags, ~VPF_DOWN);
        else if (!rc)
            atomic_or(&v->pause_flags, VPF_DOWN);
        spin_unlock(&d->lock);
        domain_unpause(d);
    }
    xfree(c);
    return rc;
}

static long op_getvcpucontext(struct domain *d, struct xen_domctl *op)
{
    const struct xen_domctl_vcpucontext *req = &op->u.vcpucontext;
    struct vcpu *v = vcpu_of(d, req->vcpu);
    struct vcpu_guest_context *c;
    long rc = 0;

    if (!v)
        return -XEN_ESRCH;
    if (v == current)
        return -XEN_EINVAL;
    if (!v->initialised)
        return -XEN_ENODATA;
    c = xmalloc(struct vcpu_guest_context);
    if (!c)
        return -XEN_ENOMEM;
    vcpu_pause(v);
    vcpu_get_context(v, c);
    vcpu_unpause(v);
    if (copy_to_guest(guest_ptr((uint64_t)req->ctxt.p), c, sizeof(*c)))
        rc = -XEN_EFAULT;
    xfree(c);
    return rc;
}

/* ------------------------------------------------------------------ scheduling */

static long op_scheduler(struct domain *d, struct xen_domctl *op)
{
    struct xen_domctl_scheduler_op *req = &op->u.scheduler_op;
    uint32_t weight = d->credit.weight, cap = d->credit.cap;

    if (req->sched_id != XEN_SCHEDULER_CREDIT)
        return -XEN_EINVAL;
    switch (req->cmd) {
    case XEN_DOMCTL_SCHEDOP_getinfo:
        req->u.credit.weight = (uint16_t)weight;
        req->u.credit.cap = (uint16_t)cap;
        return 0;
    case XEN_DOMCTL_SCHEDOP_putinfo:
        /* Weight 0 and cap ~0 mean "as it is". */
        if (req->u.credit.weight)
            weight = req->u.credit.weight;
        if (req->u.credit.cap != (uint16_t)~0u)
            cap = req->u.credit.cap;
        if (!sched_set_params(d, weight, cap))
            return -XEN_EINVAL;
        return 0;
    default:
        return -XEN_EINVAL;
    }
}

/* A bitmap of CPUs, bytes beyond the guest's own are zero. */
static long bitmap_in(cpumask_t *m, const struct xenctl_bitmap *b)
{
    uint64_t bytes = MIN((uint64_t)b->nr_bits + 7, 64UL + 7) / 8;

    *m = 0;
    if (copy_from_guest(m, guest_ptr((uint64_t)b->bitmap.p), MIN(bytes, sizeof(*m))))
        return -XEN_EFAULT;
    if (b->nr_bits < 64)
        *m &= (1UL << b->nr_bits) - 1;
    return 0;
}

static long bitmap_out(const struct xenctl_bitmap *b, cpumask_t m)
{
    uint64_t bytes = ((uint64_t)b->nr_bits + 7) / 8, ours = MIN(bytes, sizeof(m));

    if (copy_to_guest(guest_ptr((uint64_t)b->bitmap.p), &m, ours) ||
        (bytes > ours &&
         clear_guest(guest_ptr((uint64_t)b->bitmap.p + ours), bytes - ours)))
        return -XEN_EFAULT;
    return 0;
}

/* The vCPU that an affinity call is about; NULL and *rc. FORCE undoes a SCHEDOP_pin_override, which
 * nobody can have made. */
static struct vcpu *affinity_of(const struct domain *d, const struct xen_domctl_vcpuaffinity *req,
                                long *rc)
{
    bool hard = req->flags & XEN_VCPUAFFINITY_HARD, soft = req->flags & XEN_VCPUAFFINITY_SOFT;
    struct vcpu *v = vcpu_of(d, req->vcpu);

    *rc = -XEN_EINVAL;
    if (req->vcpu >= d->max_vcpus || !req->flags || (hard && !req->cpumap_hard.bitmap.p) ||
        (soft && !req->cpumap_soft.bitmap.p))
        return NULL;
    *rc = v ? 0 : -XEN_ESRCH;
    return v;
}

static long affinity_out(const struct xen_domctl_vcpuaffinity *req, cpumask_t hard, cpumask_t soft)
{
    long rc = 0;

    if (req->flags & XEN_VCPUAFFINITY_HARD)
        rc = bitmap_out(&req->cpumap_hard, hard);
    if (!rc && req->flags & XEN_VCPUAFFINITY_SOFT)
        rc = bitmap_out(&req->cpumap_soft, soft);
    return rc;
}

/* Answers with what is in effect. A soft affinity without a CPU that the hard one allows is none. */
static long op_setvcpuaffinity(struct domain *d, struct xen_domctl *op)
{
    const struct xen_domctl_vcpuaffinity *req = &op->u.vcpuaffinity;
    cpumask_t hard, soft;
    long rc;
    struct vcpu *v = affinity_of(d, req, &rc);

    if (!v)
        return rc;
    hard = v->affinity.hard;
    soft = v->affinity.soft;
    if (req->flags & XEN_VCPUAFFINITY_HARD)
        rc = bitmap_in(&hard, &req->cpumap_hard);
    if (!rc && req->flags & XEN_VCPUAFFINITY_SOFT)
        rc = bitmap_in(&soft, &req->cpumap_soft);
    if (!rc)
        rc = sched_set_affinity(v, hard, soft);
    return rc ? rc : affinity_out(req, hard & cpu_online_map, soft & hard & cpu_online_map);
}

/* Answers with what was set, of the CPUs that there are. */
static long op_getvcpuaffinity(struct domain *d, struct xen_domctl *op)
{
    const struct xen_domctl_vcpuaffinity *req = &op->u.vcpuaffinity;
    long rc;
    const struct vcpu *v = affinity_of(d, req, &rc);

    return v ? affinity_out(req, v->affinity.hard & cpu_online_map, v->affinity.soft & cpu_online_map)
             : rc;
}

/* ----------------------------------------------------------------- odds and ends */

static long op_setdomainhandle(struct domain *d, struct xen_domctl *op)
{
    memcpy(d->handle, op->u.setdomainhandle.handle, sizeof(d->handle));
    return 0;
}

static long op_hypercall_init(struct domain *d, struct xen_domctl *op)
{
    mfn_t m = mfn(op->u.hypercall_init.gmfn);
    struct page *pg;

    if (!mfn_valid(m))
        return -XEN_EACCES;
    pg = mfn_to_page(m);
    if (!page_get_and_type(pg, d, PGT_WRITABLE))
        return -XEN_EACCES;
    hypercall_page_fill(mfn_to_virt(m));
    page_put_and_type(pg);
    return 0;
}

static long op_settimeoffset(struct domain *d, struct xen_domctl *op)
{
    d->time_offset_seconds = (uint64_t)op->u.settimeoffset.time_offset_seconds;
    domain_update_wallclock(d);
    return 0;
}

/* Rights to single ports, ranges and interrupts come with driver domains; what a domain without
 * rights does not have can be taken from it. */
static long permission(const struct domain *d, bool allow)
{
    return allow || d->io_all ? -XEN_ENOSYS : 0;
}

static long op_ioport_permission(struct domain *d, struct xen_domctl *op)
{
    return permission(d, op->u.ioport_permission.allow_access);
}

static long op_iomem_permission(struct domain *d, struct xen_domctl *op)
{
    return permission(d, op->u.iomem_permission.allow_access);
}

static long op_irq_permission(struct domain *d, struct xen_domctl *op)
{
    return permission(d, op->u.irq_permission.allow_access);
}

static uint64_t frame_kind(const struct domain *d, uint64_t frame)
{
    static const uint32_t tab[] = {
        [PGT_L1 >> PGT_SHIFT] = XEN_DOMCTL_PFINFO_L1TAB,
        [PGT_L2 >> PGT_SHIFT] = XEN_DOMCTL_PFINFO_L2TAB,
        [PGT_L3 >> PGT_SHIFT] = XEN_DOMCTL_PFINFO_L3TAB,
        [PGT_L4 >> PGT_SHIFT] = XEN_DOMCTL_PFINFO_L4TAB,
        [PGT_WRITABLE >> PGT_SHIFT] = XEN_DOMCTL_PFINFO_NOTAB,
    };
    struct page *pg;
    uint32_t type;
    uint64_t kind;

    if (!mfn_valid(mfn(frame)))
        return XEN_DOMCTL_PFINFO_XTAB;
    pg = mfn_to_page(mfn(frame));
    if (!page_get(pg, d))
        return XEN_DOMCTL_PFINFO_XTAB;
    type = READ_ONCE(pg->type);
    page_put(pg);
    kind = type & PGT_COUNT_MASK ? tab[(type & PGT_TYPE_MASK) >> PGT_SHIFT] : 0;
    return type & PGT_PINNED ? kind | XEN_DOMCTL_PFINFO_LPINTAB : kind;
}

static long op_getpageframeinfo3(struct domain *d, struct xen_domctl *op)
{
    guest_ptr_t array = guest_ptr((uint64_t)op->u.getpageframeinfo3.array.p);
    uint64_t n = op->u.getpageframeinfo3.num;

    if (n > MAX_PAGEFRAMEINFO)
        return -XEN_E2BIG;
    if (d == current->domain)
        return -XEN_EINVAL;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t frame;

        if (copy_from_guest_at(&frame, array, i))
            return -XEN_EFAULT;
        frame = frame_kind(d, frame);
        if (copy_to_guest_at(array, i, &frame))
            return -XEN_EFAULT;
    }
    return 0;
}

/* Guests read the TSC themselves. */
static long op_gettscinfo(struct domain *d, struct xen_domctl *op)
{
    op->u.tsc_info = (struct xen_domctl_tsc_info){
        .tsc_mode = TSC_MODE_NATIVE,
        .gtsc_khz = (uint32_t)clock_tsc_khz(),
    };
    return 0;
}

static long op_settscinfo(struct domain *d, struct xen_domctl *op)
{
    uint32_t mode = op->u.tsc_info.tsc_mode;

    return mode == TSC_MODE_DEFAULT || mode == TSC_MODE_NATIVE ? 0 : -XEN_EOPNOTSUPP;
}

static long op_set_address_size(struct domain *d, struct xen_domctl *op)
{
    return op->u.address_size.size == 64 ? 0 : -XEN_EINVAL;
}

static long op_get_address_size(struct domain *d, struct xen_domctl *op)
{
    op->u.address_size.size = 64;
    return 0;
}

/* -------------------------------------------------------------------- dispatch */

#define ANY_DOMAIN  1u      /* op.domain need not exist */
#define COPY_BACK   2u

static const struct {
    uint32_t cmd;
    uint32_t flags;
    domctl_fn fn;
} ops[] = {
    { XEN_DOMCTL_createdomain,          ANY_DOMAIN | COPY_BACK, op_createdomain },
    { XEN_DOMCTL_destroydomain,         0,                      op_destroy },
    { XEN_DOMCTL_pausedomain,           0,                      op_pause },
    { XEN_DOMCTL_unpausedomain,         0,                      op_unpause },
    { XEN_DOMCTL_resumedomain,          0,                      op_resume },
    { XEN_DOMCTL_getdomaininfo,         ANY_DOMAIN | COPY_BACK, op_getdomaininfo },
    { XEN_DOMCTL_getvcpuinfo,           COPY_BACK,              op_getvcpuinfo },
    { XEN_DOMCTL_max_vcpus,             0,                      op_max_vcpus },
    { XEN_DOMCTL_max_mem,               0,                      op_max_mem },
    { XEN_DOMCTL_setvcpucontext,        0,                      op_setvcpucontext },
    { XEN_DOMCTL_getvcpucontext,        COPY_BACK,              op_getvcpucontext },
    { XEN_DOMCTL_scheduler_op,          COPY_BACK,              op_scheduler },
    { XEN_DOMCTL_setvcpuaffinity,       COPY_BACK,              op_setvcpuaffinity },
    { XEN_DOMCTL_getvcpuaffinity,       COPY_BACK,              op_getvcpuaffinity },
    { XEN_DOMCTL_setdomainhandle,       0,                      op_setdomainhandle },
    { XEN_DOMCTL_hypercall_init,        0,                      op_hypercall_init },
    { XEN_DOMCTL_settimeoffset,         0,                      op_settimeoffset },
    { XEN_DOMCTL_ioport_permission,     0,                      op_ioport_permission },
    { XEN_DOMCTL_iomem_permission,      0,                      op_iomem_permission },
    { XEN_DOMCTL_irq_permission,        0,                      op_irq_permission },
    { XEN_DOMCTL_getpageframeinfo3,     0,                      op_getpageframeinfo3 },
    { XEN_DOMCTL_gettscinfo,            COPY_BACK,              op_gettscinfo },
    { XEN_DOMCTL_settscinfo,            0,                      op_settscinfo },
    { XEN_DOMCTL_set_address_size,      0,                      op_set_address_size },
    { XEN_DOMCTL_get_address_size,      COPY_BACK,              op_get_address_size },
};

static long run(uint32_t i, struct xen_domctl *op)
{
    struct domain *d = NULL;
    long rc;

    if (!(ops[i].flags & ANY_DOMAIN)) {
        d = op->domain == DOMID_SELF ? domain_of_arg(DOMID_SELF) : domain_get(op->domain);
        if (!d)
            return -XEN_ESRCH;
    }
    rc = ops[i].fn(d, op);
    if (d)
        domain_put(d);
    return rc;
}

/* What a caller hears that may do nothing of all this. */
static long refuse(const struct xen_domctl *op)
{
    struct domain *d;

    if (op->cmd == XEN_DOMCTL_createdomain)
        return -XEN_EPERM;
    if (op->cmd == XEN_DOMCTL_getdomaininfo && op->domain >= DOMID_FIRST_RESERVED)
        return -XEN_EINVAL;
    d = domain_get(op->domain);
    if (!d)
        return -XEN_ESRCH;
    domain_put(d);
    return -XEN_EPERM;
}

long do_domctl(guest_ptr_t arg)
{
    struct xen_domctl op;

    if (copy_from_guest(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    if (op.interface_version != XEN_DOMCTL_INTERFACE_VERSION)
        return -XEN_EACCES;
    if (!current->domain->privileged)
        return refuse(&op);
    for (uint32_t i = 0; i < ARRAY_SIZE(ops); i++) {
        long rc;

        if (ops[i].cmd != op.cmd)
            continue;
        spin_lock(&domctl_lock);
        rc = run(i, &op);
        spin_unlock(&domctl_lock);
        if (!rc && ops[i].flags & COPY_BACK && copy_to_guest(arg, &op, sizeof(op)))
            rc = -XEN_EFAULT;
        return rc;
    }
    return -XEN_ENOSYS;
}
