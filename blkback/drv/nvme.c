/* SPDX-License-Identifier: MIT */
/*
 * nvme.c - life of an NVMe controller: brought up step by step, watched, started anew when it hangs.
 *
 * Nothing waits: each step ends in a timer or an admin command, whose answer takes the next one.
 *
 *   DISABLING -> ENABLING -> SETUP (identify, queues, namespaces) -> LIVE
 *       ^------------ a command takes too long, a fatal status, a wrong answer ---|
 *
 * DEAD is a controller that does not come up. Its requests fail; before their memory is handed
 * back, bus mastering is turned off, so that it cannot write there later.
 */
#include <stdlib.h>
#include "blkback/drv/nvme.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/dma.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/time.h"

#define CLASS_NVME   0x010802u
#define POLL_NS      NS_PER_MS
#define WATCH_NS     (NS_PER_S / 2)
#define RESETS_MAX   3u             /* in a row, without a request that succeeds */

static void identify(struct nvme *n, uint32_t what, uint32_t nsid, void (*done)(struct nvme *, uint32_t));
static void next_ns(struct nvme *n);

static uint32_t rd(const struct nvme *n, unsigned int reg)
{
    return *(volatile uint32_t *)(volatile void *)(n->regs + reg);
}

static uint64_t rd64(const struct nvme *n, unsigned int reg)
{
    return rd(n, reg) | (uint64_t)rd(n, reg + 4) << 32;
}

static void wr(struct nvme *n, unsigned int reg, uint32_t v)
{
    *(volatile uint32_t *)(volatile void *)(n->regs + reg) = v;
}

static void wr64(struct nvme *n, unsigned int reg, uint64_t v)
{
    wr(n, reg, (uint32_t)v);
    wr(n, reg + 4, (uint32_t)(v >> 32));
}

static void settled(struct nvme *n)
{
    if (!n->held)
        return;
    n->held = false;
    physdisk_release();
}

/* ------------------------------------------------------------------ when it goes wrong */

static void __printf(2, 3) die(struct nvme *n, const char *fmt, ...)
{
    char why[96];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    log_error("%s: %s; not used any more", n->name, why);
    n->state = NVME_DEAD;
    timer_cancel(&n->timer);
    pci_disable_dma(n->pci);
    nvme_take_back(n, true);
    settled(n);
}

static void begin(struct nvme *n)
{
    n->state = NVME_DISABLING;
    n->deadline = now_ns() + n->caps.timeout_ms * NS_PER_MS;
    wr(n, NVME_CC, 0);
    timer_set_after(&n->timer, POLL_NS);
}

void nvme_fault(struct nvme *n, const char *fmt, ...)
{
    char why[96];
    va_list ap;

    if (n->state != NVME_LIVE && n->state != NVME_SETUP)
        return;
    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    if (++n->resets > RESETS_MAX) {
        die(n, "%s, again and again", why);
        return;
    }
    log_error("%s: %s; it is reset", n->name, why);
    begin(n);
}

/* ------------------------------------------------------------------ coming up */

static void live(struct nvme *n)
{
    n->state = NVME_LIVE;
    if (n->was_live)
        log_info("%s: works again", n->name);
    for (uint32_t i = 0; i < n->nr_ns; i++) {
        if (n->ns[i]->gone)
            log_error("%s: is not the disk any more that it was before the reset; not used", n->ns[i]->disk.name);
    }
    n->was_live = true;
    settled(n);
    nvme_pump(n);
}

/* The namespaces in use, after Identify; without such a list (NVMe 1.0) all numbers there may be. */
static void on_active(struct nvme *n, uint32_t status)
{
    for (uint32_t i = 0; i < n->nr_ns; i++)
        n->ns[i]->gone = true;          /* unless it shows itself as it was */
    n->nr_todo = n->at_todo = 0;
    for (uint32_t i = 0; i < NVME_NS_MAX; i++) {
        uint32_t id = i + 1;

        if (!status)
            memcpy(&id, n->page + i * sizeof(id), sizeof(id));
        if (!id || id > n->info.nr_ns)
            break;
        n->todo[n->nr_todo++] = id;
    }
    if (!n->nr_todo)
        log_warn("%s: has no namespace", n->name);
    next_ns(n);
}

