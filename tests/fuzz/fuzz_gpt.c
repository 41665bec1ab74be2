/* SPDX-License-Identifier: MIT */
/* LINK: blkback/gpt.c lib/utf8.c lib/printf.c lib/strlcpy.c build/libdecomp-host.a */
/* The input is a header (512 bytes) and the entries behind it. Check sums are made right first, or
 * nothing would get past them. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "blkback/gpt.h"

#define LAST 20000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, sizeof(v));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gpt_part parts[GPT_PARTITIONS];
    uint8_t sector[512], *entries;
    struct gpt_header h;
    uint32_t n, header, count, each;

    if (size < 512)
        return 0;
    memcpy(sector, data, 512);
    memcpy(&header, sector + 12, 4);
    memcpy(&count, sector + 80, 4);
    memcpy(&each, sector + 84, 4);
    if ((uint64_t)count * each > GPT_ENTRIES_MAX)
        count = each = 0;
    entries = calloc(1, (size_t)count * each + 1);
    memcpy(entries, data + 512, MIN(size - 512, (size_t)count * each));
    put32(sector + 88, (uint32_t)crc32(0, entries, count * each));
    if (header >= 92 && header <= 512) {
        put32(sector + 16, 0);
        put32(sector + 16, (uint32_t)crc32(0, sector, header));
    }
    if (!gpt_parse_header(&h, sector, 512, 1, LAST)) {
        if (h.entries_bytes != count * each)
            abort();
        if (!gpt_parse_entries(&h, entries, parts, &n)) {
            for (uint32_t i = 0; i < n; i++)
                if (parts[i].first < 2 || parts[i].last > LAST || strlen(parts[i].label) >= GPT_LABEL)
                    abort();
        }
    }
    free(entries);
    return 0;
}
