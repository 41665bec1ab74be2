/* SPDX-License-Identifier: MIT */
/*
 * devstats.h - what went through a domain's devices. The backends count and know nothing of
 * domains' configurations; main sets the functions that ask them.
 */
#ifndef VM_DEVSTATS_H
#define VM_DEVSTATS_H

#include "xenabi.h"
#include "compiler.h"

/* As the guest sees it: rx is what it received. Since the device was connected. */
struct vif_stats {
    uint64_t rx_bytes, rx_packets, rx_dropped;
    uint64_t tx_bytes, tx_packets, tx_dropped;
};

struct vbd_stats {
    uint64_t sectors;           /* size, in 512 bytes */
    uint64_t rd_ops, rd_bytes, wr_ops, wr_bytes, flushes, errors;
};

/* False, and all zero: there is none, or it is not served (yet). */
bool vm_vif_stats(domid_t dom, uint32_t id, struct vif_stats *s);
bool vm_vbd_stats(domid_t dom, uint32_t device, struct vbd_stats *s);

/* A disk of the host or a partition of one, as a domain may have it (phy:NAME). */
struct host_disk {
    char name[48];
    const char *model, *label, *uuid;   /* "" where there is none; valid during the call */
    uint64_t sectors;           /* of 512 bytes */
    uint32_t sector_bytes;      /* its own */
    bool readonly, partition;
};

/* Each disk, followed by its partitions, as they are known now. */
void vm_host_disks(void (*fn)(void *arg, const struct host_disk *d), void *arg);

struct devstats_ops {
    void (*disks)(void (*fn)(void *arg, const struct host_disk *d), void *arg);
    bool (*vif)(domid_t dom, uint32_t id, struct vif_stats *s);
    bool (*vbd)(domid_t dom, uint32_t device, struct vbd_stats *s);
};

void vm_devstats_set(const struct devstats_ops *ops);

#endif
