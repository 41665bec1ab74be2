/* SPDX-License-Identifier: MIT */
/* timerq.c - pairing heap of deadlines. Pure. */
#include "sched/timerq.h"

/* Both are roots; the later one becomes the first child of the earlier. */
static struct timerq_node *join(struct timerq_node *a, struct timerq_node *b)
{
    if (!a)
        return b;
    if (!b)
        return a;
    if (b->expires < a->expires) {
        struct timerq_node *t = a;
        a = b;
        b = t;
    }
    b->next = a->child;
    if (b->next)
        b->next->prev = b;
    b->prev = a;
    a->child = b;
    return a;
}

/* One heap from a list of siblings: join them in pairs, then the pairs from the last on. */
static struct timerq_node *join_list(struct timerq_node *list)
{
    struct timerq_node *pairs = NULL, *root = NULL;

    while (list) {
        struct timerq_node *a = list, *b = a->next, *pair;

        list = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b)
            b->next = b->prev = NULL;
        pair = join(a, b);
        pair->next = pairs;
        pairs = pair;
    }
    while (pairs) {
        struct timerq_node *rest = pairs->next;

        pairs->next = NULL;
        root = join(root, pairs);
        pairs = rest;
    }
    return root;
}

void timerq_insert(struct timerq *q, struct timerq_node *n, uint64_t expires)
{
    *n = (struct timerq_node){ .expires = expires };
    q->root = join(q->root, n);
}

void timerq_remove(struct timerq *q, struct timerq_node *n)
{
    struct timerq_node *below = join_list(n->child);

    if (q->root == n) {
        q->root = below;
    } else {
        if (n->prev->child == n)
            n->prev->child = n->next;
        else
            n->prev->next = n->next;
        if (n->next)
            n->next->prev = n->prev;
        q->root = join(q->root, below);
    }
    n->child = n->next = n->prev = NULL;
}
