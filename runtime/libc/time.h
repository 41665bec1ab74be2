/* SPDX-License-Identifier: MIT */
/* time.h - for third-party code in dom0: calendar time. */
#ifndef LIBC_TIME_H
#define LIBC_TIME_H

#include <stddef.h>
#include "runtime/time.h"

typedef long time_t;

struct tm {
    int tm_sec, tm_min, tm_hour;
    int tm_mday, tm_mon, tm_year;       /* 1..31, 0..11, years since 1900 */
    int tm_wday, tm_yday, tm_isdst;
};

static inline time_t time(time_t *t)
{
    time_t now = (time_t)wallclock(NULL);

    if (t)
        *t = now;
    return now;
}

#endif
