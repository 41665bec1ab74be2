/* SPDX-License-Identifier: MIT */
/* path.h - which strings are xenstore paths, and how they are hashed. Pure. */
#ifndef STORE_PATH_H
#define STORE_PATH_H

#include "compiler.h"

#define PATH_MAX_ABS 3072 /* the public limits (xs_wire.h), without the NUL */
#define PATH_MAX_REL 2048
#define PATH_BUF     (PATH_MAX_ABS + 1)

/*
 * Writes the absolute form of in[0..len) to out (PATH_BUF bytes, NUL-terminated); a relative
 * path is below /local/domain/<domid>. Returns its length, or -XEN_EINVAL when in is no path.
 * *base, if wanted, is how many leading bytes of out the caller did not write (0: absolute).
 */
int path_canonical(char *out, const char *in, size_t len, uint16_t domid, uint32_t *base);

/* Is in[0..len) the name of a special event, such as @releaseDomain? */
bool path_is_special(const char *in, size_t len);

/*
 * The hash of a path is that of its parent continued by '/' and its last name, so that a node
 * knows the hashes of all its ancestors. The seed is secret: guests choose names.
 */
static inline uint64_t path_hash_bytes(uint64_t h, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)s[i]) * 0x100000001b3UL;
    return h;
}

static inline uint64_t path_hash_child(uint64_t parent, const char *name, size_t len)
{
    return path_hash_bytes(path_hash_bytes(parent, "/", 1), name, len);
}

/* Of an absolute path; that of "/" is the seed itself. */
static inline uint64_t path_hash(uint64_t seed, const char *path, size_t len)
{
    return len == 1 ? seed : path_hash_bytes(seed, path, len);
}

/* Bucket of a table with 1 << bits of them. */
static inline uint32_t path_bucket(uint64_t hash, unsigned int bits)
{
    return (uint32_t)((hash ^ (hash >> 32)) * 0x9e3779b97f4a7c15UL >> (64 - bits));
}

/* Length of the parent's path: of "/a/b" 2, of "/a" 1; not for "/". */
static inline size_t path_parent(const char *path, size_t len)
{
    while (path[len - 1] != '/')
        len--;
    return len > 1 ? len - 1 : 1;
}

/* Start of the last name in a path other than "/". */
static inline const char *path_last(const char *path, size_t len)
{
    while (path[len - 1] != '/')
        len--;
    return path + len;
}

#endif
