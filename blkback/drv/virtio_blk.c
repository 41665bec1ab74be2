/* SPDX-License-Identifier: MIT */
/*
 * virtio_blk.c - virtio disk (virtio 1.x over PCI), one queue: one vCPU submits and takes answers, more
 * would gain nothing.
 *
 * Data goes straight from and to the pages of a request. Each request has a slot of 1 KiB for what the
 * device reads and writes besides: header, status, indirect table. Slots come a page at a time, as
 * many as there ever were requests at once.
 */
#include <stdlib.h>
#include "blkback/physdisk.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "runtime/time.h"
#include "runtime/virtio.h"

#define VENDOR_VIRTIO      0x1af4
#define DEVICE_BLK_LEGACY  0x1001       /* transitional */
#define DEVICE_BLK         0x1042

#define F_SIZE_MAX     1
#define F_SEG_MAX      2
#define F_RO           5
#define F_BLK_SIZE     6
#define F_FLUSH        9
#define F_TOPOLOGY     10
#define F_DISCARD      13
#define F_WRITE_ZEROES 14

#define CFG_CAPACITY     0
#define CFG_SIZE_MAX     8
#define CFG_SEG_MAX      12
#define CFG_BLK_SIZE     20
#define CFG_PHYSICAL_EXP 24
#define CFG_MAX_DISCARD  36
#define CFG_ALIGNMENT    44
#define CFG_MAX_ZEROES   48

#define T_IN           0u
#define T_OUT          1u
#define T_FLUSH        4u
#define T_DISCARD      11u
#define T_WRITE_ZEROES 13u

#define S_OK           0u
#define S_UNSUPPORTED  2u
#define S_NONE         0xffu            /* what stands there until the device has written */

#define QUEUE_SIZE     256u
#define SLOT_BYTES     1024u
#define SLOTS_MAX      128u
#define SEGMENTS       56u              /* of a request, so that a slot holds its table */
#define RANGE_MAX      (1u << 22)       /* sectors of a discard or zeroing when the device sets no limit */
#define WATCH_NS       (NS_PER_S / 2)
#define ATTEMPTS       2u               /* of a request, with a reset in between */
#define RESETS_MAX     3u               /* in a row, without a request that succeeds */

struct blk_header {
    uint32_t type, reserved;
    uint64_t sector;
};

/* Of DISCARD and WRITE_ZEROES. */
struct blk_range {
    uint64_t sector;
    uint32_t sectors, flags;
};

/* What the device sees of a request, in a page of ours. */
struct blk_slot {
    uint8_t table[(SEGMENTS + 2) * VIRTQ_DESC_BYTES];
    struct blk_header header;
    struct blk_range range;
    uint8_t status;
};

_Static_assert(sizeof(struct blk_slot) <= SLOT_BYTES, "a slot fits its place");

struct blk_req {
    struct disk_io *io;                 /* NULL: unused */
    struct blk_slot *slot;
    uint64_t since;                     /* when the device got it */
    uint8_t attempts;
};

struct virtio_blk {
    struct physdisk disk;
    struct virtio_dev dev;
    struct virtq queue;
    bool live;                          /* else requests wait, or fail if dead */
    bool dead;
    unsigned int resets;
    uint64_t next_report;               /* errors are logged once a second at most */
    struct timer timer;
    struct list waiting;                /* disk_io */
    struct blk_req req[SLOTS_MAX];
    uint16_t free[SLOTS_MAX], nr_free, nr_slots;
};

static void fault(struct virtio_blk *b, const char *why);

/* ------------------------------------------------------------------ requests */

static bool more_slots(struct virtio_blk *b)
{
    char *page;

    if (b->nr_slots == SLOTS_MAX || !(page = page_alloc()))
        return false;
    for (uint32_t at = 0; at < PAGE_SIZE; at += SLOT_BYTES) {
        b->req[b->nr_slots].slot = (struct blk_slot *)(void *)(page + at);
        b->free[b->nr_free++] = b->nr_slots++;
    }
    return true;
}

static void fill_header(struct blk_slot *s, const struct disk_io *io)
{
    static const uint8_t types[DISK_OPS] = {
        [DISK_READ] = T_IN, [DISK_WRITE] = T_OUT, [DISK_FLUSH] = T_FLUSH,
        [DISK_DISCARD] = T_DISCARD, [DISK_WRITE_ZEROES] = T_WRITE_ZEROES,
    };
    bool data = io->op == DISK_READ || io->op == DISK_WRITE;

    s->header = (struct blk_header){ types[io->op], 0, data ? physdisk_sector(io) : 0 };
    s->range = (struct blk_range){ physdisk_sector(io), (uint32_t)io->sectors, 0 };
    s->status = S_NONE;
}