static void set_disk(struct nvme_ns *ns)
{
    const struct nvme_ctrl_info *c = &ns->ctrl->info;
    struct physdisk *p = &ns->disk;

    snprintf(p->name, sizeof(p->name), "%sn%u", ns->ctrl->name, ns->nsid);
    snprintf(p->model, sizeof(p->model), "%s", c->model);
    p->driver = &nvme_disk_driver;
    p->sectors = ns->info.blocks << (ns->info.block_shift - SECTOR_SHIFT);
    p->logical = p->physical = 1u << ns->info.block_shift;
    p->caps = DISK_CAP_FUA | (c->write_cache ? DISK_CAP_FLUSH : 0) |
              (c->dsm ? DISK_CAP_DISCARD : 0) | (c->write_zeroes ? DISK_CAP_ZEROES : 0);
    p->readonly = ns->info.readonly;
}

static struct nvme_ns *find_ns(struct nvme *n, uint32_t nsid)
{
    for (uint32_t i = 0; i < n->nr_ns; i++) {
        if (n->ns[i]->nsid == nsid)
            return n->ns[i];
    }
    return NULL;
}

static void take_ns(struct nvme *n, uint32_t nsid, const struct nvme_ns_info *info)
{
    struct nvme_ns *ns = find_ns(n, nsid);

    if (ns) {                           /* after a reset: is it still what it was? */
        ns->gone = info->blocks != ns->info.blocks || info->block_shift != ns->info.block_shift;
        return;
    }
    if (n->was_live)
        return;
    if (n->nr_ns == NVME_NS_MAX) {      /* those of an attempt before this one count, too */
        log_error("%s: namespace %u is not used: it has shown %u others", n->name, nsid, NVME_NS_MAX);
        return;
    }
    ns = calloc(1, sizeof(*ns));
    if (!ns) {
        log_error("%s: out of memory", n->name);
        return;
    }
    ns->ctrl = n;
    ns->nsid = nsid;
    ns->info = *info;
    set_disk(ns);
    n->ns[n->nr_ns++] = ns;
    physdisk_add(&ns->disk);
}

static void on_ns(struct nvme *n, uint32_t status)
{
    uint32_t nsid = n->todo[n->at_todo++];
    struct nvme_ns_info info;
    const char *wrong;

    if (status) {
        log_error("%s: namespace %u: identify failed: status %x", n->name, nsid, status);
    } else {
        wrong = nvme_parse_ns(&info, n->page);
        if (!wrong)
            take_ns(n, nsid, &info);
        else if (!n->was_live)
            log_warn("%s: namespace %u is not used: %s", n->name, nsid, wrong);
    }
    next_ns(n);
}

static void next_ns(struct nvme *n)
{
    if (n->at_todo < n->nr_todo)
        identify(n, NVME_IDENTIFY_NS, n->todo[n->at_todo], on_ns);
    else
        live(n);
}

static void on_sq(struct nvme *n, uint32_t status)
{
    if (status)
        die(n, "no submission queue: status %x", status);
    else
        identify(n, NVME_IDENTIFY_ACTIVE, 0, on_active);
}

static void on_cq(struct nvme *n, uint32_t status)
{
    struct nvme_cmd c = {
        .opcode = NVME_ADMIN_CREATE_SQ, .prp1 = n->io.sq_at,
        .cdw10 = (n->io.depth - 1u) << 16 | n->io.id,
        .cdw11 = (uint32_t)n->io.id << 16 | 1,          /* its completion queue; contiguous */
    };

    if (status)
        die(n, "no completion queue: status %x", status);
    else
        nvme_submit_admin(n, &c, on_sq);
}

