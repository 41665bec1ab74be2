/* SPDX-License-Identifier: MIT */
/*
 * pagetable.c - our address space, changed through hypercalls.
 *
 * The hypervisor accepts a page as page table only while nothing maps it writable. So a new
 * table is filled (or zeroed) first, then made read-only in the direct map, then hooked in. Pages
 * that the allocator owns have no mapping but the direct map's: start.c drops the builder's.
 */
#include "runtime/pagetable.h"
#include "lib/list.h"
#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/p2m.h"
#include "runtime/start.h"

#define VIRT_BASE   0xffffffff80000000UL
#define FLAGS_RW    (PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED | PTE_DIRTY)
#define FLAGS_RO    (PTE_PRESENT | PTE_USER | PTE_ACCESSED)
#define FLAGS_TABLE (PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED | PTE_DIRTY)
#define BATCH       64u
#define SLOTS       512u

/* Tables of the window area: machine frame of the L1 for each 2 MiB. */
#define WINDOW_MAX  (4UL << 30)
static uint64_t window_l1[WINDOW_MAX >> 21];
static size_t window_tables;            /* entries of window_l1 in use */

struct va_range {
    struct list link;                   /* free_ranges, by address */
    uint64_t start;
    size_t pages;
};
static struct list free_ranges = LIST_INIT(free_ranges);
static uint64_t window_top = WINDOW_MAP;

static bool direct_map_ready;
static uint64_t nx;                     /* PTE_NX where the CPU has it: nothing but .text runs */
static mfn_t l4_frame;

extern char _image_start[], _text_end[], _rodata_end[], _image_end[];
extern char stack_guard[], shared_info_page[];

static unsigned int slot_of(uint64_t va, unsigned int level)
{
    return (va >> (PAGE_SHIFT + 9 * (level - 1))) % SLOTS;
}

static bool in_direct_map(uint64_t va)
{
    return va >= DIRECT_MAP && va < DIRECT_MAP + (p2m_pages() << PAGE_SHIFT);
}

static bool in_window(uint64_t va)
{
    return va >= WINDOW_MAP && va < WINDOW_MAP + WINDOW_MAX;
}

static const uint64_t *table_at(mfn_t table)
{
    pfn_t n = mfn_to_pfn(table);

    BUG_ON(n.v == ~0UL);
    return direct_map_ready ? pfn_to_virt(n)
                            : (const uint64_t *)(VIRT_BASE + (n.v << PAGE_SHIFT));
}

/* Last-level table that maps va, or MFN_INVALID. */
static mfn_t walk(uint64_t va)
{
    mfn_t t = l4_frame;

    for (unsigned int level = 4; level > 1; level--) {
        uint64_t e = table_at(t)[slot_of(va, level)];

        if (!(e & PTE_PRESENT))
            return MFN_INVALID;
        t = paddr_to_mfn(e & PTE_ADDR);
    }
    return t;
}

static uint64_t read_pte(uint64_t va)
{
    mfn_t t = in_window(va) ? mfn(window_l1[(va - WINDOW_MAP) >> 21]) : walk(va);

    if (!mfn_is_valid_value(t) || !t.v)
        return 0;
    return table_at(t)[slot_of(va, 1)];
}

pfn_t virt_to_pfn(const void *p)
{
    uint64_t va = (uint64_t)p;

    if (in_direct_map(va))
        return pfn((va - DIRECT_MAP) >> PAGE_SHIFT);
    if (va >= VIRT_BASE)
        return pfn((va - VIRT_BASE) >> PAGE_SHIFT);
    return mfn_to_pfn(virt_to_mfn(p));
}

mfn_t virt_to_mfn(const void *p)
{
    uint64_t va = (uint64_t)p, n = (va - DIRECT_MAP) >> PAGE_SHIFT;

    if (likely(n < p2m_pages()))
        return mfn(p2m_list[n]);
    if (in_window(va)) {
        uint64_t e = read_pte(va);

        return e & PTE_PRESENT ? paddr_to_mfn(e & PTE_ADDR) : MFN_INVALID;
    }
    return pfn_to_mfn(virt_to_pfn(p));
}

