/* SPDX-License-Identifier: MIT */
/* metrics.c - what a host's domains moved (see metrics.h). */
#include <string.h>
#include "toolstack/cli/metrics.h"

/* Into the bridge is what a guest sent, out of it what it received. */
static const struct {
    const char *name;
    size_t offset;
} wanted[] = {
    { "sluice_port_out_bytes_total", offsetof(struct metrics_moved, received) },
    { "sluice_port_in_bytes_total", offsetof(struct metrics_moved, sent) },
    { "sluice_vbd_read_bytes_total", offsetof(struct metrics_moved, read) },
    { "sluice_vbd_write_bytes_total", offsetof(struct metrics_moved, written) },
};

/* The value of the label domain="..." among those from s to end; names need no escapes. */
static const char *domain_label(const char *s, const char *end, size_t *len)
{
    static const char key[] = "domain=\"";
    size_t n = sizeof(key) - 1;

    for (; (size_t)(end - s) > n; s++) {
        const char *quote;

        if (memcmp(s, key, n) || (s[-1] != '{' && s[-1] != ','))
            continue;
        quote = memchr(s + n, '"', (size_t)(end - s) - n);
        *len = quote ? (size_t)(quote - s) - n : 0;
        return *len ? s + n : NULL;
    }
    return NULL;
}

/* Digits up to the end; false when there is anything else. */
static bool number(const char *s, const char *end, uint64_t *v)
{
    *v = 0;
    if (s == end)
        return false;
    for (; s < end; s++) {
        if (*s < '0' || *s > '9' || __builtin_mul_overflow(*v, 10u, v) ||
            __builtin_add_overflow(*v, (uint64_t)(*s - '0'), v))
            return false;
    }
    return true;
}

static void one_line(const char *s, const char *end,
                     struct metrics_moved *(*domain)(void *arg, const char *name, size_t len), void *arg)
{
    const char *brace = memchr(s, '{', (size_t)(end - s)), *close, *name;
    uint64_t v, *to;
    size_t len;

    for (size_t i = 0; brace && i < ARRAY_SIZE(wanted); i++) {
        struct metrics_moved *m;

        if (strlen(wanted[i].name) != (size_t)(brace - s) || memcmp(s, wanted[i].name, (size_t)(brace - s)))
            continue;
        close = memchr(brace, '}', (size_t)(end - brace));
        if (!close || end - close < 2 || close[1] != ' ' || !number(close + 2, end, &v))
            return;
        name = domain_label(brace + 1, close, &len);
        m = name ? domain(arg, name, len) : NULL;
        if (!m)
            return;
        to = (uint64_t *)(void *)((char *)m + wanted[i].offset);
        if (__builtin_add_overflow(*to, v, to))
            *to = UINT64_MAX;
        m->known = true;
        return;
    }
}

void metrics_read(const char *text, size_t len,
                  struct metrics_moved *(*domain)(void *arg, const char *name, size_t len), void *arg)
{
    const char *end = text + len;

    while (text < end) {
        const char *line = memchr(text, '\n', (size_t)(end - text));

        one_line(text, line ? line : end, domain, arg);
        text = line ? line + 1 : end;
    }
}
