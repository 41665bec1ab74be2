/* SPDX-License-Identifier: MIT */
/*
 * test_flip.c - the flip: what it decides, and whole exchanges between three domains against a model,
 * with a neighbour that does something at any of the exchange's atomic operations.
 *
 * After each call all counts are computed anew from page tables and pins and compared; so are lists,
 * M2P entries, whose data is where, and what the TLBs of two CPUs may still know.
 */
/* LINK: hypervisor/mm/type.c hypervisor/mm/frame.c */
/* LINK: hypervisor/mm/desccheck.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* On the host there is no stack that leads to the CPU: cpu/percpu.h has this in its place. */
#define CPU_PERCPU_H
#include "compiler.h"
#include "xenabi.h"
#include "cpu/cpumask.h"
struct vcpu;
struct cpu_info {
    struct vcpu *vcpu;
    uint64_t counters[24];
};
static struct cpu_info cpu_info;
static struct cpu_info *this_cpu_info(void) { return &cpu_info; }
#define current (cpu_info.vcpu)

/* Another CPU may do something before any atomic operation of the code under test. */
#include "atomic.h"
static void race(void);
#undef atomic_cmpxchg
#undef atomic_xchg
#define atomic_cmpxchg(p, oldp, new) \
    (race(), __atomic_compare_exchange_n((p), (oldp), (new), 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
#define atomic_xchg(p, v) (race(), __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST))

#include "hypervisor/grant/flip.c"
#include "hypervisor/grant/fliprest.c"
#include "hypervisor/grant/window.c"
#include "hypervisor/mm/leaf.c"
#include "hypervisor/mm/validate.c"

#define FIRST   8u              /* frames below are not RAM */
#define DOMS    3u              /* 1 and 2 are the ends, 3 is the backend */
#define SLOTS   16u             /* of each window: entries 0.. of its L1 */
#define RACED   6u              /* of them those where others meddle */
#define ALIASES 3u              /* entries behind them, mapped anywhere */
#define PER_DOM (SLOTS + 4)     /* frames, of them the last is the L1 */
#define TOP     (FIRST + DOMS * PER_DOM)
#define DATA    511u            /* word of a frame that says whose data is in it */
#define REF     20u             /* of slot 0 */
#define BACK    3u
#define OFFER   (GTF_permit_access | SLUICE_GTF_flip)
#define RW      (PTE_P | PTE_RW | PTE_U | PTE_A | PTE_D)

/* ------------------------------------------------------------ the machine */

static struct page pages[TOP];
static uint64_t memory[TOP][512] __attribute__((aligned(4096)));
static uint64_t m2p[TOP];
static struct domain dom[DOMS + 1];
static struct vcpu vcpu[DOMS + 1];
static struct grant_table table[DOMS + 1];
static grant_entry_v1_t entries[DOMS + 1][GRANTS_PER_FRAME] __attribute__((aligned(4096)));
static struct grant_active active[DOMS + 1][GRANTS_PER_FRAME];
static struct page *pin[DOMS + 1][SLOTS];       /* the backend's, writable */

uint64_t max_mfn = TOP - 1;
cpumask_t cpu_online_map = 3;

struct page *mfn_to_page(mfn_t m) { return &pages[m.v < TOP ? m.v : 0]; }
mfn_t page_to_mfn(const struct page *pg) { return mfn((uint64_t)(pg - pages)); }
bool mfn_valid(mfn_t m) { return m.v >= FIRST && m.v < TOP; }
void *mfn_to_virt(mfn_t m) { return memory[m.v < TOP ? m.v : 0]; }
mfn_t virt_to_mfn(const void *p) { return mfn((uint64_t)((const char *)p - (char *)memory) / 4096); }

/* The exchange sets the entry of the frame that is sent, then that of the one that goes back; both still have
 * their old owners. What is in the first is its sender's from now on, what is in the second must be so
 * already, or nothing; unless both are of one domain. */
static uint32_t exchanges, sent;

void m2p_set(mfn_t m, uint64_t v)
{
    uint32_t sender = pages[sent].owner;

    m2p[m.v] = v;
    if (!exchanges || v == M2P_INVALID)
        return;
    if (!sent) {
        sent = (uint32_t)m.v;
        return;
    }
    if (sender != pages[m.v].owner) {
        memory[sent][DATA] = sender;
        assert_true(memory[m.v][DATA] == 0 || memory[m.v][DATA] == sender);
    }
    sent = 0;
}
uint64_t m2p_get(mfn_t m) { return m2p[m.v]; }
void map_init_guest_l4(pte_t *l4, mfn_t l3) { }

/* Two TLBs: of which domains they know a frame. */
static uint32_t tlb[2][TOP], clock_now, last_flush[2];

uint32_t tlbflush_now(void) { return ++clock_now; }
cpumask_t tlbflush_filter(cpumask_t mask, uint32_t stamp)
{
    for (uint32_t c = 0; c < 2; c++)
        if ((int32_t)(last_flush[c] - stamp) >= 0)
            mask &= ~(1u << c);
    return mask;
}
void tlb_flush_mask(cpumask_t mask, unsigned int flags, uint64_t va)
{
    assert_true(flags & FLUSH_TLB_GLOBAL);
    for (uint32_t c = 0; c < 2; c++) {
        if (mask & 1u << c) {
            memset(tlb[c], 0, sizeof(tlb[c]));
            last_flush[c] = clock_now;
        }
    }
    race();
}
void tlb_poll(void) { abort(); }

mfn_t frames_alloc(unsigned int order, unsigned int flags) { return MFN_INVALID; }
void frames_scrub(mfn_t m, unsigned int order) { }
static bool freed[TOP];
void frames_free(mfn_t m, unsigned int order)
{
    assert_false(freed[m.v]);
    freed[m.v] = true;
}

struct domain *domain_of_owner(uint16_t id) { return id && id <= DOMS ? &dom[id] : NULL; }
struct domain *domain_get(domid_t id)
{
    struct domain *d = domain_of_owner(id);

    if (d)
        d->refs++;
    return d;
}
struct domain *domain_of_arg(domid_t id)
{
    return domain_get(id == DOMID_SELF ? current->domain->id : id);
}
void domain_ref(struct domain *d) { d->refs++; }
void domain_put(struct domain *d) { d->refs--; }

/* Locks: whether one is held, for the neighbour, which would have to wait. */
void spin_lock_slow(spinlock_t *l) { abort(); }
void spin_debug_before(const spinlock_t *l) { }
void spin_debug_after(spinlock_t *l) { l->holder = 1; }
void spin_debug_pair_after(spinlock_t *a, spinlock_t *b) { a->holder = b->holder = 1; }
void spin_debug_release(spinlock_t *l) { l->holder = 0; }
bool spin_debug_held(const spinlock_t *l) { return l->holder; }

bool ldt_release_locked(struct domain *d, struct page *pg) { return false; }
void mm_log_line(const struct domain *d, const char *fmt, ...) { }
void mm_log_frame(const struct domain *d, const char *what, uint64_t e, const struct page *pg) { }
void mm_budget_start(void) { }
void mm_budget_step(void) { }
bool mm_budget_spent(void) { return false; }
void mm_defer(struct page *pg) { abort(); }
bool hypercall_preempt_check(void) { return false; }
long hypercall_continue(uint32_t nr, uint32_t nargs, ...) { abort(); }
int copy_from_guest(void *dst, guest_ptr_t src, size_t n) { memcpy(dst, (void *)src.v, n); return 0; }
int copy_to_guest(guest_ptr_t dst, const void *src, size_t n) { memcpy((void *)dst.v, src, n); return 0; }
void *xzalloc_bytes(size_t n) { return calloc(1, n); }
void *xzalloc_array_bytes(size_t n, size_t size) { return calloc(n, size); }
void xfree(void *p) { free(p); }

static uint32_t l1_of(uint32_t d) { return FIRST + d * PER_DOM - 1; }
static uint32_t second_l1;      /* of domain 1, at the next 2 MiB, if not 0 */

uint64_t *walk_l1_locked(const struct domain *d, mfn_t root, uint64_t va)
{
    uint32_t n = (uint32_t)(va >> 21);

    return n == 0 ? &memory[l1_of(d->id)][l1_index(va)]
         : n == 1 && second_l1 ? &memory[second_l1][l1_index(va)] : NULL;
}

/* ------------------------------------------------------------ set-up */

static uint64_t *pte(uint32_t d, uint32_t i) { return &memory[l1_of(d)][i]; }
static grant_entry_v1_t *entry(uint32_t d, uint32_t i) { return &entries[d][REF + i]; }

static void become(uint32_t d) { current = &vcpu[d]; }

static long call_register(uint32_t d, uint64_t va, uint32_t slots, uint32_t ref, uint32_t *id)
{
    struct sluice_flip_window w = { .va = va, .slots = slots, .first_ref = ref };
    long rc;

    become(d);
    rc = do_sluice_flip(SLUICE_FLIP_register, guest_ptr((uint64_t)&w), 1);
    if (id)
        *id = w.id;
    become(BACK);
    return rc;
}

static long call_unregister(uint32_t d, uint32_t id)
{
    long rc;

    become(d);
    rc = do_sluice_flip(SLUICE_FLIP_unregister, guest_ptr((uint64_t)&id), 1);
    become(BACK);
    return rc;
}

static void offer(uint32_t d, uint32_t i, uint16_t flags)
{
    entry(d, i)->frame = (uint32_t)pte_mfn(*pte(d, i)).v;
    entry(d, i)->domid = BACK;
    entry(d, i)->flags = flags;
}

/* Writes through the slot. */
static void guest_write(uint32_t d, uint32_t i)
{
    *pte(d, i) |= PTE_A | PTE_D;
    memory[pte_mfn(*pte(d, i)).v][DATA] = d;
}

static void update(uint32_t d, uint32_t i, uint64_t e)
{
    struct mmu_target t = mmu_target_self(&dom[d]);

    spin_lock(&dom[d].mmu_lock);
    (void)l1_update_locked(&dom[d], pte(d, i), e, &t, false);
    spin_unlock(&dom[d].mmu_lock);
}

/* Does no CPU run the domains at first? What a case does in their place they have then done before they went to sleep. */
static bool at_rest;

/* The domains die: no window is left, nor anything of theirs. */
static int tear_down(void **state)
{
    for (uint32_t d = 1; d <= DOMS; d++) {
        dom[d].state = DOMAIN_DYING;
        if (dom[d].grant)
            assert_int_equal(grant_release_windows(&dom[d]), 0);
        for (uint32_t i = 0; dom[d].grant && i < FLIP_WINDOWS; i++)
            assert_null(table[d].window[i]);
    }
    return 0;
}

static void set_up(void)
{
    (void)tear_down(NULL);
    memset(pages, 0, sizeof(pages));
    memset(memory, 0, sizeof(memory));
    memset(entries, 0, sizeof(entries));
    memset(active, 0, sizeof(active));
    memset(pin, 0, sizeof(pin));
    memset(tlb, 0, sizeof(tlb));
    memset(freed, 0, sizeof(freed));
    clock_now = last_flush[0] = last_flush[1] = 1;
    second_l1 = 0;
    for (uint32_t m = 0; m < TOP; m++)
        pages[m].owner = m < FIRST ? DOMID_IO : DOMID_NONE;
    for (uint32_t d = 1; d <= DOMS; d++) {
        dom[d] = (struct domain){ .id = (domid_t)d, .max_pages = 100, .page_list = FRAME_NIL,
                                  .relinquish_cursor = FRAME_NIL, .dirty_cpus = at_rest ? CPUMASK_NONE : d, .refs = 1,
                                  .state = DOMAIN_ALIVE, .grant = &table[d] };
        vcpu[d] = (struct vcpu){ .domain = &dom[d] };
        table[d] = (struct grant_table){ .nr_frames = 1, .max_frames = 1 };
        table[d].shared[0] = entries[d];
        table[d].active[0] = active[d];
        for (uint32_t i = 0; i < PER_DOM; i++) {
            uint32_t m = FIRST + (d - 1) * PER_DOM + i;

            assert_true(page_give(&dom[d], &pages[m], M2P_INVALID));
            m2p[m] = d * 1000 + i;
            memory[m][DATA] = i < PER_DOM - 1 ? d : 0;
            if (i < SLOTS)
                *pte(d, i) = pte_make(mfn(m), RW);
        }
        assert_int_equal(page_get_type(&pages[l1_of(d)], PGT_L1), 0);
        page_hold(&pages[l1_of(d)]);
        assert_int_equal(call_register(d, 0, SLOTS, REF, NULL), 0);
    }
    become(BACK);
}

static struct sluice_flip_op op_of(uint32_t fd, uint32_t fi, uint32_t td, uint32_t ti)
{
    return (struct sluice_flip_op){ .from_dom = (domid_t)fd, .to_dom = (domid_t)td,
                                    .from_ref = REF + fi, .to_ref = REF + ti, .status = 77 };
}

/* Slots [i, i + n), as one extent. */
static void offer_extent(uint32_t d, uint32_t i, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        offer(d, i + k, OFFER);
    entry(d, i)->flags = (uint16_t)(OFFER | SLUICE_GTF_flip_more(n - 1));
}

static void exchange_ops(struct sluice_flip_op *op, uint32_t n)
{
    exchanges++;
    assert_int_equal(do_sluice_flip(SLUICE_FLIP_exchange, guest_ptr((uint64_t)op), n), 0);
    exchanges--;
}

static int16_t flip_pages(uint32_t fd, uint32_t fi, uint32_t td, uint32_t ti, uint32_t n)
{
    struct sluice_flip_op op = op_of(fd, fi, td, ti);

    op.more = (uint16_t)(n - 1);
    exchange_ops(&op, 1);
    return op.status;
}

static int16_t flip(uint32_t fd, uint32_t fi, uint32_t td, uint32_t ti)
{
    return flip_pages(fd, fi, td, ti, 1);
}

/* ------------------------------------------------------------ the model */

static uint32_t extra[TOP];     /* references that a case holds itself */

/* Frames of d in places; each place is a slot of d's and has one. */
static uint32_t check_places(uint32_t d)
{
    uint32_t n = 0, places = 0;

    for (uint32_t m = FIRST; m < TOP; m++) {
        if (pages[m].owner == d && page_parked_at(&pages[m])) {
            assert_int_equal(*page_parked_at(&pages[m]), m);
            n++;
        }
    }
    for (uint32_t w = 0; w < FLIP_WINDOWS; w++) {
        for (uint32_t i = 0; table[d].window[w] && i < table[d].window[w]->at.slots; i++) {
            uint64_t *place = &table[d].window[w]->slot[i].frame;

            if (*place == PLACE_EMPTY)
                continue;
            assert_true(*place < TOP && pages[*place].owner == d);
            assert_ptr_equal(page_parked_at(&pages[*place]), place);
            places++;
        }
    }
    assert_int_equal(n, places);
    return n;
}

static void check_lists(void)
{
    for (uint32_t d = 1; d <= DOMS; d++) {
        uint32_t n = check_places(d), before = FRAME_NIL, m = dom[d].page_list;

        for (; m != FRAME_NIL; before = m, m = pages[m].next, n++) {
            assert_int_equal(pages[m].owner, d);
            assert_int_equal(pages[m].prev, before);
            assert_null(page_parked_at(&pages[m]));
            assert_true(n < TOP);
        }
        assert_int_equal(n, PER_DOM);
        assert_int_equal(dom[d].tot_pages, PER_DOM);
    }
}

static void check_model(void)
{
    uint32_t refs[TOP] = { 0 }, types[TOP] = { 0 };

    for (uint32_t d = 1; d <= DOMS; d++) {
        uint32_t windows = 0;

        for (uint32_t i = 0; i < SLOTS + ALIASES; i++) {
            uint64_t e = *pte(d, i);

            if (!(e & PTE_P))
                continue;
            refs[pte_mfn(e).v]++;
            types[pte_mfn(e).v] += (e & PTE_RW) != 0;
            assert_int_equal(pages[pte_mfn(e).v].owner, d);
        }
        for (uint32_t i = 0; i < SLOTS; i++) {
            if (pin[d][i]) {
                refs[page_to_mfn(pin[d][i]).v]++;
                types[page_to_mfn(pin[d][i]).v]++;
            }
        }
        for (uint32_t i = 0; i < FLIP_WINDOWS; i++)
            for (uint32_t k = 0; table[d].window[i] && k < FLIP_TABLES; k++)
                windows += table[d].window[i]->table[k] == pte(d, 0);
        refs[l1_of(d)] += 1 + windows;
        types[l1_of(d)] += 1 + windows;
        assert_int_equal(dom[d].refs, 2);       /* its own and its memory's */
        assert_int_equal(table[d].flips, 0);
        assert_false(table[d].lock.holder || dom[d].page_lock.holder || dom[d].mmu_lock.holder || dom[d].held);
    }
    for (uint32_t m = FIRST; m < TOP; m++) {
        assert_int_equal(pages[m].count & ~PGC_FOREIGN, PGC_ALLOCATED + 1 + refs[m] + extra[m]);
        assert_int_equal(type_count(pages[m].type), types[m]);
        /* Nobody can reach a frame that is not his through an old TLB entry. */
        for (uint32_t c = 0; c < 2; c++)
            assert_false(tlb[c][m] & ~(1u << pages[m].owner));
    }
    check_lists();
}

/* ------------------------------------------------------------ single cases */

static void no_race(void) { }
static void (*racer)(void) = no_race;
static void race(void) { racer(); }

static uint32_t frame_of(uint32_t d, uint32_t i) { return (uint32_t)pte_mfn(*pte(d, i)).v; }

static void plain(void **state)
{
    uint32_t f, g;

    set_up();
    f = frame_of(1, 0);
    g = frame_of(2, 3);
    offer(1, 0, OFFER);
    offer(2, 3, OFFER);
    tlb[0][f] = at_rest ? 0 : 1u << 1;
    assert_int_equal(flip(1, 0, 2, 3), SLUICE_FLIP_okay);
    check_model();
    assert_int_equal(frame_of(1, 0), g);
    assert_int_equal(frame_of(2, 3), f);
    assert_int_equal(entry(1, 0)->frame, g);
    assert_int_equal(entry(2, 3)->frame, f);
    assert_int_equal(entry(1, 0)->flags, 0);
    assert_int_equal(entry(1, 0)->domid, BACK);
    assert_int_equal(m2p[g], 1000);
    assert_int_equal(m2p[f], 2003);
    assert_int_equal(memory[f][DATA], 1);          /* as it was sent */
    assert_int_equal(memory[g][DATA], 0);          /* 2's own data is not 1's to see */
    /* Back to 1 unwiped, as 2 has only read; but not when it has written, nor to another domain. */
    offer(1, 1, OFFER);
    offer(2, 3, OFFER);
    assert_int_equal(flip(1, 1, 2, 3), SLUICE_FLIP_okay);
    assert_int_equal(frame_of(1, 1), f);
    assert_int_equal(memory[f][DATA], 1);
    guest_write(2, 3);
    offer(1, 0, OFFER);
    offer(2, 3, OFFER);
    assert_int_equal(flip(1, 0, 2, 3), SLUICE_FLIP_okay);
    assert_int_equal(memory[frame_of(1, 0)][DATA], 0);
    offer(3, 0, OFFER);
    offer(2, 3, OFFER);
    assert_int_equal(flip(3, 0, 2, 3), SLUICE_FLIP_okay);
    assert_int_equal(memory[frame_of(3, 0)][DATA], 0);
    check_model();
}

/* Any CPU may know a frame that another domain has mapped, until it is exchanged. */
static void foreign(void **state)
{
    uint32_t f;

    set_up();
    dom[1].dirty_cpus = dom[2].dirty_cpus = 1;
    for (uint32_t d = 1; d <= 2; d++) {
        offer(1, d, OFFER);
        offer(2, d, OFFER);
        f = frame_of(d, d);
        pages[f].count |= PGC_FOREIGN;
        pages[f].source = table[1].flip_tag;
        *pte(d, d) &= ~PTE_D;
        memory[f][DATA] = 3;
        tlb[1][f] = 1u << 3;
        assert_int_equal(flip(1, d, 2, d), SLUICE_FLIP_okay);
        assert_false(pages[f].count & PGC_FOREIGN);
        check_model();
    }
    assert_int_equal(memory[f][DATA], 0);
}

/* A tag belongs to one domain for ever: a new one with the old number gets nothing of the old one. */
static void tags(void **state)
{
    uint16_t first;

    set_up();
    first = table[1].flip_tag;
    assert_true(first && table[2].flip_tag && first != table[2].flip_tag);
    set_up();
    assert_true(table[1].flip_tag > first);
    while (new_tag())
        ;
    assert_int_equal(new_tag(), 0);
    /* Without one everything is zeroed. */
    table[1].flip_tag = 0;
    for (int i = 0; i < 3; i++) {
        offer(1, 0, OFFER);
        offer(2, 0, OFFER);
        assert_int_equal(flip(1, 0, 2, 0), SLUICE_FLIP_okay);
        assert_int_equal(memory[frame_of(1, 0)][DATA], 0);
    }
    check_model();
}

/* Refused, and everything is as it was. */
static void refuse_pages(uint32_t fd, uint32_t fi, uint32_t td, uint32_t ti, uint32_t n, int16_t status)
{
    static struct page pages_before[TOP];
    static uint64_t memory_before[TOP][512], m2p_before[TOP];
    static grant_entry_v1_t entries_before[DOMS + 1][GRANTS_PER_FRAME];

    memcpy(pages_before, pages, sizeof(pages));
    memcpy(memory_before, memory, sizeof(memory));
    memcpy(m2p_before, m2p, sizeof(m2p));
    memcpy(entries_before, entries, sizeof(entries));
    assert_int_equal(flip_pages(fd, fi, td, ti, n), status);
    assert_memory_equal(pages_before, pages, sizeof(pages));
    assert_memory_equal(memory_before, memory, sizeof(memory));
    assert_memory_equal(m2p_before, m2p, sizeof(m2p));
    assert_memory_equal(entries_before, entries, sizeof(entries));
    check_model();
}

static void refuse(uint32_t fd, uint32_t fi, uint32_t td, uint32_t ti, int16_t status)
{
    refuse_pages(fd, fi, td, ti, 1, status);
}

/* One slot after the other is the bad one, in both roles. */
static void refuse_slot(uint32_t i, bool gone)
{
    refuse(1, i, 2, 0, gone ? SLUICE_FLIP_from_gone : SLUICE_FLIP_from_busy);
    refuse(2, 0, 1, i, gone ? SLUICE_FLIP_to_gone : SLUICE_FLIP_to_busy);
}

static void refusals(void **state)
{
    struct page *pg;
    uint64_t e;

    set_up();
    for (uint32_t i = 0; i < SLOTS; i++) {
        offer(1, i, OFFER);
        offer(2, i, OFFER);
    }
    /* Entries. */
    entry(1, 1)->flags = 0;
    refuse_slot(1, true);
    entry(1, 1)->flags = GTF_permit_access;
    refuse_slot(1, false);
    entry(1, 1)->flags = OFFER | GTF_readonly;
    refuse_slot(1, false);
    entry(1, 1)->flags = OFFER | GTF_reading;
    refuse_slot(1, false);
    entry(1, 1)->flags = GTF_accept_transfer | SLUICE_GTF_flip;
    refuse_slot(1, true);
    offer(1, 1, OFFER);
    entry(1, 1)->domid = 1;
    refuse_slot(1, true);
    offer(1, 1, OFFER);
    entry(1, 1)->frame = frame_of(1, 2);
    refuse_slot(1, false);
    entry(1, 1)->frame = frame_of(2, 2);
    refuse_slot(1, false);
    entry(1, 1)->frame = 2;
    refuse_slot(1, false);
    entry(1, 1)->frame = 0xfffffff0u;
    refuse_slot(1, false);
    offer(1, 1, OFFER);
    refuse_slot(GRANTS_PER_FRAME, true);
    refuse_slot(SLOTS, true);
    entry(1, SLOTS)->domid = BACK;
    entry(1, SLOTS)->flags = OFFER;             /* perfect, but in no window */
    refuse_slot(SLOTS, false);
    refuse(1, 1, 1, 1, SLUICE_FLIP_bad_op);
    refuse(7, 1, 2, 0, SLUICE_FLIP_from_gone);
    refuse(2, 0, 7, 1, SLUICE_FLIP_to_gone);
    dom[1].state = DOMAIN_DYING;
    refuse_slot(1, true);
    dom[1].state = DOMAIN_ALIVE;
    /* Frames: held by somebody else, mapped twice, not writable, not mapped, given away. */
    pg = &pages[frame_of(1, 1)];
    assert_true(page_get(pg, &dom[1]));
    extra[page_to_mfn(pg).v] = 1;
    refuse_slot(1, false);
    extra[page_to_mfn(pg).v] = 0;
    page_put(pg);
    e = *pte(1, 1);
    update(1, SLOTS, e);
    refuse_slot(1, false);
    update(1, SLOTS, 0);
    update(1, SLOTS, e & ~PTE_RW);
    refuse_slot(1, false);
    update(1, SLOTS, 0);
    update(1, 1, e & ~PTE_RW);
    refuse_slot(1, false);
    update(1, 1, 0);
    refuse_slot(1, false);
    update(1, 1, pte_make(mfn(l1_of(1)), PTE_P | PTE_U));
    offer(1, 1, OFFER);
    refuse_slot(1, false);
    update(1, 1, e);
    offer(1, 1, OFFER);
    assert_true(page_get(pg, &dom[1]));
    assert_true(page_disown(pg));
    assert_int_equal(flip(1, 1, 2, 0), SLUICE_FLIP_from_busy);
    pg->count |= PGC_ALLOCATED;
    check_model();
    assert_int_equal(flip(1, 1, 2, 0), SLUICE_FLIP_okay);
    check_model();
}

static void windows(void **state)
{
    uint32_t id, ids[FLIP_WINDOWS];

    set_up();
    assert_int_equal(call_register(1, 0x1000, 1, 200, NULL), -XEN_EEXIST);
    assert_int_equal(call_register(1, SLOTS << 12, 1, REF + SLOTS - 1, NULL), -XEN_EEXIST);
    assert_int_equal(call_register(1, SLOTS << 12, 3, REF - 1, NULL), -XEN_EEXIST);
    assert_int_equal(call_register(1, 0x10001, 1, 200, NULL), -XEN_EINVAL);
    assert_int_equal(call_register(1, 0x10000, 0, 200, NULL), -XEN_EINVAL);
    assert_int_equal(call_register(1, 0x10000, FLIP_SLOTS + 1, 200, NULL), -XEN_EINVAL);
    assert_int_equal(call_register(1, 0x200000, 1, 200, NULL), -XEN_EINVAL);
    assert_int_equal(call_register(1, -4096ul, 4, 200, NULL), -XEN_EINVAL);
    assert_int_equal(call_register(1, 0x1ff000, 2, 200, NULL), -XEN_EINVAL);
    assert_int_equal(call_register(1, 0x10000, 1, GRANTS_PER_FRAME, NULL), -XEN_ERANGE);
    assert_int_equal(call_register(1, 0x10000, 2, ~0u, NULL), -XEN_ERANGE);
    active[1][200].readers = 1;
    assert_int_equal(call_register(1, 0x10000, 1, 200, NULL), -XEN_EBUSY);
    active[1][200].readers = 0;
    check_model();
    for (uint32_t i = 1; i < FLIP_WINDOWS; i++)
        assert_int_equal(call_register(1, (SLOTS + i) << 12, 1, 200 + i, &ids[i]), 0);
    assert_int_equal(call_register(1, 400 << 12, 1, 300, NULL), -XEN_ENOSPC);
    check_model();
    for (uint32_t i = 1; i < FLIP_WINDOWS; i++)
        assert_int_equal(call_unregister(1, ids[i]), 0);
    assert_int_equal(call_unregister(1, FLIP_WINDOWS), -XEN_ENOENT);
    assert_int_equal(call_unregister(1, ids[1]), -XEN_ENOENT);
    /* The same table at two addresses: a window cannot have a slot twice. */
    second_l1 = l1_of(1);
    assert_int_equal(call_register(1, 0x10000, 512, 0, NULL), -XEN_EEXIST);
    assert_int_equal(call_register(1, 0x10000, 500, 0, NULL), -XEN_EEXIST);
    assert_int_equal(call_register(1, 0x1f0000, 17, 100, NULL), -XEN_EEXIST);
    assert_int_equal(call_register(1, 0x1f0000, 16, 100, &id), 0);
    assert_int_equal(call_unregister(1, id), 0);
    check_model();
}

/* ------------------------------------------------------------ extents */

static void extents(void **state)
{
    uint32_t f[SLOTS], g[SLOTS];

    set_up();
    for (uint32_t i = 0; i < SLOTS; i++) {
        f[i] = frame_of(1, i);
        g[i] = frame_of(2, i);
    }
    tlb[0][f[2]] = at_rest ? 0 : 1u << 1;
    tlb[1][g[4]] = at_rest ? 0 : 1u << 2;
    offer_extent(1, 0, 3);
    offer_extent(2, 1, 5);
    assert_int_equal(flip_pages(1, 0, 2, 1, 3), SLUICE_FLIP_okay);
    check_model();
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(frame_of(1, i), g[1 + i]);
        assert_int_equal(frame_of(2, 1 + i), f[i]);
        assert_int_equal(entry(1, i)->frame, g[1 + i]);
        assert_int_equal(entry(2, 1 + i)->frame, f[i]);
        assert_int_equal(entry(1, i)->flags | entry(2, 1 + i)->flags, 0);
        assert_int_equal(m2p[g[1 + i]], 1000 + i);
        assert_int_equal(m2p[f[i]], 2001 + i);
        assert_int_equal(memory[f[i]][DATA], 1);
        assert_int_equal(memory[g[1 + i]][DATA], 0);
    }
    /* What was offered beyond that is still on offer, page by page. */
    assert_int_equal(entry(2, 4)->flags, OFFER);
    assert_int_equal(entry(2, 5)->flags, OFFER);
    refuse_pages(1, 3, 2, 4, 2, SLUICE_FLIP_from_gone);
    offer_extent(1, 3, 2);
    refuse_pages(1, 3, 2, 4, 2, SLUICE_FLIP_to_busy);
    assert_int_equal(flip(1, 4, 2, 4), SLUICE_FLIP_okay);
    assert_int_equal(flip(1, 3, 2, 5), SLUICE_FLIP_okay);      /* the first by itself, too */
    assert_int_equal(entry(1, 3)->flags, 0);
    check_model();
    /* The frames are where the last flip has left them. One page was written: of all that goes back, only that is zeroed. */
    offer_extent(1, 0, 3);
    offer_extent(2, 1, 3);
    guest_write(2, 2);
    assert_int_equal(flip_pages(1, 0, 2, 1, 3), SLUICE_FLIP_okay);
    check_model();
    assert_int_equal(memory[frame_of(1, 0)][DATA], 1);
    assert_int_equal(memory[frame_of(1, 1)][DATA], 0);
    assert_int_equal(memory[frame_of(1, 2)][DATA], 1);
    /* Within one domain; a frame in a slot that is not where it is parked; all of a window. */
    offer_extent(1, 0, 3);
    offer_extent(1, 3, 3);
    assert_int_equal(flip_pages(1, 0, 1, 3, 3), SLUICE_FLIP_okay);
    check_model();
    for (uint32_t d = 1; d <= 2; d++) {
        uint64_t a = *pte(d, 1), b = *pte(d, 2);

        update(d, 1, 0);
        update(d, 2, a);
        update(d, 1, b);
    }
    offer_extent(1, 0, SLOTS);
    offer_extent(2, 0, SLOTS);
    assert_int_equal(flip_pages(1, 0, 2, 0, SLOTS), SLUICE_FLIP_okay);
    check_model();
}

/* An extent with one bad page is refused, in both roles, as it was before. */
static void refuse_extent(int16_t as_from, int16_t as_to)
{
    refuse_pages(1, 1, 2, 0, 4, as_from);
    refuse_pages(2, 0, 1, 1, 4, as_to);
}

static void extents_refused(void **state)
{
    struct page *pg;
    uint64_t e;

    set_up();
    for (uint32_t parked = 0; parked < 2; parked++) {
        offer_extent(1, 1, 4);
        offer_extent(2, 0, 6);
        for (uint32_t i = 1; i <= 4; i++) {
            pg = &pages[frame_of(1, i)];
            e = *pte(1, i);
            assert_true(page_get(pg, &dom[1]));
            extra[page_to_mfn(pg).v] = 1;
            refuse_extent(SLUICE_FLIP_from_busy, SLUICE_FLIP_to_busy);
            extra[page_to_mfn(pg).v] = 0;
            page_put(pg);
            update(1, SLOTS, e);
            refuse_extent(SLUICE_FLIP_from_busy, SLUICE_FLIP_to_busy);
            update(1, SLOTS, 0);
            update(1, i, e & ~PTE_RW);
            refuse_extent(SLUICE_FLIP_from_busy, SLUICE_FLIP_to_busy);
            update(1, i, 0);
            refuse_extent(SLUICE_FLIP_from_busy, SLUICE_FLIP_to_busy);
            update(1, i, pte_make(mfn(l1_of(1)), PTE_P | PTE_U));
            refuse_extent(SLUICE_FLIP_from_busy, SLUICE_FLIP_to_busy);
            update(1, i, e);
            /* Not the frame that the grant names. Nobody looks while the one that the last flip has brought is still there. */
            if (!parked) {
                entry(1, i)->frame = i == 2 ? ~0u : frame_of(1, 0);
                refuse_extent(SLUICE_FLIP_from_busy, SLUICE_FLIP_to_busy);
                entry(1, i)->frame = frame_of(1, i);
            }
        }
        /* What the first entry says. */
        entry(1, 1)->flags = (uint16_t)(OFFER | SLUICE_GTF_flip_more(2));
        refuse_extent(SLUICE_FLIP_from_busy, SLUICE_FLIP_to_busy);
        entry(1, 1)->flags = (uint16_t)(OFFER | SLUICE_GTF_flip_more(3) | 1u << 14);
        refuse_extent(SLUICE_FLIP_from_busy, SLUICE_FLIP_to_busy);
        entry(1, 1)->flags = (uint16_t)(OFFER | SLUICE_GTF_flip_more(3) | GTF_reading);
        refuse_extent(SLUICE_FLIP_from_busy, SLUICE_FLIP_to_busy);
        entry(1, 1)->flags = 0;
        refuse_extent(SLUICE_FLIP_from_gone, SLUICE_FLIP_to_gone);
        offer_extent(1, 1, 4);
        entry(1, 1)->domid = 1;
        refuse_extent(SLUICE_FLIP_from_gone, SLUICE_FLIP_to_gone);
        offer_extent(1, 1, 4);
        /* Beyond the window, the references, what can be asked for; and over itself. */
        offer(1, SLOTS - 2, (uint16_t)(OFFER | SLUICE_GTF_flip_more(15)));
        refuse_pages(1, SLOTS - 2, 2, 0, 3, SLUICE_FLIP_from_busy);
        refuse_pages(2, 0, 1, SLOTS - 2, 3, SLUICE_FLIP_to_busy);
        refuse_pages(1, GRANTS_PER_FRAME, 2, 0, 2, SLUICE_FLIP_from_gone);
        refuse_pages(1, ~0u - REF, 2, 0, 2, SLUICE_FLIP_from_gone);
        refuse_pages(1, 1, 2, 0, FLIP_EXTENT + 1, SLUICE_FLIP_bad_op);
        refuse_pages(1, 1, 2, 0, 0x10000, SLUICE_FLIP_bad_op);
        refuse_pages(2, 0, 2, 0, 3, SLUICE_FLIP_bad_op);
        entry(2, 2)->flags = (uint16_t)(OFFER | SLUICE_GTF_flip_more(3));
        refuse_pages(2, 0, 2, 2, 4, SLUICE_FLIP_to_busy);
        refuse_pages(2, 2, 2, 0, 4, SLUICE_FLIP_to_busy);
        refuse_pages(7, 1, 2, 0, 4, SLUICE_FLIP_from_gone);
        refuse_pages(2, 0, 7, 1, 4, SLUICE_FLIP_to_gone);
        /* And now there is nothing against it; the second time over frames that came by a flip. */
        offer_extent(1, 1, 4);
        offer_extent(2, 0, 6);
        assert_int_equal(flip_pages(1, 1, 2, 0, 4), SLUICE_FLIP_okay);
        check_model();
    }
}

/* Single pages and extents in one list, slots of both; what an earlier one has taken is refused. */
static void mixed(void **state)
{
    for (uint32_t round = 0; round < 20; round++) {
        struct sluice_flip_op op[] = {
            op_of(1, 0, 2, 0), op_of(1, 1, 2, 1), op_of(1, 4, 2, 4), op_of(1, 2, 3, 5), op_of(3, 0, 3, 3), op_of(1, 5, 3, 3),
        };

        if (round % 4 == 0)
            set_up();
        for (uint32_t d = 1; d <= DOMS; d++)
            for (uint32_t i = 0; i < SLOTS; i++)
                offer(d, i, OFFER);
        offer_extent(1, 1, 3);
        offer_extent(2, 1, 3);
        offer_extent(3, 0, 2);
        offer_extent(3, 3, 3);
        op[1].more = 2;
        op[4].more = 1;
        exchange_ops(op, ARRAY_SIZE(op));
        check_model();
        for (uint32_t i = 0; i < ARRAY_SIZE(op); i++)
            assert_int_equal(op[i].status, i == 3 ? (at_rest && round % 4 ? SLUICE_FLIP_from_gone : SLUICE_FLIP_from_busy)
                             : i == 5 ? SLUICE_FLIP_to_busy : SLUICE_FLIP_okay);
    }
}

/* Slots go round in a ring of operations, many in a batch, in several batches. */
static void batches(void **state)
{
    struct sluice_flip_op op[FLIP_BATCH * 2 + 5];

    set_up();
    for (uint32_t round = 0; round < 50; round++) {
        uint32_t n = 0;

        for (uint32_t i = 0; i < SLOTS; i++) {
            for (uint32_t d = 1; d <= DOMS; d++)
                offer(d, i, OFFER);
            op[n++] = (struct sluice_flip_op){ .from_dom = 1, .to_dom = 2, .from_ref = REF + i,
                                               .to_ref = REF + (i + round) % SLOTS };
        }
        while (n < ARRAY_SIZE(op))              /* nothing is left for these */
            op[n++] = (struct sluice_flip_op){ .from_dom = 3, .to_dom = 1, .from_ref = REF + n % SLOTS,
                                               .to_ref = REF + n % SLOTS, .status = 5 };
        exchange_ops(op, n);
        check_model();
        for (uint32_t i = 0; i < n; i++)
            assert_int_equal(op[i].status, i < SLOTS ? SLUICE_FLIP_okay
                             : i < FLIP_BATCH && !(at_rest && round) ? SLUICE_FLIP_to_busy : SLUICE_FLIP_to_gone);
    }
}

/* ------------------------------------------------------------ at rest */

/* Exchanges n pages from domain 1 to 2. Was it at rest? Then nobody has asked the flush clock. */
static bool made_at_rest(uint32_t fi, uint32_t ti, uint32_t n)
{
    uint32_t before = clock_now, f[SLOTS], g[SLOTS];

    for (uint32_t k = 0; k < n; k++) {
        f[k] = frame_of(1, fi + k);
        g[k] = frame_of(2, ti + k);
    }
    offer_extent(1, fi, n);
    offer_extent(2, ti, n);
    assert_int_equal(flip_pages(1, fi, 2, ti, n), SLUICE_FLIP_okay);
    check_model();
    for (uint32_t k = 0; k < n; k++) {
        assert_int_equal(frame_of(1, fi + k), g[k]);
        assert_int_equal(frame_of(2, ti + k), f[k]);
        assert_int_equal(entry(1, fi + k)->frame, g[k]);
        assert_int_equal(entry(2, ti + k)->frame, f[k]);
        assert_int_equal(*(uint32_t *)entry(1, fi + k), (uint32_t)BACK << 16);
        assert_int_equal(*(uint32_t *)entry(2, ti + k), (uint32_t)BACK << 16);
        assert_int_equal(m2p[g[k]], 1000 + fi + k);
        assert_int_equal(m2p[f[k]], 2000 + ti + k);
        assert_int_equal(memory[f[k]][DATA], 1);
        assert_true(*pte(1, fi + k) & PTE_D);
        assert_false(*pte(2, ti + k) & PTE_D);
        guest_write(1, fi + k);
    }
    return clock_now == before;
}

static void rest(void **state)
{
    uint32_t f;

    at_rest = true;
    set_up();
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(made_at_rest(3, 0, 1), i > 0);
        assert_int_equal(made_at_rest(4, 1, 5), i > 0);
        assert_int_equal(made_at_rest(9, 6, 7), i > 0);
    }
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(made_at_rest(0, 0, FLIP_EXTENT), i > 0);
    /* A CPU runs one of them; somebody is at its page tables; the receiver has written; a frame has moved: not at rest, and made all the same. */
    dom[2].dirty_cpus = 2;
    assert_false(made_at_rest(0, 0, FLIP_EXTENT));
    dom[2].dirty_cpus = CPUMASK_NONE;
    assert_true(made_at_rest(0, 0, FLIP_EXTENT));
    for (uint32_t d = 1; d <= 2; d++) {
        spin_lock(&dom[d].mmu_lock);
        dom[d].mmu_lock.holder = 0;             /* nobody whom check_model() asks for */
        assert_false(made_at_rest(0, 0, FLIP_EXTENT));
        spin_unlock(&dom[d].mmu_lock);
    }
    assert_true(made_at_rest(0, 0, FLIP_EXTENT));
    guest_write(2, FLIP_EXTENT - 1);
    assert_false(made_at_rest(0, 0, FLIP_EXTENT));
    assert_true(made_at_rest(0, 0, FLIP_EXTENT));
    page_unpark(&dom[1], &table[1].window[0]->slot[9].frame);
    assert_false(made_at_rest(0, 0, FLIP_EXTENT));
    f = frame_of(2, 5);
    pages[f].count |= PGC_FOREIGN;
    assert_false(made_at_rest(0, 0, FLIP_EXTENT));
    assert_false(pages[f].count & PGC_FOREIGN);
    assert_true(made_at_rest(0, 0, FLIP_EXTENT));
    at_rest = false;
}

