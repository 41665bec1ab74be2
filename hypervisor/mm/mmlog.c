/* SPDX-License-Identifier: MIT */
/* mmlog.c - print refused page-table updates, a limited number per second. */
#include "mm/mmlog.h"
#include "dev/console.h"
#include "lib/printf.h"
#include "mm/type.h"
#include "sched/clock.h"
#include "sched/sched.h"
#include "atomic.h"

#define LINES_PER_SECOND    20u

/* Races between CPUs print a line too many or too few. */
static bool may_print(void)
{
    static uint64_t window;
    static uint32_t lines;
    uint64_t now = now_ns();

    if (now - READ_ONCE(window) > NS_PER_SEC) {
        WRITE_ONCE(window, now);
        WRITE_ONCE(lines, 0);
    }
    return atomic_add_return(&lines, 1) <= LINES_PER_SECOND;
}

void mm_log_line(const struct domain *d, const char *fmt, ...)
{
    char text[128];
    va_list ap;

    if (!may_print())
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    printk(LOG_DEBUG, "mm: d%u (by d%uv%u): %s\n", d->id, current->domain->id, current->id, text);
}

void mm_log_frame(const struct domain *d, const char *what, uint64_t entry, const struct page *pg)
{
    mm_log_line(d, "%s %lx: mfn %lx of d%u is %s x%u%s%s, refs %u%s", what, entry,
                page_to_mfn(pg).v, pg->owner, type_name(pg->type), type_count(pg->type),
                pg->type & PGT_PINNED ? " pinned" : "", pg->type & PGT_PARTIAL ? " partial" : "",
                pg->count & PGC_COUNT_MASK, pg->count & PGC_ALLOCATED ? "" : " disowned");
}
