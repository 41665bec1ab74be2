/* SPDX-License-Identifier: MIT */
/* fuzz_lz4.c - LZ4 blocks from hostile bytes, into a small and a larger buffer. */
/* LINK: lib/lz4.c */
#include <stdlib.h>
#include "lib/lz4.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(size_t room, const uint8_t *data, size_t size)
{
    uint8_t *out = malloc(room);
    long n = lz4_block(out, room, data, size);

    if (n > (long)room)
        abort();
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode(64, data, size);
    decode(65536, data, size);
    return 0;
}
