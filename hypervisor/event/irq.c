/* SPDX-License-Identifier: MIT */
/*
 * irq.c - device interrupts as event channels.
 *
 * One lock (LOCK_PIRQ) guards all mappings; interrupts come seldom compared with what they
 * cause. The interrupt handler takes no lock: it notes the vector in its CPU's bitmap, and the
 * softirq looks up, under the lock, whose it is.
 */
#include "event/irq.h"

#include "boot/smp.h"
#include "cpu/apic.h"
#include "cpu/ioapic.h"
#include "cpu/traps.h"
#include "dev/console.h"
#include "dev/msi.h"
#include "event/evtchn.h"
#include "mm/heap.h"
#include "sched/softirq.h"

#define NR_VECTORS      256u
#define VECTOR_INT80    0x80u           /* guests' own, never a device's */
#define VECTOR_INT82    0x82u

enum pirq_kind { PIRQ_GSI, PIRQ_MSI };

struct pirq {
    struct list link;                   /* domain.pirqs */
    struct domain *domain;
    uint32_t nr;
    enum pirq_kind kind;
    uint32_t gsi;
    struct msi msi;
    uint8_t vector;
    bool level;
    bool in_service;                    /* level: masked until the guest says EOI */
    evtchn_port_t port;                 /* 0: not bound, masked */
};

/* How GSIs signal, as dom0 said; index GSI. */
struct gsi_mode {
    bool known, level, low;
};

static spinlock_t lock = SPINLOCK_INIT(LOCK_PIRQ);
static struct pirq *by_vector[NR_VECTORS];
static struct gsi_mode gsi_mode[NR_PIRQS];

/* Vectors that fired on a CPU and were not handed on yet. */
static struct {
    uint64_t bits[NR_VECTORS / 64];
} __aligned(64) fired[NR_CPUS];

static void device_interrupt(struct cpu_user_regs *regs)
{
    uint8_t vector = (uint8_t)regs->entry_vector;
    struct pirq *p = by_vector[vector];

    /* Level: off before the acknowledgement, or it would come again at once. The entry cannot go
     * away: pirq_unmap() waits for interrupts that are under way (see vector_release()). */
    if (p && p->level) {
        store_relaxed(&p->in_service, true);
        ioapic_mask(p->gsi);
    }
    apic_eoi();
    set_bit(vector, fired[this_cpu()].bits);
    softirq_raise_local(SOFTIRQ_PIRQ);
}

static void deliver(uint8_t vector)
{
    struct domain *d = NULL;
    evtchn_port_t port = 0;

    spin_lock(&lock);
    if (by_vector[vector] && by_vector[vector]->port) {
        d = by_vector[vector]->domain;
        port = by_vector[vector]->port;
        domain_ref(d);
    }
    spin_unlock(&lock);
    if (d) {
        evtchn_raise_port(d, port);
        domain_put(d);
    }
}

static void pirq_softirq(void)
{
    uint32_t cpu = this_cpu();

    for (uint32_t w = 0; w < NR_VECTORS / 64; w++) {
        uint64_t bits = fired[cpu].bits[w] ? atomic_xchg(&fired[cpu].bits[w], 0UL) : 0;

        for (; bits; bits &= bits - 1)
            deliver((uint8_t)(w * 64 + (uint32_t)__builtin_ctzl(bits)));
    }
}

/* ---- all below: caller holds the lock, unless it says otherwise ---- */

static uint8_t vector_take(struct pirq *p)
{
    for (uint32_t v = VECTOR_DYN_FIRST; v <= VECTOR_DYN_LAST; v++) {
        if (v != VECTOR_INT80 && v != VECTOR_INT82 && !by_vector[v]) {
            by_vector[v] = p;
            return (uint8_t)v;
        }
    }
    return 0;
}

static struct pirq *find(const struct domain *d, uint32_t nr)
{
    struct pirq *p;

    list_for_each(p, &d->pirqs, link) {
        if (p->nr == nr)
            return p;
    }
    return NULL;
}

static void set_mask(struct pirq *p, bool masked)
{
    if (p->kind == PIRQ_MSI)
        msi_set_mask(&p->msi, masked);
    else if (masked)
        ioapic_mask(p->gsi);
    else
        ioapic_unmask(p->gsi);
}

