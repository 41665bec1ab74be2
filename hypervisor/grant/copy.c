/* SPDX-License-Identifier: MIT */
/*
 * copy.c - GNTTABOP_copy: bytes between two frames, each granted or the caller's own.
 *
 * This is the data path of every stock frontend: one copy straight from the sender's frame to
 * the receiver's. Consecutive operations on the same frame keep it pinned, so a packet made of
 * several pieces pays for look-up and pinning once per frame.
 */
#include "grant/internal.h"
#include "cpu/counters.h"
#include "mm/uaccess.h"
#include "sched/sched.h"
#include "lib/string.h"

/* One end of a copy that is pinned right now. */
struct end {
    struct domain *d;           /* referenced; NULL: nothing is held */
    struct page *pg;
    uint64_t key;               /* grant reference or MFN */
    domid_t domid;              /* as the caller gave it */
    bool is_gref, write, held;
};

static void end_release_page(struct end *e)
{
    if (!e->held)
        return;
    if (e->is_gref)
        grant_unpin(e->d, (grant_ref_t)e->key, e->write);
    grant_page_put(e->pg, e->write);
    e->held = false;
}

static void end_release(struct end *e)
{
    end_release_page(e);
    if (e->d)
        domain_put(e->d);
    e->d = NULL;
}

static int end_set_domain(struct end *e, domid_t domid)
{
    if (e->d && e->domid == domid)
        return GNTST_okay;
    end_release(e);
    e->d = domain_of_arg(domid);
    e->domid = domid;
    return e->d ? GNTST_okay : GNTST_bad_domain;
}

/* Makes e the frame that the operation names. */
static int end_claim(struct end *e, const struct gnttab_copy_ptr *p, bool is_gref, bool write)
{
    uint64_t key = is_gref ? p->u.ref : p->u.gmfn;
    int rc;

    if (e->held && e->domid == p->domid && e->is_gref == is_gref && e->key == key)
        return GNTST_okay;
    end_release_page(e);
    /* Frames by number are for the caller's own only. */
    if (!is_gref && p->domid != DOMID_SELF)
        return GNTST_permission_denied;
    rc = end_set_domain(e, p->domid);
    if (rc)
        return rc;
    if (is_gref) {
        rc = grant_pin(e->d, p->u.ref, current->domain->id, write, &e->pg);
        if (rc)
            return rc;
    } else {
        mfn_t m = mfn(p->u.gmfn);

        if (!mfn_valid(m))
            return GNTST_bad_page;
        e->pg = mfn_to_page(m);
        if (write ? !page_get_and_type(e->pg, e->d, PGT_WRITABLE) : !page_get(e->pg, e->d))
            return GNTST_bad_page;
    }
    e->is_gref = is_gref;
    e->key = key;
    e->write = write;
    e->held = true;
    return GNTST_okay;
}

static int copy_one(const struct gnttab_copy *op, struct end *src, struct end *dst)
{
    int rc;

    if (op->source.offset > PAGE_SIZE || op->len > PAGE_SIZE - op->source.offset ||
        op->dest.offset > PAGE_SIZE || op->len > PAGE_SIZE - op->dest.offset)
        return GNTST_bad_copy_arg;
    rc = end_claim(src, &op->source, (op->flags & GNTCOPY_source_gref) != 0, false);
    if (rc)
        return rc;
    rc = end_claim(dst, &op->dest, (op->flags & GNTCOPY_dest_gref) != 0, true);
    if (rc)
        return rc;
    /* Both ends may be one frame with overlapping pieces: that is the callers' affair, but it
     * must not depend on the direction of our copy. */
    memmove((char *)mfn_to_virt(page_to_mfn(dst->pg)) + op->dest.offset,
            (const char *)mfn_to_virt(page_to_mfn(src->pg)) + op->source.offset, op->len);
    count(CNT_GRANT_COPY);
    count_add(CNT_GRANT_BYTES, op->len);
    return GNTST_okay;
}

long grant_op_copy(guest_ptr_t uop, uint32_t count, uint32_t *done)
{
    struct end src = { 0 }, dst = { 0 };
    long rc = 0;

    for (; *done < count; ++*done) {
        struct gnttab_copy op;
        guest_ptr_t at = guest_ptr_add(uop, *done * sizeof(op));

        if (*done && hypercall_preempt_check()) {
            rc = -XEN_ERESTART;
            break;
        }
        if (copy_from_guest(&op, at, sizeof(op))) {
            rc = -XEN_EFAULT;
            break;
        }
        op.status = (int16_t)copy_one(&op, &src, &dst);
        if (copy_to_guest(guest_ptr_add(at, offsetof(struct gnttab_copy, status)), &op.status,
                          sizeof(op.status))) {
            rc = -XEN_EFAULT;
            break;
        }
    }
    end_release(&src);
    end_release(&dst);
    return rc;
}
