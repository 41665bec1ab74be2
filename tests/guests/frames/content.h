/* SPDX-License-Identifier: MIT */
/* content.h - the bytes behind a frame's message, which follow from its number. */
#ifndef TESTS_GUESTS_FRAMES_CONTENT_H
#define TESTS_GUESTS_FRAMES_CONTENT_H

#include "tests/guests/frames/frames.h"

static inline uint64_t word_of(uint32_t seq, uint32_t n)
{
    return (seq * 0x9e3779b97f4a7c15UL) + n * 0xbf58476d1ce4e5b9UL;
}

/* Byte k of what follows the message. */
static inline uint8_t byte_of(uint32_t seq, uint32_t k)
{
    return (uint8_t)(word_of(seq, k / 8) >> 8 * (k % 8));
}

static inline void put_word(uint8_t *p, uint32_t seq, uint32_t k)
{
    uint64_t w = word_of(seq, k / 8);

    __builtin_memcpy(p, &w, 8);
}

/* Fills bytes [k, k + len) of a frame, k a multiple of 8: all of them, or the first and the last whole word. */
static inline void fill(uint8_t *p, unsigned int len, uint32_t seq, uint32_t k, bool all)
{
    unsigned int words = len / 8;

    for (unsigned int i = 0; i < words; i += all || words < 2 ? 1 : words - 1) {
        uint64_t w = word_of(seq, k / 8 + i);

        __builtin_memcpy(p + i * 8, &w, 8);
    }
    for (unsigned int i = words * 8; i < len && all; i++)
        p[i] = byte_of(seq, k + i);
}

static inline bool right_word(const uint8_t *p, unsigned int len, uint32_t seq, uint32_t k, uint32_t at)
{
    uint64_t w;

    if (at < k || at + 8 > k + len)
        return true;            /* not here */
    __builtin_memcpy(&w, p + (at - k), 8);
    return w == word_of(seq, at / 8);
}

/*
 * Are bytes [k, k + len) of a frame with `total` of them right? All, or the words that fill() wrote at the
 * ends of each of its pages.
 */
static inline bool right(const uint8_t *p, unsigned int len, uint32_t seq, uint32_t k, uint32_t total,
                  bool all)
{
    bool ok = true;

    for (unsigned int i = 0; i < len && all; i++)
        ok &= p[i] == byte_of(seq, k + i);
    if (all)
        return ok;
    for (uint32_t page = k & ~(uint32_t)(PAGE_SIZE - 1); page < k + len; page += PAGE_SIZE) {
        uint32_t here = MIN(total - page, (uint32_t)PAGE_SIZE);

        ok &= right_word(p, len, seq, k, page);
        if (here >= 16)
            ok &= right_word(p, len, seq, k, page + here / 8 * 8 - 8);
    }
    return ok;
}

#endif
