/* SPDX-License-Identifier: MIT */
/*
 * transfer.h - the flip of 2005 (GNTTABOP_transfer), for netfronts that never learnt to be copied to: a frame is put
 * into a page of ours, the page is given away, and another one is asked of the hypervisor for its place.
 */
#ifndef NETBACK_TRANSFER_H
#define NETBACK_TRANSFER_H

#include "runtime/grant.h"

/*
 * One page on its way. The first `len` bytes of it are the guest's to see; what follows is cleared before it is given
 * away.
 */
struct transfer {
    void *page;                 /* from page_alloc(); not the caller's any more */
    uint16_t len;
    grant_ref_t ref;            /* of a GTF_accept_transfer entry of the guest's */
    bool failed;                /* out: it was not taken */
};

/* Gives n <= TRANSFER_BATCH pages to dom. Their memory is replaced, or comes back. */
#define TRANSFER_BATCH 256
void transfer_pages(domid_t dom, struct transfer *t, unsigned int n);

#endif
