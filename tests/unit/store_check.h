/* SPDX-License-Identifier: MIT */
/* store_check.h - what must always hold in a store, for its tests: every count recounted. */
#ifndef STORE_CHECK_H
#define STORE_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#include "toolstack/store/ops.h"

#define STORE_CHECK(cond) \
    do { \
        if (!(cond)) { \
            fprintf(stderr, "%s:%d: store invariant: %s\n", __FILE__, __LINE__, #cond); \
            abort(); \
        } \
    } while (0)

/* What the nodes of one owner cost. */
static inline size_t store_check_nodes(struct store *s, const struct account *a, unsigned int *nodes)
{
    struct node *root = s->tree.root;
    size_t bytes = 0;

    *nodes = 0;
    for (struct node *n = tree_deepest(root); n; n = tree_after(root, n)) {
        if (n->perms->owner != a)
            continue;
        bytes += node_bytes(n);
        ++*nodes;
    }
    return bytes;
}

static inline void store_check_tree(struct store *s)
{
    struct node *root = s->tree.root, *child;
    unsigned int count = 0;
    char path[PATH_BUF];

    for (struct node *n = tree_deepest(root); n; n = tree_after(root, n)) {
        uint32_t list_bytes = 0;
        size_t len = node_path(n, path);

        count++;
        STORE_CHECK(n->linked && n->perms && n->perms->refs);
        STORE_CHECK(len <= PATH_MAX_ABS && tree_find(&s->tree, path, len) == n);
        STORE_CHECK(value_len(n->value) <= 4096);
        list_for_each(child, &n->children, sibling) {
            STORE_CHECK(child->parent == n);
            list_bytes += child->name_len + 1u;
        }
        STORE_CHECK(list_bytes == n->list_bytes);
    }
    STORE_CHECK(count == s->tree.count);
}

/* The clients are all that there are. */
static inline void store_check(struct store *s, struct client **clients, unsigned int nr)
{
    store_check_tree(s);
    for (unsigned int b = 0; b < PERM_BUCKETS; b++) {
        for (struct account *a = s->tree.perms.account[b]; a; a = a->next) {
            unsigned int nodes;
            size_t bytes = store_check_nodes(s, a, &nodes);

            STORE_CHECK(nodes == a->nodes);
            for (unsigned int i = 0; i < nr; i++) {
                struct client *c = clients[i];
                struct watch *w;
                struct txn *x;
                struct tnode *t;

                if (c->account == a)
                    list_for_each(w, &c->watches, of_client)
                        bytes += watch_bytes(w->group->point->len, w->token_len);
                list_for_each(x, &c->txns, of_client) {
                    bytes += c->account == a ? sizeof(*x) : 0;
                    list_for_each(t, &x->all, of_txn) {
                        if (t->node && t->node->perms->owner == a)
                            bytes += node_bytes(t->node);
                        if (c->account == a)
                            bytes += sizeof(*t) + t->name_len + 1 + value_bytes(t->value);
                    }
                }
            }
            STORE_CHECK(bytes == a->bytes);
        }
    }
    for (unsigned int i = 0; i < nr; i++) {
        struct client *c = clients[i];

        if (!c->domid)
            continue;
        STORE_CHECK(c->nr_watches <= s->quota.watches && c->nr_txns <= s->quota.txns);
        /* One operation checks, then pays; what it pays less exactly is its own path twice. */
        STORE_CHECK(c->account->bytes <= s->quota.bytes + 2 * PATH_BUF);
    }
}

#endif
