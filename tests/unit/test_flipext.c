/* SPDX-License-Identifier: MIT */
/* test_flipext.c - the flip of extents, alone and mixed with single pages. */
/* LINK: hypervisor/mm/type.c hypervisor/mm/frame.c */
/* LINK: hypervisor/mm/desccheck.c */
#include "tests/unit/flip_machine.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(extents, tear_down),
        cmocka_unit_test_teardown(extents_refused, tear_down),
        cmocka_unit_test_teardown(mixed, tear_down),
        cmocka_unit_test_setup_teardown(extents, fall_asleep, wake_up),
        cmocka_unit_test_setup_teardown(extents_refused, fall_asleep, wake_up),
        cmocka_unit_test_setup_teardown(mixed, fall_asleep, wake_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
