/* SPDX-License-Identifier: MIT */
/*
 * mmuext.c - mmuext_op: pins, roots, flushes, the LDT, clearing and copying pages.
 */
#include "cpu/asm.h"
#include "hypercall/hypercall.h"
#include "lib/string.h"
#include "mm/budget.h"
#include "mm/foreign.h"
#include "mm/mm.h"
#include "mm/mmlog.h"
#include "mm/tlb.h"
#include "mm/type.h"
#include "mm/uaccess.h"
#include "mm/validate.h"
#include "sched/sched.h"
#include "atomic.h"

/* ------------------------------------------------------------ roots */

static int root_get_step(struct domain *d, mfn_t m)
{
    struct page *pg;
    int rc;

    if (unlikely(!mfn_valid(m) || !page_get(mfn_to_page(m), d)))
        return -XEN_EINVAL;
    pg = mfn_to_page(m);
    rc = table_get(pg, PGT_L4);
    if (unlikely(rc)) {
        if (rc != -XEN_ERESTART)
            mm_log_page(d, "new root", m.v, pg);
        page_put(pg);
    }
    return rc;
}

int root_get(struct domain *d, mfn_t m)
{
    mm_budget_start();
    return root_get_step(d, m);
}

void root_put(struct domain *d, mfn_t m)
{
    struct page *pg = mfn_to_page(m);

    (void)d;
    table_put(pg);
    page_put(pg);
}

static int new_kernel_root(struct vcpu *v, mfn_t m)
{
    mfn_t old = v->kernel_root;
    uint64_t irq;
    int rc;

    if (!mfn_eq(m, old)) {
        rc = root_get_step(v->domain, m);
        if (unlikely(rc))
            return rc;
    }
    irq = irq_save();
    v->kernel_root = m;
    v->cr3_kernel = mfn_to_paddr(m);
    tlb_switch_cr3(v->cr3_kernel);
    irq_restore(irq);
    if (unlikely(v->ldt_mapped))
        vcpu_ldt_forget(v);
    if (!mfn_eq(m, old))
        root_put(v->domain, old);
    return 0;
}

static int new_user_root(struct vcpu *v, mfn_t m)
{
    mfn_t old = v->user_root;
    int rc;

    if (m.v == 0)
        m = MFN_INVALID;
    if (mfn_eq(m, old))
        return 0;
    if (mfn_is_valid_value(m)) {
        rc = root_get_step(v->domain, m);
        if (unlikely(rc))
            return rc;
    }
    v->user_root = m;
    v->cr3_user = mfn_is_valid_value(m) ? mfn_to_paddr(m) : 0;
    if (mfn_is_valid_value(old))
        root_put(v->domain, old);
    return 0;
}

/* ------------------------------------------------------------ pins */

static bool swap_pin(struct page *pg, bool (*change)(uint32_t, uint32_t *))
{
    uint64_t old = load_relaxed(&pg->type_stamp);
    uint32_t next = 0;

    do {
        if (!change((uint32_t)old, &next))
            return false;
    } while (!page_swap_type(pg, &old, next, false));
    return true;
}

/* A pin is one existence and one type reference, marked in the type word. */
static int pin_table(struct domain *d, mfn_t m, uint32_t type)
{
    struct page *pg;
    int rc;

    if (!mfn_valid(m) || !page_get(mfn_to_page(m), d)) {
        mm_log(d, "pin of mfn %lx: not its frame", m.v);
        return -XEN_EINVAL;
    }
    pg = mfn_to_page(m);
    rc = table_get(pg, type);
    if (rc == 0) {
        if (swap_pin(pg, type_pin))
            return 0;
        mm_log_page(d, "pinned already:", m.v, pg);
        table_put(pg);
        rc = -XEN_EINVAL;
    } else if (rc != -XEN_ERESTART) {
        mm_log_page(d, "pin refused:", m.v, pg);
    }
    page_put(pg);
    return rc;
}

int table_unpin(struct page *pg)
{
    if (!swap_pin(pg, type_unpin))
        return -XEN_EINVAL;
    table_put(pg);
    page_put(pg);
    return 0;
}

