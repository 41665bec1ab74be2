/* SPDX-License-Identifier: MIT */
/*
 * netflip.h - the network channel of flipping frontends: rings with inline headers, payload in pages
 * that are flipped (flip.h). Negotiated in the store, see below; a stock frontend never sees it.
 *
 * A vif has two *halves*, one for each direction, of the same layout. In each, the *sender* writes frames
 * into slots, and the *receiver* hands page references the other way:
 *
 *   transmit half (guest to backend)   slots: frames to send.     refs: the guest's pages that the backend
 *                                                                 needs no more, flipped or copied
 *   receive half (backend to guest)    slots: frames received.    refs: empty pages on offer
 *
 * All references are the guest's grants to the backend. Pages on offer are writable flip offers of the guest's
 * window. Pages that are sent should be; others (read-only, or outside of any window) may be sent,
 * and are copied: NETFLIP_COPY saves the attempt to flip them.
 *
 * A half is NETFLIP_PAGES pages, granted in this order: the index page (struct netflip_index), then the slots.
 * Indices run free and count slots or refs. Neither side believes the other: what is read from here is
 * copied once, checked, and used from the copy.
 *
 * A frame is a head slot and, if its fragments do not fit there, more slots with fragments only. All slots of a
 * frame are published together. The head carries the first bytes of the frame, with at least all headers up to
 * the TCP or UDP header (so that who filters them filters what is delivered); the rest follows in
 * fragments, each within one page.
 *
 * A page that was sent comes back by its reference when the backend is done with it, each once and in any order. Its
 * entry says what happened: IDLE, another frame is in the slot; else the guest ends the grant itself. The
 * same holds for a page of a received frame.
 *
 * If both ends have extents (keys below): a fragment that goes beyond its page lies in an extent of flip.h, of which
 * ref is the first page: pages ref, ref + 1, ... as far as it goes. The sender offers at least these. Sent ones come back by their first reference, all
 * pages at once, in ring `ext`, not `ref`; there the receiver offers extents to be filled, too, each of NETFLIP_EXTENT pages,
 * from which a frame takes as many as it needs: the others come back with it, unchanged and still on offer. Whoever has no
 * use for extents takes the pages one by one. A frame has at most NETFLIP_FRAGS_MAX pages, whatever they lie in.
 *
 * Wake-ups: whoever moves an index sends an event if the other side's _event index was passed, as in <xen/io/ring.h>:
 * new - event < new - old. A side that does not want to be woken sets its index to where it has been.
 * Nobody is woken for offers of extents: single pages do as well.
 *
 * Store keys, all decimal numbers. The backend writes in its directory before state InitWait, if the
 * hypervisor flips:
 *      feature-sluice-flip     NETFLIP_VERSION
 *      feature-sluice-flip-extents     1, if it has extents
 * A frontend that wants the channel writes in its own before state Connected, in place of tx-ring-ref and rx-ring-ref:
 *      request-sluice-flip     NETFLIP_VERSION
 *      request-sluice-flip-extents     1: frames may have extents, in both directions
 *      flip-tx-refs            the NETFLIP_PAGES references of the transmit half, with blanks between them
 *      flip-rx-refs            the same of the receive half
 *      event-channel           or event-channel-tx and event-channel-rx, as for the standard rings
 * and feature-no-csum-offload, feature-ipv6-csum-offload, feature-gso-tcpv4, feature-gso-tcpv6 with the
 * meaning that they have in <xen/io/netif.h>, for what it receives. Fragments (feature-sg) are always taken.
 */
#ifndef SLUICE_NETFLIP_H
#define SLUICE_NETFLIP_H

#include <stdint.h>
#include <stddef.h>

#define NETFLIP_VERSION     1

#define NETFLIP_SLOTS       256u        /* of a half; a power of 2 */
#define NETFLIP_REFS        512u        /* of a half; no more pages are on their way at one time */
#define NETFLIP_EXTENT      16u         /* pages of an extent on offer; more than one are in a fragment */
#define NETFLIP_EXTENTS     64u         /* of a half; no more are on their way at one time */
#define NETFLIP_SLOT_BYTES  128u
#define NETFLIP_PAGES       9u          /* index page, 8 pages of slots */

