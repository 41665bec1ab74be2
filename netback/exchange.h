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
 * Fragments shorter than this are copied. Guest to guest, everything counted, a frame with one page takes 566
 * instructions when the page is flipped, whatever is in it; copied 2053 with 198 bytes and 2205 with 1442 (`make bench
 * PARTS=flipnet`). So whatever does not fit into its slot is flipped.
 */
#define FLIP_MIN 1

/* Does the hypervisor flip, and extents of NETFLIP_EXTENT pages too? Asked once. */
bool exchange_offered(void);
bool exchange_extents(void);

/*
 * Queues the exchange of a fragment's page with the page `ref` that dom has offered, for the next moves_run(). The
 * fragment stays in place until then. When neither flip nor copy succeeds, *failed becomes 1.
 */
void exchange_add(const struct frag *g, domid_t dom, grant_ref_t ref, uint8_t *failed);

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
    uint16_t pad;
};
extern struct sluice_flip_op exchange_op[EXCHANGE_BATCH];
extern struct exchange exchange_what[EXCHANGE_BATCH];
extern unsigned int exchange_count;

/* Does all copies that are queued, then all exchanges, then copies what was refused. */
void moves_run_queued(void);
static inline void moves_run(void)
{
    if (copy_count | exchange_count)
        moves_run_queued();
}

/* Makes room for n more, no more than a frame can have. */
static inline void exchange_room(unsigned int n)
{
    if (unlikely(exchange_count + n > EXCHANGE_BATCH))
        moves_run();
}

/* The domains of an operation, as one word. */
static inline uint32_t exchange_doms(domid_t from, domid_t to)
{
    return from | (uint32_t)to << 16;
}

/*
 * The same from flip channel to flip channel without a struct frame, for one page or, behind it, `more` of an extent, for which there is room: operation op and what, exchange_op[exchange_count] and
 * exchange_what[] or one of those that follow; exchange_count is the caller's to move when the frame is complete. from: the sender's page, place: the other half of the
 * fragment as the sender wrote it (struct netflip_frag), to: the page that the receiver has offered instead, which stands in a slot of its ring
 * whose head is `slot`. The sender can be given its page back after moves_run(); when neither flip nor copy succeeds, slot is marked as lost.
 */
static __always_inline void exchange_put_pages(struct sluice_flip_op *op, struct exchange *what, uint32_t doms, grant_ref_t from,
                                               uint32_t place, grant_ref_t to, struct netflip_head *slot, uint32_t more)
{
    const uint32_t busy = (uint16_t)SLUICE_FLIP_from_busy | more << 16, direct = 1;

    _Static_assert(offsetof(struct sluice_flip_op, status) == 12 &&
                   offsetof(struct sluice_flip_op, more) == 14 &&
                   offsetof(struct exchange, len) == offsetof(struct exchange, offset) + 2 &&
                   offsetof(struct exchange, copy_failed) == offsetof(struct exchange, direct) + 1, "words");
    __builtin_memcpy(&op->from_dom, &doms, 4);
    op->from_ref = from;
    op->to_ref = to;
    __builtin_memcpy(&op->status, &busy, 4);
    what->slot = slot;
    __builtin_memcpy(&what->offset, &place, 4);
    __builtin_memcpy(&what->direct, &direct, 4);        /* copy_failed 0 */
}

static __always_inline void exchange_put(struct sluice_flip_op *op, struct exchange *what, uint32_t doms, grant_ref_t from,
                                         uint32_t place, grant_ref_t to, struct netflip_head *slot)
{
    exchange_put_pages(op, what, doms, from, place, to, slot, 0);
}

/* Pages of extents that were queued, beyond the first of each: for what is counted. */
extern unsigned int exchange_more;

struct exchange_stats {
    uint64_t flipped, refused;
};
void exchange_get_stats(struct exchange_stats *s);

#endif
