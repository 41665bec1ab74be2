/* SPDX-License-Identifier: MIT */
/*
 * map.c - the hypervisor's own address space.
 *
 * Built once at boot, in an order in which each step only touches what is mapped already: direct
 * map and image from memory below 4 GiB (which head.S mapped), switch to them, then M2P and
 * frame table from anywhere. All L3s of slots 256..271 exist from then on, so later changes
 * (ioremap, split pages) are seen by every L4.
 */
#include "mm/map.h"

#include "boot/bootmem.h"
#include "cpu/asm.h"
#include "cpu/percpu.h"
#include "dev/panic.h"
#include "lib/string.h"
#include "mm/buddy.h"
#include "mm/tlb.h"
#include "spinlock.h"

#define SIZE_2M     (1UL << 21)
#define SIZE_1G     (1UL << 30)

#define FLAGS_TABLE (PTE_P | PTE_RW | PTE_A | PTE_D)
#define FLAGS_DATA  (PTE_P | PTE_RW | PTE_A | PTE_D | PTE_G | PTE_NX)
#define FLAGS_RO    (PTE_P | PTE_A | PTE_D | PTE_G | PTE_NX)
#define FLAGS_TEXT  (PTE_P | PTE_A | PTE_D | PTE_G)
#define FLAGS_M2P   (FLAGS_DATA | PTE_U)
#define FLAGS_UC    (PTE_PCD | PTE_PWT)     /* with our PAT: strongly uncached */

#define MFNS_PER_M2P_PAGE   (PAGE_SIZE / sizeof(uint64_t))

/* Three pages are the smallest whole number of struct page that fill pages. */
#define HOLE_PAGES          3
_Static_assert(sizeof(struct page) == 24, "three pages hold 512 of them");

extern const char hv_text_start[], hv_text_end[], hv_ro_start[], hv_ro_end[], hv_data_start[],
    hv_end[];

pte_t *idle_l4;
uint64_t max_mfn;

static spinlock_t map_lock = SPINLOCK_INIT(LOCK_MAP);
static bool booting = true;
static uint64_t fixmap_next = FIXMAP_START;

/* A new, zeroed table; 0: no memory. While booting there always is some, or we stop. */
static paddr_t new_table(void)
{
    void *t;

    if (booting)
        return bootmem_alloc(PAGE_SIZE, PAGE_SIZE);
    t = page_alloc_zeroed();
    return t ? virt_to_paddr(t) : 0;
}

static pte_t *table_at(pte_t e)
{
    return paddr_to_virt(e & PTE_ADDR);
}

/* The table that *e points to, made if need be; NULL: no memory. */
static pte_t *next_table(pte_t *e, uint64_t flags)
{
    paddr_t pa;

    if (!(*e & PTE_P)) {
        pa = new_table();
        if (!pa)
            return NULL;
        *e = pa | FLAGS_TABLE | (flags & PTE_U);
    }
    return table_at(*e);
}

/* The entry of size 4 KiB, 2 MiB or 1 GiB for va in idle_l4, tables made on the way. */
static pte_t *entry_for(uint64_t va, uint64_t size, uint64_t flags)
{
    pte_t *t = next_table(&idle_l4[l4_index(va)], flags);

    if (!t || size == SIZE_1G)
        return t ? &t[l3_index(va)] : NULL;
    t = next_table(&t[l3_index(va)], flags);
    if (!t || size == SIZE_2M)
        return t ? &t[l2_index(va)] : NULL;
    t = next_table(&t[l2_index(va)], flags);
    return t ? &t[l1_index(va)] : NULL;
}

static void map_boot(uint64_t va, paddr_t pa, uint64_t size, uint64_t flags)
{
    *entry_for(va, size, flags) = pa | flags | (size > PAGE_SIZE ? PTE_PSE : 0);
}

/* [pa, pa + len) at va, which are congruent, in the largest pages that fit. */
static void map_boot_range(uint64_t va, paddr_t pa, uint64_t len, uint64_t flags, uint64_t largest)
{
    while (len) {
        uint64_t size = largest;

        while (size > PAGE_SIZE && (((va | pa) & (size - 1)) || len < size))
            size >>= 9;
        map_boot(va, pa, size, flags);
        va += size;
        pa += size;
        len -= size;
    }
}

static void map_section(const char *from, const char *to, uint64_t flags)
{
    uint64_t va = (uint64_t)from;

    map_boot_range(va, virt_to_paddr(from), (uint64_t)to - va, flags, PAGE_SIZE);
}

/* RAM frames in [first, end): any, all, or none? */
enum ram_share { RAM_NONE, RAM_SOME, RAM_ALL };

static enum ram_share ram_in(uint64_t first, uint64_t end)
{
    const struct boot_info *bi = boot_info();
    uint64_t found = 0;