/* Whatever it says about the number of queues: one can always be had. */
static void on_queues(struct nvme *n, uint32_t status)
{
    struct nvme_cmd c = {
        .opcode = NVME_ADMIN_CREATE_CQ, .prp1 = n->io.cq_at,
        .cdw10 = (n->io.depth - 1u) << 16 | n->io.id,
        .cdw11 = (n->nr_irqs > 1 ? 1u : 0u) << 16 | 3,  /* vector; interrupts; contiguous */
    };

    nvme_submit_admin(n, &c, on_cq);
}

static void on_ctrl(struct nvme *n, uint32_t status)
{
    struct nvme_cmd c = { .opcode = NVME_ADMIN_SET_FEATURES, .cdw10 = NVME_FEATURE_QUEUES };

    if (status) {
        die(n, "identify failed: status %x", status);
        return;
    }
    nvme_parse_ctrl(&n->info, n->page);
    nvme_submit_admin(n, &c, on_queues);
}

static void identify(struct nvme *n, uint32_t what, uint32_t nsid, void (*done)(struct nvme *, uint32_t))
{
    struct nvme_cmd c = {
        .opcode = NVME_ADMIN_IDENTIFY, .nsid = nsid, .prp1 = n->page_at, .cdw10 = what,
    };

    memset(n->page, 0, PAGE_SIZE);
    nvme_submit_admin(n, &c, done);
}

/* It is off, and has let go of all memory. */
static void on_disabled(struct nvme *n)
{
    nvme_take_back(n, false);
    nvme_queue_reset(n, &n->admin);
    nvme_queue_reset(n, &n->io);
    wr(n, NVME_AQA, (n->admin.depth - 1u) << 16 | (n->admin.depth - 1u));
    wr64(n, NVME_ASQ, n->admin.sq_at);
    wr64(n, NVME_ACQ, n->admin.cq_at);
    n->state = NVME_ENABLING;
    n->deadline = now_ns() + n->caps.timeout_ms * NS_PER_MS;
    wr(n, NVME_CC, NVME_CC_SIZES | NVME_CC_EN);
    timer_set_after(&n->timer, POLL_NS);
}

static void on_enabled(struct nvme *n)
{
    n->state = NVME_SETUP;
    identify(n, NVME_IDENTIFY_CTRL, 0, on_ctrl);
}

/* ------------------------------------------------------------------ watching */

void nvme_watch(struct nvme *n)
{
    if (!timer_is_set(&n->timer))
        timer_set_after(&n->timer, WATCH_NS);
}

static void check_commands(struct nvme *n, uint32_t csts)
{
    uint64_t oldest = nvme_oldest(&n->admin), io = nvme_oldest(&n->io);

    if (io && (!oldest || io < oldest))
        oldest = io;
    if (!oldest)
        return;
    if (csts & NVME_CSTS_FATAL) {
        nvme_fault(n, "it reports a fatal error");
        return;
    }
    if (now_ns() - oldest > physdisk_timeout_ns()) {
        /* An interrupt that got lost is not a command that did. */
        nvme_poll(n, &n->admin);
        nvme_poll(n, &n->io);
        if (nvme_oldest(&n->admin) == oldest || nvme_oldest(&n->io) == oldest) {
            nvme_fault(n, "no answer for %lu s", (now_ns() - oldest) / NS_PER_S);
            return;
        }
    }
    nvme_watch(n);
}

static void on_timer(struct timer *t)
{
    struct nvme *n = container_of(t, struct nvme, timer);
    uint32_t csts = rd(n, NVME_CSTS);

    if (csts == ~0u) {
        die(n, "the device is gone");
        return;
    }
    if (n->state == NVME_SETUP || n->state == NVME_LIVE) {
        check_commands(n, csts);
        return;
    }
    if (n->state == NVME_DISABLING && !(csts & NVME_CSTS_RDY))
        on_disabled(n);
    else if (n->state == NVME_ENABLING && (csts & NVME_CSTS_FATAL))
        die(n, "it does not start: fatal error");
    else if (n->state == NVME_ENABLING && (csts & NVME_CSTS_RDY))
        on_enabled(n);
    else if (now_ns() > n->deadline)
        die(n, "it does not %s within %u s", n->state == NVME_ENABLING ? "start" : "stop",
            n->caps.timeout_ms / 1000);
    else
        timer_set_after(&n->timer, POLL_NS);
}

