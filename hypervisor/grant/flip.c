/* SPDX-License-Identifier: MIT */
/*
 * flip.c - FLIP_exchange: the frames of two offered slots, or extents of slots, change places.
 *
 * Between domains that no CPU runs, and where all is as the last flip has left it, that is done by fliprest.c. Else a batch has
 * three phases. What each one relies on stands in docs/flip.md.
 *
 *   take   both offers, then both entries out of the page tables, then all references: from then on
 *          the frames are nobody's but ours. Any failure puts everything back.
 *   flush  once, the CPUs that may know one of the entries. Then zero what must not be seen.
 *   give   each frame to its new owner, with the references and the entry of the slot it is for.
 *
 * Entries are swapped without the guests' mmu_lock, so that no guest can make a backend wait: all
 * other writers of leaf entries exchange or compare-and-swap, and drop what they found.
 * Called from: hypercall/table.c.  Locks: docs/locking.md.
 */
#include "grant/internal.h"
#include "boot/smp.h"
#include "cpu/counters.h"
#include "hypercall/hypercall.h"
#include "lib/string.h"
#include "mm/tlb.h"
#include "mm/uaccess.h"
#include "mm/validate.h"
#include "sched/sched.h"

/* A slot that was taken. */
struct slot {
    struct flip_slot *at;       /* at->e: what was in its page table entry */
    uint64_t frame;             /* that was there, claimed */
};

struct pair {
    struct slot from, to;
};

/* Operations in a row between the same two domains, whose locks are taken once. */
struct run {
    struct domain *from, *to;   /* referenced */
    struct pair *first, *end;
    bool locked;                /* the locks stay held until its slots are given back */
    bool unparked;              /* frames may not be parked in their slots yet */
};

struct batch {
    uint64_t scrub;             /* bit i: the frame that goes back in pair i must be zeroed */
    cpumask_t flush;            /* CPUs that may know an entry that was taken out */
    const struct sluice_flip_op *stop;  /* before this one: there is no room for more pages */
    uint32_t left;              /* pages that may be exchanged at rest */
    struct run *end_run;
    struct pair *end;
    struct run run[FLIP_BATCH];
    struct pair pair[FLIP_PAGES];
};

_Static_assert(FLIP_PAGES <= 64, "batch.scrub");
_Static_assert(FLIP_BATCH <= FLIP_PAGES && FLIP_EXTENT <= FLIP_PAGES, "any operation fits into a batch of its own");

/* One side of a run while its slots are taken. */
struct side {
    struct domain *d;
    const struct grant_table *gt;
    uint64_t state;                 /* of most of its frames that may be flipped */
    const struct pair *pair;
    uint64_t odd;                   /* bit i: the frame in pair[i] has another */
    struct flip_range at;           /* the window of the last slot */
    bool unparked;                  /* a frame that was taken is not parked in its slot */
    bool foreign;                   /* or was mapped by another domain */
};

/* ------------------------------------------------------------ take */

static noinline bool side_find(struct side *s, uint32_t ref)
{
    s->at = flip_find(s->gt, ref);
    return s->at.slots != 0;
}

/* Why a slot cannot be taken, which is not because of its frame. */
static noinline enum flip_offer offer_refused(const struct side *s, uint32_t ref, domid_t backend)
{
    enum flip_offer offer = FLIP_IS_GONE;

    if (ref < s->gt->nr_frames * GRANTS_PER_FRAME)
        offer = flip_offer(READ_ONCE(*grant_header(grant_shared(s->gt, ref))), backend);
    /* A perfect one is in no window, or has just changed. */
    return offer == FLIP_IS_OFFERED ? FLIP_IS_BUSY : offer;
}

/* What a guest has put into an entry while its slot was taken stays: the frame is then not mapped. */
static __always_inline void entry_put(const struct domain *d, pte_t *p, pte_t e)
{
    pte_t none = 0;

    if (unlikely(!atomic_cmpxchg(p, &none, e)))
        l1e_put(d, e);
}

