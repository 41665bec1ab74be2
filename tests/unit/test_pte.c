/* SPDX-License-Identifier: MIT */
/* test_pte.c - which entries a guest may write, and what becomes of their flags. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "mm/pte.h"

#define FRAME   0x12345000UL

/* Every bit is either harmless or a question of the frame. */
static void leaf_flags(void **state)
{
    assert_int_equal(PTE_L1_OK | PTE_CACHE, ~0UL);
    assert_int_equal(PTE_L1_OK & PTE_CACHE, 0);
}

static void upper_flags(void **state)
{
    for (unsigned int b = 0; b < 64; b++) {
        bool bad = b == 3 || b == 4 || b == 7 || b == 8;
        assert_int_equal(upper_flags_ok(PTE_P | 1UL << b), !bad);
    }
}

/* PV-ABI 5.3. */
static void leaf_fixes(void **state)
{
    pte_t user = FRAME | PTE_P | PTE_U | PTE_RW, kernel = FRAME | PTE_P | PTE_RW;

    assert_int_equal(l1e_fix(user, false), user | PTE_G);
    assert_int_equal(l1e_fix(kernel, false), kernel | PTE_U | PTE_KERNEL);
    assert_int_equal(l1e_fix(kernel | PTE_G, false), kernel | PTE_U | PTE_KERNEL);
    /* Read, changed and written back it is still the kernel's. */
    assert_int_equal(l1e_fix(l1e_fix(kernel, false) & ~PTE_RW, false),
                     (kernel & ~PTE_RW) | PTE_U | PTE_KERNEL);
    assert_int_equal(l1e_fix(kernel | PTE_U | PTE_KERNEL | PTE_G, false),
                     kernel | PTE_U | PTE_KERNEL);
    /* A domain without global pages. */
    assert_int_equal(l1e_fix(user | PTE_G, true), user);
    assert_int_equal(l1e_fix(kernel, true), kernel | PTE_U | PTE_KERNEL);
    /* Whatever it is, it becomes reachable from ring 3, and no kernel page is global. */
    for (uint64_t bits = 0; bits < 1UL << 9; bits++) {
        pte_t e = l1e_fix(FRAME | PTE_P | bits, false);
        assert_true(e & PTE_U);
        assert_false((e & PTE_KERNEL) && (e & PTE_G));
        assert_int_equal((e ^ bits) & (PTE_RW | PTE_A | PTE_D | PTE_NX), 0);
        assert_int_equal(l1e_fix(e, false), e);
    }
}

static void upper_fixes(void **state)
{
    pte_t e = FRAME | PTE_P;

    assert_int_equal(upper_fix(e, 2), e | PTE_U);
    assert_int_equal(upper_fix(e, 3), e | PTE_U);
    assert_int_equal(upper_fix(e, 4), e | PTE_U | PTE_A);
}

static void reserved_slots(void **state)
{
    unsigned int n = 0;

    for (uint32_t i = 0; i < 512; i++)
        n += l4_slot_reserved(i);
    assert_int_equal(n, 16);
    assert_true(l4_slot_reserved(256) && l4_slot_reserved(271));
    assert_true(guest_va_ok(0x7fffffffffffUL) && guest_va_ok(0xffff880000000000UL));
    assert_false(guest_va_ok(0x800000000000UL) || guest_va_ok(0xffff800000000000UL) ||
                 guest_va_ok(0xffff87ffffffffffUL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaf_flags),   cmocka_unit_test(upper_flags),
        cmocka_unit_test(leaf_fixes),   cmocka_unit_test(upper_fixes),
        cmocka_unit_test(reserved_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
