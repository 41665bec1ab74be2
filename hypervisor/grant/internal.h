/* SPDX-License-Identifier: MIT */
/*
 * internal.h - what the files of grant/ share: a domain's table, and pinning one of its entries.
 *
 * A grant in use is *pinned*: its active entry counts the readers and writers, and the guest
 * sees GTF_reading/GTF_writing in the shared entry until the last of them is done. The active
 * entry remembers frame and grantee, since the guest can change the shared entry at any time.
 */
#ifndef GRANT_INTERNAL_H
#define GRANT_INTERNAL_H

#include "grant/grant.h"
#include "grant/flipstate.h"
#include "mm/frame.h"
#include "dev/panic.h"
#include "atomic.h"

#define GRANTS_PER_FRAME    ((uint32_t)(PAGE_SIZE / sizeof(grant_entry_v1_t)))
#define GRANT_MAX_FRAMES    64u         /* of one domain, the reference's default */
#define MAPTRACK_PER_CHUNK  256u

struct grant_active {
    uint32_t frame;             /* MFN; valid while pinned */
    domid_t grantee;            /* the same */
    uint16_t readers, writers;  /* pins */
};

/* A range of slots whose frames may be flipped (grant/window.c). */
struct flip_slot {
    uint64_t frame;             /* that is parked here (mm/frame.h); or PLACE_EMPTY, FLIP_SLOT_TAKEN */
    uint64_t *entry;            /* shared entry, as one word */
    pte_t *pte;
    pte_t e;                    /* what the last flip has put there, while its frame is parked here */
};

/* A flip has taken the slot; whatever the guest writes into its entry, no other can before that is
 * over. Neither is what a guest can write as a frame. */
#define FLIP_SLOT_TAKEN (PLACE_EMPTY - 1)

struct flip_window {
    struct flip_geometry at;
    struct flip_slot *slot;     /* at.slots of them */
    pte_t *table[FLIP_TABLES];  /* the L1 tables, in order: existence and type reference each */
};

/* The slots of a window, by reference. */
struct flip_range {
    uint32_t first_ref, slots;
    struct flip_slot *slot;
};

/* One mapping that the table's domain has of somebody else's grant; the handle is its index. */
struct maptrack {
    struct domain *granter;     /* one reference; NULL: free entry */
    grant_ref_t ref;            /* free entry: index of the next one */
    uint16_t flags;             /* GNTMAP_host_map, _device_map in force; _readonly, _contains_pte */
    bool busy;                  /* an unmap is under way */
};

struct grant_table {
    spinlock_t lock;            /* rank LOCK_GRANT: sizes, active entries */
    uint32_t nr_frames, max_frames;
    struct page *page[GRANT_MAX_FRAMES];
    grant_entry_v1_t *shared[GRANT_MAX_FRAMES];
    struct grant_active *active[GRANT_MAX_FRAMES];

    spinlock_t maptrack_lock;   /* rank LOCK_GRANT_MAPTRACK: all below */
    struct maptrack **chunk;
    uint32_t nr_chunks, max_chunks;
    uint32_t free_handle;       /* head of the free list, HANDLE_NONE ends */
    uint32_t nr_mapped;

    /* Under lock. */
    struct flip_window *window[FLIP_WINDOWS];
    uint32_t windows_end;       /* behind the last one; numbers are used from 0 on */
    uint32_t flips;             /* runs of exchanges that have taken slots and not given them back */
    uint32_t windows_leaving;   /* somebody waits for that: no new ones */
    uint16_t flip_tag;          /* the domain in struct page.source; 0: none */
};

#define HANDLE_NONE (~0u)

/* The entry of a handle, used or not; NULL: there is none. Under maptrack_lock. */
static inline struct maptrack *maptrack_entry(const struct grant_table *gt, uint32_t handle)
{
    if (handle / MAPTRACK_PER_CHUNK >= gt->nr_chunks)
        return NULL;
    return &gt->chunk[handle / MAPTRACK_PER_CHUNK][handle % MAPTRACK_PER_CHUNK];
}

/* A handle that is not yet valid (granter NULL); HANDLE_NONE: out of them. */
uint32_t maptrack_get_locked(struct grant_table *gt);

static inline void maptrack_put_locked(struct grant_table *gt, uint32_t handle)
{
    *maptrack_entry(gt, handle) = (struct maptrack){ .ref = gt->free_handle };
    gt->free_handle = handle;
}

