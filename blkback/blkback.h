/* SPDX-License-Identifier: MIT */
/* blkback.h - virtual disks of guests: what dom0/main.c starts. */
#ifndef BLKBACK_BLKBACK_H
#define BLKBACK_BLKBACK_H

#include "xenabi.h"

struct disk;

/*
 * Serves the vbds whose backend directories appear in the store (/local/domain/0/backend/vbd). What it
 * reads there: params (the target), mode (r or w), frontend, frontend-id; of the frontend: ring-ref,
 * event-channel. 0 or a negative error.
 */
int blkback_init(void);

/* What is behind a vbd, for its counters; NULL: none. Good until the caller returns to the loop. */
const struct disk *blkback_disk(domid_t dom, uint32_t device);

/* A domain can run no more: lets go of everything of its vbds, now. */
void blkback_drop_domain(domid_t dom);

#endif
