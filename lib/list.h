/* SPDX-License-Identifier: MIT */
/* list.h - circular doubly linked lists, embedded in what they link. */
#ifndef LIB_LIST_H
#define LIB_LIST_H

#include "compiler.h"

struct list {
    struct list *next, *prev;
};

#define LIST_INIT(l) { &(l), &(l) }

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_insert_between(struct list *n, struct list *prev, struct list *next)
{
    n->prev = prev;
    n->next = next;
    prev->next = n;
    next->prev = n;
}

static inline void list_push_front(struct list *head, struct list *n)
{
    list_insert_between(n, head, head->next);
}

static inline void list_push_back(struct list *head, struct list *n)
{
    list_insert_between(n, head->prev, head);
}

/* Takes n off its list; n is then an empty list by itself, so removing twice is harmless. */
static inline void list_remove(struct list *n)
{
    n->next->prev = n->prev;
    n->prev->next = n->next;
    list_init(n);
}

#define list_entry(p, type, member) container_of(p, type, member)
#define list_first(head, type, member) \
    (list_empty(head) ? NULL : list_entry((head)->next, type, member))
#define list_for_each(p, head, member) \
    for (p = list_entry((head)->next, __typeof__(*p), member); &p->member != (head); \
         p = list_entry(p->member.next, __typeof__(*p), member))
/* The same; the body may remove and free p. */
#define list_for_each_safe(p, tmp, head, member) \
    for (p = list_entry((head)->next, __typeof__(*p), member), \
         tmp = list_entry(p->member.next, __typeof__(*p), member); \
         &p->member != (head); \
         p = tmp, tmp = list_entry(tmp->member.next, __typeof__(*p), member))

#endif
