/* SPDX-License-Identifier: MIT */
/* test_fliprace.c - the flip while a neighbour does something at any of its atomic operations. */
/* LINK: hypervisor/mm/type.c hypervisor/mm/frame.c */
/* LINK: hypervisor/mm/desccheck.c */
#include "tests/unit/flip_machine.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(freed_meanwhile, fall_asleep, wake_up),
        cmocka_unit_test_teardown(random_races, tear_down),
        cmocka_unit_test_teardown(freed_meanwhile, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
