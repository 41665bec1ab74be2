/* SPDX-License-Identifier: MIT */
/* NVMe: commands and Identify (pure), and a controller that the test plays, also one that lies or hangs. */
/* LINK: blkback/drv/nvme.c blkback/drv/nvme_io.c blkback/drv/nvme_cmd.c blkback/disk.c runtime/loop.c runtime/cmdline.c */
/* LINK: runtime/xs.c lib/strlcpy.c lib/why.c tests/unit/fakes/diskuser.c */
/* LINK: tests/unit/fakes/guest.c tests/unit/fakes/world.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "blkback/drv/nvme.h"
#include "runtime/dma.h"
#include "runtime/time.h"
#include "tests/unit/fakes/diskuser.h"
#include "tests/unit/fakes/guest.h"

#define BLOCKS 2048u

/* ------------------------------------------------------------------ around the driver */

static uint8_t bar[0x2000] __aligned(4096);
static struct pci_dev pci;
static event_fn irq[2];
static void *irq_arg;
static int holds;

volatile void *pci_map_bar(struct pci_dev *d, unsigned int n, uint64_t offset, uint64_t len)
{
    return bar;
}

int pci_irq_alloc(struct pci_dev *d, struct pci_irq *irqs, unsigned int want, const event_fn *fn,
                  void *const *arg)
{
    for (unsigned int i = 0; i < want; i++)
        irq[i] = fn[i];
    irq_arg = arg[0];
    return (int)want;
}

static void *dma[16];
static unsigned int nr_dma;

void *dma_alloc(unsigned int order, paddr_t *maddr)
{
    void *p = aligned_alloc(PAGE_SIZE << order, PAGE_SIZE << order);

    *maddr = (paddr_t)p;
    dma[nr_dma++] = p;
    return memset(p, 0, PAGE_SIZE << order);
}

void physdisk_hold(void)
{
    holds++;
}

void physdisk_release(void)
{
    holds--;
}

/* ------------------------------------------------------------------ the controller */

static struct {
    uint32_t admin_head, admin_done, io_head, io_done;
    uint16_t admin_phase, io_phase;
    struct nvme_cmd *io_sq;
    struct nvme_cpl *io_cq;
    bool stuck_off, never_ready, silent, silent_io;
    uint16_t io_status;             /* of every I/O command, as the completion has it */
    uint64_t blocks;                /* of a namespace; 0: BLOCKS */
    uint8_t shift;                  /* of its blocks; 0: 9 */
    uint32_t first_ns;              /* the 16 namespaces from there on are in use; 0: only the first */
    uint8_t medium[BLOCKS * 512];
    unsigned int flushes, resets;
} c;

static uint32_t *reg(unsigned int at)
{
    return (uint32_t *)(void *)(bar + at);
}

static uint64_t reg64(unsigned int at)
{
    uint64_t v;

    memcpy(&v, bar + at, 8);
    return v;
}

static void complete(struct nvme_cpl *cq, uint32_t depth, uint32_t *done, uint16_t *phase, uint16_t cid, uint16_t status)
{
    struct nvme_cpl *e = &cq[*done % depth];

    e->cid = cid;
    e->status = (uint16_t)(status << 1 | *phase);
    if (++*done % depth == 0)
        *phase ^= 1;
}

static uint16_t identify(const struct nvme_cmd *q)
{
    uint8_t *to = (uint8_t *)q->prp1;

    if (q->cdw10 == NVME_IDENTIFY_CTRL) {
        memcpy(to + 24, "TEST CONTROLLER     ", 20);
        to[77] = 5;                     /* 128 KiB */
        to[516] = 200;
        to[520] = 0xc;
        to[525] = 1;
    } else if (q->cdw10 == NVME_IDENTIFY_ACTIVE) {
        to[0] = 1;
        for (uint32_t i = 0; c.first_ns && i < 16; i++)
            to[4 * i] = (uint8_t)(c.first_ns + i);
    } else {
        uint64_t n = c.blocks ? c.blocks : BLOCKS;

        memcpy(to, &n, 8);
        to[128 + 2] = c.shift ? c.shift : 9;
    }
    return 0;
}

