/* SPDX-License-Identifier: MIT */
/* test_image.c - kernel files in every wrapping, whole and damaged. */
/* LINK: lib/elf.c lib/xennote.c lib/why.c lib/printf.c lib/strlcpy.c lib/lz4.c */
/* LINK: toolstack/builder/image.c toolstack/builder/decomp.c tests/unit/fakes/page.c */
/* LINK: build/libdecomp-host.a */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <zlib.h>
#include "toolstack/builder/image.h"
#include "xenabi.h"

#define BASE 0xffffffff80000000UL
#define ELF_SIZE 0x6000

static uint8_t elf[ELF_SIZE], file[0x20000];
static char why[WHY_MAX];

static void put(uint8_t *p, uint64_t v, unsigned int bytes)
{
    memcpy(p, &v, bytes);
}

static void segment(unsigned int i, uint32_t type, uint64_t off, uint64_t paddr, uint64_t filesz,
                    uint64_t memsz)
{
    uint8_t *p = elf + 64 + i * 56;

    put(p, type, 4);
    put(p + 8, off, 8);
    put(p + 16, 0x77777000, 8);    /* p_vaddr must not matter */
    put(p + 24, paddr, 8);
    put(p + 32, filesz, 8);
    put(p + 40, memsz, 8);
}

static size_t note(size_t at, uint32_t type, uint64_t v)
{
    put(elf + at, 4, 4);
    put(elf + at + 4, 8, 4);
    put(elf + at + 8, type, 4);
    memcpy(elf + at + 12, "Xen", 4);
    put(elf + at + 16, v, 8);
    return at + 24;
}

/* 0x1000: code, one page; 0x2345: data, 0x2001 bytes; 0x5000: notes. */
static void make_elf(void)
{
    size_t at = 0x5000;

    memset(elf, 0, sizeof(elf));
    memcpy(elf, "\177ELF\2\1\1", 7);
    put(elf + 16, 2, 2);
    put(elf + 18, 62, 2);
    put(elf + 20, 1, 4);
    put(elf + 32, 64, 8);
    put(elf + 54, 56, 2);
    put(elf + 56, 3, 2);
    put(elf + 58, 64, 2);
    segment(0, ELF_PT_LOAD, 0x1000, 0x1000000, 0x1000, 0x1000);
    segment(1, ELF_PT_LOAD, 0x2345, 0x1002345, 0x2001, 0x8000);
    memset(elf + 0x1000, 0xc3, 0x1000);
    for (unsigned int i = 0; i < 0x2001; i++)
        elf[0x2345 + i] = (uint8_t)(i * 7 + 1);
    at = note(at, XEN_ELFNOTE_ENTRY, BASE + 0x1000010);
    at = note(at, XEN_ELFNOTE_VIRT_BASE, BASE);
    at = note(at, XEN_ELFNOTE_INIT_P2M, 0x8000000000);
    segment(2, ELF_PT_NOTE, 0x5000, 0, at - 0x5000, 0);
}

/* gzip with one stored block. */
static size_t gzip(uint8_t *to, const uint8_t *from, uint16_t n)
{
    static const uint8_t head[10] = { 0x1f, 0x8b, 8 };

    memcpy(to, head, 10);
    to[10] = 1;
    put(to + 11, n, 2);
    put(to + 13, (uint16_t)~n, 2);
    memcpy(to + 15, from, n);
    put(to + 15 + n, crc32(0, from, n), 4);
    put(to + 19 + n, n, 4);
    return 23U + n;
}

/* LZ4's legacy frame with one block of literals and the size that kernels append. */
static size_t lz4(uint8_t *to, const uint8_t *from, uint32_t n)
{
    uint8_t *p = to + 8;
    uint32_t rest = n - 15;

    put(to, 0x184c2102, 4);
    *p++ = 0xf0;
    for (; rest >= 255; rest -= 255)
        *p++ = 255;
    *p++ = (uint8_t)rest;
    memcpy(p, from, n);
    p += n;
    put(to + 4, (uint64_t)(p - to - 8), 4);
    put(p, n, 4);
    return (size_t)(p + 4 - to);
}

static size_t bzimage(size_t payload)
{
    put(file + 0x1fe, 0xaa55, 2);
    memcpy(file + 0x202, "HdrS", 4);
    put(file + 0x206, 0x20f, 2);
    file[0x1f1] = 3;
    put(file + 0x248, 0x100, 4);
    put(file + 0x24c, payload, 4);
    return 4 * 512 + 0x100 + payload;
}
#define PAYLOAD (file + 4 * 512 + 0x100)

static int load(size_t size, struct image **out)
{
    uint8_t *exact = malloc(size);      /* so that ASan sees any byte read behind the end */
    struct image *im;
    int rc = -1;

    why[0] = 0;
    memcpy(exact, file, size);
    im = image_open("vmlinuz", exact, size, why);
    if (im) {
        while ((rc = image_step(im, why)) == 1)
            ;
    }
    if (rc == 0 && out) {
        *out = im;      /* leaks `exact` into the caller's hands: freed by release() */
        return 0;
    }
    image_free(im);
    free(exact);
    if (rc != 0) {
        assert_memory_equal(why, "vmlinuz: ", 9);
        assert_null(strchr(why, '\n'));
    }
    return rc;
}

static void release(struct image *im)
{
    const uint8_t *p = im->flat ? im->flat : im->payload;

    if (strncmp(im->format, "bz", 2) == 0)
        p -= PAYLOAD - file;
    image_free(im);
    free((void *)(uintptr_t)p);
}

