/* SPDX-License-Identifier: MIT */
/*
 * map.c - mapping somebody else's granted frame, and unmapping it.
 *
 * A host mapping is a leaf entry in the mapper's page tables, written by mm/; from then on the
 * page references of the pin belong to that entry, as they would for any other mapping: if the
 * mapper overwrites it or dies, the page tables' code drops them. A device mapping has page
 * references of its own. The pin of the grant is held per handle.
 *
 * Unmapping goes in two steps with one TLB flush between them for a whole batch: only after
 * the flush may the granter see its frame as unused.
 */
#include "grant/internal.h"
#include "cpu/counters.h"
#include "hypercall/hypercall.h"
#include "mm/heap.h"
#include "mm/mm.h"
#include "mm/tlb.h"
#include "mm/uaccess.h"
#include "sched/sched.h"
#include "dev/panic.h"

#define UNMAP_BATCH (2 * GRANT_RUN)

#define KINDS       (GNTMAP_host_map | GNTMAP_device_map)

/* ------------------------------------------------------------ handles */

static int maptrack_grow(struct grant_table *gt)
{
    struct maptrack *c;

    if (gt->nr_chunks == gt->max_chunks)
        return -XEN_ENOSPC;
    if (!gt->chunk) {
        gt->chunk = xzalloc_array(struct maptrack *, gt->max_chunks);
        if (!gt->chunk)
            return -XEN_ENOMEM;
    }
    c = xzalloc_array(struct maptrack, MAPTRACK_PER_CHUNK);
    if (!c)
        return -XEN_ENOMEM;
    for (uint32_t i = 0; i < MAPTRACK_PER_CHUNK; i++) {
        bool last = i == MAPTRACK_PER_CHUNK - 1;
        c[i].ref = last ? gt->free_handle : gt->nr_chunks * MAPTRACK_PER_CHUNK + i + 1;
    }
    gt->free_handle = gt->nr_chunks * MAPTRACK_PER_CHUNK;
    gt->chunk[gt->nr_chunks++] = c;
    return 0;
}

uint32_t maptrack_get_locked(struct grant_table *gt)
{
    uint32_t h = HANDLE_NONE;

    if (likely(gt->free_handle != HANDLE_NONE) || maptrack_grow(gt) == 0) {
        h = gt->free_handle;
        gt->free_handle = maptrack_entry(gt, h)->ref;
    }
    return h;
}

static uint32_t handle_alloc(struct grant_table *gt)
{
    uint32_t h;

    spin_lock(&gt->maptrack_lock);
    h = maptrack_get_locked(gt);
    spin_unlock(&gt->maptrack_lock);
    return h;
}

static void handle_free(struct grant_table *gt, uint32_t h)
{
    spin_lock(&gt->maptrack_lock);
    maptrack_put_locked(gt, h);
    spin_unlock(&gt->maptrack_lock);
}

/* ------------------------------------------------------------ map */

static int host_map(struct domain *d, const struct gnttab_map_grant_ref *op, struct page *pg,
                    bool write)
{
    uint64_t avail = ((uint64_t)op->flags >> _GNTMAP_guest_avail0) << 9;

    /* Only three of the bits are ignored by hardware below bit 12. */
    avail &= 7UL << 9;
    if (op->flags & GNTMAP_contains_pte)
        return grant_pte_install_at(d, op->host_addr, page_to_mfn(pg), write, avail);
    return grant_pte_install(d, op->host_addr, page_to_mfn(pg), write, avail);
}

/* Takes a second set of page references, for a device mapping beside a host mapping. */
static bool page_get_again(struct page *pg, struct domain *owner, bool write)
{
    return write ? page_get_and_type(pg, owner, PGT_WRITABLE) : page_get(pg, owner);
}

static int map_pinned(struct domain *d, struct domain *granter, struct gnttab_map_grant_ref *op,
                      struct page *pg, bool write, uint32_t handle)
{
    struct grant_table *gt = d->grant;
    bool both = (op->flags & KINDS) == KINDS;

    if (both && !page_get_again(pg, granter, write))
        return GNTST_general_error;
    if ((op->flags & GNTMAP_host_map) && host_map(d, op, pg, write)) {
        if (both)
            grant_page_put(pg, write);
        return GNTST_general_error;
    }
    domain_ref(granter);
    spin_lock(&gt->maptrack_lock);
    *maptrack_entry(gt, handle) = (struct maptrack){
        .granter = granter,
        .ref = op->ref,
        .flags = (uint16_t)(op->flags & (KINDS | GNTMAP_readonly | GNTMAP_contains_pte)),
    };
    gt->nr_mapped++;
    spin_unlock(&gt->maptrack_lock);
    op->dev_bus_addr = mfn_to_paddr(page_to_mfn(pg));
    op->handle = handle;
    count(CNT_GRANT_MAP);
    return GNTST_okay;
}

