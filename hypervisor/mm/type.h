/* SPDX-License-Identifier: MIT */
/*
 * type.h - page types: the transitions of one type word (struct page.type). Pure.
 *
 * A word is a type, a count of the references that use the frame as that type, and flags:
 *
 *   count 0             the type is only the last use; flags are clear
 *   WRITABLE, count n
 *   table/descriptor, VALIDATED, count n      contents hold references of their own; one of the
 *                                             n belongs to the pin when PINNED is set
 *   table/descriptor, PARTIAL, count 1        entries below page.nr_validated hold references.
 *                                             The one reference belongs to nobody: whoever asks
 *                                             for the type finishes the work and gets it
 *
 * The functions say what the next word is and what is to be done; frame.c and validate.c swap it
 * in and do it.
 */
#ifndef MM_TYPE_H
#define MM_TYPE_H

#include "mm/frame.h"

enum type_step {
    TYPE_REFUSED,       /* other type in use, count at its limit: nothing changes */
    TYPE_DONE,          /* swap in *next: that is all */
    TYPE_CHANGE,        /* get: the last use was another one: flush stale TLB entries, then swap */
    TYPE_VALIDATE,      /* get: flush, swap in *next (PARTIAL), validate from entry 0 */
    TYPE_RESUME,        /* get: nothing to swap: validate from nr_validated */
    TYPE_DEVALIDATE,    /* put: swap in *next (PARTIAL), drop the contents from the end */
};

static inline bool type_is_table(uint32_t x)
{
    uint32_t t = x & PGT_TYPE_MASK;
    return t >= PGT_L1 && t <= PGT_L4;
}

static inline uint32_t type_count(uint32_t x)
{
    return x & PGT_COUNT_MASK;
}

/* 1..4 for tables. */
static inline uint32_t type_level(uint32_t x)
{
    return (x & PGT_TYPE_MASK) >> PGT_SHIFT;
}

static inline uint32_t type_of_level(uint32_t level)
{
    return level << PGT_SHIFT;
}

/* Types whose contents are checked when the first reference is taken. */
static inline bool type_needs_validation(uint32_t type)
{
    return type != PGT_NONE && type != PGT_WRITABLE;
}

/* Is the word one of a validated table or descriptor page of that type that can be used once more? */
static inline bool type_used_again(uint32_t x, uint32_t type)
{
    return (x & (PGT_TYPE_MASK | PGT_VALIDATED)) == (type | PGT_VALIDATED) &&
           type_count(x) != PGT_COUNT_MASK;
}

/* One more reference of type `type` to a frame whose word is x. */
static inline enum type_step type_get(uint32_t x, uint32_t type, uint32_t *next)
{
    uint32_t have = x & PGT_TYPE_MASK;

    if (type_count(x) == 0) {
        *next = type | 1;
        if (type_needs_validation(type)) {
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

/* One less. TYPE_REFUSED: there is none to drop, our bug. */
static inline enum type_step type_put(uint32_t x, uint32_t *next)
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

/* The work on a PARTIAL word is finished: all entries are validated, or none is left. */
static inline uint32_t type_complete(uint32_t x)
{
    return (x & ~PGT_PARTIAL) | PGT_VALIDATED;
}

static inline uint32_t type_empty(uint32_t x)
{
    return x & PGT_TYPE_MASK;
}

/* Marks a reference to a validated table, which the caller has, as the pin's. False: pinned
 * already, or not such a table. */
bool type_pin(uint32_t x, uint32_t *next);
/* Takes the mark away; the reference is then the caller's to drop. False: not pinned. */
bool type_unpin(uint32_t x, uint32_t *next);

const char *type_name(uint32_t x);

#endif