/* False: the queue is full. */
static bool give(struct virtio_blk *b, struct blk_req *r, struct disk_io *io)
{
    struct virtq_buf buf[SEGMENTS + 2];
    struct blk_slot *s = r->slot;
    unsigned int n = 0, in;
    int rc;

    fill_header(s, io);
    buf[n++] = (struct virtq_buf){ virt_to_maddr(&s->header), sizeof(s->header) };
    for (unsigned int i = 0; i < io->nr_segs; i++)
        buf[n++] = (struct virtq_buf){ io->seg[i].maddr, io->seg[i].bytes };
    if (io->op == DISK_DISCARD || io->op == DISK_WRITE_ZEROES)
        buf[n++] = (struct virtq_buf){ virt_to_maddr(&s->range), sizeof(s->range) };
    in = io->op == DISK_READ ? n : 1;
    buf[n++] = (struct virtq_buf){ virt_to_maddr(&s->status), sizeof(s->status) };
    if (b->dev.features & VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC))
        rc = virtq_add_indirect(&b->queue, s->table, buf, n - in, in, r);
    else
        rc = virtq_add(&b->queue, buf, n - in, in, r);
    if (rc)
        return false;
    r->io = io;
    r->since = now_ns();
    return true;
}

static void pump(struct virtio_blk *b)
{
    struct disk_io *io;

    while (b->live && (io = list_first(&b->waiting, struct disk_io, link)) != NULL) {
        struct blk_req *r;

        if (!b->nr_free && !more_slots(b))
            break;
        r = &b->req[b->free[b->nr_free - 1]];
        r->attempts = (uint8_t)(uintptr_t)io->priv;
        if (!give(b, r, io))
            break;
        b->nr_free--;
        list_remove(&io->link);
    }
    if (!b->live)
        return;
    virtq_kick(&b->queue);
    if (b->nr_free < b->nr_slots && !timer_is_set(&b->timer))
        timer_set_after(&b->timer, WATCH_NS);
}

static void submit(struct physdisk *p, struct disk_io *io)
{
    struct virtio_blk *b = container_of(p, struct virtio_blk, disk);

    io->priv = NULL;                    /* attempts so far */
    if (b->dead)
        physdisk_done(io, -XEN_EIO);
    else
        list_push_back(&b->waiting, &io->link);
}

static void kick(struct physdisk *p)
{
    pump(container_of(p, struct virtio_blk, disk));
}

static const struct physdisk_driver driver = { .submit = submit, .kick = kick };

/* ------------------------------------------------------------------ answers */

static void report(struct virtio_blk *b, const struct disk_io *io, uint8_t status)
{
    static const char *const names[DISK_OPS] = { "read", "write", "flush", "discard", "zeroing" };
    uint64_t now = now_ns();

    if (now < b->next_report)
        return;
    b->next_report = now + NS_PER_S;
    log_error("%s: %s of %lu sectors at %lu failed: status %u", b->disk.name, names[io->op], io->sectors,
              physdisk_sector(io), status);
}

static void answered(struct virtio_blk *b, struct blk_req *r)
{
    struct disk_io *io = r->io;
    uint8_t status = READ_ONCE(r->slot->status);

    r->io = NULL;
    b->free[b->nr_free++] = (uint16_t)(r - b->req);
    if (status == S_OK)
        b->resets = 0;
    else
        report(b, io, status);
    physdisk_done(io, status == S_OK ? 0 : status == S_UNSUPPORTED ? -XEN_EOPNOTSUPP : -XEN_EIO);
}

static void take_answers(struct virtio_blk *b)
{
    struct blk_req *r;

    do {
        while (b->live && (r = virtq_next_used(&b->queue, NULL)) != NULL)
            answered(b, r);
    } while (b->live && virtq_irq_enable(&b->queue));
    if (b->live && b->queue.broken)
        fault(b, "it answers what it was not asked");
    pump(b);
}