static int unpin_table(struct domain *d, mfn_t m)
{
    int rc;

    if (!mfn_valid(m) || !page_get(mfn_to_page(m), d))
        return -XEN_EINVAL;
    rc = table_unpin(mfn_to_page(m));
    if (rc)
        mm_log_page(d, "not pinned:", m.v, mfn_to_page(m));
    page_put(mfn_to_page(m));
    return rc;
}

/* ------------------------------------------------------------ whole pages */

/* A frame of d, writable, for as long as we write it. */
static void *claim_writable(struct domain *d, mfn_t m)
{
    if (!d || !mfn_valid(m) || !page_get_and_type(mfn_to_page(m), d, PGT_WRITABLE)) {
        if (d && mfn_valid(m))
            mm_log_page(d, "clear or copy to", m.v, mfn_to_page(m));
        return NULL;
    }
    return mfn_to_virt(m);
}

static int clear_page(struct domain *d, mfn_t m)
{
    void *to = claim_writable(d, m);

    if (!to)
        return -XEN_EINVAL;
    memset(to, 0, PAGE_SIZE);
    page_put_and_type(mfn_to_page(m));
    return 0;
}

static int copy_page(struct domain *d, mfn_t to, mfn_t from)
{
    void *dst;

    if (!d || !mfn_valid(from) || !page_get(mfn_to_page(from), d))
        return -XEN_EINVAL;
    dst = claim_writable(d, to);
    if (dst) {
        memcpy(dst, mfn_to_virt(from), PAGE_SIZE);
        page_put_and_type(mfn_to_page(to));
    }
    page_put(mfn_to_page(from));
    return dst ? 0 : -XEN_EINVAL;
}

/* ------------------------------------------------------------ the call */

static int flush_vcpus(guest_ptr_t bitmap, unsigned int what, uint64_t va)
{
    cpumask_t mask;

    if (mmu_vcpu_mask(bitmap, &mask))
        return -XEN_EINVAL;
    tlb_flush_mask(mask, what, va);
    return 0;
}

/* Operations on the calling vCPU, which nobody can do for another domain. */
static int own_op(struct vcpu *v, const struct mmuext_op *op)
{
    cpumask_t all = load_relaxed(&v->domain->dirty_cpus);

    switch (op->cmd) {
    case MMUEXT_NEW_BASEPTR:
        return new_kernel_root(v, mfn(op->arg1.mfn));
    case MMUEXT_NEW_USER_BASEPTR:
        return new_user_root(v, mfn(op->arg1.mfn));
    case MMUEXT_TLB_FLUSH_LOCAL:
        tlb_flush_local(FLUSH_TLB_GLOBAL, 0);
        return 0;
    case MMUEXT_INVLPG_LOCAL:
        tlb_flush_local(FLUSH_ONE, op->arg1.linear_addr);
        return 0;
    case MMUEXT_TLB_FLUSH_MULTI:
        return flush_vcpus(guest_ptr((uint64_t)op->arg2.vcpumask.p), FLUSH_TLB_GLOBAL, 0);
    case MMUEXT_INVLPG_MULTI:
        return flush_vcpus(guest_ptr((uint64_t)op->arg2.vcpumask.p), FLUSH_ONE,
                           op->arg1.linear_addr);
    case MMUEXT_TLB_FLUSH_ALL:
        tlb_flush_mask(all, FLUSH_TLB_GLOBAL, 0);
        return 0;
    case MMUEXT_INVLPG_ALL:
        tlb_flush_mask(all, FLUSH_ONE, op->arg1.linear_addr);
        return 0;
    case MMUEXT_FLUSH_CACHE:
        if (!v->domain->io_all)
            return -XEN_EACCES;
        wbinvd();
        return 0;
    case MMUEXT_FLUSH_CACHE_GLOBAL:
        return -XEN_EINVAL;
    case MMUEXT_SET_LDT:
        return vcpu_set_ldt(v, op->arg1.linear_addr, op->arg2.nr_ents);
    default:
        return -XEN_ENOSYS;
    }
}

