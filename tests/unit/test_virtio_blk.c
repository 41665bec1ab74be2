/* SPDX-License-Identifier: MIT */
/* virtio_blk.c with a device that the test plays, also one that lies, hangs or goes away. */
/* LINK: blkback/drv/virtio_blk.c runtime/virtio.c blkback/disk.c runtime/loop.c runtime/cmdline.c */
/* LINK: runtime/xs.c lib/strlcpy.c lib/why.c tests/unit/fakes/diskuser.c */
/* LINK: tests/unit/fakes/guest.c tests/unit/fakes/world.c tests/unit/fakes/virtiopci.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "blkback/physdisk.h"
#include "runtime/time.h"
#include "tests/unit/fakes/diskuser.h"
#include "tests/unit/fakes/guest.h"
#include "tests/unit/fakes/virtiopci.h"

#define SECTORS 4096u
#define F(n) (1u << (n))
#define FEATURES (F(0) | F(2) | F(6) | F(9) | F(13) | F(14))    /* bit 0: of the upper half, VERSION_1 */
#define INDIRECT F(28)

/* ------------------------------------------------------------------ around the driver */

static struct pci_dev pci;
static event_fn irq;
static void *irq_arg;

int pci_irq_alloc(struct pci_dev *d, struct pci_irq *irqs, unsigned int want, const event_fn *fn,
                  void *const *arg)
{
    irq = fn[0];
    irq_arg = arg[0];
    irqs[0] = (struct pci_irq){ .kind = PCI_IRQ_MSI };
    return 1;
}

/* ------------------------------------------------------------------ the device */

struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};

static struct {
    uint16_t seen;
    bool silent;
    uint8_t status;
    uint8_t medium[SECTORS * 512];
    unsigned int served;
} dev;

#define COMMON(type, off) (*(type *)(void *)(fake_virtio[1] + (off)))

static uint16_t *avail(void)
{
    return (uint16_t *)COMMON(uint64_t, 40);
}

static uint16_t *used(void)
{
    return (uint16_t *)COMMON(uint64_t, 48);
}

static void finish(uint32_t id, uint32_t len)
{
    uint32_t *ring = (uint32_t *)(void *)(used() + 2);
    uint16_t idx = used()[1];

    ring[idx % 256 * 2] = id;
    ring[idx % 256 * 2 + 1] = len;
    used()[1] = (uint16_t)(idx + 1);
}

/* A chain in order, through an indirect table or not. */
static unsigned int chain(uint16_t head, struct desc *out)
{
    const struct desc *t = (struct desc *)COMMON(uint64_t, 32);
    unsigned int n = 0;

    if (t[head].flags & 4) {
        assert_true(t[head].len % 16 == 0 && !(t[head].flags & 1));
        assert_true(t[head].addr / 4096 == (t[head].addr + t[head].len - 1) / 4096);
        t = (struct desc *)t[head].addr;
        head = 0;
    }
    do
        out[n++] = t[head];
    while ((t[head].flags & 1) && (head = t[head].next, true));
    return n;
}

static void serve(uint16_t head)
{
    struct desc d[300];
    unsigned int n = chain(head, d);
    uint32_t type;
    uint64_t at;

    memcpy(&type, (void *)d[0].addr, 4);
    memcpy(&at, (void *)(d[0].addr + 8), 8);
    assert_true(d[0].len == 16 && !(d[0].flags & 2) && d[n - 1].len == 1 && (d[n - 1].flags & 2));
    at *= 512;
    for (unsigned int i = 1; i + 1 < n && type < 2 && !dev.status; i++) {
        assert_int_equal(d[i].flags & 2, type ? 0 : 2);
        assert_true(at + d[i].len <= sizeof(dev.medium));
        if (type)
            memcpy(dev.medium + at, (void *)d[i].addr, d[i].len);
        else
            memcpy((void *)d[i].addr, dev.medium + at, d[i].len);
        at += d[i].len;
    }
    if (type == 13) {
        uint64_t sector;
        uint32_t count;

        memcpy(&sector, (void *)d[1].addr, 8);
        memcpy(&count, (void *)(d[1].addr + 8), 4);
        memset(dev.medium + sector * 512, 0, count * 512);
    }
    *(uint8_t *)d[n - 1].addr = dev.status;
    dev.served++;
    finish(head, 1);
}

static void step(void)
{
    if (!COMMON(uint8_t, 20)) {
        dev.seen = 0;
        return;
    }
    while (!dev.silent && avail() && dev.seen != avail()[1])
        serve(avail()[2 + dev.seen++ % 256]);
    irq(irq_arg);
}

static void wait_s(unsigned int s)
{
    for (unsigned int i = 0; i < 10 * s; i++) {
        step();
        fake_advance(100 * NS_PER_MS);
    }
}

