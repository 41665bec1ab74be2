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
 * Contents of page tables, nr_validated, spans and the partial state change only under the owner's
 * domain.mmu_lock, and so do counts of table and descriptor types when they leave or reach 0. A
 * type reference always goes together with an existence reference.
 */
#ifndef MM_FRAME_H
#define MM_FRAME_H

#include "addr.h"
#include "atomic.h"
#include "xenabi.h"
#include "dev/panic.h"
#include "mm/tlb.h"
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
    union {
        struct {
            uint32_t count;     /* PGC_* | references */
            uint16_t owner;     /* domid; DOMID_NONE: hypervisor or free */
            union {
                uint16_t nr_validated;  /* PGT_PARTIAL table: entries done. Free block: buddy order */
                uint16_t spans;         /* PGT_VALIDATED table: where there may be entries (mm/tables.h) */
                uint16_t source;        /* not a table: whose data is in it, a grant_table.flip_tag;
                                           0: not known. Holders of a writable reference store it */
            };
        };
        uint64_t state;         /* all three, for flips */
    };
    union {
        struct {
            uint32_t next, prev;    /* owner's list or a free list; MFNs, FRAME_NIL ends */
        };
        uint64_t place;         /* parked: page_parked_at() where */
    };
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

/* Room above the limit of page_get() for references that cannot be refused (page_hold()). */
#define PGC_COUNT_LIMIT (PGC_COUNT_MASK - 4096u)

/* What the functions below leave to frame.c: the last reference is gone; and type references that
 * are not just one more or one less of a use that goes on. */
void page_free_last(struct page *pg);
bool page_get_writable_slow(struct page *pg) __must_check;
void page_put_writable_slow(struct page *pg);

/* Drops an existence reference. The last one gives the frame back to the allocator, flushed from
 * TLBs. */
static inline void page_put(struct page *pg)
{
    uint32_t n = atomic_sub_return(&pg->count, 1);

    ASSERT((n & PGC_COUNT_MASK) != PGC_COUNT_MASK);     /* there was one */
    if (unlikely((n & PGC_COUNT_MASK) == 0))
        page_free_last(pg);
}

/* One existence reference, whoever owns the frame; false for frames of no domain, or when the count
 * would overflow. Lock-free, as all of these. */
static inline __must_check bool page_get_any(struct page *pg)
{
    uint32_t x = load_relaxed(&pg->count);

    do {
        uint32_t n = x & PGC_COUNT_MASK;
        if (unlikely(n - 1 >= PGC_COUNT_LIMIT - 1))
            return false;
    } while (unlikely(!atomic_cmpxchg(&pg->count, &x, x + 1)));
    /* The owner changes only while nobody else has a reference. */
    if (likely(READ_ONCE(pg->owner) < DOMID_FIRST_RESERVED))
        return true;
    page_put(pg);
    return false;
}

/* The same, but only to a frame of the domain with that number. */
static inline __must_check bool page_get_owned(struct page *pg, uint16_t owner)
{
    uint32_t x;

    /* Looked at first, so that foreign frames are not touched. */
    if (unlikely(READ_ONCE(pg->owner) != owner))
        return false;
    x = load_relaxed(&pg->count);
    do {
        if (unlikely((x & PGC_COUNT_MASK) - 1 >= PGC_COUNT_LIMIT - 1))
            return false;
    } while (unlikely(!atomic_cmpxchg(&pg->count, &x, x + 1)));
    if (likely(READ_ONCE(pg->owner) == owner))
        return true;
    page_put(pg);
    return false;
}

bool page_get(struct page *pg, const struct domain *d) __must_check;

/* One more writable reference, if that is a use that goes on: neither the first nor near the limit, and
 * nobody else changes the word meanwhile. */
static inline __must_check bool page_get_writable_again(struct page *pg)
{
    uint64_t old = load_relaxed(&pg->type_stamp);

    return ((uint32_t)old & PGT_TYPE_MASK) == PGT_WRITABLE &&
           ((uint32_t)old & PGT_COUNT_MASK) - 1 < PGT_COUNT_MASK - 2 &&
           atomic_cmpxchg(&pg->type_stamp, &old, old + 1);
}

