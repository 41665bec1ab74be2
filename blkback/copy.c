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

static void add(const struct gnttab_copy_ptr *source, const struct gnttab_copy_ptr *dest,
                uint32_t bytes, uint16_t flags, bool *failed)
{
    struct gnttab_copy *c;

    if (nr == BATCH)
        copy_settle();
    c = &ops[nr];
    c->source = *source;
    c->dest = *dest;
    c->len = (uint16_t)bytes;
    c->flags = flags;
    fails[nr++] = failed;
}

/* Bytes from p to the end of its page. */
static uint32_t in_page(const void *p)
{
    return (uint32_t)(PAGE_SIZE - ((uint64_t)p & (PAGE_SIZE - 1)));
}

void copy_to_guest_page(domid_t dom, const struct copy_ref *r, const void *p, uint32_t bytes,
                        bool *failed)
{
    const char *from = p;
    uint16_t offset = r->offset;

    while (bytes) {
        uint32_t n = MIN(bytes, in_page(from));
        struct gnttab_copy_ptr own = { .domid = DOMID_SELF }, guest = { .domid = dom };

        grant_copy_own(&own, from);
        grant_copy_ref(&guest, dom, r->ref, offset);
        add(&own, &guest, n, GNTCOPY_dest_gref, failed);
        from += n;
        offset = (uint16_t)(offset + n);
        bytes -= n;
    }
}

void copy_from_guest_page(domid_t dom, const struct copy_ref *r, void *p, uint32_t bytes,
                          bool *failed)
{
    char *to = p;
    uint16_t offset = r->offset;

    while (bytes) {
        uint32_t n = MIN(bytes, in_page(to));
        struct gnttab_copy_ptr own = { .domid = DOMID_SELF }, guest = { .domid = dom };

        grant_copy_own(&own, to);
        grant_copy_ref(&guest, dom, r->ref, offset);
        add(&guest, &own, n, GNTCOPY_source_gref, failed);
        to += n;
        offset = (uint16_t)(offset + n);
        bytes -= n;
    }
}
