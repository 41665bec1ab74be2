/* SPDX-License-Identifier: MIT */
/*
 * tree.h - the nodes, as they are committed. Pure.
 *
 * All nodes stand in one hash table under the hash of their path, so finding one costs the
 * same however many domains there are. Nothing here checks permissions or quotas: ops.c does.
 */
#ifndef STORE_TREE_H
#define STORE_TREE_H

#include "toolstack/store/path.h"
#include "toolstack/store/perm.h"

/* A value: never changed after it was made, so readers may keep a reference. */
struct value {
    uint32_t refs;
    uint32_t len;
    char bytes[]; /* len, and a NUL behind them */
};

struct node {
    struct node *next; /* in tree.bucket, if linked */
    struct node *parent;
    struct list children; /* struct node.sibling, oldest first */
    struct list sibling;
    struct list owned; /* in perms->owner, if linked */
    struct perms *perms;
    struct value *value; /* NULL: empty */
    uint64_t hash;       /* of its path */
    /* Numbers from tree.generation, which never come twice. */
    uint64_t changed;       /* the last time value or perms changed; set when linked */
    uint64_t list_changed;  /* the last time a child came or went */
    uint32_t list_bytes;    /* names of the children, each with a NUL */
    uint16_t name_len;      /* 0 for the root only */
    bool linked;
    char name[];
};

struct tree {
    struct node *root;
    struct node **bucket; /* 1 << bits */
    unsigned int bits;
    unsigned int count; /* linked nodes */
    uint64_t seed;      /* of path_hash() */
    uint64_t generation;
    struct perm_table perms;
};

/* An empty tree of which only dom0 may read the root. 0 or -XEN_ENOMEM. */
int tree_init(struct tree *t, uint64_t seed);
void tree_free(struct tree *t);

struct value *value_new(const void *bytes, size_t len); /* one reference; NULL: no memory */
static inline struct value *value_ref(struct value *v)
{
    if (v)
        v->refs++;
    return v;
}
void value_put(struct value *v);
static inline size_t value_len(const struct value *v)
{
    return v ? v->len : 0;
}
/* Bytes that a node with this value is charged for it. */
static inline size_t value_bytes(const struct value *v)
{
    return v ? sizeof(*v) + v->len + 1 : 0;
}

/* The node at an absolute, valid path, or NULL. */
struct node *tree_find(const struct tree *t, const char *path, size_t len);
struct node *tree_child(const struct tree *t, const struct node *parent, const char *name,
                        size_t len, uint64_t hash);
/* Of path and its ancestors, the nearest that exists; there is always the root. */
struct node *tree_nearest(const struct tree *t, const char *path, size_t len);

/* A node by itself; takes over the references on perms and value unless it fails (NULL). */
struct node *node_new(struct tree *t, const char *name, size_t len, struct perms *perms,
                      struct value *value);
void node_free(struct tree *t, struct node *n); /* not linked */
size_t node_bytes(const struct node *n);        /* what its owner is charged */

/* Cannot fail. link: there is no such child yet. unlink: n has no children. */
void tree_link(struct tree *t, struct node *parent, struct node *n);
void tree_unlink(struct tree *t, struct node *n);

/* Take over a reference; of perms, the reference on the old ones comes back. Linked or not. */
void node_set_value(struct tree *t, struct node *n, struct value *v);
struct perms *node_set_perms(struct tree *t, struct node *n, struct perms *p);

/* Walks the subtree of n: the children of a node come before the node itself, n is last.
 * Start with tree_deepest(n); NULL after n. The body may unlink the node it was given if it
 * took the next one before. */
struct node *tree_deepest(struct node *n);
struct node *tree_after(const struct node *top, struct node *n);

/* The path of a linked node; buf has PATH_BUF bytes. Returns its length. */
size_t node_path(const struct node *n, char *buf);

#endif
