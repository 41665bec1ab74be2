/* SPDX-License-Identifier: MIT */
/* flip.h - what the files of the flip channel share; see flip.c. */
#ifndef NETFRONT_FLIP_H
#define NETFRONT_FLIP_H

#include "netfront/extent.h"

/* As in struct wire: fliptx.c, fliprx.c. */
bool wire_flip_send(struct netfront *nf, const struct netfront_frame *f);
unsigned int wire_flip_send_burst(struct netfront *nf, const struct netfront_frame *f, unsigned int n);
bool wire_flip_publish(struct netfront *nf);
void wire_flip_reap(struct netfront *nf, bool arm);
bool wire_flip_receive(struct netfront *nf);
void wire_flip_post(struct netfront *nf);

/* Extents, flipext.c ------------------------------------------------------------------------- */

/* Takes back those that were sent. */
void flip_reap_extents(struct netfront *nf);
/* The same of an extent, or of a page of one that was sent by itself. False: it was not sent. */
bool flip_reap_extent(struct netfront *nf, uint32_t page);

/* wire_flip_send_burst() of frames with one fragment, of an extent. */
unsigned int flip_send_extents(struct netfront *nf, const struct netfront_frame *f, unsigned int n);

/* Offers extents to be filled. */
void flip_post_extents(struct netfront *nf);

/*
 * Takes at most n frames from the ring into nf->burst, as long as each has a slot and an extent, and nothing is wrong. How many; 0: the next is
 * another, or there is a fault.
 */
unsigned int flip_take_extents(struct netfront *nf, unsigned int n);

/* --------------------------------------------------------------------------------------------- */

_Static_assert(offsetof(struct netfront_frame, len) == 8 && offsetof(struct netfront_frame, head_len) == 8 + 2 &&
               offsetof(struct netfront_frame, nr_frags) == 8 + 3 &&
               offsetof(struct netfront_frame, gso_size) == 8 + 4 &&
               offsetof(struct netfront_frame, flags) == 8 + 6 &&
               offsetof(struct netflip_head, inline_len) == 2 && offsetof(struct netflip_head, nr_frags) == 3 &&
               offsetof(struct netflip_head, gso_size) == 4 && offsetof(struct netflip_head, flags) == 6,
               "sizes go over as they are");
_Static_assert(NETFRONT_CSUM_BLANK == NETFLIP_CSUM_BLANK &&
               NETFRONT_CSUM_VALID == NETFLIP_CSUM_VALID &&
               NETFRONT_GSO_TCPV4 == NETFLIP_GSO_TCPV4 && NETFRONT_GSO_TCPV6 == NETFLIP_GSO_TCPV6,
               "flags go over as they are");
_Static_assert(sizeof(struct netfront_frag) == sizeof(struct netflip_frag) && offsetof(struct netfront_frag, page) == 0 &&
               offsetof(struct netflip_frag, ref) == 0 && offsetof(struct netfront_frag, offset) == 4 &&
               offsetof(struct netflip_frag, offset) == 4,
               "fragments go over as words, but for the difference between page and reference in the lower half");

static __always_inline uint64_t frag_word(const struct netfront_frag *g)
{
    uint64_t w;

    __builtin_memcpy(&w, g, sizeof(w));
    return w;
}

static __always_inline void frag_set(struct netfront_frag *g, uint64_t w)
{
    __builtin_memcpy(g, &w, sizeof(w));
}

/* How a page is granted that is sent. */
static inline uint16_t sent_flags(const struct netfront *nf)
{
    return nf->copy_flag ? GTF_permit_access | GTF_readonly : GTF_permit_access | SLUICE_GTF_flip;
}

#endif
