/* SPDX-License-Identifier: MIT */
/* text.c - memory that is there, and text that is fit for a terminal (see text.h). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "toolstack/cli/text.h"
#include "toolstack/cli/cli.h"
#include "lib/utf8.h"

void *must(void *p)
{
    if (!p) {
        fputs("sluice: out of memory\n", stderr);
        exit(CLI_FAILED);
    }
    return p;
}

char *must_printf(const char *fmt, ...)
{
    va_list ap;
    char *s = NULL;

    va_start(ap, fmt);
    if (vasprintf(&s, fmt, ap) < 0)
        s = NULL;
    va_end(ap);
    return must(s);
}

void clean_bytes(char *s, size_t len, bool keep_lines)
{
    size_t i = 0;

    while (i < len) {
        uint32_t cp = 0;
        size_t n = utf8_decode(s + i, len - i, &cp);

        /* Besides the controls, the marks that turn the direction of text. */
        if (!n || (cp < 0x20 && !(keep_lines && (cp == '\n' || cp == '\t'))) ||
            (cp >= 0x7f && cp < 0xa0) || (cp >= 0x202a && cp <= 0x202e) ||
            (cp >= 0x2066 && cp <= 0x2069)) {
            n = n ? n : 1;
            memset(s + i, '?', n);
        }
        i += n;
    }
}

char *clean(const char *s)
{
    char *copy = must(strdup(s));

    clean_bytes(copy, strlen(copy), false);
    return copy;
}
