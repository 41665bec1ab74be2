/* SPDX-License-Identifier: MIT */
/*
 * type.c - page type system: pure transitions of one frame's type word, reads no table.
 */
#include "mm/type.h"

/* Types whose contents are checked when the first reference is taken. */
static bool needs_validation(uint32_t type)
{
    return type != PGT_NONE && type != PGT_WRITABLE;
}

enum type_step type_get(uint32_t x, uint32_t type, uint32_t *next)
{
    uint32_t have = x & PGT_TYPE_MASK;

    if (type_count(x) == 0) {
        *next = type | 1;
        if (needs_validation(type)) {
            *next |= PGT_PARTIAL;
            return TYPE_VALIDATE;
        }
        return have == type || have == PGT_NONE ? TYPE_DONE : TYPE_CHANGE;
    }
    if (have != type)
        return TYPE_REFUSED;
    if (x & PGT_PARTIAL)
        return TYPE_RESUME;
    if (type_count(x) == PGT_COUNT_MASK)
        return TYPE_REFUSED;
    *next = x + 1;
    return TYPE_DONE;
}

enum type_step type_put(uint32_t x, uint32_t *next)
{
    uint32_t n = type_count(x);

    if (n == 0 || (x & PGT_PARTIAL))
        return TYPE_REFUSED;
    if (n > 1) {
        *next = x - 1;
        return TYPE_DONE;
    }
    if (x & PGT_PINNED)                     /* the last one is the pin's */
        return TYPE_REFUSED;
    if (type_is_table(x)) {
        *next = (x & ~PGT_VALIDATED) | PGT_PARTIAL;
        return TYPE_DEVALIDATE;
    }
    *next = x & PGT_TYPE_MASK;
    return TYPE_DONE;
}

uint32_t type_complete(uint32_t x)
{
    return (x & ~PGT_PARTIAL) | PGT_VALIDATED;
}

uint32_t type_empty(uint32_t x)
{
    return x & PGT_TYPE_MASK;
}

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
