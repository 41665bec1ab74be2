/* SPDX-License-Identifier: MIT */
/*
 * marks.c - the word `marks` on the command line: whenever a domain writes its node data/mark, what it wrote goes to the log
 * with the host's clocks and counters. So a mini guest can have measured what the whole host does between
 * two marks without speaking HTTP; docs/benchmarks.md.
 */
#include "dom0/host.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/start.h"
#include "runtime/time.h"
#include "runtime/xs.h"
#include "toolstack/vm/hv.h"
#include "toolstack/vm/vm.h"

#define MAX_COUNTERS 96

static struct xs_watch watch;
static bool wanted;

static bool is_mark(const char *path)
{
    size_t n = strlen(path);

    return n > 10 && strcmp(path + n - 10, "/data/mark") == 0;
}

static void report(const char *text)
{
    static struct xen_sysctl_perfc_desc names[MAX_COUNTERS];
    static uint32_t values[MAX_COUNTERS];
    static uint32_t marks;
    struct loop_stats loop;
    uint64_t now = now_ns();
    int n = hv_counters(names, values, MAX_COUNTERS);

    loop_get_stats(&loop);
    log_info("mark %u %s: uptime_ns=%lu", ++marks, text, now);
    log_info("mark %u %s: idle_ns=%lu", marks, text, hv_idle_ns(0));
    log_info("mark %u %s: dom0_busy_ns=%lu", marks, text, loop.busy_ns);
    for (int i = 0; i < n; i++) {
        if (values[i])
            log_info("mark %u %s: %s=%u", marks, text, names[i].name, values[i]);
    }
}

static void changed(struct xs_watch *w, const char *path)
{
    char text[48];

    if (is_mark(path) && xs_read(XS_NO_TXN, path, text, sizeof(text)) > 0)
        report(text);
}

void marks_point(const char *text)
{
    if (wanted)
        report(text);
}

static int domain_starts(void *arg, struct vm *vm)
{
    static bool first = true;

    if (first)
        marks_point("end create");
    first = false;
    return 0;
}

void marks_start(void)
{
    static struct vm_hook hook = { .start = domain_starts };
    char word[64];

    wanted = true;
    marks_point("end boot");
    /* The creation of a host's first domain; bench.c marks its own. */
    if (!cmdline_get("bench", word, sizeof(word))) {
        vm_hook_add(&hook);
        marks_point("begin create");
    }
    if (xs_watch(&watch, "/local/domain", changed))
        log_error("marks: cannot watch the store");
}
