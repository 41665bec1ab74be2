/* SPDX-License-Identifier: MIT */
/*
 * addr.h - kinds of address that must not be mixed up, as structs of one word.
 *
 * mfn_t: a machine frame. pfn_t: a guest's pseudo-physical frame. guest_ptr_t: a virtual
 * address in a guest; only uaccess functions may follow it.
 */
#ifndef ADDR_H
#define ADDR_H

#include "compiler.h"

typedef struct { uint64_t v; } mfn_t;
typedef struct { uint64_t v; } pfn_t;
typedef struct { uint64_t v; } guest_ptr_t;
typedef uint64_t paddr_t;               /* machine address in bytes */

#define MFN_INVALID ((mfn_t){ ~0UL })

static inline mfn_t mfn(uint64_t v)
{
    return (mfn_t){ v };
}

static inline pfn_t pfn(uint64_t v)
{
    return (pfn_t){ v };
}

static inline guest_ptr_t guest_ptr(uint64_t v)
{
    return (guest_ptr_t){ v };
}

static inline bool mfn_eq(mfn_t a, mfn_t b)
{
    return a.v == b.v;
}

static inline bool mfn_is_valid_value(mfn_t m)
{
    return m.v != ~0UL;
}

static inline guest_ptr_t guest_ptr_add(guest_ptr_t p, uint64_t bytes)
{
    return (guest_ptr_t){ p.v + bytes };
}

static inline mfn_t paddr_to_mfn(paddr_t a)
{
    return (mfn_t){ a >> PAGE_SHIFT };
}

static inline paddr_t mfn_to_paddr(mfn_t m)
{
    return m.v << PAGE_SHIFT;
}

#endif
