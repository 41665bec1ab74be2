/* SPDX-License-Identifier: MIT */
/*
 * spinlock.c - waiting for a lock, and the rank checks of debug builds.
 *
 * Each CPU keeps the locks it holds in a short stack. Interrupts nest properly on it, because it
 * is only changed with interrupts off.
 */
#include "spinlock.h"

#include "cpu/asm.h"
#include "cpu/percpu.h"
#include "dev/console.h"
#include "dev/panic.h"
#include "mm/tlb.h"

#define HELD_MAX 16

static struct {
    uint32_t n;
    const spinlock_t *lock[HELD_MAX];
} __aligned(64) held[NR_CPUS];

static bool unfair;

void spin_init(void)
{
    unfair = cpuid(1, 0).c & (1u << 31);
}

void spin_lock_slow(spinlock_t *l)
{
    uint16_t ticket;

    if (unfair) {
        do {
            cpu_relax();
            tlb_poll();
        } while (!spin_take_free(l));
        return;
    }
    ticket = (uint16_t)(__atomic_fetch_add(&l->both, 1u << 16, __ATOMIC_ACQUIRE) >> 16);
    while (load_acquire(&l->owner) != ticket) {
        cpu_relax();
        tlb_poll();
    }
}

void spin_debug_before(const spinlock_t *l)
{
    uint64_t flags = irq_save();
    uint32_t cpu = this_cpu();

    for (uint32_t i = 0; i < held[cpu].n; i++) {
        const spinlock_t *h = held[cpu].lock[i];

        if (h == l)
            panic("lock %p of rank %u taken twice", (const void *)l, l->rank);
        if (l->rank && h->rank >= l->rank)
            panic("lock %p of rank %u taken while holding %p of rank %u", (const void *)l,
                  l->rank, (const void *)h, h->rank);
    }
    irq_restore(flags);
}

static void held_push(spinlock_t *l)
{
    uint32_t cpu = this_cpu();

    BUG_ON(held[cpu].n == HELD_MAX);
    held[cpu].lock[held[cpu].n++] = l;
    l->holder = (uint8_t)(cpu + 1);
}

void spin_debug_after(spinlock_t *l)
{
    uint64_t flags = irq_save();

    held_push(l);
    irq_restore(flags);
}

void spin_debug_pair_after(spinlock_t *a, spinlock_t *b)
{
    uint64_t flags = irq_save();

    held_push(a);
    if (b != a)
        held_push(b);
    irq_restore(flags);
}

void spin_debug_release(spinlock_t *l)
{
    uint64_t flags = irq_save();
    uint32_t cpu = this_cpu(), i;

    for (i = held[cpu].n; i && held[cpu].lock[i - 1] != l; i--)
        ;
    if (!i)
        panic("lock %p of rank %u released by CPU %u, which does not hold it", (void *)l, l->rank,
              cpu);
    for (; i < held[cpu].n; i++)
        held[cpu].lock[i - 1] = held[cpu].lock[i];
    held[cpu].n--;
    l->holder = 0;
    irq_restore(flags);
}

bool spin_debug_held(const spinlock_t *l)
{
    return !SLUICE_DEBUG || READ_ONCE(l->holder) == this_cpu() + 1;
}
