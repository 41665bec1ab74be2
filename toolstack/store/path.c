/* SPDX-License-Identifier: MIT */
/* path.c - which strings are xenstore paths. Pure. */
#include "toolstack/store/path.h"

#include <string.h>

#include "xenabi.h"

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '_' || c == '@';
}

/* Characters, no empty names, no slash at the end (but for "/"). */
static bool valid(const char *s, size_t len)
{
    char prev = 0;

    for (size_t i = 0; i < len; i++) {
        if (s[i] == '/' ? prev == '/' : !name_char(s[i]))
            return false;
        prev = s[i];
    }
    return prev != '/' || len == 1;
}

static size_t put_decimal(char *out, unsigned int v)
{
    char digits[8];
    size_t n = 0;

    do {
        digits[n++] = '0' + v % 10;
    } while (v /= 10);
    for (size_t i = 0; i < n; i++)
        out[i] = digits[n - 1 - i];
    return n;
}

int path_canonical(char *out, const char *in, size_t len, uint16_t domid, uint32_t *base)
{
    static const char home[] = "/local/domain/";
    size_t n = 0;

    if (!len || in[0] == '@')
        return -XEN_EINVAL;
    if (len > (in[0] == '/' ? PATH_MAX_ABS : PATH_MAX_REL) || !valid(in, len))
        return -XEN_EINVAL;
    if (in[0] != '/') {
        memcpy(out, home, sizeof(home) - 1);
        n = sizeof(home) - 1;
        n += put_decimal(out + n, domid);
        out[n++] = '/';
    }
    if (base)
        *base = n;
    memcpy(out + n, in, len);
    out[n + len] = 0;
    return (int)(n + len);
}

bool path_is_special(const char *in, size_t len)
{
    return len > 1 && len <= PATH_MAX_REL && in[0] == '@' && !memchr(in, '/', len) &&
           valid(in, len);
}
