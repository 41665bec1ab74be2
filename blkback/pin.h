/* SPDX-License-Identifier: MIT */
/* pin.h - pages of guests' requests, pinned for DMA; collected over all disks, as copies are. */
#ifndef BLKBACK_PIN_H
#define BLKBACK_PIN_H

#include "runtime/grant.h"
#include "runtime/pinned.h"

/*
 * Pins a granted page; *maddr is the offset of a piece in it until pin_settle() adds
 * where that is, and sets *handle. *failed is set if the guest does not grant it. readonly: the device
 * only reads.
 */
void pin_page(domid_t dom, grant_ref_t ref, bool readonly, paddr_t *maddr, grant_handle_t *handle,
              bool *failed);
void pin_settle(void);

/* The page at maddr is the guest's alone again, at the latest after unpin_settle(). */
void unpin_page(paddr_t maddr, grant_handle_t handle);
/* A pinned.release(); unpin_settle() has to follow. */
void unpin_set(struct pinned *p);
void unpin_settle(void);

#endif
