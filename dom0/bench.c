/* SPDX-License-Identifier: MIT */
/*
 * bench.c - bench=FILE:COUNT[:ROUNDS] on the command line: creates that domain COUNT times, one after
 * another, each under a name of its own, lets them all do nothing for a while, destroys them again
 * in the same order, and says how long each took and how much the host did meanwhile. What `make
 * bench` boots for the cost of a domain; see docs/benchmarks.md.
 */
#include "dom0/com2.h"
#include "dom0/host.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "lib/why.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/time.h"
#include "toolstack/vm/file.h"
#include "toolstack/vm/hv.h"
#include "toolstack/vm/vm.h"

#define REST_NS   (10 * NS_PER_S)
#define SETTLE_NS (3 * NS_PER_S)

static struct vm_config config;
static char base[VM_NAME_MAX];
static unsigned int count, made, ended, rounds;
static uint64_t began, idle_before;
static struct work work;
static struct timer timer;

/* How long CPU 0 has been idle. */
static uint64_t idle_ns(void)
{
    return hv_idle_ns(0);
}

/* What the host did since began, beside nothing. */
static uint64_t busy_ns(void)
{
    return now_ns() - began - (idle_ns() - idle_before);
}

static void begin(void)
{
    began = now_ns();
    idle_before = idle_ns();
}

static void report_memory(const char *when)
{
    struct xen_domctl_getdomaininfo info;
    struct mem_stats mem;
    struct hv_host host;

    mem_get_stats(&mem);
    if (hv_host_info(&host) || hv_get_info(0, &info))
        return;
    log_info("bench: memory %s: host %lu free %lu dom0 %lu dom0-free %lu pages", when,
             host.total_pages, host.free_pages, info.tot_pages, mem.pages_free);
}

/* The way in and out again: a hypercall that only returns a number. */
static void null_hypercalls(void)
{
    uint64_t start = now_ns();

    for (int i = 0; i < 10000; i++)
        (void)hc_xen_version(XENVER_version, NULL);
    log_info("bench: null hypercall: %lu ns for 10000", now_ns() - start);
}

static void fail(const char *why)
{
    log_error("bench: %s", why);
    debug_exit(SOLO_NOT_BUILT);
}

static void name_of(unsigned int n, char *name)
{
    snprintf(name, VM_NAME_MAX, "%s%u", base, n);
}

static void create_next(void);
static void next(struct timer *t);

/* dom0 gives back what it grew by a while after it grew. */
static void all_gone(struct timer *t)
{
    report_memory(rounds > 1 ? "between rounds" : "after destroy");
    if (rounds-- <= 1) {
        debug_exit(SOLO_POWEROFF);
        return;
    }
    made = ended = 0;
    timer.fn = next;
    create_next();
}

/* The one being destroyed is gone when its name is. */
static void wait_gone(struct work *w)
{
    char name[VM_NAME_MAX], why[WHY_MAX];

    name_of(ended, name);
    if (ended && vm_find(name)) {
        work_queue(w);
        return;
    }
    if (ended)
        log_info("bench: destroy %u: %lu ns", ended, now_ns() - began);
    if (ended++ == count) {
        timer.fn = all_gone;
        timer_set_after(&timer, SETTLE_NS);
        return;
    }
    name_of(ended, name);
    begin();
    if (vm_destroy(vm_find(name), why))
        fail(why);
    else
        work_queue(w);
}

static void rested(struct timer *t)
{
    log_info("bench: idle with %u: busy %lu ns of %lu", made, busy_ns(), now_ns() - began);
    if (made < count) {
        timer.fn = next;
        create_next();
        return;
    }
    report_memory("with all");
    wait_gone(&work);
}

static void rest(struct timer *t)
{
    begin();
    timer.fn = rested;
    timer_set_after(&timer, REST_NS);
}

/* What the new domain does at its start is over, and dom0 was idle. */
static void next(struct timer *t)
{
    log_info("bench: create %u: busy %lu ns in all", made, busy_ns());
    if (made < count) {
        create_next();
        return;
    }
    timer.fn = rest;
    timer_set_after(&timer, SETTLE_NS);
}

static void created(void *arg, struct vm *vm, int rc, const char *why)
{
    uint64_t ns = now_ns() - began;

    if (rc) {
        fail(why);
        return;
    }
    if (made == 2)
        marks_point("end create2");
    log_info("bench: create %u: %lu ns", made, ns);
    timer_set_after(&timer, 10 * NS_PER_MS);
}

static void create_next(void)
{
    char why[WHY_MAX];

    name_of(++made, config.name);
    if (made == 2)
        marks_point("begin create2");
    memset(config.uuid, 0, sizeof(config.uuid));
    begin();
    if (vm_create(&config, false, created, NULL, NULL, why))
        fail(why);
}

static void warn(void *arg, const char *line)
{
    log_warn("%s", line);
}

void bench_start(const char *spec)
{
    char name[64], why[WHY_MAX];
    const char *colon = strchr(spec, ':');
    struct file *f;

    strlcpy(name, spec, sizeof(name));
    if (colon && (size_t)(colon - spec) < sizeof(name))
        name[colon - spec] = '\0';
    colon = colon ? colon + 1 : "";
    for (; *colon >= '0' && *colon <= '9'; colon++)
        count = count * 10 + (unsigned int)(*colon - '0');
    rounds = *colon == ':' && colon[1] > '0' && colon[1] <= '9' ? (unsigned int)(colon[1] - '0') : 1;
    timer_init(&timer, next);
    work_init(&work, wait_gone);
    f = file_find(name);
    if (!f || !count) {
        fail("use bench=FILE:COUNT[:ROUNDS], FILE a boot module");
        return;
    }
    if (vm_config_parse(&config, f->name, f->data, f->size, warn, NULL, why, sizeof(why))) {
        fail(why);
        return;
    }
    strlcpy(base, config.name, sizeof(base));
    null_hypercalls();
    report_memory("at start");
    timer.fn = rest;
    timer_set_after(&timer, SETTLE_NS);
}
