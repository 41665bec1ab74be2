/* SPDX-License-Identifier: MIT */
/*
 * map.h - the hypervisor's own page tables: direct map, M2P, frame table, devices.
 */
#ifndef HV_MM_MAP_H
#define HV_MM_MAP_H

#include "addr.h"
#include "layout.h"

/* Page-table entry bits. */
#define PTE_P       (1UL << 0)
#define PTE_RW      (1UL << 1)
#define PTE_U       (1UL << 2)
#define PTE_PWT     (1UL << 3)
#define PTE_PCD     (1UL << 4)
#define PTE_A       (1UL << 5)
#define PTE_D       (1UL << 6)
#define PTE_PSE     (1UL << 7)      /* L2, L3: a large page */
#define PTE_PAT     (1UL << 7)      /* L1 */
#define PTE_G       (1UL << 8)
#define PTE_AVAIL   (7UL << 9)
#define PTE_NX      (1UL << 63)
#define PTE_ADDR    0x000ffffffffff000UL

#define PTES_PER_TABLE 512

#define l1_index(va) (((uint64_t)(va) >> 12) & 511)
#define l2_index(va) (((uint64_t)(va) >> 21) & 511)
#define l3_index(va) (((uint64_t)(va) >> 30) & 511)
#define l4_index(va) (((uint64_t)(va) >> 39) & 511)

typedef uint64_t pte_t;

static inline mfn_t pte_mfn(pte_t e)
{
    return mfn((e & PTE_ADDR) >> PAGE_SHIFT);
}

static inline pte_t pte_make(mfn_t m, uint64_t flags)
{
    return (m.v << PAGE_SHIFT) | flags;
}

extern uint64_t max_mfn;                /* the highest MFN of RAM */

#ifdef SLUICE_HOST
/* A test brings its own memory. */
void *paddr_to_virt(paddr_t a);
void *mfn_to_virt(mfn_t m);
paddr_t virt_to_paddr(const void *p);
mfn_t virt_to_mfn(const void *p);
void m2p_set(mfn_t m, uint64_t pfn_value);
uint64_t m2p_get(mfn_t m);
#else
/* Direct map: every RAM frame is always mapped there, writable and cached. */
static inline void *paddr_to_virt(paddr_t a)
{
    return (void *)(a + DIRECTMAP_START);
}

static inline void *mfn_to_virt(mfn_t m)
{
    return paddr_to_virt(mfn_to_paddr(m));
}

/* p is in the direct map or in the hypervisor's image. */
static inline paddr_t virt_to_paddr(const void *p)
{
    uint64_t v = (uint64_t)p;
    return v >= DIRECTMAP_START ? v - DIRECTMAP_START : v - HV_IMAGE_BASE;
}

static inline mfn_t virt_to_mfn(const void *p)
{
    return paddr_to_mfn(virt_to_paddr(p));
}

/* M2P: what guests read at M2P_START, written through our view. m must be a valid frame. */
static inline void m2p_set(mfn_t m, uint64_t pfn_value)
{
    ((volatile uint64_t *)M2P_RW_START)[m.v] = pfn_value;
}

static inline uint64_t m2p_get(mfn_t m)
{
    return ((const volatile uint64_t *)M2P_RW_START)[m.v];
}
#endif

#define M2P_INVALID (~0UL)      /* no PFN: free, ours, shared, foreign */

/*
 * The L4 of CPUs that run no guest. Its slots 256..271 are final before the first domain is
 * made: new L4s copy them once (slot 260 aside) and never need an update.
 */
extern pte_t *idle_l4;
/* Fills slots 256..271 of a new L4 from idle_l4; perdomain_l3 (MFN of the L3 behind slot 260,
 * or MFN_INVALID for none) is the domain's own. Leaves the other slots alone. */
void map_init_guest_l4(pte_t *l4, mfn_t perdomain_l3);

/* Boot: builds idle_l4 with direct map, image, M2P and frame table, and switches to it. */
void map_init(void);
/* frames_init() has taken over the memory: tables come from there now. */
void map_boot_done(void);

/* Maps a device's registers uncached, for good or until iounmap(); size > 0, any alignment.
 * NULL if there is no space or memory. */
void *ioremap(paddr_t pa, size_t size);
void iounmap(void *va, size_t size);
/* The same, write-back cached (ACPI tables outside of RAM). */
void *map_cached(paddr_t pa, size_t size);

/* The image maps code read-only and data not executable. A writable address of something in
 * code or read-only data: section ".stubs" is for code that is made at run time. */
static inline void *map_writable_alias(const void *p)
{
    return paddr_to_virt(virt_to_paddr(p));
}

/* Takes one 4 KiB page out of the hypervisor's address space (stack guards). */
void map_guard_page(void *va);

#endif
