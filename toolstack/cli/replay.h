/* SPDX-License-Identifier: MIT */
/*
 * replay.h - old console output made fit to be shown again. Pure.
 *
 * Programs ask a terminal where its cursor is or what it can do, and it answers as if the answer had
 * been typed. In output that is shown again nobody waits for answers: they would be typed into the
 * domain. So such questions are taken out; everything else stays.
 */
#ifndef CLI_REPLAY_H
#define CLI_REPLAY_H

#include "compiler.h"

#define REPLAY_HELD 32      /* a longer sequence is no question and passes */

struct replay {
    char held[REPLAY_HELD];     /* the sequence that is being read */
    unsigned int n;
};

/*
 * Writes what may be shown of the len bytes to out, which has room for len + REPLAY_HELD, and returns
 * its length. A sequence that is cut off by the end is held until the next call.
 */
size_t replay_filter(struct replay *r, const char *data, size_t len, char *out);
/* What is held yet: call it once when the old output is over. */
size_t replay_end(struct replay *r, char *out);

#endif