static int setup(void **state)
{
    uint64_t sectors = SECTORS;
    uint32_t v;

    fake_reset();
    memset(fake_virtio, 0, sizeof(fake_virtio));
    memset(&dev, 0, sizeof(dev));
    COMMON(uint32_t, 4) = FEATURES | INDIRECT;
    COMMON(uint16_t, 18) = 1;
    COMMON(uint16_t, 24) = 256;
    memcpy(fake_virtio[4], &sectors, 8);
    v = 254;
    memcpy(fake_virtio[4] + 12, &v, 4);
    v = 512;
    memcpy(fake_virtio[4] + 20, &v, 4);
    v = 2048;
    memcpy(fake_virtio[4] + 36, &v, 4);
    memcpy(fake_virtio[4] + 48, &v, 4);
    pci = (struct pci_dev){ .vendor = 0x1af4, .device = 0x1042 };
    disk_user_reset();
    return 0;
}

static void start(void)
{
    assert_int_equal(virtio_blk_probe(&pci, 0), 0);
    assert_non_null(disk);
    disk_user_open();
}

/* ------------------------------------------------------------------ requests */

static void both_ways(bool indirect)
{
    if (!indirect)
        COMMON(uint32_t, 4) = FEATURES;
    start();
    assert_int_equal(disk->max_segs, 56);
    srand(1);
    for (unsigned int round = 0; round < 200; round++) {
        uint32_t sectors = 1 + (uint32_t)rand() % 430, skew = (uint32_t)rand() % 8 * 512;
        uint64_t at = (uint64_t)rand() % (SECTORS - sectors);
        struct req *w = go(0, DISK_WRITE, at, sectors, skew), *r;

        for (uint32_t i = 0; i < sectors * 512; i++)
            w->data[skew + i] = (uint8_t)rand();
        disk_kick(&user.disk);
        step();
        assert_true(w->done == 1 && !w->rc);
        assert_memory_equal(dev.medium + at * 512, w->data + skew, sectors * 512);
        r = go(1, DISK_READ, at, sectors, skew ^ 512);
        disk_kick(&user.disk);
        step();
        assert_true(r->done == 1 && !r->rc);
        assert_memory_equal(r->data + (skew ^ 512), w->data + skew, sectors * 512);
    }
    for (unsigned int i = 0; i < REQS; i++)         /* more than there is room for */
        go(i, DISK_READ, i, 400, 512);
    disk_kick(&user.disk);
    for (unsigned int i = 0; i < 200; i++)
        step();
    for (unsigned int i = 0; i < REQS; i++)
        assert_true(reqs[i].done == 1 && !reqs[i].rc);
    go(0, DISK_FLUSH, 0, 0, 0);
    go(1, DISK_DISCARD, 0, 1000, 0);
    go(2, DISK_WRITE_ZEROES, 8, 1000, 0);
    disk_kick(&user.disk);
    step();
    assert_true(reqs[0].done == 1 && reqs[1].done == 1 && reqs[2].done == 1 && !reqs[2].rc);
    for (unsigned int i = 8 * 512; i < 1008 * 512; i++)
        assert_int_equal(dev.medium[i], 0);
}

static void with_indirect_tables(void **state)
{
    both_ways(true);
}

static void without(void **state)
{
    both_ways(false);
}

static void errors_are_told(void **state)
{
    static const struct { uint8_t status; int rc; } cases[] = {
        { 1, -XEN_EIO }, { 2, -XEN_EOPNOTSUPP }, { 77, -XEN_EIO }, { 0xff, -XEN_EIO },
    };

    start();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        dev.status = cases[i].status;
        go(0, DISK_READ, 0, 8, 0);
        disk_kick(&user.disk);
        step();
        assert_int_equal(reqs[0].rc, cases[i].rc);
    }
    assert_non_null(strstr(fake_log, "vda: read of 8 sectors at 0 failed: status 1"));
    assert_null(strstr(fake_log, "status 2"));      /* one line a second */
}

static void it_grows(void **state)
{
    uint64_t sectors = 2 * SECTORS;

    start();
    memcpy(fake_virtio[4], &sectors, 8);
    step();
    assert_int_equal(resized, 2 * SECTORS);
    for (unsigned int i = 0; i < 2; i++) {          /* no disk can be so large, or has nothing */
        sectors = i ? 0 : 1UL << 60;
        memcpy(fake_virtio[4], &sectors, 8);
        step();
        assert_int_equal(resized, 2 * SECTORS);
    }
}

static void a_hang_costs_a_reset(void **state)
{
    start();
    dev.silent = true;
    for (unsigned int i = 0; i < REQS; i++)
        go(i, i % 2 ? DISK_READ : DISK_WRITE, i, 300, 0);
    disk_kick(&user.disk);
    wait_s(4);
    assert_null(strstr(fake_log, "it is reset"));
    wait_s(2);
    assert_non_null(strstr(fake_log, "a request is not answered; it is reset"));
    dev.silent = false;
    dev.seen = 0;
    wait_s(2);
    for (unsigned int i = 0; i < REQS; i++)
        assert_true(reqs[i].done == 1 && !reqs[i].rc);
}

