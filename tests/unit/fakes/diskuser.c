/* SPDX-License-Identifier: MIT */
/* diskuser.c - see diskuser.h. */
#include "tests/unit/fakes/diskuser.h"
#include <stdlib.h>
#include <string.h>
#include "runtime/mem.h"
#include "runtime/time.h"

struct physdisk *disk;
struct phys_open user;
bool bus_master;
uint64_t resized;
struct req reqs[REQS];

/* ------------------------------------------------------------------ around the driver */

void pci_enable(struct pci_dev *d)
{
    bus_master = true;
}

void pci_disable_dma(struct pci_dev *d)
{
    bus_master = false;
}

void pci_irq_free(struct pci_dev *d, struct pci_irq *irqs, unsigned int n)
{
}

void physdisk_add(struct physdisk *p)
{
    disk = p;
}

void physdisk_done(struct disk_io *io, int rc)
{
    disk_done(io, rc);
}

void physdisk_resized(struct physdisk *p, uint64_t sectors)
{
    resized = sectors;
}

uint64_t physdisk_timeout_ns(void)
{
    return 5 * NS_PER_S;
}

/* ------------------------------------------------------------------ its user */

static void no_close(struct disk *d)
{
}

static void submit(struct disk *d, struct disk_io *q)
{
    disk->driver->submit(disk, q);
}

static void kick(struct disk *d)
{
    disk->driver->kick(disk);
}

static const struct disk_driver user_driver = { .submit = submit, .close = no_close, .kick = kick };

void disk_user_reset(void)
{
    disk = NULL;
    resized = 0;
}

void disk_user_open(void)
{
    memset(&user, 0, sizeof(user));
    user.phys = disk;
    user.disk = (struct disk){ .driver = &user_driver, .sectors = disk->sectors, .logical = disk->logical,
                               .max_segs = disk->max_segs, .max_discard = disk->max_discard,
                               .caps = disk->caps | DISK_BY_FRAME };
}

static void req_done(struct disk_io *q, int rc)
{
    struct req *r = container_of(q, struct req, io);

    r->rc = rc;
    r->done++;
}

struct req *go(unsigned int i, enum disk_op op, uint64_t sector, uint32_t sectors, uint32_t skew)
{
    struct req *r = &reqs[i];
    uint8_t *data = r->data;
    uint32_t left = sectors * 512, n = 0;

    if (!data)
        data = aligned_alloc(4096, 64 * 4096);
    memset(r, 0, sizeof(*r));
    r->data = data;
    for (uint32_t at = skew; left && op < DISK_FLUSH; n++) {
        uint32_t bytes = 4096 - (at & 4095) < left ? 4096 - (at & 4095) : left;

        r->seg[n] = (struct disk_seg){ data + at, (paddr_t)(data + at), bytes };
        at += bytes;
        left -= bytes;
    }
    r->io = (struct disk_io){ .op = op, .nr_segs = (uint16_t)n, .sector = sector, .sectors = sectors,
                              .seg = r->seg, .done = req_done };
    disk_submit(&user.disk, &r->io);
    return r;
}