/* The frame of a grant that a handle has pinned: it cannot change. */
static inline mfn_t grant_pinned_frame(const struct domain *granter, grant_ref_t ref)
{
    return mfn(granter->grant->active[ref / GRANTS_PER_FRAME][ref % GRANTS_PER_FRAME].frame);
}

/* Pinning, inline for the copy path; its rules stand at grant_pin() below. The lock is held. */

/* The shared header { flags, domid } is one aligned word to us, so that both are read and
 * changed together. */
static inline uint32_t *grant_header(grant_entry_v1_t *e)
{
    return (uint32_t *)(void *)e;
}

/* All of it as one word, frame in the upper half: for flips. */
static inline uint64_t *grant_word(grant_entry_v1_t *e)
{
    return (uint64_t *)(void *)e;
}

static inline grant_entry_v1_t *grant_shared(const struct grant_table *gt, grant_ref_t ref)
{
    return &gt->shared[ref / GRANTS_PER_FRAME][ref % GRANTS_PER_FRAME];
}

static inline struct grant_active *grant_active_entry(const struct grant_table *gt, grant_ref_t ref)
{
    return &gt->active[ref / GRANTS_PER_FRAME][ref % GRANTS_PER_FRAME];
}

/* Checks the shared entry and marks it in use, atomically: the guest revokes a grant by
 * compare-and-swap on the same word. first: there is no pin yet. */
static inline int grant_mark(grant_entry_v1_t *e, domid_t grantee, bool write, bool first)
{
    uint32_t *word = grant_header(e);
    uint32_t old = READ_ONCE(*word);
    uint16_t mark = (uint16_t)(GTF_reading | (write ? GTF_writing : 0));

    do {
        uint16_t flags = (uint16_t)old;

        if ((flags & GTF_type_mask) != GTF_permit_access || (domid_t)(old >> 16) != grantee)
            return GNTST_general_error;
        if (write && (flags & GTF_readonly))
            return GNTST_general_error;
        /* Nobody has pinned it, and still it is in use: a flip has taken it. */
        if (first && unlikely(flags & (GTF_reading | GTF_writing)))
            return GNTST_general_error;
        if ((flags & mark) == mark)
            break;
    } while (!atomic_cmpxchg(word, &old, old | mark));
    return GNTST_okay;
}

/* One reference to a frame of owner, and one as writable: GNTST_bad_page: it is not the owner's;
 * GNTST_general_error: it cannot be written, being a page table, say. As the reference answers. */
static inline int grant_page_get(struct page *pg, const struct domain *owner, bool write,
                                 struct page **pgp)
{
    if (unlikely(!page_get_owned(pg, owner->id)))
        return GNTST_bad_page;
    if (write) {
        if (unlikely(!page_get_writable(pg))) {
            page_put(pg);
            return GNTST_general_error;
        }
        /* Somebody else's data may come. */
        pg->source = 0;
    }
    *pgp = pg;
    return GNTST_okay;
}

/* Takes the marks away that no pin needs any more. */
static inline void grant_unmark(grant_entry_v1_t *e, const struct grant_active *act)
{
    uint16_t clear = (uint16_t)((act->writers ? 0 : GTF_writing) |
                                (act->writers || act->readers ? 0 : GTF_reading));

    if (clear)
        atomic_and(&e->flags, (uint16_t)~clear);
}

static inline int grant_pin_page(struct domain *granter, uint32_t frame, bool write, struct page **pgp)
{
    if (!mfn_valid(mfn(frame)))
        return GNTST_bad_page;
    return grant_page_get(mfn_to_page(mfn(frame)), granter, write, pgp);
}

static __always_inline int grant_pin_locked(struct domain *granter, grant_ref_t ref, domid_t grantee,
                                            bool write, struct page **pgp)
{
    struct grant_table *gt = granter->grant;
    grant_entry_v1_t *e;
    struct grant_active *act;
    int rc;

    ASSERT_HELD(&gt->lock);
    if (ref >= gt->nr_frames * GRANTS_PER_FRAME)
        return GNTST_bad_gntref;
    e = grant_shared(gt, ref);
    act = grant_active_entry(gt, ref);
    if (act->readers == UINT16_MAX || act->writers == UINT16_MAX)
        return GNTST_general_error;
    if (!(act->readers | act->writers)) {
        rc = grant_mark(e, grantee, write, true);
        if (rc)
            return rc;
        /* Read after the mark is visible: from now on the guest must leave it alone; what it
         * does nevertheless harms only itself. */
        act->frame = READ_ONCE(e->frame);
        act->grantee = grantee;
    } else {
        if (act->grantee != grantee)
            return GNTST_general_error;
        rc = grant_mark(e, grantee, write, false);
        if (rc)
            return rc;
    }
    rc = grant_pin_page(granter, act->frame, write, pgp);
    if (rc) {
        grant_unmark(e, act);
        return rc;
    }
    if (write)
        act->writers++;
    else
        act->readers++;
    return GNTST_okay;
}

