/* SPDX-License-Identifier: MIT */
/* cpulist.c - sets of CPUs as people write them (see cpulist.h). */
#include "lib/cpulist.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "lib/why.h"
#include "lib/words.h"
#include "xenabi.h"

static bool skip(struct word *w, const char *prefix)
{
    size_t n = strlen(prefix);

    if (w->len < n || memcmp(w->s, prefix, n))
        return false;
    w->s += n;
    w->len -= n;
    return true;
}

/* N or N-M, all of w. */
static bool range(struct word w, uint64_t max, uint64_t *first, uint64_t *last)
{
    if (!word_number(&w, max, first))
        return false;
    *last = *first;
    if (skip(&w, "-") && !word_number(&w, max, last))
        return false;
    return !w.len && *first <= *last;
}

static uint64_t bits(uint64_t first, uint64_t last)
{
    return (CPULIST_ALL >> (63 - (last - first))) << first;
}

static int add(struct word part, uint64_t *cpus, char *why)
{
    struct word w = part;
    bool not = skip(&w, "^"), nodes = skip(&w, "nodes:") || skip(&w, "node:");
    uint64_t first, last, some;

    if (word_is(w, "all") && not)
        return why_set(why, -XEN_EINVAL, "'%.*s': nothing would be left", (int)MIN(part.len, 32UL), part.s);
    if (word_is(w, "all")) {
        *cpus = CPULIST_ALL;
        return 0;
    }
    if (!range(w, UINT32_MAX, &first, &last))
        return why_set(why, -XEN_EINVAL, "'%.*s' is no CPU (3), range (0-3), exception (^1) or \"all\"",
                       (int)MIN(part.len, 32UL), part.s);
    if (nodes && last > 0)
        return why_set(why, -XEN_EINVAL, "there is no node %lu: a host is one node, 0", last);
    if (last >= CPULIST_CPUS)
        return why_set(why, -XEN_EINVAL, "there is no CPU %lu: hosts have up to %u, 0 to %u", last, CPULIST_CPUS,
                       CPULIST_CPUS - 1);
    some = nodes ? CPULIST_ALL : bits(first, last);
    *cpus = not ? *cpus & ~some : *cpus | some;
    return 0;
}

int cpulist_parse(const char *s, uint64_t *cpus, char *why)
{
    uint64_t sum = 0;
    const char *rest = s;

    while (*rest) {
        struct word w = next_word(&rest, ",");
        int rc = w.len ? add(w, &sum, why) : 0;

        if (rc)
            return rc;
    }
    if (!sum)
        return why_set(why, -XEN_EINVAL, "'%.64s' leaves no CPU", s);
    *cpus = sum;
    return 0;
}

char *cpulist_text(uint64_t cpus, char *buf)
{
    size_t n = 0;

    strlcpy(buf, "none", CPULIST_TEXT);
    for (unsigned int first = 0; first < CPULIST_CPUS; first++) {
        unsigned int last = first;

        if (!(cpus >> first & 1))
            continue;
        while (last + 1 < CPULIST_CPUS && cpus >> (last + 1) & 1)
            last++;
        n += (size_t)snprintf(buf + n, CPULIST_TEXT - n, "%s%u", n ? "," : "", first);
        if (last > first)
            n += (size_t)snprintf(buf + n, CPULIST_TEXT - n, "-%u", last);
        first = last;
    }
    return buf;
}
