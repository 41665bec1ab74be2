/* SPDX-License-Identifier: MIT */
/* LINK: hypervisor/boot/multiboot.c hypervisor/boot/ranges.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "boot/bootmem.h"
#include "lib/string.h"

#define MB1 0x2badb002u
#define MB2 0x36d76289u
#define MEMORY (1u << 20)

static uint8_t ram[MEMORY];
static struct boot_info bi;

static const void *mem(paddr_t pa, uint64_t len)
{
    return pa <= MEMORY && len <= MEMORY - pa ? ram + pa : NULL;
}

static void w32(uint32_t at, uint32_t v)
{
    memcpy(ram + at, &v, 4);
}

static void w64(uint32_t at, uint64_t v)
{
    memcpy(ram + at, &v, 8);
}

static void text(uint32_t at, const char *s)
{
    memcpy(ram + at, s, strlen(s) + 1);
}

static int clear(void **state)
{
    memset(ram, 0, sizeof(ram));
    return 0;
}

/* One mb1 memory map entry at `at`; returns where the next goes. */
static uint32_t mb1_entry(uint32_t at, uint64_t base, uint64_t len, uint32_t type)
{
    w32(at, 20);
    w64(at + 4, base);
    w64(at + 12, len);
    w32(at + 20, type);
    return at + 24;
}

/* What does not fit is counted, not forgotten. */
static void mb1_more_modules_than_fit(void **state)
{
    for (uint32_t words = 4; words <= 400; words *= 10) {
        w32(0x1000, 0x9);
        w32(0x1004, 640);
        w32(0x1008, 0x10000);
        w32(0x1000 + 20, 300);
        w32(0x1000 + 24, 0x3000);
        memset(ram + 0x8000, 'x', words);
        text(0x8000 + words, " y");
        for (uint32_t i = 0; i < 300; i++) {
            w32(0x3000 + i * 16, 0x5000);
            w32(0x3004 + i * 16, 0x5800);
            w32(0x3008 + i * 16, 0x8000);
        }
        assert_int_equal(multiboot_parse(&bi, MB1, 0x1000, mem), 0);
        assert_int_equal(bi.nr_modules + bi.nr_left_out, 300);
        if (words < 100)
            assert_int_equal(bi.nr_modules, BOOT_MAX_MODULES);
        else
            assert_in_range(bi.nr_modules, 20, BOOT_MAX_MODULES - 1);
        for (uint32_t i = 0; i < bi.nr_modules; i++) {
            assert_in_range(strlen(bi.module[i].name), MIN(words, 100u), words);
            assert_true(strlen(bi.module[i].name) < words || !strcmp(bi.module[i].args, "y"));
        }
    }
}

static void mb1_as_ipxe_gives_it(void **state)
{
    uint32_t end;

    w32(0x1000, 0x24d);
    w32(0x1000 + 16, 0x2000);
    text(0x2000, "tftp://10.0.2.2/sluice com1=9600 debugexit com1=38400");
    w32(0x1000 + 20, 2);
    w32(0x1000 + 24, 0x3000);
    w32(0x3000, 0x5000);
    w32(0x3004, 0x5800);
    w32(0x3008, 0x2100);
    text(0x2100, "http://h/dom0  a=1 b");
    w32(0x3010, 0x6000);
    w32(0x3014, 0x6001);
    w32(0x3018, 0);
    end = mb1_entry(0x4000, 0, 0x9cc00, 1);
    end = mb1_entry(end, 0x100000, 0x1ff00000, 1);
    w32(0x1000 + 44, end - 0x4000);
    w32(0x1000 + 48, 0x4000);
    w32(0x1000 + 64, 0x2200);
    text(0x2200, "iPXE 1.0");

    assert_int_equal(multiboot_parse(&bi, MB1, 0x1000, mem), 0);
    assert_string_equal(bi.cmdline, "com1=9600 debugexit com1=38400");
    assert_string_equal(bi.loader, "iPXE 1.0");
    assert_int_equal(bi.nr_modules, 2);
    assert_string_equal(bi.module[0].name, "http://h/dom0");
    assert_string_equal(bi.module[0].args, "a=1 b");
    assert_int_equal(bi.module[0].size, 0x800);
    assert_string_equal(bi.module[1].name, "");
    assert_string_equal(bi.module[1].args, "");
    assert_int_equal(bi.nr_regions, 2);
    assert_int_equal(bi.region[0].end, 0x9c000);
    assert_int_equal(bi.region[1].start, 0x100000);
    assert_int_equal(bi.region[1].end, 0x20000000);
}

