/* SPDX-License-Identifier: MIT */
/*
 * fair.h - who has to go when connections run out and one more arrives. Pure.
 *
 * One peer with thousands of connections pays with its own: the victim is one of the peer that has
 * most of them, and the oldest of those. Connections without a credential go before those with one.
 */
#ifndef NET_FAIR_H
#define NET_FAIR_H

#include "compiler.h"

struct fair_entry {
    uint32_t ip;            /* the peer's */
    uint64_t since;         /* when it came; the smallest is the oldest */
    bool trusted;           /* has shown a credential */
    bool busy;              /* stays whatever happens */
};

/* The index of the one of n that makes room for a newcomer from ip; -1: all are busy. */
int fair_victim(const struct fair_entry *list, size_t n, uint32_t newcomer);

#endif