paddr_t virt_to_maddr(const void *p)
{
    return mfn_to_paddr(virt_to_mfn(p)) | ((uint64_t)p & (PAGE_SIZE - 1));
}

paddr_t pte_maddr(const void *p)
{
    uint64_t va = (uint64_t)p;
    mfn_t t = in_window(va) ? mfn(window_l1[(va - WINDOW_MAP) >> 21]) : walk(va);

    BUG_ON(!mfn_is_valid_value(t));
    return mfn_to_paddr(t) + slot_of(va, 1) * sizeof(uint64_t);
}

static void flush_range(uint64_t va, size_t n)
{
    struct mmuext_op op[4];
    unsigned int ops = 1;

    op[0].cmd = MMUEXT_TLB_FLUSH_LOCAL;
    if (n <= ARRAY_SIZE(op)) {
        for (ops = 0; ops < n; ops++) {
            op[ops].cmd = MMUEXT_INVLPG_LOCAL;
            op[ops].arg1.linear_addr = va + ops * PAGE_SIZE;
        }
    }
    (void)hc_mmuext_op(op, ops, NULL, DOMID_SELF);
}

int direct_map_protect(pfn_t n, bool writable)
{
    uint64_t e = mfn_to_paddr(pfn_to_mfn(n)) | nx | (writable ? FLAGS_RW : FLAGS_RO);

    return (int)hc_update_va_mapping((uint64_t)pfn_to_virt(n), e, UVMF_INVLPG | UVMF_LOCAL);
}

/* Makes a zeroed page the table below slot `index` of table `parent`. */
static int hook_table(mfn_t parent, unsigned int index, mfn_t *table)
{
    struct mmu_update u;
    void *p = page_alloc_zeroed();
    int rc;

    if (!p)
        return -XEN_ENOMEM;
    rc = direct_map_protect(virt_to_pfn(p), false);
    if (!rc) {
        *table = virt_to_mfn(p);
        u.ptr = (mfn_to_paddr(parent) + index * sizeof(uint64_t)) | MMU_NORMAL_PT_UPDATE;
        u.val = mfn_to_paddr(*table) | FLAGS_TABLE;
        rc = (int)hc_mmu_update(&u, 1, NULL, DOMID_SELF);
        if (!rc)
            return 0;
        (void)direct_map_protect(virt_to_pfn(p), true);
    }
    log_error("page %lx refused as page table: %d", virt_to_pfn(p).v, rc);
    page_free(p);
    return rc;
}

/* The last-level table for va, made if it is not there. */
static int ensure_l1(uint64_t va, mfn_t *l1)
{
    mfn_t t = l4_frame;

    for (unsigned int level = 4; level > 1; level--) {
        unsigned int i = slot_of(va, level);
        uint64_t e = table_at(t)[i];

        if (e & PTE_PRESENT) {
            t = paddr_to_mfn(e & PTE_ADDR);
        } else {
            int rc = hook_table(t, i, &t);

            if (rc)
                return rc;
        }
    }
    *l1 = t;
    return 0;
}

int direct_map_extend(uint64_t first, uint64_t end)
{
    struct mmu_update u[BATCH];
    unsigned int n = 0;
    mfn_t l1 = MFN_INVALID;

    for (uint64_t i = first; i < end; i++) {
        uint64_t va = DIRECT_MAP + (i << PAGE_SHIFT);
        mfn_t m = pfn_to_mfn(pfn(i));
        int rc = 0;

        if (!mfn_is_valid_value(l1) || slot_of(va, 1) == 0)
            rc = ensure_l1(va, &l1);
        if (!rc && mfn_is_valid_value(m)) {
            u[n].ptr = mfn_to_paddr(l1) + slot_of(va, 1) * sizeof(uint64_t);
            u[n++].val = mfn_to_paddr(m) | FLAGS_RW | nx;
        }
        if (!rc && n && (n == BATCH || i + 1 == end)) {
            rc = (int)hc_mmu_update(u, n, NULL, DOMID_SELF);
            n = 0;
        }
        if (rc)
            return rc;
    }
    return 0;
}

