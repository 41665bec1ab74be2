/* SPDX-License-Identifier: MIT */
/*
 * test-steal.c - runs in a guest: is time that it wanted to run and could not, as another domain had the
 * CPU, shown as stolen? Works for four seconds and says what /proc/stat counted meanwhile.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct ticks {
    unsigned long user, nice, system, idle, iowait, irq, softirq, steal;
};

static struct ticks now(void)
{
    struct ticks t = { 0 };
    FILE *f = fopen("/proc/stat", "r");

    if (!f || fscanf(f, "cpu %lu %lu %lu %lu %lu %lu %lu %lu", &t.user, &t.nice, &t.system, &t.idle,
                     &t.iowait, &t.irq, &t.softirq, &t.steal) != 8)
        exit(2);
    fclose(f);
    return t;
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(void)
{
    double start = seconds(), span = 4;
    struct ticks a = now(), b;

    while (seconds() - start < span)
        ;
    b = now();
    printf("steal: in %.0f ms: user %lu system %lu idle %lu steal %lu ticks\n", (seconds() - start) * 1e3,
           b.user - a.user, b.system - a.system, b.idle - a.idle, b.steal - a.steal);
    return 0;
}
