/* SPDX-License-Identifier: MIT */
/* txn.c - transactions: what was seen, what is to change. Pure. */
#include "toolstack/store/txn.h"

#include <stdlib.h>
#include <string.h>

#include "xenabi.h"

#define FIRST_BITS 4

static size_t tnode_bytes(const struct tnode *t)
{
    return sizeof(*t) + t->name_len + 1;
}

/* Without memory the table stays as it is, which is only slower. */
static void grow(struct txn *x)
{
    struct tnode **bigger = calloc(2u << x->bits, sizeof(*bigger));

    if (!bigger)
        return;
    for (uint32_t b = 0; b < 1u << x->bits; b++) {
        struct tnode *t = x->bucket[b], *next;

        for (; t; t = next) {
            struct tnode **to = &bigger[path_bucket(t->hash, x->bits + 1)];

            next = t->next;
            t->next = *to;
            *to = t;
        }
    }
    free(x->bucket);
    x->bucket = bigger;
    x->bits++;
}

static struct tnode *tnode_new(struct txn *x, struct tnode *parent, const char *name, size_t len,
                               uint64_t hash)
{
    bool affordable = client_affords(x->client, sizeof(struct tnode) + len + 1);
    struct tnode *t = affordable ? malloc(sizeof(*t) + len + 1) : NULL;
    struct tnode **bucket;

    if (!t)
        return NULL;
    if (x->count >= 1u << x->bits)
        grow(x);
    memset(t, 0, sizeof(*t));
    list_init(&t->children);
    list_init(&t->sibling);
    list_init(&t->changed);
    t->parent = parent;
    t->hash = hash;
    t->name_len = (uint16_t)len;
    memcpy(t->name, name, len);
    t->name[len] = 0;
    if (parent) {
        list_push_back(&parent->children, &t->sibling);
        t->flags = parent->flags & TN_HIDDEN;
    }
    bucket = &x->bucket[path_bucket(hash, x->bits)];
    t->next = *bucket;
    *bucket = t;
    list_push_back(&x->all, &t->of_txn);
    x->count++;
    x->client->account->bytes += tnode_bytes(t);
    return t;
}

struct txn *txn_new(struct tree *tree, struct client *c, uint32_t id)
{
    struct txn *x = client_affords(c, sizeof(*x)) ? calloc(1, sizeof(*x)) : NULL;

    if (!x)
        return NULL;
    x->client = c;
    x->id = id;
    x->bits = FIRST_BITS;
    list_init(&x->all);
    list_init(&x->changes);
    x->bucket = calloc(1u << x->bits, sizeof(*x->bucket));
    if (x->bucket)
        x->root = tnode_new(x, NULL, "", 0, tree->seed);
    if (!x->root) {
        free(x->bucket);
        free(x);
        return NULL;
    }
    x->root->base = tree->root;
    c->account->bytes += sizeof(*x);
    c->nr_txns++;
    list_push_back(&c->txns, &x->of_client);
    return x;
}

struct txn *txn_find(const struct client *c, uint32_t id)
{
    struct txn *x;

    list_for_each(x, &c->txns, of_client)
        if (x->id == id)
            return x;
    return NULL;
}

static void put_value(struct tnode *t, struct value *v, struct txn *x)
{
    x->client->account->bytes += value_bytes(v);
    x->client->account->bytes -= value_bytes(t->value);
    value_put(t->value);
    t->value = v;
}

static void put_perms(struct tnode *t, struct perms *p, struct tree *tree)
{
    if (t->perms)
        perms_put(&tree->perms, t->perms);
    t->perms = p;
}

/* Whatever was to be changed at t is not any more. */
static void drop_changes(struct txn *x, struct tree *tree, struct tnode *t)
{
    if (t->flags & TN_CREATED) {
        node_free(tree, t->node);
        t->node = NULL;
        x->created--;
    }
    put_value(t, NULL, x);
    put_perms(t, NULL, tree);
    t->flags &= ~(TN_CREATED | TN_VALUE | TN_PERMS | TN_FIRE);
    list_remove(&t->changed);
}

void txn_free(struct tree *tree, struct txn *x)
{
    struct client *c = x->client;
    struct tnode *t, *tmp;

    list_for_each_safe(t, tmp, &x->all, of_txn) {
        drop_changes(x, tree, t);
        c->account->bytes -= tnode_bytes(t);
        free(t);
    }
    c->account->bytes -= sizeof(*x);
    c->nr_txns--;
    list_remove(&x->of_client);
    free(x->bucket);
    free(x);
}

