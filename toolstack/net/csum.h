/* SPDX-License-Identifier: MIT */
/* csum.h - the Internet checksum's sum, as lwIP wants it. Pure. */
#ifndef NET_CSUM_H
#define NET_CSUM_H

#include <stdint.h>

/* The 16-bit ones' complement sum of n bytes taken as words in memory order (not inverted); an odd
 * last byte counts as the first of a word. */
uint16_t net_chksum(const void *data, int n);

#endif
