/* SPDX-License-Identifier: MIT */
/* pinned.c - data in other domains' pages, pinned for a device; see pinned.h. */
#include "runtime/pinned.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/mem.h"

#define BATCH 16u

static struct pinned *sets[PINNED_MAX];
static uint32_t nr_sets, next_id;

struct pinned *pinned_new(domid_t dom, uint32_t nr)
{
    struct pinned *p = nr_sets < PINNED_MAX ? malloc(sizeof(*p) + nr * sizeof(p->piece[0])) : NULL;

    if (!p)
        return NULL;
    while (sets[next_id % PINNED_MAX])
        next_id++;
    *p = (struct pinned){ .refs = 1, .id = (uint16_t)(next_id++ % PINNED_MAX), .dom = dom };
    sets[p->id] = p;
    nr_sets++;
    return p;
}

struct pinned_piece *pinned_add(struct pinned *p, grant_ref_t ref, uint32_t offset, uint32_t bytes)
{
    struct pinned_piece *piece = &p->piece[p->nr++];

    BUG_ON(p->bytes + bytes > PINNED_BYTES_MAX);
    *piece = (struct pinned_piece){ .maddr = offset, .at = p->bytes, .ref = ref, .handle = GRANT_UNPINNED };
    p->bytes += bytes;
    return piece;
}

void pinned_free(struct pinned *p)
{
    sets[p->id] = NULL;
    nr_sets--;
    free(p);
}

struct pinned *pinned_by_id(uint16_t id)
{
    return sets[id];
}

/* The piece that byte `at` is in. None is longer than a page. */
static const struct pinned_piece *piece_of(const struct pinned *p, uint32_t at, uint32_t *bytes)
{
    uint32_t i = at >> PAGE_SHIFT;

    while (i + 1 < p->nr && p->piece[i + 1].at <= at)
        i++;
    *bytes = (i + 1 < p->nr ? p->piece[i + 1].at : p->bytes) - at;
    return &p->piece[i];
}

static struct pinned *set_of(const void *addr, uint32_t *at)
{
    uint64_t offset = (uint64_t)addr - PINNED_BASE;
    struct pinned *p = sets[offset / PINNED_STRIDE];

    *at = (uint32_t)(offset % PINNED_STRIDE);
    BUG_ON(!p || *at >= p->bytes);
    return p;
}

struct pinned *pinned_find(const void *addr, paddr_t *maddr, uint32_t *bytes)
{
    uint32_t at;
    struct pinned *p = set_of(addr, &at);
    const struct pinned_piece *piece = piece_of(p, at, bytes);

    *maddr = piece->maddr + (at - piece->at);
    return p;
}

/* Copies up to BATCH pieces; returns how many bytes, 0 if one could not be copied. */
static size_t read_some(char *to, const struct pinned *p, uint32_t at, size_t n)
{
    struct gnttab_copy ops[BATCH];
    uint32_t nr = 0;
    size_t done = 0;

    while (nr < BATCH && done < n) {
        size_t here = PAGE_SIZE - ((uint64_t)(to + done) & (PAGE_SIZE - 1));
        uint32_t at_now = at + (uint32_t)done, bytes;
        const struct pinned_piece *piece = piece_of(p, at_now, &bytes);
        struct gnttab_copy *c = &ops[nr++];

        here = MIN(here, n - done);
        here = MIN(here, (size_t)bytes);
        *c = (struct gnttab_copy){ .len = (uint16_t)here, .flags = GNTCOPY_source_gref };
        grant_copy_ref(&c->source, p->dom, piece->ref,
                       (uint16_t)((piece->maddr + (at_now - piece->at)) & (PAGE_SIZE - 1)));
        grant_copy_own(&c->dest, to + done);
        done += here;
    }
    return grant_copy(ops, nr) ? 0 : done;
}

bool pinned_read(void *to, const void *addr, size_t n)
{
    uint32_t at;
    struct pinned *p = set_of(addr, &at);

    BUG_ON(n > p->bytes - at);
    for (size_t done = 0, k; done < n; done += k) {
        k = read_some((char *)to + done, p, at + (uint32_t)done, n - done);
        p->copied += (uint32_t)k;
        if (k)
            continue;
        memset(to, 0, n);
        if (!p->unreadable && p->failed)
            p->failed(p->arg);
        p->unreadable = true;
        return false;
    }
    return true;
}