struct tnode *txn_child(const struct txn *x, const struct tnode *parent, const char *name,
                        size_t len, uint64_t hash)
{
    struct tnode *t = x->bucket[path_bucket(hash, x->bits)];

    for (; t; t = t->next)
        if (t->hash == hash && t->parent == parent && t->name_len == len &&
            !memcmp(t->name, name, len))
            return t;
    return NULL;
}

static void find_base(struct tnode *t, const struct tree *tree)
{
    if (!t->parent)
        t->base = tree->root;
    else if ((t->flags & TN_HIDDEN) || !t->parent->base)
        t->base = NULL;
    else
        t->base = tree_child(tree, t->parent->base, t->name, t->name_len, t->hash);
}

int txn_walk(struct txn *x, const struct tree *tree, const char *path, size_t len,
             struct tnode **out)
{
    struct tnode *t = x->root;
    size_t at = 1;

    while (at < len) {
        const char *end = memchr(path + at, '/', len - at);
        size_t name_len = (end ? (size_t)(end - path) : len) - at;
        uint64_t hash = path_hash_child(t->hash, path + at, name_len);
        struct tnode *child = txn_child(x, t, path + at, name_len, hash);

        if (!child)
            child = tnode_new(x, t, path + at, name_len, hash);
        if (!child)
            return -XEN_ENOMEM;
        find_base(child, tree);
        t = child;
        at += name_len + 1;
    }
    *out = t;
    return 0;
}

struct perms *tnode_perms(const struct tnode *t)
{
    if (t->flags & TN_CREATED)
        return t->node->perms;
    return t->flags & TN_PERMS ? t->perms : t->base->perms;
}

struct value *tnode_value(const struct tnode *t)
{
    if (t->flags & TN_CREATED)
        return t->node->value;
    return t->flags & TN_VALUE ? t->value : t->base->value;
}

/*
 * Two looks at different states can never both be right, even if the first state comes back:
 * a node that was not there, was there, and is not there any more looks the same at the end.
 */
void tnode_saw(struct tnode *t)
{
    uint64_t now = t->base ? t->base->changed : 0;

    if (t->flags & (TN_HIDDEN | TN_CREATED))
        return;
    if ((t->flags & TN_SEEN) && t->seen != now)
        t->flags |= TN_STALE;
    t->flags |= TN_SEEN;
    t->seen = now;
}

void tnode_listed(struct tnode *t)
{
    if ((t->flags & TN_HIDDEN) || !t->base)
        return;
    if ((t->flags & TN_LISTED) && t->list_seen != t->base->list_changed)
        t->flags |= TN_STALE;
    t->flags |= TN_LISTED;
    t->list_seen = t->base->list_changed;
}

static void note_change(struct txn *x, struct tnode *t)
{
    if (list_empty(&t->changed))
        list_push_back(&x->changes, &t->changed);
}

static void note_list_change(struct tree *tree, struct tnode *t)
{
    if (t->parent)
        t->parent->list_generation = ++tree->generation;
}

int txn_set_value(struct txn *x, struct tree *tree, struct tnode *t, struct value *v)
{
    if (t->flags & TN_CREATED) {
        node_set_value(tree, t->node, v);
    } else {
        if (!client_affords(x->client, value_bytes(v)))
            return -XEN_ENOMEM;
        put_value(t, v, x);
        t->flags |= TN_VALUE;
    }
    t->flags |= TN_FIRE;
    note_change(x, t);
    return 0;
}

void txn_set_perms(struct txn *x, struct tree *tree, struct tnode *t, struct perms *p)
{
    if (t->flags & TN_CREATED) {
        perms_put(&tree->perms, node_set_perms(tree, t->node, p));
    } else {
        put_perms(t, p, tree);
        t->flags |= TN_PERMS;
    }
    t->flags |= TN_FIRE;
    note_change(x, t);
}

/* Prepares the nodes for t and its missing ancestors, or none of them. */
static bool prepare(struct tree *tree, struct tnode *t, struct perms *p)
{
    struct tnode *up;

    for (up = t; !tnode_exists(up); up = up->parent) {
        up->node = node_new(tree, up->name, up->name_len, perms_ref(p), NULL);
        if (up->node)
            continue;
        perms_put(&tree->perms, p);
        for (; t != up; t = t->parent) {
            node_free(tree, t->node);
            t->node = NULL;
        }
        return false;
    }
    return true;
}

int txn_create(struct txn *x, struct tree *tree, struct tnode *t, struct perms *p,
               struct value *v)
{
    struct list *before = &x->changes;

