/* SPDX-License-Identifier: MIT */
/* main.c - a domain that is its own backend, and flips what must not be flipped. See README.md. */
#include "atomic.h"
#include "lib/string.h"
#include "runtime/grant.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/p2m.h"
#include "runtime/pagetable.h"
#include "runtime/start.h"
#include "runtime/traps.h"
#include "tests/attack/ap.h"
#include "tests/attack/expect.h"
#include "tests/guests/flip/slots.c"

#define OFFER       (GTF_permit_access | SLUICE_GTF_flip)
#define FREE_REF    1800u               /* of no window */
#define HV_ADDRESS  0xffff830000000000UL
#define RW          (PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED | PTE_DIRTY)
#define NOT_SET     99

static domid_t me;

static struct sluice_flip_op op_of(uint32_t from, uint32_t to)
{
    return (struct sluice_flip_op){ .from_dom = DOMID_SELF, .from_ref = FIRST_REF + from,
                                    .to_dom = me, .to_ref = FIRST_REF + to, .status = NOT_SET };
}

static int16_t flip_pages(uint32_t from, uint32_t to, uint32_t n)
{
    struct sluice_flip_op op = op_of(from, to);

    op.more = (uint16_t)(n - 1);
    EXPECT(hc_flip(SLUICE_FLIP_exchange, &op, 1) == 0);
    return op.status;
}

static int16_t flip(uint32_t from, uint32_t to)
{
    return flip_pages(from, to, 1);
}

static void offer_all(void)
{
    for (uint32_t i = 0; i < NR_SLOTS; i++)
        slot_offer(i, me, OFFER);
}

/* Slot 1 cannot be flipped, in neither role; it stays as it is, and slot 0 is still on offer. */
static bool stays(int16_t as_from, int16_t as_to)
{
    uint64_t pte = slot_pte(1), entry = *(volatile uint64_t *)slot_entry(1), other = slot_pte(0);
    bool ok = flip(1, 0) == as_from && flip(0, 1) == as_to;

    return ok && slot_pte(1) == pte && slot_pte(0) == other &&
           *(volatile uint64_t *)slot_entry(1) == entry && slot_entry(0)->flags == OFFER;
}

static bool busy(void)
{
    return stays(SLUICE_FLIP_from_busy, SLUICE_FLIP_to_busy);
}

static bool gone(void)
{
    return stays(SLUICE_FLIP_from_gone, SLUICE_FLIP_to_gone);
}

static bool with_frame(uint64_t m)
{
    slot_entry(1)->frame = (uint32_t)m;
    slot_entry(1)->flags = OFFER;
    return busy();
}

static long set_pte(void *va, uint64_t e)
{
    return hc_update_va_mapping((uint64_t)va, e, UVMF_INVLPG | UVMF_ALL);
}

static void entries(void)
{
    static const uint16_t no_offer[] = { 0, SLUICE_GTF_flip, GTF_accept_transfer | SLUICE_GTF_flip, 3 };
    static const uint16_t grants[] = { GTF_permit_access, OFFER | GTF_readonly, OFFER | GTF_reading,
                                       OFFER | GTF_writing, OFFER | GTF_sub_page };

    offer_all();
    for (unsigned int i = 0; i < ARRAY_SIZE(no_offer); i++) {
        slot_entry(1)->flags = no_offer[i];
        EXPECT(gone());
    }
    for (unsigned int i = 0; i < ARRAY_SIZE(grants); i++) {
        slot_entry(1)->flags = grants[i];
        EXPECT(busy());
    }
    slot_offer(1, (domid_t)(me + 1), OFFER);
    EXPECT(gone());
    slot_offer(1, me, OFFER);
    EXPECT(flip(1, 1) == SLUICE_FLIP_bad_op);
    EXPECT(flip(0, FREE_REF - FIRST_REF) == SLUICE_FLIP_to_gone);
    EXPECT(flip(0, 0x7fffffff) == SLUICE_FLIP_to_gone);
}

