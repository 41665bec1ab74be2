/* SPDX-License-Identifier: MIT */
/*
 * type.c - page type system, what is not on a hot path: pins, names. The rest is in type.h.
 */
#include "mm/type.h"

bool type_pin(uint32_t x, uint32_t *next)
{
    if (!type_is_table(x) || !(x & PGT_VALIDATED) || (x & PGT_PINNED))
        return false;
    *next = x | PGT_PINNED;
    return true;
}

bool type_unpin(uint32_t x, uint32_t *next)
{
    if (!(x & PGT_PINNED))
        return false;
    *next = x & ~PGT_PINNED;
    return true;
}

const char *type_name(uint32_t x)
{
    static const char *const name[8] = {
        "none", "L1", "L2", "L3", "L4", "descriptors", "?", "writable"
    };
    return name[x >> PGT_SHIFT];
}