static void check_contents(size_t size)
{
    static uint8_t mem[0xb000], expect[0xb000];
    struct image *im = NULL;

    assert_int_equal(load(size, &im), 0);
    assert_true(im->virt_start == BASE + 0x1000000 && im->virt_end == BASE + 0x100a345);
    memset(expect, 0, sizeof(expect));
    memcpy(expect, elf + 0x1000, 0x1000);
    memcpy(expect + 0x2345, elf + 0x2345, 0x2001);
    for (size_t step = 0xb000; step >= 0x800; step /= 2) {
        memset(mem, 0, sizeof(mem));
        for (size_t at = 0; at < sizeof(mem); at += step)
            image_copy(im, im->virt_start + at, mem + at, step < 0xb000 - at ? step : 0xb000 - at);
        assert_memory_equal(mem, expect, sizeof(mem));
    }
    release(im);
}

static void loads_every_wrapping(void **state)
{
    make_elf();
    memcpy(file, elf, ELF_SIZE);
    check_contents(ELF_SIZE);
    check_contents(gzip(file, elf, ELF_SIZE));
    check_contents(lz4(file, elf, ELF_SIZE));
    memcpy(PAYLOAD, elf, ELF_SIZE);
    check_contents(bzimage(ELF_SIZE));
    check_contents(bzimage(gzip(PAYLOAD, elf, ELF_SIZE)));
    check_contents(bzimage(lz4(PAYLOAD, elf, ELF_SIZE)));
}

static void truncated_at_any_place_is_an_error(void **state)
{
    size_t size;

    make_elf();
    size = bzimage(gzip(PAYLOAD, elf, ELF_SIZE));
    for (size_t n = 1; n < size; n += 97)
        assert_true(load(n, NULL) < 0);
    size = gzip(file, elf, ELF_SIZE);
    for (size_t n = 0; n < size; n += 97)
        assert_true(load(n, NULL) < 0);
    memcpy(file, elf, ELF_SIZE);
    for (size_t n = 0; n < 0x5000; n += 97)
        assert_true(load(n, NULL) < 0);
}

static void corrupt_payload_is_an_error(void **state)
{
    size_t size;

    make_elf();
    size = gzip(file, elf, ELF_SIZE);
    file[15 + 0x2400] ^= 1;    /* only the checksum can tell */
    assert_int_equal(load(size, NULL), -XEN_EILSEQ);
    assert_non_null(strstr(why, "corrupt gzip"));
}

static void refuses_what_cannot_be_placed(void **state)
{
    make_elf();
    note(0x5000, XEN_ELFNOTE_ENTRY, BASE + 0x2000000);
    memcpy(file, elf, ELF_SIZE);
    assert_int_equal(load(ELF_SIZE, NULL), -XEN_ENOEXEC);
    make_elf();
    note(0x5018, XEN_ELFNOTE_VIRT_BASE, 0xffff800000000000);
    memcpy(file, elf, ELF_SIZE);
    assert_int_equal(load(ELF_SIZE, NULL), -XEN_ENOEXEC);
    make_elf();
    note(0x5030, XEN_ELFNOTE_HYPERCALL_PAGE, BASE + 0x100a000);
    memcpy(file, elf, ELF_SIZE);
    assert_int_equal(load(ELF_SIZE, NULL), -XEN_ENOEXEC);
    make_elf();
    segment(2, 0, 0, 0, 0, 0);
    memcpy(file, elf, ELF_SIZE);
    assert_int_equal(load(ELF_SIZE, NULL), -XEN_ENOEXEC);
    assert_non_null(strstr(why, "no Xen notes"));
    assert_int_equal(load(gzip(file, elf, ELF_SIZE), NULL), -XEN_ENOEXEC);
}

static void old_string_in_a_compressed_file(void **state)
{
    static const char text[] = "VIRT_BASE=0xffffffff80000000,ELF_PADDR_OFFSET=0x0,"
                               "VIRT_ENTRY=0xffffffff81000010,HYPERCALL_PAGE=0x1003,BSD_SYMTAB=yes";
    struct image *im = NULL;

    make_elf();
    segment(2, 0, 0, 0, 0, 0);
    put(elf + 40, 0x5800, 8);      /* section headers */
    put(elf + 60, 3, 2);
    put(elf + 62, 2, 2);
    put(elf + 0x5840, 1, 4);       /* section 1: the string */
    put(elf + 0x5844, 1, 4);
    put(elf + 0x5858, 0x5000, 8);
    put(elf + 0x5860, sizeof(text), 8);
    memcpy(elf + 0x5000, text, sizeof(text));
    put(elf + 0x5884, ELF_SHT_STRTAB, 4);
    put(elf + 0x5898, 0x5900, 8);
    put(elf + 0x58a0, 13, 8);
    memcpy(elf + 0x5900, "\0__xen_guest", 13);
    assert_int_equal(load(gzip(file, elf, ELF_SIZE), &im), 0);
    assert_true(im->notes.legacy && im->notes.hypercall_page == BASE + 0x1003000);
    assert_true(im->virt_end == BASE + 0x100a34c);    /* with the word that says: no symbols */
    release(im);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_every_wrapping),
        cmocka_unit_test(truncated_at_any_place_is_an_error),
        cmocka_unit_test(corrupt_payload_is_an_error),
        cmocka_unit_test(refuses_what_cannot_be_placed),
        cmocka_unit_test(old_string_in_a_compressed_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
