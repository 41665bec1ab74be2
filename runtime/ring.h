/* SPDX-License-Identifier: MIT */
/*
 * ring.h - shared rings (<xen/io/ring.h>): the few operations where order matters.
 *
 * The layout macros of the public header (DEFINE_RING_TYPES and the sring structs) are used as they
 * are; these helpers are for our end. Entries in shared memory change under our eyes: take them
 * out with ring_copy_in, once, and look only at the copy.
 */
#ifndef RUNTIME_RING_H
#define RUNTIME_RING_H

#include "atomic.h"
#include "lib/string.h"

/* Exactly one read of each byte, into memory of ours. The sizes are constants: a few moves. */
static __always_inline void ring_copy_in(void *dst, const volatile void *src, size_t n)
{
    barrier();
    __builtin_memcpy(dst, (const void *)src, n);
    barrier();
}

/* The other side's producer index; entries below it may be read afterwards. */
static inline uint32_t ring_read_prod(const volatile uint32_t *prod)
{
    uint32_t v = load_acquire(prod);
    return v;
}

/*
 * Publishes our producer index after the entries below it were written. True when the other side
 * asked to be told (its event index lies in what is new), that is: event_send() now.
 */
static inline bool ring_publish(volatile uint32_t *prod, const volatile uint32_t *event,
                                uint32_t new_prod)
{
    uint32_t old = *prod;

    store_release(prod, new_prod);
    smp_mb();
    return new_prod - *event < new_prod - old;
}

/*
 * Asks for an event at the next entry and looks again, so that no entry falls between.
 * True when there is something to take already.
 */
static inline bool ring_rearm(volatile uint32_t *event, const volatile uint32_t *prod,
                              uint32_t cons)
{
    *event = cons + 1;
    smp_mb();
    return load_acquire(prod) != cons;
}

#endif
