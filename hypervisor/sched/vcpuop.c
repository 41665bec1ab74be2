/* SPDX-License-Identifier: MIT */
/* vcpuop.c - vcpu_op: a guest's own vCPUs. PV-ABI 6.1 and 7; PV-NETBSD 4.2 and 7. */
#include "sched/sched.h"
#include "cpu/traps.h"
#include "dev/console.h"
#include "domain/domain.h"
#include "domain/domain_impl.h"
#include "event/evtchn.h"
#include "hypercall/hypercall.h"
#include "mm/heap.h"
#include "mm/uaccess.h"
#include "sched/clock.h"
#include "sched/softirq.h"
#include "atomic.h"

#define PERIOD_MIN_NS   NS_PER_MS
#define PERIOD_MAX_NS   (1UL << 50)

static bool is_down(const struct vcpu *v)
{
    return load_acquire(&v->pause_flags) & VPF_DOWN;
}

static long op_initialise(struct vcpu *v, guest_ptr_t arg)
{
    struct domain *d = v->domain;
    struct vcpu_guest_context *c = xmalloc(struct vcpu_guest_context);
    long rc = -XEN_EFAULT;

    if (!c)
        return -XEN_ENOMEM;
    if (!copy_from_guest(c, arg, sizeof(*c))) {
        spin_lock(&d->lock);
        rc = v->initialised ? -XEN_EEXIST : vcpu_set_context(v, c);
        spin_unlock(&d->lock);
    }
    xfree(c);
    if (rc == -XEN_ERESTART)
        rc = hypercall_continue(__HYPERVISOR_vcpu_op, 3, (uint64_t)VCPUOP_initialise,
                                (uint64_t)v->id, arg.v);
    return rc;
}

static long op_up(struct vcpu *v)
{
    struct domain *d = v->domain;
    long rc = 0;

    spin_lock(&d->lock);
    if (!v->initialised) {
        rc = -XEN_EINVAL;
    } else if (is_down(v)) {
        atomic_and(&v->pause_flags, ~VPF_DOWN);
        vcpu_wake(v);
    }
    spin_unlock(&d->lock);
    return rc;
}

static bool others_up(const struct vcpu *v)
{
    struct vcpu *o;

    for_each_vcpu(v->domain, o)
        if (o != v && !is_down(o))
            return true;
    return false;
}

static long op_down(struct vcpu *v)
{
    struct domain *d = v->domain;
    bool last = false;

    spin_lock(&d->lock);
    if (!is_down(v)) {
        last = !others_up(v);
        if (!last) {
            atomic_or(&v->pause_flags, VPF_DOWN);
            vcpu_sleep_nosync(v);
        }
    }
    spin_unlock(&d->lock);
    if (last) {
        /* An orderly power-off does not come this way: some early panics do, without a word. */
        printk(LOG_WARNING, "domain %u: its last vCPU goes down\n", d->id);
        guest_report(v);
        domain_shutdown(d, SHUTDOWN_poweroff);
    }
    return 0;
}

static long op_get_runstate(struct vcpu *v, guest_ptr_t arg)
{
    struct vcpu_runstate_info r = v->runstate;
    uint64_t now = now_ns();

    if (now > r.state_entry_time)
        r.time[r.state] += now - r.state_entry_time;
    return copy_to_guest(arg, &r, sizeof(r)) ? -XEN_EFAULT : 0;
}

static long op_register_runstate(struct vcpu *v, guest_ptr_t arg)
{
    struct vcpu_register_runstate_memory_area area;
    guest_ptr_t at;

    if (copy_from_guest(&area, arg, sizeof(area)))
        return -XEN_EFAULT;
    at = guest_ptr(area.addr.p);
    if (!guest_range_ok(at, sizeof(struct vcpu_runstate_info)))
        return -XEN_EFAULT;
    v->runstate_area = at;
    if (v == current)
        vcpu_update_areas(v);
    else
        v->areas_stale = true;
    return 0;
}

static long op_register_time(struct vcpu *v, guest_ptr_t arg)
{
    struct vcpu_register_time_memory_area area;
    guest_ptr_t at;

    if (copy_from_guest(&area, arg, sizeof(area)))
        return -XEN_EFAULT;
    at = guest_ptr(area.addr.p);
    if (at.v && !guest_range_ok(at, sizeof(struct vcpu_time_info)))
        return -XEN_EFAULT;
    v->time_area = at;
    v->time_area_version = 0;
    if (v == current)
        vcpu_update_areas(v);
    else
        v->areas_stale = true;
    return 0;
}

