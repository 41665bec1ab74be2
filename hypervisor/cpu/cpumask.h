/* SPDX-License-Identifier: MIT */
/* cpumask.h - a set of CPUs: NR_CPUS is 64, so one word. */
#ifndef HV_CPU_CPUMASK_H
#define HV_CPU_CPUMASK_H

#include "atomic.h"

#define NR_CPUS     64

typedef uint64_t cpumask_t;

#define CPUMASK_NONE 0UL
#define CPUMASK_ALL  (~0UL)

static inline cpumask_t cpumask_of(uint32_t cpu)
{
    return 1UL << cpu;
}

static inline bool cpumask_test(const cpumask_t *m, uint32_t cpu)
{
    return (load_relaxed(m) >> cpu) & 1;
}

/* Atomic: others may change the same mask. Costs a plain read when the bit is right already. */
static inline void cpumask_set(cpumask_t *m, uint32_t cpu)
{
    if (!cpumask_test(m, cpu))
        atomic_or(m, 1UL << cpu);
}

static inline void cpumask_clear(cpumask_t *m, uint32_t cpu)
{
    if (cpumask_test(m, cpu))
        atomic_and(m, ~(1UL << cpu));
}

static inline uint32_t cpumask_count(cpumask_t m)
{
    uint32_t n = 0;

    for (; m; m &= m - 1)
        n++;
    return n;
}

/* Lowest member >= from, or NR_CPUS. */
static inline uint32_t cpumask_next(cpumask_t m, uint32_t from)
{
    m = from < NR_CPUS ? m >> from : 0;
    return m ? from + (uint32_t)__builtin_ctzl(m) : NR_CPUS;
}

/* for_each_cpu(cpu, mask): mask is a value, looked at once per step. */
#define for_each_cpu(cpu, m) \
    for ((cpu) = cpumask_next((m), 0); (cpu) < NR_CPUS; (cpu) = cpumask_next((m), (cpu) + 1))

#endif