/* The same of any entry, for a frame that was not claimed. */
static noinline void entry_give_back(const struct domain *d, pte_t *p, pte_t e)
{
    pte_t none = 0;

    if (!atomic_cmpxchg(p, &none, e) && (e & PTE_P))
        l1e_put(d, e);
}

static __always_inline void offer_give_back(uint64_t *entry)
{
    (void)__atomic_fetch_and(entry, ~(uint64_t)FLIP_TAKEN, __ATOMIC_SEQ_CST);
}

/* The slot as it was, but for its offer. */
static void frame_give_back(const struct domain *d, const struct slot *s)
{
    struct page *pg = flip_frame(s->frame);

    s->at->frame = page_parked_at(pg) == &s->at->frame ? s->frame : PLACE_EMPTY;
    page_unclaim(pg);
    entry_put(d, s->at->pte, s->at->e);
}

static noinline void slot_give_back(const struct domain *d, const struct slot *s)
{
    frame_give_back(d, s);
    offer_give_back(s->at->entry);
}

/* No entry of a table is this: there is no such frame. */
#define NO_ENTRY ~(pte_t)0

/* Takes the offer of a frame that is not parked in its slot, as the last one that came by a flip is, or of the first page of an
 * extent by itself. PLACE_EMPTY: none. */
static noinline uint64_t take_unparked(const struct flip_slot *at, domid_t backend)
{
    uint64_t word = READ_ONCE(*at->entry);

    if (READ_ONCE(at->frame) == FLIP_SLOT_TAKEN || !flip_is_offer((uint32_t)word, backend) ||
        word >> 32 > max_mfn || !atomic_cmpxchg(at->entry, &word, word | FLIP_TAKEN))
        return PLACE_EMPTY;
    return word >> 32;
}

/* Takes an entry that is not as the last flip has left it. NO_ENTRY: it does not map that frame; nothing has changed. */
static noinline pte_t take_entry(const struct domain *d, pte_t *p, uint64_t frame)
{
    pte_t e = atomic_xchg(p, 0);

    if (flip_pte_maps(e, frame))
        return e;
    entry_give_back(d, p, e);
    return NO_ENTRY;
}

/* Claims the frame of pair p, which is not as most are. Frames that are not RAM have count 0. */
static noinline bool claim_odd(struct side *side, struct page *pg, const struct pair *p)
{
    uint64_t state = READ_ONCE(pg->state);

    if (!page_mapped_once(state, page_state_mapped_once(side->d->id)) || !page_claim(pg, state))
        return false;
    side->foreign |= (state & PGC_FOREIGN) != 0;
    side->odd |= 1UL << (p - side->pair);
    return true;
}

/* A frame that was claimed is not parked in its slot: that is nobody's place any more. */
static noinline void slot_clear(struct side *side, struct flip_slot *at)
{
    page_unpark(side->d, &at->frame);
    side->unparked = true;
}

/* Entry e, which maps the frame, was taken out of the slot: claims the frame for pair p. False: it is not the slot's alone; the
 * entry is back. */
static __always_inline bool slot_claim(struct side *side, struct flip_slot *at, uint64_t frame, pte_t e,
                                       struct slot *s, const struct pair *p)
{
    struct page *pg;

    ASSERT(flip_pte_maps(e, frame));
    /* The entry's references are ours now. If nobody has another one, nobody has one of the type. */
    pg = flip_frame(frame);
    if (unlikely(!page_claim(pg, side->state)) && !claim_odd(side, pg, p)) {
        entry_give_back(side->d, at->pte, e);
        return false;
    }
    ASSERT(pg->type == (PGT_WRITABLE | 1));
    /* From now on nobody but us moves it. */
    if (unlikely(at->frame != frame))
        slot_clear(side, at);
    WRITE_ONCE(at->frame, FLIP_SLOT_TAKEN);
    at->e = e;
    s->at = at;
    s->frame = frame;
    return true;
}

/*
 * Takes the offer, then the frame, if it is the slot's alone, for pair p. Lock of the grants held. What is expected
 * is that the frame that the last flip has parked in the slot is still there, as it was: all else takes longer.
 */
