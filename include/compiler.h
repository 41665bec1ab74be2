/* SPDX-License-Identifier: MIT */
/*
 * compiler.h - what every part expects of the compiler: basic types, attributes,
 * single accesses to shared memory, assertions at build time.
 */
#ifndef COMPILER_H
#define COMPILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define __packed        __attribute__((packed))
#define __aligned(n)    __attribute__((aligned(n)))
#define __section(s)    __attribute__((section(s)))
#define __noreturn      __attribute__((noreturn))
#define __must_check    __attribute__((warn_unused_result))
#define __printf(f, a)  __attribute__((format(printf, f, a)))
#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#define noinline        __attribute__((noinline))
#define likely(x)       __builtin_expect(!!(x), 1)
#define unlikely(x)     __builtin_expect(!!(x), 0)

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(a)   (sizeof(a) / sizeof((a)[0]))
#endif
#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))

#define DIV_ROUND_UP(n, d)  (((n) + (d) - 1) / (d))
#define ROUND_UP(n, a)      (((n) + (a) - 1) & ~((__typeof__(n))(a) - 1)) /* a: power of 2 */
#define ROUND_DOWN(n, a)    ((n) & ~((__typeof__(n))(a) - 1))

#define MIN(a, b) ({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ < b_ ? a_ : b_; })
#define MAX(a, b) ({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ > b_ ? a_ : b_; })

/* Exactly one access, neither torn, repeated nor invented by the compiler. */
#define READ_ONCE(x)        (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v)    (*(volatile __typeof__(x) *)&(x) = (v))

#define barrier()           __asm__ volatile("" ::: "memory")

#ifndef PAGE_SHIFT
#define PAGE_SHIFT 12
#define PAGE_SIZE  (1UL << PAGE_SHIFT)
#define PAGE_MASK  (~(PAGE_SIZE - 1))
#endif

#endif
