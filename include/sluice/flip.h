/* SPDX-License-Identifier: MIT */
/*
 * flip.h - the flip: exchange of two offered frames between domains. Our extension of the guest ABI;
 * docs/flip.md has the reasons.
 *
 * A *window* is a range of a domain's virtual addresses, mapped by L1 tables that stay, whose slots
 * (pages) are tied one to one to a range of its grant references: slot i is first_ref + i. The frame
 * behind a slot may change; its address and its pseudo-physical number do not.
 *
 * A slot is *offered* to a backend by its grant entry (version 1), which is an ordinary grant of the
 * frame with one bit more. So whatever cannot be flipped can be copied or mapped by the same
 * reference, and a hypervisor without this extension sees a grant. States of an entry:
 *
 *   1 IDLE      flags 0. The guest's: it may use the slot and write the entry.
 *   2 OFFERED   flags GTF_permit_access | SLUICE_GTF_flip, domid the backend, frame the slot's MFN,
 *               as the last flip (or the guest's own page table) says. The guest does not
 *               touch the slot. It takes the offer back by compare-and-swap of flags to 0.
 *   3 TAKEN     GTF_reading | GTF_writing on top: the hypervisor is at it; the offer cannot be
 *               taken back.
 *
 *   1 -> 2  guest, stores frame and domid, then flags (release)
 *   2 -> 1  guest, compare-and-swap: withdrawn
 *   2 -> 3  hypervisor, compare-and-swap, for an exchange that the entry's domid asked for
 *   3 -> 1  hypervisor: exchanged. It has stored the slot's new MFN in frame, then flags 0 (release)
 *   3 -> 2  hypervisor: refused, nothing has changed
 *
 * While an entry is TAKEN its slot may be not present. The guest writes frame and domid in state 1
 * only; the hypervisor writes frame in state 3 only, flags by locked operations.
 *
 * An *extent* is an offer of up to SLUICE_FLIP_EXTENT slots in a row, which an operation takes together. Each
 * of them has an offer of its own as above, by which it can be copied, mapped, or flipped by itself. The first one's has the number of slots behind it
 * on top (SLUICE_GTF_flip_more), is written last, and speaks for all:
 *
 *   2 -> 3  of an operation with n pages: n - 1 <= more; the first entry only. The others are not looked at
 *   3 -> 1  frame and flags 0 in all n entries, in the first one last. Slots behind n stay OFFERED, each by itself
 *   2 -> 1  guest: the first entry at first. If it finds 0 there, or the backend says that it is done, each of the others says
 *           whether it was exchanged
 *
 * All n pages are exchanged or none. The frames need not be contiguous.
 *
 * An exchange looks like free plus allocate of both frames: each must belong to its slot's domain, be
 * mapped by its slot alone, writable, and be referred to by nobody else; else it is refused with
 * -EBUSY, and the backend copies. Both domains keep their numbers of frames. The slots' page table
 * entries, the owners and the M2P entries are exchanged; each PFN keeps its slot. All TLB entries that
 * can be stale are flushed before anybody can use a frame.
 *
 * What is in the frames: the receiver of from_ref's frame gets it as it is, all of it. The frame that goes
 * back, from to_ref's slot, is zeroed on the way unless its contents came from the domain that gets it,
 * by an exchange, and nobody has written to it since: to_ref's domain through the slot's address (its
 * entry's dirty bit, clear after an exchange, is looked at) or anybody by another grant. So nobody sees
 * what a third domain has sent.
 *
 * Errors of whole calls are negative XEN_Exxx values, of operations in their status.
 */
#ifndef SLUICE_FLIP_H
#define SLUICE_FLIP_H

#include <stdint.h>
#include <stddef.h>

/* long sluice_flip(unsigned int cmd, void *arg, unsigned int count): arch-specific hypercall 7,
 * which the reference does not use; -ENOSYS where it does not exist. */
#define __HYPERVISOR_sluice_flip    55

