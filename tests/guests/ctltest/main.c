/* SPDX-License-Identifier: MIT */
/*
 * ctltest - stands in for dom0 and tries the control ABI: what must work does, what must be
 * refused gets the right error and changes nothing, and a hundred domains leave no trace.
 * Prints "ctltest: ok" or the first thing that failed.
 */
#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/p2m.h"
#include "runtime/pagetable.h"
#include "runtime/start.h"
#include "runtime/time.h"

#define CHECK(cond) \
    do { \
        if (!(cond)) { \
            log_error("ctltest: FAILED at line %d: %s", __LINE__, #cond); \
            domain_shutdown(SHUTDOWN_crash); \
        } \
    } while (0)

#define NO_SUCH 12345
#define PAGES   64
#define MANY    100

static struct vcpu_guest_context context;

static long ctl(uint32_t cmd, domid_t dom, struct xen_domctl *op)
{
    op->cmd = cmd;
    op->domain = dom;
    return hc_domctl(op);
}

static long simple(uint32_t cmd, domid_t dom)
{
    struct xen_domctl op = { 0 };

    return ctl(cmd, dom, &op);
}

static uint64_t free_pages(void)
{
    struct xen_sysctl op = { .cmd = XEN_SYSCTL_physinfo };

    CHECK(hc_sysctl(&op) == 0);
    return op.u.physinfo.free_pages;
}

static struct xen_domctl_getdomaininfo info_of(domid_t dom)
{
    struct xen_domctl op = { 0 };

    CHECK(ctl(XEN_DOMCTL_getdomaininfo, dom, &op) == 0);
    CHECK(op.domain == dom && op.u.getdomaininfo.domain == dom);
    return op.u.getdomaininfo;
}

static long create(domid_t want, uint32_t flags, uint32_t vcpus, domid_t *dom)
{
    struct xen_domctl op = { .u.createdomain = {
        .flags = flags,
        .max_vcpus = vcpus,
        .max_evtchn_port = 1023,
        .max_grant_frames = 4,
        .grant_opts = XEN_DOMCTL_GRANT_version(1),
    } };
    long rc = ctl(XEN_DOMCTL_createdomain, want, &op);

    *dom = op.domain;
    return rc;
}

static void destroy(domid_t dom)
{
    long rc;

    do {
        rc = simple(XEN_DOMCTL_destroydomain, dom);
    } while (rc == -XEN_EAGAIN || rc == -XEN_ERESTART);
    CHECK(rc == 0);
    CHECK(simple(XEN_DOMCTL_pausedomain, dom) == -XEN_ESRCH);
}

static long max_vcpus(domid_t dom, uint32_t n)
{
    struct xen_domctl op = { .u.max_vcpus.max = n };

    return ctl(XEN_DOMCTL_max_vcpus, dom, &op);
}

static long max_mem(domid_t dom, uint64_t pages)
{
    struct xen_domctl op = { .u.max_mem.max_memkb = pages * 4 };

    return ctl(XEN_DOMCTL_max_mem, dom, &op);
}

static long populate(domid_t dom, uint64_t n, xen_pfn_t *frames)
{
    struct xen_memory_reservation r = { .nr_extents = n, .domid = dom };

    for (uint64_t i = 0; i < n; i++)
        frames[i] = i;
    set_xen_guest_handle(r.extent_start, frames);
    return hc_memory_op(XENMEM_populate_physmap, &r);
}

static long set_context(domid_t dom, uint32_t vcpu)
{
    struct xen_domctl op = { .u.vcpucontext.vcpu = vcpu };

    set_xen_guest_handle(op.u.vcpucontext.ctxt, (vcpu_guest_context_t *)&context);
    return ctl(XEN_DOMCTL_setvcpucontext, dom, &op);
}

/* ---------------------------------------------------------------------- sysctl */

static void test_sysctl(void)
{
    static struct xen_domctl_getdomaininfo list[4];
    static char log[4096];
    struct xen_sysctl op = { .cmd = XEN_SYSCTL_physinfo };

    CHECK(hc_sysctl(&op) == 0);
    CHECK(op.u.physinfo.nr_cpus >= 1 && op.u.physinfo.cpu_khz > 1000);
    CHECK(op.u.physinfo.total_pages > op.u.physinfo.free_pages);
    op = (struct xen_sysctl){ .cmd = XEN_SYSCTL_sched_id };
    CHECK(hc_sysctl(&op) == 0 && op.u.sched_id.sched_id == XEN_SCHEDULER_CREDIT);
    op = (struct xen_sysctl){ .cmd = 9999 };
    CHECK(hc_sysctl(&op) == -XEN_ENOSYS);

    op = (struct xen_sysctl){ .cmd = XEN_SYSCTL_getdomaininfolist };
    op.u.getdomaininfolist.max_domains = ARRAY_SIZE(list);
    set_xen_guest_handle(op.u.getdomaininfolist.buffer, list);
    CHECK(hc_sysctl(&op) == 0 && op.u.getdomaininfolist.num_domains == 1);
    CHECK(list[0].domain == 0 && list[0].nr_online_vcpus == 1 && list[0].tot_pages > 0);
    CHECK(list[0].flags & XEN_DOMINF_running);

    op = (struct xen_sysctl){ .cmd = XEN_SYSCTL_readconsole };
    op.u.readconsole.count = sizeof(log) - 1;
    set_xen_guest_handle(op.u.readconsole.buffer, log);
    CHECK(hc_sysctl(&op) == 0 && op.u.readconsole.count > 0);
    CHECK(strstr(log, "Sluice"));
    op.u.readconsole.count = 100;
    set_xen_guest_handle(op.u.readconsole.buffer, (char *)0xffff830000000000UL);
    CHECK(hc_sysctl(&op) == -XEN_EFAULT);
}

/* --------------------------------------------------------------------- refusals */

static void test_refusals(void)
{
    struct xen_domctl op = { 0 };
    domid_t dom;

    CHECK(ctl(9999, 0, &op) == -XEN_ENOSYS);
    CHECK(hypercall(__HYPERVISOR_domctl, 0xffff830000000000UL, 0, 0, 0, 0) == -XEN_EFAULT);
    memset(&op, 0, sizeof(op));
    op.cmd = XEN_DOMCTL_getdomaininfo;
    op.interface_version = XEN_DOMCTL_INTERFACE_VERSION + 1;
    CHECK(hypercall(__HYPERVISOR_domctl, (uint64_t)&op, 0, 0, 0, 0) == -XEN_EACCES);

    CHECK(simple(XEN_DOMCTL_pausedomain, NO_SUCH) == -XEN_ESRCH);
    CHECK(simple(XEN_DOMCTL_destroydomain, NO_SUCH) == -XEN_ESRCH);
    CHECK(simple(XEN_DOMCTL_getdomaininfo, NO_SUCH) == -XEN_ESRCH);
    CHECK(simple(XEN_DOMCTL_pausedomain, 0) == -XEN_EINVAL);
    CHECK(simple(XEN_DOMCTL_destroydomain, 0) == -XEN_EINVAL);
    CHECK(simple(XEN_DOMCTL_resumedomain, 0) == -XEN_EINVAL);
    CHECK(set_context(0, 0) == -XEN_EINVAL);

    CHECK(create(0, XEN_DOMCTL_CDF_hvm, 1, &dom) == -XEN_EINVAL);
    CHECK(create(0, 0, 0, &dom) == -XEN_EINVAL);
    CHECK(create(0, 0, 33, &dom) == -XEN_EINVAL);
    CHECK(create(0, 1u << 31, 1, &dom) == -XEN_EINVAL);
}

/* -------------------------------------------------------------------- one domain */

static uint32_t shutdown_code(domid_t dom)
{
    uint32_t flags = info_of(dom).flags;

    return flags & XEN_DOMINF_shutdown ? flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask : ~0u;
}

static long stop(domid_t dom, uint32_t reason)
{
    struct sched_remote_shutdown op = { .domain_id = dom, .reason = reason };

    return hc_sched_op(SCHEDOP_remote_shutdown, &op);
}

/* Only one that stopped to be suspended goes on, and once. It is paused all the while. */
static void test_resume(domid_t dom)
{
    CHECK(simple(XEN_DOMCTL_resumedomain, dom) == -XEN_EINVAL);
    CHECK(stop(dom, SHUTDOWN_suspend) == 0 && shutdown_code(dom) == SHUTDOWN_suspend);
    CHECK(stop(dom, SHUTDOWN_poweroff) == 0 && shutdown_code(dom) == SHUTDOWN_suspend);
    CHECK(simple(XEN_DOMCTL_resumedomain, dom) == 0 && shutdown_code(dom) == ~0u);
    CHECK(info_of(dom).flags & XEN_DOMINF_paused);
    CHECK(simple(XEN_DOMCTL_resumedomain, dom) == -XEN_EINVAL);
}

/* For good: others that ended do not go on, and one that was suspended can be destroyed. */
static void test_no_resume(void)
{
    static const uint32_t reason[] = { SHUTDOWN_poweroff, SHUTDOWN_crash, SHUTDOWN_watchdog, SHUTDOWN_suspend };
    domid_t dom;

    for (unsigned int i = 0; i < ARRAY_SIZE(reason); i++) {
        CHECK(create(0, 0, 2, &dom) == 0 && max_vcpus(dom, 2) == 0);
        CHECK(stop(dom, reason[i]) == 0 && shutdown_code(dom) == reason[i]);
        if (reason[i] != SHUTDOWN_suspend)
            CHECK(simple(XEN_DOMCTL_resumedomain, dom) == -XEN_EINVAL && shutdown_code(dom) == reason[i]);
        destroy(dom);
    }
}

static void test_scheduler_op(domid_t dom)
{
    struct xen_domctl op = { .u.scheduler_op = {
        .sched_id = XEN_SCHEDULER_CREDIT, .cmd = XEN_DOMCTL_SCHEDOP_putinfo,
        .u.credit = { .weight = 512, .cap = 40 } } };

    CHECK(ctl(XEN_DOMCTL_scheduler_op, dom, &op) == 0);
    op.u.scheduler_op.u.credit.weight = 0;              /* as it is */
    op.u.scheduler_op.u.credit.cap = 7000;              /* too much */
    CHECK(ctl(XEN_DOMCTL_scheduler_op, dom, &op) == -XEN_EINVAL);
    op.u.scheduler_op.cmd = XEN_DOMCTL_SCHEDOP_getinfo;
    CHECK(ctl(XEN_DOMCTL_scheduler_op, dom, &op) == 0);
    CHECK(op.u.scheduler_op.u.credit.weight == 512 && op.u.scheduler_op.u.credit.cap == 40);
    op.u.scheduler_op.sched_id = XEN_SCHEDULER_RTDS;
    CHECK(ctl(XEN_DOMCTL_scheduler_op, dom, &op) == -XEN_EINVAL);
}

static void test_affinity(domid_t dom)
{
    uint64_t map = 1, soft[2] = { 1UL << 62, 1 };
    struct xen_domctl op = { .u.vcpuaffinity = {
        .flags = XEN_VCPUAFFINITY_HARD, .cpumap_hard.nr_bits = 64 } };

    CHECK(ctl(XEN_DOMCTL_setvcpuaffinity, dom, &op) == -XEN_EINVAL);        /* no bitmap */
    set_xen_guest_handle(op.u.vcpuaffinity.cpumap_hard.bitmap, (uint8_t *)&map);
    CHECK(ctl(XEN_DOMCTL_setvcpuaffinity, dom, &op) == 0 && map == 1);
    map = 1UL << 63;
    CHECK(ctl(XEN_DOMCTL_setvcpuaffinity, dom, &op) == -XEN_EINVAL);
    map = 0;
    CHECK(ctl(XEN_DOMCTL_setvcpuaffinity, dom, &op) == -XEN_EINVAL);
    map = 0;
    CHECK(ctl(XEN_DOMCTL_getvcpuaffinity, dom, &op) == 0 && map == 1);

    /* The soft one may be anything; what is in effect is what the hard one allows of it. */
    op.u.vcpuaffinity.flags = XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT;
    CHECK(ctl(XEN_DOMCTL_setvcpuaffinity, dom, &op) == -XEN_EINVAL);
    op.u.vcpuaffinity.cpumap_soft.nr_bits = 128;
    set_xen_guest_handle(op.u.vcpuaffinity.cpumap_soft.bitmap, (uint8_t *)soft);
    map = 1UL << 63 | 1;
    CHECK(ctl(XEN_DOMCTL_setvcpuaffinity, dom, &op) == 0 && map == 1 && soft[0] == 0 && soft[1] == 0);
    soft[0] = 1;
    map = 0;                                            /* refused as a whole */
    CHECK(ctl(XEN_DOMCTL_setvcpuaffinity, dom, &op) == -XEN_EINVAL && soft[0] == 1);
    CHECK(ctl(XEN_DOMCTL_getvcpuaffinity, dom, &op) == 0 && map == 1 && soft[0] == 0);
    soft[0] = soft[1] = ~0UL;
    op.u.vcpuaffinity.flags = XEN_VCPUAFFINITY_SOFT;
    CHECK(ctl(XEN_DOMCTL_setvcpuaffinity, dom, &op) == 0 && soft[0] == 1 && soft[1] == 0);
    op.u.vcpuaffinity.flags = XEN_VCPUAFFINITY_FORCE;   /* there is nothing to undo */
    CHECK(ctl(XEN_DOMCTL_setvcpuaffinity, dom, &op) == 0);
    op.u.vcpuaffinity.flags = 0;
    CHECK(ctl(XEN_DOMCTL_getvcpuaffinity, dom, &op) == -XEN_EINVAL);
    op.u.vcpuaffinity.flags = XEN_VCPUAFFINITY_HARD;
    op.u.vcpuaffinity.vcpu = 7;
    CHECK(ctl(XEN_DOMCTL_getvcpuaffinity, dom, &op) == -XEN_EINVAL);
}

/* Frames of dom0, holes, data: none makes a root or a GDT of the domain; nothing may change. */
static void test_contexts(domid_t dom, const xen_pfn_t *frames)
{
    struct xen_domctl_getdomaininfo before = info_of(dom), after;

    memset(&context, 0, sizeof(context));
    context.flags = VGCF_in_kernel | VGCF_online;
    context.ctrlreg[3] = virt_to_mfn(&context).v << PAGE_SHIFT;
    CHECK(set_context(dom, 0) == -XEN_EINVAL);
    context.ctrlreg[3] = 0xfffffffUL << PAGE_SHIFT;
    CHECK(set_context(dom, 0) == -XEN_EINVAL);
    CHECK(set_context(dom, 9) == -XEN_EINVAL);
    /* An empty table is a fine root. A GDT that is not the domain's is not. */
    context.ctrlreg[3] = frames[0] << PAGE_SHIFT;
    context.gdt_ents = 512;
    context.gdt_frames[0] = virt_to_mfn(&context).v;
    CHECK(set_context(dom, 0) == -XEN_EINVAL);
    context.gdt_frames[0] = frames[0];                  /* cannot be both */
    CHECK(set_context(dom, 0) == -XEN_EINVAL);
    context.gdt_ents = 1u << 20;
    CHECK(set_context(dom, 0) == -XEN_EINVAL);
    context.gdt_ents = 0;
    context.user_regs.rip = 1UL << 50;
    CHECK(set_context(dom, 0) == -XEN_EINVAL);
    context.user_regs.rip = 0x1000;
    after = info_of(dom);
    CHECK(memcmp(&before, &after, sizeof(before)) == 0);

    context.user_regs.rflags = 0x3000;
    CHECK(set_context(dom, 0) == 0);
    memset(&context, 0, sizeof(context));
    {
        struct xen_domctl op = { 0 };

        set_xen_guest_handle(op.u.vcpucontext.ctxt, (vcpu_guest_context_t *)&context);
        CHECK(ctl(XEN_DOMCTL_getvcpucontext, dom, &op) == 0);
    }
    CHECK(context.ctrlreg[3] == frames[0] << PAGE_SHIFT && context.ctrlreg[1] == 0);
    CHECK(context.user_regs.rip == 0x1000 && (context.user_regs.rflags & 0x3000) == 0x3000);
    CHECK((context.flags & (VGCF_in_kernel | VGCF_online)) == (VGCF_in_kernel | VGCF_online));
    CHECK(info_of(dom).nr_online_vcpus == 1);
}

static void test_one_domain(void)
{
    static xen_pfn_t frames[PAGES + 1];
    struct xen_domctl_getdomaininfo info;
    domid_t dom, other;

    CHECK(create(0, 0, 2, &dom) == 0 && dom != 0);
    CHECK(create(dom, 0, 2, &other) == -XEN_EEXIST);
    info = info_of(dom);
    CHECK(info.flags == XEN_DOMINF_paused && info.tot_pages == 0 && info.nr_online_vcpus == 0);
    CHECK(info.max_vcpu_id == XEN_INVALID_MAX_VCPU_ID);
    CHECK(simple(XEN_DOMCTL_unpausedomain, dom) == -XEN_EINVAL);    /* nothing to run */
    CHECK(max_vcpus(dom, 3) == -XEN_EINVAL);
    CHECK(max_vcpus(dom, 2) == 0 && max_vcpus(dom, 2) == 0);
    CHECK(info_of(dom).max_vcpu_id == 1);

    CHECK(populate(dom, 1, frames) == 0);                           /* no quota yet */
    CHECK(max_mem(dom, PAGES) == 0);
    CHECK(populate(dom, PAGES + 1, frames) == PAGES);
    CHECK(info_of(dom).tot_pages == PAGES);
    test_contexts(dom, frames);
    test_scheduler_op(dom);
    test_affinity(dom);

    CHECK(simple(XEN_DOMCTL_pausedomain, dom) == 0);
    CHECK(simple(XEN_DOMCTL_unpausedomain, dom) == 0);
    CHECK(info_of(dom).flags & XEN_DOMINF_paused);
    test_resume(dom);
    /* It faults at once: no memory is mapped. */
    CHECK(simple(XEN_DOMCTL_unpausedomain, dom) == 0);
    CHECK(simple(XEN_DOMCTL_unpausedomain, dom) == -XEN_EINVAL);
    for (uint64_t end = now_ns() + NS_PER_S; now_ns() < end;) {
        info = info_of(dom);
        if (info.flags & XEN_DOMINF_shutdown)
            break;
        (void)hc_sched_op(SCHEDOP_yield, NULL);
    }
    CHECK(info.flags & XEN_DOMINF_shutdown);
    CHECK((info.flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask) == SHUTDOWN_crash);
    CHECK(simple(XEN_DOMCTL_resumedomain, dom) == -XEN_EINVAL);
    destroy(dom);
    test_no_resume();
}

/* ---------------------------------------------------------------- many domains */

static void test_many(void)
{
    static xen_pfn_t frames[PAGES];
    static domid_t dom[MANY];
    uint64_t start = now_ns(), first = 0, last = 0, t;

    for (int i = 0; i < MANY; i++) {
        t = now_ns();
        CHECK(create(0, 0, 1 + i % 4, &dom[i]) == 0);
        CHECK(max_vcpus(dom[i], 1 + i % 4) == 0);
        CHECK(max_mem(dom[i], PAGES) == 0);
        CHECK(populate(dom[i], PAGES / 4, frames) == PAGES / 4);
        last = now_ns() - t;
        if (!i)
            first = last;
    }
    for (int i = 0; i < MANY; i++)
        CHECK(info_of(dom[i]).tot_pages == PAGES / 4);
    for (int i = 0; i < MANY; i++)
        destroy(dom[(i * 7) % MANY]);
    log_info("ctltest: %d domains in %lu us; the first %lu us, the last %lu us", MANY,
             (now_ns() - start) / 1000, first / 1000, last / 1000);
}

void pv_main(void)
{
    uint64_t before, after;

    test_sysctl();
    test_refusals();
    test_one_domain();      /* once, so that what is allocated on demand is there */
    test_many();
    /* The freeing itself is deferred: a hypercall later it is done. */
    (void)hc_sched_op(SCHEDOP_yield, NULL);
    before = free_pages();
    for (int i = 0; i < 3; i++) {
        test_one_domain();
        test_many();
        test_refusals();
    }
    (void)hc_sched_op(SCHEDOP_yield, NULL);
    after = free_pages();
    if (before != after)
        log_error("ctltest: FAILED: %lu frames free before, %lu after", before, after);
    else
        log_info("ctltest: ok");
}
