/* SPDX-License-Identifier: MIT */
/* why.h - one line that says what is wrong, handed up beside an error code. */
#ifndef LIB_WHY_H
#define LIB_WHY_H

#include "compiler.h"

#define WHY_MAX 256     /* every `char *why` argument has room for so much */

/* Writes the line (why may be NULL) and returns rc, so that it reads: return why_set(why, ...). */
int why_set(char *why, int rc, const char *fmt, ...) __printf(3, 4);

#endif