/* A reference of type PGT_WRITABLE to a frame that the caller has an existence reference to; false:
 * it is in use as something else. */
static inline __must_check bool page_get_writable(struct page *pg)
{
    return likely(page_get_writable_again(pg)) || page_get_writable_slow(pg);
}

static inline void page_put_writable(struct page *pg)
{
    uint64_t old = load_relaxed(&pg->type_stamp);

    if (likely(((uint32_t)old & PGT_TYPE_MASK) == PGT_WRITABLE &&
               ((uint32_t)old & PGT_COUNT_MASK) > 1) &&
        likely(atomic_cmpxchg(&pg->type_stamp, &old, old - 1)))
        return;
    page_put_writable_slow(pg);
}

/*
 * One reference of any type, likewise; validates tables and descriptor pages as needed. 0, -EINVAL
 * (cannot be of that type now), -ERESTART (preempted, tables only: nothing is held, call again).
 * Types other than PGT_WRITABLE may take the owner's mmu_lock.
 */
int page_get_type(struct page *pg, uint32_t type);
void page_put_type(struct page *pg);
/* page_get() and that; for PGT_WRITABLE lock-free. */
bool page_get_and_type(struct page *pg, const struct domain *d, uint32_t type) __must_check;
void page_put_and_type(struct page *pg);
/* The same, writable, of the domain with that number. */
static inline __must_check bool page_get_owned_writable(struct page *pg, uint16_t owner)
{
    if (unlikely(!page_get_owned(pg, owner)))
        return false;
    if (likely(page_get_writable(pg)))
        return true;
    page_put(pg);
    return false;
}

static inline void page_put_and_writable(struct page *pg)
{
    page_put_writable(pg);
    page_put(pg);
}

/* Swaps type and stamp; the stamp is taken now if last_use. False: *old is what it is instead. */
static inline bool page_swap_type(struct page *pg, uint64_t *old, uint32_t type, bool last_use)
{
    uint64_t stamp = last_use ? (uint64_t)tlbflush_now() << 32 : *old & ~0xffffffffUL;

    return atomic_cmpxchg(&pg->type_stamp, old, stamp | type);
}

/* A mapping of pg ended (the entry is changed already) whose type reference, if any, does not
 * end now: remembers when, for the flush before the frame goes to somebody else. */
static inline void page_stamp(struct page *pg)
{
    uint64_t old = load_relaxed(&pg->type_stamp);

    while (unlikely(!page_swap_type(pg, &old, (uint32_t)old, true)))
        cpu_relax();
}

/* For mm/validate.c: flushes for a change of use of a frame with that old value. */
void page_flush_last_use(const struct page *pg, uint64_t old);
/* For holders of a reference: one more, above the limit of page_get(). */
void page_hold(struct page *pg);

/*
 * Gives 1 << order free frames, all below number end, to d (counted in d->tot_pages against
 * d->max_pages), each with PGC_ALLOCATED and no type; MFN_INVALID when memory or quota is short.
 * Contents are zero. M2P entries are gpfn, gpfn + 1, ..., or all M2P_INVALID. What returns is a
 * number and no more: other vCPUs of d may have given the frames away already.
 */
__must_check mfn_t domain_alloc_frames(struct domain *d, unsigned int order, uint64_t end,
                                       uint64_t gpfn);
#define FRAMES_ANY      (~0UL)          /* for end */
/* Takes PGC_ALLOCATED away, if it is still there, and drops that reference. True if it was. */
bool page_disown(struct page *pg);

/* Takes pg away from d: true if d owns it, it is ordinary RAM, and d's own is the only reference
 * and no type is in use. The frame is then nobody's, without an M2P entry, flushed from d's
 * CPUs; contents stay. */
bool page_steal(struct domain *d, struct page *pg) __must_check;
/* Gives d such a frame, or another that neither anybody nor the allocator has (a boot module's), as
 * if allocated, with that M2P entry. Contents stay. False: d's limit, or it is dying. */
