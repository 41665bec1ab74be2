/* SPDX-License-Identifier: MIT */
/* text.h - memory that is there, and text that is fit for a terminal. */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include "compiler.h"

/* p, or the end of the program when it is NULL: for malloc and friends. */
void *must(void *p);
char *must_printf(const char *fmt, ...) __printf(1, 2);

/* A copy (to be freed) with every control character, and what is no UTF-8, replaced by '?'. */
char *clean(const char *s);
/* The same in place. keep_lines: newline and tab stay. */
void clean_bytes(char *s, size_t len, bool keep_lines);

#endif
