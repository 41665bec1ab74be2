/* SPDX-License-Identifier: MIT */
/*
 * virtio.c - modern virtio over PCI, split virtqueues.
 *
 * A queue has at most 256 descriptors, so its descriptor table is one page, and the two rings
 * share another: no memory needs to be contiguous beyond a page.
 */
#include "runtime/virtio.h"
#include "atomic.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "runtime/time.h"

#define QUEUE_MAX 256u

/* Vendor capability: kinds, and offsets in it. */
#define CAP_COMMON 1
#define CAP_NOTIFY 2
#define CAP_ISR    3
#define CAP_DEVICE 4
#define CAP_KIND        3
#define CAP_BAR         4
#define CAP_OFFSET      8
#define CAP_LENGTH      12
#define CAP_NOTIFY_MULT 16

/* struct virtio_pci_common_cfg, by offset. */
#define C_DEVICE_FEATURE_SELECT 0
#define C_DEVICE_FEATURE        4
#define C_DRIVER_FEATURE_SELECT 8
#define C_DRIVER_FEATURE        12
#define C_CONFIG_MSIX           16
#define C_NUM_QUEUES            18
#define C_STATUS                20
#define C_CONFIG_GENERATION     21
#define C_QUEUE_SELECT          22
#define C_QUEUE_SIZE            24
#define C_QUEUE_MSIX            26
#define C_QUEUE_ENABLE          28
#define C_QUEUE_NOTIFY_OFF      30
#define C_QUEUE_DESC            32
#define C_QUEUE_DRIVER          40
#define C_QUEUE_DEVICE          48
#define C_LENGTH                56

#define STATUS_ACKNOWLEDGE 1
#define STATUS_DRIVER      2
#define STATUS_DRIVER_OK   4
#define STATUS_FEATURES_OK 8
#define STATUS_NEEDS_RESET 64
#define STATUS_FAILED      128

#define NO_VECTOR 0xffff

struct virtq_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
    uint16_t next;
};
#define DESC_NEXT     1
#define DESC_WRITE    2
#define DESC_INDIRECT 4

_Static_assert(sizeof(struct virtq_desc) == VIRTQ_DESC_BYTES, "virtqueue layout");

struct virtq_avail {
    uint16_t flags;
    uint16_t idx;
    uint16_t ring[];            /* and used_event behind it */
};

struct virtq_used_elem {
    uint32_t id;
    uint32_t len;
};

struct virtq_used {
    uint16_t flags;
    uint16_t idx;
    struct virtq_used_elem ring[];  /* and avail_event behind it */
};
#define USED_NO_NOTIFY     1
#define AVAIL_NO_INTERRUPT 1

static uint8_t rd8(const struct virtio_dev *v, unsigned int off)
{
    return v->common[off];
}

static uint16_t rd16(const struct virtio_dev *v, unsigned int off)
{
    return *(volatile uint16_t *)(volatile void *)(v->common + off);
}

static uint32_t rd32(const struct virtio_dev *v, unsigned int off)
{
    return *(volatile uint32_t *)(volatile void *)(v->common + off);
}

static void wr8(struct virtio_dev *v, unsigned int off, uint8_t x)
{
    v->common[off] = x;
}

static void wr16(struct virtio_dev *v, unsigned int off, uint16_t x)
{
    *(volatile uint16_t *)(volatile void *)(v->common + off) = x;
}

static void wr32(struct virtio_dev *v, unsigned int off, uint32_t x)
{
    *(volatile uint32_t *)(volatile void *)(v->common + off) = x;
}

static void wr64(struct virtio_dev *v, unsigned int off, uint64_t x)
{
    wr32(v, off, (uint32_t)x);
    wr32(v, off + 4, (uint32_t)(x >> 32));
}

static void add_status(struct virtio_dev *v, uint8_t bits)
{
    wr8(v, C_STATUS, rd8(v, C_STATUS) | bits);
}

/* Opening. */

static volatile uint8_t *map_cap(struct virtio_dev *v, unsigned int kind, uint32_t *len,
                                 unsigned int *found)
{
    for (unsigned int at = 0; (at = pci_find_cap(v->pci, PCI_CAP_VENDOR, at)) != 0;) {
        if (pci_read8(v->pci, at + CAP_KIND) != kind)
            continue;
        *len = pci_read32(v->pci, at + CAP_LENGTH);
        *found = at;
        return pci_map_bar(v->pci, pci_read8(v->pci, at + CAP_BAR),
                           pci_read32(v->pci, at + CAP_OFFSET), *len);
    }
    *len = 0;
    *found = 0;
    return NULL;
}

