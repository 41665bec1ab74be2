/* SPDX-License-Identifier: MIT */
/*
 * exchange.c - XENMEM_exchange: frames for others of another size or below an address, typically
 * machine-contiguous ones for DMA.
 *
 * Done in chunks of the larger of the two extent sizes. A chunk's old frames leave the domain
 * before new ones are taken, so it needs no room in the limit; if there are none, they return.
 * The position is kept in the caller's nr_exchanged, as the ABI has it.
 */
#include "dev/console.h"
#include "hypercall/hypercall.h"
#include "mm/memop.h"
#include "mm/mm.h"
#include "mm/mmlog.h"
#include "mm/uaccess.h"
#include "sched/sched.h"
#include "overflow.h"

struct exchange {
    struct xen_memory_exchange req;
    struct domain *d;
    unsigned int in_order, out_order;       /* of extents */
    unsigned int in_chunk, out_chunk;       /* order: extents per chunk */
};

/* Frames that are nobody's at the moment, linked by page.next; prev keeps the PFN. */
static void chain_push(uint32_t *chain, struct page *pg)
{
    pg->next = *chain;
    *chain = (uint32_t)page_to_mfn(pg).v;
}

static struct page *chain_pop(uint32_t *chain)
{
    struct page *pg = *chain == FRAME_NIL ? NULL : mfn_to_page(mfn(*chain));

    if (pg)
        *chain = pg->next;
    return pg;
}

static void give_all_back(struct domain *d, uint32_t *chain)
{
    struct page *pg;

    while ((pg = chain_pop(chain)) != NULL) {
        uint64_t gpfn = pg->prev == FRAME_NIL ? M2P_INVALID : pg->prev;

        if (!page_give(d, pg, gpfn))
            page_release(pg);
    }
}

/* Takes the old frames of chunk c from the domain. */
static int take_old(const struct exchange *x, uint64_t c, uint32_t *chain)
{
    for (uint64_t j = 0; j < 1UL << x->in_chunk; j++) {
        guest_ptr_t list = guest_ptr((uint64_t)x->req.in.extent_start.p);
        uint64_t first;

        if (copy_from_guest_at(&first, list, (c << x->in_chunk) + j))
            return -XEN_EFAULT;
        for (uint64_t k = 0; k < 1UL << x->in_order; k++) {
            mfn_t m = mfn(first + k);
            uint64_t gpfn;

            if (!mfn_valid(m))
                return -XEN_EINVAL;
            gpfn = m2p_get(m);
            if (!page_steal(x->d, mfn_to_page(m))) {
                mm_log_page(x->d, "cannot exchange", m.v, mfn_to_page(m));
                return -XEN_EINVAL;
            }
            mfn_to_page(m)->prev = (uint32_t)MIN(gpfn, (uint64_t)FRAME_NIL);
            chain_push(chain, mfn_to_page(m));
        }
    }
    return 0;
}

/* New frames for chunk c, entered in the caller's list. *got: extents that it has now. */
static int give_new(const struct exchange *x, uint64_t c, uint64_t *got)
{
    guest_ptr_t list = guest_ptr((uint64_t)x->req.out.extent_start.p);

    for (uint64_t j = 0; j < 1UL << x->out_chunk; j++) {
        uint64_t at = (c << x->out_chunk) + j, gpfn;
        mfn_t m;

        if (copy_from_guest_at(&gpfn, list, at))
            return -XEN_EFAULT;
        m = memop_alloc(x->d, x->out_order, x->req.out.mem_flags, gpfn);
        if (!mfn_is_valid_value(m))
            return -XEN_ENOMEM;
        ++*got;
        if (copy_to_guest_at(list, at, &m.v))
            return -XEN_EFAULT;
    }
    return 0;
}

static int exchange_chunk(const struct exchange *x, uint64_t c)
{
    uint32_t chain = FRAME_NIL;
    uint64_t got = 0;
    struct page *pg;
    int rc = take_old(x, c, &chain);

    if (!rc)
        rc = give_new(x, c, &got);
    if (rc && !got) {
        give_all_back(x->d, &chain);
        return rc;
    }
    /* Some new ones arrived: as many old ones as that go, the rest returns. */
    for (uint64_t n = got << x->out_order; n && (pg = chain_pop(&chain)) != NULL; n--)
        page_release(pg);
    give_all_back(x->d, &chain);
    return rc;
}

static bool list_ok(const struct xen_memory_reservation *r)
{
    uint64_t bytes;

    return !mul_overflows(r->nr_extents, sizeof(xen_pfn_t), &bytes) &&
           guest_range_ok(guest_ptr((uint64_t)r->extent_start.p), bytes);
}

/* 0: x->d is the domain, referenced; or there is nothing to do, then x->d is NULL. */
static int check(struct exchange *x)
{
    const struct xen_memory_reservation *in = &x->req.in, *out = &x->req.out;

    x->in_order = in->extent_order;
    x->out_order = out->extent_order;
    if (x->req.nr_exchanged > in->nr_extents || in->domid != out->domid || x->in_order > 63 ||
        x->out_order > 63 || ~0UL >> x->in_order < in->nr_extents ||
        ~0UL >> x->out_order < out->nr_extents ||
        in->nr_extents << x->in_order != out->nr_extents << x->out_order)
        return -XEN_EINVAL;
    if (x->req.nr_exchanged == in->nr_extents)
        return 0;
    if (!list_ok(in) || !list_ok(out))
        return -XEN_EFAULT;
    if (x->in_order > memop_max_order() || x->out_order > memop_max_order())
        return -XEN_EPERM;
    x->in_chunk = x->out_order > x->in_order ? x->out_order - x->in_order : 0;
    x->out_chunk = x->in_order > x->out_order ? x->in_order - x->out_order : 0;
    if (x->req.nr_exchanged & ((1UL << x->in_chunk) - 1))
        return -XEN_EINVAL;
    x->d = domain_of_arg(in->domid);
    if (!x->d)
        return -XEN_ESRCH;
    if (x->d != current->domain && !current->domain->privileged) {
        domain_put(x->d);
        return -XEN_EPERM;
    }
    return 0;
}

static int save_position(guest_ptr_t arg, uint64_t nr)
{
    return copy_to_guest(guest_ptr_add(arg, offsetof(struct xen_memory_exchange, nr_exchanged)),
                         &nr, sizeof(nr));
}

long memop_exchange(guest_ptr_t arg)
{
    struct exchange x = { .d = NULL };
    uint64_t c, first, end;
    long rc;

    if (copy_from_guest(&x.req, arg, sizeof(x.req)))
        return -XEN_EFAULT;
    rc = check(&x);
    if (rc || !x.d)
        return rc;
    first = x.req.nr_exchanged >> x.in_chunk;
    end = x.req.in.nr_extents >> x.in_chunk;
    for (c = first; c < end && !rc; c++) {
        if (c != first && hypercall_preempt_check()) {
            rc = -XEN_ERESTART;
            break;
        }
        rc = exchange_chunk(&x, c);
        if (rc)
            break;
    }
    if (save_position(arg, c << x.in_chunk) && (!rc || rc == -XEN_ERESTART))
        rc = -XEN_EFAULT;
    domain_put(x.d);
    if (rc == -XEN_ERESTART)
        rc = hypercall_continue(__HYPERVISOR_memory_op, 2, (uint64_t)XENMEM_exchange, arg.v);
    return rc;
}
