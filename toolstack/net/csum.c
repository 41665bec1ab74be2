/* SPDX-License-Identifier: MIT */
/* csum.c - the Internet checksum's sum, 64 bits at a time. */
#include "toolstack/net/csum.h"
#include "lib/string.h"

static uint64_t load(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

/* Ones' complement: what carries out comes in again. */
static uint64_t add(uint64_t sum, uint64_t v)
{
    uint64_t carry = __builtin_add_overflow(sum, v, &sum);

    return sum + carry;
}

uint16_t net_chksum(const void *data, int n)
{
    const uint8_t *p = data;
    uint64_t sum = 0, rest = 0;

    for (; n >= 32; n -= 32, p += 32) {
        sum = add(sum, load(p));
        sum = add(sum, load(p + 8));
        sum = add(sum, load(p + 16));
        sum = add(sum, load(p + 24));
    }
    for (; n >= 8; n -= 8, p += 8)
        sum = add(sum, load(p));
    for (int i = 0; i < n; i++)
        rest |= (uint64_t)p[i] << (8 * i);
    sum = add(sum, rest);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}
