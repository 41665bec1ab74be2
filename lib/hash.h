/* SPDX-License-Identifier: MIT */
/* hash.h - keyed hash (SipHash-2-4): cannot be predicted without the key. Pure. */
#ifndef LIB_HASH_H
#define LIB_HASH_H

#include "compiler.h"

/* 64 bits from n bytes under a secret key of two words. */
uint64_t siphash(const uint64_t key[2], const void *data, size_t n);

#endif
