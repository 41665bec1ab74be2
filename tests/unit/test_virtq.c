/* SPDX-License-Identifier: MIT */
/* Split virtqueues against a device that the test plays, also one that lies. */
/* LINK: runtime/virtio.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "atomic.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/pagetable.h"
#include "runtime/mem.h"
#include "runtime/virtio.h"

static uint8_t common[64], bell[64] __attribute__((aligned(8)));
static uint64_t desc_at, avail_at, used_at;

static unsigned int nr_logged;

void log_at(enum log_level level, const char *fmt, ...)
{
    nr_logged++;
}

uint64_t now_ns(void)
{
    return 0;
}

void *page_alloc_zeroed(void)
{
    void *p = aligned_alloc(PAGE_SIZE, PAGE_SIZE);

    return memset(p, 0, PAGE_SIZE);
}

void page_free(void *p)
{
    free(p);
}

/* "Machine address" = the host's own. */
paddr_t virt_to_maddr(const void *p)
{
    return (paddr_t)p;
}

uint8_t pci_read8(const struct pci_dev *d, unsigned int reg)
{
    return 0;
}

uint32_t pci_read32(const struct pci_dev *d, unsigned int reg)
{
    return 0;
}

unsigned int pci_find_cap(const struct pci_dev *d, uint8_t id, unsigned int after)
{
    return 0;
}

void pci_enable(struct pci_dev *d)
{
}

volatile void *pci_map_bar(struct pci_dev *d, unsigned int bar, uint64_t offset, uint64_t len)
{
    return NULL;
}

int pci_irq_alloc(struct pci_dev *d, struct pci_irq *irqs, unsigned int want, const event_fn *fn,
                  void *const *arg)
{
    return -XEN_ENODEV;
}

void pci_irq_free(struct pci_dev *d, struct pci_irq *irqs, unsigned int n)
{
}

static struct sleep_check *before_sleep;

void loop_before_sleep(struct sleep_check *c)
{
    before_sleep = c;
}

/* The device's side. */
struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};

static struct desc *dev_desc(unsigned int i)
{
    return (struct desc *)desc_at + i;
}

static uint16_t *dev_avail(void)
{
    return (uint16_t *)avail_at;
}

static uint16_t *dev_used(void)
{
    return (uint16_t *)used_at;
}

static uint16_t dev_seen;

/* Takes the next chain: head; its length in *n. */
static uint16_t dev_take(unsigned int *n, uint16_t size)
{
    uint16_t head = dev_avail()[2 + dev_seen++ % size], at = head;

    for (*n = 1; dev_desc(at)->flags & 1; ++*n)
        at = dev_desc(at)->next;
    return head;
}

static void dev_finish(uint32_t id, uint32_t len, uint16_t size)
{
    uint32_t *ring = (uint32_t *)(dev_used() + 2);
    uint16_t idx = dev_used()[1];

    ring[idx % size * 2] = id;
    ring[idx % size * 2 + 1] = len;
    dev_used()[1] = (uint16_t)(idx + 1);
}

static struct pci_dev pci;
static struct virtio_dev dev;
static event_fn handler;

static void start(struct virtq *q, uint16_t size, bool event_idx)
{
    memset(common, 0, sizeof(common));
    memset(bell, 0xff, sizeof(bell));
    common[24] = (uint8_t)size;
    common[25] = (uint8_t)(size >> 8);
    dev = (struct virtio_dev){
        .pci = &pci, .common = common, .notify = bell, .notify_len = 64, .nr_queues = 4,
        .features = event_idx ? VIRTIO_BIT(VIRTIO_F_EVENT_IDX) : 0,
        .fn = { handler },
    };
    assert_int_equal(virtq_init(q, &dev, 3, 256, 0), 0);
    assert_int_equal(common[22], 3);
    assert_int_equal(common[28], 1);
    memcpy(&desc_at, common + 32, 8);
    memcpy(&avail_at, common + 40, 8);
    memcpy(&used_at, common + 48, 8);
    dev_seen = 0;
}

static void chains_come_back(void **state)
{
    struct virtq q;
    struct virtq_buf b[5] = { { 0x1000, 1 }, { 0x2000, 2 }, { 0x3000, 3 }, { 0x4000, 4 }, { 0x5000, 5 } };
    uint32_t len;
    unsigned int n;
    char a, c;

    start(&q, 16, false);
    for (unsigned int round = 0; round < 100; round++) {
        uint16_t h1, h2;

        assert_int_equal(virtq_add(&q, b, 2, 3, &a), 0);
        assert_int_equal(virtq_add(&q, b, 1, 0, &c), 0);
        assert_int_equal(dev_avail()[1], (uint16_t)(2 * round));    /* not published yet */
        virtq_kick(&q);
        assert_int_equal(dev_avail()[1], (uint16_t)(2 * round + 2));
        assert_int_equal(*(uint16_t *)bell, 3);
        h1 = dev_take(&n, 16);
        assert_int_equal(n, 5);
        assert_int_equal(dev_desc(h1)->addr, 0x1000);
        assert_int_equal(dev_desc(h1)->flags, 1);
        assert_int_equal(dev_desc(dev_desc(dev_desc(h1)->next)->next)->flags, 3);
        h2 = dev_take(&n, 16);
        assert_int_equal(n, 1);
        assert_null(virtq_next_used(&q, &len));
        dev_finish(h2, 0, 16);
        dev_finish(h1, 77, 16);
        assert_ptr_equal(virtq_next_used(&q, &len), &c);
        assert_ptr_equal(virtq_next_used(&q, &len), &a);
        assert_int_equal(len, 77);
        assert_int_equal(q.nr_free, 16);
    }
    for (unsigned int i = 0; i < 3; i++)
        assert_int_equal(virtq_add(&q, b, 5, 0, &a), 0);
    assert_int_equal(virtq_add(&q, b, 2, 0, &a), -XEN_ENOSPC);
    assert_int_equal(virtq_add(&q, b, 0, 1, &a), 0);
    virtq_destroy(&q);
}

