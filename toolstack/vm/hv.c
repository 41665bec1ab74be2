/* SPDX-License-Identifier: MIT */
/* hv.c - domain control by domctl, sysctl and what else names another domain (see hv.h). */
#include "toolstack/vm/hv.h"
#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/mem.h"

#define EVENT_PORTS  1023   /* highest port: what xl gives; guests use the 2-level ABI */
#define GRANT_FRAMES 64
/* Mappings of others' grants: some ten thousand, as guests have no backends. The host's memory holds them, not the domain's. */
#define MAPTRACK_FRAMES 64
#define BIG_ORDER    9      /* one page-table's worth at a time */
#define BIG_PAGES    (1UL << BIG_ORDER)
#define BATCH        512    /* extents in one call */

static int domctl(unsigned int cmd, domid_t dom, struct xen_domctl *op)
{
    op->cmd = cmd;
    op->domain = dom;
    return (int)hc_domctl(op);
}

int hv_max_mem(domid_t dom, uint64_t pages)
{
    struct xen_domctl op = { .u.max_mem.max_memkb = pages << (PAGE_SHIFT - 10) };

    return domctl(XEN_DOMCTL_max_mem, dom, &op);
}

int hv_create(const struct hv_create *c, domid_t *dom)
{
    struct xen_domctl op = { .u.createdomain = {
        .max_vcpus = c->vcpus,
        .max_evtchn_port = EVENT_PORTS,
        .max_grant_frames = GRANT_FRAMES,
        .max_maptrack_frames = MAPTRACK_FRAMES,
        .grant_opts = XEN_DOMCTL_GRANT_version(1),
    } };
    int rc;

    memcpy(op.u.createdomain.handle, c->uuid, sizeof(c->uuid));
    rc = domctl(XEN_DOMCTL_createdomain, 0, &op);
    if (rc)
        return rc;
    *dom = op.domain;

    memset(&op, 0, sizeof(op));
    op.u.max_vcpus.max = c->vcpus;
    rc = domctl(XEN_DOMCTL_max_vcpus, *dom, &op);
    if (rc == 0 && c->max_pages)
        rc = hv_max_mem(*dom, c->max_pages);
    if (rc) {
        while (hv_destroy(*dom) == 1)    /* owns nothing yet: ends at once */
            ;
    }
    return rc;
}

int hv_pause(domid_t dom)
{
    struct xen_domctl op = { 0 };

    return domctl(XEN_DOMCTL_pausedomain, dom, &op);
}

int hv_unpause(domid_t dom)
{
    struct xen_domctl op = { 0 };

    return domctl(XEN_DOMCTL_unpausedomain, dom, &op);
}

int hv_destroy(domid_t dom)
{
    struct xen_domctl op = { 0 };
    int rc = domctl(XEN_DOMCTL_destroydomain, dom, &op);

    return rc == -XEN_ERESTART || rc == -XEN_EAGAIN ? 1 : rc;
}

static int scheduler_id(uint32_t *id)
{
    static uint32_t known;      /* never changes while the host runs */
    struct xen_sysctl op = { .cmd = XEN_SYSCTL_sched_id };
    int rc = known ? 0 : (int)hc_sysctl(&op);

    if (rc == 0 && !known)
        known = op.u.sched_id.sched_id;
    *id = known;
    return rc;
}

int hv_set_scheduling(domid_t dom, uint32_t weight, uint32_t cap)
{
    struct xen_domctl op = { .u.scheduler_op.cmd = XEN_DOMCTL_SCHEDOP_putinfo };
    int rc = scheduler_id(&op.u.scheduler_op.sched_id);

    if (rc)
        return rc;
    if (op.u.scheduler_op.sched_id == XEN_SCHEDULER_CREDIT2) {
        op.u.scheduler_op.u.credit2.weight = (uint16_t)weight;
        op.u.scheduler_op.u.credit2.cap = (uint16_t)cap;
    } else {
        op.u.scheduler_op.u.credit.weight = (uint16_t)weight;
        op.u.scheduler_op.u.credit.cap = (uint16_t)cap;
    }
    return domctl(XEN_DOMCTL_scheduler_op, dom, &op);
}

int hv_get_info(domid_t dom, struct xen_domctl_getdomaininfo *info)
{
    struct xen_domctl op = { 0 };
    int rc = domctl(XEN_DOMCTL_getdomaininfo, dom, &op);

    if (rc)
        return rc;
    /* The answer is about the first domain from this id on. */
    if (op.u.getdomaininfo.domain != dom)
        return -XEN_ESRCH;
    *info = op.u.getdomaininfo;
    return 0;
}

