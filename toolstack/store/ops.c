/* SPDX-License-Identifier: MIT */
/* ops.c - operations on the store: names, permissions, quotas, events. Pure. */
#include "toolstack/store/ops.h"

#include <stdlib.h>
#include <string.h>

#include "xenabi.h"

static const char *const special_name[STORE_SPECIALS] = {
    [STORE_INTRODUCE] = "@introduceDomain",
    [STORE_RELEASE] = "@releaseDomain",
};

/* The reference's defaults. */
static const struct store_quota default_quota = {
    .nodes = 1000,
    .watches = 128,
    .txns = 10,
    .perms = 5,
    .value = 2048,
    .bytes = 2500 * 1024,
};

/* ---- events ---- */

struct firing {
    const struct node *node;
    const struct perms *old; /* what the node's permissions were until now, or NULL */
};

static bool reads(const struct perms *p, const struct client *c)
{
    return perms_access(p, c->domid, c->account->target) & PERM_READ;
}

/* Who may list the parent sees the child come and go anyhow. */
static bool may_see_node(void *arg, const struct client *c)
{
    const struct firing *f = arg;

    return reads(f->node->perms, c) || (f->old && reads(f->old, c)) ||
           (f->node->parent && reads(f->node->parent->perms, c));
}

static void fire(void *ctx, struct node *n, bool exact, const struct perms *old)
{
    struct store *s = ctx;
    struct firing f = { .node = n, .old = old };
    size_t len, at;

    if (!s->watches.count)
        return;
    len = at = node_path(n, s->event);
    for (;;) {
        watch_fire(&s->watches, n->hash, s->event, at, s->event, len, may_see_node, &f);
        if (exact || !n->parent)
            return;
        at = n->parent->parent ? at - n->name_len - 1u : 1;
        n = n->parent;
    }
}

static bool may_see_special(void *arg, const struct client *c)
{
    return reads(arg, c);
}

static uint64_t special_hash(const struct store *s, const char *name, size_t len)
{
    return path_hash_bytes(s->tree.seed, name, len);
}

void store_fire_special(struct store *s, enum store_special which)
{
    const char *name = special_name[which];
    size_t len = strlen(name);

    watch_fire(&s->watches, special_hash(s, name, len), name, len, name, len, may_see_special,
               s->special[which]);
}

static struct perms **special_find(struct store *s, const char *path, size_t len)
{
    for (unsigned int i = 0; i < STORE_SPECIALS; i++)
        if (strlen(special_name[i]) == len && !memcmp(special_name[i], path, len))
            return &s->special[i];
    return NULL;
}

/* ---- the store and its clients ---- */

int store_init(struct store *s, uint64_t seed)
{
    int rc;

    memset(s, 0, sizeof(*s));
    s->quota = default_quota;
    rc = tree_init(&s->tree, seed);
    if (rc)
        return rc;
    rc = watch_table_init(&s->watches);
    if (rc) {
        tree_free(&s->tree);
        return rc;
    }
    for (unsigned int i = 0; i < STORE_SPECIALS; i++)
        s->special[i] = perms_ref(s->tree.root->perms);
    return 0;
}

void store_free(struct store *s)
{
    for (unsigned int i = 0; i < STORE_SPECIALS; i++)
        perms_put(&s->tree.perms, s->special[i]);
    watch_table_free(&s->watches);
    tree_free(&s->tree);
}

int client_init(struct store *s, struct client *c, uint16_t domid,
                void (*event)(struct client *c, struct watch *w, const char *path, size_t len))
{
    memset(c, 0, sizeof(*c));
    list_init(&c->watches);
    list_init(&c->txns);
    c->domid = domid;
    c->event = event;
    c->next_txn = 1;
    c->byte_limit = domid ? s->quota.bytes : SIZE_MAX;
    c->account = account_get(&s->tree.perms, domid);
    return c->account ? 0 : -XEN_ENOMEM;
}

