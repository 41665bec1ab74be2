/* SPDX-License-Identifier: MIT */
/*
 * frame.h - page-frame accounting: who owns a machine frame, who refers to it, as what.
 *
 * Every frame of RAM has a struct page. Two parts of it are changed with compare-and-swap by
 * anybody:
 *
 *   count   references for existence. PGC_ALLOCATED is set while the frame belongs to its owner
 *           and counts as one reference. The frame goes back to the allocator when the count
 *           drops to 0; until then it keeps its owner, even a dying one.
 *   type    what the frame is used as, and how many such uses there are (mm/type.h). Types
 *           exclude each other; the type may change only while the type count is 0. A page table
 *           or descriptor page is validated as a whole when its count leaves 0 (PGT_VALIDATED).
 *           It is swapped together with tlb_stamp, the time when the last use ended: TLB entries
 *           and cached upper entries older than that are flushed before another use begins.
 *
 * Contents of page tables, nr_validated and the partial state change only under the owner's
 * domain.mmu_lock, and so do counts of table and descriptor types when they leave or reach 0. A
 * type reference always goes together with an existence reference.
 */
#ifndef MM_FRAME_H
#define MM_FRAME_H

#include "addr.h"
#include "xenabi.h"
#include "mm/map.h"         /* mfn_to_virt(), virt_to_mfn(), m2p_set(), m2p_get(), max_mfn */

struct domain;

/* 24 bytes: with the M2P's 8 this is all that a frame of host memory costs. */
struct page {
    union {
        struct {
            uint32_t type;      /* PGT_* | type references */
            uint32_t tlb_stamp; /* tlbflush_now() when the last use, or any mapping, ended */
        };
        uint64_t type_stamp;    /* both, for compare-and-swap */
    };
    uint32_t count;             /* PGC_* | references */
    uint32_t next, prev;        /* owner's list or a free list; MFNs, FRAME_NIL ends */
    uint16_t owner;             /* domid; DOMID_NONE: hypervisor or free */
    uint16_t nr_validated;      /* PGT_PARTIAL table: entries done. Free block: buddy order */
};

#define FRAME_NIL       (~0u)
#define DOMID_NONE      DOMID_INVALID           /* 0x7ff4: no domain has it */

#define PGC_ALLOCATED   (1u << 31)
#define PGC_HYPERVISOR  (1u << 30)      /* ours, shared with its owner (shared_info, grant table):
                                           an L1 entry may map it, it is never a page table */
#define PGC_FREE        (1u << 29)      /* head of a block in the buddy allocator; the other frames
                                           of the block have count 0 */
#define PGC_FOREIGN     (1u << 28)      /* was mapped by a domain that does not own it: stale TLB
                                           entries may be on any CPU */
#define PGC_COUNT_MASK  ((1u << 26) - 1)

#define PGT_SHIFT       29
#define PGT_NONE        (0u << PGT_SHIFT)       /* never used; count is 0 */
#define PGT_L1          (1u << PGT_SHIFT)
#define PGT_L2          (2u << PGT_SHIFT)
#define PGT_L3          (3u << PGT_SHIFT)
#define PGT_L4          (4u << PGT_SHIFT)
#define PGT_SEG_DESC    (5u << PGT_SHIFT)
#define PGT_WRITABLE    (7u << PGT_SHIFT)
#define PGT_TYPE_MASK   (7u << PGT_SHIFT)
#define PGT_PINNED      (1u << 28)      /* the guest pinned it: one type and one existence ref */
#define PGT_VALIDATED   (1u << 27)
#define PGT_PARTIAL     (1u << 26)      /* validation or devalidation stopped at nr_validated */
#define PGT_COUNT_MASK  ((1u << 25) - 1)

/*
 * The frame table has an entry for every MFN up to max_mfn (mm/map.h). Frames there that are not
 * RAM (devices, holes) have owner DOMID_IO and read-only entries: ask mfn_valid() first.
 */
