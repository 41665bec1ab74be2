/* SPDX-License-Identifier: MIT */
/*
 * pvmmu.c - mmu_update and update_va_mapping: guests change entries of their page tables.
 *
 * The lock of the table's owner is held over a whole batch; what is read from the guest meanwhile
 * may fault, which is caught. Between entries the call can be preempted. A table that lost its
 * last reference and could not be dismantled at once is finished before the call returns for
 * good, because guests reuse its frame at once.
 */
#include "dev/panic.h"
#include "hypercall/hypercall.h"
#include "mm/budget.h"
#include "mm/foreign.h"
#include "mm/mm.h"
#include "mm/mmlog.h"
#include "mm/pte.h"
#include "mm/tlb.h"
#include "mm/type.h"
#include "mm/uaccess.h"
#include "mm/validate.h"
#include "mm/walk.h"
#include "sched/sched.h"
#include "atomic.h"

int mmu_foreign_get_other(domid_t id, struct mmu_foreign *f)
{
    const struct domain *self = current->domain;

    if (id == DOMID_XEN && !self->privileged)
        return -XEN_EPERM;
    if (id == DOMID_IO || id == DOMID_XEN) {
        *f = (struct mmu_foreign){ .target.io = id == DOMID_IO && self->io_all };
        return 0;
    }
    f->domain = domain_get(id);
    if (!f->domain)
        return -XEN_ESRCH;
    if (!self->privileged) {
        domain_put(f->domain);
        return -XEN_EPERM;
    }
    f->target = (struct mmu_target){ .owner = f->domain, .io = f->domain->io_all };
    return 0;
}

int mmu_vcpu_mask(guest_ptr_t p, cpumask_t *mask)
{
    const struct domain *d = current->domain;
    uint64_t bits;

    /* MAX_VCPUS bits at most, so one word: guests give no more. */
    *mask = CPUMASK_NONE;
    if (copy_from_guest(&bits, p, sizeof(bits)))
        return -XEN_EFAULT;
    for (uint32_t i = 0; i < d->max_vcpus; i++)
        if ((bits >> i) & 1 && d->vcpu[i])
            *mask |= load_relaxed(&d->vcpu[i]->dirty_cpus);
    return 0;
}

/* ------------------------------------------------------------ mmu_update */

/* A store to a page that is no table: the guest builds one that is not in use yet. */
static int plain_store(struct domain *d, struct page *pg, uint64_t ptr, uint64_t val, bool keep_ad)
{
    uint64_t *p = (uint64_t *)((char *)mfn_to_virt(page_to_mfn(pg)) + (ptr & ~PAGE_MASK));

    if (unlikely(!page_get_owned_writable(pg, d->id))) {
        mm_log_page(d, "mmu_update of", ptr, pg);
        return -XEN_EINVAL;
    }
    if (keep_ad)
        val |= READ_ONCE(*p) & (PTE_A | PTE_D);
    WRITE_ONCE(*p, val);
    page_put_and_writable(pg);
    return 0;
}

static inline int entry_update(struct domain *pt, const struct mmu_target *t, uint64_t ptr, uint64_t val,
                        bool keep_ad)
{
    mfn_t m = paddr_to_mfn(ptr);
    struct page *pg = mfn_to_page(m);
    uint64_t *p = (uint64_t *)((char *)mfn_to_virt(m) + (ptr & ~PAGE_MASK));
    uint32_t type;

    if (unlikely(!mfn_valid(m)))
        return -XEN_EINVAL;
    /* Under the lock a validated table of pt stays one. */
    type = READ_ONCE(pg->type);
    if (unlikely(pg->owner != pt->id || !(type & PGT_VALIDATED) || !type_is_table(type)))
        return plain_store(pt, pg, ptr, val, keep_ad);
    if (likely((type & PGT_TYPE_MASK) == PGT_L1))
        return likely(t->owner == pt && pt == current->domain && !keep_ad)
                   ? l1_update_self_locked(pt, pg, p, val)
                   : l1_update_locked(pt, p, val, t, keep_ad);
    return table_update_locked(pt, pg, p, val, t, keep_ad);
}

static int machphys_update(const struct domain *pt, const struct mmu_foreign *f, uint64_t ptr,
                           uint64_t val)
{
    mfn_t m = paddr_to_mfn(ptr);

    if (pt != current->domain)
        return -XEN_EPERM;
    if (!f->domain || !mfn_valid(m) || !page_get(mfn_to_page(m), f->domain)) {
        mm_log(pt, "machphys update of mfn %lx, not its frame", m.v);
        return -XEN_EINVAL;
    }
    m2p_set(m, val);
    page_put(mfn_to_page(m));
    return 0;
}

