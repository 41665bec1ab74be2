/* SPDX-License-Identifier: MIT */
/* fdb.c - the bridge's address table. Pure; see fdb.h. */
#include "netback/fdb.h"
#include "lib/string.h"

static struct fdb_entry *set_of(const struct fdb *t, uint64_t mac)
{
    uint64_t h = (mac ^ t->seed) * 0x9e3779b97f4a7c15UL;

    /* The highest bits are those that every byte of the address has a part in. */
    return (struct fdb_entry *)t->entry[h >> 48 & (FDB_SETS - 1)];
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
    struct fdb_entry *set = set_of(t, mac);

    for (unsigned int i = 0; i < FDB_WAYS; i++) {
        if (set[i].mac == mac)
            return &set[i];
    }
    return NULL;
}

/* A free place, else the oldest learned one, else NULL. */
static struct fdb_entry *place_for(struct fdb *t, uint64_t mac)
{
    struct fdb_entry *set = set_of(t, mac), *oldest = NULL;

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
        e = place_for(t, mac);
    if (!e || (e->mac == mac && e->is_static))
        return;
    *e = (struct fdb_entry){ .mac = mac, .port = port, .seen = now };
}

bool fdb_add_static(struct fdb *t, uint64_t mac, void *port)
{
    struct fdb_entry *e;

    if (!usable(mac))
        return false;
    e = lookup(t, mac);
    if (!e)
        e = place_for(t, mac);
    if (!e || (e->mac == mac && e->is_static))
        return false;
    *e = (struct fdb_entry){ .mac = mac, .port = port, .is_static = true };
    return true;
}

void fdb_remove_port(struct fdb *t, const void *port)
{
    for (unsigned int s = 0; s < FDB_SETS; s++) {
        for (unsigned int i = 0; i < FDB_WAYS; i++) {
            if (t->entry[s][i].port == port)
                t->entry[s][i] = (struct fdb_entry){ 0 };
        }
    }
}
