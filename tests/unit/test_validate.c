/* SPDX-License-Identifier: MIT */
/*
 * test_validate.c - page tables of a domain under random calls, against a model.
 *
 * A handful of frames; random stores, pins, roots, updates of live tables, calls that are
 * preempted anywhere and then repeated or forgotten. After each call all counts are computed
 * anew from the tables themselves and compared, so every reference must have exactly one reason.
 */
/* LINK: hypervisor/mm/type.c hypervisor/mm/frame.c hypervisor/mm/validate.c hypervisor/mm/leaf.c */
/* LINK: hypervisor/mm/desccheck.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "boot/smp.h"
#include "domain/domain.h"
#include "mm/budget.h"
#include "mm/buddy.h"
#include "mm/mmlog.h"
#include "mm/pte.h"
#include "mm/tlb.h"
#include "mm/type.h"
#include "mm/validate.h"

#define FIRST   16u             /* frames below are not RAM */
#define FRAMES  20u
#define SHARED  (FIRST + FRAMES)        /* one page of ours that the domain may map */
#define ALIEN   (SHARED + 1)            /* one frame of another domain */
#define TOP     (ALIEN + 1)

/* ------------------------------------------------------------ the machine */

static struct page pages[TOP];
static uint64_t memory[TOP][512] __attribute__((aligned(4096)));
static uint64_t m2p[TOP];
static bool freed[TOP];
static struct domain dom, other;
static uint64_t perdomain_l3[512] __attribute__((aligned(4096)));

uint64_t max_mfn = TOP - 1;
cpumask_t cpu_online_map = 1;

struct page *mfn_to_page(mfn_t m) { return &pages[m.v < TOP ? m.v : 0]; }
mfn_t page_to_mfn(const struct page *pg) { return mfn((uint64_t)(pg - pages)); }
bool mfn_valid(mfn_t m) { return m.v >= FIRST && m.v < TOP; }
void *mfn_to_virt(mfn_t m) { return memory[m.v < TOP ? m.v : 0]; }
mfn_t virt_to_mfn(const void *p)
{
    return p == dom.perdomain_l3 ? mfn(1) : mfn((uint64_t)((const char *)p - (char *)memory) / 4096);
}
void m2p_set(mfn_t m, uint64_t v) { m2p[m.v] = v; }
uint64_t m2p_get(mfn_t m) { return m2p[m.v]; }

void map_init_guest_l4(pte_t *l4, mfn_t l3)
{
    for (uint32_t i = HV_SLOT_FIRST; i <= HV_SLOT_LAST; i++)
        l4[i] = pte_make(l3, PTE_P | PTE_RW);   /* looks like a guest's entry on purpose */
}

static uint32_t clock_now, last_flush;

uint32_t tlbflush_now(void) { return ++clock_now; }
cpumask_t tlbflush_filter(cpumask_t mask, uint32_t stamp) { return last_flush >= stamp ? 0 : mask; }
void tlb_flush_mask(cpumask_t mask, unsigned int flags, uint64_t va)
{
    if (mask && (flags & FLUSH_TLB_GLOBAL))
        last_flush = clock_now;
}

mfn_t frames_alloc(unsigned int order, unsigned int flags) { return MFN_INVALID; }
void frames_scrub(mfn_t m, unsigned int order) { }
void frames_free(mfn_t m, unsigned int order)
{
    assert_false(freed[m.v]);
    freed[m.v] = true;
}

struct domain *domain_of_owner(uint16_t owner)
{
    return owner == dom.id ? &dom : owner == other.id ? &other : NULL;
}
struct domain *domain_get(domid_t id) { return domain_of_owner(id); }
void domain_ref(struct domain *d) { }
void domain_put(struct domain *d) { }

void spin_lock_slow(spinlock_t *l) { abort(); }
static const spinlock_t *held;
static uint32_t wanted;         /* the frame that another vCPU of dom tries to give back; 0: none */
void spin_debug_before(const spinlock_t *l)
{
    struct page *pg = &pages[wanted];

    if (!wanted || !page_get(pg, &dom))
        return;
    wanted = 0;
    (void)page_disown(pg);
    page_put(pg);
}
void spin_debug_after(spinlock_t *l) { if (l == &dom.mmu_lock) held = l; }
void spin_debug_pair_after(spinlock_t *a, spinlock_t *b) { }
void spin_debug_release(spinlock_t *l) { if (l == &dom.mmu_lock) held = NULL; }
bool spin_debug_held(const spinlock_t *l) { return l != &dom.mmu_lock || held == l; }