static bool gsi_in_use(uint32_t gsi)
{
    for (uint32_t v = VECTOR_DYN_FIRST; v <= VECTOR_DYN_LAST; v++) {
        if (by_vector[v] && by_vector[v]->kind == PIRQ_GSI && by_vector[v]->gsi == gsi)
            return true;
    }
    return false;
}

static int free_number(const struct domain *d)
{
    for (uint32_t nr = MAX(ioapic_nr_gsis(), 16u); nr < NR_PIRQS; nr++) {
        if (!find(d, nr))
            return (int)nr;
    }
    return -XEN_ENOSPC;
}

/* Gives p its number and puts it in place. */
static int attach(struct domain *d, struct pirq *p, int *nr)
{
    int want = *nr < 0 ? free_number(d) : *nr;

    if (want < 0)
        return want;
    if ((uint32_t)want >= NR_PIRQS)
        return -XEN_EINVAL;
    if (find(d, (uint32_t)want))
        return -XEN_EEXIST;
    p->vector = vector_take(p);
    if (!p->vector)
        return -XEN_ENOSPC;
    p->domain = d;
    p->nr = (uint32_t)want;
    list_push_back(&d->pirqs, &p->link);
    *nr = want;
    return 0;
}

static int map_gsi_locked(struct domain *d, struct pirq *p, uint32_t gsi, int *nr)
{
    bool level, low;
    int rc;

    if (gsi >= NR_PIRQS || !ioapic_has_gsi(gsi))
        return -XEN_EINVAL;
    if (gsi_in_use(gsi)) {
        struct pirq *have = find(d, gsi);

        /* Once more by the same domain: the same answer. */
        if (have && have->kind == PIRQ_GSI && have->gsi == gsi && (*nr < 0 || *nr == (int)gsi)) {
            *nr = (int)gsi;
            return -XEN_EEXIST;
        }
        return -XEN_EBUSY;
    }
    if (*nr < 0)
        *nr = (int)gsi;
    if (!ioapic_override(gsi, &level, &low)) {
        level = gsi_mode[gsi].known ? gsi_mode[gsi].level : gsi >= 16;
        low = gsi_mode[gsi].known ? gsi_mode[gsi].low : gsi >= 16;
    }
    p->kind = PIRQ_GSI;
    p->gsi = gsi;
    p->level = level;
    rc = attach(d, p, nr);
    if (!rc)
        ioapic_route(gsi, p->vector, cpu_apicid(this_cpu()), level, low);
    return rc;
}

/* Takes p apart. Its memory may be freed after vector_release(), without the lock. */
static void detach(struct pirq *p)
{
    set_mask(p, true);
    if (p->kind == PIRQ_MSI)
        msi_close(&p->msi);
    list_remove(&p->link);
    by_vector[p->vector] = NULL;
}

static void nothing(void *arg)
{
}

/* No handler on any CPU still looks at a pirq that was detached. No lock held. */
static void vector_release(void)
{
    smp_call_function(CPUMASK_ALL, nothing, NULL, true);
}

int pirq_map_gsi(struct domain *d, uint32_t gsi, int *nr)
{
    struct pirq *p = xzalloc(struct pirq);
    int rc;

    if (!p)
        return -XEN_ENOMEM;
    spin_lock(&lock);
    rc = map_gsi_locked(d, p, gsi, nr);
    spin_unlock(&lock);
    if (rc)
        xfree(p);
    return rc == -XEN_EEXIST && *nr == (int)gsi ? 0 : rc;
}

int pirq_map_msi(struct domain *d, uint8_t bus, uint8_t devfn, bool msix, uint16_t entry,
                 uint64_t table_base, int *nr)
{
    struct pirq *p = xzalloc(struct pirq), *other;
    int rc = 0;

    if (!p)
        return -XEN_ENOMEM;
    spin_lock(&lock);
    for (uint32_t v = VECTOR_DYN_FIRST; v <= VECTOR_DYN_LAST && !rc; v++) {
        other = by_vector[v];
        if (other && other->kind == PIRQ_MSI && other->msi.bus == bus &&
            other->msi.devfn == devfn && other->msi.is_msix == msix && other->msi.entry == entry)
            rc = -XEN_EEXIST;
    }
    if (!rc)
        rc = msi_open(&p->msi, bus, devfn, msix, entry, table_base);
    if (!rc) {
        p->kind = PIRQ_MSI;
        rc = attach(d, p, nr);
        if (rc)
            msi_close(&p->msi);
        else
            msi_program(&p->msi, p->vector, cpu_apicid(this_cpu()));
    }
    spin_unlock(&lock);
    if (rc)
        xfree(p);
    return rc;
}