static int reset(struct virtio_dev *v)
{
    uint64_t end = now_ns() + 100 * NS_PER_MS;

    wr8(v, C_STATUS, 0);
    while (rd8(v, C_STATUS)) {
        if (now_ns() > end)
            return -XEN_EIO;
        cpu_relax();
    }
    return 0;
}

int virtio_open(struct virtio_dev *v, struct pci_dev *pci)
{
    uint32_t len;
    unsigned int at;
    int rc;

    *v = (struct virtio_dev){ .pci = pci };
    pci_enable(pci);
    v->common = map_cap(v, CAP_COMMON, &len, &at);
    if (!v->common || len < C_LENGTH)
        return -XEN_ENODEV;
    v->notify = map_cap(v, CAP_NOTIFY, &v->notify_len, &at);
    if (!v->notify)
        return -XEN_ENODEV;
    v->notify_mult = pci_read32(pci, at + CAP_NOTIFY_MULT);
    v->isr = map_cap(v, CAP_ISR, &len, &at);
    v->config = map_cap(v, CAP_DEVICE, &v->config_len, &at);
    if (!v->isr)
        return -XEN_ENODEV;
    rc = reset(v);
    if (rc)
        return rc;
    add_status(v, STATUS_ACKNOWLEDGE);
    add_status(v, STATUS_DRIVER);
    v->nr_queues = rd16(v, C_NUM_QUEUES);
    pci->claimed = true;
    return 0;
}

void virtio_close(struct virtio_dev *v)
{
    (void)reset(v);
    pci_irq_free(v->pci, v->irqs, v->nr_irqs);
    v->nr_irqs = 0;
    v->pci->claimed = false;
}

uint64_t virtio_offered(struct virtio_dev *v)
{
    uint64_t lo;

    wr32(v, C_DEVICE_FEATURE_SELECT, 0);
    lo = rd32(v, C_DEVICE_FEATURE);
    wr32(v, C_DEVICE_FEATURE_SELECT, 1);
    return lo | (uint64_t)rd32(v, C_DEVICE_FEATURE) << 32;
}

static int agree(struct virtio_dev *v)
{
    wr32(v, C_DRIVER_FEATURE_SELECT, 0);
    wr32(v, C_DRIVER_FEATURE, (uint32_t)v->features);
    wr32(v, C_DRIVER_FEATURE_SELECT, 1);
    wr32(v, C_DRIVER_FEATURE, (uint32_t)(v->features >> 32));
    add_status(v, STATUS_FEATURES_OK);
    if (!(rd8(v, C_STATUS) & STATUS_FEATURES_OK)) {
        add_status(v, STATUS_FAILED);
        return -XEN_ENODEV;
    }
    return 0;
}

int virtio_negotiate(struct virtio_dev *v, uint64_t want)
{
    uint64_t have = virtio_offered(v);

    /* A device behind an IOMMU insists on ACCESS_PLATFORM; machine addresses are what it gets. */
    want |= VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM);
    if (!(have & VIRTIO_BIT(VIRTIO_F_VERSION_1)))
        return -XEN_ENODEV;
    v->features = have & want;
    return agree(v);
}

int virtio_health(struct virtio_dev *v)
{
    uint8_t status = rd8(v, C_STATUS);

    return status == 0xff ? -XEN_ENODEV : status & STATUS_NEEDS_RESET ? -XEN_EIO : 0;
}

int virtio_restart(struct virtio_dev *v)
{
    int rc = reset(v);

    if (rc)
        return rc;
    add_status(v, STATUS_ACKNOWLEDGE);
    add_status(v, STATUS_DRIVER);
    if (v->nr_irqs && v->irqs[0].kind == PCI_IRQ_MSIX)
        wr16(v, C_CONFIG_MSIX, v->config_vector);
    if ((virtio_offered(v) & v->features) != v->features)
        return -XEN_ENODEV;
    return agree(v);
}

/* Device configuration. Fields wider than a byte are read again while the device changes them. */

uint8_t virtio_cfg8(struct virtio_dev *v, unsigned int off)
{
    return v->config && off < v->config_len ? v->config[off] : 0;
}

