/* SPDX-License-Identifier: MIT */
/* pin.h - pages of guests' requests, pinned for DMA; collected over all disks, as copies are. */
#ifndef BLKBACK_PIN_H
#define BLKBACK_PIN_H

#include "blkback/disk.h"
#include "runtime/grant.h"

/*
 * Pins the granted page that seg is a piece of; seg->maddr is the offset in it until pin_settle() adds
 * where that is, and sets *handle. *failed is set if the guest does not grant it. readonly: the device
 * only reads.
 */
void pin_page(domid_t dom, grant_ref_t ref, bool readonly, struct disk_seg *seg, grant_handle_t *handle,
              bool *failed);
void pin_settle(void);

/* The page of seg is the guest's alone again, at the latest after unpin_settle(). */
void unpin_page(const struct disk_seg *seg, grant_handle_t handle);
void unpin_settle(void);

#endif
