/* SPDX-License-Identifier: MIT */
/* transfer.c - pages that are given away; see transfer.h. */
#include "netback/transfer.h"
#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"

/* Pages without memory behind them: the hypervisor had none to give. Tried again each time. */
#define HOLES_MAX 512
static void *holes[HOLES_MAX];
static unsigned int nr_holes;

static struct gnttab_transfer ops[TRANSFER_BATCH];

static void note_hole(void *page)
{
    if (nr_holes == HOLES_MAX) {
        log_error("a page of dom0 is lost: the host has no memory");
        return;
    }
    holes[nr_holes++] = page;
}

/* Memory for all holes, as far as there is some; the pages are free then. */
static void fill_holes(void)
{
    static xen_pfn_t extent[HOLES_MAX];
    struct xen_memory_reservation r = { .nr_extents = nr_holes, .domid = DOMID_SELF };
    static void *left[HOLES_MAX];
    unsigned int nr_left = 0;
    long got;

    if (!nr_holes)
        return;
    for (unsigned int i = 0; i < nr_holes; i++)
        extent[i] = virt_to_pfn(holes[i]).v;
    set_xen_guest_handle(r.extent_start, extent);
    got = hc_memory_op(XENMEM_populate_physmap, &r);
    for (unsigned int i = 0; i < nr_holes; i++) {
        if ((long)i >= got || p2m_replace(virt_to_pfn(holes[i]), mfn(extent[i])))
            left[nr_left++] = holes[i];
        else
            page_free(holes[i]);
    }
    memcpy(holes, left, nr_left * sizeof(left[0]));
    nr_holes = nr_left;
}

void transfer_pages(domid_t dom, struct transfer *t, unsigned int n)
{
    for (unsigned int i = 0; i < n; i++) {
        pfn_t pfn = virt_to_pfn(t[i].page);

        memset((uint8_t *)t[i].page + t[i].len, 0, PAGE_SIZE - t[i].len);
        ops[i] = (struct gnttab_transfer){ .mfn = pfn_to_mfn(pfn).v, .domid = dom, .ref = t[i].ref,
                                           .status = GNTST_bad_page };
        /* It must be nobody's but ours to give, so we stop mapping it. */
        BUG_ON(p2m_replace(pfn, MFN_INVALID));
    }
    (void)hc_grant_table_op(GNTTABOP_transfer, ops, n);
    for (unsigned int i = 0; i < n; i++) {
        t[i].failed = ops[i].status != GNTST_okay;
        /* Gone, received or not: after any other error the frame is nobody's (<xen/grant_table.h>). */
        if (ops[i].status != GNTST_bad_page) {
            note_hole(t[i].page);
        } else {
            BUG_ON(p2m_replace(virt_to_pfn(t[i].page), mfn(ops[i].mfn)));
            page_free(t[i].page);
        }
    }
    fill_holes();
}
