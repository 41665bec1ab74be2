/* SPDX-License-Identifier: MIT */
/*
 * suspend - a guest that is suspended, or does all that one can do wrong about it.
 *
 *   mode=honest  does it when asked
 *   mode=self    suspends itself all the time, and nobody asked
 *   mode=storm   so do all its vCPUs, without a pause
 *   mode=mute    says that it can, and never does; tells when the request is withdrawn
 *   mode=late    takes the request, and suspends itself only when its name is changed
 *   mode=ends    takes the request and powers off instead
 *   mode=liar    says beforehand that it will have been suspended, and crashes
 */
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

static void have_resumed(void *unused)
{
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

/* Whatever register a resume changes, this goes on. */
static void storm(unsigned int cpu)
{
    static struct sched_shutdown op = { .reason = SHUTDOWN_suspend };

    for (;;)
        (void)hc_sched_op(SCHEDOP_shutdown, &op);
}

static void start_storm(void)
{
    unsigned int n = ap_count();

    CHECK(n > 1);
    for (unsigned int i = 1; i < n; i++)
        CHECK(ap_start(i, storm) == 0);
    storm(0);
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
    static struct suspend_user user = { .resume = have_resumed };
    static struct xs_watch requests, name;

    CHECK(xenbus_init() == 0 && cmdline_get("mode", mode, sizeof(mode)));
    suspend_add(&user);
    timer_init(&timer, tick);
    timer_set_after(&timer, 0);
    if (!strcmp(mode, "honest")) {
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