static void a_longer_hang_costs_the_disk(void **state)
{
    start();
    dev.silent = true;
    go(0, DISK_WRITE, 0, 8, 0);
    disk_kick(&user.disk);
    wait_s(13);
    assert_true(reqs[0].done == 1 && reqs[0].rc == -XEN_EIO && bus_master);
    go(0, DISK_WRITE, 0, 8, 0);
    disk_kick(&user.disk);
    wait_s(13);
    assert_true(reqs[0].done == 1 && reqs[0].rc == -XEN_EIO && !bus_master);
    go(0, DISK_WRITE, 0, 8, 0);
    assert_int_equal(reqs[0].rc, -XEN_EIO);
}

static void it_asks_for_a_reset(void **state)
{
    start();
    dev.silent = true;
    go(0, DISK_WRITE, 0, 8, 0);
    disk_kick(&user.disk);
    COMMON(uint8_t, 20) |= 64;
    wait_s(1);
    dev.silent = false;
    dev.seen = 0;
    wait_s(1);
    assert_true(reqs[0].done == 1 && !reqs[0].rc);
}

static void it_is_pulled_out(void **state)
{
    start();
    dev.silent = true;
    for (unsigned int i = 0; i < REQS; i++)
        go(i, DISK_READ, 0, 8, 0);
    disk_kick(&user.disk);
    memset(fake_virtio[1], 0xff, 64);
    fake_advance(NS_PER_S);
    for (unsigned int i = 0; i < REQS; i++)
        assert_true(reqs[i].done == 1 && reqs[i].rc == -XEN_EIO);
    assert_false(bus_master);
}

static void impossible_disks(void **state)
{
    static const struct { unsigned int at; uint32_t value; } cases[] = {
        { 20, 0 }, { 20, 1024 }, { 20, 0xffffffff }, { 12, 0 }, { 12, 10 }, { 4, 0xffffffff }, { 0, 0 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        setup(NULL);
        memcpy(fake_virtio[4] + cases[i].at, &cases[i].value, 4);
        assert_int_not_equal(virtio_blk_probe(&pci, 0), 0);
        assert_null(disk);
    }
    setup(NULL);
    COMMON(uint16_t, 24) = 0;
    assert_int_not_equal(virtio_blk_probe(&pci, 0), 0);
    for (uint16_t size = 1; size <= 8; size *= 2) { /* no request of 11 segments has room */
        setup(NULL);
        COMMON(uint32_t, 4) = FEATURES;
        COMMON(uint16_t, 24) = size;
        assert_int_not_equal(virtio_blk_probe(&pci, 0), 0);
    }
}

/* Whatever it says to have finished: each request ends once. */
static void lies(void **state)
{
    unsigned int given = 0, ended = 0;

    srand(5);
    for (unsigned int life = 0; life < 200; life++) {
        setup(NULL);
        dev.silent = true;
        start();
        for (unsigned int i = 0; i < 16; i++)
            go(i, i % 2 ? DISK_READ : DISK_WRITE, i, 1 + (uint32_t)rand() % 300, 512);
        given += 16;
        disk_kick(&user.disk);
        for (unsigned int i = 0; i < 12; i++) {
            finish((uint32_t)rand() % (life % 2 ? 20 : 100000), (uint32_t)rand());
            irq(irq_arg);
        }
        wait_s(14);
        for (unsigned int i = 0; i < 16; i++) {
            assert_true(reqs[i].done <= 1);
            ended += reqs[i].done;
        }
    }
    assert_int_equal(ended, given);
}

/* As many as the ring can say at once: it is one lie, and costs one reset. */
static void a_ring_of_lies(void **state)
{
    dev.silent = true;
    start();
    for (unsigned int i = 0; i < 16; i++)
        go(i, DISK_READ, i, 8, 0);
    disk_kick(&user.disk);
    for (unsigned int i = 0; i < 256; i++)
        finish(77777, 1);
    used()[1] = 60000;
    irq(irq_arg);
    assert_null(strstr(strstr(fake_log, "77777") + 1, "77777"));
    assert_non_null(strstr(fake_log, "it answers what it was not asked; it is reset"));
    dev.silent = false;
    dev.seen = 0;
    step();
    for (unsigned int i = 0; i < 16; i++)
        assert_true(reqs[i].done == 1 && !reqs[i].rc);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
    const struct CMUnitTest tests[] = {
        T(with_indirect_tables), T(without), T(errors_are_told), T(it_grows), T(a_hang_costs_a_reset),
        T(a_longer_hang_costs_the_disk), T(it_asks_for_a_reset), T(it_is_pulled_out), T(impossible_disks), T(lies),
        T(a_ring_of_lies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Disks are never given back, so neither is their memory. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}
