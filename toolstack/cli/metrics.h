/* SPDX-License-Identifier: MIT */
/*
 * metrics.h - what a host's domains moved, out of its answer to GET /metrics (Prometheus' text
 * format): one request for all domains. Pure.
 */
#ifndef CLI_METRICS_H
#define CLI_METRICS_H

#include "compiler.h"

struct metrics_moved {
    uint64_t received, sent, read, written;     /* bytes, of all its devices together */
    bool known;                                 /* one line at least was about this domain */
};

/*
 * Adds up the lines about a domain. domain(arg, name, len) gives where to add, or NULL for one that
 * nobody asks about. Lines that make no sense are left out.
 */
void metrics_read(const char *text, size_t len,
                  struct metrics_moved *(*domain)(void *arg, const char *name, size_t len), void *arg);

#endif
