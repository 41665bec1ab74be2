/* SPDX-License-Identifier: MIT */
/* fdb.c - the bridge's address table. Pure; see fdb.h. */
#include "netback/fdb.h"
#include "lib/string.h"

static unsigned int set_of(const struct fdb *t, uint64_t mac)
{
    uint64_t h = (mac ^ t->seed) * 0x9e3779b97f4a7c15UL;

    /* The highest bits are those that every byte of the address has a part in. */
    return (unsigned int)(h >> 48) & (FDB_SETS - 1);
}

/* The group bit is the lowest bit of the first byte in memory. */
static bool usable(uint64_t mac)
{
    return mac && !(mac & 1);
}

static bool expired(const struct fdb_entry *e, uint64_t now)
{
    return !e->is_static && now - e->seen > FDB_AGE_NS;
}

static struct fdb_entry *lookup(const struct fdb *t, uint64_t mac)
{
    unsigned int at = set_of(t, mac);

    for (unsigned int n = 0; n < FDB_SETS; n++, at = (at + 1) % FDB_SETS) {
        for (unsigned int i = 0; i < FDB_WAYS; i++) {
            if (t->entry[at][i].mac == mac)
                return (struct fdb_entry *)&t->entry[at][i];
        }
        if (likely(!t->full[at]))
            break;
    }
    return NULL;
}

/* A free place, else the oldest learned one, else NULL. */
static struct fdb_entry *place_in(struct fdb_entry *set)
{
    struct fdb_entry *oldest = NULL;

    for (unsigned int i = 0; i < FDB_WAYS; i++) {
        if (!set[i].mac)
            return &set[i];
        if (!set[i].is_static && (!oldest || set[i].seen < oldest->seen))
            oldest = &set[i];
    }
    return oldest;
}

void fdb_init(struct fdb *t, uint32_t seed)
{
    memset(t, 0, sizeof(*t));
    t->seed = seed;
}

void *fdb_find(const struct fdb *t, uint64_t mac, uint64_t now)
{
    const struct fdb_entry *e = mac ? lookup(t, mac) : NULL;

    return e && !expired(e, now) ? e->port : NULL;
}

void fdb_learn(struct fdb *t, uint64_t mac, void *port, uint64_t now)
{
    struct fdb_entry *e;

    if (!usable(mac))
        return;
    e = lookup(t, mac);
    if (!e)
        e = place_in(t->entry[set_of(t, mac)]);
    if (!e || (e->mac == mac && e->is_static))
        return;
    *e = (struct fdb_entry){ .mac = mac, .port = port, .seen = now };
}

/* A place in its set or the next that has one; the sets before are marked. NULL: none. */
static struct fdb_entry *place_static(struct fdb *t, uint64_t mac)
{
    unsigned int home = set_of(t, mac), n = 0;
    struct fdb_entry *e = NULL;

    while (n < FDB_SETS && !e)
        e = place_in(t->entry[(home + n++) % FDB_SETS]);
    for (unsigned int i = 0; e && i + 1 < n; i++)
        t->full[(home + i) % FDB_SETS] = true;
    return e;
}

int fdb_add_static(struct fdb *t, uint64_t mac, void *port)
{
    struct fdb_entry *e;

    if (!usable(mac))
        return -XEN_EINVAL;
    e = lookup(t, mac);
    if (e && e->is_static)
        return -XEN_EEXIST;
    if (!e)
        e = place_static(t, mac);
    if (!e)
        return -XEN_ENOSPC;
    *e = (struct fdb_entry){ .mac = mac, .port = port, .is_static = true };
    return 0;
}

/* Marks the sets between an entry and where it would like to be. */
static void mark_full(struct fdb *t, unsigned int at, uint64_t mac)
{
    for (unsigned int s = set_of(t, mac); s != at; s = (s + 1) % FDB_SETS)
        t->full[s] = true;
}

void fdb_remove_port(struct fdb *t, const void *port)
{
    memset(t->full, 0, sizeof(t->full));
    for (unsigned int s = 0; s < FDB_SETS; s++) {
        for (unsigned int i = 0; i < FDB_WAYS; i++) {
            struct fdb_entry *e = &t->entry[s][i];

            if (e->mac && e->port == port)
                *e = (struct fdb_entry){ 0 };
            else if (e->is_static)
                mark_full(t, s, e->mac);
        }
    }
}
