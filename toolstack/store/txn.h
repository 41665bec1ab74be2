/* SPDX-License-Identifier: MIT */
/*
 * txn.h - transactions. Pure.
 *
 * Optimistic: a transaction notes the generation of every node it looked at, keeps its changes
 * beside the tree, and commits all of them if and only if nothing it looked at has changed.
 * Finer than one generation per node: adding a child conflicts only with those who listed the
 * children. Everything that a commit needs is allocated before, so it cannot fail half-way.
 */
#ifndef STORE_TXN_H
#define STORE_TXN_H

#include "toolstack/store/tree.h"
#include "toolstack/store/watch.h"

enum {
    TN_SEEN = 1,     /* commit only if base->changed == seen (0: no such node) */
    TN_LISTED = 2,   /* commit only if base->list_changed == list_seen */
    TN_HIDDEN = 4,   /* this transaction removed what the tree has here and below */
    TN_REMOVED = 8,  /* ... by removing exactly this node: with TN_HIDDEN */
    TN_CREATED = 16, /* node is to be linked here */
    TN_VALUE = 32,   /* value is to be set */
    TN_PERMS = 64,   /* perms are to be set */
    TN_STALE = 256,  /* was seen in two states: never commits */
    TN_FIRE = 128,   /* creating the node is an event, not only a means */
};

/* What a transaction knows of one path. */
struct tnode {
    struct tnode *next; /* in txn.bucket */
    struct tnode *parent;
    struct list children; /* struct tnode.sibling */
    struct list sibling;
    struct list of_txn;  /* txn.all: parents first */
    struct list changed; /* txn.changes, if there is something to apply: parents first */
    uint64_t hash;
    uint64_t seen, list_seen;
    uint64_t list_generation; /* when this transaction changed the list of children; 0: never */
    struct node *base;        /* in the tree; valid only until the tree changes */
    struct node *node;        /* TN_CREATED */
    struct value *value;      /* TN_VALUE */
    struct perms *perms;      /* TN_PERMS */
    uint16_t flags;
    uint16_t name_len;
    char name[];
};

struct txn {
    struct list of_client;
    struct client *client;
    struct tnode **bucket; /* 1 << bits */
    unsigned int bits;
    unsigned int count;
    unsigned int created; /* nodes that would be linked */
    uint32_t id;
    struct list all;
    struct list changes;
    struct tnode *root;
};

/* Told of each change while it is applied: n is linked; exact: only to who watches n itself. */
typedef void (*tree_fire_fn)(void *ctx, struct node *n, bool exact, const struct perms *old);

/* Makes one and puts it on the client's list; NULL without memory (or beyond its limit). */
struct txn *txn_new(struct tree *tree, struct client *c, uint32_t id);
void txn_free(struct tree *tree, struct txn *x);
struct txn *txn_find(const struct client *c, uint32_t id);

/* What x knows of path and its ancestors, up to date with the tree. 0 or -XEN_ENOMEM. */
int txn_walk(struct txn *x, const struct tree *tree, const char *path, size_t len,
             struct tnode **out);
struct tnode *txn_child(const struct txn *x, const struct tnode *parent, const char *name,
                        size_t len, uint64_t hash);

static inline bool tnode_exists(const struct tnode *t)
{
    return (t->flags & TN_CREATED) || t->base;
}
struct perms *tnode_perms(const struct tnode *t); /* exists */
struct value *tnode_value(const struct tnode *t); /* exists */

/* The outcome depends on the node (or on its not being there); on its list of children. */
void tnode_saw(struct tnode *t);
void tnode_listed(struct tnode *t);

/* Changes. What returns an error (-XEN_ENOMEM) has left everything as it was. References on v
 * and p are taken over on success, but txn_create() only borrows p. */
int txn_set_value(struct txn *x, struct tree *tree, struct tnode *t, struct value *v);
void txn_set_perms(struct txn *x, struct tree *tree, struct tnode *t, struct perms *p);
/* t, and its missing ancestors without values; all with permissions p. */
int txn_create(struct txn *x, struct tree *tree, struct tnode *t, struct perms *p,
               struct value *v);
void txn_remove(struct txn *x, struct tree *tree, struct tnode *t);

/* Did something change that x saw? Brings all base pointers up to date. */
bool txn_conflicts(struct txn *x, const struct tree *tree);
/* Nodes of its own that the client would have more (or less) after the commit; after
 * txn_conflicts(). */
long txn_growth(const struct txn *x);
/* Applies the changes; after txn_conflicts() said no. x remains to be freed. */
void txn_apply(struct txn *x, struct tree *tree, tree_fire_fn fire, void *ctx);

/* Removes n with all below, telling of each node below (exact). The caller told of n. */
void tree_remove(struct tree *tree, struct node *n, tree_fire_fn fire, void *ctx);

#endif