static void frames(void)
{
    char *page = slot_addr(1), *spare = page_alloc_zeroed();
    mfn_t own = virt_to_mfn(page);
    uint64_t e = slot_pte(1);
    struct gnttab_map_grant_ref map = { .flags = GNTMAP_host_map, .ref = FREE_REF, .dom = me };
    struct gnttab_unmap_grant_ref unmap = { 0 };
    struct mmuext_op ext = { .cmd = MMUEXT_PIN_L1_TABLE };
    void *va = va_alloc(1);

    offer_all();
    /* Not the slot's frame. */
    EXPECT(with_frame(virt_to_mfn(spare).v));
    EXPECT(with_frame(paddr_to_mfn(pte_maddr(page)).v));
    EXPECT(with_frame(virt_to_mfn((void *)start_info->pt_base).v));
    EXPECT(with_frame(paddr_to_mfn(start_info->shared_info).v));
    EXPECT(with_frame(virt_to_mfn(slot_table).v));
    EXPECT(with_frame(0xfee00) && with_frame(0xb8) && with_frame(~0u) && with_frame(0x40000));
    for (uint64_t m = 0; m < 0x10000; m += 37)
        EXPECT(m == own.v || with_frame(m));
    slot_offer(1, me, OFFER);
    /* Somebody else's, too: mapped a second time, writable or not. */
    EXPECT(map_at(va, DOMID_SELF, &own, 1, MAP_RW, NULL) == 0 && busy());
    unmap_at(va, 1);
    EXPECT(map_at(va, DOMID_SELF, &own, 1, MAP_RO, NULL) == 0 && busy());
    unmap_at(va, 1);
    /* Read-only in the slot, a page table there, nothing there. */
    EXPECT(set_pte(page, e & ~PTE_WRITE) == 0 && busy());
    memset(spare, 0, PAGE_SIZE);
    ext.arg1.mfn = own.v;
    EXPECT(hc_mmuext_op(&ext, 1, NULL, DOMID_SELF) == 0 || true);
    EXPECT(busy());
    ext.cmd = MMUEXT_UNPIN_TABLE;
    (void)hc_mmuext_op(&ext, 1, NULL, DOMID_SELF);
    EXPECT(set_pte(page, 0) == 0 && busy());
    EXPECT(set_pte(page, e) == 0);
    /* Granted a second time, and used by that grant. */
    slot_table[FREE_REF].frame = (uint32_t)own.v;
    slot_table[FREE_REF].domid = me;
    store_release(&slot_table[FREE_REF].flags, (uint16_t)GTF_permit_access);
    map.host_addr = (uint64_t)va;
    EXPECT(hc_grant_table_op(GNTTABOP_map_grant_ref, &map, 1) == 0 && map.status == GNTST_okay);
    EXPECT(busy());
    unmap.host_addr = (uint64_t)va;
    unmap.handle = map.handle;
    EXPECT(hc_grant_table_op(GNTTABOP_unmap_grant_ref, &unmap, 1) == 0 && unmap.status == 0);
    /* By the offer itself. */
    map.ref = FIRST_REF + 1;
    EXPECT(hc_grant_table_op(GNTTABOP_map_grant_ref, &map, 1) == 0 && map.status == GNTST_okay);
    EXPECT(busy());
    unmap.handle = map.handle;
    EXPECT(hc_grant_table_op(GNTTABOP_unmap_grant_ref, &unmap, 1) == 0 && unmap.status == 0);
    /* And now there is nothing against it. */
    slot_offer(1, me, OFFER);
    EXPECT(flip(1, 0) == SLUICE_FLIP_okay);
    EXPECT(slot_accept(0) == 0 && slot_accept(1) == 0);
    va_free(va, 1);
    page_free(spare);
}

/* Slots 1 to 4 as an extent; slots 8 to 11 are the other one. Refused in both roles, and all entries and page tables stay. */
static bool extent_stays(int16_t as_from, int16_t as_to)
{
    uint64_t pte[12], entry[12];
    bool ok;

    for (uint32_t i = 0; i < 12; i++) {
        pte[i] = slot_pte(i);
        entry[i] = *(volatile uint64_t *)slot_entry(i);
    }
    ok = flip_pages(1, 8, 4) == as_from && flip_pages(8, 1, 4) == as_to;
    for (uint32_t i = 0; i < 12; i++)
        ok &= pte[i] == slot_pte(i) && entry[i] == *(volatile uint64_t *)slot_entry(i);
    return ok;
}

