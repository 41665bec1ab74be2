/* SPDX-License-Identifier: MIT */
/* dominfo.c - what dom0 is told about a domain: getdomaininfo and getdomaininfolist. */
#include "domain/domain.h"
#include "domain/domain_impl.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "sched/sched.h"
#include "atomic.h"

static uint32_t state_flags(struct domain *d, const struct xen_domctl_getdomaininfo *info,
                            uint32_t running, uint32_t blocked)
{
    uint32_t flags = 0;

    if (domain_dying(d))
        flags |= XEN_DOMINF_dying;
    if (d->pause_count)
        flags |= XEN_DOMINF_paused;
    if (READ_ONCE(d->shut_down))
        flags |= XEN_DOMINF_shutdown |
                 (d->shutdown_code & XEN_DOMINF_shutdownmask) << XEN_DOMINF_shutdownshift;
    if (running)
        flags |= XEN_DOMINF_running;
    if (info->nr_online_vcpus && blocked == info->nr_online_vcpus)
        flags |= XEN_DOMINF_blocked;
    return flags;
}

void domain_info(struct domain *d, struct xen_domctl_getdomaininfo *info)
{
    uint32_t running = 0, blocked = 0;
    struct vcpu *v;

    /* Who reads "shut down" may read the vCPUs' state next. */
    domain_shutdown_wait(d);

    memset(info, 0, sizeof(*info));
    info->domain = d->id;
    info->max_vcpu_id = XEN_INVALID_MAX_VCPU_ID;
    for_each_vcpu(d, v) {
        uint32_t flags = load_acquire(&v->pause_flags);

        info->cpu_time += vcpu_cpu_ns(v);
        info->max_vcpu_id = v->id;
        if (flags & VPF_DOWN)
            continue;
        info->nr_online_vcpus++;
        if (flags & (VPF_BLOCKED | VPF_POLL))
            blocked++;
        if (READ_ONCE(v->running))
            running++;
    }
    info->flags = state_flags(d, info, running, blocked);
    info->tot_pages = d->tot_pages;
    info->max_pages = d->max_pages;
    info->shared_info_frame = page_to_mfn(d->shared_page).v;
    memcpy(info->handle, d->handle, sizeof(info->handle));
    info->gpaddr_bits = 0;
}
