/* SPDX-License-Identifier: MIT */
/*
 * affinity.h - the CPUs that a vCPU may run on ("hard" affinity) and those it would rather run on
 * ("soft"). Pure.
 */
#ifndef SCHED_AFFINITY_H
#define SCHED_AFFINITY_H

#include "compiler.h"
#include "cpu/cpumask.h"

struct affinity {
    cpumask_t hard, soft;       /* as they were set */
    cpumask_t allowed;          /* CPUs of hard that there are: at least one */
    cpumask_t preferred;        /* those of allowed that are in soft, too; if there are none, allowed */
};

/* False, and nothing changed: hard has none of the CPUs that are online. */
static inline bool affinity_set(struct affinity *a, cpumask_t hard, cpumask_t soft, cpumask_t online)
{
    cpumask_t allowed = hard & online, preferred = allowed & soft;

    if (!allowed)
        return false;
    *a = (struct affinity){ hard, soft, allowed, preferred ? preferred : allowed };
    return true;
}

static inline bool affinity_allows(const struct affinity *a, uint32_t cpu)
{
    return a->allowed & cpumask_of(cpu);
}

/* The idle CPU for one that is at CPU `own`: that one if it will do, rather a preferred one than
 * another. NR_CPUS: none of its CPUs is idle. */
static inline uint32_t affinity_idle(const struct affinity *a, uint32_t own, cpumask_t idle)
{
    cpumask_t fit = idle & a->preferred;

    if (!fit)
        fit = idle & a->allowed;
    return fit & cpumask_of(own) ? own : cpumask_next(fit, 0);
}

/* Must it leave that CPU, or would it rather, as one that it prefers is idle? */
static inline bool affinity_leaves(const struct affinity *a, uint32_t cpu, cpumask_t idle)
{
    if (a->preferred & cpumask_of(cpu))
        return false;
    return !affinity_allows(a, cpu) || idle & a->preferred;
}

#endif
