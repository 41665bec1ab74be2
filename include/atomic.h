/* SPDX-License-Identifier: MIT */
/*
 * atomic.h - atomic operations on plain integers, on top of the compiler's builtins.
 * Names say the order; what says none is sequentially consistent (on x86: locked).
 */
#ifndef ATOMIC_H
#define ATOMIC_H

#include "compiler.h"

#define load_acquire(p)         __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store_release(p, v)     __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define load_relaxed(p)         __atomic_load_n((p), __ATOMIC_RELAXED)
#define store_relaxed(p, v)     __atomic_store_n((p), (v), __ATOMIC_RELAXED)

#define atomic_add_return(p, v) __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)
#define atomic_sub_return(p, v) __atomic_sub_fetch((p), (v), __ATOMIC_SEQ_CST)
#define atomic_or(p, v)         ((void)__atomic_or_fetch((p), (v), __ATOMIC_SEQ_CST))
#define atomic_and(p, v)        ((void)__atomic_and_fetch((p), (v), __ATOMIC_SEQ_CST))
#define atomic_xchg(p, v)       __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)

/* True when *p was old and is new now; otherwise old is set to what *p was. */
#define atomic_cmpxchg(p, oldp, new) \
    __atomic_compare_exchange_n((p), (oldp), (new), 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

#define smp_mb()    __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_rmb()   __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define smp_wmb()   __atomic_thread_fence(__ATOMIC_RELEASE)

static inline void cpu_relax(void)
{
    __builtin_ia32_pause();
}

/* Bit operations on an array of 64-bit words that others (guests too) change at the same time. */
static inline bool test_bit(unsigned int n, const volatile uint64_t *p)
{
    return (p[n / 64] >> (n % 64)) & 1;
}

static inline bool test_and_set_bit(unsigned int n, volatile uint64_t *p)
{
    uint64_t m = 1UL << (n % 64);
    return (__atomic_fetch_or(&p[n / 64], m, __ATOMIC_SEQ_CST) & m) != 0;
}

static inline bool test_and_clear_bit(unsigned int n, volatile uint64_t *p)
{
    uint64_t m = 1UL << (n % 64);
    return (__atomic_fetch_and(&p[n / 64], ~m, __ATOMIC_SEQ_CST) & m) != 0;
}

static inline void set_bit(unsigned int n, volatile uint64_t *p)
{
    (void)__atomic_fetch_or(&p[n / 64], 1UL << (n % 64), __ATOMIC_SEQ_CST);
}

static inline void clear_bit(unsigned int n, volatile uint64_t *p)
{
    (void)__atomic_fetch_and(&p[n / 64], ~(1UL << (n % 64)), __ATOMIC_SEQ_CST);
}

#endif
