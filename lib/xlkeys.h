/* SPDX-License-Identifier: MIT */
/*
 * xlkeys.h - the keys of xl.cfg(5) that have no row in vmconfig.c: what becomes of a file that sets
 * one, and what to do instead. Pure.
 */
#ifndef LIB_XLKEYS_H
#define LIB_XLKEYS_H

#include "compiler.h"

enum xlkey_kind {
    XLKEY_NO_EFFECT,    /* tunes what we do not have; the domain is none the worse without it */
    XLKEY_REFUSED,      /* promises something that the domain would not get */
};

struct xlkey {
    const char *name;
    enum xlkey_kind kind;
    const char *advice;         /* why, and what to do: part of a sentence */
};

extern const struct xlkey xlkeys[];
extern const size_t nr_xlkeys;

/* NULL: no key of xl.cfg(5), or one that vmconfig.c knows. */
const struct xlkey *xlkey_find(const char *name);

#endif
