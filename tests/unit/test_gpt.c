/* SPDX-License-Identifier: MIT */
/* Partition tables: good ones of both block sizes, and what must be refused. */
/* LINK: blkback/gpt.c lib/utf8.c lib/printf.c lib/strlcpy.c build/libdecomp-host.a */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <zlib.h>
#include "blkback/gpt.h"

#define LAST 9999u              /* last block of the disk */

static uint8_t sector[4096], entries[GPT_ENTRIES_MAX];
static struct gpt_part parts[GPT_PARTITIONS];

static void put(uint8_t *p, uint64_t v, size_t n)
{
    memcpy(p, &v, n);
}

static void seal(void)
{
    put(sector + 88, crc32(0, entries, 128 * 128), 4);
    put(sector + 16, 0, 4);
    put(sector + 16, crc32(0, sector, 92), 4);
}

static void entry(unsigned int i, uint64_t first, uint64_t last, const char *label)
{
    uint8_t *e = entries + i * 128;

    for (unsigned int k = 0; k < 16; k++) {
        e[k] = 0xaf;
        e[16 + k] = (uint8_t)(i * 16 + k);
    }
    put(e + 32, first, 8);
    put(e + 40, last, 8);
    for (size_t k = 0; label[k]; k++)
        put(e + 56 + 2 * k, (uint8_t)label[k], 2);
}

static void table(uint64_t at)
{
    memset(sector, 0, sizeof(sector));
    memset(entries, 0, sizeof(entries));
    memcpy(sector, "EFI PART", 8);
    put(sector + 8, 0x00010000, 4);
    put(sector + 12, 92, 4);
    put(sector + 24, at, 8);
    put(sector + 40, 34, 8);
    put(sector + 48, LAST - 33, 8);
    put(sector + 72, at == 1 ? 2 : LAST - 32, 8);
    put(sector + 80, 128, 4);
    put(sector + 84, 128, 4);
    entry(0, 100, 199, "root");
    entry(5, 200, LAST - 33, "data disk");
    seal();
}

static const char *parse(uint64_t at, uint32_t *n)
{
    struct gpt_header h;
    const char *wrong = gpt_parse_header(&h, sector, 512, at, LAST);

    return wrong ? wrong : gpt_parse_entries(&h, entries, parts, n);
}

static void good_tables(void **state)
{
    char text[GPT_UUID_TEXT];
    uint32_t n = 77;

    for (unsigned int i = 0; i < 2; i++) {
        uint64_t at = i ? LAST : 1;

        table(at);
        assert_null(parse(at, &n));
        assert_int_equal(n, 2);
        assert_int_equal(parts[0].number, 1);
        assert_int_equal(parts[0].first, 100);
        assert_int_equal(parts[0].last, 199);
        assert_string_equal(parts[0].label, "root");
        assert_int_equal(parts[1].number, 6);
        assert_int_equal(parts[1].last, LAST - 33);
        assert_string_equal(parts[1].label, "data disk");
        gpt_uuid_text(parts[0].uuid, text);
        assert_string_equal(text, "03020100-0504-0706-0809-0a0b0c0d0e0f");
    }
}

static void header_refused(unsigned int off, uint64_t v, size_t n)
{
    uint32_t nr;

    table(1);
    put(sector + off, v, n);
    seal();
    assert_non_null(parse(1, &nr));
}

