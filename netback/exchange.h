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
 * Fragments shorter than this are copied. Guest to guest, everything counted, a frame with one page takes 1020
 * instructions when the page is flipped, whatever is in it; copied 2225 with 198 bytes and 2370 with 1442 (`make bench
 * PARTS=flipnet`). So whatever does not fit into its slot is flipped.
 */
#define FLIP_MIN 1

/* Does the hypervisor flip? Asked once. */
bool exchange_offered(void);

/*
 * Queues the exchange of a fragment's page with the page `ref` that dom has offered, for the next moves_run(). The
 * fragment stays in place until then. When neither flip nor copy succeeds, *failed becomes 1.
 */
void exchange_add(const struct frag *g, domid_t dom, grant_ref_t ref, uint8_t *failed);

/* Does all copies that are queued, then all exchanges, then copies what was refused. */
void moves_run(void);

/* Operations that moves_run() does, and what they are for, in the same order. */
#define EXCHANGE_BATCH 256
struct exchange {
    union {
        struct netflip_head *slot;  /* direct: what is to be marked as lost */
        uint8_t *failed;            /* else: what becomes 1 */
    };
    uint16_t offset, len;
    uint8_t direct;
    uint8_t copy_failed;
};
extern struct sluice_flip_op exchange_op[EXCHANGE_BATCH];
extern struct exchange exchange_what[EXCHANGE_BATCH];
extern unsigned int exchange_count;

/* Makes room for n more, no more than a frame can have. */
static inline void exchange_room(unsigned int n)
{
    if (unlikely(exchange_count + n > EXCHANGE_BATCH))
        moves_run();
}

/* First half of an operation: from's page, to be or'ed with its reference in the upper half. */
static inline uint64_t exchange_doms(domid_t from, domid_t to)
{
    return from | (uint32_t)to << 16;
}

/*
 * The same from flip channel to flip channel without a struct frame, for which there is room: operation n, exchange_count or one of those that
 * follow; exchange_count is the caller's to move when the frame is complete. frag: a fragment as the sender wrote it (struct
 * netflip_frag), ref: the page that the receiver has offered instead, which stands in a slot of its ring whose head is
 * `slot`. The sender can be given its page back after moves_run(); when neither flip nor copy succeeds, slot is marked as lost.
 */
static __always_inline void exchange_put(unsigned int n, uint64_t doms, uint64_t frag, grant_ref_t ref,
                                         struct netflip_head *slot)
{
    struct exchange *x = &exchange_what[n];
    uint64_t op[2] = { doms | frag << 32, ref | (uint64_t)(uint16_t)SLUICE_FLIP_from_busy << 32 };
    uint64_t place = frag >> 32 | 1UL << 32;

    _Static_assert(offsetof(struct sluice_flip_op, from_ref) == 4 && offsetof(struct sluice_flip_op, to_ref) == 8 &&
                   offsetof(struct sluice_flip_op, status) == 12 && offsetof(struct netflip_frag, offset) == 4 &&
                   offsetof(struct exchange, direct) == offsetof(struct exchange, offset) + 4, "words");
    __builtin_memcpy(&exchange_op[n], op, sizeof(op));
    x->slot = slot;
    __builtin_memcpy(&x->offset, &place, sizeof(place));
}

struct exchange_stats {
    uint64_t flipped, refused;
};
void exchange_get_stats(struct exchange_stats *s);

#endif