static void doorbell_only_when_wanted(void **state)
{
    struct virtq q;
    struct virtq_buf b = { 0x1000, 1 };
    char a;

    start(&q, 16, false);
    dev_used()[0] = 1;                  /* "do not notify me" */
    virtq_add(&q, &b, 1, 0, &a);
    virtq_kick(&q);
    assert_int_equal(*(uint16_t *)bell, 0xffff);
    virtq_destroy(&q);
    start(&q, 16, true);
    dev_used()[2 + 16 * 4] = 1;         /* avail_event: only when entry 1 is there */
    virtq_add(&q, &b, 1, 0, &a);
    virtq_kick(&q);
    assert_int_equal(*(uint16_t *)bell, 0xffff);
    virtq_add(&q, &b, 1, 0, &a);
    virtq_kick(&q);
    assert_int_equal(*(uint16_t *)bell, 3);
    assert_false(virtq_irq_enable(&q));
    assert_int_equal(dev_avail()[2 + 16], 0);
    dev_finish(0, 0, 16);
    assert_true(virtq_irq_enable(&q));
    virtq_destroy(&q);
}

/* A store of ours reached the device only after we looked at what it says: a second look finds that out, once. */
static void second_look(void **state)
{
    struct virtq q;
    struct virtq_buf b = { 0x1000, 1 };
    char a;

    start(&q, 16, true);
    assert_false(virtq_look_again(&q));
    dev_used()[2 + 16 * 4] = 5;         /* avail_event: old */
    virtq_add(&q, &b, 1, 0, &a);
    virtq_kick(&q);
    assert_int_equal(*(uint16_t *)bell, 0xffff);
    dev_used()[2 + 16 * 4] = 0;         /* it waits, and has not seen the entry */
    assert_false(virtq_look_again(&q));
    assert_int_equal(*(uint16_t *)bell, 3);
    memset(bell, 0xff, sizeof(bell));
    assert_false(virtq_look_again(&q));
    assert_int_equal(*(uint16_t *)bell, 0xffff);

    dev_finish(dev_take(&(unsigned int){ 0 }, 16), 0, 16);
    assert_false(virtq_look_again(&q)); /* interrupts are off: whoever took them off looks himself */
    assert_ptr_equal(virtq_next_used(&q, NULL), &a);
    assert_false(virtq_irq_enable(&q));
    assert_false(virtq_look_again(&q));
    virtq_add(&q, &b, 1, 0, &a);
    virtq_kick(&q);
    dev_finish(dev_take(&(unsigned int){ 0 }, 16), 0, 16);
    assert_true(virtq_look_again(&q));
    assert_false(virtq_look_again(&q));
    virtq_destroy(&q);
}

static unsigned int nr_irqs;

static void on_irq(void *arg)
{
    nr_irqs++;
}

/* Its handler runs as if the interrupt had come. */
static void before_the_loop_sleeps(void **state)
{
    struct virtq q;

    handler = on_irq;
    start(&q, 16, true);
    handler = NULL;
    assert_false(before_sleep->fn());
    assert_false(virtq_irq_enable(&q));
    assert_false(before_sleep->fn());
    dev_finish(0, 0, 16);
    assert_true(before_sleep->fn());
    assert_int_equal(nr_irqs, 1);
    assert_false(before_sleep->fn());
    virtq_destroy(&q);
    assert_false(before_sleep->fn());
}

/* Whatever a device claims to have finished: nothing that is not outstanding comes back, and after the first lie nothing does. */
static void lies_are_noticed(void **state)
{
    struct virtq q;
    struct virtq_buf b[3] = { { 0x1000, 1 }, { 0x2000, 2 }, { 0x3000, 3 } };
    static char cookies[16];
    bool out[16] = { false };
    unsigned int outstanding = 0, lies = 0;

    start(&q, 16, false);
    srand(3);
    for (unsigned int round = 0; round < 20000; round++) {
        char *c;

        if (rand() % 2) {
            unsigned int i = (unsigned int)rand() % 16, n = 1 + (unsigned int)rand() % 3;

            if (!out[i] && virtq_add(&q, b, n, 0, &cookies[i]) == 0) {
                out[i] = true;
                outstanding++;
            }
            virtq_kick(&q);
        } else {
            dev_finish((uint32_t)rand() % 20, 0, 16);
        }
        while ((c = virtq_next_used(&q, NULL)) != NULL) {
            assert_true(out[c - cookies]);
            out[c - cookies] = false;
            outstanding--;
        }
        assert_true(q.nr_free <= 16 - outstanding);
        if (!q.broken)
            continue;
        dev_used()[1] = (uint16_t)(dev_used()[1] + 60000);
        assert_false(virtq_irq_enable(&q));
        assert_false(virtq_look_again(&q));
        assert_null(virtq_next_used(&q, NULL));
        assert_int_equal(nr_logged, ++lies);
        while ((c = virtq_take_back(&q)) != NULL) {
            assert_true(out[c - cookies]);
            out[c - cookies] = false;
            outstanding--;
        }
        assert_int_equal(outstanding, 0);
        assert_int_equal(virtq_restart(&q), 0);
    }
    assert_true(lies > 100);
    virtq_destroy(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_come_back),
        cmocka_unit_test(doorbell_only_when_wanted),
        cmocka_unit_test(second_look),
        cmocka_unit_test(before_the_loop_sleeps),
        cmocka_unit_test(lies_are_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
