/* SPDX-License-Identifier: MIT */
/* devstats.c - tells the toolstack what the backends counted (toolstack/vm/devstats.h). */
#include "dom0/devstats.h"
#include "blkback/blkback.h"
#include "blkback/disk.h"
#include "blkback/physdisk.h"
#include "lib/string.h"
#include "netback/netback.h"
#include "runtime/port.h"
#include "toolstack/vm/devstats.h"

static uint64_t sum(const uint64_t dropped[DROP_REASONS])
{
    uint64_t n = 0;

    for (unsigned int i = 0; i < DROP_REASONS; i++)
        n += dropped[i];
    return n;
}

/* What goes out of the port comes in at the guest. */
static bool vif(domid_t dom, uint32_t id, struct vif_stats *s)
{
    const struct port *p = netback_port(dom, id);

    if (!p)
        return false;
    s->rx_bytes = p->stats.tx_bytes;
    s->rx_packets = p->stats.tx_frames;
    s->rx_dropped = sum(p->stats.tx_dropped);
    s->tx_bytes = p->stats.rx_bytes;
    s->tx_packets = p->stats.rx_frames;
    s->tx_dropped = sum(p->stats.rx_dropped);
    return true;
}

static bool vbd(domid_t dom, uint32_t device, struct vbd_stats *s)
{
    const struct disk *d = blkback_disk(dom, device);

    if (!d)
        return false;
    s->sectors = d->sectors;
    s->rd_ops = d->stats.ops[DISK_READ];
    s->rd_bytes = d->stats.bytes[DISK_READ];
    s->wr_ops = d->stats.ops[DISK_WRITE] + d->stats.ops[DISK_WRITE_ZEROES];
    s->wr_bytes = d->stats.bytes[DISK_WRITE] + d->stats.bytes[DISK_WRITE_ZEROES];
    s->flushes = d->stats.ops[DISK_FLUSH];
    s->errors = d->stats.errors;
    return true;
}

static void disks(void (*fn)(void *arg, const struct host_disk *d), void *arg)
{
    for (const struct physdisk *p = physdisk_next(NULL); p; p = physdisk_next(p)) {
        struct host_disk d = { .model = p->model, .label = "", .uuid = "", .sectors = p->sectors,
                               .sector_bytes = p->logical, .readonly = p->readonly };

        strlcpy(d.name, p->name, sizeof(d.name));
        fn(arg, &d);
        d.partition = true;
        d.model = "";
        for (uint32_t i = 0; i < p->nr_parts; i++) {
            phys_part_name(p, &p->parts[i], d.name, sizeof(d.name));
            d.label = p->parts[i].label;
            d.uuid = p->parts[i].uuid;
            d.sectors = p->parts[i].sectors;
            fn(arg, &d);
        }
    }
}

void devstats_start(void)
{
    static const struct devstats_ops ops = { .disks = disks, .vif = vif, .vbd = vbd };

    vm_devstats_set(&ops);
}