static void offer_extent(uint32_t i, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        slot_offer(i + k, me, OFFER);
    slot_entry(i)->flags = (uint16_t)(OFFER | SLUICE_GTF_flip_more(n - 1));
}

static void extents(void)
{
    void *va = va_alloc(1);
    const int16_t from_busy = SLUICE_FLIP_from_busy, to_busy = SLUICE_FLIP_to_busy;

    offer_all();
    EXPECT(flip_pages(1, 8, 17) == SLUICE_FLIP_bad_op && flip_pages(1, 8, 0x10000) == SLUICE_FLIP_bad_op);
    EXPECT(extent_stays(from_busy, from_busy));           /* single pages */
    offer_extent(8, 4);
    EXPECT(extent_stays(from_busy, to_busy));
    for (uint32_t i = 1; i <= 4; i++) {
        mfn_t own = virt_to_mfn(slot_addr(i));
        uint64_t e = slot_pte(i);

        offer_extent(1, 4);
        EXPECT(map_at(va, DOMID_SELF, &own, 1, MAP_RO, NULL) == 0 && extent_stays(from_busy, to_busy));
        unmap_at(va, 1);
        EXPECT(set_pte(slot_addr(i), e & ~PTE_WRITE) == 0 && extent_stays(from_busy, to_busy));
        EXPECT(set_pte(slot_addr(i), 0) == 0 && extent_stays(from_busy, to_busy));
        /* What its grant names is not what it has. */
        slot_entry(i)->frame = (uint32_t)virt_to_mfn((void *)start_info->pt_base).v;
        EXPECT(extent_stays(from_busy, to_busy));
        slot_entry(i)->frame = ~0u;
        EXPECT(extent_stays(from_busy, to_busy));
        EXPECT(set_pte(slot_addr(i), e) == 0);
    }
    /* Longer than it is, than the window; over itself; two that lie across each other. */
    offer_extent(1, 3);
    EXPECT(extent_stays(from_busy, to_busy));
    offer_extent(NR_SLOTS - 2, 2);
    slot_entry(NR_SLOTS - 2)->flags = (uint16_t)(OFFER | SLUICE_GTF_flip_more(15));
    EXPECT(flip_pages(NR_SLOTS - 2, 8, 3) == from_busy && flip_pages(8, NR_SLOTS - 2, 3) == to_busy);
    offer_extent(1, 4);
    EXPECT(flip_pages(1, 1, 4) == SLUICE_FLIP_bad_op);
    slot_entry(3)->flags = slot_entry(1)->flags;
    EXPECT(flip_pages(1, 3, 4) == to_busy && flip_pages(3, 1, 4) == to_busy);
    offer_extent(1, 4);
    EXPECT(flip_pages(1, 8, 4) == SLUICE_FLIP_okay);
    for (uint32_t i = 0; i < 4; i++)
        EXPECT(slot_accept(1 + i) == 0 && slot_accept(8 + i) == 0);
    offer_all();
    for (uint32_t i = 0; i < NR_SLOTS; i++)
        EXPECT(slot_withdraw(i));
    va_free(va, 1);
}

static long window(uint64_t va, uint32_t n, uint32_t ref, uint32_t *id)
{
    struct sluice_flip_window w = { .va = va, .slots = n, .first_ref = ref };
    long rc = hc_flip(SLUICE_FLIP_register, &w, 1);

    if (id)
        *id = w.id;
    return rc;
}

/* The last-level table of va, and the entry that leads to it. */
static paddr_t l2_entry_of(uint64_t va)
{
    mfn_t t = virt_to_mfn((void *)start_info->pt_base);

    for (unsigned int shift = 39; shift > 21; shift -= 9) {
        const uint64_t *table = pfn_to_virt(mfn_to_pfn(t));

        t = paddr_to_mfn(table[va >> shift & 511] & PTE_ADDR);
    }
    return mfn_to_paddr(t) + (va >> 21 & 511) * 8;
}

