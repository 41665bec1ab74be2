/* SPDX-License-Identifier: MIT */
/* overflow.h - arithmetic on sizes that outsiders choose. Each returns true on overflow. */
#ifndef OVERFLOW_H
#define OVERFLOW_H

#define add_overflows(a, b, res) __builtin_add_overflow((a), (b), (res))
#define mul_overflows(a, b, res) __builtin_mul_overflow((a), (b), (res))
#define sub_overflows(a, b, res) __builtin_sub_overflow((a), (b), (res))

/* Is [off, off + len) inside [0, size)? Never wraps. */
#define range_inside(off, len, size) ((off) <= (size) && (len) <= (size) - (off))

#endif