void client_reset(struct store *s, struct client *c)
{
    while (!list_empty(&c->txns))
        txn_free(&s->tree, list_first(&c->txns, struct txn, of_client));
    while (!list_empty(&c->watches))
        watch_remove(&s->watches, list_first(&c->watches, struct watch, of_client));
}

void client_close(struct store *s, struct client *c)
{
    client_reset(s, c);
    account_put(&s->tree.perms, c->account);
    c->account = NULL;
}

static void remove_node(struct store *s, struct node *n)
{
    fire(s, n, false, NULL);
    tree_remove(&s->tree, n, fire, s);
}

void ops_domain_died(struct store *s, uint16_t domid)
{
    struct account *a = account_get(&s->tree.perms, domid);
    struct node *n;

    if (!a)
        return; /* no memory; then it had no account, hence no nodes */
    while ((n = list_first(&a->owned, struct node, owned)) && n != s->tree.root)
        remove_node(s, n);
    a->target = PERM_NO_TARGET;
    account_put(&s->tree.perms, a);
    perms_forget(&s->tree.perms, domid);
}

int ops_set_target(struct store *s, uint16_t domid, uint16_t target)
{
    struct account *a = account_find(&s->tree.perms, domid);

    if (!a)
        return -XEN_ENOENT;
    a->target = target;
    return 0;
}

/* ---- finding a node, as one sees it from inside or outside of a transaction ---- */

struct view {
    struct txn *x;
    struct tnode *t; /* inside */
    struct node *n;  /* outside; NULL: no such node */
};

static bool view_exists(const struct view *v)
{
    return v->x ? tnode_exists(v->t) : v->n != NULL;
}

static struct perms *view_perms(const struct view *v)
{
    return v->x ? tnode_perms(v->t) : v->n->perms;
}

/* From a node that is not there to its nearest ancestor that is. */
static void view_nearest(struct store *s, struct view *v)
{
    if (!v->x) {
        v->n = tree_nearest(&s->tree, s->path, s->path_len);
        return;
    }
    for (; !tnode_exists(v->t); v->t = v->t->parent)
        tnode_saw(v->t);
    tnode_saw(v->t);
}

static unsigned int access_of(const struct client *c, const struct view *v)
{
    return perms_access(view_perms(v), c->domid, c->account->target);
}

/*
 * Finds s->path, of which the client needs all of `need`. A node that is not there is reported
 * as such only to those who could do the same to the nearest ancestor; v is valid then, too.
 */
static int find(struct store *s, struct client *c, struct txn *x, unsigned int need,
                struct view *v)
{
    struct view near;
    int rc;

    *v = (struct view){ .x = x };
    if (x) {
        rc = txn_walk(x, &s->tree, s->path, s->path_len, &v->t);
        if (rc)
            return rc;
        tnode_saw(v->t);
    } else {
        v->n = tree_find(&s->tree, s->path, s->path_len);
    }
    if (view_exists(v))
        return (access_of(c, v) & need) == need ? 0 : -XEN_EACCES;
    near = *v;
    view_nearest(s, &near);
    return access_of(c, &near) & need ? -XEN_ENOENT : -XEN_EACCES;
}

/* Makes s->path of what the client wrote, then finds it. */
static int locate(struct store *s, struct client *c, struct txn *x, const char *path, size_t len,
                  unsigned int need, struct view *v)
{
    int rc = path_canonical(s->path, path, len, c->domid, NULL);

    if (rc < 0)
        return rc;
    s->path_len = (size_t)rc;
    return find(s, c, x, need, v);
}

/* ---- reading ---- */

int ops_read(struct store *s, struct client *c, struct txn *x, const char *path, size_t len,
             const struct value **value)
{
    struct view v;
    int rc = locate(s, c, x, path, len, PERM_READ, &v);

    if (!rc)
        *value = x ? tnode_value(v.t) : v.n->value;
    return rc;
}