/* A table of our own at an address of our own, which then goes away under the window. */
static void lose_table(void)
{
    uint64_t *table = page_alloc_zeroed();
    uint64_t at = (uint64_t)va_alloc(1024), m = virt_to_mfn(table).v;
    struct mmuext_op ext = { .cmd = MMUEXT_PIN_L1_TABLE, .arg1.mfn = m };
    struct mmu_update u = { 0 };
    xen_pfn_t frame = m;
    struct xen_memory_reservation r = { .nr_extents = 1, .domid = DOMID_SELF };
    uint64_t was;
    uint32_t id = 0;

    at = (at + (2UL << 20) - 1) & ~((2UL << 20) - 1);
    /* Two frames that only this table maps. */
    for (uint32_t i = 0; i < 2; i++) {
        void *page = page_alloc_zeroed();

        table[i] = virt_to_mfn(page).v << PAGE_SHIFT | RW;
        EXPECT(set_pte(page, 0) == 0);
        slot_table[FREE_REF + i].frame = (uint32_t)(table[i] >> PAGE_SHIFT);
        slot_table[FREE_REF + i].domid = me;
        slot_table[FREE_REF + i].flags = OFFER;
    }
    was = table[0];
    EXPECT(set_pte(table, m << PAGE_SHIFT | (RW & ~PTE_WRITE)) == 0);
    EXPECT(hc_mmuext_op(&ext, 1, NULL, DOMID_SELF) == 0);
    u.ptr = l2_entry_of(at);
    u.val = m << PAGE_SHIFT | RW;
    EXPECT(hc_mmu_update(&u, 1, NULL, DOMID_SELF) == 0);
    EXPECT(window(at, 2, FREE_REF, &id) == 0);
    /* Not in the page tables any more, not pinned, not ours: the window keeps it. */
    u.val = 0;
    EXPECT(hc_mmu_update(&u, 1, NULL, DOMID_SELF) == 0);
    ext.cmd = MMUEXT_UNPIN_TABLE;
    EXPECT(hc_mmuext_op(&ext, 1, NULL, DOMID_SELF) == 0);
    EXPECT(set_pte(table, m << PAGE_SHIFT | RW) != 0);
    EXPECT(flip(FREE_REF - FIRST_REF, FREE_REF + 1 - FIRST_REF) == SLUICE_FLIP_okay);
    EXPECT(table[1] >> PAGE_SHIFT == was >> PAGE_SHIFT || (table[1] & PTE_ADDR) == (was & PTE_ADDR));
    EXPECT(set_pte(table, 0) == 0);
    set_xen_guest_handle(r.extent_start, &frame);
    EXPECT(hc_memory_op(XENMEM_decrease_reservation, &r) == 1);
    slot_table[FREE_REF].flags = slot_table[FREE_REF + 1].flags = OFFER;
    EXPECT(flip(FREE_REF - FIRST_REF, FREE_REF + 1 - FIRST_REF) == SLUICE_FLIP_okay);
    EXPECT(slots_unregister(id) == 0);
    EXPECT(slots_unregister(id) == -XEN_ENOENT);
}