static uint64_t cfg_read(struct virtio_dev *v, unsigned int off, unsigned int bytes)
{
    uint64_t x;
    uint8_t generation;

    do {
        generation = rd8(v, C_CONFIG_GENERATION);
        x = 0;
        for (unsigned int i = bytes; i-- > 0;)
            x = x << 8 | virtio_cfg8(v, off + i);
    } while (generation != rd8(v, C_CONFIG_GENERATION));
    return x;
}

uint16_t virtio_cfg16(struct virtio_dev *v, unsigned int off)
{
    return (uint16_t)cfg_read(v, off, 2);
}

uint32_t virtio_cfg32(struct virtio_dev *v, unsigned int off)
{
    return (uint32_t)cfg_read(v, off, 4);
}

uint64_t virtio_cfg64(struct virtio_dev *v, unsigned int off)
{
    return cfg_read(v, off, 8);
}

/* Interrupts. */

/* INTx and MSI: reading the status register is what ends a level interrupt. */
static void shared_irq(void *arg)
{
    struct virtio_dev *v = arg;

    (void)*v->isr;
    v->fn[0](v->arg[0]);
}

int virtio_irqs(struct virtio_dev *v, unsigned int want, const event_fn *fn, void *const *arg)
{
    event_fn shared[1] = { shared_irq };
    void *self[1] = { v };
    int n;

    want = MIN(want, (unsigned int)VIRTIO_IRQS);
    memcpy(v->fn, fn, want * sizeof(*fn));
    memcpy(v->arg, arg, want * sizeof(*arg));
    if (v->pci->msix_cap)
        n = pci_irq_alloc(v->pci, v->irqs, want, fn, arg);
    else
        n = pci_irq_alloc(v->pci, v->irqs, 1, shared, self);
    v->nr_irqs = n > 0 ? (unsigned int)n : 0;
    v->config_vector = NO_VECTOR;
    if (n > 0 && v->irqs[0].kind == PCI_IRQ_MSIX)
        wr16(v, C_CONFIG_MSIX, NO_VECTOR);
    return n;
}

void virtio_config_irq(struct virtio_dev *v, unsigned int irq)
{
    if (!v->nr_irqs || v->irqs[0].kind != PCI_IRQ_MSIX)
        return;
    v->config_vector = v->irqs[irq < v->nr_irqs ? irq : 0].entry;
    wr16(v, C_CONFIG_MSIX, v->config_vector);
}

void virtio_ready(struct virtio_dev *v)
{
    add_status(v, STATUS_DRIVER_OK);
}

/* Queues. */

static struct list queues = LIST_INIT(queues);

static volatile uint16_t *used_event(struct virtq *q)
{
    return &q->avail->ring[q->size];
}

static volatile uint16_t *avail_event(struct virtq *q)
{
    return (volatile uint16_t *)(volatile void *)&q->used->ring[q->size];
}

/* Does the device want to hear of avail entries `from` to `to`? */
static bool wants_kick(struct virtq *q, uint16_t from, uint16_t to)
{
    if (q->event_idx)
        return (uint16_t)(to - *avail_event(q) - 1) < (uint16_t)(to - from);
    return !(READ_ONCE(q->used->flags) & USED_NO_NOTIFY);
}

bool virtq_look_again(struct virtq *q)
{
    if (q->event_idx && q->sure_idx != q->kicked_idx) {
        if (wants_kick(q, q->sure_idx, q->kicked_idx))
            *q->doorbell = q->index;
        q->sure_idx = q->kicked_idx;
    }
    if (!q->irq_on || q->broken || load_acquire(&q->used->idx) == q->used_idx)
        return false;
    q->irq_on = false;
    return true;
}

/*
 * What we tell the device (entries, from where on it is to interrupt) is followed by a look at what it tells us,
 * and a barrier between them keeps each side from missing the other. Emulators of one CPU have been seen to leave
 * barriers out although their device is another thread (QEMU before 8.1 with -smp 1): then, once in millions of
 * times, both sleep for ever. By the time the loop goes to sleep the stores are long done; so it looks once more.
 */
static bool look_again(void)
{
    struct virtq *q;
    bool any = false;

    list_for_each(q, &queues, link) {
        if (virtq_look_again(q)) {
            q->fn(q->arg);
            any = true;
        }
    }
    return any;
}

static void watch(struct virtq *q, event_fn fn, void *arg)
{
    static struct sleep_check check = { .fn = look_again };

    q->fn = fn;
    q->arg = arg;
    list_init(&q->link);
    if (!fn)
        return;
    if (!check.link.next)
        loop_before_sleep(&check);
    list_push_back(&queues, &q->link);
}

