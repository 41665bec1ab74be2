/* SPDX-License-Identifier: MIT */
/*
 * domain.c - domains as objects: made, found by number, referenced, stopped.
 *
 * Looking a domain up is on the path of every grant copy and event bind, so it takes no lock:
 * a two-level table leads from the number to the struct, and structs are never given back to
 * the heap, only reused. A reference is taken only while the count is not zero, and the table
 * is looked at again afterwards; so a struct that meanwhile became another domain is noticed.
 *
 * Teardown is in destroy.c, vCPUs in vcpu.c.
 */
#include "domain/domain.h"
#include "domain/domain_impl.h"
#include "cpu/traps.h"
#include "dev/console.h"
#include "dev/panic.h"
#include "event/evtchn.h"
#include "grant/grant.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "mm/buddy.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "mm/mm.h"
#include "mm/tlb.h"
#include "sched/sched.h"
#include "atomic.h"

#define IDS_PER_LEAF    512u
#define NR_LEAVES       (DOMID_FIRST_RESERVED / IDS_PER_LEAF + 1)

struct domain *dom0;
struct domain *idle_domain;
struct vcpu *idle_vcpu[NR_CPUS];
spinlock_t domctl_lock = SPINLOCK_INIT(LOCK_DOMCTL);

/* Leaves are allocated on demand under domlist_lock and stay. */
static struct domain **table[NR_LEAVES];
static spinlock_t domlist_lock = SPINLOCK_INIT(LOCK_DOMLIST);
static struct list spare = LIST_INIT(spare);        /* structs to reuse; under domlist_lock */
static uint32_t nr_listed;

static struct domain idle_domain_struct = {
    .id = DOMID_IDLE,
    .is_idle = true,
    .refs = 1,
    .state = DOMAIN_ALIVE,
};

void domain_init(void)
{
    idle_domain = &idle_domain_struct;
    list_init(&idle_domain->link);
    sched_domain_init(idle_domain);
}

/* ------------------------------------------------------------------ look-up */

static struct domain *lookup(uint32_t id)
{
    struct domain **leaf;

    if (id >= DOMID_FIRST_RESERVED)
        return NULL;
    leaf = load_acquire(&table[id / IDS_PER_LEAF]);
    return leaf ? load_acquire(&leaf[id % IDS_PER_LEAF]) : NULL;
}

static bool ref_unless_zero(struct domain *d)
{
    uint32_t n = load_relaxed(&d->refs);

    while (n)
        if (atomic_cmpxchg(&d->refs, &n, n + 1))
            return true;
    return false;
}

struct domain *domain_get(domid_t id)
{
    struct domain *d = lookup(id);

    if (!d || !ref_unless_zero(d))
        return NULL;
    if (unlikely(lookup(id) != d || READ_ONCE(d->state) == DOMAIN_DEAD)) {
        domain_put(d);
        return NULL;
    }
    return d;
}

void domain_refs(struct domain *d, uint32_t n)
{
    uint32_t now = atomic_add_return(&d->refs, n);

    BUG_ON(now <= n);       /* only who has a reference may take another */
}

void domain_puts(struct domain *d, uint32_t n)
{
    uint32_t left = atomic_sub_return(&d->refs, n);

    BUG_ON(left + n < n);
    if (unlikely(left == 0))
        domain_free_later(d);
}

void domain_ref(struct domain *d)
{
    domain_refs(d, 1);
}

void domain_put(struct domain *d)
{
    domain_puts(d, 1);
}

struct domain *domain_of_arg(domid_t id)
{
    if (id == DOMID_SELF) {
        domain_ref(current->domain);
        return current->domain;
    }
    return domain_get(id);
}

struct domain *domain_of_owner(uint16_t owner)
{
    return lookup(owner);
}

struct domain *domain_get_from(uint32_t id)
{
    while (id < DOMID_FIRST_RESERVED) {
        struct domain *d;

        if (!load_acquire(&table[id / IDS_PER_LEAF])) {
            id = ROUND_DOWN(id, IDS_PER_LEAF) + IDS_PER_LEAF;
            continue;
        }
        if (lookup(id) && (d = domain_get((domid_t)id)) != NULL)
            return d;
        id++;
    }
    return NULL;
}

bool domain_id_taken(uint32_t id)
{
    return lookup(id) != NULL;
}

uint32_t domain_count(void)
{
    return READ_ONCE(nr_listed);
}

/* ----------------------------------------------------------------- creation */

/* A page of structs, for good: beside other objects of the heap each would hold a page of its own
 * for as long as the machine runs. */
