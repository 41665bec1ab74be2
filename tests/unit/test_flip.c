/* SPDX-License-Identifier: MIT */
/* test_flip.c - the flip: what it decides and refuses, alone and in batches, between domains that run or are at rest. */
/* LINK: hypervisor/mm/type.c hypervisor/mm/frame.c */
/* LINK: hypervisor/mm/desccheck.c */
#include "tests/unit/flip_machine.h"

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
        cmocka_unit_test_teardown(windows, tear_down),
        cmocka_unit_test_teardown(batches, tear_down),
        cmocka_unit_test_teardown(rest, tear_down),
        cmocka_unit_test_teardown(two_tables, tear_down),
        cmocka_unit_test_setup_teardown(plain, fall_asleep, wake_up),
        cmocka_unit_test_setup_teardown(refusals, fall_asleep, wake_up),
        cmocka_unit_test_setup_teardown(batches, fall_asleep, wake_up),
        cmocka_unit_test_teardown(tags, tear_down),                 /* uses them up */
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
