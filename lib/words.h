/* SPDX-License-Identifier: MIT */
/* words.h - the pieces of a specification such as "target,raw,xvda,w". They point into it. Pure. */
#ifndef LIB_WORDS_H
#define LIB_WORDS_H

#include "compiler.h"

/* A piece of a comma- or blank-separated specification. */
struct word {
    const char *s;
    size_t len;
};

/* The next one of *rest, without blanks around it; *rest: behind the separator after it. */
struct word next_word(const char **rest, const char *separators);
bool word_is(struct word w, const char *s);
/* Splits "key=value"; false when there is no '='. */
bool word_split(struct word w, struct word *key, struct word *value);
/* Into size bytes, with a 0; false: does not fit. */
bool word_copy(struct word w, char *to, size_t size);
/* Decimal digits only, at least one; what follows them stays in *w. False: none, or beyond max. */
bool word_number(struct word *w, uint64_t max, uint64_t *v);
/* "10Mb/s" or "250KB/s", all of w, in bytes a second; false: it is none, or nothing. */
bool word_rate(struct word w, uint64_t *bytes);
/* 0 to 15; -1: none. */
int hex_digit(char ch);

#endif