static void structs_add_page(void)
{
    struct domain *fresh = page_alloc_zeroed();

    if (!fresh)
        return;
    spin_lock(&domlist_lock);
    for (size_t i = 0; i < PAGE_SIZE / sizeof(*fresh); i++)
        list_push_back(&spare, &fresh[i].link);
    spin_unlock(&domlist_lock);
}

static struct domain *spare_pop(void)
{
    struct domain *d;

    spin_lock(&domlist_lock);
    d = list_first(&spare, struct domain, link);
    if (d)
        list_remove(&d->link);
    spin_unlock(&domlist_lock);
    return d;
}

static struct domain *struct_get(void)
{
    struct domain *d = spare_pop();

    if (!d) {
        structs_add_page();
        d = spare_pop();
    }
    /* A stale look-up may still read refs: it stays 0, and no other field is read by one. */
    if (d)
        memset(d, 0, sizeof(*d));
    return d;
}

static void struct_put(struct domain *d)
{
    spin_lock(&domlist_lock);
    list_push_front(&spare, &d->link);
    spin_unlock(&domlist_lock);
}

/* Room for id in the table. */
static int table_reserve(uint32_t id)
{
    struct domain **leaf, ***at = &table[id / IDS_PER_LEAF];

    if (load_acquire(at))
        return 0;
    leaf = xzalloc_array(struct domain *, IDS_PER_LEAF);
    if (!leaf)
        return -XEN_ENOMEM;
    spin_lock(&domlist_lock);
    if (!*at) {
        store_release(at, leaf);
        leaf = NULL;
    }
    spin_unlock(&domlist_lock);
    xfree(leaf);
    return 0;
}

/* Makes d known under its id. */
static int publish(struct domain *d)
{
    struct domain **slot = &table[d->id / IDS_PER_LEAF][d->id % IDS_PER_LEAF];
    int rc = 0;

    spin_lock(&domlist_lock);
    if (*slot) {
        rc = -XEN_EEXIST;
    } else {
        nr_listed++;
        store_release(&d->refs, 2);     /* the table's, and the caller's */
        store_release(slot, d);
    }
    spin_unlock(&domlist_lock);
    return rc;
}

/* d has no references: takes it off the table and keeps its struct. */
void domain_unlist(struct domain *d)
{
    spin_lock(&domlist_lock);
    store_release(&table[d->id / IDS_PER_LEAF][d->id % IDS_PER_LEAF], NULL);
    nr_listed--;
    list_push_front(&spare, &d->link);
    spin_unlock(&domlist_lock);
}

static void init_shared_info(struct domain *d)
{
    d->shared = mfn_to_virt(page_to_mfn(d->shared_page));
    for (uint32_t i = 0; i < XEN_LEGACY_MAX_VCPUS; i++)
        d->shared->vcpu_info[i].evtchn_upcall_mask = 1;
    domain_update_wallclock(d);
}

/* What domain_create() made for d, backwards; parts that were not made are NULL. */
void domain_free_parts(struct domain *d)
{
    xfree(d->e820);
    d->e820 = NULL;
    sched_domain_destroy(d);
    for (uint32_t i = 0; i < MAX_VCPUS; i++)
        if (d->vcpu[i])
            vcpu_free(d->vcpu[i]);
    if (d->evtchn_bucket)
        evtchn_free(d);
    if (d->grant)
        grant_destroy(d);
    if (d->perdomain_l3)
        perdomain_destroy(d);
    if (d->shared_page)
        shared_page_free(d->shared_page);
    d->shared_page = NULL;
    d->shared = NULL;
}

int domain_create(const struct domain_config *cfg, struct domain **dp)
{
    struct domain *d;
    int rc;

    if (cfg->id >= DOMID_FIRST_RESERVED || cfg->max_vcpus < 1 || cfg->max_vcpus > MAX_VCPUS)
        return -XEN_EINVAL;
    rc = table_reserve(cfg->id);
    if (rc)
        return rc;
    d = struct_get();
    if (!d)
        return -XEN_ENOMEM;

    d->id = cfg->id;
    d->privileged = cfg->privileged;
    d->max_vcpus = cfg->max_vcpus;
    d->pause_count = 1;
    d->state = DOMAIN_BUILDING;
    d->page_list = FRAME_NIL;
    memcpy(d->handle, cfg->handle, sizeof(d->handle));
    list_init(&d->link);
    list_init(&d->pirqs);
    d->shutdown_code = SHUTDOWN_CODE_NONE;
    spin_lock_init(&d->lock, LOCK_DOMAIN);
    spin_lock_init(&d->shutdown_lock, LOCK_SHUTDOWN);
    spin_lock_init(&d->page_lock, LOCK_PAGES);
    spin_lock_init(&d->mmu_lock, LOCK_MMU);
    spin_lock_init(&d->event_lock, LOCK_EVENT);
    sched_domain_init(d);
    watchdog_init(d);

    rc = -XEN_ENOMEM;
    d->shared_page = shared_page_alloc(d);
    if (!d->shared_page)
        goto free;
    init_shared_info(d);
    rc = perdomain_init(d);
    if (rc)
        goto free;
    rc = evtchn_init(d);
    if (rc)
        goto free;
    d->max_evtchn_port = MIN(cfg->max_evtchn_port, EVTCHN_MAX_PORTS);
    rc = grant_init(d, cfg->max_grant_frames, cfg->max_maptrack_frames);
    if (rc)
        goto close;
    rc = publish(d);
    if (rc)
        goto close;
    *dp = d;
    return 0;
close:
    while (evtchn_destroy(d))
        cpu_relax();
free:
    domain_free_parts(d);
    struct_put(d);
    return rc;
}

