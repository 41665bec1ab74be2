/* SPDX-License-Identifier: MIT */
/*
 * desccheck.c - which segment descriptors are harmless.
 *
 * Code and data segments of ring 3 are, whatever their base and limit: in ring 3 the page tables
 * protect us. Of system descriptors only 64-bit call gates pass (NetBSD has some in its LDT), and
 * they are made useless; type 0 is the second half of such a gate.
 */
#include "mm/desccheck.h"

#define DESC_DPL        (3UL << 45)
#define DESC_P          (1UL << 47)
#define DESC_S          (1UL << 44)     /* code or data; clear: system */
#define DESC_TYPE(d)    (((d) >> 40) & 15)
#define TYPE_CALL_GATE  12

#define FIRST_OWN_SELECTOR  0xe000u     /* 0xe000..0xffff of the GDT are the hypervisor's */
#define SEL_FLAT_CS32       0xe023u
#define SEL_FLAT_CS64       0xe033u

static bool gate_target_ok(uint16_t selector)
{
    if ((selector & ~3u) == 0)                  /* null: faults when used */
        return true;
    if ((selector & 3) == 0)                    /* ring 0 */
        return false;
    if (selector & 4)                           /* LDT */
        return true;
    return selector < FIRST_OWN_SELECTOR || (selector | 3u) == SEL_FLAT_CS32 ||
           (selector | 3u) == SEL_FLAT_CS64;
}

bool descriptor_check(uint64_t *d)
{
    if (!(*d & DESC_P))
        return true;
    if (*d & DESC_S) {
        *d |= DESC_DPL;
        return true;
    }
    if (DESC_TYPE(*d) == 0)
        return true;
    if (DESC_TYPE(*d) != TYPE_CALL_GATE || !gate_target_ok((uint16_t)(*d >> 16)))
        return false;
    *d &= ~DESC_DPL;
    return true;
}

bool descriptors_check(uint64_t *table, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint64_t d = table[i];

        if (!descriptor_check(&d))
            return false;
        if (d != table[i])
            table[i] = d;
    }
    return true;
}
