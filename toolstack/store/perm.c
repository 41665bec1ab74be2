/* SPDX-License-Identifier: MIT */
/* perm.c - permission lists and accounts. Pure. */
#include "toolstack/store/perm.h"

#include <stdlib.h>
#include <string.h>

#include "xenabi.h"

struct account *account_find(const struct perm_table *t, uint16_t domid)
{
    struct account *a = t->account[domid % PERM_BUCKETS];

    while (a && a->domid != domid)
        a = a->next;
    return a;
}

struct account *account_get(struct perm_table *t, uint16_t domid)
{
    struct account *a = account_find(t, domid);

    if (!a) {
        a = calloc(1, sizeof(*a));
        if (!a)
            return NULL;
        list_init(&a->owned);
        a->domid = domid;
        a->target = PERM_NO_TARGET;
        a->next = t->account[domid % PERM_BUCKETS];
        t->account[domid % PERM_BUCKETS] = a;
    }
    a->refs++;
    return a;
}

void account_put(struct perm_table *t, struct account *a)
{
    struct account **p = &t->account[a->domid % PERM_BUCKETS];

    if (--a->refs)
        return;
    while (*p != a)
        p = &(*p)->next;
    *p = a->next;
    free(a);
}

static uint32_t entries_hash(const struct perm *entry, unsigned int count)
{
    uint32_t h = count;

    for (unsigned int i = 0; i < count; i++)
        h = (h ^ ((uint32_t)entry[i].domid << 2 | entry[i].access)) * 0x9e3779b1u;
    return h ^ (h >> 16);
}

struct perms *perms_get(struct perm_table *t, const struct perm *entry, unsigned int count)
{
    uint32_t hash = entries_hash(entry, count);
    struct perms **bucket = &t->list[hash % PERM_BUCKETS];
    struct perms *p;

    for (p = *bucket; p; p = p->next)
        if (p->hash == hash && p->count == count &&
            !memcmp(p->entry, entry, count * sizeof(*entry)))
            return perms_ref(p);

    p = malloc(sizeof(*p) + count * sizeof(*entry));
    if (!p)
        return NULL;
    p->owner = account_get(t, entry[0].domid);
    if (!p->owner) {
        free(p);
        return NULL;
    }
    p->refs = 1;
    p->hash = hash;
    p->count = count;
    memcpy(p->entry, entry, count * sizeof(*entry));
    p->next = *bucket;
    *bucket = p;
    return p;
}

struct perms *perms_get_owned(struct perm_table *t, const struct perms *p, uint16_t owner)
{
    struct perm entry[PERMS_MAX];

    memcpy(entry, p->entry, p->count * sizeof(*entry));
    entry[0].domid = owner;
    return perms_get(t, entry, p->count);
}

static void take_out(struct perm_table *t, struct perms *p)
{
    struct perms **q = &t->list[p->hash % PERM_BUCKETS];

    while (*q != p)
        q = &(*q)->next;
    *q = p->next;
}

void perms_put(struct perm_table *t, struct perms *p)
{
    if (--p->refs)
        return;
    take_out(t, p);
    account_put(t, p->owner);
    free(p);
}

unsigned int perms_access(const struct perms *p, uint16_t domid, uint16_t target)
{
    if (!domid || p->entry[0].domid == domid || p->entry[0].domid == target)
        return PERM_ALL;
    for (unsigned int i = 1; i < p->count; i++)
        if (p->entry[i].domid == domid || p->entry[i].domid == target)
            return p->entry[i].access;
    return p->entry[0].access;
}

/* The entries have changed. It stays in the table, or the next domain to die would not be taken out of it. */
static void rehash(struct perm_table *t, struct perms *p)
{
    struct perms **bucket;

    take_out(t, p);
    p->hash = entries_hash(p->entry, p->count);
    bucket = &t->list[p->hash % PERM_BUCKETS];
    p->next = *bucket;
    *bucket = p;
}

/*
 * Entries stay in place but name nobody: the size, which nodes have been charged for,
 * remains.
 */
void perms_forget(struct perm_table *t, uint16_t domid)
{
    for (unsigned int b = 0; b < PERM_BUCKETS; b++) {
        struct perms *p = t->list[b], *next;

        for (struct account *a = t->account[b]; a; a = a->next)
            if (a->target == domid)
                a->target = PERM_NO_TARGET;
        for (; p; p = next) {
            bool hit = false;

            next = p->next;
            for (unsigned int i = 1; i < p->count; i++) {
                if (p->entry[i].domid == domid) {
                    p->entry[i] = (struct perm){ .domid = PERM_NOBODY, .access = PERM_NONE };
                    hit = true;
                }
            }
            if (hit)
                rehash(t, p);
        }
    }
}

int perm_parse(struct perm *p, const char *text, size_t len)
{
    unsigned int domid = 0;

    if (len < 2 || len > 6)
        return -XEN_EINVAL;
    switch (text[0]) {
    case 'n':
        p->access = PERM_NONE;
        break;
    case 'r':
        p->access = PERM_READ;
        break;
    case 'w':
        p->access = PERM_WRITE;
        break;
    case 'b':
        p->access = PERM_READ | PERM_WRITE;
        break;
    default:
        return -XEN_EINVAL;
    }
    for (size_t i = 1; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -XEN_EINVAL;
        domid = domid * 10 + (unsigned int)(text[i] - '0');
    }
    if (domid >= DOMID_FIRST_RESERVED)
        return -XEN_EINVAL;
    p->domid = domid;
    return 0;
}

int perm_format(char text[PERM_TEXT], const struct perm *p)
{
    char digits[8];
    int n = 0, len = 0;
    unsigned int v = p->domid;

    text[len++] = "nrwb"[p->access & (PERM_READ | PERM_WRITE)];
    do {
        digits[n++] = '0' + v % 10;
    } while (v /= 10);
    while (n)
        text[len++] = digits[--n];
    text[len] = 0;
    return len;
}