static void mb1_without_map(void **state)
{
    w32(0x1000, 1);
    w32(0x1004, 640);
    w32(0x1008, 1024);
    assert_int_equal(multiboot_parse(&bi, MB1, 0x1000, mem), 0);
    assert_int_equal(bi.nr_regions, 2);
    assert_int_equal(bi.region[1].end, 2u << 20);
    assert_string_equal(bi.cmdline, "");
}

static void grub_keeps_the_first_word(void **state)
{
    w32(0x1000, 0x205);
    w32(0x1008, 1024);
    w32(0x1000 + 16, 0x2000);
    text(0x2000, "maxcpus=2 x");
    w32(0x1000 + 64, 0x2200);
    text(0x2200, "GRUB 2.06");
    assert_int_equal(multiboot_parse(&bi, MB1, 0x1000, mem), 0);
    assert_string_equal(bi.cmdline, "maxcpus=2 x");
}

static uint32_t tag(uint32_t at, uint32_t type, uint32_t size)
{
    w32(at, type);
    w32(at + 4, size);
    return at + ROUND_UP(size, 8u);
}

static void mb2_with_everything(void **state)
{
    uint32_t at = 0x1008, t;

    text(at + 8, "foo=\"a b\"");
    at = tag(at, 1, 8 + 10);
    text(at + 8, "GRUB 2.06-13");
    at = tag(at, 2, 8 + 13);
    w32(at + 8, 0x3000);
    w32(at + 12, 0x9000);
    text(at + 16, "dom0 console=hvc0");
    at = tag(at, 3, 16 + 18);
    t = at;
    w32(t + 8, 24);
    w64(t + 16, 0);
    w64(t + 24, 0xa0000);
    w32(t + 32, 1);
    w64(t + 40, 0x100000);
    w64(t + 48, 0x700000);
    w32(t + 56, 1);
    w64(t + 64, 0x200000);
    w64(t + 72, 0x1001);
    w32(t + 80, 2);
    at = tag(at, 6, 16 + 72);
    memcpy(ram + at + 8, "RSD PTR old", 11);
    at = tag(at, 14, 28);
    memcpy(ram + at + 8, "RSD PTR new", 11);
    at = tag(at, 15, 44);
    w64(at + 8, 0x12345678);
    at = tag(at, 12, 16);
    at = tag(at, 0, 8);
    w32(0x1000, at - 0x1000);

    assert_int_equal(multiboot_parse(&bi, MB2, 0x1000, mem), 0);
    assert_string_equal(bi.cmdline, "foo=\"a b\"");
    assert_int_equal(bi.nr_modules, 1);
    assert_string_equal(bi.module[0].name, "dom0");
    assert_string_equal(bi.module[0].args, "console=hvc0");
    assert_int_equal(bi.rsdp_size, 36);
    assert_memory_equal(bi.rsdp, "RSD PTR new", 11);
    assert_int_equal(bi.efi_system_table, 0x12345678);
    /* The reserved piece wins over the RAM around it, and takes whole pages. */
    assert_int_equal(bi.nr_regions, 4);
    assert_int_equal(bi.region[1].end, 0x200000);
    assert_int_equal(bi.region[2].type, REGION_RESERVED);
    assert_int_equal(bi.region[2].end, 0x202000);
    assert_int_equal(bi.region[3].start, 0x202000);
    assert_int_equal(bi.region[3].end, 0x800000);
}

static void refused(void **state)
{
    assert_int_not_equal(multiboot_parse(&bi, 0x12345678, 0x1000, mem), 0);
    assert_int_not_equal(multiboot_parse(&bi, MB1, MEMORY - 8, mem), 0);
    assert_int_not_equal(multiboot_parse(&bi, MB1, 0x1000, mem), 0);    /* no memory at all */
    w32(0x1000, 0xffffffff);
    assert_int_not_equal(multiboot_parse(&bi, MB2, 0x1000, mem), 0);
    w32(0x1000, 15);
    assert_int_not_equal(multiboot_parse(&bi, MB2, 0x1000, mem), 0);
}