static int queue_memory(struct virtq *q)
{
    char *rings = page_alloc_zeroed();

    q->desc = page_alloc_zeroed();
    q->cookie = calloc(q->size, sizeof(void *));
    q->chain_len = calloc(q->size, sizeof(uint16_t));
    q->avail = (void *)rings;
    if (!rings || !q->desc || !q->cookie || !q->chain_len) {
        virtq_destroy(q);
        return -XEN_ENOMEM;
    }
    q->used = (void *)(rings + ROUND_UP(6 + 2 * (size_t)q->size, (size_t)16));
    return 0;
}

static void link_free(struct virtq *q)
{
    for (uint16_t i = 0; i < q->size; i++)
        q->desc[i].next = (uint16_t)(i + 1);
    q->nr_free = q->size;
    q->free_head = 0;
}

/* Tells the device of the queue. */
static void enable(struct virtq *q)
{
    struct virtio_dev *v = q->dev;

    wr16(v, C_QUEUE_SELECT, q->index);
    wr16(v, C_QUEUE_SIZE, q->size);
    wr16(v, C_QUEUE_MSIX, q->vector);
    if (q->vector != NO_VECTOR && rd16(v, C_QUEUE_MSIX) != q->vector)
        log_warn("virtio: queue %u got no interrupt", q->index);
    wr64(v, C_QUEUE_DESC, virt_to_maddr(q->desc));
    wr64(v, C_QUEUE_DRIVER, virt_to_maddr(q->avail));
    wr64(v, C_QUEUE_DEVICE, virt_to_maddr(q->used));
    wr16(v, C_QUEUE_ENABLE, 1);
}

int virtq_init(struct virtq *q, struct virtio_dev *v, uint16_t index, uint16_t max_size,
               unsigned int irq)
{
    uint16_t size = MIN(max_size, (uint16_t)QUEUE_MAX);
    uint32_t bell;
    int rc;

    memset(q, 0, sizeof(*q));
    if (index >= v->nr_queues)
        return -XEN_EINVAL;
    wr16(v, C_QUEUE_SELECT, index);
    size = MIN(size, rd16(v, C_QUEUE_SIZE));
    if (!size || (size & (size - 1)))
        return -XEN_ENODEV;
    q->dev = v;
    q->index = index;
    q->size = size;
    q->event_idx = v->features & VIRTIO_BIT(VIRTIO_F_EVENT_IDX);
    bell = rd16(v, C_QUEUE_NOTIFY_OFF) * v->notify_mult;
    if (bell + sizeof(uint16_t) > v->notify_len)
        return -XEN_ENODEV;
    q->doorbell = (volatile uint16_t *)(volatile void *)(v->notify + bell);
    rc = queue_memory(q);
    if (rc)
        return rc;
    link_free(q);
    q->vector = NO_VECTOR;
    if (v->nr_irqs && v->irqs[0].kind == PCI_IRQ_MSIX)
        q->vector = v->irqs[irq < v->nr_irqs ? irq : 0].entry;
    enable(q);
    watch(q, v->fn[irq < v->nr_irqs ? irq : 0], v->arg[irq < v->nr_irqs ? irq : 0]);
    return 0;
}

void *virtq_take_back(struct virtq *q)
{
    for (uint16_t i = 0; i < q->size; i++) {
        if (q->chain_len[i]) {
            q->chain_len[i] = 0;
            return q->cookie[i];
        }
    }
    return NULL;
}

int virtq_restart(struct virtq *q)
{
    wr16(q->dev, C_QUEUE_SELECT, q->index);
    if (rd16(q->dev, C_QUEUE_SIZE) < q->size)
        return -XEN_ENODEV;
    memset(q->desc, 0, PAGE_SIZE);
    memset(q->avail, 0, PAGE_SIZE);         /* and the used ring, in the same page */
    memset(q->cookie, 0, q->size * sizeof(*q->cookie));
    memset(q->chain_len, 0, q->size * sizeof(*q->chain_len));
    q->avail_idx = q->kicked_idx = q->sure_idx = q->used_idx = 0;
    q->irq_on = q->broken = false;
    link_free(q);
    enable(q);
    return 0;
}

/* The device must have been reset before. */
void virtq_destroy(struct virtq *q)
{
    if (q->link.next)
        list_remove(&q->link);
    page_free(q->desc);
    page_free(q->avail);
    free(q->cookie);
    free(q->chain_len);
    q->desc = NULL;
    q->avail = NULL;
    q->used = NULL;
    q->cookie = NULL;
    q->chain_len = NULL;
}

