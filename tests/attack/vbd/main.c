/* SPDX-License-Identifier: MIT */
/* vbd - a frontend that breaks every rule of <xen/io/blkif.h>; see README.md. */
#include "xenabi.h"
#include <xen/io/blkif.h>
#include "atomic.h"
#include "lib/string.h"
#include "runtime/event.h"
#include "runtime/grant.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "runtime/start.h"
#include "runtime/time.h"
#include "runtime/xbdev.h"
#include "runtime/xenbus.h"
#include "tests/attack/expect.h"

#define ENTRIES 32u
#define CANARY    0xee

static struct xbdev dev;
static struct blkif_sring *ring;
static grant_ref_t ring_ref, page_ref, ro_ref, list_ref;
static evtchn_port_t port;
static uint8_t *page, *ro_page, *before;
static struct blkif_request_segment *list;
static uint32_t prod;
static uint64_t sectors;

static void nothing(void *arg)
{
}

static void peer_changed(struct xbdev *d, enum xenbus_state s)
{
}

static bool wait_peer(enum xenbus_state s)
{
    uint64_t end = now_ns() + 60 * NS_PER_S;

    while (dev.peer_state != s && now_ns() < end)
        loop_turn(false);
    return dev.peer_state == s;
}

static bool connect(void)
{
    memset(ring, 0, PAGE_SIZE);
    ring->req_event = ring->rsp_event = 1;
    prod = 0;
    if (!wait_peer(XenbusStateInitWait))
        return false;
    (void)xs_printf(0, dev.path, "ring-ref", "%u", ring_ref);
    (void)xs_printf(0, dev.path, "event-channel", "%u", port);
    (void)xs_printf(0, dev.path, "protocol", "x86_64-abi");
    (void)xbdev_set_state(&dev, XenbusStateInitialised);
    if (!wait_peer(XenbusStateConnected))
        return false;
    (void)xbdev_set_state(&dev, XenbusStateConnected);
    return true;
}

static void disconnect(void)
{
    (void)xbdev_set_state(&dev, XenbusStateClosed);
    (void)wait_peer(XenbusStateClosed);
    event_close(port);
    BUG_ON(event_alloc_unbound(dev.peer_dom, nothing, NULL, &port));
    (void)xbdev_set_state(&dev, XenbusStateInitialising);
}

static struct blkif_request *next(uint8_t op, uint64_t sector)
{
    struct blkif_request *q = &ring->ring[prod++ % ENTRIES].req;

    memset(q, 0, sizeof(*q));
    q->operation = op;
    q->sector_number = sector;
    return q;
}

/* Publishes what is there and waits for all answers; the status of the last one. */
static int16_t answer(void)
{
    uint64_t end = now_ns() + 60 * NS_PER_S;

    store_release(&ring->req_prod, prod);
    event_send(port);
    /* Who else attacks this host may have the processors. */
    while (load_acquire(&ring->rsp_prod) != prod && now_ns() < end)
        loop_turn(false);
    EXPECT(ring->rsp_prod == prod);
    return ring->ring[(prod - 1) % ENTRIES].rsp.status;
}

static int16_t one(uint8_t op, uint64_t sector, grant_ref_t ref, uint8_t first, uint8_t last)
{
    struct blkif_request *q = next(op, sector);

    q->nr_segments = 1;
    q->seg[0] = (struct blkif_request_segment){ ref, first, last };
    return answer();
}

static bool all_canary(const uint8_t *p)
{
    for (unsigned int i = 0; i < PAGE_SIZE; i++)
        if (p[i] != CANARY)
            return false;
    return true;
}

/* The disk, 4 KiB at a time, into before[] or compared with it. */
static void read_disk(bool compare)
{
    for (uint64_t s = 0; s + 8 <= sectors; s += 8) {
        EXPECT(one(BLKIF_OP_READ, s, page_ref, 0, 7) == BLKIF_RSP_OKAY);
        if (!compare)
            memcpy(before + s * 512, page, PAGE_SIZE);
        else
            EXPECT(!memcmp(before + s * 512, page, PAGE_SIZE));
    }
}

