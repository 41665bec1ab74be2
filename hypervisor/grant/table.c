/* SPDX-License-Identifier: MIT */
/*
 * table.c - grant tables: shared and active entries, pinning, set-up and queries.
 *
 * Facts: <xen/grant_table.h>, PV-ABI section 6.1. Locks: docs/locking.md, "grant".
 */
#include "grant/internal.h"
#include "hypercall/hypercall.h"
#include "mm/heap.h"
#include "mm/uaccess.h"
#include "sched/sched.h"
#include "dev/panic.h"
#include "atomic.h"

int grant_pin(struct domain *granter, grant_ref_t ref, domid_t grantee, bool write,
              struct page **pgp)
{
    struct grant_table *gt = granter->grant;
    int rc;

    spin_lock(&gt->lock);
    rc = grant_pin_locked(granter, ref, grantee, write, pgp);
    spin_unlock(&gt->lock);
    return rc;
}

void grant_unpin(struct domain *granter, grant_ref_t ref, bool write)
{
    struct grant_table *gt = granter->grant;

    spin_lock(&gt->lock);
    grant_unpin_locked(gt, ref, write);
    spin_unlock(&gt->lock);
}

/* ------------------------------------------------------------ set-up and queries */

/* Makes the table at least nr frames long. Lock held. */
static int table_grow(struct domain *d, uint32_t nr)
{
    struct grant_table *gt = d->grant;

    ASSERT_HELD(&gt->lock);
    while (gt->nr_frames < nr) {
        uint32_t i = gt->nr_frames;
        struct grant_active *active = xzalloc_array(struct grant_active, GRANTS_PER_FRAME);
        struct page *pg = active ? shared_page_alloc(d) : NULL;

        if (!pg) {
            xfree(active);
            return -XEN_ENOMEM;
        }
        gt->active[i] = active;
        gt->page[i] = pg;
        gt->shared[i] = mfn_to_virt(page_to_mfn(pg));
        gt->nr_frames = i + 1;
    }
    return 0;
}

static bool may_ask_about(const struct domain *d)
{
    return d == current->domain || current->domain->privileged;
}

static long op_setup_table(guest_ptr_t uop, uint64_t count)
{
    struct gnttab_setup_table op;
    struct domain *d;
    long rc = 0;

    if (count != 1)
        return -XEN_EINVAL;
    if (copy_from_guest(&op, uop, sizeof(op)))
        return -XEN_EFAULT;
    op.status = GNTST_okay;
    d = domain_of_arg(op.dom);
    if (!d) {
        op.status = GNTST_bad_domain;
    } else if (!may_ask_about(d)) {
        op.status = GNTST_permission_denied;
    } else if (op.nr_frames > d->grant->max_frames) {
        op.status = GNTST_general_error;
    } else {
        struct grant_table *gt = d->grant;
        guest_ptr_t list = guest_ptr((uintptr_t)op.frame_list.p);

        spin_lock(&gt->lock);
        if (table_grow(d, MAX(op.nr_frames, 1u)))
            op.status = GNTST_general_error;
        spin_unlock(&gt->lock);
        /* Frames are never taken away while the domain lives: safe to read without the lock. */
        for (uint32_t i = 0; op.status == GNTST_okay && i < op.nr_frames; i++) {
            xen_pfn_t m = page_to_mfn(gt->page[i]).v;
            if (copy_to_guest_at(list, i, &m))
                rc = -XEN_EFAULT;
        }
    }
    if (d)
        domain_put(d);
    if (!rc && copy_to_guest(uop, &op, sizeof(op)))
        rc = -XEN_EFAULT;
    return rc;
}

static long op_query_size(guest_ptr_t uop, uint64_t count)
{
    struct gnttab_query_size op;
    struct domain *d;

    if (count != 1)
        return -XEN_EINVAL;
    if (copy_from_guest(&op, uop, sizeof(op)))
        return -XEN_EFAULT;
    d = domain_of_arg(op.dom);
    if (!d) {
        op.status = GNTST_bad_domain;
    } else if (!may_ask_about(d)) {
        op.status = GNTST_permission_denied;
    } else {
        op.nr_frames = d->grant->nr_frames;
        op.max_nr_frames = d->grant->max_frames;
        op.status = GNTST_okay;
    }
    if (d)
        domain_put(d);
    return copy_to_guest(uop, &op, sizeof(op)) ? -XEN_EFAULT : 0;
}

/* Version 1 is all there is; asking for it succeeds, as where version 2 is switched off. */
static long op_set_version(guest_ptr_t uop)
{
    struct gnttab_set_version op;

    if (copy_from_guest(&op, uop, sizeof(op)))
        return -XEN_EFAULT;
    if (op.version == 2)
        return -XEN_ENOSYS;
    if (op.version != 1)
        return -XEN_EINVAL;
    return copy_to_guest(uop, &op, sizeof(op)) ? -XEN_EFAULT : 0;
}

