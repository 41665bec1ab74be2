/* SPDX-License-Identifier: MIT */
/*
 * diskuser.h - around a driver of a physical disk: what is the same of every PCI device, the list of disks with one place, and
 * a user of that disk with requests. The test plays the device: registers, interrupts.
 */
#ifndef FAKES_DISKUSER_H
#define FAKES_DISKUSER_H

#include "blkback/physdisk.h"
#include "runtime/pci.h"

extern struct physdisk *disk;       /* what the driver found; NULL: nothing */
extern struct phys_open user;
extern bool bus_master;             /* may the device do DMA? */
extern uint64_t resized;            /* sectors that the driver told of later */

void disk_user_reset(void);         /* no disk, nothing resized */
void disk_user_open(void);          /* user has the disk */

#define REQS 160u
struct req {
    struct disk_io io;
    struct disk_seg seg[64];
    uint8_t *data;
    int rc;
    unsigned int done;              /* how often it ended */
};
extern struct req reqs[REQS];

/* Submits request i; its data begins `skew` bytes into its first page. */
struct req *go(unsigned int i, enum disk_op op, uint64_t sector, uint32_t sectors, uint32_t skew);

#endif