static __always_inline enum flip_offer slot_take(struct side *side, uint32_t ref, domid_t backend,
                                                 struct slot *s, const struct pair *p)
{
    struct flip_slot *at;
    uint64_t word, frame;
    pte_t e, here;

    if (unlikely(ref - side->at.first_ref >= side->at.slots) && !side_find(side, ref))
        return offer_refused(side, ref, backend);
    at = &side->at.slot[ref - side->at.first_ref];
    frame = READ_ONCE(at->frame);
    e = at->e;
    word = flip_offered(backend, frame);
    if (unlikely(frame >= FLIP_SLOT_TAKEN) ||
        unlikely(!atomic_cmpxchg(at->entry, &word, word | FLIP_TAKEN))) {
        frame = take_unparked(at, backend);
        if (frame == PLACE_EMPTY)
            return offer_refused(side, ref, backend);
        e = NO_ENTRY;
    }
    /* The slot is not the guest's at the moment, so its entry may be gone for a while. */
    here = e;
    if (unlikely(!atomic_cmpxchg(at->pte, &here, 0))) {
        e = take_entry(side->d, at->pte, frame);
        if (e == NO_ENTRY)
            goto refused;
    }
    if (likely(slot_claim(side, at, frame, e, s, p)))
        return FLIP_IS_OFFERED;
refused:
    offer_give_back(at->entry);
    return FLIP_IS_BUSY;
}

static const int16_t from_status[] = {
    [FLIP_IS_BUSY] = SLUICE_FLIP_from_busy, [FLIP_IS_GONE] = SLUICE_FLIP_from_gone,
};
static const int16_t to_status[] = {
    [FLIP_IS_BUSY] = SLUICE_FLIP_to_busy, [FLIP_IS_GONE] = SLUICE_FLIP_to_gone,
};

/* Both slots of an operation; the result is its status. */
static __always_inline int16_t pair_take(struct side *from, struct side *to,
                                         const struct sluice_flip_op *op, domid_t backend,
                                         struct pair *p)
{
    enum flip_offer offer;

    offer = slot_take(from, op->from_ref, backend, &p->from, p);
    if (unlikely(offer != FLIP_IS_OFFERED))
        return from_status[offer];
    offer = slot_take(to, op->to_ref, backend, &p->to, p);
    if (likely(offer == FLIP_IS_OFFERED))
        return SLUICE_FLIP_okay;
    slot_give_back(from->d, &p->from);
    return from->d == to->d && op->from_ref == op->to_ref ? SLUICE_FLIP_bad_op : to_status[offer];
}

/* ------------------------------------------------------------ take extents */

static __always_inline struct slot *pair_slot(struct pair *p, bool to)
{
    return to ? &p->to : &p->from;
}

/* The pages of pairs [p, end) of one side, of which the last is the first of its extent: as they were, and then the offer. */
static noinline void extent_give_back(const struct domain *d, struct pair *p, struct pair *end, bool to, uint64_t *entry)
{
    for (; p != end; p++)
        frame_give_back(d, pair_slot(p, to));
    offer_give_back(entry);
}

/* Takes a page of an extent that is not as the last flip has left it, for pair p: its entry must map the frame that the grant names. */
static noinline bool page_take(struct side *side, struct flip_slot *at, struct pair *p, bool to)
{
    uint64_t frame = READ_ONCE(*at->entry) >> 32;
    pte_t e;

    if (READ_ONCE(at->frame) == FLIP_SLOT_TAKEN || frame > max_mfn)
        return false;
    e = take_entry(side->d, at->pte, frame);
    return e != NO_ENTRY && slot_claim(side, at, frame, e, pair_slot(p, to), p);
}

/* Takes the offer of n pages or more; its first slot. NULL: *why there is none. */
static __always_inline struct flip_slot *extent_offer(struct side *side, uint32_t ref, uint32_t n, domid_t backend,
                                                      enum flip_offer *why)
{
    struct flip_slot *at;
    uint64_t word;

