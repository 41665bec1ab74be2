/* SPDX-License-Identifier: MIT */
/* utf8.c - UTF-8, one code point at a time. */
#include "lib/utf8.h"

size_t utf8_decode(const char *s, size_t len, uint32_t *cp)
{
    static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
    uint8_t b;
    size_t n;
    uint32_t c;

    if (!len)
        return 0;
    b = (uint8_t)*s;
    if (b < 0x80) {
        *cp = b;
        return 1;
    }
    n = (b & 0xe0) == 0xc0 ? 2 : (b & 0xf0) == 0xe0 ? 3 : (b & 0xf8) == 0xf0 ? 4 : 0;
    if (!n || n > len)
        return 0;
    c = b & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        uint8_t x = (uint8_t)s[i];

        if ((x & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (x & 0x3f);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0;
    *cp = c;
    return n;
}

size_t utf8_encode(uint32_t cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xc0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xe0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
        out[2] = (char)(0x80 | (cp & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
    out[3] = (char)(0x80 | (cp & 0x3f));
    return 4;
}
