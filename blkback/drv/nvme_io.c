/* SPDX-License-Identifier: MIT */
/*
 * nvme_io.c - queues of an NVMe controller, and disk requests as commands on them.
 *
 * One I/O queue pair: one vCPU submits and takes answers, more would gain nothing. Data goes straight
 * from and to the pages of the request. A request that one command cannot carry (too long, or its
 * pieces do not join at page borders) becomes several.
 */
#include "blkback/drv/nvme.h"
#include "lib/string.h"
#include "runtime/dma.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "runtime/time.h"
#include "atomic.h"

#define LIST_BYTES      (NVME_LIST_MAX * sizeof(uint64_t))
#define ZEROES_MAX      65536u      /* blocks of one command */
#define DISCARD_MAX     (1u << 31)  /* blocks of one command, well below 32 bits */

/* ------------------------------------------------------------------ queues */

int nvme_queue_alloc(struct nvme_queue *q, uint16_t id, uint16_t depth)
{
    unsigned int order = 0;

    while (PAGE_SIZE << order < depth * sizeof(struct nvme_cmd))
        order++;
    q->id = id;
    q->depth = depth;
    q->sq = dma_alloc(order, &q->sq_at);
    q->cq = dma_alloc(0, &q->cq_at);        /* 256 completions are a page */
    return q->sq && q->cq ? 0 : -XEN_ENOMEM;
}

void nvme_queue_reset(struct nvme *n, struct nvme_queue *q)
{
    memset(q->sq, 0, q->depth * sizeof(*q->sq));
    memset((void *)q->cq, 0, q->depth * sizeof(*q->cq));
    memset(q->slot, 0, sizeof(q->slot));
    q->sq_tail = q->sq_rung = q->cq_head = 0;
    q->phase = 1;
    q->sq_bell = (volatile void *)(n->regs + NVME_DOORBELLS + 2 * q->id * n->caps.bell_stride);
    q->cq_bell = (volatile void *)(n->regs + NVME_DOORBELLS + (2 * q->id + 1) * n->caps.bell_stride);
    /* One entry stays empty, so that a full queue is not taken for an empty one. */
    q->nr_free = 0;
    while (q->nr_free < q->depth - 1) {
        q->free[q->nr_free] = q->nr_free;
        q->nr_free++;
    }
}

static void ring(struct nvme_queue *q)
{
    if (q->sq_tail == q->sq_rung)
        return;
    smp_wmb();
    *q->sq_bell = q->sq_tail;
    q->sq_rung = q->sq_tail;
}

/* The caller has seen that a slot is free: its number, and where the command goes. */
static struct nvme_cmd *next_cmd(struct nvme_queue *q, uint16_t *id)
{
    struct nvme_cmd *c = &q->sq[q->sq_tail];

    *id = q->free[--q->nr_free];
    q->slot[*id].busy = true;
    q->slot[*id].since = now_ns();
    q->sq_tail = (uint16_t)((q->sq_tail + 1) % q->depth);
    return c;
}

uint64_t nvme_oldest(const struct nvme_queue *q)
{
    uint64_t oldest = 0;

    for (uint16_t i = 0; i < q->depth; i++) {
        if (q->slot[i].busy && (!oldest || q->slot[i].since < oldest))
            oldest = q->slot[i].since;
    }
    return oldest;
}

void nvme_submit_admin(struct nvme *n, const struct nvme_cmd *c,
                       void (*done)(struct nvme *n, uint32_t status))
{
    struct nvme_cmd *to;
    uint16_t id;

    BUG_ON(!n->admin.nr_free);          /* one at a time */
    to = next_cmd(&n->admin, &id);
    *to = *c;
    to->cid = id;
    n->admin.slot[id].done = done;
    ring(&n->admin);
    nvme_watch(n);
}

int nvme_io_alloc(struct nvme *n)
{
    const unsigned int each = PAGE_SIZE / LIST_BYTES;
    char *page = NULL;

    for (unsigned int i = 0; i < n->io.depth; i++) {
        if (i % each == 0)
            page = page_alloc();
        if (!page)
            return -XEN_ENOMEM;
        n->lists[i] = (uint64_t *)(void *)(page + i % each * LIST_BYTES);
    }
    return 0;
}

/* ------------------------------------------------------------------ requests into commands */

static uint8_t opcode_of(const struct disk_io *io)
{
    static const uint8_t opcodes[DISK_OPS] = {
        [DISK_READ] = NVME_READ, [DISK_WRITE] = NVME_WRITE, [DISK_FLUSH] = NVME_FLUSH,
        [DISK_DISCARD] = NVME_DSM, [DISK_WRITE_ZEROES] = NVME_WRITE_ZEROES,
    };

    return opcodes[io->op];
}

static bool has_data(const struct disk_io *io)
{
    return io->op == DISK_READ || io->op == DISK_WRITE;
}

