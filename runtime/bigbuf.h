/* SPDX-License-Identifier: MIT */
/*
 * bigbuf.h - memory for a large file, which comes and goes in pieces: getting and mapping a hundred
 * megabytes at once would keep the loop from everything else for too long.
 */
#ifndef RUNTIME_BIGBUF_H
#define RUNTIME_BIGBUF_H

#include "compiler.h"

struct bigbuf;

/* Room for so many bytes, of which none is there yet. NULL: no memory or no addresses. */
struct bigbuf *bigbuf_new(size_t bytes);

/* Where it begins: one range of addresses for all of it, the same for ever. */
void *bigbuf_data(struct bigbuf *b);

/* Has memory put behind its first `bytes` bytes. False: there is none left. */
bool bigbuf_reach(struct bigbuf *b, size_t bytes);

/* Frees it, a bit in each turn of the loop. NULL is allowed. */
void bigbuf_free(struct bigbuf *b);

#endif