static void refusals(void)
{
    static const struct { uint64_t sector; uint8_t first, last; } bad[] = {
        { ~0ul, 0, 0 }, { ~0ul - 7, 0, 7 }, { 1ul << 55, 0, 7 }, { 1ul << 63, 0, 7 }, { 0, 7, 0 },
        { 0, 0, 8 }, { 0, 255, 255 }, { 0, 8, 8 },
    };
    grant_ref_t never = page_ref + 300;

    memset(page, CANARY, PAGE_SIZE);
    for (uint8_t op = BLKIF_OP_READ; op <= BLKIF_OP_WRITE_BARRIER; op++) {
        for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
            EXPECT(one(op, bad[i].sector, page_ref, bad[i].first, bad[i].last) == BLKIF_RSP_ERROR);
        EXPECT(one(op, sectors, page_ref, 0, 0) == BLKIF_RSP_ERROR);
        EXPECT(one(op, sectors - 7, page_ref, 0, 7) == BLKIF_RSP_ERROR);
        EXPECT(one(op, 0, never, 0, 7) == BLKIF_RSP_ERROR);
        next(op, 0)->nr_segments = 12;
        EXPECT(answer() == BLKIF_RSP_ERROR);
    }
    EXPECT(all_canary(page));
    memset(ro_page, CANARY, PAGE_SIZE);
    EXPECT(one(BLKIF_OP_READ, 0, ro_ref, 0, 7) == BLKIF_RSP_ERROR);
    EXPECT(all_canary(ro_page));
    for (unsigned int op = BLKIF_OP_FLUSH_DISKCACHE + 1; op < 256; op += ENTRIES) {
        uint32_t first = prod;

        for (unsigned int i = op; i < 256 && i < op + ENTRIES; i++)
            next((uint8_t)i, ~0ul);
        (void)answer();
        for (uint32_t i = first; i != prod; i++) {
            int16_t s = ring->ring[i % ENTRIES].rsp.status;

            EXPECT(s == BLKIF_RSP_ERROR || s == BLKIF_RSP_EOPNOTSUPP);
        }
    }
}

static void indirect(uint8_t op, uint16_t n, grant_ref_t ref, uint64_t sector)
{
    struct blkif_request_indirect *q = (void *)next(BLKIF_OP_INDIRECT, 0);

    q->indirect_op = op;
    q->nr_segments = n;
    q->sector_number = sector;
    q->indirect_grefs[0] = ref;
}

static void bad_indirect(void)
{
    static const uint16_t counts[] = { 0, 257, 512, 4096, 65535 };

    for (unsigned int i = 0; i < PAGE_SIZE / sizeof(*list); i++)
        list[i] = (struct blkif_request_segment){ page_ref, 0, 7 };
    for (unsigned int i = 0; i < ARRAY_SIZE(counts); i++) {
        indirect(BLKIF_OP_READ, counts[i], list_ref, 0);
        EXPECT(answer() == BLKIF_RSP_ERROR);
    }
    for (unsigned int op = 2; op < 8; op++) {
        indirect((uint8_t)op, 4, list_ref, 0);
        EXPECT(answer() == BLKIF_RSP_ERROR);
    }
    indirect(BLKIF_OP_READ, 4, list_ref + 300, 0);
    EXPECT(answer() == BLKIF_RSP_ERROR);
    list[3].last_sect = 200;
    indirect(BLKIF_OP_READ, 4, list_ref, 0);
    EXPECT(answer() == BLKIF_RSP_ERROR);
    /* A write of which a part can be had may be done in part: so none of it. */
    for (unsigned int i = 0; i < 4; i++)
        list[i] = (struct blkif_request_segment){ page_ref + 300, 0, 7 };
    indirect(BLKIF_OP_WRITE, 4, list_ref, 0);
    EXPECT(answer() == BLKIF_RSP_ERROR);
}