    for (uint32_t i = 0; i < bi->nr_regions; i++) {
        const struct boot_region *r = &bi->region[i];
        uint64_t a = MAX(first, r->start >> PAGE_SHIFT), b = MIN(end, r->end >> PAGE_SHIFT);

        if (r->type == REGION_RAM && a < b)
            found += b - a;
    }
    return !found ? RAM_NONE : found == end - first ? RAM_ALL : RAM_SOME;
}

static bool have_1g_pages(void)
{
    return (cpuid(0x80000001, 0).d >> 26) & 1;
}

static void map_direct(void)
{
    const struct boot_info *bi = boot_info();
    uint64_t largest = have_1g_pages() ? SIZE_1G : SIZE_2M;

    for (uint32_t i = 0; i < bi->nr_regions; i++) {
        const struct boot_region *r = &bi->region[i];

        if (r->type != REGION_RAM)
            continue;
        map_boot_range(DIRECTMAP_START + r->start, r->start, r->end - r->start, FLAGS_DATA,
                       largest);
        max_mfn = MAX(max_mfn, (r->end >> PAGE_SHIFT) - 1);
    }
}

/* Slots 256 and 259 share an L3; what lies below says U and RW, the L4 entries choose. */
static void map_m2p(void)
{
    uint64_t step = SIZE_2M / sizeof(uint64_t);

    idle_l4[HV_SLOT_M2P] = (idle_l4[HV_SLOT_M2P_RW] & PTE_ADDR) | PTE_P | PTE_U | PTE_A | PTE_D;
    for (uint64_t m = 0; m <= max_mfn; m += MFNS_PER_M2P_PAGE) {
        uint64_t size = PAGE_SIZE;
        paddr_t pa;

        if (!(m % step) && ram_in(m, m + step) == RAM_ALL)
            size = SIZE_2M;
        else if (ram_in(m, m + MFNS_PER_M2P_PAGE) == RAM_NONE)
            continue;
        pa = bootmem_alloc(size, size);
        memset(paddr_to_virt(pa), 0xff, size);
        map_boot(M2P_RW_START + m * sizeof(uint64_t), pa, size, FLAGS_M2P);
        if (size == SIZE_2M)
            m += step - MFNS_PER_M2P_PAGE;
    }
}

static void fill_pages(struct page *pg, uint64_t n, uint16_t owner)
{
    for (uint64_t i = 0; i < n; i++)
        pg[i] = (struct page){ .owner = owner, .next = FRAME_NIL, .prev = FRAME_NIL };
}

/*
 * Pages of the frame table behind which there is no RAM at all are one read-only pattern of
 * three pages, however large the hole: so lookups need no bounds but max_mfn.
 */
static void map_frametable(void)
{
    uint64_t bytes = ROUND_UP((max_mfn + 1) * sizeof(struct page), PAGE_SIZE);
    paddr_t hole = bootmem_alloc(HOLE_PAGES * PAGE_SIZE, PAGE_SIZE);
    const struct boot_info *bi = boot_info();
    uint64_t size;

    fill_pages(paddr_to_virt(hole), HOLE_PAGES * PAGE_SIZE / sizeof(struct page), DOMID_IO);
    for (uint64_t off = 0; off < bytes; off += size) {
        uint64_t va = FRAMETABLE_START + off, first = off / sizeof(struct page);
        uint64_t end = DIV_ROUND_UP(off + PAGE_SIZE, sizeof(struct page));

        size = PAGE_SIZE;
        if (ram_in(first, end) == RAM_NONE) {
            map_boot(va, hole + off / PAGE_SIZE % HOLE_PAGES * PAGE_SIZE, size, FLAGS_RO);
            continue;
        }
        if (!(off % SIZE_2M) &&
            ram_in(first, DIV_ROUND_UP(off + SIZE_2M, sizeof(struct page))) == RAM_ALL)
            size = SIZE_2M;
        map_boot(va, bootmem_alloc(size, size), size, FLAGS_DATA);
    }
    /* Real pages at the edge of a hole start as zeros: say DOMID_IO first, then what is RAM. */
    for (uint64_t off = 0; off < bytes; off += PAGE_SIZE) {
        uint64_t first = off / sizeof(struct page);
        uint64_t end = MIN(DIV_ROUND_UP(off + PAGE_SIZE, sizeof(struct page)),
                           bytes / sizeof(struct page));

        if (ram_in(first, end) == RAM_SOME) {
            for (uint64_t m = first; m < end; m++) {
                if (mfn_to_page(mfn(m))->owner != DOMID_IO)
                    mfn_to_page(mfn(m))->owner = DOMID_IO;
            }
        }
    }
    for (uint32_t i = 0; i < bi->nr_regions; i++) {
        if (bi->region[i].type == REGION_RAM)
            fill_pages(mfn_to_page(mfn(bi->region[i].start >> PAGE_SHIFT)),
                       (bi->region[i].end - bi->region[i].start) >> PAGE_SHIFT, DOMID_NONE);
    }
}

