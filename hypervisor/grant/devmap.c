/* SPDX-License-Identifier: MIT */
/*
 * devmap.c - device mappings: pages of others that the caller's devices reach, mapped in no page table. Drivers of disks and network
 * cards make and end them for each request, so locks, references and handles are taken once for many.
 */
#include "grant/internal.h"
#include "cpu/counters.h"
#include "sched/sched.h"

static bool is_write(const struct gnttab_map_grant_ref *op)
{
    return !(op->flags & GNTMAP_readonly);
}

/* Handles for as many as there are; the rest has its status. Returns how many. */
static uint32_t take_handles(struct grant_table *gt, struct gnttab_map_grant_ref *op, uint32_t n)
{
    uint32_t i;

    spin_lock(&gt->maptrack_lock);
    for (i = 0; i < n; i++) {
        op[i].handle = maptrack_get_locked(gt);
        if (unlikely(op[i].handle == HANDLE_NONE))
            break;
    }
    spin_unlock(&gt->maptrack_lock);
    for (uint32_t k = i; k < n; k++)
        op[k].status = GNTST_no_space;
    return i;
}

void grant_map_devices(struct gnttab_map_grant_ref *op, uint32_t n)
{
    struct domain *d = current->domain, *granter = domain_get(op[0].dom);
    struct page *pg[GRANT_RUN];
    uint32_t good = 0;

    if (!granter) {
        for (uint32_t i = 0; i < n; i++)
            op[i].status = GNTST_bad_domain;
        return;
    }
    n = take_handles(d->grant, op, n);
    spin_lock(&granter->grant->lock);
    for (uint32_t i = 0; i < n; i++)
        op[i].status = (int16_t)grant_pin_locked(granter, op[i].ref, d->id, is_write(&op[i]), &pg[i]);
    spin_unlock(&granter->grant->lock);
    for (uint32_t i = 0; i < n; i++)
        good += op[i].status == GNTST_okay;
    if (good)
        domain_refs(granter, good);
    spin_lock(&d->grant->maptrack_lock);
    for (uint32_t i = 0; i < n; i++) {
        if (unlikely(op[i].status != GNTST_okay)) {
            maptrack_put_locked(d->grant, op[i].handle);
            continue;
        }
        *maptrack_entry(d->grant, op[i].handle) = (struct maptrack){
            .granter = granter, .ref = op[i].ref,
            .flags = (uint16_t)(op[i].flags & (GNTMAP_device_map | GNTMAP_readonly)),
        };
        op[i].dev_bus_addr = mfn_to_paddr(page_to_mfn(pg[i]));
    }
    d->grant->nr_mapped += good;
    spin_unlock(&d->grant->maptrack_lock);
    count_add(CNT_GRANT_MAP, good);
    domain_put(granter);
}

/* Unmapping -------------------------------------------------------------------------------- */

/* One handle that goes. */
struct going {
    struct domain *granter;     /* the handle's reference; NULL: not this one */
    mfn_t frame;
    grant_ref_t ref;
    bool write;
};

static bool is_device_only(const struct maptrack *mt)
{
    return (mt->flags & (GNTMAP_host_map | GNTMAP_device_map)) == GNTMAP_device_map;
}

/*
 * Claims all handles, so that no other unmap can have them; what is refused has its status. False: others than device
 * mappings are among them, nothing is claimed.
 */
static bool claim(struct grant_table *gt, struct gnttab_unmap_grant_ref *op, struct going *g, uint32_t n)
{
    bool simple = true;
    uint32_t i;

    spin_lock(&gt->maptrack_lock);
    for (i = 0; i < n; i++) {
        struct maptrack *mt = maptrack_entry(gt, op[i].handle);

        g[i].granter = NULL;
        op[i].status = GNTST_bad_handle;
        if (unlikely(!mt || !mt->granter || mt->busy))
            continue;
        simple = is_device_only(mt) && op[i].dev_bus_addr;
        if (unlikely(!simple))
            break;
        g[i].frame = grant_pinned_frame(mt->granter, mt->ref);
        op[i].status = GNTST_bad_dev_addr;
        if (unlikely(op[i].dev_bus_addr != mfn_to_paddr(g[i].frame)))
            continue;
        mt->busy = true;
        op[i].status = GNTST_okay;
        g[i].granter = mt->granter;
        g[i].ref = mt->ref;
        g[i].write = !(mt->flags & GNTMAP_readonly);
    }
    while (unlikely(!simple) && i--) {
        if (g[i].granter)
            maptrack_entry(gt, op[i].handle)->busy = false;
    }
    spin_unlock(&gt->maptrack_lock);
    return simple;
}

/* Gives references and pins of g[0] and those behind it of the same domain back; returns how many that were. */
static uint32_t release_run(const struct going *g, uint32_t n)
{
    struct grant_table *gt = g[0].granter->grant;
    uint32_t run;

    for (run = 0; run < n && g[run].granter == g[0].granter; run++)
        grant_page_put(mfn_to_page(g[run].frame), g[run].write);
    spin_lock(&gt->lock);
    for (uint32_t i = 0; i < run; i++)
        grant_unpin_locked(gt, g[i].ref, g[i].write);
    spin_unlock(&gt->lock);
    return run;
}

static void free_handles(struct grant_table *gt, const struct gnttab_unmap_grant_ref *op,
                         const struct going *g, uint32_t n)
{
    spin_lock(&gt->maptrack_lock);
    for (uint32_t i = 0; i < n; i++) {
        if (unlikely(!g[i].granter))
            continue;
        maptrack_put_locked(gt, op[i].handle);
        gt->nr_mapped--;
    }
    spin_unlock(&gt->maptrack_lock);
}

bool grant_unmap_devices(struct gnttab_unmap_grant_ref *op, uint32_t n)
{
    struct grant_table *gt = current->domain->grant;
    struct going g[2 * GRANT_RUN];

    if (!claim(gt, op, g, n))
        return false;
    for (uint32_t i = 0; i < n;)
        i += g[i].granter ? release_run(&g[i], n - i) : 1;
    free_handles(gt, op, g, n);
    for (uint32_t i = 0; i < n;) {
        uint32_t run = 1;

        while (i + run < n && g[i + run].granter == g[i].granter)
            run++;
        if (g[i].granter)
            domain_puts(g[i].granter, run);
        i += run;
    }
    return true;
}