static void admin(void)
{
    struct nvme_cmd *sq = (void *)reg64(NVME_ASQ);
    uint32_t depth = (*reg(NVME_AQA) & 0xfff) + 1, tail = *reg(NVME_DOORBELLS);

    while (c.admin_head != tail && !c.silent) {
        struct nvme_cmd *q = &sq[c.admin_head];

        c.admin_head = (c.admin_head + 1) % depth;
        if (q->opcode == NVME_ADMIN_IDENTIFY)
            identify(q);
        if (q->opcode == NVME_ADMIN_CREATE_SQ)
            c.io_sq = (void *)q->prp1;
        if (q->opcode == NVME_ADMIN_CREATE_CQ)
            c.io_cq = (void *)q->prp1;
        complete((void *)reg64(NVME_ACQ), depth, &c.admin_done, &c.admin_phase, q->cid, 0);
    }
}

static void transfer(const struct nvme_cmd *q)
{
    uint64_t at = (q->cdw10 | (uint64_t)q->cdw11 << 32) * 512, left = ((q->cdw12 & 0xffff) + 1) * 512;
    uint64_t page = q->prp1, *list = (uint64_t *)q->prp2;

    assert_true(at + left <= sizeof(c.medium));
    for (unsigned int i = 0; left; i++) {
        uint64_t room = 4096 - (page & 4095), n = left < room ? left : room;
        bool last_two = i == 0 && left - n <= 4096;

        if (q->opcode == NVME_READ)
            memcpy((void *)page, c.medium + at, n);
        else
            memcpy(c.medium + at, (void *)page, n);
        at += n;
        left -= n;
        page = last_two ? q->prp2 : left ? *list++ : 0;
        assert_true(!left || !(page & 4095));
    }
}

static void io(void)
{
    uint32_t tail = *reg(NVME_DOORBELLS + 8);

    while (c.io_sq && c.io_head != tail && !c.silent && !c.silent_io) {
        struct nvme_cmd *q = &c.io_sq[c.io_head];

        c.io_head = (c.io_head + 1) % NVME_IO_DEPTH;
        if (!c.io_status && (q->opcode == NVME_READ || q->opcode == NVME_WRITE))
            transfer(q);
        c.flushes += q->opcode == NVME_FLUSH;
        complete(c.io_cq, NVME_IO_DEPTH, &c.io_done, &c.io_phase, q->cid, c.io_status);
    }
}

/* What a controller does by itself. */
static void step(void)
{
    bool on = *reg(NVME_CC) & NVME_CC_EN;

    if (!on && !c.stuck_off) {
        c.resets += *reg(NVME_CSTS) & NVME_CSTS_RDY;
        *reg(NVME_CSTS) = 0;
        c.admin_head = c.admin_done = c.io_head = c.io_done = 0;
        c.admin_phase = c.io_phase = 1;
        c.io_sq = NULL;
        *reg(NVME_DOORBELLS) = *reg(NVME_DOORBELLS + 8) = 0;
    }
    if (on && !c.never_ready)
        *reg(NVME_CSTS) |= NVME_CSTS_RDY;
    if (!(*reg(NVME_CSTS) & NVME_CSTS_RDY))
        return;
    admin();
    io();
    if (irq[0])
        irq[0](irq_arg);
    if (irq[1])
        irq[1](irq_arg);
}

static void run(uint64_t ms)
{
    for (uint64_t i = 0; i < ms; i++) {
        step();
        fake_advance(NS_PER_MS);
    }
}

/* Longer times in fewer steps. */
static void wait_s(unsigned int s)
{
    for (unsigned int i = 0; i < 10 * s; i++) {
        step();
        fake_advance(100 * NS_PER_MS);
    }
}

static int setup(void **state)
{
    uint64_t cap = 1UL << 37 | 2UL << 24 | 0xff;

    fake_reset();
    memset(bar, 0, sizeof(bar));
    memset(&c, 0, sizeof(c));
    memcpy(bar, &cap, 8);
    pci = (struct pci_dev){ .class_code = 0x010802, .msix_entries = 4, .msix_cap = 0x40,
                            .bar = { { 0x1000, sizeof(bar), false, true } } };
    disk_user_reset();
    holds = 0;
    nr_dma = 0;
    irq[0] = irq[1] = NULL;
    return 0;
}

/* The driver keeps what it allocated: a machine's controllers stay. */
static int teardown(void **state)
{
    return 0;
}

static void start(void)
{
    assert_int_equal(nvme_probe(&pci, 0), 0);
    run(50);
    assert_non_null(disk);
    assert_int_equal(holds, 0);
    disk_user_open();
}