static void list_inside(struct txn *x, struct tnode *t, ops_name_fn fn, void *arg)
{
    struct node *n;
    struct tnode *child;

    if (t->base && !(t->flags & TN_CREATED)) {
        list_for_each(n, &t->base->children, sibling) {
            child = txn_child(x, t, n->name, n->name_len, n->hash);
            if (!child || !(child->flags & (TN_HIDDEN | TN_CREATED)))
                fn(arg, n->name, n->name_len);
        }
    }
    list_for_each(child, &t->children, sibling)
        if (child->flags & TN_CREATED)
            fn(arg, child->name, child->name_len);
}

int ops_directory(struct store *s, struct client *c, struct txn *x, const char *path, size_t len,
                  ops_name_fn fn, void *arg, uint64_t *generation)
{
    struct view v;
    struct node *n;
    int rc = locate(s, c, x, path, len, PERM_READ, &v);

    if (rc)
        return rc;
    if (x) {
        tnode_listed(v.t);
        if (fn)
            list_inside(x, v.t, fn, arg);
        if (generation)
            *generation = v.t->list_generation ? v.t->list_generation : v.t->base->list_changed;
        return 0;
    }
    if (fn)
        list_for_each(n, &v.n->children, sibling)
            fn(arg, n->name, n->name_len);
    if (generation)
        *generation = v.n->list_changed;
    return 0;
}

int ops_get_perms(struct store *s, struct client *c, struct txn *x, const char *path, size_t len,
                  const struct perms **perms)
{
    struct view v;
    int rc;

    if (len && path[0] == '@') {
        struct perms **special = special_find(s, path, len);

        if (!special)
            return -XEN_EINVAL;
        *perms = *special;
        return reads(*special, c) ? 0 : -XEN_EACCES;
    }
    rc = locate(s, c, x, path, len, PERM_READ, &v);
    if (!rc)
        *perms = view_perms(&v);
    return rc;
}

/* ---- changing ---- */

/* How many nodes s->path lacks. */
static unsigned int missing(struct store *s, const struct view *v)
{
    unsigned int n = 0;

    if (v->x) {
        for (struct tnode *t = v->t; !tnode_exists(t); t = t->parent)
            n++;
    } else {
        size_t stop = node_path(tree_nearest(&s->tree, s->path, s->path_len), s->event);

        for (size_t len = s->path_len; len > stop; len = path_parent(s->path, len))
            n++;
    }
    return n;
}

static int check_room(struct store *s, struct client *c, const struct view *v, size_t value_len)
{
    unsigned int n;

    if (!c->domid)
        return 0;
    n = missing(s, v);
    if (c->account->nodes + (v->x ? v->x->created : 0) + n > s->quota.nodes)
        return -XEN_ENOSPC;
    if (!client_affords(c, n * (sizeof(struct node) + s->quota.perms * sizeof(struct perm)) +
                               s->path_len + value_len))
        return -XEN_ENOMEM;
    return 0;
}

/* Outside: links s->path with all that is missing above it; borrows p, takes over v. */
static int create_outside(struct store *s, struct node *near, struct perms *p, struct value *v)
{
    struct node *leaf = NULL, *top = NULL, *n;
    size_t len = s->path_len, stop = node_path(near, s->event);

    /* From the leaf up; `parent` chains the nodes until they are linked. */
    for (; len > stop; len = path_parent(s->path, len)) {
        const char *name = path_last(s->path, len);

        n = node_new(&s->tree, name, (size_t)(s->path + len - name), perms_ref(p), NULL);
        if (!n)
            break;
        n->parent = top;
        top = n;
        leaf = leaf ? leaf : n;
    }
    if (len > stop) {
        perms_put(&s->tree.perms, p);
        while ((n = top)) {
            top = n->parent;
            node_free(&s->tree, n);
        }
        return -XEN_ENOMEM;
    }
    if (v)
        node_set_value(&s->tree, leaf, v);
    while ((n = top)) {
        top = n->parent;
        tree_link(&s->tree, near, n);
        near = n;
    }
    fire(s, leaf, false, NULL);
    return 0;
}

