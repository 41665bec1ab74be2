/* SPDX-License-Identifier: MIT */
/*
 * test-time.c - runs in a guest: do its clocks keep up with the machine's? The TSC is the machine's
 * own (`tsc_khz=` on the command line says how fast it is). Sleeps for `span=` seconds in steps of
 * irregular length, with each clock source that the kernel offers, and says what it saw.
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

#define SOURCE "/sys/devices/system/clocksource/clocksource0/"

static double khz;

static double seconds(clockid_t c)
{
    struct timespec t;

    clock_gettime(c, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double tsc_seconds(void)
{
    return (double)__rdtsc() / khz / 1000;
}

static bool put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    bool ok = f && fputs(text, f) >= 0;

    return f && fclose(f) == 0 && ok;
}

/* The machine's time minus a clock's: the closest of a few readings, as something may come between. */
static double offset(clockid_t c)
{
    double best = 1e9, found = 0;

    for (int i = 0; i < 20; i++) {
        double before = tsc_seconds(), clock = seconds(c), after = tsc_seconds();

        if (after - before < best) {
            best = after - before;
            found = (before + after) / 2 - clock;
        }
    }
    return found;
}

static int keeps_time(const char *source, double span)
{
    double mono = offset(CLOCK_MONOTONIC), real = offset(CLOCK_REALTIME), start = tsc_seconds();
    double last = seconds(CLOCK_MONOTONIC), drift, wall;
    unsigned int naps = 0;

    while (tsc_seconds() - start < span) {
        /* 0.3 s to a minute. */
        double length = 0.3 * (1 + naps * 7919 % 200), now;
        struct timespec t = { (time_t)length, (long)((length - (double)(time_t)length) * 1e9) };

        nanosleep(&t, NULL);
        now = seconds(CLOCK_MONOTONIC);
        if (now < last + length || now > last + length + 0.5) {
            printf("time: %s: a nap of %.3f s took %.6f s\n", source, length, now - last);
            return 1;
        }
        last = now;
        naps++;
    }
    drift = offset(CLOCK_MONOTONIC) - mono;
    wall = offset(CLOCK_REALTIME) - real;
    printf("time: %s: %u naps in %.0f s, drift %.0f us, wall clock %.0f us\n", source, naps, tsc_seconds() - start,
           drift * 1e6, wall * 1e6);
    /* Two parts per million, a second in six days: kernels take the TSC's speed in whole kHz. */
    return fabs(drift) > span / 5e5 || fabs(wall) > span / 5e5;
}

int main(void)
{
    static const char *const sources[] = { "xen", "tsc" };
    const char *span = getenv("span"), *tsc = getenv("tsc_khz");
    double off;
    int bad = 0;

    khz = tsc ? atof(tsc) : 0;
    if (!span || khz <= 0)
        return 2;
    /* The machine was started at its real-time clock's epoch, which counts whole seconds. */
    off = offset(CLOCK_REALTIME) + 1767225600.0;
    printf("time: the date is %.3f s ahead of the machine's\n", -off);
    bad |= off < -1.5 || off > 1.5;
    for (unsigned int i = 0; i < 2; i++) {
        if (put(SOURCE "current_clocksource", sources[i]))
            bad |= keeps_time(sources[i], atof(span));
        else
            printf("time: no clock source %s\n", sources[i]);
    }
    return bad;
}
