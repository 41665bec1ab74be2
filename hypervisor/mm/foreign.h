/* SPDX-License-Identifier: MIT */
/* foreign.h - the domain arguments of MMU hypercalls ("foreigndom"). */
#ifndef MM_FOREIGN_H
#define MM_FOREIGN_H

#include "cpu/percpu.h"
#include "mm/validate.h"

/* Who a call is about: whose frames, and whose tables. domain is referenced unless it is the
 * caller's; NULL for DOMID_IO and DOMID_XEN. */
struct mmu_foreign {
    struct domain *domain;
    struct mmu_target target;
};

/* Who is not the caller: 0, -ESRCH (no such domain), -EPERM (the caller does not control it). */
int mmu_foreign_get_other(domid_t id, struct mmu_foreign *f);

static inline int mmu_foreign_get(domid_t id, struct mmu_foreign *f)
{
    struct domain *self = current->domain;

    if (unlikely(id != DOMID_SELF && id != self->id))
        return mmu_foreign_get_other(id, f);
    f->domain = self;
    f->target = mmu_target_self(self);
    return 0;
}

static inline void mmu_foreign_put(const struct mmu_foreign *f)
{
    if (unlikely(f->domain != current->domain) && f->domain)
        domain_put(f->domain);
}

/* CPUs that may hold TLB entries of the current domain's vCPUs in the bitmap at guest address p.
 * 0 or -EFAULT. */
int mmu_vcpu_mask(guest_ptr_t p, cpumask_t *mask);

/* In the count of a list: this is a continuation, *pdone says what was done before. */
#define MMU_UPDATE_PREEMPTED    (1u << 31)

/* What was done before a continuation; like the count that is written at the end, nobody hears when it cannot
 * be read or written. */
uint32_t mmu_read_done(guest_ptr_t pdone);

#endif
