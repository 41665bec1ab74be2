/* SPDX-License-Identifier: MIT */
/* units.h - amounts as people write and read them. Pure. */
#ifndef CLI_UNITS_H
#define CLI_UNITS_H

#include "compiler.h"

/*
 * "512", "512m", "2g", "1048576k", "1t", "4096b", in either case: xl's way to write memory, MiB when
 * no unit is given. False unless the whole text is such a number, at least 1 KiB, and fits.
 */
bool units_memory_kib(const char *s, uint64_t *kib);

/* A decimal number and nothing else, from min to max. */
bool units_number(const char *s, uint64_t min, uint64_t max, uint64_t *v);

/* "0", "999", "1.2K", "34M", "1.1G": at most 5 characters, powers of 1024. */
void units_bytes(char *buf, size_t size, uint64_t bytes);

/* xl's uptime: "0:00:05", "23:59:59", "1 day, 0:00:00", "12 days, 1:02:03". */
void units_uptime(char *buf, size_t size, uint64_t seconds);

/* "what: 12 s", or with a total "what: 34 %, 1.2M of 3.4M, 5 s left". */
void units_progress(char *buf, size_t size, const char *what, uint64_t done, uint64_t total,
                    uint64_t elapsed_ms);

/* How many letters must be changed, added, dropped or exchanged with the next to make b of a. */
unsigned int units_distance(const char *a, const char *b);

#endif
