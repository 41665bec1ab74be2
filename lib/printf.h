/* SPDX-License-Identifier: MIT */
/* printf.h - formatted text into a buffer. */
#ifndef LIB_PRINTF_H
#define LIB_PRINTF_H

#include <stdarg.h>
#include "compiler.h"

/*
 * As C's: writes at most size - 1 bytes and a NUL, returns the length that the whole text has.
 * Knows %d %i %u %x %X %o %c %s %p %%, the flags - 0 + space #, width, precision, `*`, and
 * hh h l ll z t j. No floating point. A NULL for %s prints "(null)".
 */
int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap) __printf(3, 0);
int snprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);

#endif