bool page_give(struct domain *d, struct page *pg, uint64_t gpfn) __must_check;
/* Gives such a frame back to the allocator. */
void page_release(struct page *pg);

/*
 * Frames that change hands while mapped (grant/flip.c). The caller holds the two references of one
 * writable mapping, whose entry is gone from its table already. If those and the owner's own are
 * all, page_mapped_once() is true of the state. page_claim() takes them off the count, so that it is 0: the
 * frame is then the caller's alone, as nobody can get a reference to it. page_unclaim() undoes it.
 */
static inline uint64_t page_state(uint32_t count, uint16_t owner, uint16_t source)
{
    return count | (uint64_t)owner << 32 | (uint64_t)source << 48;
}

/* The state of a frame of that domain, mapped once, whose contents are not known. */
#define PGC_MAPPED_ONCE (PGC_ALLOCATED | 2)

static inline uint64_t page_state_mapped_once(uint16_t owner)
{
    return page_state(PGC_MAPPED_ONCE, owner, 0);
}

/* want: page_state_mapped_once(). May be PGC_FOREIGN or not; from anybody. */
static inline bool page_mapped_once(uint64_t state, uint64_t want)
{
    return (state & ~page_state(PGC_FOREIGN, 0, 0xffff)) == want;
}

/* PGC_FOREIGN stays as it is. */
static __always_inline __must_check bool page_claim(struct page *pg, uint64_t state)
{
    return atomic_cmpxchg(&pg->state, &state, state - PGC_MAPPED_ONCE);
}

static inline void page_unclaim(struct page *pg)
{
    store_release(&pg->state, pg->state + PGC_MAPPED_ONCE);
}

/* A claimed frame, flushed from TLBs, gets that state: its owner, and the references of that and of
 * one writable mapping. type_stamp: page_writable_once() of when the last use ended. */
static inline uint64_t page_writable_once(uint32_t stamp)
{
    return (uint64_t)stamp << 32 | PGT_WRITABLE | 1;
}

static inline void page_publish(struct page *pg, uint64_t type_stamp, uint64_t state)
{
    pg->type_stamp = type_stamp;
    store_release(&pg->state, state);
}

/*
 * Parking: a frame is not on its owner's list but in a place, a variable that holds its number, so
 * that frames change owners without their neighbours on two lists being written. A frame leaves
 * its place like the list (it is freed, say): the place is PLACE_EMPTY then. Places are written under
 * the owner's page_lock; or by who has claimed the frame that is in it or comes into it.
 * No place may be left when its owner's memory is given back.
 */
#ifdef SLUICE_HOST
#define PLACE_OF_HOST   PLACE_MARK      /* not in its pointers */
#else
#define PLACE_OF_HOST   0UL
#endif
/* Upper bits of pointers of ours: no MFN is so large (MFN_MAX). */
#define PLACE_MARK      0xffff000000000000UL
#define MFN_MAX         0xfffeffffUL
#define PLACE_EMPTY     ~0UL            /* no MFN */

/* A claimed frame that is in a place, or on no list: it is in that place now. */
static __always_inline void page_park(struct page *pg, uint64_t *place, uint64_t m)
{
    pg->place = (uint64_t)place | PLACE_OF_HOST;
    *place = m;
}

/* NULL: it is on its owner's list, if it has an owner. */
static inline uint64_t *page_parked_at(const struct page *pg)
{
    return pg->place >= PLACE_MARK && pg->prev != FRAME_NIL ? (uint64_t *)(pg->place & ~PLACE_OF_HOST)
                                                            : NULL;
}

/* A frame of d, claimed or referenced, goes off the list, or out of its place, to be parked. */
void page_unlist(struct domain *d, struct page *pg);
/* What is in the place, if anything, goes onto the list of d, its owner. */
void page_unpark(struct domain *d, uint64_t *place);

/* A page of the hypervisor that guest d may map (shared_info, grant frames): zeroed, owner d,
 * PGC_HYPERVISOR. */
struct page *shared_page_alloc(struct domain *d);
/* Takes it from its owner. It is freed now, or when the last mapping of it goes. */
void shared_page_free(struct page *pg);

#endif
