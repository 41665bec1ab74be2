/* SPDX-License-Identifier: MIT */
/*
 * fliprest.c - exchanges between two domains that are at rest: no CPU runs them, knows entries of theirs, or begins to
 * (domain_hold()), and nobody changes their page tables (mmu_lock).
 *
 * There is then nothing to flush between taking two slots and giving them, and nobody to see an entry in between: an
 * exchange needs no marks, leaves each entry out for no moment, and is over when the call returns. Only the frames can be wanted by
 * others, so these are claimed as in any exchange. What is expected is what the last flip has left in both slots, and nothing to be zeroed.
 * An operation that finds anything else changes nothing, and it and those behind it are left to flip.c.
 */
#include "grant/internal.h"
#include "mm/frame.h"

/* ------------------------------------------------------------ claim */

/* Of that many slots the frames that were claimed. */
static noinline void rest_unclaim(const struct flip_slot *from, uint32_t nr_from, const struct flip_slot *to, uint32_t nr_to)
{
    for (; nr_from; nr_from--)
        page_unclaim(flip_frame(from++->frame));
    for (; nr_to; nr_to--)
        page_unclaim(flip_frame(to++->frame));
}

/* The frames of two slots, if in both there is one, parked, and mapped as the last flip has left it: how many were claimed, 2 or less. */
static __always_inline uint32_t rest_claim_pair(const struct flip_slot *from, const struct flip_slot *to, const pte_t *from_pte,
                                                const pte_t *to_pte, uint64_t from_state, uint64_t to_state)
{
    uint64_t sent = from->frame, back = to->frame;

    if (unlikely((sent | back) >> 32) || unlikely(READ_ONCE(*from_pte) != from->e) || unlikely(READ_ONCE(*to_pte) != to->e) ||
        unlikely(!page_claim(flip_frame(sent), from_state)))
        return 0;
    ASSERT(flip_pte_maps(from->e, sent) && flip_pte_maps(to->e, back));
    return likely(page_claim(flip_frame(back), to_state)) ? 2 : 1;
}

/* Claims the frames of n slots on each side, of which none is to be zeroed; or none. step: divides n, pairs in one go. */
static __always_inline bool rest_claim(const struct flip_slot *from, const struct flip_slot *to, const uint32_t n,
                                       const uint32_t step, const uint64_t from_state, const uint64_t to_state)
{
    const pte_t *from_pte = from->pte, *to_pte = to->pte;
    pte_t written = 0;
    uint32_t i, k;

    for (i = 0; i < n; i += step) {
#pragma GCC unroll 4
        for (k = 0; k < step; k++) {
            uint32_t claimed = rest_claim_pair(from + k, to + k, from_pte + k, to_pte + k, from_state, to_state);

            if (unlikely(claimed != 2)) {
                rest_unclaim(from - i, i + k + claimed, to - i, i + k);
                return false;
            }
            written |= to[k].e;
        }
        from += step;
        to += step;
        from_pte += step;
        to_pte += step;
    }
    if (likely(!flip_must_scrub(0, 0, written)))
        return true;
    rest_unclaim(from - n, n, to - n, n);
    return false;
}

/* ------------------------------------------------------------ swap */

/* A claimed frame, which nothing maps any more, in its new slot. */
static __always_inline void rest_give(struct flip_slot *s, uint64_t frame, uint64_t state)
{
    struct page *pg = flip_frame(frame);

    ASSERT(pg->type == (PGT_WRITABLE | 1));
    page_park(pg, &s->frame, frame);
    store_release(&pg->state, state);
}

/* Nobody looks: in two halves it costs less. */
static __always_inline void rest_entry(uint64_t *entry, uint32_t head, uint64_t frame)
{
    uint32_t *half = (uint32_t *)(void *)entry;

    WRITE_ONCE(half[0], head);
    WRITE_ONCE(half[1], (uint32_t)frame);
}

/* Claimed frames change places. step: as above. */
static __always_inline void rest_swap(struct flip_slot *from, struct flip_slot *to, const uint32_t n, const uint32_t step,
                                      const uint64_t from_state, const uint64_t given, const uint32_t idle)
{
    uint64_t *from_entry = from->entry, *to_entry = to->entry;
    pte_t *from_pte = from->pte, *to_pte = to->pte;

    for (uint32_t i = 0; i < n; i += step) {
#pragma GCC unroll 4
        for (uint32_t k = 0; k < step; k++) {
            uint64_t sent = from[k].frame, back = to[k].frame;
            uint64_t from_pfn = m2p_get(mfn(sent)), to_pfn = m2p_get(mfn(back));
            pte_t e;

            m2p_set(mfn(sent), to_pfn);
            m2p_set(mfn(back), from_pfn);
            rest_give(to + k, sent, given);
            rest_give(from + k, back, from_state);
            rest_entry(from_entry + k, idle, back);
            rest_entry(to_entry + k, idle, sent);
            e = flip_pte_sender(from[k].e, sent, back);
            from[k].e = e;
            WRITE_ONCE(from_pte[k], e);
            e = flip_pte_unwritten(to[k].e, back, sent);
            to[k].e = e;
            WRITE_ONCE(to_pte[k], e);
        }
        from += step;
        to += step;
        from_entry += step;
        to_entry += step;
        from_pte += step;
        to_pte += step;
    }
}