/* An extent whose entries are in two tables. */
static void two_tables(void **state)
{
    uint64_t *entry_of[2];

    at_rest = true;
    set_up();
    second_l1 = FIRST + SLOTS;
    memory[second_l1][DATA] = 0;
    assert_int_equal(page_get_type(&pages[second_l1], PGT_L1), 0);
    page_hold(&pages[second_l1]);
    entry_of[0] = pte(1, PTES_PER_TABLE - 1);
    entry_of[1] = &memory[second_l1][0];
    for (uint32_t i = 0; i < 2; i++) {
        *entry_of[i] = *pte(1, i);
        *pte(1, i) = 0;
    }
    assert_int_equal(call_register(1, (PTES_PER_TABLE - 1) * PAGE_SIZE, 2, 200, NULL), 0);
    for (uint32_t round = 0; round < 3; round++) {
        struct sluice_flip_op op = { .from_dom = 1, .to_dom = 2, .from_ref = 200, .to_ref = REF, .more = 1 };
        uint64_t sent[2], back[2];

        for (uint32_t i = 0; i < 2; i++) {
            sent[i] = pte_mfn(*entry_of[i]).v;
            back[i] = frame_of(2, i);
            entries[1][200 + i] = (grant_entry_v1_t){ .flags = OFFER, .domid = BACK, .frame = (uint32_t)sent[i] };
        }
        memory[l1_of(1) + 1][0] = *entry_of[1];     /* behind the first table there is what looks like the second's entry */
        entries[1][200].flags |= SLUICE_GTF_flip_more(1);
        offer_extent(2, 0, 2);
        exchange_ops(&op, 1);
        assert_int_equal(op.status, SLUICE_FLIP_okay);
        for (uint32_t i = 0; i < 2; i++) {
            assert_int_equal(pte_mfn(*entry_of[i]).v, back[i]);
            assert_int_equal(frame_of(2, i), sent[i]);
            memory[back[i]][DATA] = 1;
        }
    }
    at_rest = false;
}

