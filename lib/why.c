/* SPDX-License-Identifier: MIT */
/* why.c - one line that says what is wrong (see why.h). */
#include "lib/why.h"
#include "lib/printf.h"

int why_set(char *why, int rc, const char *fmt, ...)
{
    va_list ap;

    if (why) {
        va_start(ap, fmt);
        vsnprintf(why, WHY_MAX, fmt, ap);
        va_end(ap);
    }
    return rc;
}
