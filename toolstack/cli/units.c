/* SPDX-License-Identifier: MIT */
/* units.c - amounts as people write and read them (see units.h). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "toolstack/cli/units.h"

/* Digits at *s up to max; leaves *s behind them. */
static bool digits(const char **s, uint64_t max, uint64_t *v)
{
    const char *p = *s;

    *v = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        uint64_t d = (uint64_t)(*p - '0');

        if (*v > (max - d) / 10)
            return false;
        *v = *v * 10 + d;
    }
    if (p == *s)
        return false;
    *s = p;
    return true;
}

bool units_number(const char *s, uint64_t min, uint64_t max, uint64_t *v)
{
    return digits(&s, max, v) && !*s && *v >= min && *v <= max;
}

bool units_memory_kib(const char *s, uint64_t *kib)
{
    static const char letters[] = "bkmgt";
    static const unsigned int shift[] = { 0, 10, 20, 30, 40 };
    unsigned int by = 20;
    uint64_t v;

    if (!digits(&s, UINT64_MAX, &v))
        return false;
    if (*s) {
        const char *l = strchr(letters, *s >= 'A' && *s <= 'Z' ? *s - 'A' + 'a' : *s);

        if (!l || s[1])
            return false;
        by = shift[l - letters];
    }
    if (v > (uint64_t)INT64_MAX >> by)
        return false;
    *kib = v << by >> 10;
    return *kib > 0;
}

void units_bytes(char *buf, size_t size, uint64_t bytes)
{
    static const char letter[] = "KMGTPE";
    uint64_t unit = 1024;
    unsigned int i = 0;

    if (bytes < 1024) {
        snprintf(buf, size, "%" PRIu64, bytes);
        return;
    }
    while (bytes / unit >= 1000 && i < 5) {
        unit *= 1024;
        i++;
    }
    if (bytes / unit < 10)
        snprintf(buf, size, "%" PRIu64 ".%" PRIu64 "%c", bytes / unit, bytes % unit / (unit / 10 + 1),
                 letter[i]);
    else
        snprintf(buf, size, "%" PRIu64 "%c", bytes / unit, letter[i]);
}

void units_uptime(char *buf, size_t size, uint64_t seconds)
{
    uint64_t days = seconds / 86400;
    unsigned int s = (unsigned int)(seconds % 86400);
    char day[40] = "";

    if (days)
        snprintf(day, sizeof(day), "%" PRIu64 " day%s, ", days, days == 1 ? "" : "s");
    snprintf(buf, size, "%s%u:%02u:%02u", day, s / 3600, s / 60 % 60, s % 60);
}

void units_progress(char *buf, size_t size, const char *what, uint64_t done, uint64_t total,
                    uint64_t elapsed_ms)
{
    char a[16], b[16];

    if (!total) {
        snprintf(buf, size, "%s: %" PRIu64 " s", what, elapsed_ms / 1000);
        return;
    }
    if (done > total)
        done = total;
    units_bytes(a, sizeof(a), done);
    units_bytes(b, sizeof(b), total);
    if (done == total || !done)
        snprintf(buf, size, "%s: %s of %s, %" PRIu64 " s", what, a, b, elapsed_ms / 1000);
    else
        snprintf(buf, size, "%s: %u %%, %s of %s, %" PRIu64 " s left", what,
                 (unsigned int)((double)done * 100 / (double)total), a, b,
                 (uint64_t)((double)elapsed_ms * (double)(total - done) / (double)done / 1000) + 1);
}

#define NEAR_MAX 32

unsigned int units_distance(const char *a, const char *b)
{
    unsigned int rows[3][NEAR_MAX + 1];
    unsigned int *before = rows[0], *last = rows[1], *now = rows[2];
    size_t la = strlen(a), lb = strlen(b);

    if (la > NEAR_MAX || lb > NEAR_MAX)
        return NEAR_MAX;
    for (size_t j = 0; j <= lb; j++)
        last[j] = (unsigned int)j;
    for (size_t i = 1; i <= la; i++) {
        unsigned int *spare = before;

        now[0] = (unsigned int)i;
        for (size_t j = 1; j <= lb; j++) {
            unsigned int d = last[j - 1] + (a[i - 1] != b[j - 1]);

            d = MIN(d, last[j] + 1);
            d = MIN(d, now[j - 1] + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d = MIN(d, before[j - 2] + 1);
            now[j] = d;
        }
        before = last;
        last = now;
        now = spare;
    }
    return last[lb];
}