int pirq_unmap(struct domain *d, uint32_t nr)
{
    struct pirq *p;

    spin_lock(&lock);
    p = find(d, nr);
    if (!p || p->port) {
        spin_unlock(&lock);
        return p ? -XEN_EBUSY : -XEN_EINVAL;
    }
    detach(p);
    spin_unlock(&lock);
    vector_release();
    xfree(p);
    return 0;
}

void pirq_destroy_all(struct domain *d)
{
    struct pirq *p, *next;
    struct list dead;

    if (list_empty(&d->pirqs))
        return;
    list_init(&dead);
    spin_lock(&lock);
    list_for_each_safe(p, next, &d->pirqs, link) {
        detach(p);
        list_push_back(&dead, &p->link);
    }
    spin_unlock(&lock);
    vector_release();
    list_for_each_safe(p, next, &dead, link)
        xfree(p);
}

int pirq_setup_gsi(uint32_t gsi, bool level, bool low)
{
    int rc = 0;

    if (gsi >= NR_PIRQS || !ioapic_has_gsi(gsi))
        return -XEN_EINVAL;
    spin_lock(&lock);
    if (gsi_in_use(gsi))
        rc = -XEN_EEXIST;
    else
        gsi_mode[gsi] = (struct gsi_mode){ true, level, low };
    spin_unlock(&lock);
    return rc;
}

int pirq_find_free(struct domain *d)
{
    int nr;

    spin_lock(&lock);
    nr = free_number(d);
    spin_unlock(&lock);
    return nr;
}

bool pirq_needs_eoi(struct domain *d, uint32_t nr)
{
    struct pirq *p;
    bool needs;

    spin_lock(&lock);
    p = find(d, nr);
    needs = p && p->level;
    spin_unlock(&lock);
    return needs;
}

int pirq_bind(struct domain *d, uint32_t nr, evtchn_port_t port, bool will_share)
{
    struct pirq *p, *fresh = NULL;
    int rc = 0, want = (int)nr;

    /* A legacy interrupt may be bound without being mapped first. */
    if (nr < 16 && d->io_all)
        fresh = xzalloc(struct pirq);
    spin_lock(&lock);
    p = find(d, nr);
    if (!p && fresh && !map_gsi_locked(d, fresh, nr, &want)) {
        p = fresh;
        fresh = NULL;
    }
    if (!p) {
        rc = -XEN_EINVAL;
    } else if (p->port) {
        rc = -XEN_EEXIST;
    } else {
        p->port = port;
        p->in_service = false;
        set_mask(p, false);
    }
    spin_unlock(&lock);
    xfree(fresh);
    return rc;
}

void pirq_unbind(struct domain *d, uint32_t nr)
{
    struct pirq *p;

    spin_lock(&lock);
    p = find(d, nr);
    if (p && p->port) {
        set_mask(p, true);
        p->port = 0;
    }
    spin_unlock(&lock);
}

int pirq_eoi(struct domain *d, uint32_t nr)
{
    struct pirq *p;

    spin_lock(&lock);
    p = find(d, nr);
    if (p && p->port && p->in_service) {
        store_relaxed(&p->in_service, false);
        ioapic_unmask(p->gsi);
    }
    spin_unlock(&lock);
    return p ? 0 : -XEN_EINVAL;
}

void irq_init(void)
{
    ioapic_init();
    for (uint32_t v = VECTOR_DYN_FIRST; v <= VECTOR_DYN_LAST; v++) {
        if (v != VECTOR_INT80 && v != VECTOR_INT82)
            irq_set_handler((uint8_t)v, device_interrupt);
    }
    softirq_register(SOFTIRQ_PIRQ, pirq_softirq);
}
