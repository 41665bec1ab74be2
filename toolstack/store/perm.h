/* SPDX-License-Identifier: MIT */
/*
 * perm.h - who may do what with a node, and what a domain's nodes cost. Pure.
 *
 * Permission lists are shared: nodes with equal lists hold one counted object, so inheriting
 * is taking a reference. The first entry names the owner, and what everybody may do who is
 * not listed; the others name a domain each.
 */
#ifndef STORE_PERM_H
#define STORE_PERM_H

#include "compiler.h"
#include "lib/list.h"

#define PERM_NONE  0u
#define PERM_READ  1u
#define PERM_WRITE 2u
#define PERM_OWNER 4u /* may change the permissions; never stored */
#define PERM_ALL   (PERM_READ | PERM_WRITE | PERM_OWNER)

#define PERMS_MAX   16     /* entries of one list, whoever sets it */
#define PERM_TEXT   8      /* "r65535" and NUL fit */
#define PERM_NOBODY    0x7ff4 /* DOMID_INVALID: in place of a domain that died */
#define PERM_NO_TARGET 0xffff

struct perm {
    uint16_t domid;
    uint16_t access; /* PERM_NONE, PERM_READ, PERM_WRITE or both */
};

/* What one domain holds. Exists as long as somebody holds a reference. */
struct account {
    struct account *next; /* in perm_table.account */
    struct list owned;    /* struct node.owned: its nodes */
    size_t bytes;         /* nodes, watches, open transactions */
    unsigned int nodes;
    unsigned int refs;
    uint16_t domid;
    uint16_t target; /* the domain that it serves and may act as, or PERM_NO_TARGET */
};

struct perms {
    struct perms *next;    /* in perm_table.list */
    struct account *owner; /* of entry[0].domid; holds a reference */
    uint32_t refs;
    uint32_t hash;
    uint16_t count;
    struct perm entry[];
};

#define PERM_BUCKETS 512
struct perm_table {
    struct perms *list[PERM_BUCKETS];
    struct account *account[PERM_BUCKETS];
};

/* The account of a domain, with a reference for the caller; NULL without memory. */
struct account *account_get(struct perm_table *t, uint16_t domid);
void account_put(struct perm_table *t, struct account *a);
/* The same without a reference, only if there is one. */
struct account *account_find(const struct perm_table *t, uint16_t domid);

/* The shared list with these entries (count 1..PERMS_MAX), with a reference; NULL without memory. */
struct perms *perms_get(struct perm_table *t, const struct perm *entry, unsigned int count);
/* p as inherited by a node that `owner` creates. */
struct perms *perms_get_owned(struct perm_table *t, const struct perms *p, uint16_t owner);
void perms_put(struct perm_table *t, struct perms *p);
static inline struct perms *perms_ref(struct perms *p)
{
    p->refs++;
    return p;
}

/* Bytes that a node with this list is charged for it. */
static inline size_t perms_bytes(const struct perms *p)
{
    return p->count * sizeof(struct perm);
}

/* What `domid`, which may also act as `target`, may do. PERM_OWNER only with all the rest. */
unsigned int perms_access(const struct perms *p, uint16_t domid, uint16_t target);

/* A domain died: no list shall name it and nobody act as it, since its number can come back. */
void perms_forget(struct perm_table *t, uint16_t domid);

/* "r5" and so on. Return 0 or -XEN_EINVAL; the length of the text. */
int perm_parse(struct perm *p, const char *text, size_t len);
int perm_format(char text[PERM_TEXT], const struct perm *p);

#endif
