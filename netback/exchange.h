/* SPDX-License-Identifier: MIT */
/*
 * exchange.h - flips, collected from all ports and done in as few hypercalls as possible; what cannot be
 * flipped is copied. The way to a frame's end for its payload, beside copy.h.
 */
#ifndef NETBACK_EXCHANGE_H
#define NETBACK_EXCHANGE_H

#include "netback/copy.h"
#include "netback/flip.h"
#include "sluice/flip.h"

/*
 * Fragments shorter than this are copied. Guest to guest, everything counted, a frame with one page takes 1352
 * instructions when the page is flipped, whatever is in it; copied 2242 with 62 bytes and 2416 with 1442 (`frames` with
 * window=240, release build). So whatever does not fit into its slot is flipped.
 */
#define FLIP_MIN 1

/* Does the hypervisor flip? Asked once. */
bool exchange_offered(void);

/*
 * Queues the exchange of a fragment's page with the page `ref` that dom has offered, for the next moves_run(). The
 * fragment stays in place until then. When neither flip nor copy succeeds, *failed becomes 1.
 */
void exchange_add(const struct frag *g, domid_t dom, grant_ref_t ref, uint8_t *failed);

/*
 * The same from flip channel to flip channel without a struct frame: page `from_ref` of v's guest, [offset,
 * offset + len) of it, for the page `ref` that dom has offered and that stands in `slot` of its ring. v's guest gets
 * from_ref back in any case; when neither flip nor copy succeeds, slot is marked as lost.
 */
void exchange_add_direct(struct vif_flip *v, grant_ref_t from_ref, uint16_t offset, uint16_t len,
                         domid_t dom, grant_ref_t ref, struct netflip_head *slot);

/* Does all copies that are queued, then all exchanges, then copies what was refused. */
void moves_run(void);

struct exchange_stats {
    uint64_t flipped, refused;
};
void exchange_get_stats(struct exchange_stats *s);

#endif
