/* SPDX-License-Identifier: MIT */
/*
 * uaccess.h - the one way to touch guest memory by virtual address.
 *
 * Addresses are of the current vCPU's current root. They are checked to lie outside of the
 * hypervisor's range; a fault in the copy is caught (cpu/extable.h). What is copied in is a
 * snapshot: the guest may change its own at once.
 */
#ifndef MM_UACCESS_H
#define MM_UACCESS_H

#include "addr.h"
#include "cpu/extable.h"
#include "layout.h"
#include "xenabi.h"

#define GUEST_LOWER_END     0x0000800000000000UL

/* May guest code touch [p, p + bytes)? Wraps and non-canonical addresses are refused. */
bool guest_range_ok(guest_ptr_t p, uint64_t bytes);

/* 0, or -EFAULT with dst's contents undefined / the guest's partly written. */
int copy_from_guest(void *dst, guest_ptr_t src, size_t n) __must_check;
int copy_to_guest(guest_ptr_t dst, const void *src, size_t n) __must_check;
int clear_guest(guest_ptr_t dst, size_t n) __must_check;

/* The same of a size that is known when this is compiled. */
static __always_inline bool guest_short_range_ok(guest_ptr_t p, uint64_t bytes)
{
    return likely(p.v <= GUEST_LOWER_END - bytes) || (p.v >= HV_VIRT_END && p.v <= -bytes);
}

#ifndef SLUICE_HOST
/* For callers that have asked guest_range_ok(); false: it faults. */
static __always_inline bool __must_check load_guest_word(uint64_t *dst, guest_ptr_t src)
{
    uint64_t a;

    __asm__ goto volatile("1: movq (%[p]), %[a]\n\t" EXTABLE("1b", "%l[fault]")
                          : [a] "=r"(a) : [p] "r"(src.v) : "memory" : fault);
    *dst = a;
    return true;
fault:
    return false;
}

static __always_inline bool __must_check load_guest_pair(uint64_t *dst, guest_ptr_t src)
{
    uint64_t a, b;

    __asm__ goto volatile("1: movq (%[p]), %[a]\n\t"
                          "2: movq 8(%[p]), %[b]\n\t"
                          EXTABLE("1b", "%l[fault]")
                          EXTABLE("2b", "%l[fault]")
                          : [a] "=&r"(a), [b] "=r"(b) : [p] "r"(src.v) : "memory" : fault);
    dst[0] = a;
    dst[1] = b;
    return true;
fault:
    return false;
}

static __always_inline bool __must_check store_guest_word(guest_ptr_t p, uint64_t v)
{
    __asm__ goto volatile("1: movq %[v], (%[p])\n\t" EXTABLE("1b", "%l[fault]")
                          : : [p] "r"(p.v), [v] "r"(v) : "memory" : fault);
    return true;
fault:
    return false;
}

/* The short arguments that are read most often. */
static __always_inline int __must_check read_guest_u32(uint32_t *dst, guest_ptr_t src)
{
    uint32_t a;

    if (unlikely(!guest_short_range_ok(src, 4)))
        return -XEN_EFAULT;
    __asm__ goto volatile("1: movl (%[p]), %[a]\n\t" EXTABLE("1b", "%l[fault]")
                          : [a] "=r"(a) : [p] "r"(src.v) : "memory" : fault);
    *dst = a;
    return 0;
fault:
    return -XEN_EFAULT;
}

/* Two words, as hypercalls' lists often have: dst[0], dst[1]. */
static __always_inline int __must_check copy_pair_from_guest(uint64_t *dst, guest_ptr_t src)
{
    if (unlikely(!guest_short_range_ok(src, 16)))
        return -XEN_EFAULT;
    return likely(load_guest_pair(dst, src)) ? 0 : -XEN_EFAULT;
}
#endif

/* Element i of an array of n-byte elements. */
#define copy_from_guest_at(dstp, base, i) \
    copy_from_guest((dstp), guest_ptr_add((base), (uint64_t)(i) * sizeof(*(dstp))), sizeof(*(dstp)))
#define copy_to_guest_at(base, i, srcp) \
    copy_to_guest(guest_ptr_add((base), (uint64_t)(i) * sizeof(*(srcp))), (srcp), sizeof(*(srcp)))

/* One 8-byte word, for page tables and small values; compare-and-swap: 0, 1 differs, -EFAULT. */
int read_guest_u64(uint64_t *v, guest_ptr_t p) __must_check;
int cmpxchg_guest_u64(guest_ptr_t p, uint64_t *old, uint64_t new_value) __must_check;

#endif
