/* SPDX-License-Identifier: MIT */
/*
 * pagetable.h - our address space: what is mapped where, and mapping what is not ours.
 *
 *   0xffff888000000000  direct map: pseudo-physical page n at n * PAGE_SIZE, read-write, except
 *                       page-table pages, which are read-only
 *   0xffffc90000000000  windows: foreign frames, grants, device registers (va_alloc)
 *   0xffffc98000000000  nothing, ever: addresses that stand for pinned data (pinned.h)
 *   0xffffffff80000000  the image, its start-of-day pages and whatever the builder put there
 *
 * Pseudo-physical pages have machine frames behind them in any order: p2m. All functions are for
 * the one vCPU; every change is visible when they return.
 */
#ifndef RUNTIME_PAGETABLE_H
#define RUNTIME_PAGETABLE_H

#include "addr.h"
#include "xenabi.h"

#ifndef DIRECT_MAP                          /* unit tests put it where the host allows */
#define DIRECT_MAP 0xffff888000000000UL
#endif
#define WINDOW_MAP 0xffffc90000000000UL
#define WINDOW_END 0xffffc98000000000UL     /* 512 GiB: one top-level slot */

#define PTE_PRESENT  0x001UL
#define PTE_WRITE    0x002UL
#define PTE_USER     0x004UL
#define PTE_PWT      0x008UL
#define PTE_PCD      0x010UL
#define PTE_ACCESSED 0x020UL
#define PTE_DIRTY    0x040UL
#define PTE_NX       (1UL << 63)
#define PTE_ADDR     0x000ffffffffff000UL

enum map_mode {
    MAP_RO,             /* read-only */
    MAP_RW,             /* read-write */
    MAP_UNCACHED,       /* read-write device registers */
};

/* Own memory. p must lie in the direct map or in the image. */
pfn_t virt_to_pfn(const void *p);
mfn_t pfn_to_mfn(pfn_t n);                  /* MFN_INVALID: no such page */
static inline void *pfn_to_virt(pfn_t n)
{
    return (void *)(DIRECT_MAP + (n.v << PAGE_SHIFT));
}
mfn_t virt_to_mfn(const void *p);
paddr_t virt_to_maddr(const void *p);       /* for DMA: contiguous only within one page */

/* Machine frame -> our pseudo-physical page, by the hypervisor's table; ~0 when not ours. */
pfn_t mfn_to_pfn(mfn_t m);

/* Replaces the frame behind page n (after a flip or exchange): p2m and direct map. MFN_INVALID
 * leaves a hole. The machine frame must already belong to us. */
int p2m_replace(pfn_t n, mfn_t m);

/*
 * Address ranges in the window area: n pages whose last-level tables exist and are empty, so
 * that mapping into them costs no allocation. va_alloc returns NULL when out of memory. Free
 * ranges only after everything in them is unmapped.
 */
void *va_alloc(size_t pages);
void va_free(void *va, size_t pages);

/* Machine address of the last-level entry that maps va (for GNTMAP_contains_pte and the like);
 * va must come from va_alloc or the direct map. */
paddr_t pte_maddr(const void *va);

/*
 * Maps n machine frames of domain dom at va (from va_alloc). dom: DOMID_SELF, DOMID_IO for device
 * memory, DOMID_XEN, or a guest whose memory we may map. errs, when not NULL, receives 0 or a
 * negative error per frame and mapping goes on past a refused frame; otherwise the first error
 * ends it, nothing stays mapped, and it is returned.
 */
int map_at(void *va, domid_t dom, const mfn_t *frames, size_t n, enum map_mode mode, int *errs);
void unmap_at(void *va, size_t n);

/* va_alloc + map_at: the address, or NULL (frame refused, or no memory). */
void *map_foreign(domid_t dom, const mfn_t *frames, size_t n, enum map_mode mode);
void unmap_foreign(void *va, size_t n);

/* Device registers at machine address addr (any alignment), uncached; NULL on failure. */
volatile void *ioremap(paddr_t addr, size_t bytes);
void iounmap(volatile void *p, size_t bytes);

/* Makes pages of the direct map read-only or writable again (descriptor tables). */
int direct_map_protect(pfn_t n, bool writable);

/*
 * Start of day, for start.c. pagetable_init builds the direct map from the free pages 1..free_pages
 * below the image: *tables gets the first page it did not take; returns how far the map reaches
 * (pages): all of memory up to about 2 GiB.
 */
uint64_t pagetable_init(uint64_t free_pages, uint64_t *tables);

/* Start of day, last: takes from each page of the image the rights it does not need. */
void image_protect(void);

/* Takes pages [first, end) whose p2m entries are set into the direct map. Returns 0 or error. */
int direct_map_extend(uint64_t first_pfn, uint64_t end_pfn);

/* Unmaps pages [first, end) of the direct map, before their frames are given away. */
void direct_map_drop(uint64_t first_pfn, uint64_t end_pfn);

/* The builder's mapping of the image and what follows it: where it ends, and dropping the part
 * that the allocator gets. */
uint64_t initial_map_end(void);
void initial_map_drop(uint64_t first_pfn, uint64_t end_pfn);

#endif
