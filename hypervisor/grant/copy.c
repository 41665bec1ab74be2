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

#define COPY_GROUP 16u

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

static inline void end_init(struct end *e, bool is_gref, bool write)
{
    e->d = NULL;
    e->is_gref = is_gref;
    e->write = write;
    e->held = false;
}

static void end_release_page(struct end *e)
{
    if (!e->held)
        return;
    if (e->is_gref)
        grant_unpin(e->d, (grant_ref_t)e->key, e->write);
    grant_page_put(e->pg, e->write);
    e->held = false;
}

static inline void end_release(struct end *e)
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

/* A frame of the caller's own, by number; as grant_page_get(). */
static __always_inline int own_page_get(const struct gnttab_copy_ptr *p, bool write, struct page **pgp)
{
    mfn_t m = mfn(p->u.gmfn);

    if (p->domid != DOMID_SELF)
        return GNTST_permission_denied;
    if (!mfn_valid(m))
        return GNTST_bad_page;
    return grant_page_get(mfn_to_page(m), current->domain, write, pgp);
}

/* The same for the caller's own frames. */
static int end_change_own(struct end *e, const struct gnttab_copy_ptr *p)
{
    int rc;

    end_release_page(e);
    e->domid = p->domid;
    rc = own_page_get(p, e->write, &e->pg);
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

/* An operation as it is read from the guest, once. */
union copy_words {
    struct gnttab_copy op;
    uint64_t word[5];               /* the last one is length, flags and status */
};
_Static_assert(sizeof(union copy_words) == sizeof(struct gnttab_copy), "ABI");

static __always_inline bool load_op(union copy_words *u, guest_ptr_t at)
{
    return likely(guest_short_range_ok(at, sizeof(*u))) && likely(load_guest_pair(&u->word[0], at)) &&
           likely(load_guest_pair(&u->word[2], guest_ptr_add(at, 16))) &&
           likely(load_guest_word(&u->word[4], guest_ptr_add(at, 32)));
}

/* To where it was read from, so the range is good; with it go length and flags, as they were. */
static __always_inline bool store_status(guest_ptr_t at, const union copy_words *u)
{
    return likely(store_guest_word(guest_ptr_add(at, 32), u->word[4]));
}

static inline bool lies_in_pages(const struct gnttab_copy *op)
{
    return op->source.offset <= PAGE_SIZE && op->len <= PAGE_SIZE - op->source.offset &&
           op->dest.offset <= PAGE_SIZE && op->len <= PAGE_SIZE - op->dest.offset;
}

static inline void copy_bytes(const struct gnttab_copy *op, struct page *dest, const struct page *source)
{
    char *to = (char *)mfn_to_virt(page_to_mfn(dest)) + op->dest.offset;
    const char *from = (const char *)mfn_to_virt(page_to_mfn(source)) + op->source.offset;

    /* Both ends may be one frame with overlapping pieces: that is the callers' affair, but it
     * must not depend on the direction of our copy. */
    if (likely(source != dest))
        memcpy(to, from, op->len);
    else
        memmove(to, from, op->len);
    count(CNT_GRANT_COPY);
    count_add(CNT_GRANT_BYTES, op->len);
}

static int copy_one(const struct gnttab_copy *op, struct ends *ends)
{
    struct end *src = &ends->source[(op->flags & GNTCOPY_source_gref) != 0];
    struct end *dst = &ends->dest[(op->flags & GNTCOPY_dest_gref) != 0];
    int rc;

    if (!lies_in_pages(op))
        return GNTST_bad_copy_arg;
    rc = end_claim(src, &op->source);
    if (rc)
        return rc;
    rc = end_claim(dst, &op->dest);
    if (rc)
        return rc;
    copy_bytes(op, dst->pg, src->pg);
    return GNTST_okay;
}

/* ------------------------------------------------------------------ few */

/*
 * A request or packet that nothing else waits beside is a list of one or two. They ask the same questions by the same
 * functions in the same order, but keep nothing for a next operation: that costs more than it saves them.
 */
static __always_inline int claim_alone(const struct gnttab_copy_ptr *p, bool is_gref, bool write,
                                       struct domain **d, struct page **pgp)
{
    int rc;

    if (!is_gref)
        return own_page_get(p, write, pgp);
    *d = domain_of_arg(p->domid);
    if (!*d)
        return GNTST_bad_domain;
    spin_lock(&(*d)->grant->lock);
    rc = grant_pin_locked(*d, p->u.ref, current->domain->id, write, pgp);
    spin_unlock(&(*d)->grant->lock);
    if (rc)
        domain_put(*d);
    return rc;
}

static __always_inline void release_alone(const struct gnttab_copy_ptr *p, bool is_gref, bool write,
                                          struct domain *d, struct page *pg)
{
    if (is_gref) {
        spin_lock(&d->grant->lock);
        grant_unpin_locked(d->grant, p->u.ref, write);
        spin_unlock(&d->grant->lock);
    }
    grant_page_put(pg, write);
    if (is_gref)
        domain_put(d);
}

static __always_inline int copy_alone(const struct gnttab_copy *op)
{
    bool from_gref = op->flags & GNTCOPY_source_gref, to_gref = op->flags & GNTCOPY_dest_gref;
    struct domain *from = NULL, *to = NULL;
    struct page *source, *dest;
    int rc;

    if (!lies_in_pages(op))
        return GNTST_bad_copy_arg;
    rc = claim_alone(&op->source, from_gref, false, &from, &source);
    if (rc)
        return rc;
    rc = claim_alone(&op->dest, to_gref, true, &to, &dest);
    if (!rc) {
        copy_bytes(op, dest, source);
        release_alone(&op->dest, to_gref, true, to, dest);
    }
    release_alone(&op->source, from_gref, false, from, source);
    return rc;
}

long grant_op_copy_few(guest_ptr_t uop, uint32_t count)
{
    for (; count; count--, uop = guest_ptr_add(uop, sizeof(struct gnttab_copy))) {
        union copy_words u;

        if (!load_op(&u, uop))
            return -XEN_EFAULT;
        u.op.status = (int16_t)copy_alone(&u.op);
        if (!store_status(uop, &u))
            return -XEN_EFAULT;
    }
    return 0;
}

/* ------------------------------------------------------------------ lists */

/* They come in groups: the guest's memory is looked at once for each. */
long grant_op_copy(guest_ptr_t uop, uint32_t count, uint32_t *done)
{
    union copy_words group[COPY_GROUP];
    struct ends ends;
    long rc = 0;

    for (unsigned int i = 0; i < 2; i++) {
        end_init(&ends.source[i], i, false);
        end_init(&ends.dest[i], i, true);
    }
    while (*done < count && !rc) {
        guest_ptr_t at = guest_ptr_add(uop, *done * sizeof(group[0]));
        uint32_t n = MIN(count - *done, COPY_GROUP);

        if (*done && hypercall_preempt_check()) {
            rc = -XEN_ERESTART;
            break;
        }
        if (copy_from_guest(group, at, n * sizeof(group[0]))) {
            rc = -XEN_EFAULT;
            break;
        }
        for (uint32_t i = 0; i < n; i++) {
            group[i].op.status = (int16_t)copy_one(&group[i].op, &ends);
            if (unlikely(!store_status(at, &group[i])))
                rc = -XEN_EFAULT;
            at = guest_ptr_add(at, sizeof(group[0]));
        }
        *done += n;
    }
    for (unsigned int i = 0; i < 2; i++) {
        end_release(&ends.source[i]);
        end_release(&ends.dest[i]);
    }
    return rc;
}