/* The cases above once more, all of them with sleeping domains. */
static int fall_asleep(void **state)
{
    at_rest = true;
    return 0;
}

static int wake_up(void **state)
{
    at_rest = false;
    return tear_down(state);
}

/* ------------------------------------------------------------ the neighbour */

static uint32_t seed, busy, within;

static uint32_t rnd(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static bool free_to_act(const struct domain *d)
{
    return !d->grant->lock.holder && !d->mmu_lock.holder && !d->page_lock.holder;
}

static uint32_t raced_entry(void)
{
    uint32_t i = rnd(RACED + ALIASES);

    return i < RACED ? i : i - RACED + SLOTS;
}

static uint32_t raced_frame(void)
{
    uint32_t first = FIRST + rnd(DOMS) * PER_DOM;

    return rnd(10) ? first + rnd(RACED + 3) : first + PER_DOM - 1;
}

static void guest_pte(uint32_t d)
{
    uint32_t i = raced_entry(), m = raced_frame();
    uint64_t e = rnd(3) ? pte_make(mfn(m), RW) : 0;

    if (rnd(4) == 0)
        e &= ~PTE_RW;
    if (rnd(3) == 0)                            /* the same frame with other flags */
        e = (*pte(d, i) ^ (rnd(2) ? PTE_RW : 1UL << 9));
    update(d, i, e);
}

static void guest_entry(uint32_t d)
{
    uint32_t i = rnd(RACED);

    if (rnd(3)) {
        offer(d, i, rnd(2) ? OFFER : (uint16_t)(OFFER | SLUICE_GTF_flip_more(rnd(5))));
    } else if (rnd(2)) {
        entry(d, i)->flags = (uint16_t)(rnd(2) ? 0 : OFFER | GTF_reading);
    } else {
        entry(d, i)->frame = raced_frame();
    }
}

/* Would a write through that entry stay unseen by the slot that maps the same frame? */
static bool unseen(uint32_t d, uint32_t i)
{
    for (uint32_t k = 0; k < SLOTS; k++)
        if (k != i && (*pte(d, k) & (PTE_P | PTE_D)) == PTE_P && pte_mfn(*pte(d, k)).v == pte_mfn(*pte(d, i)).v)
            return true;
    return false;
}

/* The guest uses what its page tables let it, and zeroes what it writes to received data by another mapping (docs/flip.md). */
static void guest_touch(uint32_t d)
{
    uint32_t i = raced_entry();
    uint64_t e = *pte(d, i);

    if (!(e & PTE_P))
        return;
    *pte(d, i) |= PTE_A;
    for (uint32_t c = 0; c < 2; c++)
        if (dom[d].dirty_cpus & 1u << c)
            tlb[c][pte_mfn(e).v] |= 1u << d;
    if ((e & PTE_RW) && rnd(2)) {
        *pte(d, i) |= PTE_D;
        memory[pte_mfn(e).v][DATA] = unseen(d, i) ? 0 : d;
    }
}

static void backend_pin(uint32_t d)
{
    uint32_t i = rnd(RACED);
    struct page *pg;

    if (pin[d][i]) {
        grant_page_put(pin[d][i], true);
        pin[d][i] = NULL;
        spin_lock(&table[d].lock);
        grant_unpin_locked(&table[d], REF + i, true);
        spin_unlock(&table[d].lock);
        return;
    }
    spin_lock(&table[d].lock);
    if (grant_pin_locked(&dom[d], REF + i, BACK, true, &pg) == GNTST_okay) {
        pin[d][i] = pg;
        memory[page_to_mfn(pg).v][DATA] = 0;       /* the backend's affair what it writes */
    }
    spin_unlock(&table[d].lock);
}

/* Another backend call, in the midst of one that waits for its flush. */
static void flip_within(void)
{
    uint32_t fd = 1 + rnd(DOMS), td = 1 + rnd(DOMS);

    if (free_to_act(&dom[fd]) && free_to_act(&dom[td]))
        within += flip_pages(fd, rnd(RACED), td, rnd(RACED), rnd(2) ? 1 : 1 + rnd(4)) == SLUICE_FLIP_okay;
}

/* What guests do they do on a CPU, which waits if somebody holds the domain at rest. */
static bool runs(uint32_t d)
{
    if (!dom[d].held)
        dom[d].dirty_cpus = d;
    return dom[d].dirty_cpus != CPUMASK_NONE;
}

/* A CPU goes on to another domain, and flushes. */
static void sleeps(uint32_t d)
{
    for (uint32_t c = 0; c < 2; c++)
        for (uint32_t m = 0; m < TOP && (dom[d].dirty_cpus & 1u << c); m++)
            tlb[c][m] &= ~(1u << d);
    dom[d].dirty_cpus = CPUMASK_NONE;
}

static void neighbour(void)
{
    uint32_t d = 1 + rnd(DOMS), what = rnd(7);

    if (busy || rnd(4) || (what < 3 && !runs(d)))
        return;
    busy = 1;
    switch (what) {
    case 5:
    case 6:
        sleeps(d);
        break;
    case 0:
        if (!dom[d].mmu_lock.holder && !dom[d].page_lock.holder)
            guest_pte(d);
        break;
    case 1:
        guest_entry(d);
        break;
    case 2:
        guest_touch(d);
        break;
    case 3:
        flip_within();
        break;
    default:
        if (free_to_act(&dom[d]))
            backend_pin(d);
        break;
    }
    busy = 0;
}

/* The other way round: an exchange at any atomic operation of a guest's call. */
static void flip_neighbour(void)
{
    uint32_t fd = 1 + rnd(DOMS), td = 1 + rnd(DOMS), fi = rnd(RACED), ti = rnd(RACED);

    if (busy || rnd(4) || dom[fd].grant->lock.holder || dom[td].grant->lock.holder ||
        dom[fd].page_lock.holder || dom[td].page_lock.holder)
        return;
    busy = 1;
    offer(fd, fi, OFFER);
    offer(td, ti, OFFER);
    (void)flip(fd, fi, td, ti);
    busy = 0;
}

/* The same exchange and one between others, which is why no lock is kept from taking to giving. */
static bool flip_two(uint32_t fd, uint32_t fi, uint32_t td, uint32_t ti)
{
    uint32_t fd2 = 1 + rnd(DOMS), td2 = 1 + rnd(DOMS), fi2 = rnd(RACED), ti2 = rnd(RACED);
    struct sluice_flip_op op[] = { op_of(fd, fi, td, ti), op_of(fd2, fi2, td2, ti2) };

    op[0].more = (uint16_t)rnd(3);
    exchange_ops(op, 2);
    return op[0].status == SLUICE_FLIP_okay;
}

static void random_races(void **state)
{
    uint32_t okay = 0, extent = 0;

    for (seed = 1; seed < 400; ) {
        uint32_t s = seed;

        racer = no_race;
        set_up();
        seed = s;
        for (uint32_t i = 0; i < 300; i++) {
            uint32_t fd = 1 + rnd(DOMS), fi = rnd(RACED), td = 1 + rnd(DOMS), ti = rnd(RACED);

            busy = 0;
            for (uint32_t k = rnd(6); k; k--)
                neighbour();
            if (rnd(3)) {
                update(fd, fi, *pte(fd, fi) | RW);
                offer(fd, fi, OFFER);
                offer(td, ti, OFFER);
            }
            if (rnd(3) == 0) {
                fi = rnd(RACED - 2);
                ti = rnd(RACED - 2);
                offer_extent(fd, fi, 3);
                offer_extent(td, ti, 3);
                racer = rnd(2) ? neighbour : no_race;
                extent += flip_pages(fd, fi, td, ti, 2 + rnd(2)) == SLUICE_FLIP_okay;
                racer = no_race;
                check_model();
            }
            racer = rnd(2) ? neighbour : no_race;
            okay += rnd(3) ? flip(fd, fi, td, ti) == SLUICE_FLIP_okay : flip_two(fd, fi, td, ti);
            racer = flip_neighbour;
            fd = 1 + rnd(DOMS);
            if (runs(fd))
                guest_pte(fd);
            racer = no_race;
            check_model();
            /* In half of the rounds the domains are mostly asleep when an exchange begins. */
            for (uint32_t d = 1; d <= DOMS && s % 2; d++)
                if (rnd(4))
                    sleeps(d);
        }
        seed = s + 1;
    }
    print_message("%u exchanges, %u of extents, and %u within them\n", okay, extent, within);
    assert_true(okay > 1000 && within > 100 && extent > 500);
}

/* The frame of 1's slot 0 is freed and allocated again, and back in the slot, before the nth atomic operation. */
static uint32_t nth;
static void free_and_back(void)
{
    struct flip_slot *at = &table[1].window[0]->slot[0];

    /* An entry goes and comes under the lock. */
    if (!--nth && at->frame < TOP && pages[at->frame].count && !dom[1].mmu_lock.holder)
        page_unpark(&dom[1], &at->frame);
}

static void freed_meanwhile(void **state)
{
    for (uint32_t n = 1; n < 12; n++) {
        for (uint32_t other = 0; other < 2; other++) {
            racer = no_race;
            set_up();
            for (uint32_t i = 0; i < 2; i++) {
                offer(1, 0, OFFER);
                offer(2, 0, OFFER);
                nth = n;
                assert_int_equal(other ? flip(2, 0, 1, 0) : flip(1, 0, 2, 0), SLUICE_FLIP_okay);
                racer = free_and_back;
            }
            racer = no_race;
            check_model();
        }
    }
}

/* ------------------------------------------------------------ words */

static void words(void **state)
{
    struct flip_geometry g = { .first_ref = 100, .slots = 600, .first_index = 500 };
    uint32_t first, end;

    for (uint32_t flags = 0; flags < 0x10000; flags++) {
        bool grant = (flags & GTF_type_mask) == GTF_permit_access;

        assert_int_equal(flip_offer(7u << 16 | flags, 7), (flags & 0xc3ff) == OFFER ? FLIP_IS_OFFERED
                         : grant ? FLIP_IS_BUSY : FLIP_IS_GONE);
        for (uint32_t n = 1; n <= FLIP_EXTENT; n++)
            assert_int_equal(flip_is_extent(7u << 16 | flags, 7, n), (flags & 0xc3ff) == OFFER && (flags >> 10 & 15) + 1 >= n);
        assert_int_equal(flip_offer(7u << 16 | flags, 8), FLIP_IS_GONE);
    }
    assert_int_equal(flip_idle(7, 0x1234), 0x123400070000);
    assert_true(flip_pte_maps(pte_make(mfn(5), RW | PTE_NX | PTE_KERNEL), 5));
    assert_false(flip_pte_maps(pte_make(mfn(5), RW & ~PTE_RW), 5));
    assert_false(flip_pte_maps(pte_make(mfn(5), RW & ~PTE_P), 5));
    assert_false(flip_pte_maps(pte_make(mfn(5 | 1UL << 32), RW), 5));
    assert_false(flip_pte_maps(pte_make(mfn(4), RW), 5));
    assert_int_equal(flip_pte_sender(pte_make(mfn(5), PTE_P | PTE_NX), 5, 9),
                     pte_make(mfn(9), PTE_P | PTE_NX | PTE_A | PTE_D));
    assert_int_equal(flip_pte_receiver(pte_make(mfn(5), RW | PTE_G), 5, 9),
                     pte_make(mfn(9), (RW | PTE_G) & ~PTE_D));
    assert_false(flip_must_scrub(page_state(PGC_ALLOCATED | 2, 1, 4), flip_clean(1, 4), 0));
    assert_true(flip_must_scrub(page_state(PGC_ALLOCATED | 2, 1, 4), flip_clean(1, 4), PTE_D));
    assert_true(flip_must_scrub(page_state(PGC_ALLOCATED | 2, 1, 4), flip_clean(1, 5), 0));
    assert_true(flip_must_scrub(page_state(PGC_ALLOCATED | 2, 1, 0), flip_clean(1, 0), 0));
    assert_true(flip_must_scrub(page_state(PGC_FOREIGN | PGC_ALLOCATED | 2, 1, 4), flip_clean(1, 4), 0));
    assert_int_equal(flip_nr_tables(&g), 3);
    flip_table_range(&g, 0, &first, &end);
    assert_true(first == 500 && end == 512);
    flip_table_range(&g, 1, &first, &end);
    assert_true(first == 0 && end == 512);
    flip_table_range(&g, 2, &first, &end);
    assert_true(first == 0 && end == 76);
    assert_true(flip_has_ref(&g, 100) && flip_has_ref(&g, 699));
    assert_false(flip_has_ref(&g, 99) || flip_has_ref(&g, 700));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),
        cmocka_unit_test_teardown(plain, tear_down),
        cmocka_unit_test_teardown(refusals, tear_down),
        cmocka_unit_test_teardown(foreign, tear_down),
        cmocka_unit_test_teardown(extents, tear_down),
        cmocka_unit_test_teardown(extents_refused, tear_down),
        cmocka_unit_test_teardown(mixed, tear_down),
        cmocka_unit_test_teardown(windows, tear_down),
        cmocka_unit_test_teardown(batches, tear_down),
        cmocka_unit_test_teardown(rest, tear_down),
        cmocka_unit_test_teardown(two_tables, tear_down),
        cmocka_unit_test_setup_teardown(plain, fall_asleep, wake_up),
        cmocka_unit_test_setup_teardown(refusals, fall_asleep, wake_up),
        cmocka_unit_test_setup_teardown(extents, fall_asleep, wake_up),
        cmocka_unit_test_setup_teardown(extents_refused, fall_asleep, wake_up),
        cmocka_unit_test_setup_teardown(mixed, fall_asleep, wake_up),
        cmocka_unit_test_setup_teardown(batches, fall_asleep, wake_up),
        cmocka_unit_test_setup_teardown(freed_meanwhile, fall_asleep, wake_up),
        cmocka_unit_test_teardown(random_races, tear_down),
        cmocka_unit_test_teardown(freed_meanwhile, tear_down),
        cmocka_unit_test_teardown(tags, tear_down),                 /* uses them up */
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