static int ext_one(const struct mmuext_op *op, const struct mmu_foreign *f)
{
    struct vcpu *v = current;

    switch (op->cmd) {
    case MMUEXT_PIN_L1_TABLE:
    case MMUEXT_PIN_L2_TABLE:
    case MMUEXT_PIN_L3_TABLE:
    case MMUEXT_PIN_L4_TABLE:
        if (!f->domain)
            return -XEN_EINVAL;
        return pin_table(f->domain, mfn(op->arg1.mfn),
                         type_of_level(op->cmd - MMUEXT_PIN_L1_TABLE + 1));
    case MMUEXT_UNPIN_TABLE:
        return f->domain ? unpin_table(f->domain, mfn(op->arg1.mfn)) : -XEN_EINVAL;
    case MMUEXT_CLEAR_PAGE:
        return clear_page(f->domain, mfn(op->arg1.mfn));
    case MMUEXT_COPY_PAGE:
        return copy_page(f->domain, mfn(op->arg1.mfn), mfn(op->arg2.src_mfn));
    case MMUEXT_MARK_SUPER:
    case MMUEXT_UNMARK_SUPER:
        return -XEN_EOPNOTSUPP;
    default:
        return f->domain == v->domain ? own_op(v, op) : -XEN_EPERM;
    }
}

/* Part of a list of which guest_range_ok() is true. */
static inline bool read_op(struct mmuext_op *op, guest_ptr_t at)
{
    union {
        struct mmuext_op op;
        uint64_t word[3];
    } u;

    _Static_assert(sizeof(u.op) == sizeof(u.word), "three words");
    if (unlikely(!load_guest_pair(u.word, at)) ||
        unlikely(!load_guest_word(&u.word[2], guest_ptr_add(at, 16))))
        return false;
    *op = u.op;
    return true;
}

static int ext_batch(const struct mmu_foreign *f, guest_ptr_t uops, uint32_t count, uint32_t *n)
{
    struct vcpu *v = current;
    struct mmuext_op op;
    uint32_t i;
    int rc = 0;

    mm_budget_start();
    for (i = 0; i < count; i++) {
        if (i && unlikely(hypercall_preempt_check())) {
            rc = -XEN_ERESTART;
            break;
        }
        if (unlikely(!read_op(&op, guest_ptr_add(uops, i * sizeof(op))))) {
            rc = -XEN_EFAULT;
            break;
        }
        rc = ext_one(&op, f);
        if (unlikely(rc))
            break;
        if (unlikely(v->mm.nr_deferred)) {
            i++;
            rc = -XEN_ERESTART;
            break;
        }
    }
    *n = i;
    return rc;
}

long do_mmuext_op(guest_ptr_t uops, uint64_t count64, guest_ptr_t pdone, uint64_t foreigndom)
{
    uint32_t count = (uint32_t)count64, done = 0, n;
    struct mmu_foreign f;
    long rc;

    if (unlikely(current->mm.nr_deferred) && mm_drain())
        return hypercall_continue(__HYPERVISOR_mmuext_op, 4, uops.v, count64, pdone.v, foreigndom);
    if (unlikely(count & MMU_UPDATE_PREEMPTED)) {
        count &= ~MMU_UPDATE_PREEMPTED;
        done = mmu_read_done(pdone);
    }
    if (unlikely(!guest_range_ok(uops, (uint64_t)count * sizeof(struct mmuext_op))))
        return -XEN_EFAULT;
    rc = (domid_t)foreigndom == DOMID_IO && !current->domain->privileged
             ? -XEN_EPERM
             : mmu_foreign_get((domid_t)foreigndom, &f);
    if (unlikely(rc))
        return rc;
    rc = ext_batch(&f, uops, count, &n);
    done += n;
    if (pdone.v)
        (void)!copy_to_guest(pdone, &done, sizeof(done));   /* as in pvmmu.c */
    if (unlikely(rc == -XEN_ERESTART))
        rc = hypercall_continue(__HYPERVISOR_mmuext_op, 4,
                                guest_ptr_add(uops, n * sizeof(struct mmuext_op)).v,
                                (uint64_t)((count - n) | MMU_UPDATE_PREEMPTED), pdone.v, foreigndom);
    mmu_foreign_put(&f);
    return rc;
}