static void grant_map_one(struct gnttab_map_grant_ref *op)
{
    struct domain *d = current->domain, *granter;
    bool write = !(op->flags & GNTMAP_readonly);
    struct page *pg = NULL;
    uint32_t handle;

    if (!(op->flags & KINDS)) {
        op->status = GNTST_bad_gntref;
        return;
    }
    granter = domain_get(op->dom);
    if (!granter) {
        op->status = GNTST_bad_domain;
        return;
    }
    handle = handle_alloc(d->grant);
    if (handle == HANDLE_NONE) {
        op->status = GNTST_no_space;
        goto out_domain;
    }
    op->status = (int16_t)grant_pin(granter, op->ref, d->id, write, &pg);
    if (op->status)
        goto out_handle;
    op->status = (int16_t)map_pinned(d, granter, op, pg, write, handle);
    if (op->status) {
        grant_page_put(pg, write);
        grant_unpin(granter, op->ref, write);
        goto out_handle;
    }
    domain_put(granter);
    return;
out_handle:
    handle_free(d->grant, handle);
out_domain:
    domain_put(granter);
}

/* How many in a row are device mappings of one domain's grants. */
static uint32_t device_run(const struct gnttab_map_grant_ref *op, uint32_t n)
{
    uint32_t i = 0;

    while (i < n && grant_is_device_map(&op[i]) && op[i].dom == op[0].dom)
        i++;
    return i;
}

/* Operations come and go in groups: the guest's memory is looked at once for each group. */
long grant_op_map(guest_ptr_t uop, uint32_t count, uint32_t *done)
{
    while (*done < count) {
        struct gnttab_map_grant_ref op[GRANT_RUN];
        guest_ptr_t at = guest_ptr_add(uop, *done * sizeof(op[0]));
        uint32_t n = MIN(count - *done, GRANT_RUN);

        if (*done && hypercall_preempt_check())
            return -XEN_ERESTART;
        if (copy_from_guest(op, at, n * sizeof(op[0])))
            return -XEN_EFAULT;
        for (uint32_t i = 0; i < n;) {
            uint32_t run = device_run(&op[i], n - i);

            /* What that saves, it saves from the second on. */
            if (run > 1)
                grant_map_devices(&op[i], run);
            else
                grant_map_one(&op[i]);
            i += MAX(run, 1u);
        }
        if (copy_to_guest(at, op, n * sizeof(op[0])))
            return -XEN_EFAULT;
        *done += n;
    }
    return 0;
}

/* ------------------------------------------------------------ unmap */

struct unmap {
    uint64_t host_addr;         /* 0: leave the host mapping */
    uint64_t dev_bus_addr;      /* 0: leave the device mapping */
    uint64_t new_addr;          /* unmap-and-replace: whose entry moves to host_addr */
    bool replace;
    uint32_t handle;
    int16_t status;

    /* Between the two steps. */
    struct maptrack *mt;
    struct page *pg;
    uint16_t drop;              /* GNTMAP_ kinds that go */
};

static int host_unmap(struct domain *d, struct unmap *u, mfn_t m, bool write)
{
    if (u->replace)
        return grant_pte_replace(d, u->host_addr, m, write, u->new_addr);
    if (u->mt->flags & GNTMAP_contains_pte)
        return grant_pte_remove_at(d, u->host_addr, m, write);
    return grant_pte_remove(d, u->host_addr, m, write);
}

/* Claims the handle: only one unmap at a time can have it. */
static bool unmap_claim(struct grant_table *gt, struct unmap *u)
{
    struct maptrack *mt;
    bool ok;

    spin_lock(&gt->maptrack_lock);
    mt = maptrack_entry(gt, u->handle);
    ok = mt && mt->granter && !mt->busy;
    if (ok) {
        mt->busy = true;
        u->mt = mt;
    }
    spin_unlock(&gt->maptrack_lock);
    return ok;
}

static void unmap_unclaim(struct grant_table *gt, struct unmap *u)
{
    spin_lock(&gt->maptrack_lock);
    u->mt->busy = false;
    spin_unlock(&gt->maptrack_lock);
}

/* Step 1: take the entry out of the page tables. */
static void unmap_begin(struct domain *d, struct unmap *u)
{
    mfn_t m;
    bool write;

    u->mt = NULL;
    u->drop = 0;
    u->status = GNTST_bad_handle;
    if (!unmap_claim(d->grant, u))
        return;
    m = grant_pinned_frame(u->mt->granter, u->mt->ref);
    u->pg = mfn_to_page(m);
    write = !(u->mt->flags & GNTMAP_readonly);
    u->status = GNTST_okay;
    if (u->dev_bus_addr && (u->mt->flags & GNTMAP_device_map)) {
        if (u->dev_bus_addr != mfn_to_paddr(m)) {
            u->status = GNTST_bad_dev_addr;
            goto refuse;
        }
        u->drop |= GNTMAP_device_map;
    }
    if (u->host_addr && (u->mt->flags & GNTMAP_host_map)) {
        if (host_unmap(d, u, m, write)) {
            u->status = GNTST_general_error;
            goto refuse;
        }
        u->drop |= GNTMAP_host_map;
    }
    return;
refuse:
    u->drop = 0;
    unmap_unclaim(d->grant, u);
    u->mt = NULL;
}