/* Each bit of kind makes one thing of the noise right. Never a write that could succeed. */
static void tame(struct blkif_request *q, uint32_t kind)
{
    static const uint8_t ops[] = { BLKIF_OP_READ, BLKIF_OP_FLUSH_DISKCACHE, BLKIF_OP_INDIRECT,
                                   BLKIF_OP_WRITE, BLKIF_OP_WRITE_BARRIER, BLKIF_OP_READ };
    struct blkif_request_indirect *ind = (void *)q;

    if (kind & 1)
        q->operation = ops[q->operation % ARRAY_SIZE(ops)];
    if (q->operation == BLKIF_OP_DISCARD)
        q->operation = BLKIF_OP_READ;
    if (kind & 2)
        q->sector_number %= sectors;
    if (q->operation == BLKIF_OP_INDIRECT) {
        ind->indirect_op = BLKIF_OP_READ;
        if (kind & 4)
            ind->nr_segments %= 257;
        if (kind & 8)
            ind->indirect_grefs[0] = list_ref;
        return;
    }
    if (kind & 4)
        q->nr_segments %= 12;
    for (unsigned int i = 0; i < ARRAY_SIZE(q->seg); i++) {
        if ((kind & 8) && q->operation == BLKIF_OP_READ)
            q->seg[i].gref = i % 3 ? page_ref : ro_ref;
        else
            q->seg[i].gref |= 0x10000;
        if (kind & 16) {
            q->seg[i].first_sect %= 4;
            q->seg[i].last_sect = (uint8_t)(4 + q->seg[i].last_sect % 4);
        }
    }
}

/* Noise, while the ring and the list are rewritten under the backend's eyes. */
static void noise(uint32_t kind)
{
    uint64_t end = now_ns() + NS_PER_S / 8;

    while (now_ns() < end && dev.peer_state == XenbusStateConnected) {
        uint32_t n = random_u32() % (ENTRIES + 1);

        for (uint32_t i = 0; i < n; i++) {
            struct blkif_request q;

            random_bytes(&q, sizeof(q));
            tame(&q, kind);
            memcpy(&ring->ring[prod++ % ENTRIES].req, &q, sizeof(q));
        }
        store_release(&ring->req_prod, prod);
        event_send(port);
        for (unsigned int k = 0; k < 400 && load_acquire(&ring->rsp_prod) != prod; k++) {
            list[random_u32() % 512] = (struct blkif_request_segment){
                k % 2 ? page_ref : random_u32(), (uint8_t)(random_u32() % 9), (uint8_t)(random_u32() % 9) };
            ring->ring[random_u32() % ENTRIES].req.seg[random_u32() % 11].first_sect ^= 1;
        }
        while (load_acquire(&ring->rsp_prod) != prod && now_ns() < end &&
               dev.peer_state == XenbusStateConnected)
            loop_turn(false);
    }
}

/* References that go while requests with them are under way. */
static void vanishing(void)
{
    for (unsigned int i = 0; i < 60; i++) {
        uint8_t *p = page_alloc();
        grant_ref_t ref = grant_offer(dev.peer_dom, virt_to_mfn(p), 0);
        struct blkif_request *q = next(BLKIF_OP_READ, i % (sectors - 8));

        q->nr_segments = 1;
        q->seg[0] = (struct blkif_request_segment){ ref, 0, 7 };
        store_release(&ring->req_prod, prod);
        event_send(port);
        for (unsigned int k = random_u32() % 200; k; k--)
            cpu_relax();
        while (!grant_end(ref))
            cpu_relax();
        memset(p, CANARY, PAGE_SIZE);       /* it is ours again, alone */
        (void)answer();
        EXPECT(all_canary(p));
        page_free(p);
    }
}

/*
 * Writes of several pages, which a backend may leave where they are for a device to read: grants that are withdrawn by force, or
 * lead to other pages, while those are under way, and pages that change. What is written is nobody's affair but ours.
 */
