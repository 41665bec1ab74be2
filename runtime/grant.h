/* SPDX-License-Identifier: MIT */
/*
 * grant.h - grant tables: offering own pages, mapping and copying what others offer.
 */
#ifndef RUNTIME_GRANT_H
#define RUNTIME_GRANT_H

#include "xenabi.h"
#include "addr.h"

/* What others offer us ------------------------------------------------------------------- */

/* Pages of other domains, mapped at va (n pages, contiguous). */
struct grant_mapping {
    void *va;
    uint32_t n;
    grant_handle_t *handles;        /* n of them; points at one when n == 1 */
    grant_handle_t one;
};

#define GRANT_READONLY 1u

/*
 * Maps n references of domain dom next to each other. flags: 0 or GRANT_READONLY. All or
 * nothing: 0, or the negative error for the first refused reference (-XEN_EINVAL bad reference,
 * -XEN_EACCES/-XEN_EPERM not offered to us, -XEN_ENOMEM). The memory stays the other domain's: it can change
 * at any moment, so copy out before checking.
 */
int grant_map(domid_t dom, const grant_ref_t *refs, uint32_t n, unsigned int flags,
              struct grant_mapping *m);
void grant_unmap(struct grant_mapping *m);

/*
 * Pages for a device's DMA: pinned where they are, mapped nowhere. Each op: ref, dom, and flags 0 or
 * GRANT_READONLY (the device only reads them). Then maddr is the page's machine address and handle
 * what grant_unpin() wants; or handle is GRANT_UNPINNED: it is not granted so.
 */
#define GRANT_UNPINNED (~0u)
#define GRANT_PINS_MAX 64u              /* of a call */

struct grant_pin {
    domid_t dom;
    uint8_t flags;
    grant_ref_t ref;
    grant_handle_t handle;
    paddr_t maddr;
};

void grant_pin(struct grant_pin *ops, uint32_t n);
/* The device has no more to do with them. */
void grant_unpin(const struct grant_pin *ops, uint32_t n);

/*
 * Runs n copy operations in as few hypercalls as possible; each op's status is set (GNTST_xxx).
 * Returns how many failed. The caller fills source and dest: own memory as DOMID_SELF with
 * u.gmfn = virt_to_pfn()/virt_to_mfn() as the hypervisor expects (grant_copy_own below).
 */
uint32_t grant_copy(struct gnttab_copy *ops, uint32_t n);

/* Own memory as one side of a copy: [p, p + len) must not cross a page. */
void grant_copy_own(struct gnttab_copy_ptr *side, const void *p);

/* A domain's granted page as one side of a copy. */
static inline void grant_copy_ref(struct gnttab_copy_ptr *side, domid_t dom, grant_ref_t ref,
                                  uint16_t offset)
{
    side->u.ref = ref;
    side->domid = dom;
    side->offset = offset;
}

/* GNTST_xxx as a negative XEN_Exxx. */
int grant_error(int16_t status);

/* What we offer ------------------------------------------------------------------------------ */

#define GRANT_NONE 0u       /* never a valid reference of ours: reserved by the console */

/* Offers a page to dom; returns the reference, or GRANT_NONE when the table is full. */
grant_ref_t grant_offer(domid_t dom, mfn_t frame, unsigned int flags);

/* Takes an offer back and frees the reference. False: the other side has it mapped; try later. */
bool grant_end(grant_ref_t ref);

/*
 * n consecutive references for a caller that writes their entries himself (*entries: the first; all
 * flags 0), for good. GRANT_NONE: not so many in one piece.
 */
grant_ref_t grant_range(uint32_t n, struct grant_entry_v1 **entries);

/* Start of day; the first call of a function above also does it. 0 or a negative error. */
int grant_init(void);

#endif