#define NETFLIP_INLINE_MAX  112u        /* bytes of a frame in its head slot */
#define NETFLIP_FRAGS_MAX   18u         /* of a frame */
#define NETFLIP_FRAME_MAX   65535u      /* bytes of a frame, without FCS */

/* Head flags. */
#define NETFLIP_CSUM_BLANK  0x01u       /* TCP/UDP checksum holds the pseudo-header's sum only */
#define NETFLIP_CSUM_VALID  0x02u       /* checked already */
#define NETFLIP_GSO_TCPV4   0x04u       /* gso_size is the payload of each packet */
#define NETFLIP_GSO_TCPV6   0x08u
#define NETFLIP_COPY        0x10u       /* to the backend: do not flip the fragments, copy them */
#define NETFLIP_LOST        0x20u       /* to the guest: no frame; its pages come back, contents undefined */

struct netflip_frag {
    uint32_t ref;
    uint16_t offset;
    uint16_t len;                       /* 1..PAGE_SIZE - offset; more in an extent, where offset < PAGE_SIZE */
};

/* How many pages a fragment is in. */
static inline unsigned int netflip_frag_pages(unsigned int offset, unsigned int len)
{
    return (offset + len + 4095u) / 4096u;
}

/* 128 bytes, aligned to a cache line. */
struct netflip_head {
    uint16_t len;                       /* whole frame: inline_len and all fragments */
    uint8_t inline_len;                 /* 14..NETFLIP_INLINE_MAX, <= len */
    uint8_t nr_frags;                   /* 0..NETFLIP_FRAGS_MAX; 0 exactly if inline_len == len */
    uint16_t gso_size;
    uint8_t flags;                      /* NETFLIP_xxx */
    uint8_t zero;
    uint8_t data[120];                  /* inline_len bytes; the first fragments from the next multiple
                                           of 8 on, as many as fit */
};

#define NETFLIP_FRAGS_PER_SLOT (NETFLIP_SLOT_BYTES / 8u)

/* How many fragments the head slot holds behind inline_len bytes. */
static inline unsigned int netflip_head_frags(unsigned int inline_len)
{
    return (NETFLIP_SLOT_BYTES - 8u - ((inline_len + 7u) & ~7u)) / 8u;
}

/* Slots of a frame. */
static inline unsigned int netflip_slots(unsigned int inline_len, unsigned int nr_frags)
{
    unsigned int head = netflip_head_frags(inline_len);

    return nr_frags <= head ? 1u
                            : 1u + (nr_frags - head + NETFLIP_FRAGS_PER_SLOT - 1u) / NETFLIP_FRAGS_PER_SLOT;
}

struct netflip_index {
    /* Written by the sender. */
    uint32_t slot_prod;
    uint32_t cons_event;                /* wake me when slot_cons gets here or beyond */
    uint32_t ref_event;                 /* wake me when ref_prod gets here or beyond */
    uint32_t ext_event;                 /* transmit half: wake me when ext_prod gets here or beyond */
    uint32_t pad0[12];
    /* Written by the receiver. */
    uint32_t slot_cons;                 /* slots before this may be written again */
    uint32_t slot_event;                /* wake me when slot_prod gets here or beyond */
    uint32_t ref_prod;
    uint32_t ext_prod;
    uint32_t pad1[12];
    uint8_t pad2[1920 - NETFLIP_EXTENTS * 4u];
    uint32_t ext[NETFLIP_EXTENTS];
    uint32_t ref[NETFLIP_REFS];
};

_Static_assert(sizeof(struct netflip_frag) == 8, "ABI");
_Static_assert(sizeof(struct netflip_head) == NETFLIP_SLOT_BYTES, "ABI");
_Static_assert(offsetof(struct netflip_index, slot_cons) == 64, "ABI");
_Static_assert(offsetof(struct netflip_index, ext) == 2048 - 256, "ABI");
_Static_assert(offsetof(struct netflip_index, ref) == 2048, "ABI");
_Static_assert(sizeof(struct netflip_index) == 4096, "ABI");

#endif
