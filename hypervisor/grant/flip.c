/* SPDX-License-Identifier: MIT */
/*
 * flip.c - FLIP_exchange: the frames of two offered slots change places.
 *
 * A batch has three phases. What each one relies on stands in docs/flip.md.
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
    grant_entry_v1_t *entry;
    struct grant_active *act;
    struct flip_window *window;
    pte_t *pte;
    pte_t old;                  /* what was there */
    struct page *pg;            /* the frame that was there, claimed, and its count before */
    uint32_t count;
};

struct pair {
    struct slot from, to;
};

/* Operations in a row between the same two domains, whose locks are taken once. */
struct run {
    struct domain *from, *to;   /* referenced */
    uint32_t nr_pairs;
};

struct batch {
    struct sluice_flip_op *ops;
    uint32_t nr_ops, nr_pairs, nr_runs;
    cpumask_t flush;            /* CPUs that may know an entry that was taken out */
    uint32_t stamp;
    struct pair pair[FLIP_BATCH];
    struct run run[FLIP_BATCH];
};

/* ------------------------------------------------------------ take */

/* The entry is OFFERED: makes it TAKEN. Lock of d's grants held, as below. */
static inline enum flip_offer offer_take(const struct domain *d, uint32_t ref, domid_t backend,
                                         struct slot *s)
{
    const struct grant_table *gt = d->grant;
    enum flip_offer offer;
    uint32_t word;

    if (unlikely(ref >= gt->nr_frames * GRANTS_PER_FRAME))
        return FLIP_IS_GONE;
    s->entry = grant_shared(gt, ref);
    s->act = grant_active_entry(gt, ref);
    word = READ_ONCE(*grant_header(s->entry));
    do {
        offer = flip_offer(word, backend);
        if (unlikely(offer != FLIP_IS_OFFERED))
            return offer;
        if (unlikely(!s->act->window || (s->act->readers | s->act->writers)))
            return FLIP_IS_BUSY;
    } while (unlikely(!atomic_cmpxchg(grant_header(s->entry), &word, word | FLIP_TAKEN)));
    s->act->readers = GRANT_FLIPPING;
    s->window = gt->window[s->act->window - 1];
    s->window->in_flight++;
    return FLIP_IS_OFFERED;
}

/* The slot is the guest's again. flags: of the entry, as the state after this one has them. */
static inline void offer_done(struct slot *s)
{
    s->act->readers = 0;
    s->window->in_flight--;
}

static void offer_give_back(struct slot *s)
{
    atomic_and(&s->entry->flags, (uint16_t)~FLIP_TAKEN);
    offer_done(s);
}

/* What a guest has put into an entry while its slot was taken stays: the frame is then not mapped. */
static inline void entry_put(const struct domain *d, pte_t *p, pte_t e)
{
    pte_t none = 0;

    if (unlikely(!atomic_cmpxchg(p, &none, e)))
        l1e_put(d, e);
}

/* Takes the frame out of the slot, if it is the slot's alone. */
static inline bool frame_take(const struct domain *d, uint32_t ref, struct slot *s)
{
    uint32_t frame = READ_ONCE(s->entry->frame);
    uint32_t slot = s->window->at.first_index + ref - s->window->at.first_ref;
    pte_t e;

    s->pte = &s->window->table[slot / PTES_PER_TABLE][slot % PTES_PER_TABLE];
    e = READ_ONCE(*s->pte);
    if (unlikely(!mfn_valid(mfn(frame))))
        return false;
    s->pg = mfn_to_page(mfn(frame));
    if (unlikely(!flip_frame_looks_free(s->pg)))
        return false;
    do {
        if (unlikely(!flip_pte_maps(e, frame)))
            return false;
    } while (unlikely(!atomic_cmpxchg(s->pte, &e, 0)));
    s->old = e;
    /* The entry's references are ours now: there can be no others of the type if there are none of
     * the other kind. */
    if (unlikely(!page_claim(s->pg, d->id, &s->count))) {
        entry_put(d, s->pte, e);
        return false;
    }
    ASSERT(s->pg->type == (PGT_WRITABLE | 1));
    return true;
}

static void frame_give_back(const struct domain *d, struct slot *s)
{
    page_unclaim(s->pg, s->count);
    entry_put(d, s->pte, s->old);
}