int p2m_replace(pfn_t n, mfn_t m)
{
    struct mmu_update u;
    uint64_t e = 0;
    long rc;

    if (mfn_is_valid_value(m)) {
        u.ptr = mfn_to_paddr(m) | MMU_MACHPHYS_UPDATE;
        u.val = n.v;
        rc = hc_mmu_update(&u, 1, NULL, DOMID_SELF);
        if (rc)
            return (int)rc;
        e = mfn_to_paddr(m) | FLAGS_RW | nx;
    }
    rc = hc_update_va_mapping((uint64_t)pfn_to_virt(n), e, UVMF_INVLPG | UVMF_LOCAL);
    if (!rc)
        p2m_set(n.v, m);
    return (int)rc;
}

/* Address ranges. */

static int window_grow(uint64_t top)
{
    while (WINDOW_MAP + (window_tables << 21) < top) {
        mfn_t l1;
        int rc;

        if (window_tables == ARRAY_SIZE(window_l1))
            return -XEN_ENOMEM;
        rc = ensure_l1(WINDOW_MAP + (window_tables << 21), &l1);
        if (rc)
            return rc;
        window_l1[window_tables++] = l1.v;
    }
    return 0;
}

void *va_alloc(size_t pages)
{
    struct va_range *r, *tmp;
    uint64_t at = window_top;

    if (!pages || pages > WINDOW_MAX >> PAGE_SHIFT)
        return NULL;
    list_for_each_safe(r, tmp, &free_ranges, link) {
        if (r->pages < pages)
            continue;
        at = r->start;
        r->start += pages << PAGE_SHIFT;
        r->pages -= pages;
        if (!r->pages) {
            list_remove(&r->link);
            free(r);
        }
        return (void *)at;
    }
    if (at + (pages << PAGE_SHIFT) > WINDOW_MAP + WINDOW_MAX ||
        window_grow(at + (pages << PAGE_SHIFT)))
        return NULL;
    window_top = at + (pages << PAGE_SHIFT);
    return (void *)at;
}

/* Joins r with the next range when they touch. */
static void va_join_next(struct va_range *r)
{
    struct va_range *next = list_entry(r->link.next, struct va_range, link);

    if (&next->link == &free_ranges || r->start + (r->pages << PAGE_SHIFT) != next->start)
        return;
    r->pages += next->pages;
    list_remove(&next->link);
    free(next);
}

void va_free(void *va, size_t pages)
{
    struct va_range *r, *fresh;
    struct list *before = &free_ranges;

    fresh = malloc(sizeof(*fresh));
    if (!fresh)
        return;                         /* only address space is lost */
    fresh->start = (uint64_t)va;
    fresh->pages = pages;
    list_for_each(r, &free_ranges, link) {
        if (r->start > fresh->start)
            break;
        before = &r->link;
    }
    list_insert_between(&fresh->link, before, before->next);
    va_join_next(fresh);
    if (before != &free_ranges)
        va_join_next(list_entry(before, struct va_range, link));
}

/* Mapping what is not ours. */

static uint64_t mode_flags(enum map_mode mode)
{
    switch (mode) {
    case MAP_RO:
        return FLAGS_RO | nx;
    case MAP_RW:
        return FLAGS_RW | nx;
    case MAP_UNCACHED:
        return FLAGS_RW | PTE_PCD | PTE_PWT | nx;
    }
    return 0;
}

int map_at(void *va, domid_t dom, const mfn_t *frames, size_t n, enum map_mode mode, int *errs)
{
    struct mmu_update u[BATCH];
    uint64_t flags = mode_flags(mode);
    size_t at = 0;

    while (at < n) {
        unsigned int k = (unsigned int)MIN(n - at, (size_t)BATCH), done = 0;
        long rc;

        for (unsigned int i = 0; i < k; i++) {
            u[i].ptr = pte_maddr((char *)va + ((at + i) << PAGE_SHIFT));
            u[i].val = mfn_to_paddr(frames[at + i]) | flags;
        }
        rc = hc_mmu_update(u, k, &done, dom);
        if (!rc)
            done = k;
        if (errs)
            memset(errs + at, 0, done * sizeof(*errs));
        at += done;
        if (!rc)
            continue;
        if (!errs) {
            unmap_at(va, at);
            return (int)rc;
        }
        errs[at++] = (int)rc;
    }
    return 0;
}

