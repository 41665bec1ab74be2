/* SPDX-License-Identifier: MIT */
/*
 * flip_machine.h - a machine of three domains for tests of the flip, whose exchanges are compared with a model, with a neighbour
 * that does something at any of the exchange's atomic operations.
 *
 * After each call all counts are computed anew from page tables and pins and compared; so are lists,
 * M2P entries, whose data is where, and what the TLBs of two CPUs may still know.
 */
#ifndef FLIP_MACHINE_H
#define FLIP_MACHINE_H

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
static inline struct cpu_info *this_cpu_info(void) { return &cpu_info; }
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

static inline uint32_t l1_of(uint32_t d) { return FIRST + d * PER_DOM - 1; }
static uint32_t second_l1;      /* of domain 1, at the next 2 MiB, if not 0 */

uint64_t *walk_l1_locked(const struct domain *d, mfn_t root, uint64_t va)
{
    uint32_t n = (uint32_t)(va >> 21);

    return n == 0 ? &memory[l1_of(d->id)][l1_index(va)]
         : n == 1 && second_l1 ? &memory[second_l1][l1_index(va)] : NULL;
}

/* ------------------------------------------------------------ set-up */

static inline uint64_t *pte(uint32_t d, uint32_t i) { return &memory[l1_of(d)][i]; }
static inline grant_entry_v1_t *entry(uint32_t d, uint32_t i) { return &entries[d][REF + i]; }

static inline void become(uint32_t d) { current = &vcpu[d]; }

static inline long call_register(uint32_t d, uint64_t va, uint32_t slots, uint32_t ref, uint32_t *id)
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

static inline long call_unregister(uint32_t d, uint32_t id)
{
    long rc;

    become(d);
    rc = do_sluice_flip(SLUICE_FLIP_unregister, guest_ptr((uint64_t)&id), 1);
    become(BACK);
    return rc;
}

static inline void offer(uint32_t d, uint32_t i, uint16_t flags)
{
    entry(d, i)->frame = (uint32_t)pte_mfn(*pte(d, i)).v;
    entry(d, i)->domid = BACK;
    entry(d, i)->flags = flags;
}

/* Writes through the slot. */
static inline void guest_write(uint32_t d, uint32_t i)
{
    *pte(d, i) |= PTE_A | PTE_D;
    memory[pte_mfn(*pte(d, i)).v][DATA] = d;
}

static inline void update(uint32_t d, uint32_t i, uint64_t e)
{
    struct mmu_target t = mmu_target_self(&dom[d]);

    spin_lock(&dom[d].mmu_lock);
    (void)l1_update_locked(&dom[d], pte(d, i), e, &t, false);
    spin_unlock(&dom[d].mmu_lock);
}

/* Does no CPU run the domains at first? What a case does in their place they have then done before they went to sleep. */
static bool at_rest;

/* The domains die: no window is left, nor anything of theirs. */
static inline int tear_down(void **state)
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

static inline void set_up(void)
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

static inline struct sluice_flip_op op_of(uint32_t fd, uint32_t fi, uint32_t td, uint32_t ti)
{
    return (struct sluice_flip_op){ .from_dom = (domid_t)fd, .to_dom = (domid_t)td,
                                    .from_ref = REF + fi, .to_ref = REF + ti, .status = 77 };
}

/* Slots [i, i + n), as one extent. */
static inline void offer_extent(uint32_t d, uint32_t i, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        offer(d, i + k, OFFER);
    entry(d, i)->flags = (uint16_t)(OFFER | SLUICE_GTF_flip_more(n - 1));
}

static inline void exchange_ops(struct sluice_flip_op *op, uint32_t n)
{
    exchanges++;
    assert_int_equal(do_sluice_flip(SLUICE_FLIP_exchange, guest_ptr((uint64_t)op), n), 0);
    exchanges--;
}

static inline int16_t flip_pages(uint32_t fd, uint32_t fi, uint32_t td, uint32_t ti, uint32_t n)
{
    struct sluice_flip_op op = op_of(fd, fi, td, ti);

    op.more = (uint16_t)(n - 1);
    exchange_ops(&op, 1);
    return op.status;
}

static inline int16_t flip(uint32_t fd, uint32_t fi, uint32_t td, uint32_t ti)
{
    return flip_pages(fd, fi, td, ti, 1);
}

/* ------------------------------------------------------------ the model */

static uint32_t extra[TOP];     /* references that a case holds itself */

/* Frames of d in places; each place is a slot of d's and has one. */
static inline uint32_t check_places(uint32_t d)
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

static inline void check_lists(void)
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

static inline void check_model(void)
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

static inline void no_race(void) { }
static void (*racer)(void) = no_race;
static inline void race(void) { racer(); }

static inline uint32_t frame_of(uint32_t d, uint32_t i) { return (uint32_t)pte_mfn(*pte(d, i)).v; }

/* Refused, and everything is as it was. */
static inline void refuse_pages(uint32_t fd, uint32_t fi, uint32_t td, uint32_t ti, uint32_t n, int16_t status)
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

static inline void refuse(uint32_t fd, uint32_t fi, uint32_t td, uint32_t ti, int16_t status)
{
    refuse_pages(fd, fi, td, ti, 1, status);
}

/* The cases above once more, all of them with sleeping domains. */
static inline int fall_asleep(void **state)
{
    at_rest = true;
    return 0;
}

static inline int wake_up(void **state)
{
    at_rest = false;
    return tear_down(state);
}

#endif
