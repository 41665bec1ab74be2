/* SPDX-License-Identifier: MIT */
/* tree.c - the committed nodes. Pure. */
#include "toolstack/store/tree.h"

#include <stdlib.h>
#include <string.h>

#include "xenabi.h"

#define FIRST_BITS 8

struct value *value_new(const void *bytes, size_t len)
{
    struct value *v = malloc(sizeof(*v) + len + 1);

    if (!v)
        return NULL;
    v->refs = 1;
    v->len = (uint32_t)len;
    memcpy(v->bytes, bytes, len);
    v->bytes[len] = 0;
    return v;
}

void value_put(struct value *v)
{
    if (v && !--v->refs)
        free(v);
}

struct node *node_new(struct tree *t, const char *name, size_t len, struct perms *perms,
                      struct value *value)
{
    struct node *n = malloc(sizeof(*n) + len + 1);

    if (!n)
        return NULL;
    memset(n, 0, sizeof(*n));
    list_init(&n->children);
    list_init(&n->sibling);
    list_init(&n->owned);
    n->perms = perms;
    n->value = value;
    n->name_len = (uint16_t)len;
    memcpy(n->name, name, len);
    n->name[len] = 0;
    perms->owner->bytes += node_bytes(n);
    return n;
}

void node_free(struct tree *t, struct node *n)
{
    n->perms->owner->bytes -= node_bytes(n);
    perms_put(&t->perms, n->perms);
    value_put(n->value);
    free(n);
}

size_t node_bytes(const struct node *n)
{
    return sizeof(*n) + n->name_len + 1 + perms_bytes(n->perms) + value_bytes(n->value);
}

int tree_init(struct tree *t, uint64_t seed)
{
    const struct perm dom0_only = { .domid = 0, .access = PERM_NONE };
    struct perms *perms;

    memset(t, 0, sizeof(*t));
    t->seed = seed | 1;
    t->bits = FIRST_BITS;
    t->bucket = calloc(1u << t->bits, sizeof(*t->bucket));
    perms = perms_get(&t->perms, &dom0_only, 1);
    if (t->bucket && perms)
        t->root = node_new(t, "", 0, perms, NULL);
    if (!t->root) {
        if (perms)
            perms_put(&t->perms, perms);
        free(t->bucket);
        return -XEN_ENOMEM;
    }
    tree_link(t, NULL, t->root);
    return 0;
}

void tree_free(struct tree *t)
{
    struct node *n = tree_deepest(t->root);

    while (n) {
        struct node *after = tree_after(t->root, n);

        tree_unlink(t, n);
        node_free(t, n);
        n = after;
    }
    free(t->bucket);
}

struct node *tree_child(const struct tree *t, const struct node *parent, const char *name,
                        size_t len, uint64_t hash)
{
    struct node *n = t->bucket[path_bucket(hash, t->bits)];

    for (; n; n = n->next)
        if (n->hash == hash && n->parent == parent && n->name_len == len &&
            !memcmp(n->name, name, len))
            return n;
    return NULL;
}

/* Is path the path of n? Equal hashes make it likely, so this compares from the end. */
static bool is_path_of(const struct node *n, const char *path, size_t len)
{
    for (; n->parent; n = n->parent) {
        if (len <= n->name_len || path[len - n->name_len - 1] != '/' ||
            memcmp(path + len - n->name_len, n->name, n->name_len))
            return false;
        len -= n->name_len + 1u;
    }
    return len == 0;
}

struct node *tree_find(const struct tree *t, const char *path, size_t len)
{
    uint64_t hash = path_hash(t->seed, path, len);
    struct node *n;

    if (len == 1)
        return t->root;
    for (n = t->bucket[path_bucket(hash, t->bits)]; n; n = n->next)
        if (n->hash == hash && is_path_of(n, path, len))
            return n;
    return NULL;
}

struct node *tree_nearest(const struct tree *t, const char *path, size_t len)
{
    struct node *n = t->root;
    size_t at = 1;

