/* SPDX-License-Identifier: MIT */
/*
 * main.c - a guest that tries everything forbidden with page tables. README.md says what.
 */
#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/p2m.h"
#include "runtime/pagetable.h"
#include "runtime/start.h"
#include "runtime/traps.h"
#include "tests/attack/expect.h"
#include "tests/attack/trywrite.h"

#define PTE_PSE     0x080UL
#define HV_START    0xffff800000000000UL
#define FRAMES      48u
#define TBL         (PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED | PTE_DIRTY)

static uint64_t entry(mfn_t m, uint64_t flags)
{
    return m.v << PAGE_SHIFT | flags;
}

static long update(uint64_t maddr, uint64_t val)
{
    struct mmu_update u = { maddr, val };

    return hc_mmu_update(&u, 1, NULL, DOMID_SELF);
}

static long ext_for(unsigned int cmd, mfn_t m, domid_t dom)
{
    struct mmuext_op op = { .cmd = cmd, .arg1.mfn = m.v };

    return hc_mmuext_op(&op, 1, NULL, dom);
}

static long ext(unsigned int cmd, mfn_t m)
{
    return ext_for(cmd, m, DOMID_SELF);
}

static long map(const void *va, uint64_t e)
{
    return hc_update_va_mapping((uint64_t)va, e, UVMF_INVLPG | UVMF_ALL);
}

static long protect(const void *p, bool writable)
{
    return map(p, entry(virt_to_mfn(p), PTE_PRESENT | (writable ? PTE_WRITE : 0)));
}

/* A page for tables: zeroed, and read-only for us. */
static uint64_t *table_page(void)
{
    uint64_t *t = page_alloc_zeroed();

    IS(protect(t, false), 0);
    return t;
}

static void free_table(uint64_t *t)
{
    IS(protect(t, true), 0);
    page_free(t);
}

/* ---------------------------------------------------------------- leaf entries */

static void leaf_entries(void)
{
    uint64_t *victim = page_alloc_zeroed();
    void *va = va_alloc(1);
    mfn_t own = virt_to_mfn(victim), l1, l4 = mfn(0);
    uint64_t shared = start_info->shared_info >> PAGE_SHIFT;

    IS(map(va, entry(own, PTE_PRESENT | PTE_WRITE)), 0);
    l1 = mfn(pte_maddr(va) >> PAGE_SHIFT);
    /* A live table, writable, by every way in. */
    REFUSED(map(va, entry(l1, PTE_PRESENT | PTE_WRITE)));
    REFUSED(update(pte_maddr(va), entry(l1, PTE_PRESENT | PTE_WRITE)));
    REFUSED(update(pte_maddr(va) | MMU_PT_UPDATE_PRESERVE_AD, entry(l1, PTE_PRESENT | PTE_WRITE)));
    IS(map(va, entry(l1, PTE_PRESENT)), 0);
    EXPECT(!try_write64(va, 0) || true);
    REFUSED(map(va, entry(l1, PTE_PRESENT | PTE_WRITE)));
    /* What was there is there still. */
    IS(map(va, entry(own, PTE_PRESENT | PTE_WRITE)), 0);
    EXPECT(try_write64(va, 42) && *victim == 42);
    /* Not RAM; RAM of nobody; cache bits; large. */
    REFUSED(map(va, entry(mfn(0xfee00), PTE_PRESENT | PTE_WRITE | PTE_PCD)));
    REFUSED(map(va, entry(mfn(0xfec00), PTE_PRESENT)));
    REFUSED(map(va, entry(mfn(0xb8), PTE_PRESENT | PTE_WRITE)));
    REFUSED(map(va, entry(mfn(PTE_ADDR >> PAGE_SHIFT), PTE_PRESENT)));
    REFUSED(map(va, entry(own, PTE_PRESENT | PTE_PCD)));
    REFUSED(map(va, entry(own, PTE_PRESENT | PTE_PWT)));
    REFUSED(map(va, entry(own, PTE_PRESENT | PTE_PSE)));
    IS(map(va, entry(mfn(shared), PTE_PRESENT | PTE_WRITE)), 0);
    EXPECT(mfn_to_pfn(mfn(shared)).v == ~0UL);
    (void)l4;
    IS(map(va, 0), 0);
    /* Addresses of the hypervisor, and none at all. */
    REFUSED(hc_update_va_mapping(HV_START, entry(own, PTE_PRESENT), 0));
    REFUSED(hc_update_va_mapping(0xffff830000000000UL, entry(own, PTE_PRESENT), 0));
    REFUSED(hc_update_va_mapping(0xffff820000000000UL, 0, 0));
    REFUSED(hc_update_va_mapping(0x8000000000000000UL, 0, 0));
    EXPECT(*victim == 42);
    va_free(va, 1);
    page_free(victim);
}

