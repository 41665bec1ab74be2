/* SPDX-License-Identifier: MIT */
/* wire.c - one message of the store's protocol: parse, do, answer. Pure. */
#include "toolstack/store/wire.h"

#include <string.h>

#include "lib/printf.h"

struct call {
    struct wire *w;
    struct client *c;
    struct txn *x;
    const char *path;     /* PATH: what it is about */
    size_t path_len;
    const char *at, *end; /* what is left of the payload */
    size_t len;           /* of the answer so far */
};

static const struct {
    int rc;
    const char *name;
} errors[] = {
    /* What the public header lists; the first stands in for all others. */
    { -XEN_EINVAL, "EINVAL" },   { -XEN_EACCES, "EACCES" },       { -XEN_EEXIST, "EEXIST" },
    { -XEN_EISDIR, "EISDIR" },   { -XEN_ENOENT, "ENOENT" },       { -XEN_ENOMEM, "ENOMEM" },
    { -XEN_ENOSPC, "ENOSPC" },   { -XEN_EIO, "EIO" },             { -XEN_ENOTEMPTY, "ENOTEMPTY" },
    { -XEN_ENOSYS, "ENOSYS" },   { -XEN_EROFS, "EROFS" },         { -XEN_EBUSY, "EBUSY" },
    { -XEN_EAGAIN, "EAGAIN" },   { -XEN_EISCONN, "EISCONN" },     { -XEN_E2BIG, "E2BIG" },
    { -XEN_EPERM, "EPERM" },
};

/* ---- the payload of a request ---- */

/* The next NUL-terminated string. */
static bool string(struct call *k, const char **s, size_t *len)
{
    const char *nul = k->at < k->end ? memchr(k->at, 0, (size_t)(k->end - k->at)) : NULL;

    if (!nul)
        return false;
    *s = k->at;
    *len = (size_t)(nul - k->at);
    k->at = nul + 1;
    return true;
}

static bool number(struct call *k, uint64_t max, uint64_t *value)
{
    const char *s;
    size_t len;

    if (!string(k, &s, &len) || !len || len > 19)
        return false;
    *value = 0;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        *value = *value * 10 + (uint64_t)(s[i] - '0');
    }
    return *value <= max;
}

static bool domain(struct call *k, uint16_t *domid)
{
    uint64_t v;

    if (!number(k, DOMID_FIRST_RESERVED - 1, &v))
        return false;
    *domid = (uint16_t)v;
    return true;
}

/* ---- the payload of an answer ---- */

static int put(struct call *k, const void *bytes, size_t len)
{
    if (len > sizeof(k->w->reply) - k->len)
        return -XEN_E2BIG;
    memcpy(k->w->reply + k->len, bytes, len);
    k->len += len;
    return 0;
}

static int put_string(struct call *k, const char *s)
{
    return put(k, s, strlen(s) + 1);
}

/* ---- one function per type ---- */

static int do_read(struct call *k)
{
    const struct value *v = NULL;
    int rc = ops_read(&k->w->store, k->c, k->x, k->path, k->path_len, &v);

    return rc || !v ? rc : put(k, v->bytes, v->len);
}

static int do_write(struct call *k)
{
    return ops_write(&k->w->store, k->c, k->x, k->path, k->path_len, k->at, (size_t)(k->end - k->at));
}

static int do_mkdir(struct call *k)
{
    return ops_mkdir(&k->w->store, k->c, k->x, k->path, k->path_len);
}

static int do_rm(struct call *k)
{
    return ops_rm(&k->w->store, k->c, k->x, k->path, k->path_len);
}

/* A window of the list of children, as if it were one string of names with their NULs. */
struct listing {
    struct call *k;
    size_t at;    /* offset of the next name */
    size_t from;  /* first offset wanted */
    bool whole;   /* only whole names, and stop at the first that does not fit */
    bool full;
    int rc;
};

static void list_name(void *arg, const char *name, size_t len)
{
    struct listing *l = arg;
    size_t size = len + 1, skip = l->from > l->at ? MIN(l->from - l->at, size) : 0;

    l->at += size;
    if (skip == size || l->full)
        return;
    /* One byte stays free for the NUL that ends a complete list. */
    if (l->whole && size - skip > sizeof(l->k->w->reply) - 1 - l->k->len)
        l->full = true;
    else if (!l->rc)
        l->rc = put(l->k, name + skip, size - skip);
}

static int do_directory(struct call *k)
{
    struct listing l = { .k = k };
    int rc = ops_directory(&k->w->store, k->c, k->x, k->path, k->path_len, list_name, &l, NULL);

    return rc ? rc : l.rc;
}

