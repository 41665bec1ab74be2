/* SPDX-License-Identifier: MIT */
/* stdlib.h - for third-party code in dom0: memory and numbers. */
#ifndef LIBC_STDLIB_H
#define LIBC_STDLIB_H

#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/mem.h"

static inline int atoi(const char *s)
{
    int sign = 1, v = 0;

    while (*s == ' ' || *s == '\t')
        s++;
    if (*s == '-' || *s == '+')
        sign = *s++ == '-' ? -1 : 1;
    while (*s >= '0' && *s <= '9')
        v = v * 10 + (*s++ - '0');
    return sign * v;
}

static inline int abs(int v)
{
    return v < 0 ? -v : v;
}

/* A function, not a macro: members of structs are called abort, too. */
static inline void __attribute__((noreturn)) abort(void)
{
    panic("abort()");
}

#endif
