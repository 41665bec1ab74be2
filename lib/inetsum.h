/* SPDX-License-Identifier: MIT */
/* inetsum.h - the sum of the Internet checksum (RFC 1071), 64 bits at a time. Pure. */
#ifndef LIB_INETSUM_H
#define LIB_INETSUM_H

#include "compiler.h"

/* 64 bytes: one instruction for each eight of them, the carry handed on. */
static inline uint64_t inetsum_block(uint64_t sum, const uint8_t *p)
{
    const struct { uint8_t byte[64]; } *block = (const void *)p;

    __asm__("addq   (%[p]), %[sum]\n\t"
            "adcq  8(%[p]), %[sum]\n\t"
            "adcq 16(%[p]), %[sum]\n\t"
            "adcq 24(%[p]), %[sum]\n\t"
            "adcq 32(%[p]), %[sum]\n\t"
            "adcq 40(%[p]), %[sum]\n\t"
            "adcq 48(%[p]), %[sum]\n\t"
            "adcq 56(%[p]), %[sum]\n\t"
            "adcq $0, %[sum]"
            : [sum] "+r"(sum) : [p] "r"(p), "m"(*block) : "cc");
    return sum;
}

/* Ones' complement: what carries out comes in again. */
static inline uint64_t inetsum_word(uint64_t sum, uint64_t v)
{
    uint64_t carry = __builtin_add_overflow(sum, v, &sum);

    return sum + carry;
}

/*
 * Adds len bytes to a ones' complement sum of 64 bits, in memory order; behind an odd last byte comes a zero. As
 * 2^16 is 1 in this arithmetic, pieces of even lengths can be added one after the other.
 */
static inline uint64_t inetsum(uint64_t sum, const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t word, rest = 0;
    uint32_t half;
    uint16_t quarter;

    for (; len >= 64; len -= 64, p += 64)
        sum = inetsum_block(sum, p);
    for (; len >= 8; len -= 8, p += 8) {
        __builtin_memcpy(&word, p, 8);
        sum = inetsum_word(sum, word);
    }
    if (len & 4) {
        __builtin_memcpy(&half, p, 4);
        rest = half;
        p += 4;
    }
    if (len & 2) {
        __builtin_memcpy(&quarter, p, 2);
        rest += quarter;
        p += 2;
    }
    if (len & 1)
        rest += *p;
    return inetsum_word(sum, rest);
}

/* That as 16 bits, in memory order, not complemented. */
static inline uint16_t inetsum_fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

#endif