    if (unlikely(ref - side->at.first_ref >= side->at.slots) && !side_find(side, ref))
        goto refused;
    at = &side->at.slot[ref - side->at.first_ref];
    word = READ_ONCE(*at->entry);
    if (unlikely(!flip_is_extent((uint32_t)word, backend, n)) || unlikely(n > side->at.slots - (ref - side->at.first_ref)) ||
        unlikely(READ_ONCE(at->frame) == FLIP_SLOT_TAKEN) || unlikely(!atomic_cmpxchg(at->entry, &word, word | FLIP_TAKEN)))
        goto refused;
    return at;
refused:
    *why = offer_refused(side, ref, backend);
    return NULL;
}

/*
 * slot_take() of the first n pages of an extent: all or none. The offer of the first speaks for them, and is the only one that is
 * looked at. Pairs are filled from the last to the first, so that the first page's offer is answered when all is done. *bits: those of
 * all entries.
 */
static __always_inline enum flip_offer extent_take(struct side *side, uint32_t ref, uint32_t n, domid_t backend,
                                                   struct pair *pairs, const bool to, pte_t *bits)
{
    enum flip_offer why = FLIP_IS_OFFERED;
    struct flip_slot *at = extent_offer(side, ref, n, backend, &why);
    const uint64_t state = side->state;
    struct pair *p = pairs + n;
    uint64_t *entry;
    pte_t seen = 0;

    if (unlikely(!at))
        return why;
    for (entry = at->entry; p != pairs; at++) {
        uint64_t frame = READ_ONCE(at->frame);
        pte_t e = at->e;

        p--;
        if (likely(frame < FLIP_SLOT_TAKEN) && likely(atomic_cmpxchg(at->pte, &e, 0))) {
            struct page *pg = flip_frame(frame);

            /* As in slot_claim(); at->e is what it is. */
            if (unlikely(!page_claim(pg, state)) && !claim_odd(side, pg, p)) {
                entry_give_back(side->d, at->pte, e);
                goto refused;
            }
            ASSERT(pg->type == (PGT_WRITABLE | 1) && flip_pte_maps(e, frame));
            if (unlikely(at->frame != frame))
                slot_clear(side, at);
            WRITE_ONCE(at->frame, FLIP_SLOT_TAKEN);
            pair_slot(p, to)->at = at;
            pair_slot(p, to)->frame = frame;
            seen |= e;
        } else if (page_take(side, at, p, to)) {
            seen |= at->e;
        } else {
            goto refused;
        }
    }
    *bits = seen;
    return FLIP_IS_OFFERED;
refused:
    extent_give_back(side->d, p + 1, pairs + n, to, entry);
    return FLIP_IS_BUSY;
}

/* Both extents of an operation, as pair_take(), for n pairs. Whatever the receiver has written to among what goes back is added to *written. */
static int16_t pairs_take(struct side *from, struct side *to, const struct sluice_flip_op *op, uint32_t n,
                          domid_t backend, struct pair *p, uint64_t *written)
{
    enum flip_offer offer;
    pte_t bits = 0;

    if (unlikely(n > FLIP_EXTENT))
        return SLUICE_FLIP_bad_op;
    offer = extent_take(from, op->from_ref, n, backend, p, false, &bits);
    if (unlikely(offer != FLIP_IS_OFFERED))
        return from_status[offer];
    offer = extent_take(to, op->to_ref, n, backend, p, true, &bits);
    if (unlikely(offer != FLIP_IS_OFFERED)) {
        extent_give_back(from->d, p, p + n, false, p[n - 1].from.at->entry);
        return from->d == to->d && op->from_ref == op->to_ref ? SLUICE_FLIP_bad_op : to_status[offer];
    }
    for (uint32_t i = 0; unlikely(flip_must_scrub(0, 0, bits)) && i < n; i++)
        if (flip_must_scrub(0, 0, p[i].to.at->e))
            *written |= 1UL << (p + i - to->pair);
    return SLUICE_FLIP_okay;
}

/* ------------------------------------------------------------ take runs */

