/* SPDX-License-Identifier: MIT */
/*
 * entropy.h - what the machine offers that nobody can predict, to seed a generator with.
 *
 * RDRAND where the processor has it, and in any case the low bits of how long 64 hypercalls took for
 * each 8 bytes. On a machine without RDRAND whose time stamp counter does not jitter (an emulator
 * that counts instructions) the result can be predicted, and entropy_is_good() says so.
 */
#ifndef RUNTIME_ENTROPY_H
#define RUNTIME_ENTROPY_H

#include "compiler.h"

/* Not to be used as it is: let a cryptographic hash work on at least twice as much as is needed. */
void entropy_bytes(void *buf, size_t n);

/* Has RDRAND, or its clock was seen to jitter. */
bool entropy_is_good(void);

#endif
