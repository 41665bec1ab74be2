/* SPDX-License-Identifier: MIT */
/*
 * exchange.h - flips, collected from all ports and done in as few hypercalls as possible; what cannot be
 * flipped is copied. The way to a frame's end for its payload, beside copy.h.
 */
#ifndef NETBACK_EXCHANGE_H
#define NETBACK_EXCHANGE_H

#include "netback/copy.h"
#include "sluice/flip.h"

/*
 * Fragments shorter than this are copied. An exchange costs 250 to 330 instructions of the hypervisor whatever its
 * length, a copy 125 and one for each 8 bytes (docs/benchmarks.md, "flip or copy").
 */
#define FLIP_MIN 1024

/* Does the hypervisor flip? Asked once. */
bool exchange_offered(void);

/*
 * Queues the exchange of a fragment's page with the page `ref` that dom has offered, for the next moves_run(). The
 * fragment stays in place until then. When neither flip nor copy succeeds, *failed becomes 1.
 */
void exchange_add(const struct frag *g, domid_t dom, grant_ref_t ref, uint8_t *failed);

/* Does all copies that are queued, then all exchanges, then copies what was refused. */
void moves_run(void);

struct exchange_stats {
    uint64_t flipped, refused;
};
void exchange_get_stats(struct exchange_stats *s);

#endif