/* ------------------------------------------------------------------ requests */

static void comes_up(void **state)
{
    start();
    assert_string_equal(disk->name, "nvme0n1");
    assert_string_equal(disk->model, "TEST CONTROLLER");
    assert_int_equal(disk->sectors, BLOCKS);
    assert_int_equal(disk->logical, 512);
    assert_true(disk->caps & DISK_CAP_FLUSH && disk->caps & DISK_CAP_FUA && disk->caps & DISK_CAP_DISCARD);
    assert_true(bus_master);
}

/* Of every length and alignment, more than the queue holds. */
static void data_goes_both_ways(void **state)
{
    start();
    srand(1);
    for (unsigned int round = 0; round < 200; round++) {
        uint32_t sectors = 1 + (uint32_t)rand() % 440, skew = (uint32_t)rand() % 8 * 512;
        uint64_t at = (uint64_t)rand() % (BLOCKS - sectors);
        struct req *w = go(0, DISK_WRITE, at, sectors, skew), *r;

        for (uint32_t i = 0; i < sectors * 512; i++)
            w->data[skew + i] = (uint8_t)rand();
        disk_kick(&user.disk);
        run(3);
        assert_int_equal(w->done, 1);
        assert_int_equal(w->rc, 0);
        assert_memory_equal(c.medium + at * 512, w->data + skew, sectors * 512);
        r = go(1, DISK_READ, at, sectors, skew ^ 512);
        disk_kick(&user.disk);
        run(3);
        assert_int_equal(r->rc, 0);
        assert_memory_equal(r->data + (skew ^ 512), w->data + skew, sectors * 512);
    }
    for (unsigned int i = 0; i < REQS; i++)
        go(i, DISK_READ, i, 400, 512);
    disk_kick(&user.disk);
    run(20);
    for (unsigned int i = 0; i < REQS; i++)
        assert_true(reqs[i].done == 1 && !reqs[i].rc);
    go(0, DISK_FLUSH, 0, 0, 0);
    go(1, DISK_DISCARD, 0, 1000, 0);
    go(2, DISK_WRITE_ZEROES, 8, 1000, 0);
    disk_kick(&user.disk);
    run(3);
    assert_true(reqs[0].done == 1 && reqs[1].done == 1 && reqs[2].done == 1 && c.flushes == 1);
}

static void errors_are_told(void **state)
{
    static const struct { uint16_t status; int rc; } cases[] = {
        { 0x281, -XEN_EIO }, { 0x001, -XEN_EOPNOTSUPP }, { 0x081, -XEN_ENOSPC }, { 0x020, -XEN_EROFS },
        { 0x7ff, -XEN_EIO },
    };

    start();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        c.io_status = cases[i].status;
        go(0, DISK_READ, 0, 400, 512);  /* several commands */
        disk_kick(&user.disk);
        run(3);
        assert_int_equal(reqs[0].done, 1);
        assert_int_equal(reqs[0].rc, cases[i].rc);
    }
    assert_int_equal(c.resets, 0);
    assert_non_null(strstr(fake_log, "nvme0n1: read of 400 sectors at 0 failed: status 2.81"));
}

/* One reset, then everything is done again and succeeds. */
static void a_hang_costs_a_reset(void **state)
{
    start();
    c.silent_io = true;
    for (unsigned int i = 0; i < REQS; i++)
        go(i, i % 2 ? DISK_READ : DISK_WRITE, i, 300, 0);
    disk_kick(&user.disk);
    wait_s(4);
    assert_int_equal(c.resets, 0);
    wait_s(2);
    assert_int_equal(c.resets, 1);
    c.silent_io = false;
    wait_s(2);
    for (unsigned int i = 0; i < REQS; i++)
        assert_true(reqs[i].done == 1 && !reqs[i].rc);
    assert_non_null(strstr(fake_log, "nvme0: works again"));
}