/* -------------------------------------------------------------------- pause */

void domain_pause_by_toolstack(struct domain *d)
{
    if (d->pause_count++ == 0)
        domain_pause(d);
}

int domain_unpause_by_toolstack(struct domain *d)
{
    if (d->pause_count == 0)
        return -XEN_EINVAL;
    if (d->state == DOMAIN_BUILDING)
        d->state = DOMAIN_ALIVE;
    if (--d->pause_count == 0)
        domain_unpause(d);
    return 0;
}

void domain_first_start(struct domain *d)
{
    atomic_and(&d->vcpu[0]->pause_flags, ~VPF_DOWN);
    BUG_ON(domain_unpause_by_toolstack(d));
}

/* ----------------------------------------------------------------- shutdown */

/* dom0 is the machine's control: without it the machine ends, too. */
static void __noreturn machine_follows_dom0(uint32_t reason)
{
    if (reason == SHUTDOWN_poweroff) {
        printk(LOG_INFO, "dom0 powered off\n");
        machine_poweroff();
    }
    if (reason == SHUTDOWN_reboot) {
        printk(LOG_INFO, "dom0 reboots\n");
        machine_restart();
    }
    panic("dom0 is gone: shutdown reason %u", reason);
}

void domain_shutdown(struct domain *d, uint32_t reason)
{
    struct vcpu *v;
    bool first;

    BUG_ON(d->is_idle);
    if (d == dom0)
        machine_follows_dom0(reason);

    spin_lock(&d->shutdown_lock);
    first = !d->shutting_down;
    if (first) {
        if (d->shutdown_code == SHUTDOWN_CODE_NONE)
            d->shutdown_code = reason;
        /* What it is said to have stopped for may be chosen beforehand (SCHEDOP_shutdown_code). */
        d->may_resume = reason == SHUTDOWN_suspend && d->shutdown_code == SHUTDOWN_suspend;
        WRITE_ONCE(d->shutting_down, true);
        for_each_vcpu(d, v) {
            atomic_or(&v->pause_flags, VPF_SHUTDOWN);
            vcpu_sleep_nosync(v);
        }
        WRITE_ONCE(d->shut_down, true);
    }
    spin_unlock(&d->shutdown_lock);
    if (first)
        evtchn_raise_global_virq(VIRQ_DOM_EXC);
}

void domain_shutdown_wait(struct domain *d)
{
    struct vcpu *v;

    if (!READ_ONCE(d->shut_down))
        return;
    for_each_vcpu(d, v) {
        while (load_acquire(&v->running) && v != current) {
            tlb_poll();
            cpu_relax();
        }
    }
}

int domain_resume(struct domain *d)
{
    struct vcpu *v;
    int rc = -XEN_EINVAL;

    domain_shutdown_wait(d);
    spin_lock(&d->shutdown_lock);
    if (d->shut_down && d->may_resume) {
        rc = 0;
        WRITE_ONCE(d->shut_down, false);
        WRITE_ONCE(d->shutting_down, false);
        d->shutdown_code = SHUTDOWN_CODE_NONE;
        for_each_vcpu(d, v) {
            atomic_and(&v->pause_flags, ~VPF_SHUTDOWN);
            vcpu_wake(v);
        }
    }
    spin_unlock(&d->shutdown_lock);
    return rc;
}

void domain_crash(struct domain *d, const char *fmt, ...)
{
    char why[160];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);

    if (READ_ONCE(d->shutting_down))
        return;                 /* reported already: another vCPU was faster */
    printk(LOG_ERROR, "domain %u crashed: %s\n", d->id, why);
    if (current->domain == d)
        guest_report(current);
    domain_shutdown(d, SHUTDOWN_crash);
}
