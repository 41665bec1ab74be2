/* SPDX-License-Identifier: MIT */
/* test_elf.c - ELF headers, Xen notes and the __xen_guest string. */
/* LINK: lib/elf.c lib/xennote.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "lib/elf.h"
#include "lib/xennote.h"
#include "xenabi.h"

static uint8_t file[0x1000];
static const char *why;

static void put(unsigned int at, uint64_t v, unsigned int bytes)
{
    memcpy(file + at, &v, bytes);
}

static void segment(unsigned int i, uint32_t type, uint64_t off, uint64_t paddr, uint64_t filesz,
                    uint64_t memsz)
{
    unsigned int p = 64 + i * 56;

    put(p, type, 4);
    put(p + 8, off, 8);
    put(p + 24, paddr, 8);
    put(p + 32, filesz, 8);
    put(p + 40, memsz, 8);
}

static void section(unsigned int i, uint32_t name, uint32_t type, uint64_t off, uint64_t size)
{
    unsigned int p = 0x800 + i * 64;

    put(p, name, 4);
    put(p + 4, type, 4);
    put(p + 24, off, 8);
    put(p + 32, size, 8);
}

/* Two program headers, three sections; the caller fills in what it tests. */
static void make_file(void)
{
    memset(file, 0, sizeof(file));
    memcpy(file, "\177ELF\2\1\1", 7);
    put(16, 2, 2);
    put(18, 62, 2);
    put(20, 1, 4);
    put(24, 0x1234, 8);
    put(32, 64, 8);
    put(40, 0x800, 8);
    put(54, 56, 2);
    put(56, 2, 2);
    put(58, 64, 2);
    put(60, 3, 2);
    put(62, 2, 2);
    segment(0, ELF_PT_LOAD, 0x200, 0x100000, 0x100, 0x2000);
    memcpy(file + 0xa00, "\0__xen_guest\0.note\0", 19);
    section(2, 0, ELF_SHT_STRTAB, 0xa00, 19);
}

static unsigned int note(unsigned int at, uint32_t type, const void *desc, uint32_t len)
{
    put(at, 4, 4);
    put(at + 4, len, 4);
    put(at + 8, type, 4);
    memcpy(file + at + 12, "Xen", 4);
    memcpy(file + at + 16, desc, len);
    return at + 16 + ((len + 3) & ~3U);
}

static int open_file(struct elf *e)
{
    return elf_open(e, file, sizeof(file), &why);
}

static void opens_a_good_file(void **state)
{
    struct elf e;
    struct elf_extent x;

    make_file();
    assert_int_equal(open_file(&e), 0);
    assert_int_equal(e.phnum, 2);
    assert_int_equal(e.shnum, 3);
    assert_int_equal(elf_load_extent(&e, &x, &why), 0);
    assert_int_equal(x.paddr, 0x100000);
    assert_int_equal(x.paddr_end, 0x102000);
    assert_int_equal(x.file_end, 0x300);
}

static void refuses_what_is_not_ours(void **state)
{
    struct elf e;

    make_file();
    file[4] = 1;
    assert_int_equal(open_file(&e), -XEN_ENOEXEC);
    make_file();
    put(18, 183, 2);
    assert_int_equal(open_file(&e), -XEN_ENOEXEC);
    assert_non_null(strstr(why, "another machine"));
    make_file();
    assert_int_equal(elf_open(&e, file, 63, &why), -XEN_ENOEXEC);
    assert_int_equal(elf_open(&e, file, 64 + 56 * 2 - 1, &why), -XEN_ENOEXEC);
    assert_int_equal(elf_open(&e, file, 0, &why), -XEN_ENOEXEC);
    put(32, ~0UL - 10, 8);
    assert_int_equal(open_file(&e), -XEN_ENOEXEC);
}

static void missing_sections_are_no_error(void **state)
{
    struct elf e;

    make_file();
    assert_int_equal(elf_open(&e, file, 0x400, &why), 0);
    assert_int_equal(e.shnum, 0);
}

static void refuses_bad_segments(void **state)
{
    struct elf e;
    struct elf_extent x;

    make_file();
    segment(1, ELF_PT_LOAD, 0, 0x101fff, 1, 1);
    assert_int_equal(open_file(&e), 0);
    assert_int_equal(elf_load_extent(&e, &x, &why), -XEN_ENOEXEC);
    segment(1, ELF_PT_LOAD, 0, 0x102000, 2, 1);
    assert_int_equal(elf_load_extent(&e, &x, &why), -XEN_ENOEXEC);
    segment(1, ELF_PT_LOAD, 0, ~0UL, 1, 4);
    assert_int_equal(elf_load_extent(&e, &x, &why), -XEN_ENOEXEC);
    segment(1, ELF_PT_LOAD, ~0UL, 0x102000, 2, 4);
    assert_int_equal(elf_load_extent(&e, &x, &why), -XEN_ENOEXEC);
    segment(1, ELF_PT_LOAD, 0, 0x102000, 2, 4);
    assert_int_equal(elf_load_extent(&e, &x, &why), 0);
}

