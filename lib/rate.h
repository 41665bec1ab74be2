/* SPDX-License-Identifier: MIT */
/*
 * rate.h - a token bucket for rate limits of vifs and disks, and the ways in which a rate is written. Pure.
 */
#ifndef LIB_RATE_H
#define LIB_RATE_H

#include "compiler.h"

/* A bucket holds at least this much, so that the largest frame passes in one piece. */
#define RATE_BURST_MIN 131072

struct rate {
    uint64_t per_second;        /* bytes a second; 0: no limit */
    uint64_t burst;             /* most bytes that pass at once after a pause */
    uint64_t interval;          /* ns between refills */
    int64_t tokens;             /* bytes that may pass now; may go below 0 by one frame or request */
    uint64_t last;              /* time of the last refill */
};

/*
 * A rate as xl.cfg has it ("10Mb/s", "250KB/s", "1MB/s@20ms": bits or bytes, decimal prefixes,
 * interval 50 ms when not given) or as the store has it ("BYTES,MICROSECONDS": so many bytes each
 * so many microseconds). "" is no limit. False: not a rate; *r is untouched.
 */
bool rate_parse(struct rate *r, const char *text);

/* Starts with a full bucket. */
void rate_start(struct rate *r, uint64_t now);

/* May a frame pass now? 0: yes; rate_charge() when its size is known. Else: no, ask again after so
 * many ns. */
uint64_t rate_wait(struct rate *r, uint64_t now);

/* A frame of so many bytes passed. */
static inline void rate_charge(struct rate *r, uint32_t bytes)
{
    r->tokens -= bytes;
}

#endif