    if (!prepare(tree, t, p))
        return -XEN_ENOMEM;
    if (v)
        node_set_value(tree, t->node, v);
    /* Each goes before its child, so that parents are linked first. */
    for (struct tnode *up = t; !tnode_exists(up); up = up->parent) {
        tnode_saw(up); /* that it is not there */
        list_remove(&up->changed);
        list_push_back(before, &up->changed);
        before = &up->changed;
        put_value(up, NULL, x); /* of a node that went away under us: x is doomed anyway */
        put_perms(up, NULL, tree);
        up->flags = (up->flags & ~(TN_VALUE | TN_PERMS)) | TN_CREATED;
        x->created++;
        up->list_generation = ++tree->generation;
        note_list_change(tree, up);
    }
    t->flags |= TN_FIRE;
    return 0;
}

static struct tnode *tnode_next_below(const struct tnode *top, struct tnode *t)
{
    if (!list_empty(&t->children))
        return list_first(&t->children, struct tnode, sibling);
    while (t != top && t->sibling.next == &t->parent->children)
        t = t->parent;
    return t == top ? NULL : list_entry(t->sibling.next, struct tnode, sibling);
}

void txn_remove(struct txn *x, struct tree *tree, struct tnode *t)
{
    bool in_tree = t->base || (t->flags & TN_REMOVED);

    for (struct tnode *below = t; below; below = tnode_next_below(t, below)) {
        drop_changes(x, tree, below);
        below->flags = (below->flags & ~TN_REMOVED) | TN_HIDDEN; /* goes with t */
        below->base = NULL;
    }
    if (in_tree) {
        t->flags |= TN_REMOVED;
        note_change(x, t);
    }
    note_list_change(tree, t);
}

/* Here base is what the tree really has, not what x wants to see. */
bool txn_conflicts(struct txn *x, const struct tree *tree)
{
    struct tnode *t;
    bool conflict = false;

    list_for_each(t, &x->all, of_txn) {
        if (!t->parent)
            t->base = tree->root;
        else
            t->base = t->parent->base ? tree_child(tree, t->parent->base, t->name, t->name_len,
                                                   t->hash) : NULL;
        if (t->flags & TN_STALE)
            conflict = true;
        if ((t->flags & TN_SEEN) && t->seen != (t->base ? t->base->changed : 0))
            conflict = true;
        if ((t->flags & TN_LISTED) && (!t->base || t->list_seen != t->base->list_changed))
            conflict = true;
    }
    return conflict;
}

long txn_growth(const struct txn *x)
{
    const struct account *a = x->client->account;
    struct tnode *t;
    long growth = 0;

    list_for_each(t, &x->changes, changed) {
        if (t->flags & TN_CREATED)
            growth += t->node->perms->owner == a;
        if (t->flags & TN_REMOVED)
            for (struct node *n = tree_deepest(t->base); n; n = tree_after(t->base, n))
                growth -= n->perms->owner == a;
    }
    return growth;
}

void tree_remove(struct tree *tree, struct node *top, tree_fire_fn fire, void *ctx)
{
    struct node *n = tree_deepest(top), *after;

    for (; n; n = after) {
        after = tree_after(top, n);
        if (n != top)
            fire(ctx, n, true, NULL);
        tree_unlink(tree, n);
        node_free(tree, n);
    }
}

static void apply_one(struct tree *tree, struct tnode *t, tree_fire_fn fire, void *ctx)
{
    struct perms *old = NULL;

    if (t->flags & TN_REMOVED) {
        old = perms_ref(t->base->perms);
        if (!(t->flags & TN_CREATED))
            fire(ctx, t->base, false, NULL);
        tree_remove(tree, t->base, fire, ctx);
        t->base = NULL;
    }
    if (t->flags & TN_CREATED) {
        t->base = t->node;
        tree_link(tree, t->parent->base, t->node);
        t->node = NULL;
    }
    if (t->flags & TN_VALUE) {
        node_set_value(tree, t->base, t->value);
        t->value = NULL;
    }
    if (t->flags & TN_PERMS) {
        old = node_set_perms(tree, t->base, t->perms);
        t->perms = NULL;
    }
    if (t->base && (t->flags & (TN_FIRE | TN_REMOVED)))
        fire(ctx, t->base, false, old);
    if (old)
        perms_put(&tree->perms, old);
}

void txn_apply(struct txn *x, struct tree *tree, tree_fire_fn fire, void *ctx)
{
    struct tnode *t;

    list_for_each(t, &x->changes, changed) {
        /* What is prepared was charged to the client until now. */
        if (t->flags & TN_VALUE)
            x->client->account->bytes -= value_bytes(t->value);
        apply_one(tree, t, fire, ctx);
        t->flags &= ~(TN_CREATED | TN_VALUE | TN_PERMS);
        x->created = 0;
    }
}