/* ------------------------------------------------------------ operations */

/* Is the reference in the window, or in another that is in its place now? */
static __always_inline bool rest_window(struct flip_range *window, const struct grant_table *gt, uint32_t ref)
{
    if (likely(ref - window->first_ref < window->slots))
        return true;
    *window = flip_find(gt, ref);
    return window->slots != 0;
}

/* Is that page on offer, by itself? */
static __always_inline bool rest_offers_page(const struct flip_slot *s, uint32_t offer)
{
    return READ_ONCE(*s->entry) == (s->frame << 32 | offer);
}

/* Are n pages on offer together, in one window, with their entries in grant table and page table side by side? */
static __always_inline bool rest_offers_extent(const struct flip_range *window, const struct flip_slot *s, uint32_t n, uint32_t offer)
{
    uint32_t word = (uint32_t)READ_ONCE(*s->entry);

    return s + n <= window->slot + window->slots && (word & ~(uint32_t)FLIP_MORE) == offer && (word & FLIP_MORE) >= SLUICE_GTF_flip_more(n - 1) &&
           s[n - 1].pte == s->pte + n - 1 && s[n - 1].entry == s->entry + n - 1;
}

static noinline bool rest_extents(struct flip_slot *from, struct flip_slot *to, uint32_t n, uint64_t from_state, uint64_t to_state,
                                  uint64_t given, uint32_t idle)
{
    if (likely(n == FLIP_EXTENT)) {         /* loops of known length */
        if (unlikely(!rest_claim(from, to, FLIP_EXTENT, 4, from_state, to_state)))
            return false;
        rest_swap(from, to, FLIP_EXTENT, 4, from_state, given, idle);
    } else {
        if (unlikely(!rest_claim(from, to, n, 1, from_state, to_state)))
            return false;
        rest_swap(from, to, n, 1, from_state, given, idle);
    }
    return true;
}

/* Both at rest. */
static inline struct sluice_flip_op *rest_ops(struct domain *from_d, struct domain *to_d, struct sluice_flip_op *op,
                                              const struct sluice_flip_op *end, domid_t backend, uint32_t *left)
{
    const struct grant_table *from_gt = from_d->grant, *to_gt = to_d->grant;
    const uint64_t from_state = page_state_mapped_once(from_d->id), to_state = flip_clean(to_d->id, from_gt->flip_tag);
    const uint64_t given = page_state_mapped_once(to_d->id) | page_state(0, 0, from_gt->flip_tag);
    const uint32_t offer = flip_offer_to(backend), idle = (uint32_t)flip_idle(backend, 0), doms = flip_doms(op);
    struct flip_range from_window = { 0 }, to_window = { 0 };
    uint32_t room = *left;

    for (; op < end && room && flip_doms(op) == doms; op++) {
        const uint32_t n = op->more + 1u;
        struct flip_slot *from, *to;

        if (unlikely(!rest_window(&from_window, from_gt, op->from_ref)) || unlikely(!rest_window(&to_window, to_gt, op->to_ref)))
            break;
        from = from_window.slot + (op->from_ref - from_window.first_ref);
        to = to_window.slot + (op->to_ref - to_window.first_ref);
        if (likely(n == 1)) {
            if (unlikely(!rest_offers_page(from, offer)) || unlikely(!rest_offers_page(to, offer)) ||
                unlikely(!rest_claim(from, to, 1, 1, from_state, to_state)))
                break;
            rest_swap(from, to, 1, 1, from_state, given, idle);
        } else if (unlikely(n > FLIP_EXTENT || n > room) || unlikely(!rest_offers_extent(&from_window, from, n, offer)) ||
                   unlikely(!rest_offers_extent(&to_window, to, n, offer)) ||
                   unlikely(!rest_extents(from, to, n, from_state, to_state, given, idle))) {
            break;
        }
        op->status = SLUICE_FLIP_okay;
        room -= n;
    }
    *left = room;
    return op;
}

struct sluice_flip_op *flip_at_rest(struct domain *from, struct domain *to, struct sluice_flip_op *op,
                                    const struct sluice_flip_op *end, domid_t backend, uint32_t *left)
{
    bool held = domain_hold(from) & domain_hold(to);

    if (likely(held) && likely(spin_trylock(&from->mmu_lock))) {
        if (likely(spin_trylock(&to->mmu_lock))) {
            op = rest_ops(from, to, op, end, backend, left);
            spin_unlock(&to->mmu_lock);
        }
        spin_unlock(&from->mmu_lock);
    }
    domain_let_go(to);
    domain_let_go(from);
    return op;
}