/* Every frame of the machine: only our own may be mapped. */
static void all_frames(void)
{
    struct xen_machphys_mapping m = { 0 };
    void *va = va_alloc(1);
    unsigned int mine = 0, wrong = 0;

    IS(hc_memory_op(XENMEM_machphys_mapping, &m), 0);
    for (uint64_t i = 0; i <= m.max_mfn + 16; i++) {
        uint64_t p = ~0UL;
        bool own = i <= m.max_mfn && try_read64((uint64_t *)(HV_START + i * 8), &p) &&
                   p < p2m_pages() && pfn_to_mfn(pfn(p)).v == i;

        if (own || i == start_info->shared_info >> PAGE_SHIFT) {
            mine++;
            continue;
        }
        wrong += map(va, entry(mfn(i), PTE_PRESENT)) == 0;
        wrong += map(va, entry(mfn(i), PTE_PRESENT | PTE_WRITE)) == 0;
    }
    log_info("attack: %u frames of %lu are ours, %u of others could be mapped", mine, m.max_mfn + 1,
             wrong);
    /* Our page tables are in the list, grant frames are not. */
    EXPECT(wrong <= 2 * 8);
    map(va, 0);
    va_free(va, 1);
}

/* ---------------------------------------------------------------- tables */

static void upper_tables(void)
{
    uint64_t *l4 = table_page(), *l3 = table_page(), *l2 = table_page(), *l1 = table_page();
    uint64_t *data = page_alloc_zeroed();
    uint64_t a4 = virt_to_maddr(l4), a3 = virt_to_maddr(l3), a2 = virt_to_maddr(l2),
             a1 = virt_to_maddr(l1);
    mfn_t m4 = virt_to_mfn(l4), m3 = virt_to_mfn(l3), m2 = virt_to_mfn(l2), m1 = virt_to_mfn(l1);

    IS(update(a4, entry(m3, TBL)), 0);      /* not typed yet: plain stores */
    IS(update(a3, entry(m2, TBL)), 0);
    IS(update(a2, entry(m1, TBL)), 0);
    IS(update(a1, entry(virt_to_mfn(data), PTE_PRESENT | PTE_WRITE)), 0);
    /* A writable page is no table. */
    IS(protect(l1, true), 0);
    REFUSED(ext(MMUEXT_PIN_L4_TABLE, m4));
    REFUSED(ext(MMUEXT_PIN_L1_TABLE, m1));
    IS(protect(l1, false), 0);
    /* An L1 that maps itself or its parents writable. */
    IS(update(a1 + 8, entry(m1, PTE_PRESENT | PTE_WRITE)), 0);
    REFUSED(ext(MMUEXT_PIN_L4_TABLE, m4));
    IS(update(a1 + 8, entry(m4, PTE_PRESENT | PTE_WRITE)), 0);
    REFUSED(ext(MMUEXT_PIN_L4_TABLE, m4));
    IS(update(a1 + 8, entry(m4, PTE_PRESENT)), 0);
    /* Large pages and odd bits. */
    IS(update(a2 + 8, entry(virt_to_mfn(data), PTE_PRESENT | PTE_PSE)), 0);
    REFUSED(ext(MMUEXT_PIN_L4_TABLE, m4));
    IS(update(a2 + 8, entry(m1, PTE_PRESENT | 0x100)), 0);
    REFUSED(ext(MMUEXT_PIN_L4_TABLE, m4));
    IS(update(a2 + 8, 0), 0);
    /* Levels mixed up. */
    IS(update(a3 + 8, entry(m1, TBL)), 0);
    REFUSED(ext(MMUEXT_PIN_L4_TABLE, m4));
    IS(update(a3 + 8, entry(m3, TBL)), 0);
    REFUSED(ext(MMUEXT_PIN_L3_TABLE, m3));
    IS(update(a3 + 8, 0), 0);
    IS(update(a4 + 8, entry(mfn(1), TBL)), 0);
    REFUSED(ext(MMUEXT_PIN_L4_TABLE, m4));
    IS(update(a4 + 8, 0), 0);
    /* Self-mappings. */
    IS(update(a4 + 8, entry(m4, TBL)), 0);
    REFUSED(ext(MMUEXT_PIN_L4_TABLE, m4));
    IS(update(a4 + 8, entry(m4, PTE_PRESENT)), 0);
    IS(ext(MMUEXT_PIN_L4_TABLE, m4), 0);
    REFUSED(update(a4 + 8, entry(m4, TBL)));
    IS(update(a4 + 8, 0), 0);
    /* Live now. */
    REFUSED(protect(l1, true));
    REFUSED(protect(l4, true));
    REFUSED(ext(MMUEXT_PIN_L4_TABLE, m4));
    REFUSED(ext(MMUEXT_PIN_L1_TABLE, m4));
    REFUSED(ext(MMUEXT_UNPIN_TABLE, m3));
    REFUSED(ext(MMUEXT_CLEAR_PAGE, m1));
    REFUSED(update(a4 + 8, entry(virt_to_mfn(data), TBL)));
    REFUSED(update(a2 + 8, entry(virt_to_mfn(data), PTE_PRESENT | PTE_PSE)));
    REFUSED(update(a1, entry(m2, PTE_PRESENT | PTE_WRITE)));
    for (unsigned int slot = 256; slot < 272; slot++) {
        REFUSED(update(a4 + slot * 8, 0));
        REFUSED(update(a4 + slot * 8, entry(m3, TBL)));
    }
    REFUSED(update(a4 | 4, 0));
    REFUSED(update(a4 | 7, 0));
    IS(ext(MMUEXT_UNPIN_TABLE, m4), 0);
    REFUSED(ext(MMUEXT_UNPIN_TABLE, m4));
    /* All types are gone with it, at once. */
    free_table(l1);
    free_table(l2);
    free_table(l3);
    free_table(l4);
    page_free(data);
}