static inline int update_one(struct domain *pt, const struct mmu_foreign *f, const struct mmu_update *req)
{
    uint64_t ptr = req->ptr & ~7UL;

    switch (req->ptr & 7) {
    case MMU_NORMAL_PT_UPDATE:
    case MMU_PT_UPDATE_NO_TRANSLATE:
        return entry_update(pt, &f->target, ptr, req->val, false);
    case MMU_PT_UPDATE_PRESERVE_AD:
        return entry_update(pt, &f->target, ptr, req->val, true);
    case MMU_MACHPHYS_UPDATE:
        return machphys_update(pt, f, ptr, req->val);
    default:
        return -XEN_ENOSYS;
    }
}

_Static_assert(sizeof(struct mmu_update) == 16 && offsetof(struct mmu_update, val) == 8,
               "a pair of words");

/* Entries [0, count); *n: how many succeeded. -ERESTART: go on with entry *n. */
static int update_batch(struct domain *pt, const struct mmu_foreign *f, guest_ptr_t ureqs,
                        uint32_t count, uint32_t *n)
{
    struct vcpu *v = current;
    struct mmu_update req;
    uint32_t i;
    int rc = 0;

    mm_budget_start();
    spin_lock(&pt->mmu_lock);
    for (i = 0; i < count; i++) {
        if (i && unlikely(hypercall_preempt_check())) {
            rc = -XEN_ERESTART;
            break;
        }
        if (unlikely(copy_pair_from_guest(&req.ptr, guest_ptr_add(ureqs, i * sizeof(req))))) {
            rc = -XEN_EFAULT;
            break;
        }
        rc = update_one(pt, f, &req);
        if (unlikely(rc))
            break;
        if (unlikely(v->mm.nr_deferred)) {
            i++;
            rc = -XEN_ERESTART;
            break;
        }
    }
    spin_unlock(&pt->mmu_lock);
    *n = i;
    return rc;
}

/* Whose tables: bits 16..31 of foreigndom are 0 for the caller, else domid + 1; whose frames:
 * bits 0..15. */
static int foreign_arg(uint64_t foreigndom, struct mmu_foreign *pt, struct mmu_foreign *f)
{
    uint32_t id = (uint32_t)foreigndom >> 16;
    int rc;

    if (likely((uint32_t)foreigndom == DOMID_SELF)) {
        pt->domain = f->domain = current->domain;
        f->target = mmu_target_self(f->domain);
        return 0;
    }
    pt->domain = current->domain;
    if (id) {
        if (id > DOMID_FIRST_RESERVED)
            return -XEN_ESRCH;
        rc = mmu_foreign_get((domid_t)(id - 1), pt);
        if (rc)
            return rc;
    }
    rc = mmu_foreign_get((domid_t)foreigndom, f);
    if (rc)
        mmu_foreign_put(pt);
    return rc;
}

uint32_t mmu_read_done(guest_ptr_t pdone)
{
    uint32_t done;

    return pdone.v && !copy_from_guest(&done, pdone, sizeof(done)) ? done : 0;
}

static noinline long update_list(guest_ptr_t ureqs, uint64_t count64, guest_ptr_t pdone,
                                 uint64_t foreigndom)
{
    uint32_t count = (uint32_t)count64, done = 0, n;
    struct mmu_foreign pt, f;
    long rc;

    if (unlikely(current->mm.nr_deferred) && mm_drain())
        return hypercall_continue(__HYPERVISOR_mmu_update, 4, ureqs.v, count64, pdone.v,
                                  foreigndom);
    if (unlikely(count & MMU_UPDATE_PREEMPTED)) {
        count &= ~MMU_UPDATE_PREEMPTED;
        done = mmu_read_done(pdone);
    }
    if (unlikely(!guest_range_ok(ureqs, (uint64_t)count * sizeof(struct mmu_update))))
        return -XEN_EFAULT;
    rc = foreign_arg(foreigndom, &pt, &f);
    if (unlikely(rc))
        return rc;
    rc = update_batch(pt.domain, &f, ureqs, count, &n);
    done += n;
    if (pdone.v)
        (void)!copy_to_guest(pdone, &done, sizeof(done));
    if (unlikely(rc == -XEN_ERESTART))
        rc = hypercall_continue(__HYPERVISOR_mmu_update, 4,
                                guest_ptr_add(ureqs, n * sizeof(struct mmu_update)).v,
                                (uint64_t)((count - n) | MMU_UPDATE_PREEMPTED), pdone.v, foreigndom);
    mmu_foreign_put(&f);
    mmu_foreign_put(&pt);
    return rc;
}

/* Is pg a validated L1 table of d? Under the lock it stays one. */
static inline bool is_l1_of(const struct page *pg, const struct domain *d)
{
    return (pg->type & (PGT_TYPE_MASK | PGT_VALIDATED)) == (PGT_L1 | PGT_VALIDATED) &&
           pg->owner == d->id;
}

