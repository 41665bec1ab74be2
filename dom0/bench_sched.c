/* SPDX-License-Identifier: MIT */
/*
 * bench_sched.c - benchsched=FILE:COUNT[:SECONDS] on the command line: creates that domain COUNT
 * times, each busy all the time, gives them weights and caps, changes those while they run, and
 * says for each what it should have had of the CPUs and what it had. See docs/benchmarks.md.
 */
#include <stdlib.h>
#include "dom0/com2.h"
#include "dom0/host.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "lib/why.h"
#include "runtime/log.h"
#include "runtime/time.h"
#include "toolstack/vm/file.h"
#include "toolstack/vm/hv.h"
#include "toolstack/vm/tune.h"

#define MOST      64u
#define SETTLE_NS (500 * NS_PER_MS)     /* after a change, before it is measured */

struct one {
    struct vm *vm;
    uint32_t weight, cap;
    uint64_t before, ran, due;          /* ns of CPU time */
};

static struct one doms[MOST];
static struct vm_config config;
static char base[VM_NAME_MAX];
static unsigned int count, made, phase;
static uint64_t measure_ns, began, dom0_before;
static uint32_t cpus;
static bool measuring;
static struct timer timer;

static void fail(const char *why)
{
    log_error("benchsched: %s", why);
    debug_exit(SOLO_NOT_BUILT);
}

/* Half of what each would have with equal weights. */
static uint32_t low_cap(void)
{
    return MAX(cpus * 50 / count, 1u);
}

static const struct {
    const char *name;
    bool weights, caps;
} phases[] = {
    { "equal", false, false },
    { "weights", true, false },
    { "caps", false, true },
    { "both", true, true },
};

static void set_shares(void)
{
    char why[WHY_MAX];

    for (unsigned int i = 0; i < count; i++) {
        struct one *d = &doms[i];

        d->weight = phases[phase].weights ? 128 * (1 + i % 4) : 256;
        d->cap = phases[phase].caps && i % 3 == 0 ? low_cap() : 0;
        if (vm_set_scheduling(d->vm, d->weight, d->cap, why))
            fail(why);
    }
}

/* The most that it can use of a time: its cap, and its vCPUs. */
static uint64_t most_of(const struct one *d, uint64_t ns)
{
    uint64_t by_vcpus = MIN(d->vm->cfg.vcpus, cpus) * ns;

    return d->cap ? MIN(by_vcpus, ns / 100 * d->cap) : by_vcpus;
}

/* Each of its vCPUs has its weight, as with the reference's credit scheduler. */
static uint64_t weight_of(const struct one *d)
{
    return (uint64_t)d->weight * d->vm->cfg.vcpus;
}

/*
 * Shares total out by weight; who cannot use his part gets what he can, and the rest is shared out
 * again among the others.
 */
static void share_out(uint64_t total, uint64_t ns)
{
    bool settled[MOST] = { false }, again = true;

    while (again) {
        uint64_t weights = 0;

        again = false;
        for (unsigned int i = 0; i < count; i++)
            weights += settled[i] ? 0 : weight_of(&doms[i]);
        for (unsigned int i = 0; i < count && !again; i++) {
            struct one *d = &doms[i];

            if (settled[i])
                continue;
            d->due = total / weights * weight_of(d);
            if (d->due <= most_of(d, ns))
                continue;
            d->due = most_of(d, ns);
            total -= MIN(d->due, total);
            settled[i] = again = true;
        }
    }
}

static uint64_t cpu_ns(domid_t dom)
{
    struct xen_domctl_getdomaininfo info;

    if (hv_get_info(dom, &info))
        fail("a domain is gone");
    return info.cpu_time;
}

static void take_times(void)
{
    began = now_ns();
    dom0_before = cpu_ns(0);
    for (unsigned int i = 0; i < count; i++)
        doms[i].before = cpu_ns(doms[i].vm->domid);
}

/* In thousandths. */
static uint64_t error_of(const struct one *d)
{
    uint64_t diff = d->ran > d->due ? d->ran - d->due : d->due - d->ran;

    return d->due ? diff * 1000 / d->due : 1000;
}

static void report(void)
{
    uint64_t ns = now_ns() - began, used = cpu_ns(0) - dom0_before, ran = 0, worst = 0;

    for (unsigned int i = 0; i < count; i++) {
        doms[i].ran = cpu_ns(doms[i].vm->domid) - doms[i].before;
        ran += doms[i].ran;
    }
    share_out(cpus * ns - used, ns);
    for (unsigned int i = 0; i < count; i++) {
        const struct one *d = &doms[i];

        log_info("benchsched: %s: domain %u weight %u cap %u: ran %lu us, due %lu us",
                 phases[phase].name, i, d->weight, d->cap, d->ran / NS_PER_US, d->due / NS_PER_US);
        worst = MAX(worst, error_of(d));
    }
    log_info("benchsched: %s: %u domains on %u CPUs: worst %lu.%lu %%, idle %lu us of %lu",
             phases[phase].name, count, cpus, worst / 10, worst % 10,
             (cpus * ns - used - MIN(ran, cpus * ns - used)) / NS_PER_US, cpus * ns / NS_PER_US);
}

static void next(struct timer *t)
{
    if (!measuring) {
        take_times();
        measuring = true;
        timer_set_after(&timer, measure_ns);
        return;
    }
    measuring = false;
    report();
    if (++phase == ARRAY_SIZE(phases)) {
        log_info("benchsched: done");
        debug_exit(SOLO_POWEROFF);
        return;
    }
    set_shares();
    timer_set_after(&timer, SETTLE_NS);
}

static void create_next(void);

static void created(void *arg, struct vm *vm, int rc, const char *why)
{
    if (rc) {
        fail(why);
        return;
    }
    doms[made++].vm = vm;
    if (made < count) {
        create_next();
        return;
    }
    for (unsigned int i = 0; i < count; i++) {
        char line[WHY_MAX];

        if (vm_unpause(doms[i].vm, line))
            fail(line);
    }
    set_shares();
    timer_set_after(&timer, 4 * SETTLE_NS);
}

static void create_next(void)
{
    char why[WHY_MAX];

    snprintf(config.name, sizeof(config.name), "%s%u", base, made);
    memset(config.uuid, 0, sizeof(config.uuid));
    if (vm_create(&config, true, created, NULL, NULL, why))
        fail(why);
}

static unsigned int number_at(const char **p)
{
    unsigned int n = 0;

    if (**p == ':')
        ++*p;
    for (; **p >= '0' && **p <= '9'; ++*p)
        n = n * 10 + (unsigned int)(**p - '0');
    return n;
}

void bench_sched_start(const char *spec)
{
    char name[64], why[WHY_MAX];
    const char *colon = strchr(spec, ':'), *p = colon ? colon : "";
    struct hv_host host;
    struct file *f;

    strlcpy(name, spec, sizeof(name));
    if (colon && (size_t)(colon - spec) < sizeof(name))
        name[colon - spec] = '\0';
    count = number_at(&p);
    measure_ns = number_at(&p) * NS_PER_S;
    if (!measure_ns)
        measure_ns = 10 * NS_PER_S;
    timer_init(&timer, next);
    f = file_find(name);
    if (!f || !count || count > MOST || hv_host_info(&host)) {
        fail("use benchsched=FILE:COUNT[:SECONDS], FILE a boot module");
        return;
    }
    cpus = host.cpus;
    if (vm_config_parse(&config, f->name, f->data, f->size, NULL, NULL, why, sizeof(why))) {
        fail(why);
        return;
    }
    strlcpy(base, config.name, sizeof(base));
    create_next();
}
