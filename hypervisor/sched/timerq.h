/* SPDX-License-Identifier: MIT */
/*
 * timerq.h - a priority queue of deadlines: a pairing heap inside the nodes, so setting a timer
 * never needs memory. Insert and peek O(1), remove O(log n) amortized. Pure.
 */
#ifndef HV_SCHED_TIMERQ_H
#define HV_SCHED_TIMERQ_H

#include "compiler.h"

struct timerq_node {
    uint64_t expires;
    struct timerq_node *child;      /* first child */
    struct timerq_node *next;       /* next sibling */
    struct timerq_node *prev;       /* sibling before, or the parent if first; NULL: root */
};

struct timerq {
    struct timerq_node *root;       /* earliest; NULL: empty */
};

/* n is in no queue. Equal deadlines come out in no particular order. */
void timerq_insert(struct timerq *q, struct timerq_node *n, uint64_t expires);
/* n is in q. */
void timerq_remove(struct timerq *q, struct timerq_node *n);

#endif
