/* SPDX-License-Identifier: MIT */
/*
 * gpt.h - GUID partition tables (UEFI specification, chapter 5): parse only, pure.
 *
 * The caller reads: sector 0 (gpt_is_protective), then the header of sector 1 or, when that one or its
 * entries are damaged, of the last sector. What these functions refuse they name in a few words.
 */
#ifndef BLKBACK_GPT_H
#define BLKBACK_GPT_H

#include "compiler.h"

#define GPT_PARTITIONS  128u            /* of one disk; a table with more in use is refused */
#define GPT_ENTRIES_MAX 65536u          /* bytes of entries */
#define GPT_LABEL       (36 * 3 + 1)    /* 36 UTF-16 units as UTF-8 */
#define GPT_UUID_TEXT   37

/* A header that was found good. Blocks are the disk's logical ones (512 or 4096 bytes). */
struct gpt_header {
    uint64_t first_usable, last_usable;
    uint64_t entries_at;                /* block */
    uint32_t nr_entries, entry_size;
    uint32_t entries_bytes;             /* their product, at most GPT_ENTRIES_MAX */
    uint32_t entries_crc;
};

struct gpt_part {
    uint32_t number;                    /* from 1: the place in the table */
    uint64_t first, last;               /* blocks, both included */
    uint8_t type[16], uuid[16];
    char label[GPT_LABEL];              /* UTF-8; what cannot be printed is '?' */
};

/* Does the first sector (512 bytes of it) say that the disk has a GPT? */
bool gpt_is_protective(const uint8_t *sector);

/*
 * Checks the header that block `at` of a disk holds, whose last block is `last`. sector: one block.
 * NULL and *h, or what is wrong.
 */
const char *gpt_parse_header(struct gpt_header *h, const uint8_t *sector, uint32_t block_size,
                             uint64_t at, uint64_t last);

/*
 * The partitions in use of h->entries_bytes bytes, in the table's order; parts has room for
 * GPT_PARTITIONS. No two overlap, all lie in the usable part of the disk. NULL and *n, or what is wrong.
 */
const char *gpt_parse_entries(const struct gpt_header *h, const uint8_t *entries,
                              struct gpt_part *parts, uint32_t *n);

/* As it is usually written, in lower case. */
void gpt_uuid_text(const uint8_t uuid[16], char text[GPT_UUID_TEXT]);

#endif
