/* SPDX-License-Identifier: MIT */
/*
 * transfer.c - GNTTABOP_transfer: give a frame to a domain that offered to take one (the flip
 * of 2005, which old netfronts still know).
 *
 * The frame leaves its owner only while the owner's is the sole reference, and reaches the new
 * one like an allocated frame: counted against its limit, without a type. The shared entry is
 * committed before the frame moves and completed after, as the ABI asks. Once the frame has left
 * its owner it does not come back: the ABI's caller believes it gone after any error but bad_page.
 */
#include "grant/internal.h"
#include "mm/uaccess.h"
#include "sched/sched.h"
#include "dev/panic.h"
#include "atomic.h"

static grant_entry_v1_t *entry_of(struct grant_table *gt, grant_ref_t ref)
{
    if (ref >= gt->nr_frames * GRANTS_PER_FRAME)
        return NULL;
    return &gt->shared[ref / GRANTS_PER_FRAME][ref % GRANTS_PER_FRAME];
}

/* Marks the offer as taken; false if d did not offer this to us. */
static bool commit(grant_entry_v1_t *e, domid_t giver)
{
    uint32_t *word = (uint32_t *)(void *)e;
    uint32_t offer = GTF_accept_transfer | (uint32_t)giver << 16;

    return atomic_cmpxchg(word, &offer, offer | GTF_transfer_committed);
}

static int transfer_to(struct domain *taker, const struct gnttab_transfer *op, struct page *pg)
{
    struct domain *giver = current->domain;
    grant_entry_v1_t *e;
    uint32_t gfn = 0;
    bool committed, given;

    spin_lock(&taker->grant->lock);
    e = entry_of(taker->grant, op->ref);
    committed = e && commit(e, giver->id);
    if (committed)
        gfn = READ_ONCE(e->frame);
    spin_unlock(&taker->grant->lock);
    if (!committed)
        return GNTST_general_error;
    /* From here on the guest waits for completion, so the entry is completed whatever happens:
     * with frame 0 when no frame came. */
    given = page_give(taker, pg, gfn ? gfn : M2P_INVALID);
    WRITE_ONCE(e->frame, given ? (uint32_t)page_to_mfn(pg).v : 0);
    smp_wmb();
    atomic_or(&e->flags, (uint16_t)GTF_transfer_completed);
    return given ? GNTST_okay : GNTST_no_space;
}

static int transfer_one(const struct gnttab_transfer *op)
{
    struct domain *taker;
    struct page *pg;
    int rc = GNTST_bad_domain;

    if (!mfn_valid(mfn(op->mfn)))
        return GNTST_bad_page;
    pg = mfn_to_page(mfn(op->mfn));
    if (!page_steal(current->domain, pg))
        return GNTST_bad_page;
    taker = domain_get(op->domid);
    if (taker && !domain_dying(taker))
        rc = transfer_to(taker, op, pg);
    if (taker)
        domain_put(taker);
    if (rc)
        page_release(pg);
    return rc;
}

long grant_op_transfer(guest_ptr_t uop, uint32_t count, uint32_t *done)
{
    for (; *done < count; ++*done) {
        struct gnttab_transfer op;

        if (*done && hypercall_preempt_check())
            return -XEN_ERESTART;
        if (copy_from_guest_at(&op, uop, *done))
            return -XEN_EFAULT;
        op.status = (int16_t)transfer_one(&op);
        if (copy_to_guest_at(uop, *done, &op))
            return -XEN_EFAULT;
    }
    return 0;
}