static int affinity_call(unsigned int cmd, domid_t dom, uint32_t vcpu, struct hv_affinity *a)
{
    struct xen_domctl op = { .u.vcpuaffinity = {
        .vcpu = vcpu,
        .flags = XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT,
        .cpumap_hard.nr_bits = 64,
        .cpumap_soft.nr_bits = 64,
    } };

    set_xen_guest_handle(op.u.vcpuaffinity.cpumap_hard.bitmap, (uint8_t *)&a->hard);
    set_xen_guest_handle(op.u.vcpuaffinity.cpumap_soft.bitmap, (uint8_t *)&a->soft);
    return domctl(cmd, dom, &op);
}

int hv_get_vcpu(domid_t dom, uint32_t vcpu, struct xen_domctl_getvcpuinfo *info,
                struct hv_affinity *affinity)
{
    struct xen_domctl op = { .u.getvcpuinfo.vcpu = vcpu };
    int rc = domctl(XEN_DOMCTL_getvcpuinfo, dom, &op);

    if (rc)
        return rc;
    *info = op.u.getvcpuinfo;
    *affinity = (struct hv_affinity){ 0 };
    return affinity_call(XEN_DOMCTL_getvcpuaffinity, dom, vcpu, affinity);
}

int hv_set_affinity(domid_t dom, uint32_t vcpu, struct hv_affinity a)
{
    return affinity_call(XEN_DOMCTL_setvcpuaffinity, dom, vcpu, &a);
}

int hv_list(domid_t first, struct xen_domctl_getdomaininfo *list, uint32_t max)
{
    struct xen_sysctl op = { .cmd = XEN_SYSCTL_getdomaininfolist };
    int rc;

    op.u.getdomaininfolist.first_domain = first;
    op.u.getdomaininfolist.max_domains = max;
    set_xen_guest_handle(op.u.getdomaininfolist.buffer, list);
    rc = (int)hc_sysctl(&op);
    return rc ? rc : (int)op.u.getdomaininfolist.num_domains;
}

int hv_set_context(domid_t dom, uint32_t vcpu, struct vcpu_guest_context *c)
{
    struct xen_domctl op = { .u.vcpucontext.vcpu = vcpu };

    set_xen_guest_handle(op.u.vcpucontext.ctxt, (vcpu_guest_context_t *)c);
    return domctl(XEN_DOMCTL_setvcpucontext, dom, &op);
}

int hv_host_info(struct hv_host *h)
{
    struct xen_sysctl op = { .cmd = XEN_SYSCTL_physinfo };
    int rc = (int)hc_sysctl(&op);

    if (rc)
        return rc;
    h->cpus = op.u.physinfo.nr_cpus;
    h->cpu_khz = op.u.physinfo.cpu_khz;
    h->total_pages = op.u.physinfo.total_pages;
    h->free_pages = op.u.physinfo.free_pages;
    return 0;
}

int hv_counters(struct xen_sysctl_perfc_desc *names, uint32_t *values, uint32_t max)
{
    struct xen_sysctl op = { .cmd = XEN_SYSCTL_perfc_op };
    int rc;

    op.u.perfc_op.cmd = XEN_SYSCTL_PERFCOP_query;
    rc = (int)hc_sysctl(&op);
    if (rc || op.u.perfc_op.nr_vals > max)
        return rc ? rc : -XEN_E2BIG;
    set_xen_guest_handle(op.u.perfc_op.desc, names);
    set_xen_guest_handle(op.u.perfc_op.val, values);
    rc = (int)hc_sysctl(&op);
    return rc ? rc : (int)op.u.perfc_op.nr_vals;
}

int hv_read_console(uint32_t *index, char *buf, uint32_t size)
{
    struct xen_sysctl op = { .cmd = XEN_SYSCTL_readconsole };
    int rc;

    op.u.readconsole.incremental = 1;
    op.u.readconsole.index = *index;
    op.u.readconsole.count = size;
    set_xen_guest_handle(op.u.readconsole.buffer, buf);
    rc = (int)hc_sysctl(&op);
    if (rc)
        return rc;
    *index = op.u.readconsole.index;
    return (int)op.u.readconsole.count;
}

uint64_t hv_idle_ns(uint32_t cpu)
{
    xen_sysctl_cpuinfo_t info[64];
    struct xen_sysctl op = { .cmd = XEN_SYSCTL_getcpuinfo };

    op.u.getcpuinfo.max_cpus = ARRAY_SIZE(info);
    set_xen_guest_handle(op.u.getcpuinfo.info, info);
    return hc_sysctl(&op) == 0 && cpu < op.u.getcpuinfo.nr_cpus ? info[cpu].idletime : 0;
}

