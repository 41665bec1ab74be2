/* SPDX-License-Identifier: MIT */
/*
 * lz4.c - decodes LZ4 blocks.
 *
 * A block is a row of sequences: a token (literal count, match length), literals, a 16-bit
 * distance back into what was decoded. The last sequence ends after its literals.
 */
#include "lib/lz4.h"
#include "lib/string.h"

#define MIN_MATCH 4

/* A count of 15 goes on in the following bytes, up to the first that is not 255. */
static bool long_count(const uint8_t **in, const uint8_t *end, size_t *count)
{
    uint8_t b;

    if (*count != 15)
        return true;
    do {
        if (*in == end)
            return false;
        b = *(*in)++;
        *count += b;
    } while (b == 255);
    return true;
}

/* Source and destination may overlap: then the bytes between them repeat. */
static void copy_match(uint8_t *to, size_t distance, size_t n)
{
    const uint8_t *from = to - distance;

    if (distance >= n) {
        memcpy(to, from, n);
        return;
    }
    if (distance >= 8) {
        for (; n >= 8; n -= 8, to += 8, from += 8)
            __builtin_memcpy(to, from, 8);
    }
    while (n--)
        *to++ = *from++;
}

long lz4_block(uint8_t *out, size_t out_size, const uint8_t *in, size_t in_len)
{
    const uint8_t *end = in + in_len;
    size_t done = 0;

    while (in < end) {
        uint8_t token = *in++;
        size_t literals = token >> 4, match = token & 15, distance;

        if (!long_count(&in, end, &literals) || literals > (size_t)(end - in) ||
            literals > out_size - done)
            return -1;
        memcpy(out + done, in, literals);
        in += literals;
        done += literals;
        if (in == end)
            return (long)done;

        if (end - in < 2)
            return -1;
        distance = in[0] | (size_t)in[1] << 8;
        in += 2;
        if (!long_count(&in, end, &match))
            return -1;
        match += MIN_MATCH;
        if (distance == 0 || distance > done || match > out_size - done)
            return -1;
        copy_match(out + done, distance, match);
        done += match;
    }
    return -1;
}
