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

/* May guest code touch [p, p + bytes)? Wraps and non-canonical addresses are refused. */
bool guest_range_ok(guest_ptr_t p, uint64_t bytes);

/* 0, or -EFAULT with dst's contents undefined / the guest's partly written. */
int copy_from_guest(void *dst, guest_ptr_t src, size_t n) __must_check;
/* Two words, as hypercalls' lists often have: dst[0], dst[1]. */
int copy_pair_from_guest(uint64_t *dst, guest_ptr_t src) __must_check;
int copy_to_guest(guest_ptr_t dst, const void *src, size_t n) __must_check;
int clear_guest(guest_ptr_t dst, size_t n) __must_check;

/* Element i of an array of n-byte elements. */
#define copy_from_guest_at(dstp, base, i) \
    copy_from_guest((dstp), guest_ptr_add((base), (uint64_t)(i) * sizeof(*(dstp))), sizeof(*(dstp)))
#define copy_to_guest_at(base, i, srcp) \
    copy_to_guest(guest_ptr_add((base), (uint64_t)(i) * sizeof(*(srcp))), (srcp), sizeof(*(srcp)))

/* One 8-byte word, for page tables and small values; compare-and-swap: 0, 1 differs, -EFAULT. */
int read_guest_u64(uint64_t *v, guest_ptr_t p) __must_check;
int cmpxchg_guest_u64(guest_ptr_t p, uint64_t *old, uint64_t new_value) __must_check;

#endif
