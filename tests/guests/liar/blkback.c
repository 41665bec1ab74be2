/* SPDX-License-Identifier: MIT */
/* blkback.c - the backend of a vbd: as netback.c, or one that serves what stands in word_on_disk(). */
#include "tests/guests/liar/liar.h"
#include "atomic.h"
#include "runtime/hypercall.h"
#include "runtime/ring.h"

#include <xen/io/blkif.h>

static struct grant_mapping ring;
static struct blkif_sring *s;
static uint32_t size, req_cons, rsp_prod;
static uint64_t rounds, steps, answered;

static bool come_up(void)
{
    uint32_t order = xs_read_default(XS_NO_TXN, front, "ring-page-order", 0);
    grant_ref_t refs[4];
    char key[16];

    if (order > 2)
        return false;
    for (uint32_t i = 0; i < 1u << order; i++) {
        (void)snprintf(key, sizeof(key), order ? "ring-ref%u" : "ring-ref", i);
        if (xs_read_u32(XS_NO_TXN, front, key, &refs[i]))
            return false;
    }
    if (grant_map((domid_t)front_dom, refs, 1u << order, 0, &ring))
        return false;
    s = ring.va;
    size = __RD32((((uint32_t)PAGE_SIZE << order) - offsetof(struct blkif_sring, ring)) / sizeof(s->ring[0]));
    req_cons = rsp_prod = 0;
    bind_event("event-channel", "event-channel");
    set_state("4");
    return true;
}

/* Lies ---------------------------------------------------------------------------------------- */

/* Of a request on the ring, or any. */
static grant_ref_t some_ref(void)
{
    const struct blkif_request *r = &s->ring[rnd(size)].req;
    const struct blkif_request_indirect *in = (const void *)r;

    if (rnd(8) == 0)
        return rnd(2000);
    return r->operation == BLKIF_OP_INDIRECT ? in->indirect_grefs[0]
                                             : READ_ONCE(r->seg[rnd(BLKIF_MAX_SEGMENTS_PER_REQUEST)].gref);
}

static void noise(void)
{
    uint8_t *at = (uint8_t *)s + rnd(rnd(2) ? 64 : size * (uint32_t)sizeof(s->ring[0]));

    random_bytes(at, 1 + rnd(32));
}

static void move_index(void)
{
    s->rsp_prod += rnd(16) ? rnd(3) : random_u32();
}

/* What was asked, as a rule. */
static void answer(void)
{
    const struct blkif_request *r = &s->ring[req_cons & (size - 1)].req;
    struct blkif_response a = { .id = r->operation == BLKIF_OP_INDIRECT ?
        ((const struct blkif_request_indirect *)(const void *)r)->id : r->id, .status = (int16_t)-rnd(3) };

    if (req_cons == load_acquire(&s->req_prod) && rnd(64))
        return;
    req_cons++;
    if (rnd(16) == 0)
        a.id = rnd(2) ? rnd(size + 3) : random_u32();
    s->ring[rsp_prod++ & (size - 1)].rsp = a;
    if (rnd(4))
        store_release(&s->rsp_prod, rsp_prod);
    answered++;
}

static void copy(void)
{
    lie_copy(some_ref());
}

static void keep(void)
{
    lie_keep(some_ref());
}

static void lie(void)
{
    static void (*const lies[])(void) = { answer, answer, answer, answer, copy, keep, keep, noise, move_index };
    /* Some rounds are long because little in them is wrong on the ring. */
    uint32_t most = rnd(3) ? ARRAY_SIZE(lies) - 2 : ARRAY_SIZE(lies);

    if (rnd(8))
        (void)wait_front(4, 100);
    for (unsigned int i = rnd(200); i-- > 0; steps++) {
        lies[rnd(most)]();
        if (rnd(3) == 0)
            signal_front();
    }
    if (rnd(4) == 0)
        any_state();
    if (rnd(4) == 0) {
        set_state("6");
        set_state("2");
        (void)wait_front(3, 20);
    }
}

/* Honest -------------------------------------------------------------------------------------- */

static void transfer(const struct blkif_request_segment *seg, unsigned int n, uint64_t sector, bool read)
{
    static uint64_t page[512] __aligned(4096);

    for (unsigned int i = 0; i < n; i++) {
        unsigned int first = seg[i].first_sect, count = seg[i].last_sect - first + 1u;
        struct gnttab_copy c = { .len = (uint16_t)(count * 512) };

        for (unsigned int k = 0; k < count * 64; k++)
            page[k] = word_on_disk(sector, k);
        grant_copy_own(read ? &c.source : &c.dest, page);
        grant_copy_ref(read ? &c.dest : &c.source, (domid_t)front_dom, seg[i].gref, (uint16_t)(first * 512));
        c.flags = read ? GNTCOPY_dest_gref : GNTCOPY_source_gref;
        CHECK(grant_copy(&c, 1) == 0);
        sector += count;
    }
}

static void serve_one(void)
{
    union { struct blkif_request rw; struct blkif_request_indirect in; } r;
    struct blkif_response a = { .status = BLKIF_RSP_OKAY };

    ring_copy_in(&r, &s->ring[req_cons++ & (size - 1)].req, sizeof(r.rw));
    a.id = r.rw.operation == BLKIF_OP_INDIRECT ? r.in.id : r.rw.id;
    if (r.rw.operation == BLKIF_OP_INDIRECT) {
        struct grant_mapping m;

        CHECK(grant_map((domid_t)front_dom, &r.in.indirect_grefs[0], 1, GRANT_READONLY, &m) == 0);
        transfer(m.va, r.in.nr_segments, r.in.sector_number, r.in.indirect_op == BLKIF_OP_READ);
        grant_unmap(&m);
    } else if (r.rw.operation == BLKIF_OP_READ || r.rw.operation == BLKIF_OP_WRITE) {
        transfer(r.rw.seg, r.rw.nr_segments, r.rw.sector_number, r.rw.operation == BLKIF_OP_READ);
    }
    s->ring[rsp_prod++ & (size - 1)].rsp = a;
    store_release(&s->rsp_prod, rsp_prod);
    answered++;
}

static void serve(void)
{
    uint64_t end = now_ns() + 300 * NS_PER_MS;

    while (now_ns() < end && front_state() == 4) {
        while (req_cons != load_acquire(&s->req_prod))
            serve_one();
        signal_front();
    }
}

void blkback_run(bool honest)
{
    uint64_t said = 0;

    back_begin();
    for (;;) {
        set_state("1");
        CHECK(xs_printf(XS_NO_TXN, "data/back", "sectors", "%u", 1000) == 0);
        CHECK(xs_printf(XS_NO_TXN, "data/back", "feature-flush-cache", "%u", 1) == 0);
        CHECK(xs_printf(XS_NO_TXN, "data/back", "max-ring-page-order", "%u", rnd(4)) == 0);
        CHECK(xs_printf(XS_NO_TXN, "data/back", "feature-max-indirect-segments", "%u", honest ? 64 : rnd(100)) == 0);
        back_find_front();
        set_state("2");
        if (wait_front(3, 2000) && come_up()) {
            rounds++;
            if (honest && wait_front(4, 2000))
                serve();
            else if (!honest)
                lie();
        }
        back_let_go();
        grant_unmap(&ring);
        set_state("5");
        (void)wait_front(6, 20);
        set_state("6");
        (void)wait_front(1, 20);
        if (now_ns() - said > NS_PER_S / 4) {
            log_info("liar blkback: %lu rounds, %lu steps, %lu answered, %lu copied, %lu mapped", rounds, steps, answered,
                     lie_copied, lie_mapped);
            said = now_ns();
        }
    }
}
