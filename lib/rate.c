/* SPDX-License-Identifier: MIT */
/* rate.c - token bucket. Pure; see rate.h. */
#include "lib/rate.h"
#include "overflow.h"

#define NS_PER_S         1000000000UL
#define DEFAULT_INTERVAL 50000000UL
#define INTERVAL_MAX     (4UL * NS_PER_S)
#define PER_SECOND_MAX   1000000000000UL        /* 8 Tbit/s: keeps products inside 64 bits */

static bool number(const char **s, uint64_t *v)
{
    uint64_t n = 0;

    if (**s < '0' || **s > '9')
        return false;
    for (; **s >= '0' && **s <= '9'; (*s)++) {
        if (mul_overflows(n, 10UL, &n) || add_overflows(n, (uint64_t)(**s - '0'), &n))
            return false;
    }
    *v = n;
    return true;
}

static bool eat(const char **s, const char *what)
{
    const char *p = *s;

    while (*what) {
        if (*p++ != *what++)
            return false;
    }
    *s = p;
    return true;
}

/* K, M or G, decimal as network rates are. */
static uint64_t prefix(const char **s)
{
    if (eat(s, "K") || eat(s, "k"))
        return 1000;
    if (eat(s, "M"))
        return 1000000;
    if (eat(s, "G"))
        return 1000000000;
    return 1;
}

/* "ns", "us", "ms", "s" or nothing (seconds) as ns. */
static uint64_t time_unit(const char **s)
{
    if (eat(s, "ns"))
        return 1;
    if (eat(s, "us"))
        return 1000;
    if (eat(s, "ms"))
        return 1000000;
    (void)eat(s, "s");
    return NS_PER_S;
}

static bool set(struct rate *r, uint64_t per_second, uint64_t interval)
{
    if (!per_second || per_second > PER_SECOND_MAX || !interval || interval > INTERVAL_MAX)
        return false;
    *r = (struct rate){ .per_second = per_second, .interval = interval };
    r->burst = MAX(per_second / 1000 * (interval / 1000) / 1000, (uint64_t)RATE_BURST_MIN);
    return true;
}

/* After "BYTES,": the store's form. */
static bool parse_store(struct rate *r, uint64_t bytes, const char *s)
{
    uint64_t us;

    if (!number(&s, &us) || *s)
        return false;
    if (!us || !bytes) {        /* the reference's way to say "no limit" */
        *r = (struct rate){ 0 };
        return true;
    }
    if (us > INTERVAL_MAX / 1000 || mul_overflows(bytes, 1000000UL, &bytes))
        return false;
    return set(r, bytes / us ? bytes / us : 1, us * 1000);
}

bool rate_parse(struct rate *r, const char *s)
{
    uint64_t n, interval = DEFAULT_INTERVAL;
    bool bits;

    if (!*s) {
        *r = (struct rate){ 0 };
        return true;
    }
    if (!number(&s, &n))
        return false;
    if (eat(&s, ","))
        return parse_store(r, n, s);
    if (mul_overflows(n, prefix(&s), &n))
        return false;
    bits = eat(&s, "b");
    if (!bits && !eat(&s, "B"))
        return false;
    if (!eat(&s, "/s"))
        return false;
    if (eat(&s, "@")) {
        if (!number(&s, &interval) || mul_overflows(interval, time_unit(&s), &interval))
            return false;
    }
    if (*s)
        return false;
    return set(r, bits ? n / 8 : n, interval);
}

void rate_start(struct rate *r, uint64_t now)
{
    r->tokens = (int64_t)r->burst;
    r->last = now;
}

static void refill(struct rate *r, uint64_t now)
{
    uint64_t elapsed = now - r->last, more;

    if (elapsed < r->interval)
        return;
    /* A pause that surely fills the bucket; others keep the products below inside 64 bits. */
    if (elapsed >= 2 * INTERVAL_MAX && r->per_second >= r->burst / (2 * INTERVAL_MAX / NS_PER_S)) {
        r->tokens = (int64_t)r->burst;
        r->last = now;
        return;
    }
    /* Whole intervals only; what is left of the last one counts at the next refill. */
    elapsed -= elapsed % r->interval;
    more = r->per_second / 1000 * (elapsed / 1000) / 1000 +
           r->per_second % 1000 * (elapsed / 1000) / 1000000;
    r->last += elapsed;
    r->tokens = MIN(r->tokens + (int64_t)more, (int64_t)r->burst);
}

uint64_t rate_wait(struct rate *r, uint64_t now)
{
    if (!r->per_second)
        return 0;
    refill(r, now);
    return r->tokens > 0 ? 0 : r->interval - (now - r->last);
}
