/* SPDX-License-Identifier: MIT */
/*
 * spinlock.h - ticket locks with ranks.
 *
 * Fair: CPUs get a lock in the order in which they asked, unless the machine is virtual: its CPUs
 * may stand still for milliseconds, and all behind one in the queue would wait for it. Waiting
 * CPUs go on answering TLB shootdowns, so it is safe to wait for a lock with interrupts off while
 * its holder waits for this CPU to flush. Locks are not recursive.
 *
 * Interrupts: interrupt handlers take no lock but those that every taker takes with
 * spin_lock_irqsave() (console, LOCK_IRQ); so all other locks need no care about interrupts.
 */
#ifndef HV_SPINLOCK_H
#define HV_SPINLOCK_H

#include "atomic.h"
#include "locks.h"

typedef struct spinlock {
    union {
        uint32_t both;
        struct {
            uint16_t owner;     /* ticket that is being served */
            uint16_t next;      /* ticket that the next taker gets */
        };
    };
    uint8_t rank;               /* enum lock_rank */
    uint8_t holder;             /* debug builds: CPU that holds it + 1, 0 = free */
} spinlock_t;

/* static spinlock_t l = SPINLOCK_INIT(LOCK_X); */
#define SPINLOCK_INIT(r) { .rank = (r) }

static inline void spin_lock_init(spinlock_t *l, enum lock_rank rank)
{
    *l = (spinlock_t){ .rank = (uint8_t)rank };
}

/* spinlock.c: the lock is not free; waits for it, answering shootdowns meanwhile. */
void spin_lock_slow(spinlock_t *l);
/* Boot: on a machine that is virtual itself, waiters need not keep their order. */
void spin_init(void);
/* spinlock.c: rank book-keeping of debug builds. before: may we take it; after: we have it. */
void spin_debug_before(const spinlock_t *l);
void spin_debug_after(spinlock_t *l);
void spin_debug_pair_after(spinlock_t *a, spinlock_t *b);
void spin_debug_release(spinlock_t *l);
bool spin_debug_held(const spinlock_t *l);

/* Nobody gets in front of a waiter: while somebody holds a ticket the lock is not free. */
static __always_inline bool spin_take_free(spinlock_t *l)
{
    uint32_t old = load_relaxed(&l->both);

    return (uint16_t)old == (uint16_t)(old >> 16) &&
           __atomic_compare_exchange_n(&l->both, &old, old + (1u << 16), 0, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

static __always_inline void spin_lock_raw(spinlock_t *l)
{
    if (unlikely(!spin_take_free(l)))
        spin_lock_slow(l);
}

static __always_inline void spin_unlock_raw(spinlock_t *l)
{
    __atomic_store_n(&l->owner, (uint16_t)(l->owner + 1), __ATOMIC_RELEASE);
}

static __always_inline void spin_lock(spinlock_t *l)
{
    if (SLUICE_DEBUG)
        spin_debug_before(l);
    spin_lock_raw(l);
    if (SLUICE_DEBUG)
        spin_debug_after(l);
}

static __always_inline void spin_unlock(spinlock_t *l)
{
    if (SLUICE_DEBUG)
        spin_debug_release(l);
    spin_unlock_raw(l);
}

/* Takes the lock if it is free this very moment; says whether it did. */
static inline bool spin_trylock(spinlock_t *l)
{
    if (!spin_take_free(l))
        return false;
    if (SLUICE_DEBUG)
        spin_debug_after(l);
    return true;
}

/* Is somebody holding it? A hint only, unless the caller knows that it is itself. */
static inline bool spin_is_locked(const spinlock_t *l)
{
    uint32_t v = load_relaxed(&l->both);
    return (uint16_t)v != (uint16_t)(v >> 16);
}

/* Two locks of one rank, lower address first; a == b takes it once. */
static inline void spin_lock_pair(spinlock_t *a, spinlock_t *b)
{
    spinlock_t *lo = a < b ? a : b, *hi = a < b ? b : a;

    if (SLUICE_DEBUG)
        spin_debug_before(lo);
    spin_lock_raw(lo);
    if (hi != lo)
        spin_lock_raw(hi);
    if (SLUICE_DEBUG)
        spin_debug_pair_after(lo, hi);
}

static inline void spin_unlock_pair(spinlock_t *a, spinlock_t *b)
{
    spin_unlock(a);
    if (b != a)
        spin_unlock(b);
}

#ifdef SLUICE_HOST
static inline uint64_t irq_save(void)
{
    return 0;
}

static inline void irq_restore(uint64_t flags)
{
    (void)flags;
}
#else
/* Interrupts off; returns the flags for irq_restore(). Nests. */
static __always_inline uint64_t irq_save(void)
{
    uint64_t flags;
    __asm__ volatile("pushfq; popq %0; cli" : "=r"(flags) :: "memory");
    return flags;
}

static __always_inline void irq_restore(uint64_t flags)
{
    if (flags & 0x200)
        __asm__ volatile("sti" ::: "memory");
}
#endif

static inline uint64_t spin_lock_irqsave(spinlock_t *l)
{
    uint64_t flags = irq_save();
    spin_lock(l);
    return flags;
}

static inline void spin_unlock_irqrestore(spinlock_t *l, uint64_t flags)
{
    spin_unlock(l);
    irq_restore(flags);
}

#define ASSERT_HELD(l) ASSERT(spin_debug_held(l))   /* with dev/panic.h */

#endif
