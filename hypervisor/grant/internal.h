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
#include "mm/frame.h"

#define GRANTS_PER_FRAME    ((uint32_t)(PAGE_SIZE / sizeof(grant_entry_v1_t)))
#define GRANT_MAX_FRAMES    64u         /* of one domain, the reference's default */
#define MAPTRACK_PER_CHUNK  256u

struct grant_active {
    uint32_t frame;             /* MFN; valid while pinned */
    domid_t grantee;            /* the same */
    uint16_t readers, writers;  /* pins */
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
};

#define HANDLE_NONE (~0u)

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
        page_put_and_type(pg);
    else
        page_put(pg);
}

/* One operation each; the result is the GNTST_ status. */
void grant_map_one(struct gnttab_map_grant_ref *op);

long grant_op_map(guest_ptr_t uop, uint32_t count, uint32_t *done);
long grant_op_unmap(guest_ptr_t uop, uint32_t count, uint32_t *done);
long grant_op_unmap_and_replace(guest_ptr_t uop, uint32_t count, uint32_t *done);
long grant_op_copy(guest_ptr_t uop, uint32_t count, uint32_t *done);
long grant_op_transfer(guest_ptr_t uop, uint32_t count, uint32_t *done);

#endif
