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

#define COPY_GROUP 16

/*
 * A frame that is pinned for reading or for writing. There are four: grants and the caller's own
 * frames are kept apart, since a backend's list alternates between them (headers from its own
 * memory, payload from the sender's).
 */
struct end {
    struct domain *d;           /* referenced; NULL: nothing is held */
    struct page *pg;
    uint64_t key;               /* grant reference or MFN */
    domid_t domid;              /* as the caller gave it */
    bool is_gref, write;        /* constant */
    bool held;
};

struct ends {
    struct end source[2], dest[2];      /* by is_gref */
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

/* From what is held to another grant; of the same domain, that costs its lock once. */
static int end_change_grant(struct end *e, const struct gnttab_copy_ptr *p)
{
    struct page *old = e->held ? e->pg : NULL;
    struct grant_table *gt;
    int rc;

    if (unlikely(!e->d || e->domid != p->domid)) {
        end_release(e);
        old = NULL;
        e->d = domain_of_arg(p->domid);
        e->domid = p->domid;
        if (!e->d)
            return GNTST_bad_domain;
    }
    gt = e->d->grant;
    spin_lock(&gt->lock);
    if (old)
        grant_unpin_locked(gt, (grant_ref_t)e->key, e->write);
    rc = grant_pin_locked(e->d, p->u.ref, current->domain->id, e->write, &e->pg);
    spin_unlock(&gt->lock);
    if (old)
        grant_page_put(old, e->write);
    e->held = rc == GNTST_okay;
    return rc;
}

/* The same for the caller's own frames, by number. */
static int end_change_own(struct end *e, const struct gnttab_copy_ptr *p)
{
    mfn_t m = mfn(p->u.gmfn);
    int rc;

    end_release_page(e);
    if (p->domid != DOMID_SELF)
        return GNTST_permission_denied;
    if (!mfn_valid(m))
        return GNTST_bad_page;
    e->domid = DOMID_SELF;
    rc = grant_page_get(mfn_to_page(m), current->domain, e->write, &e->pg);
    e->held = rc == GNTST_okay;
    return rc;
}

/* Makes e the frame that the operation names. */
static inline int end_claim(struct end *e, const struct gnttab_copy_ptr *p)
{
    uint64_t key = e->is_gref ? p->u.ref : p->u.gmfn;
    int rc;

    if (e->held && e->key == key && e->domid == p->domid)
        return GNTST_okay;
    rc = e->is_gref ? end_change_grant(e, p) : end_change_own(e, p);
    e->key = key;
    return rc;
}

static int copy_one(const struct gnttab_copy *op, struct ends *ends)
{
    struct end *src = &ends->source[(op->flags & GNTCOPY_source_gref) != 0];
    struct end *dst = &ends->dest[(op->flags & GNTCOPY_dest_gref) != 0];
    const char *from;
    char *to;
    int rc;

    if (op->source.offset > PAGE_SIZE || op->len > PAGE_SIZE - op->source.offset ||
        op->dest.offset > PAGE_SIZE || op->len > PAGE_SIZE - op->dest.offset)
        return GNTST_bad_copy_arg;
    rc = end_claim(src, &op->source);
    if (rc)
        return rc;
    rc = end_claim(dst, &op->dest);
    if (rc)
        return rc;
    to = (char *)mfn_to_virt(page_to_mfn(dst->pg)) + op->dest.offset;
    from = (const char *)mfn_to_virt(page_to_mfn(src->pg)) + op->source.offset;
    /* Both ends may be one frame with overlapping pieces: that is the callers' affair, but it
     * must not depend on the direction of our copy. */
    if (likely(src->pg != dst->pg))
        memcpy(to, from, op->len);
    else
        memmove(to, from, op->len);
    count(CNT_GRANT_COPY);
    count_add(CNT_GRANT_BYTES, op->len);
    return GNTST_okay;
}

/* Operations come and go in groups: the guest's memory is looked at once for each group. */
long grant_op_copy(guest_ptr_t uop, uint32_t count, uint32_t *done)
{
    struct gnttab_copy ops[COPY_GROUP];
    struct ends ends = {
        .source[1] = { .is_gref = true },
        .dest = { { .write = true }, { .is_gref = true, .write = true } },
    };
    long rc = 0;

    while (*done < count) {
        guest_ptr_t at = guest_ptr_add(uop, *done * sizeof(ops[0]));
        uint32_t n = MIN(count - *done, (uint32_t)COPY_GROUP);

        if (*done && hypercall_preempt_check()) {
            rc = -XEN_ERESTART;
            break;
        }
        if (copy_from_guest(ops, at, n * sizeof(ops[0]))) {
            rc = -XEN_EFAULT;
            break;
        }
        for (uint32_t i = 0; i < n; i++)
            ops[i].status = (int16_t)copy_one(&ops[i], &ends);
        if (copy_to_guest(at, ops, n * sizeof(ops[0]))) {
            rc = -XEN_EFAULT;
            break;
        }
        *done += n;
    }
    for (unsigned int i = 0; i < 2; i++) {
        end_release(&ends.source[i]);
        end_release(&ends.dest[i]);
    }
    return rc;
}
