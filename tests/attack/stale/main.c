/* SPDX-License-Identifier: MIT */
/* main.c - stores through entries that only the TLB of another vCPU still knows. See README.md. */
#include "atomic.h"
#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/p2m.h"
#include "runtime/pagetable.h"
#include "runtime/start.h"
#include "runtime/traps.h"
#include "tests/attack/ap.h"
#include "tests/attack/expect.h"
#include "tests/attack/trywrite.h"

#define MARK    0xa77ac4a77ac4a770UL    /* not a present entry */
#define TAKEN   8u                      /* frames taken after each that was given back */

static volatile uint64_t *target;
static uint32_t stop, stopped;

static void writer(unsigned int cpu)
{
    while (!load_acquire(&stop))
        (void)try_write64(target, MARK);
    (void)atomic_add_return(&stopped, 1);
}

static long map(volatile void *va, uint64_t m, uint64_t flags)
{
    return hc_update_va_mapping((uint64_t)va, m ? m << PAGE_SHIFT | flags : 0, 0);
}

static long memory(unsigned int cmd, xen_pfn_t *list, unsigned int n)
{
    struct xen_memory_reservation r = { .nr_extents = n, .domid = DOMID_SELF };

    set_xen_guest_handle(r.extent_start, list);
    return hc_memory_op(cmd, &r);
}

/* The frame behind the target, after the writer has seen it. */
static void put_in_place(uint64_t m)
{
    BUG_ON(map(target, m, PTE_PRESENT | PTE_WRITE));
    for (unsigned int i = 0; i < 100000 && *target != MARK; i++)
        cpu_relax();
    BUG_ON(map(target, 0, 0));
}

static bool stays(volatile uint64_t *p, uint64_t want)
{
    for (unsigned int i = 0; i < 2000; i++)
        if (*p != want)
            return false;
    return true;
}

static void given_back(volatile uint64_t *look)
{
    xen_pfn_t m[TAKEN];

    BUG_ON(memory(XENMEM_populate_physmap, (m[0] = 1, m), 1) != 1);
    put_in_place(m[0]);
    BUG_ON(memory(XENMEM_decrease_reservation, m, 1) != 1);
    for (unsigned int i = 0; i < TAKEN; i++)
        m[i] = 1;
    BUG_ON(memory(XENMEM_populate_physmap, m, TAKEN) != TAKEN);
    for (unsigned int i = 0; i < TAKEN; i++) {
        BUG_ON(hc_update_va_mapping((uint64_t)look, m[i] << PAGE_SHIFT | PTE_PRESENT, UVMF_INVLPG));
        EXPECT(stays(look, 0));
    }
    BUG_ON(map(look, 0, 0));
    BUG_ON(memory(XENMEM_decrease_reservation, m, TAKEN) != TAKEN);
}

static void made_a_table(volatile uint64_t *look)
{
    struct mmuext_op op = { .cmd = MMUEXT_PIN_L1_TABLE };
    struct mmu_update u = { 0 };
    xen_pfn_t m = 1;

    BUG_ON(memory(XENMEM_populate_physmap, &m, 1) != 1);
    put_in_place(m);
    op.arg1.mfn = m;
    BUG_ON(hc_mmuext_op(&op, 1, NULL, DOMID_SELF));
    u.ptr = m << PAGE_SHIFT;
    u.val = 0;
    BUG_ON(hc_mmu_update(&u, 1, NULL, DOMID_SELF));
    BUG_ON(hc_update_va_mapping((uint64_t)look, m << PAGE_SHIFT | PTE_PRESENT, UVMF_INVLPG));
    EXPECT(stays(look, 0));
    BUG_ON(map(look, 0, 0));
    op.cmd = MMUEXT_UNPIN_TABLE;
    BUG_ON(hc_mmuext_op(&op, 1, NULL, DOMID_SELF));
    BUG_ON(memory(XENMEM_decrease_reservation, &m, 1) != 1);
}

/* Room for frames that we take. */
static void make_room(void)
{
    for (unsigned int i = 0; i < 2 * TAKEN; i++) {
        void *p = page_alloc();
        xen_pfn_t m = virt_to_mfn(p).v;

        BUG_ON(hc_update_va_mapping((uint64_t)p, 0, UVMF_INVLPG | UVMF_ALL));
        BUG_ON(memory(XENMEM_decrease_reservation, &m, 1) != 1);
    }
}

void pv_main(void)
{
    unsigned int rounds = (unsigned int)cmdline_get_u64("rounds", 60), n = MIN(ap_count(), 3u);
    volatile uint64_t *look = va_alloc(1);

    target = va_alloc(1);
    make_room();
    for (unsigned int i = 1; i < n; i++)
        BUG_ON(ap_start(i, writer));
    for (unsigned int i = 0; i < rounds; i++) {
        given_back(look);
        made_a_table(look);
    }
    store_release(&stop, 1);
    while (load_acquire(&stopped) < n - 1)
        (void)hc_sched_op(SCHEDOP_yield, NULL);
    log_info("attack stale: %u rounds beside %u writers", rounds, n - 1);
    conclude("stale");
}
