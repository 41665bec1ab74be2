/* SPDX-License-Identifier: MIT */
/* cmdline.c - key=value words of a command line. */
#include "runtime/cmdline.h"
#include "lib/string.h"
#include "overflow.h"

/* Copies one word without its quotes; returns what follows it. */
static const char *take_word(const char *p, char *buf, size_t size)
{
    bool quoted = false;
    size_t n = 0;

    for (; *p && (quoted || *p != ' '); p++) {
        if (*p == '"') {
            quoted = !quoted;
            continue;
        }
        if (n + 1 < size)
            buf[n++] = *p;
    }
    buf[n] = '\0';
    return p;
}

bool cmdline_find(const char *line, const char *key, char *buf, size_t size)
{
    size_t n = strlen(key);
    bool found = false;
    char skipped[1];

    while (*line) {
        if (*line == ' ') {
            line++;
        } else if (strncmp(line, key, n) == 0 && line[n] == '=') {
            line = take_word(line + n + 1, buf, size);
            found = true;
        } else if (strncmp(line, key, n) == 0 && (line[n] == ' ' || line[n] == '\0')) {
            buf[0] = '\0';
            line += n;
            found = true;
        } else {
            line = take_word(line, skipped, sizeof(skipped));
        }
    }
    return found;
}

bool parse_u64(const char *s, uint64_t *value)
{
    unsigned int base = 10, digit, shift = 0;
    uint64_t v = 0;
    bool any = false;

    if (s[0] == '0' && (s[1] | 0x20) == 'x') {
        base = 16;
        s += 2;
    }
    for (; *s; s++, any = true) {
        if (*s >= '0' && *s <= '9')
            digit = (unsigned int)(*s - '0');
        else if ((*s | 0x20) >= 'a' && (*s | 0x20) <= 'f')
            digit = (unsigned int)((*s | 0x20) - 'a') + 10;
        else
            break;
        if (digit >= base || mul_overflows(v, (uint64_t)base, &v) ||
            add_overflows(v, (uint64_t)digit, &v))
            return false;
    }
    if (*s == 'K' || *s == 'k')
        shift = 10;
    else if (*s == 'M' || *s == 'm')
        shift = 20;
    else if (*s == 'G' || *s == 'g')
        shift = 30;
    if (!any || (shift ? s[1] : s[0]) || v > ~0UL >> shift)
        return false;
    *value = v << shift;
    return true;
}