/* Bits of a version 1 entry's flags that no other hypervisor looks at: an offer; and so many more slots behind it. */
#define SLUICE_GTF_flip             (1u << 9)
#define SLUICE_GTF_flip_more(n)     ((uint32_t)(n) << 10)
#define SLUICE_FLIP_EXTENT          16u

#define SLUICE_FLIP_VERSION         1

/*
 * FLIP_query: arg struct sluice_flip_query, count 1. Fills it in. 0.
 */
#define SLUICE_FLIP_query           0
struct sluice_flip_query {
    uint32_t version;               /* SLUICE_FLIP_VERSION */
    uint32_t max_windows;           /* of one domain */
    uint32_t max_slots;             /* of one window */
    uint32_t max_batch;             /* operations that are flushed together */
};

/*
 * FLIP_register: arg struct sluice_flip_window, count 1. Makes a window of the caller's. va is page-aligned;
 * the L1 tables that map [va, va + slots pages) in the current address space must exist and be validated,
 * and stay L1 tables until the window goes. What the slots map may change at any time by the
 * usual calls. Entries first_ref ... must exist in the grant table, and be neither in use by anybody nor
 * part of another window; the slots must not be part of another window.
 *   0          id is set
 *   -EINVAL    alignment, size, a range that is not the guest's, no L1 table somewhere
 *   -ERANGE    references beyond the grant table
 *   -EEXIST    slots or references are in another window
 *   -EBUSY     a reference is in use
 *   -ENOSPC    max_windows;  -ENOMEM
 */
#define SLUICE_FLIP_register        1
struct sluice_flip_window {
    uint64_t va;
    uint32_t slots;                 /* 1..max_slots */
    uint32_t first_ref;
    uint32_t id;                    /* out */
    uint32_t flags;                 /* 0 */
};

/*
 * FLIP_unregister: arg uint32_t, the id, count 1. Offers are ordinary grants from now on. Windows of a dying
 * domain go by themselves. 0, -ENOENT.
 */
#define SLUICE_FLIP_unregister      2

/*
 * FLIP_exchange: arg struct sluice_flip_op[count]. Exchanges the frames of two slots for each operation, or of the first `more` + 1
 * of two extents, which were offered to the caller; DOMID_SELF: a slot of the caller's, offered to itself. Goes in batches of up to
 * max_batch, or a few extents, each with one flush; preempted between them and continued by itself. 0 when all operations have
 * their status; -EFAULT: those before the bad address do.
 */
#define SLUICE_FLIP_exchange        3
struct sluice_flip_op {
    uint16_t from_dom;              /* whose frame carries the payload */
    uint16_t to_dom;                /* who gets it */
    uint32_t from_ref;
    uint32_t to_ref;
    int16_t status;                 /* out: SLUICE_FLIP_xxx */
    uint16_t more;                  /* pages behind the first; less than FLIP_extent says */
};

/* Status of an operation. Whatever is not okay has changed nothing. */
#define SLUICE_FLIP_okay            0
#define SLUICE_FLIP_from_gone       (-1)    /* no such domain, or dying; no grant to the caller: a copy
                                               would fail, too */
#define SLUICE_FLIP_to_gone         (-2)
#define SLUICE_FLIP_from_busy       (-3)    /* a grant, but not to be flipped (now): in no window, read-only
                                               or not an offer, in use, its frame not the slot's alone:
                                               copy */
#define SLUICE_FLIP_to_busy         (-4)
#define SLUICE_FLIP_bad_op          (-5)    /* more, both ends one slot */

/*
 * FLIP_extent: arg and count are not looked at. How many pages an operation can have: SLUICE_FLIP_EXTENT, or
 * -ENOSYS: one.
 */
#define SLUICE_FLIP_extent          4

_Static_assert(sizeof(struct sluice_flip_query) == 16, "ABI");
_Static_assert(sizeof(struct sluice_flip_window) == 24, "ABI");
_Static_assert(sizeof(struct sluice_flip_op) == 16, "ABI");
_Static_assert(offsetof(struct sluice_flip_op, status) == 12, "ABI");

#endif