#ifdef SLUICE_HOST
struct page *mfn_to_page(mfn_t m);      /* a test brings its own */
mfn_t page_to_mfn(const struct page *pg);
bool mfn_valid(mfn_t m);
#else
static inline struct page *mfn_to_page(mfn_t m)
{
    return (struct page *)FRAMETABLE_START + m.v;
}

static inline mfn_t page_to_mfn(const struct page *pg)
{
    return mfn((uint64_t)(pg - (const struct page *)FRAMETABLE_START));
}

/* Is m RAM? */
static inline bool mfn_valid(mfn_t m)
{
    return m.v <= max_mfn && mfn_to_page(m)->owner != DOMID_IO;
}
#endif

/* MFNs from here on cannot be in a page-table entry of this machine. */
extern uint64_t mfn_limit;

/* One existence reference to a frame of owner d; false when it has another owner, is free, or
 * the count would overflow. Lock-free. */
bool page_get(struct page *pg, const struct domain *d) __must_check;
/* The same, whoever owns it; false for frames of no domain. For mappings by dom0. */
bool page_get_any(struct page *pg) __must_check;
/* Drops one. The last one gives the frame back to the allocator, flushed from TLBs. */
void page_put(struct page *pg);

/*
 * One reference of a type, to a frame that the caller has an existence reference to; validates
 * tables and descriptor pages as needed. 0, -EINVAL (cannot be of that type now), -ERESTART
 * (preempted, tables only: nothing is held, call again). PGT_WRITABLE is lock-free; other types
 * take the owner's mmu_lock.
 */
int page_get_type(struct page *pg, uint32_t type);
void page_put_type(struct page *pg);
/* page_get() and one reference of type PGT_WRITABLE, lock-free. */
bool page_get_and_type(struct page *pg, const struct domain *d, uint32_t type) __must_check;
void page_put_and_type(struct page *pg);

/* A mapping of pg ended (the entry is changed already) whose type reference, if any, does not
 * end now: remembers when, for the flush before the frame goes to somebody else. */
void page_stamp(struct page *pg);
/* For mm/validate.c: swaps type and stamp; the stamp is taken now if last_use. False: *old is
 * what it is instead. Flushes for a change of use of a frame with that old value. */
bool page_swap_type(struct page *pg, uint64_t *old, uint32_t type, bool last_use);
void page_flush_last_use(const struct page *pg, uint64_t old);
/* For holders of a reference: one more, above the limit of page_get(). */
void page_hold(struct page *pg);

/*
 * Gives 1 << order free frames to d (counted in d->tot_pages against d->max_pages), each with
 * PGC_ALLOCATED and no type; NULL when memory or quota is short. Contents are zero.
 * flags: MEMF_xx of buddy.h.
 */
struct page *domain_alloc_pages(struct domain *d, unsigned int order, unsigned int flags);
/* Gives d a frame of RAM that nobody owns and the allocator does not have (a boot module's):
 * counted as by domain_alloc_pages(), contents stay. False: quota. */
bool domain_adopt_page(struct domain *d, struct page *pg) __must_check;
/* Takes PGC_ALLOCATED away, if it is still there, and drops that reference. True if it was. */
bool page_disown(struct page *pg);

/* Takes pg away from d: true if d owns it, it is ordinary RAM, and d's own is the only reference
 * and no type is in use. The frame is then nobody's, without an M2P entry, flushed from d's
 * CPUs; contents stay. */
bool page_steal(struct domain *d, struct page *pg) __must_check;
/* Gives d such a frame, as if allocated; M2P stays invalid. False: d's limit, or it is dying. */
bool page_give(struct domain *d, struct page *pg) __must_check;
/* Gives such a frame back to the allocator. */
void page_release(struct page *pg);

/* A page of the hypervisor that guest d may map (shared_info, grant frames): zeroed, owner d,
 * PGC_HYPERVISOR. */
struct page *shared_page_alloc(struct domain *d);
/* Takes it from its owner. It is freed now, or when the last mapping of it goes. */
void shared_page_free(struct page *pg);

#endif