static void windows(void)
{
    uint64_t at = (uint64_t)slot_page, empty = 0x10000000000UL;
    struct mmu_update u = { 0 };
    struct sluice_flip_query q = { 0 };
    uint32_t id = 0, n = 0, ids[64];

    EXPECT(window(HV_ADDRESS, 4, FREE_REF, NULL) == -XEN_EINVAL);
    EXPECT(window(HV_ADDRESS - PAGE_SIZE, 4, FREE_REF, NULL) == -XEN_EINVAL);
    EXPECT(window(0x800000000000UL, 4, FREE_REF, NULL) == -XEN_EINVAL);
    EXPECT(window(~0UL << PAGE_SHIFT, 4, FREE_REF, NULL) == -XEN_EINVAL);
    EXPECT(window((uint64_t)machine_to_phys_mapping, 4, FREE_REF, NULL) == -XEN_EINVAL);
    EXPECT(window(empty, 4, FREE_REF, NULL) == -XEN_EINVAL);
    EXPECT(window(at + 8, 4, FREE_REF, NULL) == -XEN_EINVAL);
    EXPECT(window(at, 0, FREE_REF, NULL) == -XEN_EINVAL);
    EXPECT(window(at, ~0u, FREE_REF, NULL) == -XEN_EINVAL);
    EXPECT(window(at, 1, FREE_REF, NULL) == -XEN_EEXIST);
    EXPECT(window(at + (NR_SLOTS - 1) * PAGE_SIZE, 2, FREE_REF, NULL) == -XEN_EEXIST);
    EXPECT(window(at + NR_SLOTS * PAGE_SIZE, 2, FIRST_REF, NULL) == -XEN_EEXIST);
    EXPECT(window(at + NR_SLOTS * PAGE_SIZE, 2, FIRST_REF - 1, NULL) == -XEN_EEXIST);
    EXPECT(window(at + NR_SLOTS * PAGE_SIZE, 2, TABLE_REFS - 1, NULL) == -XEN_ERANGE);
    EXPECT(window(at + NR_SLOTS * PAGE_SIZE, 2, ~0u, NULL) == -XEN_ERANGE);
    EXPECT(hc_flip(SLUICE_FLIP_register, (void *)HV_ADDRESS, 1) == -XEN_EFAULT);
    EXPECT(hc_flip(SLUICE_FLIP_register, NULL, 2) == -XEN_EINVAL);
    EXPECT(hc_flip(5, NULL, 1) == -XEN_ENOSYS);
    EXPECT(hc_flip(SLUICE_FLIP_query, &q, 1) == 0 && q.max_windows <= ARRAY_SIZE(ids));
    while (n < ARRAY_SIZE(ids) && window(at + (NR_SLOTS + n) * PAGE_SIZE, 1, FREE_REF + n, &ids[n]) == 0)
        n++;
    EXPECT(n == q.max_windows - 1 && window(at + (NR_SLOTS + n) * PAGE_SIZE, 1, FREE_REF + n, &id) == -XEN_ENOSPC);
    while (n > 0)
        EXPECT(slots_unregister(ids[--n]) == 0);
    EXPECT(slots_unregister(~0u) == -XEN_ENOENT);
    /* The slots' own table at a second address. */
    empty = ((uint64_t)va_alloc(1024) + (2UL << 20) - 1) & ~((2UL << 20) - 1);
    u.ptr = l2_entry_of(empty);
    u.val = (pte_maddr(slot_page) & PTE_ADDR) | RW;
    EXPECT(hc_mmu_update(&u, 1, NULL, DOMID_SELF) == 0);
    EXPECT(window(empty + (at & ((2UL << 20) - 1)), 1, FREE_REF, NULL) == -XEN_EEXIST);
    u.val = 0;
    EXPECT(hc_mmu_update(&u, 1, NULL, DOMID_SELF) == 0);
    lose_table();
}

