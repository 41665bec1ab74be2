/* SPDX-License-Identifier: MIT */
/* words.c - the pieces of a specification such as "target,raw,xvda,w" (see words.h). */
#include "lib/words.h"
#include "lib/string.h"

struct word next_word(const char **rest, const char *separators)
{
    const char *s = *rest;
    size_t n = 0;
    struct word w;

    while (s[n] && !strchr(separators, s[n]))
        n++;
    *rest = s[n] ? s + n + 1 : s + n;
    while (n && (*s == ' ' || *s == '\t'))
        s++, n--;
    while (n && (s[n - 1] == ' ' || s[n - 1] == '\t'))
        n--;
    w = (struct word){ s, n };
    return w;
}

bool word_is(struct word w, const char *s)
{
    return w.len == strlen(s) && !memcmp(w.s, s, w.len);
}

bool word_split(struct word w, struct word *key, struct word *value)
{
    const char *eq = memchr(w.s, '=', w.len);

    if (!eq)
        return false;
    *key = (struct word){ w.s, (size_t)(eq - w.s) };
    *value = (struct word){ eq + 1, w.len - (size_t)(eq - w.s) - 1 };
    return true;
}

bool word_copy(struct word w, char *to, size_t size)
{
    if (w.len >= size)
        return false;
    memcpy(to, w.s, w.len);
    to[w.len] = '\0';
    return true;
}

bool word_number(struct word *w, uint64_t max, uint64_t *v)
{
    size_t i = 0;

    *v = 0;
    for (; i < w->len && w->s[i] >= '0' && w->s[i] <= '9'; i++) {
        *v = *v * 10 + (uint64_t)(w->s[i] - '0');
        if (*v > max)
            return false;
    }
    w->s += i;
    w->len -= i;
    return i > 0;
}

static uint64_t multiplier(struct word *w)
{
    uint64_t m = 1;

    if (w->len && strchr("GMKgmk", *w->s)) {
        m = *w->s == 'K' || *w->s == 'k' ? 1000 : *w->s == 'M' || *w->s == 'm' ? 1000000 : 1000000000;
        w->s++;
        w->len--;
    }
    return m;
}

bool word_rate(struct word w, uint64_t *bytes)
{
    if (!word_number(&w, 1000000000, bytes))
        return false;
    *bytes *= multiplier(&w);
    if (word_is(w, "b/s"))
        *bytes /= 8;
    else if (!word_is(w, "B/s"))
        return false;
    return *bytes > 0;
}

int hex_digit(char ch)
{
    if (ch >= '0' && ch <= '9')
        return ch - '0';
    if (ch >= 'a' && ch <= 'f')
        return ch - 'a' + 10;
    if (ch >= 'A' && ch <= 'F')
        return ch - 'A' + 10;
    return -1;
}
