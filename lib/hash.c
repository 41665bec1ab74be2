/* SPDX-License-Identifier: MIT */
/* hash.c - SipHash-2-4, after the paper by Aumasson and Bernstein (2012). */
#include "lib/hash.h"
#include "lib/string.h"

struct state {
    uint64_t a, b, c, d;
};

static uint64_t rotl(uint64_t x, unsigned int n)
{
    return x << n | x >> (64 - n);
}

static void rounds(struct state *v, unsigned int n)
{
    while (n--) {
        v->a += v->b;
        v->c += v->d;
        v->b = rotl(v->b, 13) ^ v->a;
        v->d = rotl(v->d, 16) ^ v->c;
        v->a = rotl(v->a, 32);
        v->c += v->b;
        v->a += v->d;
        v->b = rotl(v->b, 17) ^ v->c;
        v->d = rotl(v->d, 21) ^ v->a;
        v->c = rotl(v->c, 32);
    }
}

static void absorb(struct state *v, uint64_t m)
{
    v->d ^= m;
    rounds(v, 2);
    v->a ^= m;
}

uint64_t siphash(const uint64_t key[2], const void *data, size_t n)
{
    const uint8_t *p = data;
    uint64_t m, last = (uint64_t)n << 56;
    struct state v = {
        key[0] ^ 0x736f6d6570736575UL, key[1] ^ 0x646f72616e646f6dUL,
        key[0] ^ 0x6c7967656e657261UL, key[1] ^ 0x7465646279746573UL,
    };

    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&m, p, 8);
        absorb(&v, m);
    }
    for (size_t i = 0; i < n; i++)
        last |= (uint64_t)p[i] << (8 * i);
    absorb(&v, last);
    v.c ^= 0xff;
    rounds(&v, 4);
    return v.a ^ v.b ^ v.c ^ v.d;
}