static void reads_notes_of_both_widths(void **state)
{
    uint64_t base = 0xffffffff80000000UL, entry = base + 0x1000;
    uint32_t zero = 0, one[2] = { 1, 1 };
    struct xen_notes n;
    struct elf e;
    unsigned int at = 0x400;

    make_file();
    at = note(at, XEN_ELFNOTE_ENTRY, &entry, 8);
    at = note(at, XEN_ELFNOTE_VIRT_BASE, &base, 8);
    at = note(at, XEN_ELFNOTE_SUSPEND_CANCEL, &zero, 4);
    at = note(at, XEN_ELFNOTE_L1_MFN_VALID, one, 8);
    at = note(at, XEN_ELFNOTE_MOD_START_PFN, one, 4);
    at = note(at, XEN_ELFNOTE_GUEST_OS, "linux", 6);
    at = note(at, 4000, "x", 1);
    segment(1, ELF_PT_NOTE, 0x400, 0, at - 0x400, 0);
    assert_int_equal(open_file(&e), 0);
    assert_int_equal(xen_notes_read(&e, &n, &why), 0);
    assert_true(n.entry == entry && n.virt_base == base && n.paddr_offset == 0);
    assert_true(n.mod_start_pfn && !n.suspend_cancel && !n.legacy);
    assert_string_equal(n.guest_os, "linux");
    assert_false(xen_notes_have(&n, XEN_ELFNOTE_INIT_P2M));
    /* The same through a section, when no segment holds them. */
    segment(1, 0, 0, 0, 0, 0);
    section(1, 13, ELF_SHT_NOTE, 0x400, at - 0x400);
    assert_int_equal(xen_notes_read(&e, &n, &why), 0);
    assert_true(n.entry == entry);
    /* Cut in the middle of a note. */
    section(1, 13, ELF_SHT_NOTE, 0x400, 16 + 4);
    assert_int_equal(xen_notes_read(&e, &n, &why), -XEN_ENOEXEC);
}

/* Mini-OS gives none: the file's counts. But a kernel that can only be started as PVH is refused. */
static void notes_without_entry(void **state)
{
    uint64_t base = 0, phys32 = 0x200000, at;
    struct xen_notes n;
    struct elf e;

    make_file();
    assert_int_equal(open_file(&e), 0);
    assert_int_equal(xen_notes_read(&e, &n, &why), -XEN_ENOENT);
    segment(1, ELF_PT_NOTE, 0x400, 0, note(0x400, XEN_ELFNOTE_VIRT_BASE, &base, 8) - 0x400, 0);
    assert_int_equal(xen_notes_read(&e, &n, &why), 0);
    assert_true(n.entry == e.entry && xen_notes_have(&n, XEN_ELFNOTE_ENTRY));
    at = note(0x400, XEN_ELFNOTE_VIRT_BASE, &base, 8);
    segment(1, ELF_PT_NOTE, 0x400, 0, note(at, XEN_ELFNOTE_PHYS32_ENTRY, &phys32, 4) - 0x400, 0);
    assert_int_equal(xen_notes_read(&e, &n, &why), -XEN_ENOEXEC);
    segment(1, ELF_PT_NOTE, 0x400, 0, note(0x400, XEN_ELFNOTE_ENTRY, &base, 5) - 0x400, 0);
    assert_int_equal(xen_notes_read(&e, &n, &why), -XEN_ENOEXEC);
}

static void reads_the_old_string(void **state)
{
    static const char netbsd[] =
        "GUEST_OS=NetBSD,GUEST_VER=4.99,XEN_VER=xen-3.0,LOADER=generic,"
        "VIRT_BASE=0xffffffff80000000,ELF_PADDR_OFFSET=0xffffffff80000000,"
        "VIRT_ENTRY=0xffffffff80100000,HYPERCALL_PAGE=0x00000101,BSD_SYMTAB=yes";
    struct xen_notes n;
    struct elf e;

    make_file();
    memcpy(file + 0x400, netbsd, sizeof(netbsd));
    section(1, 1, 1, 0x400, sizeof(netbsd));
    assert_int_equal(open_file(&e), 0);
    assert_int_equal(xen_notes_read(&e, &n, &why), 0);
    assert_true(n.legacy && n.bsd_symtab);
    assert_true(n.virt_base == 0xffffffff80000000UL && n.paddr_offset == n.virt_base);
    assert_true(n.entry == 0xffffffff80100000UL);
    assert_true(n.hypercall_page == 0xffffffff80101000UL);
    assert_string_equal(n.guest_os, "NetBSD");

    /* Without an offset p_paddr is virtual; without an entry the ELF header's counts. */
    strcpy((char *)file + 0x400, "VIRT_BASE=0x1000,BSD_SYMTAB");
    assert_int_equal(xen_notes_read(&e, &n, &why), 0);
    assert_true(n.paddr_offset == 0x1000 && n.entry == 0x1234 && n.bsd_symtab);
    strcpy((char *)file + 0x400, "VIRT_BASE=0x10000000000000000");
    assert_int_equal(xen_notes_read(&e, &n, &why), -XEN_ENOEXEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_a_good_file),
        cmocka_unit_test(refuses_what_is_not_ours),
        cmocka_unit_test(missing_sections_are_no_error),
        cmocka_unit_test(refuses_bad_segments),
        cmocka_unit_test(reads_notes_of_both_widths),
        cmocka_unit_test(notes_without_entry),
        cmocka_unit_test(reads_the_old_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