/* Creates s->path, which find() did not find; takes over value unless it fails. */
static int create(struct store *s, struct client *c, struct view *v, struct value *value)
{
    struct view near = *v;
    struct perms *p;
    int rc;

    rc = check_room(s, c, v, value_bytes(value));
    if (rc)
        return rc;
    view_nearest(s, &near);
    p = view_perms(&near);
    p = c->domid ? perms_get_owned(&s->tree.perms, p, c->domid) : perms_ref(p);
    if (!p)
        return -XEN_ENOMEM;
    rc = v->x ? txn_create(v->x, &s->tree, v->t, p, value)
              : create_outside(s, near.n, p, value);
    perms_put(&s->tree.perms, p);
    return rc;
}

static int set_value(struct store *s, struct client *c, struct view *v, struct value *value)
{
    if (!client_affords(c, value_bytes(value)))
        return -XEN_ENOMEM;
    if (v->x)
        return txn_set_value(v->x, &s->tree, v->t, value);
    node_set_value(&s->tree, v->n, value);
    fire(s, v->n, false, NULL);
    return 0;
}

int ops_write(struct store *s, struct client *c, struct txn *x, const char *path, size_t len,
              const void *bytes, size_t value_len)
{
    struct value *value = NULL;
    struct view v;
    int rc = locate(s, c, x, path, len, PERM_WRITE, &v);

    if (rc && rc != -XEN_ENOENT)
        return rc;
    if (value_len > (c->domid ? s->quota.value : XENSTORE_PAYLOAD_MAX))
        return -XEN_ENOSPC;
    if (value_len) {
        value = value_new(bytes, value_len);
        if (!value)
            return -XEN_ENOMEM;
    }
    rc = rc ? create(s, c, &v, value) : set_value(s, c, &v, value);
    if (rc)
        value_put(value);
    return rc;
}

int ops_mkdir(struct store *s, struct client *c, struct txn *x, const char *path, size_t len)
{
    struct view v;
    int rc = locate(s, c, x, path, len, PERM_WRITE, &v);

    return rc == -XEN_ENOENT ? create(s, c, &v, NULL) : rc;
}

/* There is no s->path: is there at least its parent? */
static int rm_missing(struct store *s, struct view *v)
{
    if (v->x) {
        tnode_saw(v->t->parent);
        return tnode_exists(v->t->parent) ? 0 : -XEN_ENOENT;
    }
    return tree_find(&s->tree, s->path, path_parent(s->path, s->path_len)) ? 0 : -XEN_ENOENT;
}

int ops_rm(struct store *s, struct client *c, struct txn *x, const char *path, size_t len)
{
    struct view v;
    int rc = locate(s, c, x, path, len, PERM_WRITE, &v);

    if (rc == -XEN_ENOENT)
        return rm_missing(s, &v);
    if (rc)
        return rc;
    if (s->path_len == 1)
        return -XEN_EINVAL;
    if (x)
        txn_remove(x, &s->tree, v.t);
    else
        remove_node(s, v.n);
    return 0;
}

static int set_special_perms(struct store *s, struct client *c, const char *path, size_t len,
                             const struct perm *entry, unsigned int count)
{
    struct perms **special = special_find(s, path, len), *p;

    if (!special)
        return -XEN_EINVAL;
    if (c->domid)
        return -XEN_EACCES;
    p = perms_get(&s->tree.perms, entry, count);
    if (!p)
        return -XEN_ENOMEM;
    perms_put(&s->tree.perms, *special);
    *special = p;
    return 0;
}

