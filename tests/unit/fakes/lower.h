/* SPDX-License-Identifier: MIT */
/*
 * lower.h - a stream in memory and a loop by hand, for tests of what stands on runtime/stream.h:
 * bytes go in by lower_feed(), what was written is in out, works and timers run by fake_run() and
 * fake_time().
 */
#ifndef FAKES_LOWER_H
#define FAKES_LOWER_H

#include "runtime/loop.h"
#include "runtime/stream.h"

struct lower {
    struct stream base;
    const struct stream_events *ev;
    void *arg;
    uint8_t in[1 << 17], out[1 << 18];
    size_t in_len, out_len;
    size_t room;                /* bytes that may still be written */
    struct work work;
    bool stopped, want_room, closed, aborted, fin;
};

/* The one that accepts: `accept` of the listener gets l. -1: refused. */
int lower_connect(struct lower *l, uint32_t ip);
/* Bytes arrive; as many are offered as are taken. */
void lower_feed(struct lower *l, const void *data, size_t len);
void lower_finish(struct lower *l);
void lower_reset(struct lower *l);
/* More may be written, and who waits for it is told. */
void lower_give_room(struct lower *l, size_t room);

extern struct stream_net lower_net;

/* Runs works until there are none; time stands still. */
void fake_run(void);
/* Time goes on by ns; due timers run, then works. */
void fake_time(uint64_t ns);
/* What now_ns() adds each time it is asked: arithmetic that takes time. */
extern uint64_t fake_cost;

#endif
