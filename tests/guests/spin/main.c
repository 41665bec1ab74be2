/* SPDX-License-Identifier: MIT */
/*
 * spin - uses all the CPU it can get, from system time from=SECONDS (0) for for=SECONDS (5), then
 * says how much that was and powers off. nap=US sleep=US: works so long, then sleeps so long,
 * and also says how late it was woken at worst. store=N: reads from the store N times instead.
 * grants=1: sets up a grant table first, as guests with devices do.
 */
#include "runtime/grant.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/start.h"
#include "runtime/time.h"
#include "runtime/xenbus.h"
#include "runtime/xs.h"

static uint64_t from, until, work, nap, due, worst_late, ran_at_start;
static bool begun;
static struct timer timer;

static uint64_t ran_ns(void)
{
    struct vcpu_runstate_info r;

    (void)hc_vcpu_op(VCPUOP_get_runstate_info, 0, &r);
    return r.time[RUNSTATE_running];
}

static void spin_until(uint64_t t)
{
    while (now_ns() < t)
        __builtin_ia32_pause();
}

static void done(void)
{
    log_info("spin: ran %lu ms of %lu ms, woken at most %lu us late",
             (ran_ns() - ran_at_start) / NS_PER_MS, (until - from) / NS_PER_MS,
             worst_late / NS_PER_US);
    domain_shutdown(SHUTDOWN_poweroff);
}

static void read_store(uint64_t n)
{
    uint64_t start = now_ns();
    char buf[64];

    if (xenbus_init())
        panic("spin: no store");
    for (uint64_t i = 0; i < n; i++)
        (void)xs_read(XS_NO_TXN, "name", buf, sizeof(buf));
    log_info("spin: %lu ns for a read from the store", (now_ns() - start) / n);
    domain_shutdown(SHUTDOWN_poweroff);
}

static void tick(struct timer *t)
{
    uint64_t now = now_ns(), end, from_ran, reads = cmdline_get_u64("store", 0);

    if (reads)
        read_store(reads);
    if (!begun) {
        begun = true;
        ran_at_start = ran_ns();
    } else if (now - due > worst_late) {
        worst_late = now - due;
    }
    if (!nap) {
        spin_until(until);
        done();
    }
    /* Work is CPU time, not elapsed time. */
    from_ran = ran_ns();
    do {
        spin_until(now_ns() + work / 4);
    } while (ran_ns() - from_ran < work);
    end = now_ns();
    if (end >= until)
        done();
    due = end + nap;
    timer_set(t, due);
}

void pv_main(void)
{
    if (cmdline_get_u64("grants", 0) && grant_init())
        panic("spin: no grant table");
    from = cmdline_get_u64("from", 0) * NS_PER_S;
    if (from < now_ns())
        from = now_ns();
    until = from + cmdline_get_u64("for", 5) * NS_PER_S;
    work = cmdline_get_u64("work", 100) * NS_PER_US;
    nap = cmdline_get_u64("sleep", 0) * NS_PER_US;
    timer_init(&timer, tick);
    timer_set(&timer, from);
    loop_run();
}