static void admin_event(void *arg)
{
    struct nvme *n = arg;

    nvme_poll(n, &n->admin);
}

static void io_event(void *arg)
{
    struct nvme *n = arg;

    nvme_poll(n, &n->io);
}

/* With one interrupt for both. */
static void any_event(void *arg)
{
    admin_event(arg);
    io_event(arg);
}

/* ------------------------------------------------------------------ finding it */

static int get_irqs(struct nvme *n)
{
    static const event_fn two[2] = { admin_event, io_event };
    static const event_fn one[1] = { any_event };
    void *const arg[2] = { n, n };
    int rc = n->pci->msix_entries > 1 ? pci_irq_alloc(n->pci, n->irqs, 2, two, arg) : 0;

    if (rc < 2) {
        if (rc > 0)
            pci_irq_free(n->pci, n->irqs, (unsigned int)rc);
        rc = pci_irq_alloc(n->pci, n->irqs, 1, one, arg);
    }
    n->nr_irqs = rc > 0 ? (unsigned int)rc : 0;
    return rc > 0 ? 0 : rc < 0 ? rc : -XEN_ENODEV;
}

static int map_regs(struct nvme *n)
{
    const char *wrong;
    uint64_t need;

    pci_enable(n->pci);
    n->regs = pci_map_bar(n->pci, 0, 0, 0);
    if (!n->regs || n->pci->bar[0].size < NVME_DOORBELLS) {
        log_error("%s: its registers cannot be mapped", n->name);
        return -XEN_EIO;
    }
    wrong = nvme_parse_cap(&n->caps, rd64(n, NVME_CAP));
    need = NVME_DOORBELLS + 4 * n->caps.bell_stride;
    if (!wrong && need > n->pci->bar[0].size)
        wrong = "it has no room for doorbells";
    if (wrong) {
        log_error("%s: not used: %s", n->name, wrong);
        return -XEN_EIO;
    }
    return 0;
}

static int get_memory(struct nvme *n)
{
    uint16_t depth = (uint16_t)MIN(n->caps.entries_max, NVME_IO_DEPTH);
    int rc = nvme_queue_alloc(&n->admin, 0, NVME_ADMIN_DEPTH);

    if (!rc)
        rc = nvme_queue_alloc(&n->io, 1, depth);
    if (!rc)
        rc = nvme_io_alloc(n);
    n->page = dma_alloc(0, &n->page_at);
    return rc ? rc : n->page ? 0 : -XEN_ENOMEM;
}

int nvme_probe(struct pci_dev *pci, unsigned int number)
{
    struct nvme *n;
    int rc;

    if (pci->class_code != CLASS_NVME)
        return -XEN_ENODEV;
    n = calloc(1, sizeof(*n));
    if (!n)
        return -XEN_ENOMEM;
    n->pci = pci;
    snprintf(n->name, sizeof(n->name), "nvme%u", number);
    list_init(&n->waiting);
    timer_init(&n->timer, on_timer);
    rc = map_regs(n);
    if (!rc)
        rc = get_memory(n);
    if (!rc) {
        wr(n, NVME_CC, 0);              /* quiet before it gets interrupts */
        rc = get_irqs(n);
    }
    if (rc) {
        log_error("%s: cannot be started: error %d", n->name, rc);
        return rc == -XEN_ENODEV ? -XEN_EIO : rc;       /* what it may have seen of memory stays */
    }
    pci->claimed = true;
    n->held = true;
    physdisk_hold();
    begin(n);
    return 0;
}