/* A domain of a run, referenced; NULL if it is gone or dying. */
static __always_inline struct domain *run_domain(domid_t id)
{
    struct domain *d = domain_of_arg(id);

    if (likely(d) && unlikely(domain_dying(d))) {
        domain_put(d);
        d = NULL;
    }
    return d;
}

/* All operations from op on that form a run have that status; the one behind them. */
static noinline struct sluice_flip_op *run_refuse(struct sluice_flip_op *op,
                                                  const struct sluice_flip_op *end, int16_t status)
{
    const struct sluice_flip_op *first = op;

    for (; op < end && flip_doms(op) == flip_doms(first); op++) {
        op->status = status;
        count(CNT_FLIP_REFUSED);
    }
    return op;
}

/*
 * An operation of several pages, from pair p on; the next free one. If there is no room for it, or less than one page for each that follows, the
 * batch ends earlier (b->stop), with this one or before it.
 */
static noinline struct pair *run_take_extents(struct batch *b, struct side *from, struct side *to, struct sluice_flip_op *op,
                                              domid_t backend, struct pair *p, uint64_t *written)
{
    uint32_t n = op->more + 1u, room = (uint32_t)(b->pair + FLIP_PAGES - p), left = room - n;

    if (unlikely(n > room && n <= FLIP_EXTENT)) {
        b->stop = op;
        return p;
    }
    op->status = pairs_take(from, to, op, n, backend, p, written);
    if (unlikely(op->status)) {
        count(CNT_FLIP_REFUSED);
        return p;
    }
    if ((uint64_t)(b->stop - op) > left + 1)
        b->stop = op + 1 + left;
    return p + n;
}

/* A batch that is one run keeps its locks: waiting for the flush, CPUs that wait for a lock answer. */
static inline struct sluice_flip_op *run_take(struct batch *b, struct sluice_flip_op *op,
                                              const struct sluice_flip_op *end, domid_t backend)
{
    const uint32_t doms = flip_doms(op);
    struct domain *from_d = run_domain(op->from_dom), *to_d;
    struct grant_table *from_gt, *to_gt;
    struct run *r = b->end_run;
    struct pair *p = b->end;
    uint64_t clean, written = 0, extents_written = 0;
    bool locked;

    if (unlikely(!from_d))
        return run_refuse(op, end, SLUICE_FLIP_from_gone);
    to_d = run_domain(op->to_dom);
    if (unlikely(!to_d)) {
        domain_put(from_d);
        return run_refuse(op, end, SLUICE_FLIP_to_gone);
    }
    from_gt = from_d->grant;
    to_gt = to_d->grant;
    *r = (struct run){ .from = from_d, .to = to_d, .first = p, .end = p };
    b->end_run++;
    spin_lock_pair(&from_gt->lock, &to_gt->lock);
    if (unlikely(from_gt->windows_leaving | to_gt->windows_leaving)) {
        spin_unlock_pair(&from_gt->lock, &to_gt->lock);
        return run_refuse(op, end, from_gt->windows_leaving ? SLUICE_FLIP_from_busy
                                                            : SLUICE_FLIP_to_busy);
    }
    if (likely(from_d != to_d)) {
        op = flip_at_rest(from_d, to_d, op, end, backend, &b->left);
        if (op < end && flip_doms(op) == doms && unlikely(op->more < FLIP_EXTENT && op->more >= b->left))
            b->stop = end = op;
        if (likely(op == end) || flip_doms(op) != doms) {
            spin_unlock_pair(&from_gt->lock, &to_gt->lock);
            return op;
        }
    }
    clean = flip_clean(to_d->id, from_gt->flip_tag);
    /* Most of what is sent came back once, most of what comes back was sent once. */
    struct side from = { .d = from_d, .gt = from_gt, .pair = b->pair,
                         .state = page_state_mapped_once(from_d->id) };
    struct side to = { .d = to_d, .gt = to_gt, .pair = b->pair,
                       .state = from_d == to_d ? from.state : clean };

    while (op < end && flip_doms(op) == doms) {
        if (unlikely(op->more)) {
            p = run_take_extents(b, &from, &to, op, backend, p, &extents_written);
            end = b->stop;
            op += op != end;
            continue;
        }
        op->status = pair_take(&from, &to, op, backend, p);
        if (unlikely(op->status)) {
            count(CNT_FLIP_REFUSED);
            op++;
            continue;
        }
        if (unlikely(flip_must_scrub(clean, clean, p->to.at->e)))   /* if it is not odd */
            written |= 1UL << (p - b->pair);
        p++;
        op++;
    }
    if (likely(from_d != to_d))
        b->scrub |= to.odd | written | extents_written;
    locked = p != b->end && op == end && r == b->run && !b->scrub;
    if (unlikely(!locked)) {
        if (p != b->end) {
            from_gt->flips++;
            to_gt->flips++;
        }
        spin_unlock_pair(&from_gt->lock, &to_gt->lock);
    }
    r->locked = locked;
    r->unparked = from.unparked | to.unparked;
    b->end = r->end = p;
    /* Read after the entries were changed: a CPU that begins to run one of them now sees that. */
    b->flush |= load_relaxed(&from_d->dirty_cpus) | load_relaxed(&to_d->dirty_cpus);
    if (unlikely(from.foreign | to.foreign))
        b->flush = cpu_online_map;
    return op;
}

