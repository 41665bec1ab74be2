/* SPDX-License-Identifier: MIT */
/* ctype.h - for third-party code in dom0: classes of ASCII characters. */
#ifndef LIBC_CTYPE_H
#define LIBC_CTYPE_H

static inline int isdigit(int c)
{
    return c >= '0' && c <= '9';
}

static inline int isxdigit(int c)
{
    return isdigit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static inline int isalpha(int c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static inline int isalnum(int c)
{
    return isalpha(c) || isdigit(c);
}

static inline int isspace(int c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static inline int isupper(int c)
{
    return c >= 'A' && c <= 'Z';
}

static inline int islower(int c)
{
    return c >= 'a' && c <= 'z';
}

static inline int isprint(int c)
{
    return c >= ' ' && c <= '~';
}

static inline int tolower(int c)
{
    return isupper(c) ? c | 0x20 : c;
}

static inline int toupper(int c)
{
    return islower(c) ? c & ~0x20 : c;
}

#endif