/* What the next command of r carries: segments into piece[], and blocks. False: it cannot be done. */
static bool plan(const struct nvme_io *r, struct nvme_piece *piece, uint32_t *pieces,
                 uint64_t *sectors)
{
    const struct disk_io *io = r->io;
    uint32_t n = MIN((uint32_t)(io->nr_segs - r->seg), NVME_LIST_MAX + 1), bytes;
    uint32_t shift = r->ns->info.block_shift - SECTOR_SHIFT;

    *pieces = 0;
    *sectors = io->sectors - r->sectors;
    if (io->op == DISK_DISCARD)
        *sectors = MIN(*sectors, (uint64_t)DISCARD_MAX << shift);
    if (io->op == DISK_WRITE_ZEROES)
        *sectors = MIN(*sectors, (uint64_t)ZEROES_MAX << shift);
    if (!has_data(io))
        return true;
    for (uint32_t i = 0; i < n; i++)
        piece[i] = (struct nvme_piece){ io->seg[r->seg + i].maddr, io->seg[r->seg + i].bytes };
    *pieces = nvme_fit(piece, n, 1u << r->ns->info.block_shift,
                       MIN(r->ns->ctrl->info.bytes_max, 1u << 20), &bytes);
    *sectors = bytes >> SECTOR_SHIFT;
    return *pieces != 0;
}

/* The range of a deallocation, in the memory that is a list of pages else. */
static void set_range(struct nvme_cmd *c, uint64_t *list, uint64_t block, uint64_t blocks)
{
    list[0] = blocks << 32;
    list[1] = block;
    c->prp1 = virt_to_maddr(list);
    c->cdw10 = 0;                       /* one range */
    c->cdw11 = NVME_DSM_DEALLOCATE;
}

static void fill(struct nvme_cmd *c, const struct nvme_io *r, uint64_t *list, const struct nvme_piece *piece,
                 uint32_t pieces, uint64_t sectors)
{
    uint32_t shift = r->ns->info.block_shift - SECTOR_SHIFT;
    uint64_t block = (physdisk_sector(r->io) + r->sectors) >> shift, blocks = sectors >> shift;

    *c = (struct nvme_cmd){ .opcode = opcode_of(r->io), .nsid = r->ns->nsid };
    if (r->io->op == DISK_FLUSH)
        return;
    if (r->io->op == DISK_DISCARD) {
        set_range(c, list, block, blocks);
        return;
    }
    c->cdw10 = (uint32_t)block;
    c->cdw11 = (uint32_t)(block >> 32);
    c->cdw12 = (uint32_t)(blocks - 1) | (r->io->flags & DISK_FUA ? NVME_RW_FUA : 0);
    if (pieces)
        nvme_set_pages(c, piece, pieces, list, virt_to_maddr(list));
}

/* One more command of r; false: nothing more is to be done, the rest fails. */
static bool issue(struct nvme *n, struct nvme_io *r)
{
    struct nvme_piece piece[NVME_LIST_MAX + 1];
    struct nvme_cmd *c;
    uint64_t sectors;
    uint32_t pieces;
    uint16_t id;

    if (r->ns->gone || !plan(r, piece, &pieces, &sectors)) {
        /* Else blocks cut into pieces that NVMe cannot put together. */
        r->rc = r->ns->gone ? -XEN_EIO : -XEN_EINVAL;
        return false;
    }
    c = next_cmd(&n->io, &id);
    fill(c, r, n->lists[id], piece, pieces, sectors);
    c->cid = id;
    n->io.slot[id].io = r;
    r->under_way++;
    r->seg = (uint16_t)(r->seg + pieces);
    r->sectors += sectors;
    return true;
}

static struct nvme_io *io_state(struct nvme *n, struct disk_io *io)
{
    if (io->priv)
        return io->priv;
    for (uint32_t i = 0; i < ARRAY_SIZE(n->pool); i++) {
        struct nvme_io *r = &n->pool[i];

        if (r->io)
            continue;
        *r = (struct nvme_io){
            .io = io, .ns = container_of(container_of(io->disk, struct phys_open, disk)->phys,
                                         struct nvme_ns, disk),
        };
        io->priv = r;
        return r;
    }
    return NULL;
}

static void finish(struct nvme_io *r)
{
    struct disk_io *io = r->io;
    int rc = r->rc;

    r->io = NULL;
    io->priv = NULL;
    physdisk_done(io, rc);
}

void nvme_pump(struct nvme *n)
{
    struct disk_io *io;

    while (n->state == NVME_LIVE && n->io.nr_free && (io = list_first(&n->waiting, struct disk_io, link))) {
        struct nvme_io *r = io_state(n, io);
        bool more = r != NULL;

        if (!r)
            break;
        do
            more = issue(n, r);
        while (more && r->sectors < io->sectors && n->io.nr_free);
        if (more && r->sectors < io->sectors)
            break;
        list_remove(&io->link);
        if (!r->under_way)
            finish(r);
    }
    ring(&n->io);
    if (n->io.nr_free < n->io.depth - 1)
        nvme_watch(n);
}