void unmap_at(void *va, size_t n)
{
    struct mmu_update u[BATCH];

    for (size_t at = 0; at < n;) {
        unsigned int k = (unsigned int)MIN(n - at, (size_t)BATCH);
        long rc;

        for (unsigned int i = 0; i < k; i++) {
            u[i].ptr = pte_maddr((char *)va + ((at + i) << PAGE_SHIFT));
            u[i].val = 0;
        }
        rc = hc_mmu_update(u, k, NULL, DOMID_SELF);
        BUG_ON(rc);
        at += k;
    }
    if (n)
        flush_range((uint64_t)va, n);
}

void *map_foreign(domid_t dom, const mfn_t *frames, size_t n, enum map_mode mode)
{
    void *va = va_alloc(n);

    if (va && map_at(va, dom, frames, n, mode, NULL)) {
        va_free(va, n);
        va = NULL;
    }
    return va;
}

void unmap_foreign(void *va, size_t n)
{
    if (!va)
        return;
    unmap_at(va, n);
    va_free(va, n);
}

volatile void *ioremap(paddr_t addr, size_t bytes)
{
    size_t offset = addr & (PAGE_SIZE - 1);
    size_t n = (offset + bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;
    char *va = va_alloc(n);

    for (size_t i = 0; va && i < n; i++) {
        mfn_t m = mfn((addr >> PAGE_SHIFT) + i);

        if (map_at(va + (i << PAGE_SHIFT), DOMID_IO, &m, 1, MAP_UNCACHED, NULL)) {
            unmap_at(va, i);
            va_free(va, n);
            va = NULL;
        }
    }
    return va ? va + offset : NULL;
}

void iounmap(volatile void *p, size_t bytes)
{
    uint64_t va = (uint64_t)p;

    if (p)
        unmap_foreign((void *)(va & PAGE_MASK),
                      ((va & (PAGE_SIZE - 1)) + bytes + PAGE_SIZE - 1) >> PAGE_SHIFT);
}

/* Start of day. */

/* First page that the builder's mapping at VIRT_BASE does not reach. */
uint64_t initial_map_end(void)
{
    uint64_t va = VIRT_BASE;

    while (va >= VIRT_BASE) {
        mfn_t t = walk(va);

        if (!mfn_is_valid_value(t) || !(table_at(t)[slot_of(va, 1)] & PTE_PRESENT))
            break;
        va += PAGE_SIZE;
    }
    return (va - VIRT_BASE) >> PAGE_SHIFT;
}

/* Clears the entries of `n` pages from va on. */
static void clear_range(uint64_t va, uint64_t n)
{
    struct mmu_update u[BATCH];
    unsigned int k = 0;

    for (uint64_t i = 0; i < n; i++) {
        u[k].ptr = pte_maddr((void *)(va + (i << PAGE_SHIFT)));
        u[k++].val = 0;
        if (k == BATCH || i + 1 == n) {
            BUG_ON(hc_mmu_update(u, k, NULL, DOMID_SELF));
            k = 0;
        }
    }
    flush_range(va, n);
}

void initial_map_drop(uint64_t first, uint64_t end)
{
    clear_range(VIRT_BASE + (first << PAGE_SHIFT), end - first);
}

void direct_map_drop(uint64_t first, uint64_t end)
{
    clear_range(DIRECT_MAP + (first << PAGE_SHIFT), end - first);
}

static bool have_nx(void)
{
    uint32_t a = 0x80000001, b, c = 0, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return d >> 20 & 1;
}

/* What the builder mapped writable and executable becomes one of the two, or neither; so does its
 * alias in the direct map. */
void image_protect(void)
{
    struct mmu_update u[BATCH];
    unsigned int n = 0;

    for (char *p = _image_start; p < _image_end; p += PAGE_SIZE) {
        uint64_t m = mfn_to_paddr(virt_to_mfn(p));

        if (p == stack_guard || p == shared_info_page)
            continue;
        u[n].ptr = pte_maddr(p);
        u[n++].val = m | (p < _text_end ? FLAGS_RO : p < _rodata_end ? FLAGS_RO | nx : FLAGS_RW | nx);
        if (p < _rodata_end)
            BUG_ON(direct_map_protect(virt_to_pfn(p), false));
        if (n == BATCH || p + PAGE_SIZE >= _image_end) {
            BUG_ON(hc_mmu_update(u, n, NULL, DOMID_SELF));
            n = 0;
        }
    }
    if (n)
        BUG_ON(hc_mmu_update(u, n, NULL, DOMID_SELF));
    flush_range(0, ~0UL);
}

/* Fills the direct map's tables: `l1` are the entries of all its last-level tables in a row. */
static void fill_direct_map(uint64_t *l1, uint64_t reach, uint64_t tables_end)
{
    uint64_t pt_first = (start_info->pt_base - VIRT_BASE) >> PAGE_SHIFT;

    for (uint64_t i = 0; i < reach; i++) {
        bool table = (i >= 1 && i < tables_end) ||
                     (i >= pt_first && i < pt_first + start_info->nr_pt_frames);
        mfn_t m = pfn_to_mfn(pfn(i));

        if (mfn_is_valid_value(m))
            l1[i] = mfn_to_paddr(m) | nx | (table ? FLAGS_RO : FLAGS_RW);
    }
}

static uint64_t table_entry(uint64_t page)
{
    return mfn_to_paddr(pfn_to_mfn(pfn(page))) | FLAGS_TABLE;
}

/*
 * The direct map's first tables lie in the free pages below the image: page 1 the L3, from page 2
 * on the L2s, then the L1s. They are filled through the builder's writable mapping, which then
 * becomes read-only. What they do not reach is added later, by direct_map_extend().
 */
uint64_t pagetable_init(uint64_t free_pages, uint64_t *tables)
{
    uint64_t *l3 = (uint64_t *)(VIRT_BASE + (1UL << PAGE_SHIFT)), *l2 = l3 + SLOTS;
    uint64_t most = (free_pages - 2) * SLOTS / (SLOTS + 1);
    uint64_t l1s = MIN(DIV_ROUND_UP(p2m_pages(), (uint64_t)SLOTS), most);
    uint64_t l2s = DIV_ROUND_UP(l1s, (uint64_t)SLOTS), end = 2 + l2s + l1s;
    uint64_t reach = MIN(l1s * SLOTS, p2m_pages());
    struct mmu_update u;

    BUG_ON(end > free_pages);
    nx = have_nx() ? PTE_NX : 0;
    l4_frame = pfn_to_mfn(pfn((start_info->pt_base - VIRT_BASE) >> PAGE_SHIFT));
    memset(l3, 0, (end - 1) * PAGE_SIZE);
    fill_direct_map(l2 + l2s * SLOTS, reach, end);
    for (uint64_t i = 0; i < l1s; i++)
        l2[i] = table_entry(2 + l2s + i);
    for (uint64_t i = 0; i < l2s; i++)
        l3[slot_of(DIRECT_MAP, 3) + i] = table_entry(2 + i);
    for (uint64_t i = 1; i < end; i++) {
        long rc = hc_update_va_mapping(VIRT_BASE + (i << PAGE_SHIFT),
                                       mfn_to_paddr(pfn_to_mfn(pfn(i))) | FLAGS_RO,
                                       UVMF_INVLPG | UVMF_LOCAL);
        BUG_ON(rc);
    }
    u.ptr = mfn_to_paddr(l4_frame) + slot_of(DIRECT_MAP, 4) * sizeof(uint64_t);
    u.val = table_entry(1);
    BUG_ON(hc_mmu_update(&u, 1, NULL, DOMID_SELF));
    direct_map_ready = true;
    *tables = end;
    return reach;
}