int ops_set_perms(struct store *s, struct client *c, struct txn *x, const char *path, size_t len,
                  const struct perm *entry, unsigned int count)
{
    struct perms *p, *old;
    struct view v;
    int rc;

    if (!count || count > PERMS_MAX)
        return -XEN_EINVAL;
    if (c->domid && count > s->quota.perms)
        return -XEN_ENOSPC;
    if (len && path[0] == '@')
        return set_special_perms(s, c, path, len, entry, count);
    rc = locate(s, c, x, path, len, PERM_WRITE | PERM_OWNER, &v);
    if (rc)
        return rc;
    if (c->domid && view_perms(&v)->owner->domid != entry[0].domid)
        return -XEN_EPERM;
    if (s->path_len == 1 && entry[0].domid)
        return -XEN_EINVAL; /* the root outlives every domain */
    p = perms_get(&s->tree.perms, entry, count);
    if (!p)
        return -XEN_ENOMEM;
    if (x) {
        txn_set_perms(x, &s->tree, v.t, p);
        return 0;
    }
    old = node_set_perms(&s->tree, v.n, p);
    fire(s, v.n, false, old);
    perms_put(&s->tree.perms, old);
    return 0;
}

/* ---- watches and transactions ---- */

/* s->path and its hash of what is to be watched. */
static int watched_path(struct store *s, struct client *c, const char *path, size_t len,
                        uint64_t *hash, uint32_t *base)
{
    int rc;

    if (path_is_special(path, len)) {
        memcpy(s->path, path, len);
        s->path[len] = 0;
        s->path_len = len;
        *hash = special_hash(s, path, len);
        *base = 0;
        return 0;
    }
    rc = path_canonical(s->path, path, len, c->domid, base);
    if (rc < 0)
        return rc;
    s->path_len = (size_t)rc;
    *hash = path_hash(s->tree.seed, s->path, s->path_len);
    return 0;
}

int ops_watch(struct store *s, struct client *c, const char *path, size_t len, const char *token,
              size_t token_len, struct watch **w)
{
    uint64_t hash;
    uint32_t base;
    int rc = watched_path(s, c, path, len, &hash, &base);

    if (rc)
        return rc;
    if (watch_find(&s->watches, c, hash, s->path, s->path_len, token, token_len))
        return -XEN_EEXIST;
    if (c->domid && c->nr_watches >= s->quota.watches)
        return -XEN_E2BIG;
    if (!client_affords(c, watch_bytes(s->path_len, token_len)))
        return -XEN_ENOMEM;
    return watch_add(&s->watches, c, hash, s->path, s->path_len, base, token, token_len, w);
}

int ops_find_watch(struct store *s, struct client *c, const char *path, size_t len,
                   const char *token, size_t token_len, struct watch **w)
{
    uint64_t hash;
    uint32_t base;
    int rc = watched_path(s, c, path, len, &hash, &base);

    if (rc)
        return rc;
    *w = watch_find(&s->watches, c, hash, s->path, s->path_len, token, token_len);
    return *w ? 0 : -XEN_ENOENT;
}

int ops_txn_start(struct store *s, struct client *c, struct txn **x)
{
    if (c->domid && c->nr_txns >= s->quota.txns)
        return -XEN_ENOSPC;
    while (!c->next_txn || txn_find(c, c->next_txn))
        c->next_txn++;
    *x = txn_new(&s->tree, c, c->next_txn);
    if (!*x)
        return -XEN_ENOMEM;
    c->next_txn++;
    return 0;
}

int ops_txn_end(struct store *s, struct txn *x, bool commit)
{
    struct client *c = x->client;
    int rc = 0;

    if (commit && txn_conflicts(x, &s->tree))
        rc = -XEN_EAGAIN;
    else if (commit && c->domid && (long)c->account->nodes + txn_growth(x) > (long)s->quota.nodes)
        rc = -XEN_ENOSPC;
    else if (commit)
        txn_apply(x, &s->tree, fire, s);
    txn_free(&s->tree, x);
    return rc;
}
