/* SPDX-License-Identifier: MIT */
/*
 * pattern.h - what blkverify writes: each sector says by itself which write put it there.
 *
 *   byte 0    magic, with the epoch of this run in its low 32 bits
 *        8    sequence number of the write
 *       16    number of the sector
 *       24    a hash of these three
 *       32    words that follow from the hash, up to the end; the last word is the hash again
 *
 * tests/system/powercut.py reads the same.
 */
#ifndef BLKVERIFY_PATTERN_H
#define BLKVERIFY_PATTERN_H

#include "compiler.h"

#define PATTERN_MAGIC 0x566b6c4200000000UL

static inline uint64_t pattern_hash(uint64_t magic, uint64_t seq, uint64_t sector)
{
    uint64_t h = (magic ^ seq * 0x9e3779b97f4a7c15UL ^ sector * 0xc2b2ae3d27d4eb4fUL) *
                 0xff51afd7ed558ccdUL;

    return h ^ h >> 32;
}

static inline void pattern_fill(void *to, uint32_t epoch, uint64_t seq, uint64_t sector, uint64_t sectors)
{
    uint64_t *w = to;

    for (uint64_t i = 0; i < sectors; i++, w += 64) {
        uint64_t h = pattern_hash(PATTERN_MAGIC | epoch, seq, sector + i);

        w[0] = PATTERN_MAGIC | epoch;
        w[1] = seq;
        w[2] = sector + i;
        w[3] = h;
        for (unsigned int k = 4; k < 63; k++)
            w[k] = h + k;
        w[63] = h;
    }
}

/* The first sector that is not as pattern_fill() makes it, or `sectors`. */
static inline uint64_t pattern_check(const void *from, uint32_t epoch, uint64_t seq, uint64_t sector,
                                     uint64_t sectors)
{
    const uint64_t *w = from;

    for (uint64_t i = 0; i < sectors; i++, w += 64) {
        uint64_t h = pattern_hash(PATTERN_MAGIC | epoch, seq, sector + i);

        if (w[0] != (PATTERN_MAGIC | epoch) || w[1] != seq || w[2] != sector + i || w[3] != h || w[63] != h)
            return i;
        for (unsigned int k = 4; k < 63; k++) {
            if (w[k] != h + k)
                return i;
        }
    }
    return sectors;
}

#endif