static void roots(void)
{
    uint64_t *t = table_page();

    REFUSED(ext(MMUEXT_NEW_BASEPTR, mfn(0)));
    REFUSED(ext(MMUEXT_NEW_BASEPTR, mfn(~0UL >> 12)));
    REFUSED(ext(MMUEXT_NEW_BASEPTR, mfn(start_info->shared_info >> PAGE_SHIFT)));
    REFUSED(ext(MMUEXT_NEW_USER_BASEPTR, mfn(1)));
    IS(ext(MMUEXT_NEW_USER_BASEPTR, virt_to_mfn(t)), 0);     /* empty, but an L4 */
    REFUSED(protect(t, true));
    IS(ext(MMUEXT_NEW_USER_BASEPTR, mfn(0)), 0);
    free_table(t);
    REFUSED(ext_for(MMUEXT_PIN_L1_TABLE, mfn(1), 0));
    IS(ext_for(MMUEXT_TLB_FLUSH_LOCAL, mfn(0), 0), -XEN_EPERM);
    IS(ext_for(MMUEXT_TLB_FLUSH_LOCAL, mfn(0), 12345), -XEN_ESRCH);
    IS(ext(99, mfn(0)), -XEN_ENOSYS);
}

/* A page that is written through an old TLB entry must not become a table under it. */
static void stale_entries(void)
{
    uint64_t *p = page_alloc_zeroed();
    volatile uint64_t *alias = va_alloc(1);
    mfn_t m = virt_to_mfn(p);

    for (unsigned int i = 0; i < 50; i++) {
        IS(hc_update_va_mapping((uint64_t)alias, entry(m, PTE_PRESENT | PTE_WRITE | PTE_USER), 0), 0);
        EXPECT(try_write64(alias, 0));
        /* No flush is asked for, here or there. */
        IS(hc_update_va_mapping((uint64_t)alias, entry(m, PTE_PRESENT | PTE_USER), 0), 0);
        IS(hc_update_va_mapping((uint64_t)p, entry(m, PTE_PRESENT), 0), 0);
        IS(ext(MMUEXT_PIN_L1_TABLE, m), 0);
        /* Not `EXPECT(!try_write64())`: the store may be emulated, which checks it. */
        (void)try_write64(alias, entry(m, PTE_PRESENT | PTE_WRITE));
        EXPECT(*alias == 0);
        (void)try_write64(p, entry(mfn(1), PTE_PRESENT | PTE_WRITE));
        EXPECT(*p == 0);
        IS(ext(MMUEXT_UNPIN_TABLE, m), 0);
        IS(hc_update_va_mapping((uint64_t)p, entry(m, PTE_PRESENT | PTE_WRITE), UVMF_INVLPG), 0);
    }
    map((void *)alias, 0);
    va_free((void *)alias, 1);
    page_free(p);
}

