/* SPDX-License-Identifier: MIT */
/*
 * pinned.h - data in pages of other domains that a device is to read where they are.
 *
 * The pages are pinned (runtime/grant.h) and mapped nowhere. Still each byte has an address, in a range where nothing is ever
 * mapped, one piece of data after the other: so code that does not look at data, a TCP stack for one, carries, cuts
 * and holds it like any other. Who follows such an address faults. Who gives it to a device asks for the
 * machine address; who must have the bytes copies them with pinned_read(), which can fail: the guest may be gone, or take its
 * grant back, while its page stays pinned.
 */
#ifndef RUNTIME_PINNED_H
#define RUNTIME_PINNED_H

#include "runtime/grant.h"
#include "runtime/pagetable.h"

#define PINNED_MAX       4096u              /* sets at one time */
#define PINNED_STRIDE    (2UL << 20)        /* of their addresses */
#define PINNED_BYTES_MAX (1u << 20)         /* of a set; it is followed by addresses of nobody */
#define PINNED_BASE      WINDOW_END
#define PINNED_END       (PINNED_BASE + PINNED_MAX * PINNED_STRIDE)

/* A piece of a page. */
struct pinned_piece {
    paddr_t maddr;
    uint32_t at;                    /* where in the data it begins */
    grant_ref_t ref;
    grant_handle_t handle;          /* as grant_pin() sets it */
};

/* Data that belongs together. Counted: stays pinned until the last reference goes. */
struct pinned {
    uint32_t refs;
    uint16_t id;
    domid_t dom;
    bool unreadable;                /* pinned_read() has failed */
    uint32_t nr, bytes;
    uint32_t copied;                /* bytes by pinned_read(), the same ones again included */
    /* The last reference went: unpins the pieces, then calls pinned_free(). Who made it sets this. */
    void (*release)(struct pinned *p);
    /* Who has it sent sets these; may be NULL. gone: it is not pinned any more. failed: pinned_read() has failed for the first
     * time, and what it was for must not leave this machine; called from anywhere. */
    void (*gone)(void *arg);
    void (*failed)(void *arg);
    void *arg;
    struct pinned_piece piece[];
};

/* Room for nr pieces, to be filled in with pinned_add(); one reference. NULL: no memory, or too many sets. */
struct pinned *pinned_new(domid_t dom, uint32_t nr);
/* The next piece: `bytes` bytes from `offset` on in page ref. Its maddr is only that offset until it is pinned. */
struct pinned_piece *pinned_add(struct pinned *p, grant_ref_t ref, uint32_t offset, uint32_t bytes);
void pinned_free(struct pinned *p);

static inline void pinned_get(struct pinned *p)
{
    p->refs++;
}

/* True: it was the last reference. */
static inline bool pinned_put(struct pinned *p)
{
    if (--p->refs)
        return false;
    p->release(p);
    return true;
}

/* The address that stands for byte `at`. */
static inline void *pinned_addr(const struct pinned *p, uint32_t at)
{
    return (void *)(PINNED_BASE + p->id * PINNED_STRIDE + at);
}

static inline bool pinned_is(const void *addr)
{
    return (uint64_t)addr - PINNED_BASE < PINNED_END - PINNED_BASE;
}

struct pinned *pinned_by_id(uint16_t id);

/* What is at such an address: whose it is, its machine address, and how many bytes from there on are in one piece. */
struct pinned *pinned_find(const void *addr, paddr_t *maddr, uint32_t *bytes);

/* Copies n bytes from such an address. False: *to is zeroed instead. */
bool pinned_read(void *to, const void *addr, size_t n);

#endif
