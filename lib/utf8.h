/* SPDX-License-Identifier: MIT */
/* utf8.h - one code point at a time, strictly (RFC 3629). */
#ifndef LIB_UTF8_H
#define LIB_UTF8_H

#include "compiler.h"

/* Length of the code point at s (1..4), or 0: not UTF-8, overlong, a surrogate, or cut off. */
size_t utf8_decode(const char *s, size_t len, uint32_t *cp);
/* Writes it; returns 1..4. cp is a valid code point. */
size_t utf8_encode(uint32_t cp, char out[4]);

#endif
