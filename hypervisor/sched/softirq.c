/* SPDX-License-Identifier: MIT */
/* softirq.c - deferred work, see softirq.h. */
#include "sched/softirq.h"

#include "boot/smp.h"
#include "cpu/asm.h"
#include "dev/panic.h"

static void (*handlers[NR_SOFTIRQS])(void);

void softirq_register(enum softirq nr, void (*handler)(void))
{
    BUG_ON(handlers[nr]);
    handlers[nr] = handler;
}

void softirq_raise(uint32_t cpu, enum softirq nr)
{
    uint32_t bit = 1u << nr;

    if (cpu == this_cpu())
        softirq_raise_local(nr);
    else if (!(__atomic_fetch_or(&cpu_info_of[cpu]->softirqs, bit, __ATOMIC_SEQ_CST) & bit))
        smp_kick(cpu);
}

void softirq_run(void)
{
    struct cpu_info *ci = this_cpu_info();
    uint32_t pending;

    while ((pending = READ_ONCE(ci->softirqs)) != 0) {
        enum softirq nr = (enum softirq)__builtin_ctz(pending);

        atomic_and(&ci->softirqs, ~(1u << nr));
        if (!handlers[nr])
            continue;
        if (nr == SOFTIRQ_SCHEDULE) {
            handlers[nr]();
        } else {
            irq_enable();
            handlers[nr]();
            irq_disable();
        }
    }
}
