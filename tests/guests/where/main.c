/* SPDX-License-Identifier: MIT */
/*
 * where - on which CPUs of the host do our vCPUs run? Each of them looks again and again (CPUID tells
 * the APIC id of the CPU that executes it), those with an odd number sleep in between. When all of them
 * have, and 50 ms are over, a line says so: "where: turn 7: 0x4 0xc", a mask of APIC ids for each
 * vCPU since the line before. So there are no more lines when a vCPU is lost.
 */
#include "lib/printf.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/start.h"
#include "runtime/time.h"
#include "tests/attack/ap.h"

#define TURN_NS     (50 * NS_PER_MS)
#define NAP_NS      (200 * NS_PER_US)

static uint64_t seen[XEN_LEGACY_MAX_VCPUS];

static uint32_t apic_id(void)
{
    uint32_t a = 1, b, c = 0, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return b >> 24;
}

static void look(unsigned int vcpu)
{
    for (int i = 0; i < 100; i++)
        __builtin_ia32_pause();
    (void)__atomic_fetch_or(&seen[vcpu], 1ul << (apic_id() & 63), __ATOMIC_SEQ_CST);
    if (vcpu & 1) {
        struct sched_poll nap = { .timeout = now_ns() + NAP_NS };

        (void)hc_sched_op(SCHEDOP_poll, &nap);
    }
}

static void look_on(unsigned int vcpu)
{
    for (;;)
        look(vcpu);
}

static bool all_seen(unsigned int n)
{
    for (unsigned int i = 0; i < n; i++)
        if (!__atomic_load_n(&seen[i], __ATOMIC_SEQ_CST))
            return false;
    return true;
}

void pv_main(void)
{
    unsigned int n = ap_count();

    for (unsigned int i = 1; i < n; i++)
        if (ap_start(i, look_on))
            panic("where: vCPU %u does not start", i);
    for (uint64_t turn = 0, since = now_ns();; turn++, since = now_ns()) {
        char line[XEN_LEGACY_MAX_VCPUS * 8];
        int len = 0;

        while (now_ns() - since < TURN_NS || !all_seen(n))
            look(0);
        for (unsigned int i = 0; i < n; i++)
            len += snprintf(line + len, sizeof(line) - (size_t)len, " %#lx",
                            __atomic_exchange_n(&seen[i], 0, __ATOMIC_SEQ_CST));
        log_info("where: turn %lu:%s", turn, line);
    }
}
