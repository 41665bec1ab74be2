/* SPDX-License-Identifier: MIT */
/*
 * cpulist.h - sets of CPUs as people write them, with xl's syntax: "0-3,^1", "all", "5,nodes:0". Pure.
 */
#ifndef LIB_CPULIST_H
#define LIB_CPULIST_H

#include "compiler.h"

#define CPULIST_CPUS    64u         /* of the largest host */
#define CPULIST_ALL     (~0UL)
#define CPULIST_TEXT    200         /* the longest text of cpulist_text(), with the NUL */

/*
 * Parts add CPUs from left to right: N, N-M, "all", "nodes:0" (a host is one node: all); with ^ before N,
 * N-M or nodes:0 they take some away. 0, or -XEN_EINVAL with one line in why (WHY_MAX).
 */
int cpulist_parse(const char *s, uint64_t *cpus, char *why);

/* "0-3,5"; "none" for 0. buf has CPULIST_TEXT bytes. Returns buf. */
char *cpulist_text(uint64_t cpus, char *buf);

#endif