/* ------------------------------------------------------------ flush */

/* The stamp of the flush. */
static uint32_t batch_flush(const struct batch *b)
{
    uint32_t stamp = tlbflush_now();
    cpumask_t mask = tlbflush_filter(b->flush, stamp);

    if (mask)
        tlb_flush_mask(mask, FLUSH_TLB_GLOBAL, 0);
    return stamp;
}

static noinline void batch_scrub(const struct batch *b)
{
    for (uint64_t left = b->scrub; left; left &= left - 1) {
        memset(mfn_to_virt(mfn(b->pair[__builtin_ctzl(left)].to.frame)), 0, PAGE_SIZE);
        count_add(CNT_FLIP_SCRUBBED, PAGE_SIZE);
    }
}

/* ------------------------------------------------------------ give */

static void slot_unlist(struct domain *d, const struct slot *s)
{
    struct page *pg = flip_frame(s->frame);

    if (page_parked_at(pg) != &s->at->frame)
        page_unlist(d, pg);
}

/* All frames are on no list, and in no place but their slot's, which may be overwritten. */
static noinline void run_unlist(const struct run *r)
{
    for (const struct pair *p = r->first; p != r->end; p++) {
        slot_unlist(r->from, &p->from);
        slot_unlist(r->to, &p->to);
    }
}

/* Within one domain nothing is known about whose data it is any more. */
static inline void run_give(const struct run *r, uint32_t stamp, domid_t backend)
{
    struct domain *from = r->from, *to = r->to;
    struct grant_table *from_gt = from->grant, *to_gt = to->grant;
    uint64_t writable = page_writable_once(stamp), from_state = page_state_mapped_once(from->id);
    uint64_t to_state = page_state_mapped_once(to->id) |
                        page_state(0, 0, from == to ? 0 : from_gt->flip_tag);

    if (unlikely(!r->locked)) {
        spin_lock_pair(&from_gt->lock, &to_gt->lock);
        from_gt->flips--;
        to_gt->flips--;
    }
    ASSERT(!from->relinquish_begun && !to->relinquish_begun);
    if (unlikely(r->unparked))
        run_unlist(r);
    for (const struct pair *p = r->first; p != r->end; p++) {
        struct flip_slot *from_at = p->from.at, *to_at = p->to.at;
        uint64_t sent = p->from.frame, back = p->to.frame;
        uint64_t from_pfn = m2p_get(mfn(sent)), to_pfn = m2p_get(mfn(back));

        m2p_set(mfn(sent), to_pfn);
        m2p_set(mfn(back), from_pfn);
        page_park(flip_frame(sent), &to_at->frame, sent);
        page_park(flip_frame(back), &from_at->frame, back);
        page_publish(flip_frame(sent), writable, to_state);
        page_publish(flip_frame(back), writable, from_state);
        pte_t from_e = flip_pte_sender(from_at->e, sent, back);
        pte_t to_e = flip_pte_receiver(to_at->e, back, sent);
        from_at->e = from_e;
        entry_put(from, from_at->pte, from_e);
        to_at->e = to_e;
        entry_put(to, to_at->pte, to_e);
        store_release(from_at->entry, flip_idle(backend, back));
        store_release(to_at->entry, flip_idle(backend, sent));
    }
    spin_unlock_pair(&from_gt->lock, &to_gt->lock);
}