int virtq_add(struct virtq *q, const struct virtq_buf *bufs, unsigned int nr_out,
              unsigned int nr_in, void *cookie)
{
    unsigned int n = nr_out + nr_in;
    uint16_t head = q->free_head, at = head, last = head;

    if (!n || n > q->nr_free)
        return -XEN_ENOSPC;
    for (unsigned int i = 0; i < n; i++) {
        struct virtq_desc *d = &q->desc[at];

        d->addr = bufs[i].addr;
        d->len = bufs[i].len;
        d->flags = (uint16_t)(DESC_NEXT | (i >= nr_out ? DESC_WRITE : 0));
        last = at;
        at = d->next;
    }
    q->desc[last].flags &= (uint16_t)~DESC_NEXT;
    q->free_head = at;
    q->nr_free = (uint16_t)(q->nr_free - n);
    q->cookie[head] = cookie;
    q->chain_len[head] = (uint16_t)n;
    q->avail->ring[q->avail_idx++ & (q->size - 1)] = head;
    return 0;
}

int virtq_add_indirect(struct virtq *q, void *table, const struct virtq_buf *bufs,
                       unsigned int nr_out, unsigned int nr_in, void *cookie)
{
    struct virtq_desc *t = table, *d = &q->desc[q->free_head];
    unsigned int n = nr_out + nr_in;
    uint16_t head = q->free_head;

    if (!n || !q->nr_free)
        return -XEN_ENOSPC;
    for (unsigned int i = 0; i < n; i++) {
        t[i].addr = bufs[i].addr;
        t[i].len = bufs[i].len;
        t[i].flags = (uint16_t)((i + 1 < n ? DESC_NEXT : 0) | (i >= nr_out ? DESC_WRITE : 0));
        t[i].next = (uint16_t)(i + 1);
    }
    d->addr = virt_to_maddr(table);
    d->len = (uint32_t)(n * sizeof(*t));
    d->flags = DESC_INDIRECT;
    q->free_head = d->next;
    q->nr_free--;
    q->cookie[head] = cookie;
    q->chain_len[head] = 1;
    q->avail->ring[q->avail_idx++ & (q->size - 1)] = head;
    return 0;
}

void virtq_kick(struct virtq *q)
{
    uint16_t old = q->kicked_idx, new = q->avail_idx;

    if (old == new)
        return;
    store_release(&q->avail->idx, new);
    q->kicked_idx = new;
    smp_mb();
    if (!wants_kick(q, old, new))
        return;
    *q->doorbell = q->index;
    q->sure_idx = new;
}

static void free_chain(struct virtq *q, uint16_t head)
{
    uint16_t at = head, n = q->chain_len[head];

    for (uint16_t i = 1; i < n; i++)
        at = q->desc[at].next;
    q->desc[at].next = q->free_head;
    q->free_head = head;
    q->nr_free = (uint16_t)(q->nr_free + n);
    q->chain_len[head] = 0;
}

void *virtq_next_used(struct virtq *q, uint32_t *written)
{
    struct virtq_used_elem e;
    void *cookie;

    if (q->broken || load_acquire(&q->used->idx) == q->used_idx)
        return NULL;
    e.id = READ_ONCE(q->used->ring[q->used_idx & (q->size - 1)].id);
    e.len = READ_ONCE(q->used->ring[q->used_idx & (q->size - 1)].len);
    q->used_idx++;
    if (e.id >= q->size || !q->chain_len[e.id]) {
        log_error("virtio: queue %u: the device returned descriptor %u, which it has not", q->index,
                  e.id);
        q->broken = true;
        return NULL;
    }
    cookie = q->cookie[e.id];
    free_chain(q, (uint16_t)e.id);
    if (written)
        *written = e.len;
    return cookie;
}

void virtq_irq_disable(struct virtq *q)
{
    if (q->event_idx)
        *used_event(q) = (uint16_t)(q->used_idx - 1);
    else
        WRITE_ONCE(q->avail->flags, AVAIL_NO_INTERRUPT);
    q->irq_on = false;
}

bool virtq_irq_enable(struct virtq *q)
{
    if (q->event_idx)
        *used_event(q) = q->used_idx;
    else
        WRITE_ONCE(q->avail->flags, 0);
    q->irq_on = true;
    smp_mb();
    return !q->broken && load_acquire(&q->used->idx) != q->used_idx;
}
