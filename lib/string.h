/* SPDX-License-Identifier: MIT */
/* string.h - memory and strings, as in C11 7.24, and nothing of the machine. */
#ifndef LIB_STRING_H
#define LIB_STRING_H

#include <stddef.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
char *strstr(const char *s, const char *what);

/* Copies at most size - 1 bytes and ends dst with NUL; returns strlen(src), as BSD's. */
size_t strlcpy(char *dst, const char *src, size_t size);

/* In dom0 and mini guests the compiler may copy small constant sizes in place; the hypervisor
 * keeps every copy a call. string.c, which defines the functions, asks for the plain names. */
#if defined(__SLUICE_GUEST__) && !defined(LIB_STRING_C)
#define memcpy(dst, src, n)  __builtin_memcpy((dst), (src), (n))
#define memmove(dst, src, n) __builtin_memmove((dst), (src), (n))
#define memset(dst, c, n)    __builtin_memset((dst), (c), (n))
#define memcmp(a, b, n)      __builtin_memcmp((a), (b), (n))
#define strlen(s)            __builtin_strlen(s)
#endif

#endif