/* Frames that we give back while they are in use go only when the use ends. */
static void give_back_in_use(void)
{
    uint64_t *p = page_alloc_zeroed(), *t = table_page();
    xen_pfn_t frame = virt_to_mfn(p).v, table = virt_to_mfn(t).v;
    struct xen_memory_reservation r = { .nr_extents = 1, .domid = DOMID_SELF };

    *p = 0x1234567890abcdefUL;
    set_xen_guest_handle(r.extent_start, &frame);
    IS(hc_memory_op(XENMEM_decrease_reservation, &r), 1);
    EXPECT(*p == 0x1234567890abcdefUL);       /* still mapped, so still there */
    IS(hc_memory_op(XENMEM_decrease_reservation, &r), 1);
    EXPECT(*p == 0x1234567890abcdefUL);
    IS(map(p, 0), 0);
    REFUSED(map(p, entry(mfn(frame), PTE_PRESENT)));
    IS(ext(MMUEXT_PIN_L2_TABLE, mfn(table)), 0);
    frame = table;
    IS(hc_memory_op(XENMEM_decrease_reservation, &r), 1);
    IS(map(t, 0), 0);
    IS(update(table << PAGE_SHIFT, 0), 0);  /* a live table as before */
    IS(ext(MMUEXT_UNPIN_TABLE, mfn(table)), 0);
    REFUSED(update(table << PAGE_SHIFT, 0));
    REFUSED(ext(MMUEXT_PIN_L2_TABLE, mfn(table)));
    frame = 1;
    IS(hc_memory_op(XENMEM_decrease_reservation, &r), 0);
    r.domid = 0;                            /* none of its extents */
    IS(hc_memory_op(XENMEM_decrease_reservation, &r), 0);
    r.domid = DOMID_SELF;
    r.nr_extents = 1UL << 40;
    r.extent_order = 9;
    set_xen_guest_handle(r.extent_start, (xen_pfn_t *)0xffff830000000000UL);
    IS(hc_memory_op(XENMEM_populate_physmap, &r), 0);
    IS(hc_memory_op(XENMEM_decrease_reservation, &r), 0);
    /* The two pages are lost to us: their PFNs have no frame any more. */
}

/* ---------------------------------------------------------------- descriptors */

static uint64_t descriptor(unsigned int type, bool segment, unsigned int dpl, unsigned int selector)
{
    return (uint64_t)type << 40 | (uint64_t)segment << 44 | (uint64_t)dpl << 45 | 1UL << 47 |
           (uint64_t)selector << 16 | 0xffff;
}

static void descriptors(void)
{
    uint64_t *p = page_alloc_zeroed();
    xen_pfn_t frame = virt_to_mfn(p).v;
    paddr_t a = virt_to_maddr(p);

    REFUSED(hc_set_gdt(&frame, 512));                   /* writable */
    REFUSED(hc_set_gdt(&frame, 7169));
    REFUSED(hc_set_gdt(&frame, ~0u));
    p[0] = descriptor(9, false, 3, 0);                  /* a TSS */
    IS(protect(p, false), 0);
    REFUSED(hc_set_gdt(&frame, 512));
    for (unsigned int type = 1; type < 16; type++)
        if (type != 12)
            REFUSED(hc_update_descriptor(a, descriptor(type, false, 3, 0x10)));
    REFUSED(hc_update_descriptor(a, descriptor(12, false, 3, 0xe008)));
    REFUSED(hc_update_descriptor(a + 1, 0));
    REFUSED(hc_update_descriptor(1UL << 12, 0));
    IS(hc_update_descriptor(a, 0), 0);
    IS(hc_set_gdt(&frame, 512), 0);
    REFUSED(protect(p, true));
    IS(hc_update_descriptor(a + 8, descriptor(10, true, 0, 0)), 0);
    EXPECT(((p[1] >> 45) & 3) == 3);                      /* ring 3 whatever we say */
    REFUSED(ext(MMUEXT_PIN_L1_TABLE, mfn(frame)));
    IS(hc_set_gdt(&frame, 0), 0);
    IS(protect(p, true), 0);
    page_free(p);
}

/* ---------------------------------------------------------------- pointers */

