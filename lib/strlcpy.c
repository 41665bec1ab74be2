/* SPDX-License-Identifier: MIT */
/* strlcpy.c - apart from string.c because host tests take the rest from their C library. */
#include "lib/string.h"

size_t strlcpy(char *dst, const char *src, size_t size)
{
    size_t n = strlen(src);

    if (size) {
        size_t k = n < size ? n : size - 1;
        memcpy(dst, src, k);
        dst[k] = '\0';
    }
    return n;
}
