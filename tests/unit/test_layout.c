/* SPDX-License-Identifier: MIT */
/* test_layout.c - layout of a new domain and its page tables, walked as the processor would. */
/* LINK: toolstack/builder/layout.c toolstack/builder/tables.c toolstack/builder/startinfo.c */
/* LINK: lib/strlcpy.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "toolstack/builder/layout.h"
#include "toolstack/builder/startinfo.h"
#include "toolstack/builder/tables.h"

#define BASE 0xffffffff80000000UL

static uint64_t p2m[1 << 20];
static uint64_t (*mem)[512];       /* contents of the domain's pages, by pfn */
static struct layout l;

static uint64_t pfn_of(uint64_t mfn)
{
    return (mfn - 7) / 3;
}

static void build(uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++)
        p2m[i] = i * 3 + 7;
    mem = calloc(pages, PAGE_SIZE);
    for (uint64_t i = 0; i < l.tables.n; i++)
        tables_fill(&l, p2m, i, mem[l.tables.pfn + i]);
    for (uint64_t i = 0; i < l.p2m_tables.n; i++)
        tables_fill_p2m(&l, p2m, i, mem[l.p2m_tables.pfn + i]);
}

/* The leaf entry for va, 0 if there is none. */
static uint64_t walk(uint64_t va)
{
    uint64_t pfn = l.tables.pfn;

    for (int shift = 39; shift > 12; shift -= 9) {
        uint64_t e = mem[pfn][(va >> shift) & 511];

        if (!(e & 1))
            return 0;
        assert_true((e & 0xfff) == 0x67);
        pfn = pfn_of(e >> 12);
        assert_true(pfn < l.nr_pages);
    }
    return mem[pfn][(va >> 12) & 511];
}

static bool in(uint64_t pfn, const struct pfn_range *r)
{
    return pfn >= r->pfn && pfn < r->pfn + r->n;
}

static void check_all(void)
{
    uint64_t used = 0;

    for (uint64_t n = 0; n < l.mapped; n++) {
        uint64_t e = walk(layout_va(&l, n));
        bool ro = in(n, &l.tables) || in(n, &l.p2m_tables);

        assert_int_equal(pfn_of(e >> 12), n);
        assert_int_equal(e & 0xfff, ro ? 0x21 : 0x23);
    }
    assert_true(l.mapped == (1UL << 19) || walk(layout_va(&l, l.mapped)) == 0);
    if (l.virt_base)
        assert_true(walk(l.virt_base - PAGE_SIZE) == 0);
    for (uint64_t n = 0; l.p2m_outside && n < l.p2m.n; n++)
        assert_int_equal(pfn_of(walk(l.p2m_va + n * PAGE_SIZE) >> 12), l.p2m.pfn + n);
    /* Every table is reached: the number of entries equals the number of tables and pages. */
    for (uint64_t i = 0; i < l.tables.n; i++)
        for (unsigned int k = 0; k < 512; k++)
            used += mem[l.tables.pfn + i][k] != 0;
    assert_int_equal(used, l.mapped + l.tables.n - 1 + (l.p2m_outside ? l.p2m_tree.l3 : 0));
    free(mem);
}

static struct xen_notes notes_of_linux(void)
{
    return (struct xen_notes){
        .have = 1U << XEN_ELFNOTE_INIT_P2M,
        .virt_base = BASE,
        .init_p2m = 0x8000000000,
        .mod_start_pfn = true,
    };
}

/* The numbers that the reference's builder has for this kernel. */
static void linux_of_512_mib(void **state)
{
    struct xen_notes n = notes_of_linux();

    assert_int_equal(layout_make(&l, &n, BASE + 0x1000000, BASE + 0x4a00000, 0x213000, 0x20000), 0);
    assert_int_equal(l.kernel.pfn, 0x1000);
    assert_int_equal(l.kernel.n, 0x3a00);
    assert_int_equal(l.start_info.pfn, 0x4a00);
    assert_int_equal(l.store.pfn, 0x4a01);
    assert_int_equal(l.console.pfn, 0x4a02);
    assert_int_equal(l.tables.pfn, 0x4a03);
    assert_int_equal(l.tables.n, 0x29);
    assert_int_equal(l.stack.pfn, 0x4a2c);
    assert_int_equal(l.mapped, 0x4c00);
    assert_int_equal(l.initrd.pfn, 0x4c00);
    assert_int_equal(l.p2m.pfn, 0x4e13);
    assert_int_equal(l.p2m.n, 0x100);
    assert_int_equal(l.p2m_tables.n, 3);
    assert_true(l.p2m_va == 0x8000000000);
    build(0x20000);
    check_all();
}