static void withdrawn(void)
{
    struct grant_entry_v1 *entry;
    grant_ref_t refs = grant_range(4, &entry);
    uint8_t *p = pages_alloc(3);

    BUG_ON(!refs || !p);
    for (unsigned int i = 0; i < 80 && sectors > 32; i++) {
        struct blkif_request *q = next(BLKIF_OP_WRITE, i % (sectors - 32));

        for (unsigned int k = 0; k < 4; k++) {
            entry[k].frame = (uint32_t)virt_to_mfn(p + (2 * k + i % 2) * PAGE_SIZE).v;
            entry[k].domid = dev.peer_dom;
            store_release(&entry[k].flags, (uint16_t)(GTF_permit_access | GTF_readonly));
            q->seg[k] = (struct blkif_request_segment){ refs + k, 0, 7 };
        }
        q->nr_segments = 4;
        store_release(&ring->req_prod, prod);
        event_send(port);
        for (unsigned int k = random_u32() % 4000; k; k--) {
            ((volatile uint8_t *)p)[random_u32() % (8 * PAGE_SIZE)] ^= 1;
            if (k % 1000 == 0)
                store_release(&entry[k / 1000 % 4].flags, (uint16_t)0);
            if (k % 700 == 0)
                entry[k % 4].frame = (uint32_t)virt_to_mfn(p + k % 8 * PAGE_SIZE).v;
        }
        (void)answer();
        for (unsigned int k = 0; k < 4; k++)
            store_release(&entry[k].flags, (uint16_t)0);
    }
}

static void bad_indices(void)
{
    static const uint32_t steps[] = { 33, 0x10000, 0x80000000u, 0xffffffffu };

    for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
        store_release(&ring->req_prod, ring->req_prod + steps[i]);
        event_send(port);
        for (unsigned int k = 0; k < 100; k++)
            loop_turn(false);
    }
    EXPECT(wait_peer(XenbusStateClosing));
}

/* dom0's log would have it, with what makes lines and speaks to terminals. */
static void odd_protocol(void)
{
    EXPECT(wait_peer(XenbusStateInitWait));
    (void)xs_printf(0, dev.path, "protocol", "x\n[    0.000] a guest\033[31m");
    (void)xbdev_set_state(&dev, XenbusStateInitialised);
    EXPECT(wait_peer(XenbusStateClosing));
    disconnect();
}

static void attack(void)
{
    if (xbdev_open(&dev, "device/vbd/51712", false, peer_changed)) {
        log_error("vbd: no disk");
        return;
    }
    page = page_alloc_zeroed();
    ro_page = page_alloc_zeroed();
    ring = page_alloc_zeroed();
    list = page_alloc_zeroed();
    page_ref = grant_offer(dev.peer_dom, virt_to_mfn(page), 0);
    ro_ref = grant_offer(dev.peer_dom, virt_to_mfn(ro_page), GRANT_READONLY);
    ring_ref = grant_offer(dev.peer_dom, virt_to_mfn(ring), 0);
    list_ref = grant_offer(dev.peer_dom, virt_to_mfn(list), 0);
    BUG_ON(event_alloc_unbound(dev.peer_dom, nothing, NULL, &port));
    odd_protocol();
    EXPECT(connect());
    (void)xs_read_u64(0, dev.peer, "sectors", &sectors);
    before = malloc(sectors * 512);
    BUG_ON(!before || sectors < 16);
    read_disk(false);
    EXPECT(!memcmp(before, "\x7f" "ELF", 4));
    refusals();
    bad_indirect();
    vanishing();
    read_disk(true);
    log_info("vbd: what could not be written was not");
    for (uint32_t kind = 0; kind < 32; kind += 1 + kind / 4) {
        noise(kind);
        if (kind & 1) {         /* gone with whatever is under way */
            disconnect();
            EXPECT(connect());
        }
    }
    read_disk(true);
    bad_indices();
    disconnect();
    EXPECT(connect());
    read_disk(true);
    withdrawn();
    (void)xbdev_set_state(&dev, XenbusStateClosing);
    (void)wait_peer(XenbusStateClosing);
    (void)xbdev_set_state(&dev, XenbusStateClosed);
    (void)wait_peer(XenbusStateClosed);
    EXPECT(grant_end(ring_ref));
}

void pv_main(void)
{
    BUG_ON(xenbus_init());
    attack();
    conclude("vbd");
}
