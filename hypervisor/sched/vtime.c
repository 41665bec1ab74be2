/* SPDX-License-Identifier: MIT */
/*
 * vtime.c - time as guests see it: time pages, wall clock, runstate areas, virtual timers.
 *
 * A vCPU's time page says how to get from the TSC of the CPU it runs on to system time; it is
 * renewed when the vCPU comes to another CPU and twice a second while it runs (some guests wait
 * for its version to change). Readers may look at any moment, so the version is odd while we
 * write. Our own copy is authoritative; what the guest writes over its page is its loss.
 *
 * Runstate and secondary time areas are given by virtual address, valid in the guest's kernel
 * address space only: they are written when the vCPU is in kernel mode, else on its way there.
 */
#include "sched/sched.h"
#include "cpu/percpu.h"
#include "dev/panic.h"
#include "domain/domain.h"
#include "event/evtchn.h"
#include "mm/uaccess.h"
#include "sched/clock.h"
#include "atomic.h"

#define RUNSTATE_UPDATE_BIT     (1UL << 63)

/* ------------------------------------------------------------------ time page */

static void publish_time(struct vcpu *v)
{
    struct vcpu_time_info *t = &v->info->time;

    WRITE_ONCE(t->version, v->time.version - 1);        /* odd */
    smp_wmb();
    t->tsc_timestamp = v->time.tsc_timestamp;
    t->system_time = v->time.system_time;
    t->tsc_to_system_mul = v->time.tsc_to_system_mul;
    t->tsc_shift = v->time.tsc_shift;
    t->flags = v->time.flags;
    smp_wmb();
    WRITE_ONCE(t->version, v->time.version);
}

void vcpu_update_time(struct vcpu *v, bool force)
{
    struct clock_point p;
    uint64_t tsc;

    if (!force && v->time_cpu == this_cpu() && v->time.version)
        return;
    p = clock_point_here();
    tsc = __builtin_ia32_rdtsc();
    v->time.version += 2;
    v->time.tsc_timestamp = tsc + v->tsc_offset;
    v->time.system_time = p.ns + clock_scale_ticks(p.scale, tsc - p.tsc);
    v->time.tsc_to_system_mul = p.scale.mul;
    v->time.tsc_shift = p.scale.shift;
    v->time.flags = clock_tsc_stable() ? XEN_PVCLOCK_TSC_STABLE_BIT : 0;
    v->time_cpu = this_cpu();
    publish_time(v);
    if (v->time_area.v)
        v->areas_stale = true;
}

static void write_time_area(struct vcpu *v)
{
    struct vcpu_time_info t = v->time;
    uint32_t odd = t.version - 1;

    if (v->time_area_version == t.version)
        return;
    v->time_area_version = t.version;
    /* A fault means that the guest unmapped it: it gets no time there until it maps it again. */
    if (copy_to_guest(v->time_area, &odd, sizeof(odd)))
        return;
    smp_wmb();
    if (copy_to_guest(guest_ptr_add(v->time_area, sizeof(odd)), (const char *)&t + sizeof(odd),
                      sizeof(t) - sizeof(odd)))
        return;
    smp_wmb();
    if (copy_to_guest(v->time_area, &t.version, sizeof(t.version)))
        return;
}

/* ------------------------------------------------------------------- runstate */

/* Word by word, as it is done at each switch. A fault means, as above, that the guest unmapped it. */
static void write_runstate_area(struct vcpu *v)
{
    const struct vcpu_runstate_info *r = &v->runstate;
    guest_ptr_t at = v->runstate_area;
    guest_ptr_t entry = guest_ptr_add(at, offsetof(struct vcpu_runstate_info, state_entry_time));
    guest_ptr_t time = guest_ptr_add(at, offsetof(struct vcpu_runstate_info, time));

    if (unlikely(!guest_short_range_ok(at, sizeof(*r))))
        return;
    /* Readers retry while the top bit is set, or when the value changed meanwhile. */
    if ((v->domain->vm_assist & (1UL << VMASST_TYPE_runstate_update_flag)) &&
        unlikely(!store_guest_word(entry, r->state_entry_time | RUNSTATE_UPDATE_BIT)))
        return;
    smp_wmb();
    if (unlikely(!store_guest_word(at, (uint32_t)r->state)))
        return;
    for (unsigned int i = 0; i < ARRAY_SIZE(r->time); i++) {
        if (unlikely(!store_guest_word(guest_ptr_add(time, i * 8), r->time[i])))
            return;
    }
    smp_wmb();
    if (unlikely(!store_guest_word(entry, r->state_entry_time)))
        return;
}

void vcpu_update_areas(struct vcpu *v)
{
    v->areas_stale = false;
    if (v->runstate_area.v)
        write_runstate_area(v);
    if (v->time_area.v)
        write_time_area(v);
}

/* ----------------------------------------------------------------- wall clock */

void domain_update_wallclock(struct domain *d)
{
    struct shared_info *s = d->shared;
    uint64_t ns = wallclock_at_boot_ns(), sec = ns / NS_PER_SEC + d->time_offset_seconds;
    uint32_t version = (d->wc_version += 2);

    WRITE_ONCE(s->wc_version, version - 1);
    smp_wmb();
    s->wc_sec = (uint32_t)sec;
    s->wc_sec_hi = (uint32_t)(sec >> 32);
    s->wc_nsec = (uint32_t)(ns % NS_PER_SEC);
    smp_wmb();
    WRITE_ONCE(s->wc_version, version);
}

void domains_update_wallclock(void)
{
    struct domain *d;

    for (uint32_t id = 0; (d = domain_get_from(id)) != NULL;) {
        id = d->id + 1u;
        domain_update_wallclock(d);
        domain_put(d);
    }
}

/* ------------------------------------------------------------- virtual timers */

static void singleshot_fired(void *arg)
{
    evtchn_raise_virq(arg, VIRQ_TIMER);
}

static void periodic_fired(void *arg)
{
    struct vcpu *v = arg;
    uint64_t period = READ_ONCE(v->periodic_ns), now = now_ns(), next;

    if (!period)
        return;
    evtchn_raise_virq(v, VIRQ_TIMER);
    /* Ticks that were missed are not made up for. */
    next = v->periodic.node.expires + period;
    timer_set(&v->periodic, next > now ? next : now + period);
}

static void poll_timed_out(void *arg)
{
    struct vcpu *v = arg;

    if (load_relaxed(&v->pause_flags) & VPF_POLL)
        vcpu_unblock(v);
}

void vcpu_timers_init(struct vcpu *v)
{
    timer_init(&v->singleshot, singleshot_fired, v, v->cpu);
    timer_init(&v->periodic, periodic_fired, v, v->cpu);
    timer_init(&v->poll_timer, poll_timed_out, v, v->cpu);
}

void vcpu_timers_destroy(struct vcpu *v)
{
    WRITE_ONCE(v->periodic_ns, 0);
    timer_kill(&v->singleshot);
    timer_kill(&v->periodic);
    timer_kill(&v->poll_timer);
}

void vcpu_timer_set(struct vcpu *v, struct timer *t, uint64_t ns)
{
    /* Fires where the vCPU is, so that waking it needs no interrupt between CPUs. */
    if (unlikely(t->cpu != v->cpu))
        timer_migrate(t, v->cpu);
    timer_set(t, ns);
}
