/* SPDX-License-Identifier: MIT */
/*
 * suspend - a guest that is suspended, or does all that one can do wrong about it.
 *
 *   mode=honest  does it when asked; its vector registers must be there afterwards (nothing else here uses them)
 *   mode=self    suspends itself all the time, and nobody asked
 *   mode=storm   so do all its vCPUs, without a pause
 *   mode=mute    says that it can, and never does; tells when the request is withdrawn
 *   mode=late    takes the request, and suspends itself only when its name is changed
 *   mode=ends    takes the request and powers off instead
 *   mode=liar    says beforehand that it will have been suspended, and crashes
 */
#include "atomic.h"
#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/start.h"
#include "runtime/suspend.h"
#include "runtime/time.h"
#include "runtime/xenbus.h"
#include "runtime/xs.h"
#include "tests/attack/ap.h"

#define CHECK(cond) \
    do { \
        if (!(cond)) { \
            log_error("suspend: FAILED at line %d: %s", __LINE__, #cond); \
            domain_shutdown(SHUTDOWN_crash); \
        } \
    } while (0)

static unsigned int resumed, ticks, renamed;
static char mode[16];
static struct timer timer;
static struct work later;

/* Vector registers -------------------------------------------------------------------------- */

#define CR4_OSXSAVE (1UL << 18)

static bool avx;
static uint8_t loaded[2][32], found[2][32];

static void avx_init(void)
{
    uint32_t a = 1, b, c, d;
    uint64_t cr4;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    avx = c & 1u << 28 && c & 1u << 26;
    if (!avx)
        return;
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | CR4_OSXSAVE));
    __asm__ volatile("xsetbv" : : "a"(7), "d"(0), "c"(0));
}

static void load_vectors(void *unused)
{
    if (!avx)
        return;
    for (unsigned int i = 0; i < sizeof(loaded); i++)
        ((uint8_t *)loaded)[i] = (uint8_t)(i * 7 + resumed + 1);
    __asm__ volatile("vmovdqu %0, %%ymm3; vmovdqu %1, %%ymm14" : : "m"(loaded[0]), "m"(loaded[1]));
}

static void compare_vectors(void)
{
    if (!avx) {
        log_info("suspend: no vectors here");
        return;
    }
    __asm__ volatile("vmovdqu %%ymm3, %0; vmovdqu %%ymm14, %1" : "=m"(found[0]), "=m"(found[1]));
    CHECK(!memcmp(loaded, found, sizeof(loaded)));
    log_info("suspend: vectors as they were");
}

/* -------------------------------------------------------------------------------------------- */

static void have_resumed(void *unused)
{
    compare_vectors();
    log_info("suspend: %u resumed", ++resumed);
}

static void tick(struct timer *t)
{
    if (++ticks % 5 == 0)
        log_info("suspend: %u ticks", ticks);
    timer_set_after(t, NS_PER_S / 20);
    if (!strcmp(mode, "self") && ticks % 4 == 0)
        suspend_now();
}

static bool storming;
static struct sched_shutdown storm_op = { .reason = SHUTDOWN_suspend };

static void storm(unsigned int cpu)
{
    while (!load_acquire(&storming))
        (void)hc_sched_op(SCHEDOP_yield, NULL);
    for (;;)
        (void)hc_sched_op(SCHEDOP_shutdown, &storm_op);
}

/* As the others begin, a resume may change vCPU 0's RAX at any instruction: none here minds. */
static void __noreturn storm_first(void)
{
    __asm__ volatile("movb $1, %0\n"
                     "1: mov %1, %%eax; mov %2, %%edi; mov %3, %%rsi; xor %%edx, %%edx; syscall; jmp 1b"
                     : "=m"(storming)
                     : "i"(__HYPERVISOR_sched_op), "i"(SCHEDOP_shutdown), "r"(&storm_op)
                     : "rax", "rdi", "rsi", "rdx", "rcx", "r8", "r9", "r10", "r11", "memory");
    __builtin_unreachable();
}

static void start_storm(void)
{
    unsigned int n = ap_count();

    CHECK(n > 1);
    for (unsigned int i = 1; i < n; i++)
        CHECK(ap_start(i, storm) == 0);
    storm_first();
}

static void see(struct xs_watch *w, const char *path)
{
    static bool asked;
    char what[16];
    int n = xs_read(XS_NO_TXN, "control/shutdown", what, sizeof(what));

    if (asked && n == 0)
        log_info("suspend: withdrawn");
    asked = n > 0;
}

static void take(struct xs_watch *w, const char *path)
{
    char what[16];

    if (xs_read(XS_NO_TXN, "control/shutdown", what, sizeof(what)) <= 0)
        return;
    CHECK(!strcmp(what, "suspend"));
    CHECK(xs_write(XS_NO_TXN, "control/shutdown", "", 0) == 0);
    log_info("suspend: taken");
    if (!strcmp(mode, "ends"))
        domain_shutdown(SHUTDOWN_poweroff);
}

static void suspend_later(struct work *w)
{
    suspend_now();
}

static void name_changed(struct xs_watch *w, const char *path)
{
    if (renamed++)                      /* the first is for the watch itself */
        work_queue(&later);
}

static void crash(void)
{
    struct sched_shutdown op = { .reason = SHUTDOWN_suspend };

    CHECK(hc_sched_op(SCHEDOP_shutdown_code, &op) == 0);
    domain_shutdown(SHUTDOWN_crash);
}

void pv_main(void)
{
    static struct suspend_user user = { .suspend = load_vectors, .resume = have_resumed };
    static struct xs_watch requests, name;

    CHECK(xenbus_init() == 0 && cmdline_get("mode", mode, sizeof(mode)));
    suspend_add(&user);
    timer_init(&timer, tick);
    timer_set_after(&timer, 0);
    if (!strcmp(mode, "honest")) {
        avx_init();
        CHECK(suspend_offer() == 0);
        loop_run();
    }
    CHECK(xs_write(XS_NO_TXN, "control/feature-suspend", "1", 1) == 0);
    if (!strcmp(mode, "late") || !strcmp(mode, "ends"))
        CHECK(xs_watch(&requests, "control/shutdown", take) == 0);
    if (!strcmp(mode, "mute"))
        CHECK(xs_watch(&requests, "control/shutdown", see) == 0);
    work_init(&later, suspend_later);
    if (!strcmp(mode, "late"))
        CHECK(xs_watch(&name, "name", name_changed) == 0);
    if (!strcmp(mode, "liar"))
        crash();
    if (!strcmp(mode, "storm"))
        start_storm();
    loop_run();
}
