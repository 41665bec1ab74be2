/* SPDX-License-Identifier: MIT */
/*
 * fliprow.h - the short way of frames in a row: from a guest's flip channel straight into another's. Between
 * fliptx.c, which takes frames, and fliprow.c.
 */
#ifndef NETBACK_FLIPROW_H
#define NETBACK_FLIPROW_H

#include "netback/bridge.h"
#include "netback/flip.h"

/* The first word of a head. */
union first_word {
    uint64_t w;
    struct {
        uint16_t len;
        uint8_t inline_len;
        uint8_t nr_frags;
        uint16_t gso_size;
        uint8_t flags;
        uint8_t zero;
    };
};
_Static_assert(sizeof(union first_word) == 8, "one word");

/* The first 14 bytes of a frame, and two more, as words in memory order. */
struct start {
    uint64_t w1, w2;
};

#define FLIP_MAC_MASK 0xffffffffffffUL

/* The flip channel that has the station to which a frame goes that starts so; else NULL. v->to from then on. */
struct vif_flip *flip_find_target(struct vif_flip *v, struct start st);

static inline struct vif_flip *flip_target(struct vif_flip *v, struct start st)
{
    if (likely(v->to_key == (st.w1 & FLIP_MAC_MASK) && v->to_changes == bridge_changes))
        return v->to;
    return flip_find_target(v, st);
}

/*
 * Forwards the frame at v->tx_cons, whose head begins with h and st, to v->to, which is where it goes, and those behind it that can go the
 * same way, before prod and `most` at most. How many; 0: it goes the way that every frame can go. Frames that were taken earlier must have been handed
 * over.
 */
unsigned int flip_forward_row(struct vif_flip *v, uint32_t prod, unsigned int most, union first_word h, struct start st);

#endif
