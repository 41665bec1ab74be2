/* SPDX-License-Identifier: MIT */
/* front.c - see front.h. Page n of the domain has number n; the number of its frame begins as FIRST_FRAME + n. */
#include "tests/unit/fakes/front.h"
#include <stdlib.h>
#include <string.h>
#include "atomic.h"
#include "runtime/hypercall.h"
#include "runtime/mem.h"
#include "runtime/p2m.h"
#include "runtime/pagetable.h"
#include "sluice/flip.h"

#define PAGES        4096u
#define TABLE_FRAMES 32u
#define FIRST_FRAME  10000u

static struct grant_entry_v1 table[TABLE_FRAMES * 4096 / sizeof(struct grant_entry_v1)] __aligned(4096);
static uint8_t *va_of[PAGES];               /* page -> memory; NULL: not allocated */
static uint64_t believed[PAGES];                /* page -> frame */
static uint32_t real[PAGES];
static uint32_t next_frame = FIRST_FRAME + PAGES;

bool front_windows = true;

/* Pages ------------------------------------------------------------------------------------- */

/* Each allocation is one of the host's, so that whoever reaches beyond it is found out. */
void *pages_alloc(unsigned int order)
{
    uint32_t n = 1u << order, at = 0, run = 0;
    uint8_t *p;

    while (run < n && at < PAGES)
        run = va_of[at++] ? 0 : run + 1;
    p = run == n ? aligned_alloc(PAGE_SIZE, (size_t)n << PAGE_SHIFT) : NULL;
    for (uint32_t i = 0; p && i < n; i++) {
        uint32_t pfn = at - n + i;

        va_of[pfn] = p + (size_t)i * PAGE_SIZE;
        if (!real[pfn])
            real[pfn] = believed[pfn] = FIRST_FRAME + pfn;
    }
    return p;
}

/* The page at va, which the last one asked for is near to as a rule. */
static uint32_t page_of(const void *va)
{
    static uint32_t near;
    const uint8_t *p = va;

    for (uint32_t i = 0; i < PAGES; i++) {
        uint32_t n = (near + i) % PAGES;

        if (va_of[n] && p >= va_of[n] && p < va_of[n] + PAGE_SIZE) {
            near = n;
            return n;
        }
    }
    abort();
}

void pages_free(void *p, unsigned int order)
{
    uint32_t at = page_of(p);

    for (uint32_t i = 0; i < 1u << order; i++)
        va_of[at + i] = NULL;
    free(p);
}

void *page_alloc_zeroed(void)
{
    void *p = pages_alloc(0);

    return p ? memset(p, 0, PAGE_SIZE) : NULL;
}

mfn_t virt_to_mfn(const void *p)
{
    return mfn(believed[page_of(p)]);
}

pfn_t virt_to_pfn(const void *p)
{
    return pfn(page_of(p));
}

uint64_t *p2m_list = believed;

bool front_frames_right(void)
{
    for (uint32_t i = 0; i < PAGES; i++)
        if (believed[i] != real[i])
            return false;
    return true;
}

unsigned int front_pages(void)
{
    unsigned int n = 0;

    for (uint32_t i = 0; i < PAGES; i++)
        n += va_of[i] != NULL;
    return n;
}

/* Of runtime/grant.c: only the table is ever mapped. */
void *map_foreign(domid_t dom, const mfn_t *frames, size_t n, enum map_mode mode)
{
    return n == TABLE_FRAMES ? table : NULL;
}

void *va_alloc(size_t n)
{
    return NULL;
}

void va_free(void *va, size_t n)
{
}

/* Grants ------------------------------------------------------------------------------------ */

struct grant_entry_v1 *front_entry(grant_ref_t ref)
{
    return ref < ARRAY_SIZE(table) ? &table[ref] : NULL;
}

static uint32_t page_with_frame(uint32_t frame)
{
    static uint32_t near;

    for (uint32_t i = 0; i < PAGES; i++) {
        uint32_t n = (near + i) % PAGES;

        if (va_of[n] && real[n] == frame) {
            near = n;
            return n;
        }
    }
    return PAGES;
}

void *front_page(grant_ref_t ref)
{
    struct grant_entry_v1 *e = front_entry(ref);
    uint32_t page = e && (e->flags & GTF_type_mask) == GTF_permit_access ? page_with_frame(e->frame) : PAGES;

    return page < PAGES ? va_of[page] : NULL;
}

void front_map(grant_ref_t ref, bool on)
{
    struct grant_entry_v1 *e = front_entry(ref);

    if (!on)
        e->flags &= (uint16_t)~(GTF_reading | GTF_writing);
    else if (front_page(ref))
        e->flags |= GTF_reading | GTF_writing;
}

bool front_flip(grant_ref_t ref, uint8_t fill)
{
    uint64_t *entry = (void *)front_entry(ref), word, idle;
    uint32_t page;

    if (!entry)
        return false;
    word = load_acquire(entry);
    if (((uint16_t)word & ~SLUICE_GTF_flip_more(15)) != (GTF_permit_access | SLUICE_GTF_flip))
        return false;
    page = page_with_frame((uint32_t)(word >> 32));
    if (page == PAGES)
        return false;
    idle = (uint64_t)next_frame << 32 | (word & 0xffff0000);
    if (!atomic_cmpxchg(entry, &word, idle))
        return false;
    real[page] = next_frame++;
    memset(va_of[page], fill, PAGE_SIZE);
    return true;
}

unsigned int front_grants(void)
{
    unsigned int n = 0;

    for (uint32_t i = 0; i < ARRAY_SIZE(table); i++)
        n += table[i].flags != 0;
    return n;
}

long hypercall(unsigned int nr, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    if (nr == __HYPERVISOR_grant_table_op && a1 == GNTTABOP_query_size)
        ((struct gnttab_query_size *)a2)->max_nr_frames = TABLE_FRAMES;
    if (nr == __HYPERVISOR_sluice_flip && a1 == SLUICE_FLIP_register)
        return front_windows ? 0 : -XEN_ENOSYS;
    return 0;       /* the run loop's: nothing ever blocks here */
}