static void pointers(void)
{
    static const uint64_t bad[] = {
        0xffff800000000000UL, 0xffff808000000000UL, 0xffff82d040200000UL, 0xffff830000000000UL,
        0xffff87ffffffffffUL, 0xffff7ffffffffff8UL, 0x800000000000UL, 0x7ffffffffff9UL,
        0xfffffffffffffff9UL, 0, 8,
    };
    uint64_t m2p0 = 0;

    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
        void *p = (void *)bad[i];

        IS(hc_memory_op(XENMEM_machphys_mapping, p), -XEN_EFAULT);
        IS(hc_mmu_update(p, 1, NULL, DOMID_SELF), -XEN_EFAULT);
        IS(hc_mmuext_op(p, 1, NULL, DOMID_SELF), -XEN_EFAULT);
        REFUSED(hc_set_gdt(p, 512));
    }
    EXPECT(!try_write64((uint64_t *)HV_START, 1));
    (void)try_read64((uint64_t *)HV_START, &m2p0);      /* reading is allowed */
    EXPECT(!try_read64((uint64_t *)0xffff808000000000UL, &m2p0));
    EXPECT(!try_read64((uint64_t *)0xffff830000000000UL, &m2p0));
    EXPECT(!try_read64((uint64_t *)0xffff820000000000UL, &m2p0));
    EXPECT(!try_read64((uint64_t *)0xffff82d040200000UL, &m2p0));
}

/* ---------------------------------------------------------------- noise */

static uint32_t seed = 1;

static uint32_t rnd(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static uint64_t noise_entry(const mfn_t *f)
{
    uint64_t e = entry(f[rnd(FRAMES)], rnd(2) ? TBL : PTE_PRESENT | PTE_USER);

    switch (rnd(12)) {
    case 0:
        return 0;
    case 1:
        return e & ~PTE_PRESENT;
    case 2:
        return e | 1UL << rnd(64);
    case 3:
        return entry(mfn(rnd(0x100000)), PTE_PRESENT | rnd(8));
    default:
        return e;
    }
}

/*
 * Frames without any mapping of ours, so that all types are possible; slots are few, so that
 * tables get deep. Whatever the answers: the machine stands, and all can be undone.
 */
static void noise(void)
{
    static const unsigned int slots[] = { 0, 1, 255, 256, 272, 511 };
    uint64_t *page[FRAMES];
    unsigned int ok = 0, rounds = (unsigned int)cmdline_get_u64("rounds", 100000);
    mfn_t f[FRAMES];

    for (unsigned int i = 0; i < FRAMES; i++) {
        page[i] = page_alloc_zeroed();
        f[i] = virt_to_mfn(page[i]);
        IS(map(page[i], 0), 0);
    }
    for (unsigned int i = 0; i < rounds; i++) {
        mfn_t m = f[rnd(FRAMES)];
        long rc;

        switch (rnd(8)) {
        case 0:
            rc = ext(MMUEXT_PIN_L1_TABLE + rnd(4), m);
            break;
        case 1:
            rc = ext(MMUEXT_UNPIN_TABLE, m);
            break;
        case 2:
            rc = ext(rnd(2) ? MMUEXT_NEW_USER_BASEPTR : MMUEXT_CLEAR_PAGE, rnd(4) ? m : mfn(0));
            break;
        case 3:
            rc = ext(MMUEXT_COPY_PAGE, m);
            break;
        default:
            rc = update(mfn_to_paddr(m) + slots[rnd(6)] * 8 + (rnd(8) ? 0 : 2), noise_entry(f));
        }
        ok += rc == 0;
    }
    log_info("attack: %u of %u random calls were accepted", ok, rounds);
    IS(ext(MMUEXT_NEW_USER_BASEPTR, mfn(0)), 0);
    for (unsigned int i = 0; i < FRAMES; i++)
        (void)ext(MMUEXT_UNPIN_TABLE, f[i]);
    /* Without pins and roots no type is left, so every page can be written again. */
    for (unsigned int i = 0; i < FRAMES; i++) {
        IS(map(page[i], entry(f[i], PTE_PRESENT | PTE_WRITE)), 0);
        memset(page[i], 0, PAGE_SIZE);
        page_free(page[i]);
    }
}

void pv_main(void)
{
    leaf_entries();
    upper_tables();
    roots();
    stale_entries();
    descriptors();
    pointers();
    give_back_in_use();
    noise();
    all_frames();
    conclude("mmu");
}
