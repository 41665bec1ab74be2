/* SPDX-License-Identifier: MIT */
/* copy.h - grant copies between dom0 and the pages of guests' requests, collected. */
#ifndef BLKBACK_COPY_H
#define BLKBACK_COPY_H

#include "runtime/grant.h"

/* A piece of a guest's page. */
struct copy_ref {
    grant_ref_t ref;
    uint16_t offset, bytes;
};

/*
 * Queues copying p[bytes] to (or from) the granted piece. *failed is set, at the latest by
 * disk_settle(), if the guest does not grant that. Order is kept.
 */
void copy_to_guest_page(domid_t dom, const struct copy_ref *r, const void *p, uint32_t bytes,
                        bool *failed);
void copy_from_guest_page(domid_t dom, const struct copy_ref *r, void *p, uint32_t bytes,
                          bool *failed);

#endif