static int do_directory_part(struct call *k)
{
    struct listing l = { .k = k, .whole = true };
    uint64_t from, generation;
    char text[24];
    int rc;

    if (!number(k, UINT32_MAX, &from) || k->at != k->end)
        return -XEN_EINVAL;
    rc = ops_directory(&k->w->store, k->c, k->x, k->path, k->path_len, NULL, NULL, &generation);
    if (rc)
        return rc;
    snprintf(text, sizeof(text), "%llu", (unsigned long long)generation);
    put_string(k, text);
    l.from = from;
    rc = ops_directory(&k->w->store, k->c, k->x, k->path, k->path_len, list_name, &l, NULL);
    if (rc || l.rc)
        return rc ? rc : l.rc;
    return l.full ? 0 : put(k, "", 1);
}

static int do_get_perms(struct call *k)
{
    const struct perms *p;
    char text[PERM_TEXT];
    int rc = ops_get_perms(&k->w->store, k->c, k->x, k->path, k->path_len, &p);

    if (rc)
        return rc;
    for (unsigned int i = 0; i < p->count; i++) {
        if (p->entry[i].domid == PERM_NOBODY)
            continue;
        perm_format(text, &p->entry[i]);
        put_string(k, text);
    }
    return 0;
}

static int do_set_perms(struct call *k)
{
    struct perm entry[PERMS_MAX];
    unsigned int count = 0;
    const char *text;
    size_t len;
    int rc;

    while (k->at < k->end) {
        if (!string(k, &text, &len))
            return -XEN_EINVAL;
        if (count == PERMS_MAX)
            return -XEN_ENOSPC;
        rc = perm_parse(&entry[count++], text, len);
        if (rc)
            return rc;
    }
    return ops_set_perms(&k->w->store, k->c, k->x, k->path, k->path_len, entry, count);
}

static int do_watch(struct call *k)
{
    const char *token;
    struct watch *w;
    size_t len;
    int rc;

    if (!string(k, &token, &len))
        return -XEN_EINVAL;
    rc = ops_watch(&k->w->store, k->c, k->path, k->path_len, token, len, &w);
    if (!rc)
        k->c->event(k->c, w, watch_path(w), w->group->point->len);
    return rc;
}

static int do_unwatch(struct call *k)
{
    const char *token;
    struct watch *w;
    size_t len;
    int rc;

    if (!string(k, &token, &len))
        return -XEN_EINVAL;
    rc = ops_find_watch(&k->w->store, k->c, k->path, k->path_len, token, len, &w);
    if (!rc)
        watch_remove(&k->w->store.watches, w);
    return rc;
}

static int do_reset_watches(struct call *k)
{
    client_reset(&k->w->store, k->c);
    return 0;
}

static int do_transaction_start(struct call *k)
{
    struct txn *x;
    char text[16];
    int rc;

    if (k->x)
        return -XEN_EBUSY;
    rc = ops_txn_start(&k->w->store, k->c, &x);
    if (rc)
        return rc;
    snprintf(text, sizeof(text), "%u", x->id);
    return put_string(k, text);
}

static int do_transaction_end(struct call *k)
{
    const char *how;
    size_t len;

    if (!string(k, &how, &len) || k->at != k->end || len != 1 || (*how != 'T' && *how != 'F'))
        return -XEN_EINVAL;
    if (!k->x)
        return -XEN_ENOENT;
    return ops_txn_end(&k->w->store, k->x, *how == 'T');
}

static int do_get_domain_path(struct call *k)
{
    char text[32];
    uint16_t domid;

    if (!domain(k, &domid))
        return -XEN_EINVAL;
    snprintf(text, sizeof(text), "/local/domain/%u", domid);
    return put_string(k, text);
}

static int do_is_introduced(struct call *k)
{
    uint16_t domid;

    if (!domain(k, &domid))
        return -XEN_EINVAL;
    return put_string(k, k->w->is_introduced && k->w->is_introduced(domid) ? "T" : "F");
}

static int do_introduce(struct call *k)
{
    uint64_t gfn, port;
    uint16_t domid;

    if (!domain(k, &domid) || !number(k, UINT64_MAX, &gfn) || !number(k, UINT32_MAX, &port))
        return -XEN_EINVAL;
    return k->w->introduce ? k->w->introduce(domid, gfn, (uint32_t)port) : -XEN_ENOSYS;
}

