/* SPDX-License-Identifier: MIT */
/*
 * unaligned.h - numbers in tables of firmware, disks and devices, which are little-endian, as x86 is, and
 * need not be aligned.
 */
#ifndef UNALIGNED_H
#define UNALIGNED_H

#include <stdint.h>

static inline uint16_t get16(const uint8_t *p)
{
    uint16_t v;

    __builtin_memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint32_t get32(const uint8_t *p)
{
    uint32_t v;

    __builtin_memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint64_t get64(const uint8_t *p)
{
    uint64_t v;

    __builtin_memcpy(&v, p, sizeof(v));
    return v;
}

#endif