static const int16_t from_status[] = {
    [FLIP_IS_OFFERED] = SLUICE_FLIP_okay,
    [FLIP_IS_BUSY] = SLUICE_FLIP_from_busy,
    [FLIP_IS_GONE] = SLUICE_FLIP_from_gone,
};
static const int16_t to_status[] = {
    [FLIP_IS_OFFERED] = SLUICE_FLIP_okay,
    [FLIP_IS_BUSY] = SLUICE_FLIP_to_busy,
    [FLIP_IS_GONE] = SLUICE_FLIP_to_gone,
};

/* The result is the operation's status. */
static inline int16_t pair_take(const struct run *r, const struct sluice_flip_op *op, domid_t backend,
                                struct pair *p)
{
    enum flip_offer offer;
    int16_t status;

    if (unlikely(op->flags || (r->from == r->to && op->from_ref == op->to_ref)))
        return SLUICE_FLIP_bad_op;
    offer = offer_take(r->from, op->from_ref, backend, &p->from);
    if (unlikely(offer != FLIP_IS_OFFERED))
        return from_status[offer];
    offer = offer_take(r->to, op->to_ref, backend, &p->to);
    status = to_status[offer];
    if (unlikely(offer != FLIP_IS_OFFERED))
        goto give_back_from;
    status = SLUICE_FLIP_from_busy;
    if (unlikely(!frame_take(r->from, op->from_ref, &p->from)))
        goto give_back_to;
    status = SLUICE_FLIP_to_busy;
    if (likely(frame_take(r->to, op->to_ref, &p->to)))
        return SLUICE_FLIP_okay;
    frame_give_back(r->from, &p->from);
give_back_to:
    offer_give_back(&p->to);
give_back_from:
    offer_give_back(&p->from);
    return status;
}

/* Both domains of a run, referenced; or an error status. */
static int16_t run_open(struct run *r, const struct sluice_flip_op *op)
{
    r->nr_pairs = 0;
    r->from = domain_of_arg(op->from_dom);
    if (unlikely(!r->from))
        return SLUICE_FLIP_from_gone;
    if (unlikely(domain_dying(r->from)))
        goto from_gone;
    r->to = domain_of_arg(op->to_dom);
    if (unlikely(!r->to))
        goto to_gone;
    if (likely(!domain_dying(r->to)))
        return SLUICE_FLIP_okay;
    domain_put(r->to);
to_gone:
    domain_put(r->from);
    return SLUICE_FLIP_to_gone;
from_gone:
    domain_put(r->from);
    return SLUICE_FLIP_from_gone;
}

static inline bool same_run(const struct sluice_flip_op *a, const struct sluice_flip_op *b)
{
    return a->from_dom == b->from_dom && a->to_dom == b->to_dom;
}

/* Operations from i on that form a run; the number of the next one. */
static uint32_t run_take(struct batch *b, uint32_t i)
{
    const struct sluice_flip_op *first = &b->ops[i];
    domid_t backend = current->domain->id;
    struct run *r = &b->run[b->nr_runs];
    int16_t status = run_open(r, first);

    if (unlikely(status)) {
        for (; i < b->nr_ops && same_run(first, &b->ops[i]); i++) {
            b->ops[i].status = status;
            count(CNT_FLIP_REFUSED);
        }
        return i;
    }
    b->nr_runs++;
    spin_lock_pair(&r->from->grant->lock, &r->to->grant->lock);
    for (; i < b->nr_ops && same_run(first, &b->ops[i]); i++) {
        struct pair *p = &b->pair[b->nr_pairs];

        status = pair_take(r, &b->ops[i], backend, p);
        b->ops[i].status = status;
        if (unlikely(status)) {
            count(CNT_FLIP_REFUSED);
            continue;
        }
        r->nr_pairs++;
        b->nr_pairs++;
        if (unlikely((p->from.count | p->to.count) & PGC_FOREIGN))
            b->flush = cpu_online_map;
    }
    spin_unlock_pair(&r->from->grant->lock, &r->to->grant->lock);
    /* After the entries were changed: a CPU that begins to run one of them now sees that. */
    b->flush |= load_relaxed(&r->from->dirty_cpus) | load_relaxed(&r->to->dirty_cpus);
    return i;
}

/* ------------------------------------------------------------ flush */

static void batch_flush(struct batch *b)
{
    cpumask_t mask;

    b->stamp = tlbflush_now();
    mask = tlbflush_filter(b->flush, b->stamp);
    if (mask)
        tlb_flush_mask(mask, FLUSH_TLB_GLOBAL, 0);
}