/* With the bits that the processor has set, which mprotect() wants to keep. */
static noinline int update_keeping_ad(struct domain *d, uint64_t *p, uint64_t val)
{
    struct mmu_target t = mmu_target_self(d);

    return l1_update_locked(d, p, val, &t, true);
}

/* Nearly all calls of a running guest are one entry of one of its L1 tables. What is not that goes
 * the long way, also if somebody has the lock; nothing has changed then. */
long do_mmu_update(guest_ptr_t ureqs, uint64_t count, guest_ptr_t pdone, uint64_t foreigndom)
{
    struct vcpu *v = current;
    struct domain *d = v->domain;
    struct mmu_update req;
    struct page *pg;
    uint64_t *p;
    mfn_t m;
    int rc;

    if (unlikely((uint32_t)count != 1 || (uint32_t)foreigndom != DOMID_SELF || pdone.v ||
                 v->mm.nr_deferred) ||
        unlikely(copy_pair_from_guest(&req.ptr, ureqs)))
        return update_list(ureqs, count, pdone, foreigndom);
    m = paddr_to_mfn(req.ptr);
    pg = mfn_to_page(m);
    /* Of the eight commands two have none of these bits. */
    _Static_assert(MMU_NORMAL_PT_UPDATE == 0 && MMU_PT_UPDATE_PRESERVE_AD == 2, "the two");
    if (unlikely((req.ptr & 5) || m.v > max_mfn) ||
        unlikely(!spin_trylock(&d->mmu_lock)))
        return update_list(ureqs, count, pdone, foreigndom);
    if (unlikely(!is_l1_of(pg, d))) {
        spin_unlock(&d->mmu_lock);
        return update_list(ureqs, count, pdone, foreigndom);
    }
    p = (uint64_t *)((char *)mfn_to_virt(mfn(0)) + (req.ptr & ~7UL));
    rc = likely(!(req.ptr & 7)) ? l1_update_self_locked(d, pg, p, req.val)
                                : update_keeping_ad(d, p, req.val);
    spin_unlock(&d->mmu_lock);
    return rc;
}

/* ------------------------------------------------------------ update_va_mapping */

static long flush_va(uint64_t va, uint64_t flags)
{
    unsigned int what = (flags & UVMF_FLUSHTYPE_MASK) == UVMF_INVLPG ? FLUSH_ONE
                                                                     : FLUSH_TLB_GLOBAL;
    cpumask_t mask;

    if ((flags & UVMF_FLUSHTYPE_MASK) == UVMF_NONE)
        return 0;
    flags &= ~UVMF_FLUSHTYPE_MASK;
    if (flags == UVMF_LOCAL) {
        tlb_flush_local(what, va);
        return 0;
    }
    if (flags == UVMF_ALL)
        mask = load_relaxed(&current->domain->dirty_cpus);
    else if (mmu_vcpu_mask(guest_ptr(flags), &mask))
        return -XEN_EFAULT;
    tlb_flush_mask(mask, what, va);
    return 0;
}

static long va_mapping(uint64_t va, uint64_t val, uint64_t flags, const struct mmu_target *t)
{
    struct vcpu *v = current;
    struct domain *d = v->domain;
    long rc = -XEN_EINVAL;
    uint64_t *p;

    spin_lock(&d->mmu_lock);
    p = walk_l1_locked(d, v->kernel_root, va);
    if (likely(p))
        rc = l1_update_locked(d, p, val, t, false);
    else
        mm_log(d, "update_va_mapping of %lx: no L1 there", va);
    spin_unlock(&d->mmu_lock);
    return likely(rc == 0) ? flush_va(va, flags) : rc;
}

long do_update_va_mapping(uint64_t va, uint64_t val, uint64_t flags)
{
    struct mmu_target t = mmu_target_self(current->domain);

    if (unlikely(current->mm.nr_deferred) && mm_drain())
        return hypercall_continue(__HYPERVISOR_update_va_mapping, 3, va, val, flags);
    return va_mapping(va, val, flags, &t);
}

long do_update_va_mapping_otherdomain(uint64_t va, uint64_t val, uint64_t flags, uint64_t domid)
{
    struct mmu_foreign f;
    long rc;

    if (unlikely(current->mm.nr_deferred) && mm_drain())
        return hypercall_continue(__HYPERVISOR_update_va_mapping_otherdomain, 4, va, val, flags,
                                  domid);
    if ((domid_t)domid == DOMID_IO && !current->domain->privileged)
        return -XEN_EPERM;
    rc = mmu_foreign_get((domid_t)domid, &f);
    if (rc)
        return rc;
    rc = va_mapping(va, val, flags, &f.target);
    mmu_foreign_put(&f);
    return rc;
}