static void lists(void)
{
    static struct sluice_flip_op many[4096];
    char *end = va_alloc(2);
    struct sluice_flip_op *op;
    mfn_t m;

    /* The second page of the list is missing: what is before it has been done. */
    offer_all();
    op = page_alloc_zeroed();
    m = virt_to_mfn(op);
    EXPECT(map_at(end, DOMID_SELF, &m, 1, MAP_RW, NULL) == 0);
    op = (struct sluice_flip_op *)(void *)(end + PAGE_SIZE) - 40;
    for (uint32_t i = 0; i < 40; i++)
        op[i] = i < NR_SLOTS / 2 ? op_of(2 * i, 2 * i + 1) : op_of(0, 1);
    EXPECT(hc_flip(SLUICE_FLIP_exchange, op, 80) == -XEN_EFAULT);
    EXPECT(op[0].status == SLUICE_FLIP_okay && op[31].status == SLUICE_FLIP_okay);
    EXPECT(op[32].status == NOT_SET);
    for (uint32_t i = 0; i < NR_SLOTS; i++)
        EXPECT(slot_accept(i) == 0);
    unmap_at(end, 1);
    EXPECT(map_at(end, DOMID_SELF, &m, 1, MAP_RO, NULL) == 0);
    EXPECT(hc_flip(SLUICE_FLIP_exchange, end, 3) == -XEN_EFAULT);
    unmap_at(end, 1);
    EXPECT(hc_flip(SLUICE_FLIP_exchange, (void *)HV_ADDRESS, 3) == -XEN_EFAULT);
    EXPECT(hc_flip(SLUICE_FLIP_exchange, (void *)(HV_ADDRESS - 16), 3) == -XEN_EFAULT);
    EXPECT(hc_flip(SLUICE_FLIP_exchange, NULL, 0) == 0);
    /* A list in a slot that it flips itself: it is gone while its answer is written, or not. */
    offer_all();
    op = (struct sluice_flip_op *)(void *)slot_addr(4);
    op[0] = op_of(4, 5);
    (void)hc_flip(SLUICE_FLIP_exchange, op, 1);
    EXPECT(slot_accept(4) == 0 && slot_accept(5) == 0);
    /* One slot in each of thousands of operations. */
    offer_all();
    for (uint32_t i = 0; i < ARRAY_SIZE(many); i++)
        many[i] = op_of(0, 1 + i % (NR_SLOTS - 1));
    EXPECT(hc_flip(SLUICE_FLIP_exchange, many, ARRAY_SIZE(many)) == 0);
    EXPECT(many[0].status == SLUICE_FLIP_okay);
    for (uint32_t i = 1; i < ARRAY_SIZE(many); i++)
        EXPECT(many[i].status < 0);
    EXPECT(slot_accept(0) == 0 && slot_accept(1) == 0);
    va_free(end, 2);
}

/* ------------------------------------------------------------ other vCPUs */

#define MARK 0xa77ac4a77ac4a771UL

static uint32_t stop, running, exchanged;
static uint32_t phase;                  /* PHASE_xxx: what the other vCPUs do; one can be started once only */
#define PHASE_STALE 1u
#define PHASE_RACES 2u
static volatile uint64_t *target;

static void try_write64(volatile uint64_t *p, uint64_t v)
{
    __asm__ volatile("1: mov %0, (%1)\n"
                     "2:\n"
                     ".pushsection .extable, \"a\"\n"
                     ".quad 1b, 2b\n"
                     ".popsection\n"
                     :: "r"(v), "r"(p) : "memory");
}

static void writer(void)
{
    (void)atomic_add_return(&running, 1u);
    while (!load_acquire(&stop))
        try_write64(target, MARK);
    (void)atomic_sub_return(&running, 1u);
}

static void wait_running(uint32_t n)
{
    while (load_acquire(&running) != n)
        (void)hc_sched_op(SCHEDOP_yield, NULL);
}

/* The writer stores to slot 0 as fast as it can; the frame that goes from there to slot 2, by itself or in an extent, must not change
 * from the moment at which the exchange is done. */
static void stale(void)
{
    unsigned int n = MIN(ap_count(), 2u), seen = 0, late = 0;

    target = (volatile uint64_t *)(void *)slot_addr(0) + 77;
    store_release(&phase, PHASE_STALE);
    wait_running(n - 1);
    for (unsigned int round = 0; round < 300; round++) {
        uint32_t pages = 1 + round % 2, to = 2;
        volatile uint64_t *moved = (volatile uint64_t *)(void *)slot_addr(to) + 77;
        uint64_t first;

        for (unsigned int i = 0; i < 2000 && *target != MARK && n > 1; i++)
            cpu_relax();
        offer_extent(0, pages);
        offer_extent(to, pages);
        EXPECT(flip_pages(0, to, pages) == SLUICE_FLIP_okay);
        first = *moved;
        seen += first == MARK;
        *moved = ~MARK;
        for (unsigned int i = 0; i < 1000; i++)
            late += *moved != ~MARK;
        for (uint32_t i = 0; i < pages; i++)
            EXPECT(slot_accept(i) == 0 && slot_accept(to + i) == 0);
    }
    store_release(&stop, 1u);
    wait_running(0);
    EXPECT(late == 0);
    log_info("attack flips: %u of 300 frames moved with the writer's mark in them, %u written later", seen, late);
}

