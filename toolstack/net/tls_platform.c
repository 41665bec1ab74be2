/* SPDX-License-Identifier: MIT */
/* tls_platform.c - what mbedTLS asks of the machine: entropy and the calendar. */
#include <stdlib.h>
#include <time.h>
#include "compiler.h"
#include "mbedtls/entropy_poll.h"
#include "mbedtls/platform_util.h"
#include "runtime/entropy.h"

int mbedtls_hardware_poll(void *data, unsigned char *output, size_t len, size_t *olen)
{
    entropy_bytes(output, len);
    *olen = len;
    return 0;
}

/* The Gregorian date of a day counted from 1970-01-01; years begin in March while it counts. */
struct tm *mbedtls_platform_gmtime_r(const mbedtls_time_t *t, struct tm *tm)
{
    long days = *t / 86400 + 719468, secs = *t % 86400;
    long era = days / 146097, doe = days % 146097;
    long yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    long doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    long month = mp < 10 ? mp + 3 : mp - 9;

    if (*t < 0)
        return NULL;
    tm->tm_sec = (int)(secs % 60);
    tm->tm_min = (int)(secs / 60 % 60);
    tm->tm_hour = (int)(secs / 3600);
    tm->tm_mday = (int)(doy - (153 * mp + 2) / 5 + 1);
    tm->tm_mon = (int)(month - 1);
    tm->tm_year = (int)(yoe + era * 400 + (month <= 2) - 1900);
    return tm;
}