    while (at < len) {
        const char *end = memchr(path + at, '/', len - at);
        size_t name_len = (end ? (size_t)(end - path) : len) - at;
        struct node *child = tree_child(t, n, path + at, name_len,
                                        path_hash_child(n->hash, path + at, name_len));

        if (!child)
            break;
        n = child;
        at += name_len + 1;
    }
    return n;
}

/* Without memory the table stays as it is, which is only slower. */
static void grow(struct tree *t)
{
    struct node **bigger = calloc(2u << t->bits, sizeof(*bigger));

    if (!bigger)
        return;
    for (uint32_t b = 0; b < 1u << t->bits; b++) {
        struct node *n = t->bucket[b], *next;

        for (; n; n = next) {
            struct node **to = &bigger[path_bucket(n->hash, t->bits + 1)];

            next = n->next;
            n->next = *to;
            *to = n;
        }
    }
    free(t->bucket);
    t->bucket = bigger;
    t->bits++;
}

static void list_of_parent_changed(struct tree *t, struct node *n, bool added)
{
    uint32_t bytes = n->name_len + 1u;

    if (!n->parent)
        return;
    n->parent->list_changed = ++t->generation;
    n->parent->list_bytes += added ? bytes : -bytes;
}

void tree_link(struct tree *t, struct node *parent, struct node *n)
{
    struct node **bucket;

    if (t->count >= 1u << t->bits)
        grow(t);
    n->parent = parent;
    n->hash = parent ? path_hash_child(parent->hash, n->name, n->name_len) : t->seed;
    n->changed = n->list_changed = ++t->generation;
    bucket = &t->bucket[path_bucket(n->hash, t->bits)];
    n->next = *bucket;
    *bucket = n;
    if (parent)
        list_push_back(&parent->children, &n->sibling);
    list_push_back(&n->perms->owner->owned, &n->owned);
    n->perms->owner->nodes++;
    n->linked = true;
    t->count++;
    list_of_parent_changed(t, n, true);
}

void tree_unlink(struct tree *t, struct node *n)
{
    struct node **p = &t->bucket[path_bucket(n->hash, t->bits)];

    while (*p != n)
        p = &(*p)->next;
    *p = n->next;
    list_of_parent_changed(t, n, false);
    list_remove(&n->sibling);
    list_remove(&n->owned);
    n->perms->owner->nodes--;
    n->linked = false;
    n->parent = NULL;
    t->count--;
}

void node_set_value(struct tree *t, struct node *n, struct value *v)
{
    struct account *owner = n->perms->owner;

    owner->bytes += value_bytes(v);
    owner->bytes -= value_bytes(n->value);
    value_put(n->value);
    n->value = v;
    n->changed = ++t->generation;
}

struct perms *node_set_perms(struct tree *t, struct node *n, struct perms *p)
{
    struct perms *old = n->perms;

    old->owner->bytes -= node_bytes(n);
    n->perms = p;
    p->owner->bytes += node_bytes(n);
    if (n->linked && p->owner != old->owner) {
        list_remove(&n->owned);
        list_push_back(&p->owner->owned, &n->owned);
        old->owner->nodes--;
        p->owner->nodes++;
    }
    n->changed = ++t->generation;
    return old;
}

struct node *tree_deepest(struct node *n)
{
    while (!list_empty(&n->children))
        n = list_first(&n->children, struct node, sibling);
    return n;
}

struct node *tree_after(const struct node *top, struct node *n)
{
    if (n == top)
        return NULL;
    if (n->sibling.next != &n->parent->children)
        return tree_deepest(list_entry(n->sibling.next, struct node, sibling));
    return n->parent;
}

size_t node_path(const struct node *n, char *buf)
{
    size_t len = 0, at;

    if (!n->parent) {
        memcpy(buf, "/", 2);
        return 1;
    }
    for (const struct node *p = n; p->parent; p = p->parent)
        len += p->name_len + 1u;
    buf[len] = 0;
    for (at = len; n->parent; n = n->parent) {
        at -= n->name_len;
        memcpy(buf + at, n->name, n->name_len);
        buf[--at] = '/';
    }
    return len;
}