static long op_register_info(struct vcpu *v, guest_ptr_t arg)
{
    struct vcpu_register_vcpu_info req;
    long rc;

    if (copy_from_guest(&req, arg, sizeof(req)))
        return -XEN_EFAULT;
    rc = vcpu_register_info(v, mfn(req.mfn), req.offset);
    /* The new place must have the time at once; another vCPU gets it when it runs. */
    if (!rc && v == current)
        vcpu_update_time(v, true);
    else if (!rc)
        v->time_cpu = NR_CPUS;
    return rc;
}

static long op_set_periodic(struct vcpu *v, guest_ptr_t arg)
{
    struct vcpu_set_periodic_timer req;

    if (copy_from_guest(&req, arg, sizeof(req)))
        return -XEN_EFAULT;
    if (req.period_ns < PERIOD_MIN_NS || req.period_ns > PERIOD_MAX_NS)
        return -XEN_EINVAL;
    WRITE_ONCE(v->periodic_ns, req.period_ns);
    timer_set(&v->periodic, now_ns() + req.period_ns);
    return 0;
}

static long op_stop_periodic(struct vcpu *v)
{
    if (v->periodic_ns) {
        WRITE_ONCE(v->periodic_ns, 0);
        timer_stop(&v->periodic);
    }
    return 0;
}

static long op_set_singleshot(struct vcpu *v, guest_ptr_t arg)
{
    struct vcpu_set_singleshot_timer req;

    if (v != current)
        return -XEN_EINVAL;
    if (copy_from_guest(&req, arg, sizeof(req)))
        return -XEN_EFAULT;
    if (req.timeout_abs_ns > now_ns()) {
        vcpu_timer_set(v, &v->singleshot, req.timeout_abs_ns);
        return 0;
    }
    /* VCPU_SSHOTTMR_future asks for -ETIME here. Old Linux retries for ever then, so the reference
     * ignores it, and so do we. */
    timer_stop(&v->singleshot);
    evtchn_raise_virq(v, VIRQ_TIMER);
    return 0;
}

static long op_send_nmi(struct vcpu *v, guest_ptr_t arg)
{
    if (arg.v)
        return -XEN_EINVAL;
    WRITE_ONCE(v->nmi_pending, true);
    smp_mb();
    /* A blocked one wakes; a running one has to leave the guest, be it only to find this. */
    vcpu_kick(v);
    if (READ_ONCE(v->running))
        sched_poke(READ_ONCE(v->cpu));
    return 0;
}

long do_vcpu_op(uint64_t cmd, uint64_t vcpu_id, guest_ptr_t arg)
{
    struct domain *d = current->domain;
    struct vcpu *v = vcpu_id < d->max_vcpus ? d->vcpu[vcpu_id] : NULL;

    if (!v)
        return -XEN_ENOENT;
    switch (cmd) {
    case VCPUOP_initialise:
        return op_initialise(v, arg);
    case VCPUOP_up:
        return op_up(v);
    case VCPUOP_down:
        return op_down(v);
    case VCPUOP_is_up:
        return !is_down(v);
    case VCPUOP_get_runstate_info:
        return op_get_runstate(v, arg);
    case VCPUOP_register_runstate_memory_area:
        return op_register_runstate(v, arg);
    case VCPUOP_register_vcpu_time_memory_area:
        return op_register_time(v, arg);
    case VCPUOP_register_vcpu_info:
        return op_register_info(v, arg);
    case VCPUOP_set_periodic_timer:
        return op_set_periodic(v, arg);
    case VCPUOP_stop_periodic_timer:
        return op_stop_periodic(v);
    case VCPUOP_set_singleshot_timer:
        return op_set_singleshot(v, arg);
    case VCPUOP_stop_singleshot_timer:
        if (v != current)
            return -XEN_EINVAL;
        timer_stop(&v->singleshot);
        return 0;
    case VCPUOP_send_nmi:
        return op_send_nmi(v, arg);
    case VCPUOP_get_physid:
        return -XEN_EINVAL;     /* as for every domain whose vCPUs are not pinned by the admin */
    default:
        return -XEN_ENOSYS;
    }
}
