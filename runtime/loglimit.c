/* SPDX-License-Identifier: MIT */
/* loglimit.c - see loglimit.h. */
#include "runtime/loglimit.h"
#include "runtime/time.h"

#define LINES_BURST  20u
#define LINE_EVERY   10u                /* seconds, after that */
#define LINE_COST    1000u              /* tokens */

void log_limit_init(struct log_limit *l)
{
    *l = (struct log_limit){ .lines = { .per_second = LINE_COST / LINE_EVERY,
                                        .burst = LINES_BURST * LINE_COST, .interval = NS_PER_S } };
    rate_start(&l->lines, now_ns());
}

void log_limit_end(struct log_limit *l, const char *name, const char *what)
{
    if (l->left_out)
        log_warn("%s: %u line%s of %s left out", name, l->left_out, l->left_out > 1 ? "s" : "", what);
    l->left_out = 0;
}

bool log_limit_pass(struct log_limit *l, const char *name, const char *what)
{
    if (rate_wait(&l->lines, now_ns())) {
        l->left_out++;
        return false;
    }
    rate_charge(&l->lines, LINE_COST);
    log_limit_end(l, name, what);
    return true;
}