/* Sectors, in whole blocks; 0: no size that a disk can have. */
static uint64_t capacity(struct virtio_blk *b, uint32_t logical)
{
    uint64_t sectors = virtio_cfg64(&b->dev, CFG_CAPACITY) & ~(uint64_t)(logical / SECTOR_SIZE - 1);

    return sectors <= 1UL << 54 ? sectors : 0;
}

static void check_size(struct virtio_blk *b)
{
    uint64_t sectors = b->live ? capacity(b, b->disk.logical) : 0;

    if (sectors)
        physdisk_resized(&b->disk, sectors);
}

/* Answers; with a single interrupt for everything also changes of the configuration. */
static void on_event(void *arg)
{
    struct virtio_blk *b = arg;

    take_answers(b);
    if (b->dev.nr_irqs == 1)
        check_size(b);
}

static void config_event(void *arg)
{
    check_size(arg);
}

/* ------------------------------------------------------------------ when it goes wrong */

static void fail_all(struct virtio_blk *b)
{
    struct disk_io *io;

    while ((io = list_first(&b->waiting, struct disk_io, link)) != NULL) {
        list_remove(&io->link);
        physdisk_done(io, -XEN_EIO);
    }
}

static void die(struct virtio_blk *b, const char *why)
{
    log_error("%s: %s; not used any more", b->disk.name, why);
    b->live = false;
    b->dead = true;
    timer_cancel(&b->timer);
    pci_disable_dma(b->dev.pci);        /* it cannot write into memory that is handed back now */
}

/* What the device had waits again, in front, or fails when it was there often enough. */
static void take_back(struct virtio_blk *b)
{
    for (uint16_t i = 0; i < b->nr_slots; i++) {
        struct disk_io *io = b->req[i].io;

        if (!io)
            continue;
        b->req[i].io = NULL;
        b->free[b->nr_free++] = i;
        io->priv = (void *)(uintptr_t)(b->req[i].attempts + 1u);
        if (b->dead || b->req[i].attempts + 1u >= ATTEMPTS)
            physdisk_done(io, -XEN_EIO);
        else
            list_push_front(&b->waiting, &io->link);
    }
}

static void fault(struct virtio_blk *b, const char *why)
{
    b->live = false;
    if (++b->resets > RESETS_MAX) {
        die(b, why);
    } else {
        log_error("%s: %s; it is reset", b->disk.name, why);
        if (virtio_restart(&b->dev) || virtq_restart(&b->queue))
            die(b, "it does not come back from a reset");
    }
    take_back(b);
    if (b->dead) {
        fail_all(b);
        return;
    }
    virtio_ready(&b->dev);
    (void)virtq_irq_enable(&b->queue);
    b->live = true;
    log_info("%s: works again", b->disk.name);
    pump(b);
}

static uint64_t oldest(const struct virtio_blk *b)
{
    uint64_t oldest = 0;

    for (uint16_t i = 0; i < b->nr_slots; i++) {
        if (b->req[i].io && (!oldest || b->req[i].since < oldest))
            oldest = b->req[i].since;
    }
    return oldest;
}

static void on_timer(struct timer *t)
{
    struct virtio_blk *b = container_of(t, struct virtio_blk, timer);
    int rc = virtio_health(&b->dev);
    uint64_t since;

    if (rc == -XEN_ENODEV) {
        die(b, "the device is gone");
        take_back(b);
        fail_all(b);
        return;
    }
    take_answers(b);                    /* an interrupt that got lost is not an answer that did */
    since = oldest(b);
    if (rc)
        fault(b, "it asks to be reset");
    else if (since && now_ns() - since > physdisk_timeout_ns())
        fault(b, "a request is not answered");
}

/* ------------------------------------------------------------------ coming up */

