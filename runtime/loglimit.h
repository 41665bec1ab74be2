/* SPDX-License-Identifier: MIT */
/*
 * loglimit.h - lines of the log that somebody else can cause any number of: about one device, one guest's store. After a
 * burst only one passes every ten seconds; how many were left out is said before the next one that passes, and at the end.
 */
#ifndef RUNTIME_LOGLIMIT_H
#define RUNTIME_LOGLIMIT_H

#include "lib/rate.h"
#include "runtime/log.h"

struct log_limit {
    struct rate lines;
    uint32_t left_out;          /* since the last one that passed */
};

void log_limit_init(struct log_limit *l);

/* May a line about `what` ("this device" or so), which is called name, go to the log? */
bool log_limit_pass(struct log_limit *l, const char *name, const char *what);

/* No more lines: says how many were left out, if any. */
void log_limit_end(struct log_limit *l, const char *name, const char *what);

#endif