static void a_longer_hang_costs_requests(void **state)
{
    start();
    c.silent_io = true;
    go(0, DISK_WRITE, 0, 8, 0);
    disk_kick(&user.disk);
    wait_s(13);
    assert_int_equal(c.resets, 2);
    assert_int_equal(reqs[0].done, 1);
    assert_int_equal(reqs[0].rc, -XEN_EIO);
    assert_true(bus_master);
    for (unsigned int i = 1; i < 8; i++) {
        go(i, DISK_READ, 0, 8, 0);
        disk_kick(&user.disk);
        wait_s(12);
        assert_int_equal(reqs[i].done, 1);
    }
    assert_false(bus_master);           /* given up */
    assert_non_null(strstr(fake_log, "again and again; not used any more"));
}

/* It keeps the memory until it has lost the right to write there. */
static void it_does_not_stop(void **state)
{
    start();
    c.silent_io = c.stuck_off = true;
    go(0, DISK_READ, 0, 8, 0);
    disk_kick(&user.disk);
    wait_s(5);
    assert_int_equal(reqs[0].done, 0);
    wait_s(4);
    assert_int_equal(reqs[0].done, 1);
    assert_false(bus_master);
    go(1, DISK_READ, 0, 8, 0);
    disk_kick(&user.disk);
    assert_int_equal(reqs[1].rc, -XEN_EIO);
}

static void it_is_pulled_out(void **state)
{
    start();
    c.silent_io = true;
    go(0, DISK_READ, 0, 8, 0);
    disk_kick(&user.disk);
    memset(bar, 0xff, sizeof(bar));
    fake_advance(NS_PER_S);
    assert_int_equal(reqs[0].done, 1);
    assert_int_equal(reqs[0].rc, -XEN_EIO);
    assert_non_null(strstr(fake_log, "the device is gone"));
}

static void never_there(void **state)
{
    c.never_ready = true;
    assert_int_equal(nvme_probe(&pci, 0), 0);
    assert_int_equal(holds, 1);
    run(1500);
    assert_int_equal(holds, 0);
    assert_null(disk);
    setup(NULL);
    c.silent = true;
    assert_int_equal(nvme_probe(&pci, 0), 0);
    wait_s(60);
    assert_int_equal(holds, 0);
    setup(NULL);
    memset(bar, 0xff, sizeof(bar));
    assert_int_not_equal(nvme_probe(&pci, 0), 0);
    assert_int_equal(holds, 0);
}

/* After a reset it is smaller, has other blocks, or is not there: what waited for it must not go to whatever is there now. */
static void another_disk_after_a_reset(void **state)
{
    for (unsigned int i = 0; i < 4; i++) {
        setup(NULL);
        start();
        memset(c.medium, 0x11, sizeof(c.medium));
        c.silent_io = true;
        for (unsigned int k = 0; k < REQS; k++)
            memset(go(k, DISK_WRITE, k, 300, 0)->data, 0x22, 300 * 512);
        disk_kick(&user.disk);
        c.blocks = i == 0 ? BLOCKS / 2 : 0;
        c.shift = i == 1 ? 12 : i == 2 ? 13 : 0;
        c.first_ns = i == 3 ? 2 : 0;
        wait_s(6);
        assert_int_equal(c.resets, 1);
        c.silent_io = false;
        wait_s(2);
        for (unsigned int k = 0; k < REQS; k++)
            assert_true(reqs[k].done == 1 && reqs[k].rc == -XEN_EIO);
        for (unsigned int k = 0; k < sizeof(c.medium); k++)
            assert_int_equal(c.medium[k], 0x11);
        assert_non_null(strstr(fake_log, "nvme0n1: is not the disk any more"));
        go(0, DISK_READ, 0, 8, 0);
        assert_int_equal(reqs[0].rc, -XEN_EIO);
    }
}

/* It shows namespaces, hangs amid that, is reset, shows others, and so on. */
static void other_namespaces_each_time(void **state)
{
    c.first_ns = 1;
    assert_int_equal(nvme_probe(&pci, 0), 0);
    for (unsigned int i = 0; i < 3; i++) {
        run(20);
        assert_non_null(disk);
        c.silent = true;
        wait_s(6);
        assert_int_equal(c.resets, i + 1);
        c.silent = false;
        c.first_ns += 16;
    }
    run(50);
    assert_int_equal(holds, 0);
    assert_non_null(strstr(fake_log, "it has shown 16 others"));
}