static void impossible_headers(void **state)
{
    uint32_t n;

    header_refused(0, 'X', 1);
    header_refused(8, 0x00020000, 4);
    header_refused(24, 2, 8);                   /* says that it stands elsewhere */
    header_refused(40, 1, 8);                   /* partitions over the header */
    header_refused(40, 20, 8);                  /* over the table */
    header_refused(40, LAST, 8);                /* first after last */
    header_refused(48, LAST + 1, 8);
    header_refused(48, ~0UL, 8);
    header_refused(72, 0, 8);
    header_refused(72, LAST, 8);                /* 32 blocks from the last one on */
    header_refused(72, ~0UL, 8);
    header_refused(72, 500, 8);                 /* in the middle of the partitions */
    header_refused(80, 0, 4);
    header_refused(80, 513, 4);
    header_refused(80, ~0u, 4);
    header_refused(84, 0, 4);
    header_refused(84, 64, 4);
    header_refused(84, 192, 4);
    header_refused(84, 1u << 31, 4);
    for (unsigned int size = 0; size < 2; size++) {
        table(1);
        put(sector + 12, size ? 513 : 91, 4);
        assert_non_null(parse(1, &n));
    }
    table(1);
    sector[30] ^= 1;
    assert_string_equal(parse(1, &n), "the header's check sum is wrong");
    table(1);
    entries[128 * 128 - 1] ^= 1;
    assert_string_equal(parse(1, &n), "the table's check sum is wrong");
}

static void impossible_partitions(void **state)
{
    static const uint64_t bad[][2] = {
        { 33, 60 }, { 90, 100 }, { 150, 160 }, { 300, 250 }, { 40, LAST }, { 40, ~0UL }, { ~0UL, ~0UL },
        { 60, 50 },
    };
    uint32_t n;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        table(1);
        entry(9, bad[i][0], bad[i][1], "bad");
        seal();
        assert_non_null(parse(1, &n));
    }
    table(1);
    entry(9, 34, 99, "good");
    seal();
    assert_null(parse(1, &n));
    assert_int_equal(n, 3);
}

/* All 36 units in use, a surrogate pair, a lone surrogate, control characters. */
static void labels(void **state)
{
    uint8_t *units = entries + 56;
    uint32_t n;

    table(1);
    for (unsigned int i = 0; i < 36; i++)
        put(units + 2 * i, 0x20ac, 2);
    seal();
    assert_null(parse(1, &n));
    assert_int_equal(strlen(parts[0].label), 108);
    memset(units, 0, 72);
    put(units, 0xd83d, 2);
    put(units + 2, 0xde00, 2);
    put(units + 4, 0xd83d, 2);
    put(units + 6, '\n', 2);
    put(units + 8, 0xe4, 2);
    put(units + 10, 0x9b, 2);
    seal();
    assert_null(parse(1, &n));
    assert_string_equal(parts[0].label, "\xf0\x9f\x98\x80??\xc3\xa4?");
    memset(units, 0, 72);
    put(units + 70, 0, 2);
    for (unsigned int i = 0; i < 36; i++)
        put(units + 2 * i, i == 35 ? 0xd83d : 'a', 2);
    seal();
    assert_null(parse(1, &n));
    assert_int_equal(strlen(parts[0].label), 36);
}

static void protective(void **state)
{
    uint8_t mbr[512] = { 0 };

    assert_false(gpt_is_protective(mbr));
    mbr[510] = 0x55;
    mbr[511] = 0xaa;
    assert_false(gpt_is_protective(mbr));
    mbr[446 + 4] = 0x83;
    assert_false(gpt_is_protective(mbr));
    mbr[446 + 48 + 4] = 0xee;
    assert_true(gpt_is_protective(mbr));
}

static void too_many(void **state)
{
    uint32_t n;

    table(1);
    put(sector + 80, 256, 4);
    put(sector + 40, 66, 8);
    for (unsigned int i = 0; i < 256; i++)
        entry(i, 100 + i, 100 + i, "x");
    put(sector + 88, crc32(0, entries, 256 * 128), 4);
    put(sector + 16, 0, 4);
    put(sector + 16, crc32(0, sector, 92), 4);
    assert_string_equal(parse(1, &n), "too many partitions");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_tables), cmocka_unit_test(impossible_headers),
        cmocka_unit_test(impossible_partitions), cmocka_unit_test(labels),
        cmocka_unit_test(protective), cmocka_unit_test(too_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
