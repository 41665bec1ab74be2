/* SPDX-License-Identifier: MIT */
/*
 * fdb.h - the bridge's address table: which port has which Ethernet address. Pure.
 *
 * Fixed size, sets of FDB_WAYS entries. Learned entries age and give way to newer ones; static
 * ones (a vif's own address) do neither and are never moved by what is learned. A static one whose set is full of static
 * ones is in a later set, and the sets on the way there are marked; so there is room until all is full.
 */
#ifndef NETBACK_FDB_H
#define NETBACK_FDB_H

#include "compiler.h"
#include "xenabi.h"

#define FDB_SETS   1024     /* with FDB_WAYS: as many entries as dom0 has event channels */
#define FDB_WAYS   4
#define FDB_AGE_NS (300UL * 1000000000UL)

struct fdb_entry {
    uint64_t mac;               /* 48 bits, see fdb_key(); 0: free */
    void *port;
    uint64_t seen;              /* time of the last frame from it, ns */
    bool is_static;
};

struct fdb {
    struct fdb_entry entry[FDB_SETS][FDB_WAYS];
    bool full[FDB_SETS];        /* a static entry of this set, or of one before, is in a later one */
    uint32_t seed;              /* so that nobody outside can aim at one set */
};

/* The address as a number, bytes in memory order. */
static inline uint64_t fdb_key(const uint8_t *mac)
{
    uint32_t lo;
    uint16_t hi;

    __builtin_memcpy(&lo, mac, 4);
    __builtin_memcpy(&hi, mac + 4, 2);
    return (uint64_t)hi << 32 | lo;
}

/* t is zeroed memory or in any state; everything in it is forgotten. */
void fdb_init(struct fdb *t, uint32_t seed);

/* The port of an address, or NULL: unknown or too old. */
void *fdb_find(const struct fdb *t, uint64_t mac, uint64_t now);

/*
 * A frame from mac came in at port. Group addresses and zero are ignored, and so is an address
 * that is static. A full set loses its oldest learned entry.
 */
void fdb_learn(struct fdb *t, uint64_t mac, void *port, uint64_t now);

/* Adds a static entry, over a learned one if there is one. 0; -XEN_EEXIST: static already; -XEN_EINVAL: zero or a group
 * address; -XEN_ENOSPC: all entries are static. */
int fdb_add_static(struct fdb *t, uint64_t mac, void *port);

/* Forgets everything about a port. */
void fdb_remove_port(struct fdb *t, const void *port);

#endif
