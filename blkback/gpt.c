/* SPDX-License-Identifier: MIT */
/* gpt.c - GUID partition tables: parse only, pure. */
#include "blkback/gpt.h"
#include <zlib.h>
#include "lib/printf.h"
#include "lib/string.h"
#include "lib/utf8.h"
#include "unaligned.h"

#define MBR_ENTRIES      446
#define MBR_ENTRY_SIZE   16
#define MBR_TYPE         4
#define MBR_SIGNATURE    510
#define MBR_TYPE_GPT     0xee

#define HEADER_MIN       92u
#define H_REVISION       8
#define H_SIZE           12
#define H_CRC            16
#define H_AT             24
#define H_FIRST_USABLE   40
#define H_LAST_USABLE    48
#define H_ENTRIES_AT     72
#define H_NR_ENTRIES     80
#define H_ENTRY_SIZE     84
#define H_ENTRIES_CRC    88

#define ENTRY_MIN        128u
#define E_TYPE           0
#define E_UUID           16
#define E_FIRST          32
#define E_LAST           40
#define E_LABEL          56
#define LABEL_UNITS      36

bool gpt_is_protective(const uint8_t *sector)
{
    if (get16(sector + MBR_SIGNATURE) != 0xaa55)
        return false;
    for (unsigned int i = 0; i < 4; i++) {
        if (sector[MBR_ENTRIES + i * MBR_ENTRY_SIZE + MBR_TYPE] == MBR_TYPE_GPT)
            return true;
    }
    return false;
}

/* The header's check sum is made with its own field zero. */
static bool header_crc_ok(const uint8_t *sector, uint32_t size)
{
    static const uint8_t zero[4];
    unsigned long crc = crc32(0, sector, H_CRC);

    crc = crc32(crc, zero, sizeof(zero));
    crc = crc32(crc, sector + H_CRC + 4, size - H_CRC - 4);
    return crc == get32(sector + H_CRC);
}

/* Do the blocks [at, at + n) reach into the part that partitions may use? */
static bool reaches_usable(const struct gpt_header *h, uint64_t at, uint64_t n)
{
    return at <= h->last_usable && at + n > h->first_usable;
}

const char *gpt_parse_header(struct gpt_header *h, const uint8_t *sector, uint32_t block_size,
                             uint64_t at, uint64_t last)
{
    uint32_t size = get32(sector + H_SIZE);
    uint64_t blocks;

    if (memcmp(sector, "EFI PART", 8) != 0)
        return "no header";
    if (get32(sector + H_REVISION) >> 16 != 1)
        return "a header of an unknown revision";
    if (size < HEADER_MIN || size > block_size)
        return "a header of impossible size";
    if (!header_crc_ok(sector, size))
        return "the header's check sum is wrong";
    if (get64(sector + H_AT) != at)
        return "the header belongs somewhere else";
    h->first_usable = get64(sector + H_FIRST_USABLE);
    h->last_usable = get64(sector + H_LAST_USABLE);
    h->entries_at = get64(sector + H_ENTRIES_AT);
    h->nr_entries = get32(sector + H_NR_ENTRIES);
    h->entry_size = get32(sector + H_ENTRY_SIZE);
    h->entries_crc = get32(sector + H_ENTRIES_CRC);
    if (h->entry_size < ENTRY_MIN || (h->entry_size & (h->entry_size - 1)) || !h->nr_entries ||
        h->entry_size > GPT_ENTRIES_MAX || h->nr_entries > GPT_ENTRIES_MAX / h->entry_size)
        return "a table of impossible size";
    h->entries_bytes = h->nr_entries * h->entry_size;
    blocks = (h->entries_bytes + block_size - 1) / block_size;
    if (h->first_usable > h->last_usable || h->last_usable > last)
        return "partitions would lie beyond the disk";
    if (!h->entries_at || h->entries_at > last || blocks > last - h->entries_at + 1)
        return "the table lies beyond the disk";
    /* Or whoever writes to a partition writes the table. */
    if (reaches_usable(h, 0, 2) || reaches_usable(h, at, 1) || reaches_usable(h, h->entries_at, blocks))
        return "partitions would lie over the table";
    return NULL;
}

/* What cannot be printed, and half a pair, becomes a question mark. */
static uint32_t printable(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0xd800 && c < 0xe000) ? '?' : c;
}

/* A unit becomes at most three bytes, a pair of them four: to always has room. */
static void label_text(const uint8_t *units, char to[GPT_LABEL])
{
    size_t n = 0;

    for (unsigned int i = 0; i < LABEL_UNITS && get16(units + 2 * i); i++) {
        uint32_t c = get16(units + 2 * i);
        uint32_t low = i + 1 < LABEL_UNITS ? get16(units + 2 * i + 2) : 0;

        if (c >= 0xd800 && c < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
            i++;
        }
        n += utf8_encode(printable(c), to + n);
    }
    to[n] = '\0';
}

static bool in_use(const uint8_t *e)
{
    for (unsigned int i = 0; i < 16; i++) {
        if (e[E_TYPE + i])
            return true;
    }
    return false;
}

const char *gpt_parse_entries(const struct gpt_header *h, const uint8_t *entries,
                              struct gpt_part *parts, uint32_t *n)
{
    *n = 0;
    if (crc32(0, entries, h->entries_bytes) != h->entries_crc)
        return "the table's check sum is wrong";
    for (uint32_t i = 0; i < h->nr_entries; i++) {
        const uint8_t *e = entries + (size_t)i * h->entry_size;
        struct gpt_part *p = &parts[*n];

        if (!in_use(e))
            continue;
        if (*n == GPT_PARTITIONS)
            return "too many partitions";
        p->number = i + 1;
        p->first = get64(e + E_FIRST);
        p->last = get64(e + E_LAST);
        if (p->first < h->first_usable || p->last > h->last_usable || p->first > p->last)
            return "a partition lies outside of the usable part";
        for (uint32_t k = 0; k < *n; k++) {
            if (p->first <= parts[k].last && parts[k].first <= p->last)
                return "partitions overlap";
        }
        memcpy(p->type, e + E_TYPE, sizeof(p->type));
        memcpy(p->uuid, e + E_UUID, sizeof(p->uuid));
        label_text(e + E_LABEL, p->label);
        ++*n;
    }
    return NULL;
}

/* The first three fields are numbers, stored little-endian; the rest are bytes. */
void gpt_uuid_text(const uint8_t u[16], char text[GPT_UUID_TEXT])
{
    snprintf(text, GPT_UUID_TEXT,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[3], u[2], u[1],
             u[0], u[5], u[4], u[7], u[6], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
}