bool ldt_release_locked(struct domain *d, struct page *pg) { return false; }

void mm_log_line(const struct domain *d, const char *fmt, ...) { }
void mm_log_frame(const struct domain *d, const char *what, uint64_t e, const struct page *pg) { }

/* ------------------------------------------------------------ preemption */

static uint32_t seed, steps, patience;

static uint32_t rnd(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

void mm_budget_start(void) { steps = 0; }
void mm_budget_step(void) { steps++; }
bool mm_budget_spent(void) { return steps && rnd(patience) == 0; }
void mm_defer(struct page *pg) { }

/* ------------------------------------------------------------ the model */

static uint32_t roots[TOP], pins[TOP];
static uint32_t last_type[TOP], last_stamp[TOP];       /* after the last call */

struct expect {
    uint32_t refs, types;
};

static void expect_leaf(struct expect *x, uint64_t e)
{
    uint64_t m = pte_mfn(e).v;

    if (!mfn_valid(mfn(m)))
        return;
    x[m].refs++;
    if (e & PTE_RW) {
        assert_int_equal(pages[m].type & PGT_TYPE_MASK, PGT_WRITABLE);
        x[m].types++;
    }
}

static void expect_upper(struct expect *x, uint64_t self, uint32_t level, uint64_t e)
{
    uint64_t m = pte_mfn(e).v;

    if (level == 4 && m == self) {
        assert_false(e & PTE_RW);
        return;
    }
    assert_true(m >= FIRST && m < FIRST + FRAMES);
    /* A validated table leads only to validated ones. */
    assert_int_equal(pages[m].type & PGT_TYPE_MASK, type_of_level(level - 1));
    assert_true(pages[m].type & PGT_VALIDATED);
    x[m].refs++;
    x[m].types++;
}

static void check_model(void)
{
    struct expect x[TOP] = { { 0 } };

    assert_null(held);
    for (uint32_t m = FIRST; m < FIRST + FRAMES; m++) {
        uint32_t t = pages[m].type, n = t & PGT_PARTIAL ? pages[m].nr_validated : 512;

        if (!type_is_table(t) || type_count(t) == 0)
            continue;
        if (t & PGT_PARTIAL) {
            x[m].refs++;
            x[m].types++;
        }
        for (uint32_t i = 0; i < n; i++) {
            uint64_t e = memory[m][i];

            if (!(e & PTE_P) || (type_level(t) == 4 && l4_slot_reserved(i)))
                continue;
            assert_true(e & PTE_U);
            if (type_level(t) == 1)
                expect_leaf(x, e);
            else
                expect_upper(x, m, type_level(t), e);
        }
    }
    for (uint32_t m = FIRST; m < TOP; m++) {
        const struct page *pg = &pages[m];
        uint32_t own = pg->count & PGC_ALLOCATED ? 1 : 0;

        assert_int_equal(pg->count & PGC_COUNT_MASK, own + x[m].refs + roots[m] + pins[m]);
        assert_int_equal(type_count(pg->type), x[m].types + roots[m] + pins[m]);
        assert_int_equal((pg->type & PGT_PINNED) != 0, pins[m]);
        /* A new use begins only after a flush that is later than the end of the last. */
        if (type_count(pg->type) && (pg->type & PGT_TYPE_MASK) != last_type[m] && last_type[m])
            assert_true(last_flush >= last_stamp[m]);
        last_type[m] = pg->type & PGT_TYPE_MASK;
        last_stamp[m] = pg->tlb_stamp;
    }
}

/* ------------------------------------------------------------ random calls */

static uint64_t random_entry(void)
{
    static const uint64_t odd[] = { PTE_PWT, PTE_PAT, PTE_G, PTE_KERNEL, PTE_NX, PTE_AVAIL };
    uint64_t e = (uint64_t)(FIRST + rnd(FRAMES)) << PAGE_SHIFT;

    if (rnd(4) == 0)
        return rnd(2) ? 0 : e;                  /* not present, sometimes with a frame */
    e |= PTE_P | PTE_A;
    if (rnd(3))
        e |= PTE_U;
    if (rnd(2))
        e |= PTE_RW;
    if (rnd(40) == 0)
        e |= odd[rnd(6)];
    if (rnd(40) == 0)
        e = (e & ~PTE_ADDR) | (uint64_t)rnd(TOP + 8) << PAGE_SHIFT;
    return e;
}

static uint32_t random_slot(void)
{
    static const uint32_t slots[] = { 0, 1, 2, 255, 256, 260, 272, 511 };
    return slots[rnd(8)];
}

static void store(uint32_t m)
{
    if (page_get_and_type(&pages[m], &dom, PGT_WRITABLE)) {
        memory[m][random_slot()] = random_entry();
        page_put_and_type(&pages[m]);
    }
}

static void update(uint32_t m)
{
    struct page *pg = &pages[m];
    struct mmu_target t = mmu_target_self(&dom);
    uint64_t before[512];
    int rc = 0;

    spin_lock(&dom.mmu_lock);
    if (type_is_table(pg->type) && (pg->type & PGT_VALIDATED)) {
        memcpy(before, memory[m], sizeof(before));
        if (type_level(pg->type) == 1 && rnd(2))
            rc = l1_update_self_locked(&dom, pg, &memory[m][random_slot()], random_entry());
        else
            rc = table_update_locked(&dom, pg, &memory[m][random_slot()], random_entry(), &t, rnd(2));
        if (rc)
            assert_memory_equal(before, memory[m], sizeof(before));
    }
    spin_unlock(&dom.mmu_lock);
}

static void replace(uint32_t m)
{
    struct mmu_target t = mmu_target_self(&dom);
    uint64_t *p = &memory[m][random_slot()];

    spin_lock(&dom.mmu_lock);
    if ((pages[m].type & (PGT_TYPE_MASK | PGT_VALIDATED)) == (PGT_L1 | PGT_VALIDATED))
        (void)l1_replace_locked(&dom, p, *p ^ (rnd(4) ? 0 : PTE_D), random_entry(), &t);
    spin_unlock(&dom.mmu_lock);
}

static void take(uint32_t m, uint32_t type, bool pin)
{
    struct page *pg = &pages[m];
    uint64_t old = pg->type_stamp;
    uint32_t next;
    int rc;

    if (!page_get(pg, &dom))
        return;
    do {
        steps = 0;
        rc = table_get(pg, type);
    } while (rc == -XEN_ERESTART && rnd(4));    /* sometimes the caller never comes back */
    if (rc) {
        page_put(pg);
        return;
    }
    old = pg->type_stamp;
    if (!pin) {
        roots[m]++;
    } else if (type_pin((uint32_t)old, &next)) {
        assert_true(page_swap_type(pg, &old, next, false));
        pins[m]++;
    } else {
        table_put(pg);
        page_put(pg);
    }
}

static void drop(uint32_t m)
{
    struct page *pg = &pages[m];
    uint64_t old = pg->type_stamp;
    uint32_t next;

    if (roots[m]) {
        roots[m]--;
    } else if (pins[m]) {
        assert_true(type_unpin((uint32_t)old, &next));
        assert_true(page_swap_type(pg, &old, next, false));
        pins[m]--;
    } else {
        return;
    }
    table_put(pg);
    page_put(pg);
}

static void drain(uint32_t m)
{
    (void)table_drain(&pages[m]);
}

static void one_call(void)
{
    uint32_t m = FIRST + rnd(FRAMES);

    steps = 0;
    switch (rnd(10)) {
    case 0: case 1: case 2:
        store(m);
        break;
    case 3: case 4:
        update(m);
        break;
    case 5:
        replace(m);
        break;
    case 6:
        take(m, type_of_level(1 + rnd(4)), true);
        break;
    case 7:
        take(m, rnd(8) ? PGT_L4 : PGT_SEG_DESC, false);
        break;
    case 8:
        drop(m);
        break;
    default:
        drain(m);
        break;
    }
}

static void set_up(uint32_t s, bool privileged)
{
    seed = s;
    patience = 1 + s % 4;
    clock_now = last_flush = 1;
    held = NULL;
    dom = (struct domain){ .id = 1, .max_pages = 1000, .page_list = FRAME_NIL, .dirty_cpus = 1,
                           .relinquish_cursor = FRAME_NIL, .privileged = privileged };
    other = (struct domain){ .id = 2, .max_pages = 1000, .page_list = FRAME_NIL, .dirty_cpus = 1,
                             .relinquish_cursor = FRAME_NIL };
    dom.perdomain_l3 = perdomain_l3;
    memset(pages, 0, sizeof(pages));
    memset(memory, 0, sizeof(memory));
    memset(freed, 0, sizeof(freed));
    memset(roots, 0, sizeof(roots));
    memset(pins, 0, sizeof(pins));
    memset(last_type, 0, sizeof(last_type));
    for (uint32_t m = 0; m < TOP; m++)
        pages[m].owner = m < FIRST ? DOMID_IO : DOMID_NONE;
    for (uint32_t m = FIRST; m < FIRST + FRAMES; m++)
        assert_true(page_give(&dom, &pages[m], M2P_INVALID));
    assert_true(page_give(&other, &pages[ALIEN], M2P_INVALID));
    pages[SHARED].owner = 1;
    pages[SHARED].count = PGC_ALLOCATED | PGC_HYPERVISOR | 1;
}

/* The domain dies: everything comes back. */
static void tear_down(void)
{
    bool again = true;

    for (uint32_t m = FIRST; m < FIRST + FRAMES; m++)
        while (roots[m] || pins[m]) {
            drop(m);
            check_model();
        }
    while (again) {
        again = false;
        for (uint32_t m = FIRST; m < FIRST + FRAMES; m++)
            while (pages[m].type & PGT_PARTIAL) {
                steps = 0;
                drain(m);
                again = true;
            }
    }
    check_model();
    for (uint32_t m = FIRST; m < FIRST + FRAMES; m++) {
        assert_int_equal(pages[m].count & ~PGC_FOREIGN, PGC_ALLOCATED | 1);
        assert_true(page_disown(&pages[m]));
        assert_true(freed[m]);
    }
    assert_int_equal(dom.tot_pages, 0);
    assert_int_equal(dom.page_list, FRAME_NIL);
    assert_int_equal(pages[ALIEN].count & PGC_COUNT_MASK, 1);
    assert_int_equal(pages[SHARED].count & PGC_COUNT_MASK, 1);
}

static void random_calls(void **state)
{
    for (uint32_t s = 1; s <= 300; s++) {
        set_up(s, s % 5 == 0);
        for (uint32_t i = 0; i < 1500; i++) {
            one_call();
            check_model();
        }
        tear_down();
    }
}

/* ------------------------------------------------------------ single cases */

#define A   (FIRST + 0)
#define B   (FIRST + 1)
#define C   (FIRST + 2)
#define D   (FIRST + 3)
#define TBL (PTE_P | PTE_RW | PTE_U | PTE_A | PTE_D)

static uint64_t to(uint32_t m, uint64_t flags)
{
    return (uint64_t)m << PAGE_SHIFT | flags;
}

static int get(uint32_t m, uint32_t type)
{
    steps = 0;
    return table_get(&pages[m], type);
}

/* A -> B -> C -> D, and D maps all of them. */
static void chain(uint64_t leaf_flags)
{
    memory[A][0] = to(B, TBL);
    memory[B][0] = to(C, TBL);
    memory[C][0] = to(D, TBL);
    for (uint32_t i = 0; i < 4; i++)
        memory[D][i] = to(A + i, leaf_flags);
}

static void tables_must_be_read_only(void **state)
{
    set_up(1, false);
    patience = 1000000;
    chain(PTE_P | PTE_RW);
    assert_int_equal(get(A, PGT_L4), -XEN_EBUSY);
    check_model();
    chain(PTE_P);
    assert_int_equal(get(A, PGT_L4), 0);
    roots[A]++;
    pages[A].count++;
    check_model();
    assert_true(memory[D][0] & PTE_KERNEL);
    drop(A);
    tear_down();
}

static void linear_l4(void **state)
{
    set_up(1, false);
    patience = 1000000;
    memory[A][255] = to(A, PTE_P | PTE_RW | PTE_U);
    assert_int_equal(get(A, PGT_L4), -XEN_EINVAL);
    memory[A][255] = to(A, PTE_P);
    assert_int_equal(get(A, PGT_L4), 0);
    assert_int_equal(memory[A][255], to(A, PTE_P | PTE_U | PTE_A));
    assert_true(dom.no_global_pages);
    roots[A]++;
    pages[A].count++;
    check_model();
    drop(A);
    /* Not to another L4, and at no other level. */
    memory[A][255] = to(B, PTE_P);
    memory[B][0] = 0;
    assert_int_equal(get(B, PGT_L4), 0);
    assert_int_equal(get(A, PGT_L4), -XEN_EINVAL);
    table_put(&pages[B]);
    memory[C][0] = to(C, PTE_P);
    assert_int_equal(get(C, PGT_L3), -XEN_EINVAL);
    assert_int_equal(get(C, PGT_L2), -XEN_EINVAL);
    tear_down();
}

static void reserved_slots_are_ours(void **state)
{
    struct mmu_target t;

    set_up(1, false);
    t = mmu_target_self(&dom);
    memory[A][256] = to(B, PTE_P | PTE_RW);     /* whatever was there is overwritten */
    assert_int_equal(get(A, PGT_L4), 0);
    assert_int_equal(pte_mfn(memory[A][256]).v, 1);
    spin_lock(&dom.mmu_lock);
    for (uint32_t i = 256; i < 272; i++) {
        uint64_t was = memory[A][i];
        assert_int_equal(table_update_locked(&dom, &pages[A], &memory[A][i], 0, &t, false),
                         -XEN_EINVAL);
        assert_int_equal(memory[A][i], was);
    }
    assert_int_equal(table_update_locked(&dom, &pages[A], &memory[A][300], 0, &t, false), 0);
    spin_unlock(&dom.mmu_lock);
    table_put(&pages[A]);
    tear_down();
}

static void leaf_targets(void **state)
{
    static const struct { uint64_t e; int rc; } cases[] = {
        { (uint64_t)SHARED << 12 | PTE_P | PTE_RW, 0 },
        { (uint64_t)ALIEN << 12 | PTE_P, -XEN_EPERM },                  /* in the first MiB */
        { 3UL << 12 | PTE_P, -XEN_EPERM },                              /* not RAM */
        { (uint64_t)B << 12 | PTE_P | PTE_PCD, -XEN_EINVAL },           /* cache bits on RAM */
        { (uint64_t)A << 12 | PTE_P | PTE_RW, -XEN_EBUSY },             /* itself, writable */
        { (uint64_t)A << 12 | PTE_P, 0 },
        { 1UL << 51 | PTE_RW, 0 },                                      /* not present */
    };
    struct mmu_target t;

    set_up(1, false);
    t = mmu_target_self(&dom);
    assert_int_equal(get(A, PGT_L1), 0);
    roots[A]++;
    pages[A].count++;
    spin_lock(&dom.mmu_lock);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(l1_update_locked(&dom, &memory[A][i], cases[i].e, &t, false),
                         cases[i].rc);
    /* dom0 may have the other domain's frame, and devices. */
    t.any_owner = t.io = true;
    assert_int_equal(l1_update_locked(&dom, &memory[A][100], cases[1].e | PTE_RW, &t, false), 0);
    assert_int_equal(l1_update_locked(&dom, &memory[A][101], cases[2].e | PTE_PCD, &t, false), 0);
    /* But then it is writable and no table. */
    spin_unlock(&dom.mmu_lock);
    check_model();
    assert_int_equal(table_get(&pages[ALIEN], PGT_L1), -XEN_EINVAL);
    drop(A);
    assert_true(pages[ALIEN].count & PGC_FOREIGN);
    tear_down();
}

static void shared_page_is_no_table(void **state)
{
    set_up(1, false);
    assert_int_equal(get(SHARED, PGT_L1), -XEN_EINVAL);
    assert_int_equal(get(SHARED, PGT_SEG_DESC), -XEN_EINVAL);
    tear_down();
}

/* Guests guess numbers: a frame that is being given to a domain may be given back at any moment. */
static void given_and_taken_at_once(void **unused)
{
    uint32_t n = 0;

    set_up(7, false);
    assert_true(page_steal(&dom, &pages[FIRST]));
    /* As XENMEM_exchange leaves them meanwhile. */
    pages[FIRST].next = FIRST + 1;
    pages[FIRST].prev = FIRST + 3;
    wanted = FIRST;
    assert_true(page_give(&dom, &pages[FIRST], 77));
    assert_int_equal(m2p[FIRST], 77);
    for (uint32_t m = dom.page_list, prev = FRAME_NIL; m != FRAME_NIL; prev = m, m = pages[m].next) {
        assert_int_equal(pages[m].prev, prev);
        assert_int_equal(pages[m].owner, dom.id);
        assert_true(++n <= FRAMES);
    }
    assert_int_equal(n, FRAMES);
    assert_int_equal(dom.tot_pages, FRAMES);
    /* The next lock that anybody takes: now it can be had, and all is as it should be. */
    assert_true(page_steal(&dom, &pages[FIRST + 1]));
    assert_int_equal(wanted, 0);
    assert_true(freed[FIRST]);
    assert_int_equal(dom.tot_pages, FRAMES - 2);
    assert_int_equal(m2p[FIRST], M2P_INVALID);
    freed[FIRST] = false;
    assert_true(page_give(&dom, &pages[FIRST], M2P_INVALID));
    assert_true(page_give(&dom, &pages[FIRST + 1], M2P_INVALID));
    tear_down();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(given_and_taken_at_once),
        cmocka_unit_test(tables_must_be_read_only), cmocka_unit_test(linear_l4),
        cmocka_unit_test(reserved_slots_are_ours),  cmocka_unit_test(leaf_targets),
        cmocka_unit_test(shared_page_is_no_table),  cmocka_unit_test(random_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