/* The frames that go back, and where all have come from. */
static void run_scrub(const struct run *r, struct pair *p)
{
    uint16_t sender = r->from->grant->flip_tag;

    if (r->from == r->to)
        return;
    for (uint32_t i = 0; i < r->nr_pairs; i++, p++) {
        struct page *back = p->to.pg;

        if (flip_must_scrub(back->source, sender, p->to.count)) {
            memset(mfn_to_virt(page_to_mfn(back)), 0, PAGE_SIZE);
            back->source = sender;
            count_add(CNT_FLIP_SCRUBBED, PAGE_SIZE);
        }
        p->from.pg->source = sender;
    }
}

/* ------------------------------------------------------------ give */

static inline void slot_give(const struct domain *d, struct slot *s, struct page *pg, uint64_t pfn,
                             uint32_t stamp)
{
    mfn_t m = page_to_mfn(pg);

    m2p_set(m, pfn);
    page_publish(pg, stamp);
    entry_put(d, s->pte, flip_pte(s->old, m));
    WRITE_ONCE(s->entry->frame, (uint32_t)m.v);
    store_release(&s->entry->flags, (uint16_t)0);
    offer_done(s);
}

/* The frames of the other domain now, still nobody's to refer to. */
static void run_exchange_owners(const struct run *r, const struct pair *p)
{
    if (r->from == r->to)
        return;
    spin_lock_pair(&r->from->page_lock, &r->to->page_lock);
    for (uint32_t i = 0; i < r->nr_pairs; i++, p++)
        pages_exchange_locked(r->from, p->from.pg, r->to, p->to.pg);
    spin_unlock_pair(&r->from->page_lock, &r->to->page_lock);
}

static void run_give(const struct run *r, struct pair *p, uint32_t stamp)
{
    spin_lock_pair(&r->from->grant->lock, &r->to->grant->lock);
    for (uint32_t i = 0; i < r->nr_pairs; i++, p++) {
        uint64_t from_pfn = m2p_get(page_to_mfn(p->from.pg));
        uint64_t to_pfn = m2p_get(page_to_mfn(p->to.pg));

        slot_give(r->from, &p->from, p->to.pg, from_pfn, stamp);
        slot_give(r->to, &p->to, p->from.pg, to_pfn, stamp);
    }
    spin_unlock_pair(&r->from->grant->lock, &r->to->grant->lock);
}

/* ------------------------------------------------------------ the call */

/* Sets the status of ops[0..n), n <= FLIP_BATCH. */
static void exchange_batch(struct sluice_flip_op *ops, uint32_t n)
{
    struct batch b;
    struct pair *p = b.pair;

    b.ops = ops;
    b.nr_ops = n;
    b.nr_pairs = b.nr_runs = 0;
    b.flush = CPUMASK_NONE;
    for (uint32_t i = 0; i < n; )
        i = run_take(&b, i);
    if (b.nr_pairs) {
        batch_flush(&b);
        count_add(CNT_FLIP, b.nr_pairs);
    }
    for (uint32_t i = 0; i < b.nr_runs; i++) {
        const struct run *r = &b.run[i];

        if (r->nr_pairs) {
            run_scrub(r, p);
            run_exchange_owners(r, p);
            run_give(r, p, b.stamp);
            p += r->nr_pairs;
        }
        domain_put(r->to);
        domain_put(r->from);
    }
}

static long exchange(guest_ptr_t arg, uint32_t count)
{
    struct sluice_flip_op ops[FLIP_BATCH];
    uint32_t done = 0;

    while (done < count) {
        guest_ptr_t at = guest_ptr_add(arg, done * sizeof(ops[0]));
        uint32_t n = MIN(count - done, FLIP_BATCH);

        if (done && hypercall_preempt_check())
            return hypercall_continue(__HYPERVISOR_sluice_flip, 3, (uint64_t)SLUICE_FLIP_exchange,
                                      at.v, (uint64_t)(count - done));
        if (copy_from_guest(ops, at, n * sizeof(ops[0])))
            return -XEN_EFAULT;
        exchange_batch(ops, n);
        if (copy_to_guest(at, ops, n * sizeof(ops[0])))
            return -XEN_EFAULT;
        done += n;
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
    if ((uint32_t)count != 1)
        return (uint32_t)cmd <= SLUICE_FLIP_exchange ? -XEN_EINVAL : -XEN_ENOSYS;
    switch ((uint32_t)cmd) {
    case SLUICE_FLIP_query:
        return query(arg);
    case SLUICE_FLIP_register:
        return flip_register(arg);
    case SLUICE_FLIP_unregister:
        return flip_unregister(arg);
    }
    return -XEN_ENOSYS;
}