/* Whatever stands in the completion queue: each request ends once, nothing else happens. */
static void lies(void **state)
{
    unsigned int given = 0, ended = 0;

    srand(7);
    for (unsigned int life = 0; life < 200; life++) {
        setup(NULL);
        start();
        for (unsigned int i = 0; i < 16; i++)
            go(i, i % 2 ? DISK_READ : DISK_WRITE, i, 1 + (uint32_t)rand() % 300, 512);
        given += 16;
        disk_kick(&user.disk);
        for (unsigned int i = 0; i < 8; i++) {
            complete(c.io_cq, NVME_IO_DEPTH, &c.io_done, &c.io_phase, (uint16_t)(rand() % (life % 2 ? 160 : 70000)),
                     (uint16_t)(rand() % 3 ? 0 : rand() & 0x7fff));
            irq[1](irq_arg);
        }
        wait_s(30);
        for (unsigned int i = 0; i < 16; i++) {
            assert_true(reqs[i].done <= 1);
            ended += reqs[i].done;
        }
    }
    assert_int_equal(ended, given);
}

/* ------------------------------------------------------------------ pure */

static void what_fits(void **state)
{
    struct nvme_piece p[40];
    uint32_t bytes;

    for (unsigned int i = 0; i < 40; i++)
        p[i] = (struct nvme_piece){ 0x100000 + 0x2000 * i, 4096 };
    assert_int_equal(nvme_fit(p, 40, 512, 1 << 20, &bytes), 33);
    assert_int_equal(bytes, 33 * 4096);
    assert_int_equal(nvme_fit(p, 40, 512, 131072, &bytes), 32);
    assert_int_equal(nvme_fit(p, 1, 512, 131072, &bytes), 1);
    p[3].bytes = 512;                   /* ends within a page */
    assert_int_equal(nvme_fit(p, 40, 512, 1 << 20, &bytes), 4);
    assert_int_equal(nvme_fit(p, 40, 4096, 1 << 20, &bytes), 3);
    p[2].at += 512;                     /* begins within a page */
    assert_int_equal(nvme_fit(p, 40, 512, 1 << 20, &bytes), 2);
    p[0] = (struct nvme_piece){ 0x100e00, 512 };
    assert_int_equal(nvme_fit(p, 2, 4096, 1 << 20, &bytes), 0);
    p[1] = (struct nvme_piece){ 0x200000, 3584 };
    assert_int_equal(nvme_fit(p, 2, 4096, 1 << 20, &bytes), 2);
    assert_int_equal(bytes, 4096);
}

static void namespaces(void **state)
{
    static const struct { uint8_t shift, ms, flbas; uint64_t blocks; bool good; } cases[] = {
        { 9, 0, 0, 100, true }, { 12, 0, 0, 100, true }, { 8, 0, 0, 100, false }, { 63, 0, 0, 100, false },
        { 9, 8, 0, 100, false }, { 9, 0, 0, 0, false }, { 9, 0, 0, ~0UL, false }, { 9, 0, 0x0f, 100, false },
        { 9, 0, 0x6f, 100, false },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint8_t id[4096] = { 0 };
        struct nvme_ns_info ns;

        memcpy(id, &cases[i].blocks, 8);
        id[26] = cases[i].flbas;
        id[128] = cases[i].ms;
        id[130] = cases[i].shift;
        assert_int_equal(!nvme_parse_ns(&ns, id), cases[i].good);
    }
}

static void capabilities(void **state)
{
    struct nvme_caps caps;

    assert_null(nvme_parse_cap(&caps, 1UL << 37 | 1UL << 32 | 20UL << 24 | 1023));
    assert_int_equal(caps.entries_max, 1024);
    assert_int_equal(caps.bell_stride, 8);
    assert_int_equal(caps.timeout_ms, 10000);
    assert_non_null(nvme_parse_cap(&caps, ~0UL));
    assert_non_null(nvme_parse_cap(&caps, 1023));
    assert_non_null(nvme_parse_cap(&caps, 1UL << 37 | 1UL << 48 | 1023));
    assert_non_null(nvme_parse_cap(&caps, 1UL << 37));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(comes_up), T(data_goes_both_ways), T(errors_are_told), T(a_hang_costs_a_reset),
        T(a_longer_hang_costs_requests), T(it_does_not_stop), T(it_is_pulled_out), T(never_there),
        T(another_disk_after_a_reset), T(other_namespaces_each_time), T(lies),
        cmocka_unit_test(what_fits), cmocka_unit_test(namespaces), cmocka_unit_test(capabilities),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Controllers are never given back, so neither is their memory. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}
