/* SPDX-License-Identifier: MIT */
/* entropy.c - RDRAND and the jitter of the time stamp counter (see entropy.h). */
#include "runtime/entropy.h"
#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/time.h"

#define SAMPLES 64u     /* timings folded into 8 bytes */

static inline uint64_t rdtsc(void)
{
    uint32_t lo, hi;

    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return (uint64_t)hi << 32 | lo;
}

/* How long a way through the hypervisor took: caches, interrupts and the other thread show. */
static uint64_t timing(void)
{
    uint64_t before = rdtsc();

    (void)hc_xen_version(XENVER_version, NULL);
    return rdtsc() - before;
}

static uint64_t jitter(uint64_t x)
{
    for (unsigned int i = 0; i < SAMPLES; i++) {
        x = (x << 7 | x >> 57) ^ timing();
        x *= 0x9e3779b97f4a7c15UL;      /* odd: nothing is lost */
    }
    return x;
}

void entropy_bytes(void *buf, size_t n)
{
    static uint64_t carry;
    uint8_t *p = buf;

    while (n) {
        size_t k = MIN(n, sizeof(carry));
        uint64_t hw = 0;

        (void)hardware_random(&hw);
        carry = jitter(carry ^ rdtsc()) ^ hw;
        memcpy(p, &carry, k);
        p += k;
        n -= k;
    }
}

bool entropy_is_good(void)
{
    uint64_t hw, first = timing();
    unsigned int others = 0;

    if (hardware_random(&hw))
        return true;
    for (unsigned int i = 0; i < 4 * SAMPLES; i++)
        others += timing() != first;
    return others > SAMPLES;
}