static void netbsd_has_all_in_one_mapping(void **state)
{
    struct xen_notes n = { .virt_base = BASE };

    assert_int_equal(layout_make(&l, &n, BASE + 0x100000, BASE + 0x1234567, 5000, 0x10000), 0);
    assert_true(l.initrd_mapped && !l.p2m_outside);
    assert_int_equal(l.initrd.pfn, 0x1235);
    assert_int_equal(l.p2m.pfn, l.initrd.pfn + 2);
    assert_int_equal(l.start_info.pfn, l.p2m.pfn + 0x80);
    assert_int_equal(l.tables.pfn, l.start_info.pfn + 3);
    assert_true(l.mapped - l.stack.pfn - 1 >= 128 && l.mapped % 1024 == 0);
    assert_true(l.p2m_va == layout_va(&l, l.p2m.pfn));
    build(0x10000);
    check_all();
    /* With a large list the second set of tables still fits behind the first. */
    assert_int_equal(layout_make(&l, &n, BASE + 0x100000, BASE + 0x1234567, 0, 64UL << 18), 0);
    assert_true(l.mapped - l.tables.pfn >= 2 * (l.main_tree.l1 + 4));
    assert_int_equal(layout_make(&l, &n, BASE + 0x100000, BASE + 0x1234567, 0, 400UL << 18), 0);
    assert_true(l.mapped - l.tables.pfn >= 2 * (l.main_tree.l1 + 4));
}

static void kernel_at_address_zero(void **state)
{
    struct xen_notes n = { .virt_base = 0 };

    assert_int_equal(layout_make(&l, &n, 0, 0x613dc8, 0, 0x4000), 0);
    build(0x4000);
    check_all();
}

static void big_p2m_spans_tables(void **state)
{
    struct xen_notes n = notes_of_linux();

    n.init_p2m = 0x8000000000 - 0x5000;    /* straddles two top-level slots */
    assert_int_equal(layout_make(&l, &n, BASE + 0x1000000, BASE + 0x1400000, 0, 1 << 20), 0);
    assert_int_equal(l.p2m_tree.l3, 2);
    build(1 << 20);
    check_all();
}

static void p2m_in_the_way_of_the_kernel_stays_inside(void **state)
{
    struct xen_notes n = notes_of_linux();

    n.init_p2m = BASE - 0x40000000;
    assert_int_equal(layout_make(&l, &n, BASE, BASE + 0x1000, 0, 0x1000), 0);
    assert_false(l.p2m_outside);
    n.init_p2m = 0xffff800000000000;
    assert_int_equal(layout_make(&l, &n, BASE, BASE + 0x1000, 0, 0x1000), 0);
    assert_false(l.p2m_outside);
}

static void says_how_much_memory_it_takes(void **state)
{
    struct xen_notes n = notes_of_linux();
    uint64_t need = layout_make(&l, &n, BASE + 0x1000000, BASE + 0x4a00000, 0x213000, 0x4000);

    assert_true(need > 0x4a00 && need < 0x5000);
    assert_int_equal(layout_make(&l, &n, BASE + 0x1000000, BASE + 0x4a00000, 0x213000, 0x5000), 0);
    /* A small domain is mapped as far as it goes. */
    n = (struct xen_notes){ .virt_base = BASE };
    assert_int_equal(layout_make(&l, &n, BASE, BASE + 0x3000, 0, 256), 0);
    assert_int_equal(l.mapped, 256);
    build(256);
    check_all();
}

static void fills_start_info(void **state)
{
    static union { struct start_info si; uint8_t page[PAGE_SIZE]; } u;
    struct xen_notes n = notes_of_linux();
    struct startinfo s = { mfn(0x123), mfn(5), mfn(6), 1, 2, 0x212345, "console=hvc0" };

    layout_make(&l, &n, BASE + 0x1000000, BASE + 0x4a00000, s.initrd_bytes, 0x20000);
    startinfo_fill(&u, &l, &s);
    assert_int_equal(u.si.shared_info, 0x123000);
    assert_int_equal(u.si.flags, SIF_MOD_START_PFN | SIF_VIRT_P2M_4TOOLS);
    assert_int_equal(u.si.mod_start, 0x4c00);
    assert_int_equal(u.si.mod_len, 0x212345);
    assert_int_equal(u.si.nr_p2m_frames, 0x103);
    assert_int_equal(u.si.nr_pt_frames, 0x29);
    assert_true(u.si.pt_base == 0xffffffff84a03000 && u.si.mfn_list == 0x8000000000);
    assert_string_equal((char *)u.si.cmd_line, "console=hvc0");
    assert_int_equal(offsetof(struct start_info, nr_p2m_frames), 0x488);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linux_of_512_mib),
        cmocka_unit_test(netbsd_has_all_in_one_mapping),
        cmocka_unit_test(kernel_at_address_zero),
        cmocka_unit_test(big_p2m_spans_tables),
        cmocka_unit_test(p2m_in_the_way_of_the_kernel_stays_inside),
        cmocka_unit_test(says_how_much_memory_it_takes),
        cmocka_unit_test(fills_start_info),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