static void disk_submit_io(struct physdisk *p, struct disk_io *io)
{
    struct nvme_ns *ns = container_of(p, struct nvme_ns, disk);
    struct nvme *n = ns->ctrl;

    io->priv = NULL;
    if (n->state == NVME_DEAD || ns->gone) {
        physdisk_done(io, -XEN_EIO);
        return;
    }
    list_push_back(&n->waiting, &io->link);
}

static void disk_kick_io(struct physdisk *p)
{
    nvme_pump(container_of(p, struct nvme_ns, disk)->ctrl);
}

const struct physdisk_driver nvme_disk_driver = { .submit = disk_submit_io, .kick = disk_kick_io };

/* ------------------------------------------------------------------ answers */

static void report(struct nvme_ns *ns, const struct disk_io *io, uint32_t status)
{
    static const char *const names[DISK_OPS] = { "read", "write", "flush", "discard", "zeroing" };
    uint64_t now = now_ns();

    if (now < ns->next_report)
        return;
    ns->next_report = now + NS_PER_S;
    log_error("%s: %s of %lu sectors at %lu failed: status %x.%02x", ns->disk.name, names[io->op],
              io->sectors, physdisk_sector(io), status >> 8, status & 0xff);
}

static int error_of(uint32_t status)
{
    switch (status) {
    case 0x001:                         /* the opcode is not known */
        return -XEN_EOPNOTSUPP;
    case 0x081:                         /* capacity exceeded */
        return -XEN_ENOSPC;
    case 0x020:                         /* write protected */
    case 0x182:                         /* write to a read-only range */
        return -XEN_EROFS;
    default:
        return -XEN_EIO;
    }
}

static void io_answered(struct nvme *n, struct nvme_io *r, uint32_t status)
{
    r->under_way--;
    if (status) {
        report(r->ns, r->io, status);
        if (!r->rc)
            r->rc = error_of(status);
    } else {
        n->resets = 0;
    }
    /* Still waiting to be continued: the pump ends it. */
    if (r->under_way || (!r->rc && r->sectors < r->io->sectors))
        return;
    if (r->sectors < r->io->sectors)
        list_remove(&r->io->link);
    finish(r);
}

/* False: such a command is not under way. */
static bool answered(struct nvme *n, struct nvme_queue *q, const struct nvme_cpl *c)
{
    void (*done)(struct nvme *, uint32_t);
    struct nvme_slot *s;
    struct nvme_io *r;

    if (c->cid >= q->depth || !q->slot[c->cid].busy)
        return false;
    s = &q->slot[c->cid];
    done = s->done;
    r = s->io;
    *s = (struct nvme_slot){ .busy = false };
    q->free[q->nr_free++] = c->cid;
    if (r)
        io_answered(n, r, nvme_status(c));
    else
        done(n, nvme_status(c));
    return true;
}

void nvme_poll(struct nvme *n, struct nvme_queue *q)
{
    uint16_t taken = 0;

    while ((n->state == NVME_SETUP || n->state == NVME_LIVE) && taken < q->depth) {
        volatile struct nvme_cpl *at = &q->cq[q->cq_head];
        struct nvme_cpl c;

        c.status = load_acquire(&at->status);
        if ((c.status & 1) != q->phase)
            break;
        c.cid = at->cid;
        q->cq_head++;
        if (q->cq_head == q->depth) {
            q->cq_head = 0;
            q->phase ^= 1;
        }
        taken++;
        if (!answered(n, q, &c)) {
            nvme_fault(n, "it answers command %u of queue %u, which it does not have", c.cid, q->id);
            return;
        }
    }
    if (!taken)
        return;
    *q->cq_bell = q->cq_head;
    if (q == &n->io)
        nvme_pump(n);
}

/* ------------------------------------------------------------------ after a reset */

static void again(struct nvme *n, struct nvme_io *r)
{
    if (r->sectors >= r->io->sectors)           /* else it stands there already */
        list_push_front(&n->waiting, &r->io->link);
    r->sectors = 0;
    r->seg = 0;
    r->under_way = 0;
    r->rc = 0;
}

static void give_up(struct nvme_io *r)
{
    if (r->sectors < r->io->sectors)
        list_remove(&r->io->link);
    r->rc = -XEN_EIO;
    finish(r);
}

void nvme_take_back(struct nvme *n, bool for_good)
{
    struct disk_io *io;

    for (uint32_t i = 0; i < ARRAY_SIZE(n->pool); i++) {
        struct nvme_io *r = &n->pool[i];

        if (!r->io || !r->under_way)
            continue;
        if (++r->attempts < NVME_ATTEMPTS && !for_good)
            again(n, r);
        else
            give_up(r);
    }
    while (for_good && (io = list_first(&n->waiting, struct disk_io, link))) {
        list_remove(&io->link);
        if (io->priv)
            ((struct nvme_io *)io->priv)->io = NULL;
        io->priv = NULL;
        physdisk_done(io, -XEN_EIO);
    }
}
