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

/* Gives the frames of 2^order pages back for as many in one piece. */
static int exchange(char *p, unsigned int order)
{
    uint64_t first = virt_to_pfn(p).v, in[1 << ORDER_MAX], out = first;
    struct xen_memory_exchange x = {
        .in = { .nr_extents = 1UL << order, .extent_order = 0, .domid = DOMID_SELF },
        .out = { .nr_extents = 1, .extent_order = order, .domid = DOMID_SELF },
    };
    long rc;

    for (uint64_t i = 0; i < 1UL << order; i++)
        in[i] = pfn_to_mfn(pfn(first + i)).v;
    /* Without its mapping a frame has no reference but the allocation's and can be given away. */
    direct_map_drop(first, first + (1UL << order));
    set_xen_guest_handle(x.in.extent_start, (xen_pfn_t *)in);
    set_xen_guest_handle(x.out.extent_start, (xen_pfn_t *)&out);
    rc = hc_memory_op(XENMEM_exchange, &x);
    for (uint64_t i = 0; i < 1UL << order; i++) {
        p2m_set(first + i, mfn(x.nr_exchanged ? out + i : in[i]));
        if (direct_map_protect(pfn(first + i), true))
            panic("dma: cannot map a page of our own");
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
