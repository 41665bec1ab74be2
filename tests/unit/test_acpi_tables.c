/* SPDX-License-Identifier: MIT */
/* LINK: hypervisor/boot/acpi_tables.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "boot/acpi.h"
#include "lib/string.h"

#define MEMORY 0x10000u

static uint8_t ram[MEMORY];
static struct acpi_info ai;

static const void *map(paddr_t pa, uint64_t len)
{
    return pa <= MEMORY && len <= MEMORY - pa ? ram + pa : NULL;
}

static void put(uint32_t at, uint64_t v, unsigned int n)
{
    memcpy(ram + at, &v, n);
}

static void fix_sum(uint32_t at, uint32_t len, uint32_t where)
{
    uint8_t sum = 0;

    ram[where] = 0;
    for (uint32_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + ram[at + i]);
    ram[where] = (uint8_t)-sum;
}

static void header(uint32_t at, const char *sig, uint32_t len)
{
    memcpy(ram + at, sig, 4);
    put(at + 4, len, 4);
    fix_sum(at, len, at + 9);
}

static void rsdp(uint32_t at, uint32_t rsdt, uint64_t xsdt)
{
    memcpy(ram + at, "RSD PTR ", 8);
    put(at + 16, rsdt, 4);
    ram[at + 15] = xsdt ? 2 : 0;
    put(at + 20, 36, 4);
    put(at + 24, xsdt, 8);
    fix_sum(at, 20, at + 8);
    fix_sum(at, 36, at + 32);
}

static int tables(void **state)
{
    memset(ram, 0, sizeof(ram));
    rsdp(0x100, 0x200, 0x300);
    put(0x200 + 36, 0x1000, 4);
    header(0x200, "RSDT", 40);
    put(0x300 + 36, 0x1000, 8);
    put(0x300 + 44, 0x2000, 8);
    put(0x300 + 52, 0x3000, 8);
    put(0x300 + 60, 0x4000, 8);
    put(0x300 + 68, 0xdeadbeef00, 8);       /* not in memory: skipped */
    header(0x300, "XSDT", 76);

    put(0x1000 + 36, 0xfee00000, 4);
    memcpy(ram + 0x1000 + 44, "\0\10\0\0\1\0\0\0" "\0\10\1\4\1\0\0\0" "\0\10\2\5\0\0\0\0", 24);
    memcpy(ram + 0x1000 + 68, "\1\14\0\0\0\0\300\376\0\0\0\0", 12);
    memcpy(ram + 0x1000 + 80, "\2\12\0\0\2\0\0\0\0\0", 10);
    memcpy(ram + 0x1000 + 90, "\2\12\0\11\11\0\0\0\15\0", 10);
    memcpy(ram + 0x1000 + 100, "\11\20\0\0\0\1\0\0\1\0\0\0\0\0\0\0", 16);
    memcpy(ram + 0x1000 + 116, "\11\20\0\0\4\0\0\0\1\0\0\0\0\0\0\0", 16);   /* CPU 4 once more */
    header(0x1000, "APIC", 132);
    put(0x2000 + 44, 0xfed00000, 8);
    header(0x2000, "HPET", 56);
    put(0x3000 + 76, 0x608, 4);
    put(0x3000 + 40, 0x5000, 4);
    put(0x3000 + 64, 0x604, 2);
    put(0x3000 + 112, 0x500, 4);
    ram[0x3000 + 116] = 1;
    put(0x3000 + 120, 0xcf9, 8);
    ram[0x3000 + 128] = 15;
    memcpy(ram + 0x5000 + 50, "\10_S5_\22\10\4\12\5\1\0\0", 14);
    header(0x5000, "DSDT", 80);
    header(0x3000, "FACP", 244);
    put(0x4000 + 44, 0xb0000000, 8);
    ram[0x4000 + 55] = 255;
    header(0x4000, "MCFG", 60);
    return 0;
}

static void everything(void **state)
{
    assert_int_equal(acpi_parse(&ai, ram + 0x100, 36, map), 0);
    assert_int_equal(ai.lapic, 0xfee00000);
    assert_int_equal(ai.nr_cpus, 3);
    assert_int_equal(ai.apicid[0], 0);
    assert_int_equal(ai.apicid[1], 4);
    assert_int_equal(ai.apicid[2], 256);
    assert_int_equal(ai.nr_ioapics, 1);
    assert_int_equal(ai.ioapic[0].pa, 0xfec00000);
    assert_int_equal(ai.nr_overrides, 2);
    assert_int_equal(ai.override[0].gsi, 2);
    assert_int_equal(ai.override[1].flags, 13);
    assert_int_equal(ai.hpet, 0xfed00000);
    assert_int_equal(ai.pm_timer_port, 0x608);
    assert_true(ai.pm_timer_32bit);
    assert_int_equal(ai.pm1a_cnt, 0x604);
    assert_int_equal(ai.pm1b_cnt, 0);
    assert_int_equal(ai.s5_a, 0x2000 | 5 << 10);
    assert_int_equal(ai.s5_b, 0x2000 | 1 << 10);
    assert_int_equal(ai.reset_port, 0xcf9);
    assert_int_equal(ai.reset_value, 15);
    assert_int_equal(ai.nr_mcfg, 1);
    assert_int_equal(ai.mcfg[0].last_bus, 255);
}

static void old_root(void **state)
{
    assert_int_equal(acpi_parse(&ai, ram + 0x100, 20, map), 0);
    assert_int_equal(ai.nr_cpus, 3);
    assert_int_equal(ai.hpet, 0);
}

static void broken_table_is_skipped(void **state)
{
    ram[0x1000 + 50] ^= 1;
    assert_int_equal(acpi_parse(&ai, ram + 0x100, 36, map), 0);
    assert_int_equal(ai.nr_cpus, 0);
    assert_int_equal(ai.hpet, 0xfed00000);
}

static void entry_lengths(void **state)
{
    ram[0x1000 + 45] = 0;
    fix_sum(0x1000, 132, 0x1009);
    assert_int_equal(acpi_parse(&ai, ram + 0x100, 36, map), 0);
    assert_int_equal(ai.nr_cpus, 0);
    ram[0x1000 + 45] = 200;
    fix_sum(0x1000, 132, 0x1009);
    assert_int_equal(acpi_parse(&ai, ram + 0x100, 36, map), 0);
    assert_int_equal(ai.nr_cpus, 0);
}

static void bad_root(void **state)
{
    assert_int_not_equal(acpi_parse(&ai, ram + 0x100, 19, map), 0);
    ram[0x100 + 16] ^= 1;
    assert_int_not_equal(acpi_parse(&ai, ram + 0x100, 36, map), 0);
    tables(NULL);
    put(0x304, 35, 4);
    assert_int_not_equal(acpi_parse(&ai, ram + 0x100, 36, map), 0);
    put(0x304, 0xffffffff, 4);
    assert_int_not_equal(acpi_parse(&ai, ram + 0x100, 36, map), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(everything, tables),
        cmocka_unit_test_setup(old_root, tables),
        cmocka_unit_test_setup(broken_table_is_skipped, tables),
        cmocka_unit_test_setup(entry_lengths, tables),
        cmocka_unit_test_setup(bad_root, tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