/* Step 2, after the flush: give references, pin and handle back. */
static void unmap_finish(struct domain *d, struct unmap *u)
{
    struct grant_table *gt = d->grant;
    struct domain *granter;
    grant_ref_t ref;
    bool write, last;

    if (!u->mt)
        return;
    granter = u->mt->granter;
    ref = u->mt->ref;
    write = !(u->mt->flags & GNTMAP_readonly);
    if (u->drop & GNTMAP_host_map)
        grant_page_put(u->pg, write);
    if (u->drop & GNTMAP_device_map)
        grant_page_put(u->pg, write);
    spin_lock(&gt->maptrack_lock);
    u->mt->flags &= (uint16_t)~u->drop;
    u->mt->busy = false;
    last = !(u->mt->flags & KINDS);
    if (last) {
        gt->nr_mapped--;
        maptrack_put_locked(gt, u->handle);
    }
    spin_unlock(&gt->maptrack_lock);
    if (last) {
        grant_unpin(granter, ref, write);
        domain_put(granter);
    }
}

static void unmap_batch(struct domain *d, struct unmap *u, uint32_t n)
{
    bool flush = false;

    for (uint32_t i = 0; i < n; i++) {
        unmap_begin(d, &u[i]);
        flush |= (u[i].drop & GNTMAP_host_map) != 0;
    }
    if (flush)
        tlb_flush_mask(d->dirty_cpus, FLUSH_TLB_GLOBAL, 0);
    for (uint32_t i = 0; i < n; i++)
        unmap_finish(d, &u[i]);
}

/* Up to UNMAP_BATCH operations; reads and writes the guest's array. */
static long unmap_some(guest_ptr_t at, uint32_t n)
{
    struct gnttab_unmap_grant_ref op[UNMAP_BATCH];
    struct unmap u[UNMAP_BATCH];

    if (copy_from_guest(op, at, n * sizeof(op[0])))
        return -XEN_EFAULT;
    if (n == 1 || !grant_unmap_devices(op, n)) {
        for (uint32_t i = 0; i < n; i++)
            u[i] = (struct unmap){ .host_addr = op[i].host_addr, .dev_bus_addr = op[i].dev_bus_addr,
                                   .handle = op[i].handle };
        unmap_batch(current->domain, u, n);
        for (uint32_t i = 0; i < n; i++)
            op[i].status = u[i].status;
    }
    return copy_to_guest(at, op, n * sizeof(op[0])) ? -XEN_EFAULT : 0;
}

static long replace_some(guest_ptr_t at, uint32_t n)
{
    struct gnttab_unmap_and_replace op[UNMAP_BATCH];
    struct unmap u[UNMAP_BATCH];

    if (copy_from_guest(op, at, n * sizeof(op[0])))
        return -XEN_EFAULT;
    for (uint32_t i = 0; i < n; i++)
        u[i] = (struct unmap){ .host_addr = op[i].host_addr, .new_addr = op[i].new_addr,
                               .replace = true, .handle = op[i].handle };
    unmap_batch(current->domain, u, n);
    for (uint32_t i = 0; i < n; i++)
        op[i].status = u[i].status;
    return copy_to_guest(at, op, n * sizeof(op[0])) ? -XEN_EFAULT : 0;
}

static long unmap_all(guest_ptr_t uop, uint32_t count, uint32_t *done, bool replace)
{
    while (*done < count) {
        uint32_t n = MIN(count - *done, UNMAP_BATCH);
        long rc;

        if (*done && hypercall_preempt_check())
            return -XEN_ERESTART;
        if (replace)
            rc = replace_some(guest_ptr_add(uop, *done * sizeof(struct gnttab_unmap_and_replace)), n);
        else
            rc = unmap_some(guest_ptr_add(uop, *done * sizeof(struct gnttab_unmap_grant_ref)), n);
        if (rc)
            return rc;
        *done += n;
    }
    return 0;
}

long grant_op_unmap(guest_ptr_t uop, uint32_t count, uint32_t *done)
{
    return unmap_all(uop, count, done, false);
}

long grant_op_unmap_and_replace(guest_ptr_t uop, uint32_t count, uint32_t *done)
{
    return unmap_all(uop, count, done, true);
}

/* ------------------------------------------------------------ domain death */

/* d runs no more. Host mappings' page references go with its page tables; pins go now. */
int grant_release_mappings(struct domain *d)
{
    struct grant_table *gt = d->grant;

    if (!gt)
        return 0;
    for (uint32_t h = 0; gt->nr_mapped && h < gt->nr_chunks * MAPTRACK_PER_CHUNK; h++) {
        struct maptrack *mt = maptrack_entry(gt, h);
        struct domain *granter = mt->granter;
        grant_ref_t ref = mt->ref;
        bool write = !(mt->flags & GNTMAP_readonly);

        if (!granter)
            continue;
        if (mt->flags & GNTMAP_device_map)
            grant_page_put(mfn_to_page(grant_pinned_frame(granter, ref)), write);
        handle_free(gt, h);
        gt->nr_mapped--;
        grant_unpin(granter, ref, write);
        domain_put(granter);
        if (h % 64 == 63 && hypercall_preempt_check())
            return -XEN_ERESTART;
    }
    return 0;
}