static long op_get_version(guest_ptr_t uop)
{
    struct gnttab_get_version op;
    struct domain *d;
    long rc = 0;

    if (copy_from_guest(&op, uop, sizeof(op)))
        return -XEN_EFAULT;
    d = domain_of_arg(op.dom);
    if (!d)
        return -XEN_ESRCH;
    if (!may_ask_about(d))
        rc = -XEN_EPERM;
    domain_put(d);
    if (rc)
        return rc;
    op.version = 1;
    return copy_to_guest(uop, &op, sizeof(op)) ? -XEN_EFAULT : 0;
}

typedef long (*grant_batch_fn)(guest_ptr_t uop, uint32_t count, uint32_t *done);

static grant_batch_fn batch_fn(uint64_t cmd, size_t *size)
{
    switch (cmd) {
    case GNTTABOP_map_grant_ref:
        *size = sizeof(struct gnttab_map_grant_ref);
        return grant_op_map;
    case GNTTABOP_unmap_grant_ref:
        *size = sizeof(struct gnttab_unmap_grant_ref);
        return grant_op_unmap;
    case GNTTABOP_unmap_and_replace:
        *size = sizeof(struct gnttab_unmap_and_replace);
        return grant_op_unmap_and_replace;
    case GNTTABOP_copy:
        *size = sizeof(struct gnttab_copy);
        return grant_op_copy;
    case GNTTABOP_transfer:
        *size = sizeof(struct gnttab_transfer);
        return grant_op_transfer;
    }
    return NULL;
}

static noinline long other_op(uint64_t cmd, guest_ptr_t uop, uint64_t count)
{
    grant_batch_fn fn;
    size_t size = 0;
    uint32_t done = 0;
    long rc;

    if ((int64_t)count < 0 || count > UINT32_MAX)
        return -XEN_EINVAL;
    fn = batch_fn((uint32_t)cmd, &size);
    if (fn) {
        rc = fn(uop, (uint32_t)count, &done);
        if (rc != -XEN_ERESTART)
            return rc;
        return hypercall_continue(__HYPERVISOR_grant_table_op, 3, cmd,
                                  guest_ptr_add(uop, done * size).v, count - done);
    }
    switch ((uint32_t)cmd) {
    case GNTTABOP_setup_table:
        return op_setup_table(uop, count);
    case GNTTABOP_query_size:
        return op_query_size(uop, count);
    case GNTTABOP_set_version:
        return op_set_version(uop);
    case GNTTABOP_get_version:
        return op_get_version(uop);
    }
    return -XEN_ENOSYS;
}

long do_grant_table_op(uint64_t cmd, guest_ptr_t uop, uint64_t count)
{
    if ((uint32_t)cmd == GNTTABOP_copy && count <= COPY_FEW)
        return grant_op_copy_few(uop, (uint32_t)count);
    return other_op(cmd, uop, count);
}

/* ------------------------------------------------------------ domains */

bool grant_is_table_frame(const struct domain *d, mfn_t m)
{
    const struct grant_table *gt = d->grant;

    for (uint32_t i = 0; gt && i < gt->nr_frames; i++)
        if (mfn_eq(page_to_mfn(gt->page[i]), m))
            return true;
    return false;
}

int grant_init(struct domain *d, uint32_t max_frames, uint32_t max_maptrack_frames)
{
    struct grant_table *gt = xzalloc(struct grant_table);
    int rc;

    if (!gt)
        return -XEN_ENOMEM;
    spin_lock_init(&gt->lock, LOCK_GRANT);
    spin_lock_init(&gt->maptrack_lock, LOCK_GRANT_MAPTRACK);
    gt->max_frames = max_frames ? MIN(max_frames, GRANT_MAX_FRAMES) : 1;
    /* The ABI counts maptrack in frames of 512 entries of 8 bytes. */
    gt->max_chunks = MIN(max_maptrack_frames, 1024u) * 512 / MAPTRACK_PER_CHUNK;
    gt->free_handle = HANDLE_NONE;
    d->grant = gt;
    spin_lock(&gt->lock);
    rc = table_grow(d, 1);
    spin_unlock(&gt->lock);
    if (rc)
        grant_destroy(d);
    return rc;
}

void grant_destroy(struct domain *d)
{
    struct grant_table *gt = d->grant;

    if (!gt)
        return;
    ASSERT(gt->nr_mapped == 0);
    for (uint32_t i = 0; i < FLIP_WINDOWS; i++)
        ASSERT(!gt->window[i]);
    for (uint32_t i = 0; i < gt->nr_frames; i++) {
        for (uint32_t k = 0; SLUICE_DEBUG && k < GRANTS_PER_FRAME; k++)
            ASSERT(!gt->active[i][k].readers && !gt->active[i][k].writers);
        shared_page_free(gt->page[i]);
        xfree(gt->active[i]);
    }
    for (uint32_t i = 0; i < gt->nr_chunks; i++)
        xfree(gt->chunk[i]);
    xfree(gt->chunk);
    d->grant = NULL;
    xfree(gt);
}