struct rng {
    uint64_t s;
};

static uint32_t rnd(struct rng *r, uint32_t n)
{
    r->s ^= r->s << 13;
    r->s ^= r->s >> 7;
    r->s ^= r->s << 17;
    return (uint32_t)((r->s * 0x2545f4914f6cdd1dUL >> 32) % n);
}

static uint64_t frame[NR_SLOTS];        /* all that were once in a slot; some of them move */

static void exchanges(struct rng *r)
{
    struct sluice_flip_op op[40];
    uint32_t n = 1 + rnd(r, ARRAY_SIZE(op));

    for (uint32_t i = 0; i < n; i++)
        op[i] = op_of(rnd(r, NR_SLOTS), rnd(r, NR_SLOTS));
    for (uint32_t i = 0; i < n; i += 1 + rnd(r, 3))
        op[i].more = (uint16_t)rnd(r, 5);
    (void)hc_flip(SLUICE_FLIP_exchange, op, n);
    for (uint32_t i = 0; i < n; i++)
        if (op[i].status == SLUICE_FLIP_okay)
            (void)atomic_add_return(&exchanged, 1u);
}

static void change_ptes(struct rng *r)
{
    uint32_t i = rnd(r, NR_SLOTS);
    uint64_t e = slot_pte(i), m = frame[rnd(r, 3) ? i : rnd(r, NR_SLOTS)];

    switch (rnd(r, 5)) {
    case 0:
        e = 0;
        break;
    case 1:
        e ^= PTE_WRITE;
        break;
    case 2:
        e ^= 1UL << 9;
        break;
    default:
        e = m << PAGE_SHIFT | RW;
        break;
    }
    (void)hc_update_va_mapping((uint64_t)slot_addr(i), e, rnd(r, 2) ? UVMF_INVLPG | UVMF_ALL : 0);
}

static void change_offers(struct rng *r)
{
    uint32_t i = rnd(r, NR_SLOTS);
    grant_entry_v1_t *e = slot_entry(i);

    if (rnd(r, 4)) {
        e->frame = (uint32_t)((slot_pte(i) & PTE_ADDR) >> PAGE_SHIFT);
        e->domid = me;
        store_release(&e->flags, (uint16_t)(rnd(r, 2) ? OFFER : OFFER | SLUICE_GTF_flip_more(rnd(r, 16))));
    } else if (rnd(r, 2)) {
        (void)slot_withdraw(i);
    } else {
        e->frame = (uint32_t)frame[rnd(r, NR_SLOTS)];
    }
}

static void grants(struct rng *r, char *va)
{
    struct gnttab_map_grant_ref map = { .flags = GNTMAP_host_map | rnd(r, 2) * GNTMAP_readonly,
                                        .ref = FIRST_REF + rnd(r, NR_SLOTS), .dom = me };
    struct gnttab_unmap_grant_ref unmap = { .host_addr = (uint64_t)va };
    struct gnttab_copy copy = { .flags = GNTCOPY_source_gref | GNTCOPY_dest_gref, .len = 4000 };

    map.host_addr = (uint64_t)va;
    (void)hc_grant_table_op(GNTTABOP_map_grant_ref, &map, 1);
    grant_copy_ref(&copy.source, me, FIRST_REF + rnd(r, NR_SLOTS), 0);
    grant_copy_ref(&copy.dest, me, FIRST_REF + rnd(r, NR_SLOTS), 96);
    (void)hc_grant_table_op(GNTTABOP_copy, &copy, 1);
    if (map.status != GNTST_okay)
        return;
    unmap.handle = map.handle;
    /* Sometimes through the slot's own entry, which may be the same frame's. */
    if (rnd(r, 4) == 0)
        unmap.host_addr = (uint64_t)slot_addr(map.ref - FIRST_REF);
    (void)hc_grant_table_op(GNTTABOP_unmap_grant_ref, &unmap, 1);
    unmap.host_addr = (uint64_t)va;
    (void)hc_grant_table_op(GNTTABOP_unmap_grant_ref, &unmap, 1);
    (void)hc_update_va_mapping((uint64_t)va, 0, UVMF_INVLPG);
}