void map_init(void)
{
    idle_l4 = paddr_to_virt(new_table());
    for (unsigned int slot = HV_SLOT_FIRST; slot <= HV_SLOT_LAST; slot++) {
        if (slot != HV_SLOT_M2P)
            idle_l4[slot] = new_table() | FLAGS_TABLE;
    }
    map_direct();
    map_section(hv_text_start, hv_text_end, FLAGS_TEXT);
    map_section(hv_ro_start, hv_ro_end, FLAGS_RO);
    map_section(hv_data_start, hv_end, FLAGS_DATA);

    write_cr3(virt_to_paddr(idle_l4));
    this_cpu_info()->cr3 = virt_to_paddr(idle_l4);
    tlb_flush_local(FLUSH_TLB_GLOBAL, 0);
    bootmem_set_limit(DIRECTMAP_SIZE);
    map_m2p();
    map_frametable();
}

void map_boot_done(void)
{
    booting = false;
}

void map_init_guest_l4(pte_t *l4, mfn_t perdomain_l3)
{
    memcpy(&l4[HV_SLOT_FIRST], &idle_l4[HV_SLOT_FIRST],
           (HV_SLOT_LAST - HV_SLOT_FIRST + 1) * sizeof(pte_t));
    l4[HV_SLOT_PERDOMAIN] = mfn_is_valid_value(perdomain_l3) ?
                            pte_make(perdomain_l3, FLAGS_TABLE) : 0;
}

static void *map_device(paddr_t pa, size_t size, uint64_t flags)
{
    uint64_t first = ROUND_DOWN(pa, PAGE_SIZE), end = ROUND_UP(pa + size, PAGE_SIZE), va;

    if (!size || end <= first)
        return NULL;
    spin_lock(&map_lock);
    va = fixmap_next;
    if (end - first > FIXMAP_END - va) {
        spin_unlock(&map_lock);
        return NULL;
    }
    for (uint64_t off = 0; first + off < end; off += PAGE_SIZE) {
        pte_t *e = entry_for(va + off, PAGE_SIZE, 0);

        if (!e) {                       /* entries written so far are never used: addresses */
            spin_unlock(&map_lock);     /* are given out once */
            return NULL;
        }
        *e = (first + off) | flags;
    }
    fixmap_next = va + (end - first) + PAGE_SIZE;   /* a hole behind each catches overruns */
    spin_unlock(&map_lock);
    return (void *)(va + (pa - first));
}

void *ioremap(paddr_t pa, size_t size)
{
    return map_device(pa, size, FLAGS_DATA | FLAGS_UC);
}

void *map_cached(paddr_t pa, size_t size)
{
    return map_device(pa, size, FLAGS_DATA);
}

void iounmap(void *p, size_t size)
{
    uint64_t va = ROUND_DOWN((uint64_t)p, PAGE_SIZE), end = ROUND_UP((uint64_t)p + size, PAGE_SIZE);

    if (!p)
        return;
    spin_lock(&map_lock);
    for (uint64_t a = va; a < end; a += PAGE_SIZE) {
        pte_t *e = entry_for(a, PAGE_SIZE, 0);
        if (e)
            *e = 0;
    }
    /* Before anybody can be given these addresses again. */
    tlb_flush_mask(CPUMASK_ALL, FLUSH_TLB_GLOBAL, 0);
    if (end + PAGE_SIZE == fixmap_next)     /* the usual case: the last one goes first */
        fixmap_next = va;
    spin_unlock(&map_lock);
}

/* Replaces a large page by a table of the next smaller ones. False: no memory. */
static bool split(pte_t *e, uint64_t size)
{
    uint64_t flags = *e & ~(PTE_ADDR | PTE_PSE), child = size >> 9;
    paddr_t pa = new_table();
    pte_t *t = paddr_to_virt(pa);

    if (!pa)
        return false;
    for (unsigned int i = 0; i < PTES_PER_TABLE; i++)
        t[i] = ((*e & PTE_ADDR) + i * child) | flags | (child > PAGE_SIZE ? PTE_PSE : 0);
    *e = pa | FLAGS_TABLE;
    return true;
}

void map_guard_page(void *p)
{
    uint64_t va = (uint64_t)p;
    pte_t *e;

    spin_lock(&map_lock);
    e = &table_at(idle_l4[l4_index(va)])[l3_index(va)];
    if (!(*e & PTE_PSE) || split(e, SIZE_1G)) {
        e = &table_at(*e)[l2_index(va)];
        if (!(*e & PTE_PSE) || split(e, SIZE_2M))
            table_at(*e)[l1_index(va)] = 0;
    }
    spin_unlock(&map_lock);
    tlb_flush_mask(CPUMASK_ALL, FLUSH_TLB_GLOBAL, 0);
}