/* ------------------------------------------------------------ the call */

/* Sets the status of ops [op, end), FLIP_BATCH at most, or as many of them as have no more than FLIP_PAGES pages. The one behind them. */
static struct sluice_flip_op *exchange_batch(struct sluice_flip_op *op, const struct sluice_flip_op *end)
{
    domid_t backend = current->domain->id;
    uint32_t stamp = 0;
    struct batch b;

    b.scrub = 0;
    b.flush = CPUMASK_NONE;
    b.end_run = b.run;
    b.end = b.pair;
    b.stop = end;
    b.left = FLIP_PAGES;
    while (op < b.stop)
        op = run_take(&b, op, b.stop, backend);
    if (likely(b.end != b.pair)) {
        stamp = batch_flush(&b);
        if (unlikely(b.scrub))
            batch_scrub(&b);
    }
    count_add(CNT_FLIP, (uint64_t)(b.end - b.pair) + FLIP_PAGES - b.left);
    count_add(CNT_FLIP_REST, FLIP_PAGES - b.left);
    for (const struct run *r = b.run; r != b.end_run; r++) {
        if (likely(r->first != r->end))
            run_give(r, stamp, backend);
        domain_put(r->to);
        domain_put(r->from);
    }
    return op;
}

static long exchange(guest_ptr_t arg, uint32_t count)
{
    struct sluice_flip_op ops[FLIP_BATCH];
    uint32_t done = 0, most = FLIP_BATCH;       /* that may fit into one batch */

    while (done < count) {
        guest_ptr_t at = guest_ptr_add(arg, done * sizeof(ops[0]));
        uint32_t n = MIN(count - done, most), taken;

        if (done && hypercall_preempt_check())
            return hypercall_continue(__HYPERVISOR_sluice_flip, 3, (uint64_t)SLUICE_FLIP_exchange,
                                      at.v, (uint64_t)(count - done));
        if (copy_from_guest(ops, at, n * sizeof(ops[0])))
            return -XEN_EFAULT;
        taken = (uint32_t)(exchange_batch(ops, ops + n) - ops);
        if (copy_to_guest(at, ops, taken * sizeof(ops[0])))
            return -XEN_EFAULT;
        most = taken < n ? taken : MIN(2 * most, FLIP_BATCH);
        done += taken;
    }
    return 0;
}

static long query(guest_ptr_t arg)
{
    const struct sluice_flip_query q = {
        .version = SLUICE_FLIP_VERSION,
        .max_windows = FLIP_WINDOWS,
        .max_slots = FLIP_SLOTS,
        .max_batch = FLIP_BATCH,
    };

    return copy_to_guest(arg, &q, sizeof(q)) ? -XEN_EFAULT : 0;
}

long do_sluice_flip(uint64_t cmd, guest_ptr_t arg, uint64_t count)
{
    if ((uint32_t)cmd == SLUICE_FLIP_exchange)
        return exchange(arg, (uint32_t)count);
    if ((uint32_t)cmd == SLUICE_FLIP_extent)
        return FLIP_EXTENT;
    if ((uint32_t)cmd > SLUICE_FLIP_extent)
        return -XEN_ENOSYS;
    if ((uint32_t)count != 1)
        return -XEN_EINVAL;
    switch ((uint32_t)cmd) {
    case SLUICE_FLIP_query:
        return query(arg);
    case SLUICE_FLIP_register:
        return flip_register(arg);
    default:
        return flip_unregister(arg);
    }
}
