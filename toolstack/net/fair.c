/* SPDX-License-Identifier: MIT */
/* fair.c - who has to go when connections run out (see fair.h). */
#include "toolstack/net/fair.h"

static size_t count(const struct fair_entry *list, size_t n, uint32_t ip)
{
    size_t same = 0;

    for (size_t i = 0; i < n; i++)
        same += list[i].ip == ip;
    return same;
}

/* Should a rather go than b, whose peers have that many connections? */
static bool rather(const struct fair_entry *a, size_t a_count, const struct fair_entry *b,
                   size_t b_count)
{
    if (a->trusted != b->trusted)
        return b->trusted;
    if (a_count != b_count)
        return a_count > b_count;
    return a->since < b->since;
}

int fair_victim(const struct fair_entry *list, size_t n, uint32_t newcomer)
{
    size_t most = 0;
    int victim = -1;

    for (size_t i = 0; i < n; i++) {
        size_t c;

        if (list[i].busy)
            continue;
        /* The newcomer's counts for its peer: equals do not push each other out in turn. */
        c = count(list, n, list[i].ip) + (list[i].ip == newcomer);
        if (victim < 0 || rather(&list[i], c, &list[victim], most)) {
            victim = (int)i;
            most = c;
        }
    }
    return victim;
}