static inline void grant_unpin_locked(struct grant_table *gt, grant_ref_t ref, bool write)
{
    struct grant_active *act = grant_active_entry(gt, ref);

    ASSERT_HELD(&gt->lock);
    BUG_ON(!(write ? act->writers : act->readers));
    if (write)
        act->writers--;
    else
        act->readers--;
    grant_unmark(grant_shared(gt, ref), act);
}

/*
 * Pins entry ref of granter for domain `grantee`: GNTST_okay, and *pgp has one reference to
 * the frame (and one of type PGT_WRITABLE if write), which the caller owns. Otherwise a GNTST_
 * error and nothing changed. Takes granter's lock.
 */
int grant_pin(struct domain *granter, grant_ref_t ref, domid_t grantee, bool write,
              struct page **pgp);
/* Ends that use. The page references are not touched. */
void grant_unpin(struct domain *granter, grant_ref_t ref, bool write);

/* Drops what grant_pin() gave. */
static inline void grant_page_put(struct page *pg, bool write)
{
    if (write)
        page_put_and_writable(pg);
    else
        page_put(pg);
}

/* One operation each; the result is the GNTST_ status. */

/*
 * devmap.c: device mappings only, of one domain's grants, n <= GRANT_RUN of them: as grant_op_map would do each.
 */
#define GRANT_RUN 16u
static inline bool grant_is_device_map(const struct gnttab_map_grant_ref *op)
{
    return (op->flags & (GNTMAP_host_map | GNTMAP_device_map)) == GNTMAP_device_map;
}
void grant_map_devices(struct gnttab_map_grant_ref *op, uint32_t n);

/*
 * The way back, of any domains' grants, n <= 2 * GRANT_RUN. False: nothing has happened, some of it is not as simple as that.
 */
bool grant_unmap_devices(struct gnttab_unmap_grant_ref *op, uint32_t n);

/* flip.c, fliprest.c, window.c. */

static __always_inline struct page *flip_frame(uint64_t frame)
{
    return mfn_to_page(mfn(frame));
}

/* Both domains of an operation, as one word. */
static __always_inline uint32_t flip_doms(const struct sluice_flip_op *op)
{
    uint32_t doms;

    _Static_assert(offsetof(struct sluice_flip_op, from_dom) == 0 && offsetof(struct sluice_flip_op, to_dom) == 2, "side by side");
    __builtin_memcpy(&doms, op, sizeof(doms));
    return doms;
}

/* The window of a reference; of no slots: it is in none. Lock held. */
struct flip_range flip_find(const struct grant_table *gt, uint32_t ref);
/*
 * Makes exchanges from op on between two domains, as long as they are between these, these are at rest, and there is nothing
 * unusual about them, and no more than *left pages, from which theirs are taken. Those made have their status, nothing else has changed. Returns the one
 * behind them. Both grant locks are held.
 */
struct sluice_flip_op *flip_at_rest(struct domain *from, struct domain *to, struct sluice_flip_op *op,
                                    const struct sluice_flip_op *end, domid_t backend, uint32_t *left);

long grant_op_map(guest_ptr_t uop, uint32_t count, uint32_t *done);
long grant_op_unmap(guest_ptr_t uop, uint32_t count, uint32_t *done);
long grant_op_unmap_and_replace(guest_ptr_t uop, uint32_t count, uint32_t *done);
long grant_op_copy(guest_ptr_t uop, uint32_t count, uint32_t *done);
/* The same of a short list, all of it. */
#define COPY_FEW 2u
long grant_op_copy_few(guest_ptr_t uop, uint32_t count);
/* Of a domain that lives and runs, the calling one: FLIP_register, FLIP_unregister. */
long flip_register(guest_ptr_t arg);
long flip_unregister(guest_ptr_t arg);

long grant_op_transfer(guest_ptr_t uop, uint32_t count, uint32_t *done);

#endif