static void memory(struct rng *r)
{
    uint32_t i = rnd(r, NR_SLOTS);
    xen_pfn_t m = frame[i];
    struct xen_memory_reservation res = { .nr_extents = 1, .domid = DOMID_SELF };
    struct mmuext_op ext = { .cmd = rnd(r, 2) ? MMUEXT_PIN_L1_TABLE : MMUEXT_UNPIN_TABLE };

    ext.arg1.mfn = frame[rnd(r, NR_SLOTS)];
    (void)hc_mmuext_op(&ext, 1, NULL, DOMID_SELF);
    if (rnd(r, 64))
        return;
    set_xen_guest_handle(res.extent_start, &m);
    if (hc_memory_op(XENMEM_decrease_reservation, &res) != 1)
        return;
    m = i;
    if (hc_memory_op(XENMEM_populate_physmap, &res) == 1)
        frame[i] = m;
}

static void come_and_go(struct rng *r)
{
    (void)r;
    (void)slots_unregister(slot_window);
    (void)slots_register();
}

static char *racer_va[4];

static void racer(unsigned int cpu)
{
    struct rng r = { 0x9e3779b97f4a7c15UL * (cpu + 1) };

    (void)atomic_add_return(&running, 1u);
    for (unsigned int i = 0; !load_acquire(&stop); i++) {
        /* Each prefers something else; all do everything. */
        switch (rnd(&r, 4) ? cpu : rnd(&r, 7)) {
        case 1: exchanges(&r); break;
        case 2: change_ptes(&r); break;
        case 3: change_offers(&r); break;
        case 4: grants(&r, racer_va[cpu]); break;
        case 5: memory(&r); break;
        case 6: come_and_go(&r); break;
        default: exchanges(&r); change_offers(&r); break;
        }
    }
    (void)atomic_sub_return(&running, 1u);
}

static void other_vcpu(unsigned int cpu)
{
    while (load_acquire(&phase) != PHASE_STALE)
        (void)hc_sched_op(SCHEDOP_yield, NULL);
    if (cpu == 1)
        writer();
    while (load_acquire(&phase) != PHASE_RACES)
        (void)hc_sched_op(SCHEDOP_yield, NULL);
    racer(cpu);
}

static void races(uint64_t rounds)
{
    unsigned int n = MIN(ap_count(), 4u);
    struct rng r = { 4711 };

    for (uint32_t i = 0; i < NR_SLOTS; i++)
        frame[i] = virt_to_mfn(slot_addr(i)).v;
    for (unsigned int i = 0; i < 4; i++)
        racer_va[i] = va_alloc(1);
    offer_all();
    store_release(&stop, 0u);
    store_release(&phase, PHASE_RACES);
    wait_running(n - 1);
    for (uint64_t i = 0; i < rounds; i++) {
        exchanges(&r);
        change_offers(&r);
        if (i % 16 == 0)
            memory(&r);
        if (i % 64 == 0)
            come_and_go(&r);
        grants(&r, racer_va[0]);
    }
    store_release(&stop, 1u);
    wait_running(0);
    log_info("attack flips: %u exchanges beside %u other vCPUs", exchanged, n - 1);
    EXPECT(exchanged > 0);
}

void pv_main(void)
{
    me = own_domid();
    EXPECT(slots_init() == 0);
    entries();
    frames();
    extents();
    windows();
    lists();
    for (unsigned int i = 1; i < MIN(ap_count(), 4u); i++)
        EXPECT(ap_start(i, other_vcpu) == 0);
    stale();
    races(cmdline_get_u64("rounds", 500));
    conclude("flips");
}
