/* SPDX-License-Identifier: MIT */
/* dma.c - machine-contiguous memory: a run of our pages whose frames are exchanged for one piece. */
#include "runtime/dma.h"
#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/p2m.h"
#include "runtime/pagetable.h"

#define ORDER_MAX 6u

static bool is_contiguous(const char *p, unsigned int order)
{
    for (uint64_t i = 1; i < 1UL << order; i++) {
        if (virt_to_mfn(p + (i << PAGE_SHIFT)).v != virt_to_mfn(p).v + i)
            return false;
    }
    return true;
}

/* Without its mapping a frame has no reference but the allocation's and can be given away. */
static void set_mapping(char *p, mfn_t m)
{
    uint64_t e = mfn_is_valid_value(m)
                     ? mfn_to_paddr(m) | PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED |
                           PTE_DIRTY
                     : 0;

    if (hc_update_va_mapping((uint64_t)p, e, UVMF_INVLPG | UVMF_LOCAL))
        panic("dma: cannot change a mapping of our own");
}

/* Gives the frames of 2^order pages back for as many in one piece. */
static int exchange(char *p, unsigned int order)
{
    uint64_t first = virt_to_pfn(p).v, in[1 << ORDER_MAX], out = first;
    struct xen_memory_exchange x = {
        .in = { .nr_extents = 1UL << order, .extent_order = 0, .domid = DOMID_SELF },
        .out = { .nr_extents = 1, .extent_order = order, .domid = DOMID_SELF },
    };
    long rc;

    for (uint64_t i = 0; i < 1UL << order; i++) {
        in[i] = pfn_to_mfn(pfn(first + i)).v;
        set_mapping(p + (i << PAGE_SHIFT), MFN_INVALID);
    }
    set_xen_guest_handle(x.in.extent_start, (xen_pfn_t *)in);
    set_xen_guest_handle(x.out.extent_start, (xen_pfn_t *)&out);
    rc = hc_memory_op(XENMEM_exchange, &x);
    for (uint64_t i = 0; i < 1UL << order; i++) {
        mfn_t m = mfn(x.nr_exchanged ? out + i : in[i]);

        p2m_set(first + i, m);
        set_mapping(p + (i << PAGE_SHIFT), m);
    }
    return x.nr_exchanged ? 0 : (rc ? (int)rc : -XEN_ENOMEM);
}

void *dma_alloc(unsigned int order, paddr_t *maddr)
{
    char *p = order <= ORDER_MAX ? pages_alloc(order) : NULL;

    if (!p)
        return NULL;
    if (!is_contiguous(p, order)) {
        int rc = exchange(p, order);

        if (rc) {
            log_warn("dma: no %lu KiB in one piece: %d", 4UL << order, rc);
            pages_free(p, order);
            return NULL;
        }
    }
    memset(p, 0, PAGE_SIZE << order);
    *maddr = virt_to_maddr(p);
    return p;
}

void dma_free(void *p, unsigned int order)
{
    pages_free(p, order);
}
