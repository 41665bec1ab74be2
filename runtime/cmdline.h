/* SPDX-License-Identifier: MIT */
/* cmdline.h - key=value words of a command line. Pure. */
#ifndef RUNTIME_CMDLINE_H
#define RUNTIME_CMDLINE_H

#include "compiler.h"

/* Value of the last word `key=value` (or bare `key`: "") of line; a value may stand in double
 * quotes. Copied to buf, cut to fit. False when the key is not there. */
bool cmdline_find(const char *line, const char *key, char *buf, size_t size);

/* A number in decimal or 0x hex, with an optional suffix K, M or G. False when it is none. */
bool parse_u64(const char *s, uint64_t *value);

#endif