/* NULL, or why it cannot be used. */
static const char *read_config(struct virtio_blk *b)
{
    struct virtio_dev *v = &b->dev;
    struct physdisk *p = &b->disk;
    uint64_t f = v->features;
    uint32_t logical = f & VIRTIO_BIT(F_BLK_SIZE) ? virtio_cfg32(v, CFG_BLK_SIZE) : SECTOR_SIZE;
    uint32_t segs = f & VIRTIO_BIT(F_SEG_MAX) ? virtio_cfg32(v, CFG_SEG_MAX) : 1;
    uint32_t limit;

    if (logical != 512 && logical != 4096)
        return "its blocks are neither 512 nor 4096 bytes";
    if ((f & VIRTIO_BIT(F_SIZE_MAX)) && virtio_cfg32(v, CFG_SIZE_MAX) < PAGE_SIZE)
        return "it takes no whole pages";
    if (!(f & VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC)))
        segs = MIN(segs, b->queue.size > 2 ? b->queue.size - 2u : 0);
    if (segs < 11)
        return "it takes less than 11 segments";
    p->sectors = capacity(b, logical);
    if (!p->sectors)
        return "its size is impossible";
    p->logical = p->physical = logical;
    if (f & VIRTIO_BIT(F_TOPOLOGY))
        p->physical = MIN(logical << (virtio_cfg8(v, CFG_PHYSICAL_EXP) & 7), 65536u);
    p->max_segs = MIN(segs, SEGMENTS);
    p->readonly = f & VIRTIO_BIT(F_RO);
    p->caps = (f & VIRTIO_BIT(F_FLUSH) ? DISK_CAP_FLUSH : DISK_CAP_FUA) |
              (f & VIRTIO_BIT(F_DISCARD) ? DISK_CAP_DISCARD : 0) |
              (f & VIRTIO_BIT(F_WRITE_ZEROES) ? DISK_CAP_ZEROES : 0);
    limit = RANGE_MAX;
    if (f & VIRTIO_BIT(F_DISCARD)) {
        limit = MIN(limit, virtio_cfg32(v, CFG_MAX_DISCARD));
        p->discard_granularity = MIN(virtio_cfg32(v, CFG_ALIGNMENT), 1u << 20) * SECTOR_SIZE;
    }
    if (f & VIRTIO_BIT(F_WRITE_ZEROES))
        limit = MIN(limit, virtio_cfg32(v, CFG_MAX_ZEROES));
    p->max_discard = limit & ~(logical / SECTOR_SIZE - 1);
    if (!p->max_discard)
        p->caps &= ~(DISK_CAP_DISCARD | DISK_CAP_ZEROES);
    return NULL;
}

static int start(struct virtio_blk *b)
{
    static const event_fn two[2] = { on_event, config_event };
    void *const arg[2] = { b, b };
    const char *wrong;
    int rc = virtio_negotiate(&b->dev, VIRTIO_BIT(F_SIZE_MAX) | VIRTIO_BIT(F_SEG_MAX) | VIRTIO_BIT(F_RO) |
                              VIRTIO_BIT(F_BLK_SIZE) | VIRTIO_BIT(F_FLUSH) | VIRTIO_BIT(F_TOPOLOGY) |
                              VIRTIO_BIT(F_DISCARD) | VIRTIO_BIT(F_WRITE_ZEROES) |
                              VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX));

    if (rc)
        return rc;
    rc = virtio_irqs(&b->dev, 2, two, arg);
    if (rc < 1)
        return rc < 0 ? rc : -XEN_ENODEV;
    virtio_config_irq(&b->dev, 1);
    rc = virtq_init(&b->queue, &b->dev, 0, QUEUE_SIZE, 0);
    if (rc)
        return rc;
    wrong = read_config(b);
    if (wrong) {
        log_error("%s: not used: %s", b->disk.name, wrong);
        return -XEN_EINVAL;
    }
    return 0;
}

int virtio_blk_probe(struct pci_dev *pci, unsigned int number)
{
    struct virtio_blk *b;
    int rc;

    if (pci->vendor != VENDOR_VIRTIO ||
        (pci->device != DEVICE_BLK && pci->device != DEVICE_BLK_LEGACY))
        return -XEN_ENODEV;
    b = calloc(1, sizeof(*b));
    if (!b)
        return -XEN_ENOMEM;
    snprintf(b->disk.name, sizeof(b->disk.name), "vd%c", 'a' + (char)MIN(number, 25u));
    snprintf(b->disk.model, sizeof(b->disk.model), "virtio");
    b->disk.driver = &driver;
    list_init(&b->waiting);
    timer_init(&b->timer, on_timer);
    rc = virtio_open(&b->dev, pci);
    if (!rc) {
        rc = start(b);
        if (rc)
            virtio_close(&b->dev);
    }
    if (rc) {
        log_error("%s: virtio disk cannot be started: error %d", b->disk.name, rc);
        /* Memory that the device has seen stays: there is no telling what it still does. */
        return rc == -XEN_ENODEV ? -XEN_EIO : rc;
    }
    virtio_ready(&b->dev);
    (void)virtq_irq_enable(&b->queue);
    b->live = true;
    physdisk_add(&b->disk);
    return 0;
}
