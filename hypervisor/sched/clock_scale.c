/* SPDX-License-Identifier: MIT */
/* clock_scale.c - ticks of a counter to nanoseconds and back. Pure. */
#include "sched/clock.h"

/*
 * 10^9 / hz = f * 2^shift with 1/2 <= f < 1, and mul = f * 2^32. The division is done bit by
 * bit: there is no 128-bit one without a runtime library.
 */
struct clock_scale clock_scale_for_hz(uint64_t hz)
{
    struct clock_scale s = { 0, 0 };
    uint64_t a = NS_PER_SEC, b = hz;

    while (a >= b) {
        b <<= 1;
        s.shift++;
    }
    while (2 * a < b) {
        a <<= 1;
        s.shift--;
    }
    for (unsigned int i = 0; i < 32; i++) {
        a <<= 1;
        s.mul <<= 1;
        if (a >= b) {
            a -= b;
            s.mul |= 1;
        }
    }
    return s;
}

uint64_t clock_unscale_ns(struct clock_scale s, uint64_t ns)
{
    uint64_t ticks = ((ns / s.mul) << 32) + ((ns % s.mul) << 32) / s.mul;

    return s.shift < 0 ? ticks << -s.shift : ticks >> s.shift;
}
