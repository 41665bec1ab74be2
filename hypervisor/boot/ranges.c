/* SPDX-License-Identifier: MIT */
/* ranges.c - a small set of disjoint address ranges. Pure. */
#include "boot/bootmem.h"

static void drop(struct ranges *s, uint32_t i)
{
    s->r[i] = s->r[--s->n];
}

void ranges_add(struct ranges *s, paddr_t start, paddr_t end)
{
    if (start < end && s->n < RANGES_MAX) {
        s->r[s->n].start = start;
        s->r[s->n].end = end;
        s->n++;
    }
}

bool ranges_remove(struct ranges *s, paddr_t start, paddr_t end)
{
    bool fit = true;

    for (uint32_t i = 0; i < s->n;) {
        paddr_t a = s->r[i].start, b = s->r[i].end;

        if (start >= b || end <= a || start >= end) {
            i++;
            continue;
        }
        if (start <= a && end >= b) {
            drop(s, i);
            continue;
        }
        if (start > a) {
            s->r[i].end = start;
            if (end < b && s->n == RANGES_MAX)
                fit = false;
            else if (end < b)
                ranges_add(s, end, b);
        } else {
            s->r[i].start = end;
        }
        i++;
    }
    return fit;
}

paddr_t ranges_take_high(struct ranges *s, uint64_t size, uint64_t align, paddr_t limit)
{
    paddr_t best = 0;

    for (uint32_t i = 0; i < s->n; i++) {
        paddr_t a = s->r[i].start, b = MIN(s->r[i].end, limit), at;

        if (b <= a || b - a < size)
            continue;
        at = ROUND_DOWN(b - size, align);
        if (at >= a && at > best)
            best = at;
    }
    if (best)
        ranges_remove(s, best, best + size);
    return best;
}
