/* SPDX-License-Identifier: MIT */
/*
 * copy.c - grant copies, collected over all disks and carried out together with pins (disk_settle()).
 */
#include "blkback/copy.h"
#include "blkback/disk.h"
#include "blkback/pin.h"
#include "lib/string.h"

#define BATCH 128u

static struct gnttab_copy ops[BATCH];       /* one loop: they are never filled by two */
static bool *fails[BATCH];
static uint32_t nr;

static void copy_settle(void)
{
    uint32_t n = nr;

    nr = 0;
    if (!n || !grant_copy(ops, n))
        return;
    for (uint32_t i = 0; i < n; i++)
        if (ops[i].status != GNTST_okay)
            *fails[i] = true;
}

void disk_settle(void)
{
    copy_settle();
    pin_settle();
}

/* Bytes from p to the end of its page. */
static uint32_t in_page(const void *p)
{
    return (uint32_t)(PAGE_SIZE - ((uint64_t)p & (PAGE_SIZE - 1)));
}

static __always_inline void move(domid_t dom, const struct copy_ref *r, const char *p, uint32_t bytes,
                                 bool to_guest, bool *failed)
{
    uint16_t offset = r->offset;

    while (bytes) {
        uint32_t n = MIN(bytes, in_page(p));
        struct gnttab_copy *c;

        if (unlikely(nr == BATCH))
            copy_settle();
        c = &ops[nr];
        fails[nr++] = failed;
        grant_copy_own(to_guest ? &c->source : &c->dest, p);
        grant_copy_ref(to_guest ? &c->dest : &c->source, dom, r->ref, offset);
        c->len = (uint16_t)n;
        c->flags = to_guest ? GNTCOPY_dest_gref : GNTCOPY_source_gref;
        p += n;
        offset = (uint16_t)(offset + n);
        bytes -= n;
    }
}

void copy_to_guest_page(domid_t dom, const struct copy_ref *r, const void *p, uint32_t bytes,
                        bool *failed)
{
    move(dom, r, p, bytes, true, failed);
}

void copy_from_guest_page(domid_t dom, const struct copy_ref *r, void *p, uint32_t bytes,
                          bool *failed)
{
    move(dom, r, p, bytes, false, failed);
}