int hv_resume(domid_t dom)
{
    struct xen_domctl op = { 0 };
    struct xen_domctl_getdomaininfo info;
    struct vcpu_guest_context *c;
    int rc = hv_get_info(dom, &info);

    if (rc)
        return rc;
    if (!(info.flags & XEN_DOMINF_shutdown) ||
        (info.flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask) != SHUTDOWN_suspend)
        return -XEN_EINVAL;
    c = calloc(1, sizeof(*c));
    if (!c)
        return -XEN_ENOMEM;
    set_xen_guest_handle(op.u.vcpucontext.ctxt, (vcpu_guest_context_t *)c);
    rc = domctl(XEN_DOMCTL_getvcpucontext, dom, &op);
    if (!rc) {
        c->user_regs.rax = 1;
        c->flags &= ~(unsigned long)VGCF_i387_valid;    /* it has only a part of the FPU's state, and all stays as it is */
        rc = hv_set_context(dom, 0, c);
    }
    free(c);
    memset(&op, 0, sizeof(op));
    return rc ? rc : domctl(XEN_DOMCTL_resumedomain, dom, &op);
}

/* One call for n extents; returns how many came. Extents are replaced by their first frames. */
static uint64_t populate(domid_t dom, xen_pfn_t *extents, uint64_t n, unsigned int order)
{
    struct xen_memory_reservation r = {
        .nr_extents = n,
        .extent_order = order,
        .domid = dom,
    };
    long rc;

    set_xen_guest_handle(r.extent_start, extents);
    rc = hc_memory_op(XENMEM_populate_physmap, &r);
    return rc < 0 ? 0 : MIN((uint64_t)rc, n);
}

static uint64_t populate_big(domid_t dom, uint64_t pfn, uint64_t n, mfn_t *frames)
{
    xen_pfn_t extent[32];
    uint64_t done = 0, some, got;

    for (; n - done >= BIG_PAGES; done += got << BIG_ORDER) {
        some = MIN((n - done) >> BIG_ORDER, ARRAY_SIZE(extent));
        for (uint64_t i = 0; i < some; i++)
            extent[i] = pfn + done + (i << BIG_ORDER);
        got = populate(dom, extent, some, BIG_ORDER);
        for (uint64_t i = 0; i < got << BIG_ORDER; i++)
            frames[done + i].v = extent[i >> BIG_ORDER] + (i & (BIG_PAGES - 1));
        if (got < some)
            return done + (got << BIG_ORDER);
    }
    return done;
}

uint64_t hv_populate(domid_t dom, uint64_t pfn, uint64_t n, mfn_t *frames)
{
    uint64_t done = populate_big(dom, pfn, n, frames), some, got;

    _Static_assert(sizeof(mfn_t) == sizeof(xen_pfn_t), "frames are extents");
    for (; done < n; done += got) {
        some = MIN(n - done, (uint64_t)BATCH);
        for (uint64_t i = 0; i < some; i++)
            frames[done + i].v = pfn + done + i;
        got = populate(dom, &frames[done].v, some, 0);
        if (got < some)
            return done + got;
    }
    return done;
}

int hv_set_memory_map(domid_t dom, uint64_t pages)
{
    /* As in the BIOS's map: packed. */
    struct {
        uint64_t addr, size;
        uint32_t type;
    } __packed ram = { 0, pages << PAGE_SHIFT, 1 };
    struct xen_foreign_memory_map op = { .domid = dom, .map.nr_entries = 1 };

    set_xen_guest_handle(op.map.buffer, (void *)&ram);
    return (int)hc_memory_op(XENMEM_set_memory_map, &op);
}

int hv_pin_l4(domid_t dom, mfn_t l4)
{
    struct mmuext_op op = { .cmd = MMUEXT_PIN_L4_TABLE, .arg1.mfn = l4.v };

    return (int)hc_mmuext_op(&op, 1, NULL, dom);
}

int hv_alloc_port(domid_t dom, evtchn_port_t *port)
{
    struct evtchn_alloc_unbound op = { .dom = dom, .remote_dom = DOMID_SELF };
    int rc = (int)hc_event_channel_op(EVTCHNOP_alloc_unbound, &op);

    *port = op.port;
    return rc;
}

int hv_grant_frame(domid_t dom, mfn_t *frame)
{
    xen_pfn_t list = 0;
    struct gnttab_setup_table op = { .dom = dom, .nr_frames = 1 };
    int rc;

    set_xen_guest_handle(op.frame_list, &list);
    rc = (int)hc_grant_table_op(GNTTABOP_setup_table, &op, 1);
    if (rc == 0 && op.status != GNTST_okay)
        rc = -XEN_EINVAL;
    *frame = mfn(list);
    return rc;
}