static int do_release(struct call *k)
{
    uint16_t domid;

    if (!domain(k, &domid))
        return -XEN_EINVAL;
    return k->w->release ? k->w->release(domid) : -XEN_ENOSYS;
}

static int do_resume(struct call *k)
{
    uint16_t domid;

    if (!domain(k, &domid))
        return -XEN_EINVAL;
    return k->w->resume ? k->w->resume(domid) : -XEN_ENOSYS;
}

static int do_set_target(struct call *k)
{
    uint16_t domid, target;

    if (!domain(k, &domid) || !domain(k, &target))
        return -XEN_EINVAL;
    return ops_set_target(&k->w->store, domid, target);
}

/* Commands to the reference's own process: we have none, for anybody. */
static int do_control(struct call *k)
{
    return -XEN_ENOSYS;
}

enum {
    IN_TXN = 1,    /* the transaction id counts; otherwise it is ignored */
    DOM0_ONLY = 2,
    PATH = 4,      /* the first string is a path */
    ALONE = 8,     /* ... and nothing follows it */
    SAYS_OK = 16,  /* "OK" is the answer */
};

static const struct {
    int (*fn)(struct call *k);
    unsigned int flags;
} types[XS_TYPE_COUNT] = {
    [XS_CONTROL] = { do_control, DOM0_ONLY },
    [XS_DIRECTORY] = { do_directory, IN_TXN | PATH | ALONE },
    [XS_READ] = { do_read, IN_TXN | PATH | ALONE },
    [XS_GET_PERMS] = { do_get_perms, IN_TXN | PATH | ALONE },
    [XS_WATCH] = { do_watch, PATH | SAYS_OK },
    [XS_UNWATCH] = { do_unwatch, PATH | SAYS_OK },
    [XS_TRANSACTION_START] = { do_transaction_start, IN_TXN },
    [XS_TRANSACTION_END] = { do_transaction_end, IN_TXN | SAYS_OK },
    [XS_INTRODUCE] = { do_introduce, DOM0_ONLY | SAYS_OK },
    [XS_RELEASE] = { do_release, DOM0_ONLY | SAYS_OK },
    [XS_GET_DOMAIN_PATH] = { do_get_domain_path, 0 },
    [XS_WRITE] = { do_write, IN_TXN | PATH | SAYS_OK },
    [XS_MKDIR] = { do_mkdir, IN_TXN | PATH | ALONE | SAYS_OK },
    [XS_RM] = { do_rm, IN_TXN | PATH | ALONE | SAYS_OK },
    [XS_SET_PERMS] = { do_set_perms, IN_TXN | PATH | SAYS_OK },
    [XS_IS_DOMAIN_INTRODUCED] = { do_is_introduced, 0 },
    [XS_RESUME] = { do_resume, DOM0_ONLY | SAYS_OK },
    [XS_SET_TARGET] = { do_set_target, DOM0_ONLY | SAYS_OK },
    [XS_RESET_WATCHES] = { do_reset_watches, SAYS_OK },
    [XS_DIRECTORY_PART] = { do_directory_part, IN_TXN | PATH },
};

void wire_error(struct wire *w, struct xsd_sockmsg *msg, int rc)
{
    const char *name = errors[0].name;

    for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
        if (errors[i].rc == rc)
            name = errors[i].name;
    msg->type = XS_ERROR;
    msg->len = (uint32_t)strlen(name) + 1;
    memcpy(w->reply, name, msg->len);
}

static int dispatch(struct call *k, const struct xsd_sockmsg *msg)
{
    unsigned int flags;
    int rc;

    if (msg->type >= XS_TYPE_COUNT || !types[msg->type].fn)
        return -XEN_ENOSYS;
    flags = types[msg->type].flags;
    if ((flags & DOM0_ONLY) && k->c->domid)
        return -XEN_EACCES;
    if ((flags & IN_TXN) && msg->tx_id) {
        k->x = txn_find(k->c, msg->tx_id);
        if (!k->x)
            return -XEN_ENOENT;
    }
    if (flags & PATH && (!string(k, &k->path, &k->path_len) || (flags & ALONE && k->at != k->end)))
        return -XEN_EINVAL;
    rc = types[msg->type].fn(k);
    return !rc && flags & SAYS_OK ? put_string(k, "OK") : rc;
}

void wire_handle(struct wire *w, struct client *c, struct xsd_sockmsg *msg, const char *payload)
{
    struct call k = { .w = w, .c = c, .at = payload, .end = payload + msg->len };
    int rc = dispatch(&k, msg);

    if (rc)
        wire_error(w, msg, rc);
    else
        msg->len = (uint32_t)k.len;
}