/* Lengths that lie: parsing ends, and keeps what came before. */
static void lying_lengths(void **state)
{
    uint32_t at = 0x1008;

    w32(at + 8, 640);
    w32(at + 12, 7168);
    at = tag(at, 4, 16);
    tag(at, 1, 0xfffffff0);
    w32(0x1000, 64);
    assert_int_equal(multiboot_parse(&bi, MB2, 0x1000, mem), 0);
    assert_string_equal(bi.cmdline, "");
    tag(at, 1, 3);
    assert_int_equal(multiboot_parse(&bi, MB2, 0x1000, mem), 0);
    /* A module that ends before it starts, and one beyond memory. */
    w32(at + 8, 0x9000);
    w32(at + 12, 0x3000);
    tag(at, 3, 17);
    assert_int_equal(multiboot_parse(&bi, MB2, 0x1000, mem), 0);
    assert_int_equal(bi.nr_modules, 0);
    w32(at + 8, 0x9000);
    w32(at + 12, MEMORY + 1);
    assert_int_equal(multiboot_parse(&bi, MB2, 0x1000, mem), 0);
    assert_int_equal(bi.nr_modules, 0);
}

static void command_line(void **state)
{
    const char *line = " a=1 maxcpus=4 nosmp  maxcpus=2 empty= x=0123456789";
    char v[6];
    uint64_t n;

    assert_true(cmdline_find_in(line, "a", v, sizeof(v)));
    assert_string_equal(v, "1");
    assert_true(cmdline_find_in(line, "maxcpus", v, sizeof(v)));
    assert_string_equal(v, "2");
    assert_true(cmdline_find_in(line, "nosmp", v, sizeof(v)));
    assert_string_equal(v, "");
    assert_true(cmdline_find_in(line, "empty", v, sizeof(v)));
    assert_string_equal(v, "");
    assert_true(cmdline_find_in(line, "x", v, sizeof(v)));
    assert_string_equal(v, "01234");
    assert_true(cmdline_find_in(line, "x", NULL, 0));
    assert_false(cmdline_find_in(line, "max", v, sizeof(v)));
    assert_false(cmdline_find_in("", "max", v, sizeof(v)));
    assert_true(cmdline_find_in("\"foo=a b\" foo2=1", "foo", v, sizeof(v)));
    assert_string_equal(v, "a b");
    assert_true(cmdline_find_in("foo=\"a b\" z", "foo", v, sizeof(v)));
    assert_string_equal(v, "a b");
    assert_true(cmdline_find_in("foo=\"a b\" z", "z", v, sizeof(v)));

    assert_true(cmdline_parse_number("0x10", &n) && n == 16);
    assert_true(cmdline_parse_number("64M", &n) && n == 64 << 20);
    assert_true(cmdline_parse_number("0", &n) && n == 0);
    assert_false(cmdline_parse_number("", &n));
    assert_false(cmdline_parse_number("12q", &n));
    assert_false(cmdline_parse_number("99999999999999999999", &n));
    assert_false(cmdline_parse_number("0xffffffffffffffffG", &n));
}

static void range_sets(void **state)
{
    static struct ranges s;

    ranges_add(&s, 0x1000, 0x10000);
    assert_true(ranges_remove(&s, 0x4000, 0x5000));
    assert_true(ranges_remove(&s, 0, 0x2000));
    assert_int_equal(s.n, 2);
    assert_int_equal(ranges_take_high(&s, 0x2000, 0x1000, ~0UL), 0xe000);
    assert_int_equal(ranges_take_high(&s, 0x2000, 0x1000, 0x9000), 0x7000);
    assert_int_equal(ranges_take_high(&s, 0x2000, 0x4000, 0xe000), 0xc000);
    assert_int_equal(ranges_take_high(&s, 0x2000, 0x1000, 0x5000), 0x2000);
    assert_int_equal(ranges_take_high(&s, 0x8000, 0x1000, ~0UL), 0);
    assert_true(ranges_remove(&s, 0, ~0UL));
    assert_int_equal(s.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(mb1_as_ipxe_gives_it, clear),
        cmocka_unit_test_setup(mb1_more_modules_than_fit, clear),
        cmocka_unit_test_setup(mb1_without_map, clear),
        cmocka_unit_test_setup(grub_keeps_the_first_word, clear),
        cmocka_unit_test_setup(mb2_with_everything, clear),
        cmocka_unit_test_setup(refused, clear),
        cmocka_unit_test_setup(lying_lengths, clear),
        cmocka_unit_test(command_line),
        cmocka_unit_test(range_sets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
