/* SPDX-License-Identifier: MIT */
/* back.c - the backend: flips between the two ends, and with itself, and says what it found. */
#include "tests/guests/flip/test.h"
#include "tests/guests/flip/slots.h"
#include "atomic.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/event.h"
#include "runtime/grant.h"
#include "runtime/hypercall.h"
#include "runtime/loop.h"
#include "runtime/pagetable.h"

struct end end_a, end_b;

static void on_event(void *arg)
{
    (void)arg;
}

static void connect(struct end *e, const char *node)
{
    char text[64];
    uint32_t n[2] = { 0, 0 }, k = 0;
    grant_ref_t ref;

    e->id = await(node, text, sizeof(text));
    for (const char *s = text; *s; s++) {
        if (*s == ' ')
            k = 1;
        else
            n[k] = n[k] * 10 + (uint32_t)(*s - '0');
    }
    ref = n[0];
    CHECK(grant_map((domid_t)e->id, &ref, 1, 0, &e->map) == 0);
    e->page = e->map.va;
    CHECK(event_bind_interdomain((domid_t)e->id, n[1], on_event, NULL, &e->port) == 0);
}

int64_t ask(struct end *e, uint32_t cmd, uint32_t p, uint32_t q, uint32_t r)
{
    uint32_t n = e->page->asked + 1;

    e->page->cmd = cmd;
    e->page->a = p;
    e->page->b = q;
    e->page->c = r;
    store_release(&e->page->asked, n);
    event_send(e->port);
    while (load_acquire(&e->page->done) != n)
        loop_turn(true);
    return e->page->result;
}

void back_connect(void)
{
    publish("data/back", "1");
    connect(&end_a, "data/a");
    connect(&end_b, "data/b");
}

static struct sluice_flip_op ops[4 * NR_SLOTS];

struct sluice_flip_op op_between(uint32_t from, uint32_t from_slot, uint32_t to, uint32_t to_slot)
{
    return (struct sluice_flip_op){
        .from_dom = (domid_t)from, .from_ref = FIRST_REF + from_slot,
        .to_dom = (domid_t)to, .to_ref = FIRST_REF + to_slot,
        .status = 99,
    };
}

/* Slots [first, first + n) of from with the same of to; how many were not okay. */
static uint32_t flip_range(uint32_t from, uint32_t to, uint32_t first, uint32_t n)
{
    uint32_t bad = 0;

    for (uint32_t i = 0; i < n; i++)
        ops[i] = op_between(from, first + i, to, first + i);
    CHECK(hc_flip(SLUICE_FLIP_exchange, ops, n) == 0);
    for (uint32_t i = 0; i < n; i++)
        bad += ops[i].status != SLUICE_FLIP_okay;
    return bad;
}

static int16_t flip_one(uint32_t from, uint32_t from_slot, uint32_t to, uint32_t to_slot)
{
    struct sluice_flip_op op = op_between(from, from_slot, to, to_slot);

    CHECK(hc_flip(SLUICE_FLIP_exchange, &op, 1) == 0);
    return op.status;
}

/* All slots of a to b: what a wrote arrives, frames change places, b's old data is seen by nobody. */
static void test_third_party(void)
{
    int64_t pages_a = ask(&end_a, CMD_PAGES, 0, 0, 0), pages_b = ask(&end_b, CMD_PAGES, 0, 0, 0);
    int64_t ma = ask(&end_a, CMD_MFN, 5, 0, 0), mb = ask(&end_b, CMD_MFN, 5, 0, 0);

    CHECK(ask(&end_a, CMD_FILL, 0, NR_SLOTS, 1000) == 0);
    CHECK(ask(&end_b, CMD_FILL, 0, NR_SLOTS, 2000) == 0);
    CHECK(ask(&end_a, CMD_OFFER, 0, NR_SLOTS, OFFER) == 0);
    CHECK(ask(&end_b, CMD_OFFER, 0, NR_SLOTS, OFFER) == 0);
    CHECK(flip_range(end_a.id, end_b.id, 0, NR_SLOTS) == 0);
    CHECK(ask(&end_a, CMD_MFN, 5, 0, 0) == mb && ask(&end_b, CMD_MFN, 5, 0, 0) == ma);
    CHECK(ask(&end_a, CMD_ACCEPT, 0, NR_SLOTS, 0) == 0);
    CHECK(ask(&end_b, CMD_ACCEPT, 0, NR_SLOTS, 0) == 0);
    CHECK(ask(&end_b, CMD_DIFFERS, 0, NR_SLOTS, 1000) == 0);
    CHECK(ask(&end_a, CMD_ZERO, 0, NR_SLOTS, 0) == 0);
    CHECK(ask(&end_a, CMD_PAGES, 0, 0, 0) == pages_a && ask(&end_b, CMD_PAGES, 0, 0, 0) == pages_b);

    /* The other way round, b gets what it has written into its own. */
    CHECK(ask(&end_b, CMD_FILL, 0, NR_SLOTS, 3000) == 0);
    CHECK(ask(&end_a, CMD_OFFER, 0, NR_SLOTS, OFFER) == 0);
    CHECK(ask(&end_b, CMD_OFFER, 0, NR_SLOTS, OFFER) == 0);
    CHECK(flip_range(end_b.id, end_a.id, 0, NR_SLOTS) == 0);
    CHECK(ask(&end_a, CMD_ACCEPT, 0, NR_SLOTS, 0) == 0 && ask(&end_b, CMD_ACCEPT, 0, NR_SLOTS, 0) == 0);
    CHECK(ask(&end_a, CMD_DIFFERS, 0, NR_SLOTS, 3000) == 0);
}

/* Slots [first, first + n) of an end, each offered, as one extent. */
static void offer_extent(struct end *e, uint32_t first, uint32_t n)
{
    CHECK(ask(e, CMD_OFFER, first, 1, (uint32_t)(OFFER | SLUICE_GTF_flip_more(n - 1))) == 0);
}

/* All slots in extents, among them short ones and single pages: more than one batch in one call. */
static void test_extents(void)
{
    const uint32_t n[] = { 16, 16, 1, 2, 3, 10, 1, 15 };
    uint32_t at = 0;

    CHECK(ask(&end_a, CMD_FILL, 0, NR_SLOTS, 8000) == 0 && ask(&end_b, CMD_FILL, 0, NR_SLOTS, 9000) == 0);
    CHECK(ask(&end_a, CMD_OFFER, 0, NR_SLOTS, OFFER) == 0 && ask(&end_b, CMD_OFFER, 0, NR_SLOTS, OFFER) == 0);
    for (uint32_t i = 0; i < ARRAY_SIZE(n); at += n[i++]) {
        ops[i] = op_between(end_a.id, at, end_b.id, at);
        ops[i].more = (uint16_t)(n[i] - 1);
        offer_extent(&end_a, at, n[i]);
        offer_extent(&end_b, at, 16);
    }
    CHECK(at == NR_SLOTS);
    CHECK(hc_flip(SLUICE_FLIP_exchange, ops, ARRAY_SIZE(n)) == 0);
    for (uint32_t i = 0; i < ARRAY_SIZE(n); i++)
        CHECK(ops[i].status == SLUICE_FLIP_okay);
    CHECK(ask(&end_a, CMD_ACCEPT, 0, NR_SLOTS, 0) == 0 && ask(&end_b, CMD_ACCEPT, 0, NR_SLOTS, 0) == 0);
    CHECK(ask(&end_b, CMD_DIFFERS, 0, NR_SLOTS, 8000) == 0);
    CHECK(ask(&end_a, CMD_ZERO, 0, NR_SLOTS, 0) == 0);

    /* More pages than one batch can have: to the other end and to our own slots. */
    CHECK(ask(&end_a, CMD_FILL, 0, NR_SLOTS, 1000) == 0 && ask(&end_b, CMD_FILL, 32, 32, 2000) == 0);
    CHECK(ask(&end_a, CMD_OFFER, 0, NR_SLOTS, OFFER) == 0 && ask(&end_b, CMD_OFFER, 0, NR_SLOTS, OFFER) == 0);
    for (uint32_t i = 0; i < NR_SLOTS; i++)
        slot_offer(i, (domid_t)my_id, i % 16 ? OFFER : (uint16_t)(OFFER | SLUICE_GTF_flip_more(15)));
    for (uint32_t i = 0; i < 6; i++) {
        uint32_t k = i / 2 * 2, slot = 16 * (i % 2);

        ops[i] = k == 0 ? op_between(end_a.id, slot, end_b.id, slot)
               : k == 2 ? op_between(end_a.id, 32 + slot, my_id, slot) : op_between(end_b.id, 32 + slot, DOMID_SELF, 32 + slot);
        ops[i].more = 15;
    }
    for (uint32_t i = 0; i < NR_SLOTS; i += 16) {
        offer_extent(&end_a, i, 16);
        offer_extent(&end_b, i, 16);
    }
    CHECK(hc_flip(SLUICE_FLIP_exchange, ops, 6) == 0);
    for (uint32_t i = 0; i < 6; i++)
        CHECK(ops[i].status == SLUICE_FLIP_okay);
    CHECK(ask(&end_a, CMD_ACCEPT, 0, NR_SLOTS, 0) == 0 && ask(&end_b, CMD_ACCEPT, 0, NR_SLOTS, 0) == 0);
    CHECK(ask(&end_b, CMD_DIFFERS, 0, 32, 1000) == 0);
    for (uint32_t i = 0; i < NR_SLOTS; i++)
        CHECK(slot_accept(i) == 0 && slot_differs(i, i < 32 ? 1032 + i : 2000 + i - 32) < 0);
}

/* One page of an extent is somebody else's, too: all of it is refused, and can be copied page by page. */
static void test_extent_refused(void)
{
    struct sluice_flip_op op = op_between(end_a.id, 0, end_b.id, 0);
    struct gnttab_copy copy = { .len = PAGE_SIZE, .flags = GNTCOPY_source_gref | GNTCOPY_dest_gref };
    grant_ref_t third = FIRST_REF + 2;
    struct grant_mapping map;

    op.more = 3;
    CHECK(ask(&end_a, CMD_FILL, 0, 4, 3000) == 0);
    CHECK(ask(&end_a, CMD_OFFER, 0, 4, OFFER) == 0 && ask(&end_b, CMD_OFFER, 0, 4, OFFER) == 0);
    offer_extent(&end_a, 0, 4);
    CHECK(hc_flip(SLUICE_FLIP_exchange, &op, 1) == 0 && op.status == SLUICE_FLIP_to_busy);
    offer_extent(&end_b, 0, 3);
    CHECK(hc_flip(SLUICE_FLIP_exchange, &op, 1) == 0 && op.status == SLUICE_FLIP_to_busy);
    offer_extent(&end_b, 0, 4);
    CHECK(grant_map((domid_t)end_a.id, &third, 1, 0, &map) == 0);
    CHECK(hc_flip(SLUICE_FLIP_exchange, &op, 1) == 0 && op.status == SLUICE_FLIP_from_busy);
    for (uint32_t i = 0; i < 4; i++) {
        grant_copy_ref(&copy.source, (domid_t)end_a.id, FIRST_REF + i, 0);
        grant_copy_ref(&copy.dest, (domid_t)end_b.id, FIRST_REF + i, 0);
        CHECK(hc_grant_table_op(GNTTABOP_copy, &copy, 1) == 0 && copy.status == GNTST_okay);
    }
    grant_unmap(&map);
    CHECK(ask(&end_b, CMD_DIFFERS, 0, 4, 3000) == 0);
    CHECK(hc_flip(SLUICE_FLIP_exchange, &op, 1) == 0 && op.status == SLUICE_FLIP_okay);
    CHECK(ask(&end_a, CMD_ACCEPT, 0, 4, 0) == 0 && ask(&end_b, CMD_ACCEPT, 0, 4, 0) == 0);
    CHECK(ask(&end_b, CMD_DIFFERS, 0, 4, 3000) == 0 && ask(&end_a, CMD_ZERO, 0, 4, 0) == 0);
}

/* The backend's own slots: offered to itself. */
static void test_own(void)
{
    CHECK(slots_init() == 0);
    for (uint32_t i = 0; i < 8; i++) {
        slot_fill(i, 4000 + i);
        slot_offer(i, (domid_t)my_id, OFFER);
    }
    CHECK(ask(&end_b, CMD_OFFER, 0, 4, OFFER) == 0);
    CHECK(flip_range(DOMID_SELF, end_b.id, 0, 4) == 0);
    CHECK(ask(&end_b, CMD_ACCEPT, 0, 4, 0) == 0 && ask(&end_b, CMD_DIFFERS, 0, 4, 4000) == 0);
    for (uint32_t i = 0; i < 4; i++)
        CHECK(slot_accept(i) == 0 && slot_is_zero(i));
    /* Within one domain. */
    CHECK(flip_one(my_id, 4, DOMID_SELF, 5) == SLUICE_FLIP_okay);
    CHECK(slot_accept(4) == 0 && slot_accept(5) == 0);
    CHECK(slot_differs(4, 4005) < 0 && slot_differs(5, 4004) < 0);
    CHECK(flip_one(my_id, 6, DOMID_SELF, 6) == SLUICE_FLIP_bad_op);
    CHECK(slot_withdraw(6) && slot_withdraw(7));
}

/* Who gets a frame back unwiped: the domain whose data is in it, nobody else. */
static void test_contents(void)
{
    for (unsigned int round = 0; round < 3; round++) {
        CHECK(ask(&end_a, CMD_FILL, 0, 1, 5000 + round) == 0);
        CHECK(ask(&end_a, CMD_OFFER, 0, 1, OFFER) == 0 && ask(&end_b, CMD_OFFER, 0, 1, OFFER) == 0);
        CHECK(flip_one(end_a.id, 0, end_b.id, 0) == SLUICE_FLIP_okay);
        CHECK(ask(&end_a, CMD_ACCEPT, 0, 1, 0) == 0 && ask(&end_b, CMD_ACCEPT, 0, 1, 0) == 0);
        CHECK(ask(&end_b, CMD_DIFFERS, 0, 1, 5000 + round) == 0);
        /* What came back was a's of the round before, or is zero. */
        CHECK(ask(&end_a, round ? CMD_DIFFERS : CMD_ZERO, 0, 1, 5000 + round - 1) == 0);
    }
    /* b has a's data; the backend's frame for it must come without. */
    slot_fill(0, 6000);
    slot_offer(0, (domid_t)my_id, OFFER);
    CHECK(ask(&end_b, CMD_OFFER, 0, 1, OFFER) == 0);
    CHECK(flip_one(my_id, 0, end_b.id, 0) == SLUICE_FLIP_okay);
    CHECK(slot_accept(0) == 0 && slot_is_zero(0));
    CHECK(ask(&end_b, CMD_ACCEPT, 0, 1, 0) == 0 && ask(&end_b, CMD_DIFFERS, 0, 1, 6000) == 0);
}

/* What is refused, and that it is left as it was. */
static void test_refused(void)
{
    struct sluice_flip_op op;
    int64_t m = ask(&end_a, CMD_MFN, 0, 0, 0);

    CHECK(ask(&end_a, CMD_FILL, 0, 2, 7000) == 0);
    CHECK(ask(&end_b, CMD_OFFER, 0, 2, OFFER) == 0);
    CHECK(flip_one(end_a.id, 0, end_b.id, 0) == SLUICE_FLIP_from_gone);
    CHECK(flip_one(end_b.id, 0, end_a.id, 0) == SLUICE_FLIP_to_gone);
    CHECK(flip_one(4000, 0, end_b.id, 0) == SLUICE_FLIP_from_gone);
    CHECK(flip_one(end_b.id, 0, 4000, 0) == SLUICE_FLIP_to_gone);
    CHECK(flip_one(end_b.id, 100000, end_b.id, 0) == SLUICE_FLIP_from_gone);
    CHECK(ask(&end_a, CMD_OFFER, 0, 1, GTF_permit_access) == 0);
    CHECK(flip_one(end_a.id, 0, end_b.id, 0) == SLUICE_FLIP_from_busy);
    CHECK(ask(&end_a, CMD_OFFER, 0, 1, OFFER | GTF_readonly) == 0);
    CHECK(flip_one(end_b.id, 0, end_a.id, 0) == SLUICE_FLIP_to_busy);
    CHECK(ask(&end_a, CMD_OFFER, 0, 1, OFFER) == 0);
    op = op_between(end_a.id, 0, end_b.id, 0);
    op.more = SLUICE_FLIP_EXTENT;
    CHECK(hc_flip(SLUICE_FLIP_exchange, &op, 1) == 0 && op.status == SLUICE_FLIP_bad_op);
    /* Twice in a batch: the first one wins. */
    ops[0] = op_between(end_a.id, 0, end_b.id, 0);
    ops[1] = op_between(end_a.id, 0, end_b.id, 1);
    CHECK(hc_flip(SLUICE_FLIP_exchange, ops, 2) == 0);
    CHECK(ops[0].status == SLUICE_FLIP_okay && ops[1].status == SLUICE_FLIP_from_busy);
    CHECK(ask(&end_a, CMD_MFN, 0, 0, 0) != m);
    CHECK(ask(&end_a, CMD_ACCEPT, 0, 1, 0) == 0 && ask(&end_b, CMD_ACCEPT, 0, 1, 0) == 0);
    CHECK(ask(&end_b, CMD_DIFFERS, 0, 1, 7000) == 0);
    CHECK(ask(&end_b, CMD_WITHDRAW, 1, 0, 0) == 1);
    CHECK(ask(&end_b, CMD_WITHDRAW, 0, 0, 0) == 1);

    /* Without a window an offer is a grant: it can be copied. */
    CHECK(ask(&end_b, CMD_UNREGISTER, 0, 0, 0) == 0);
    CHECK(ask(&end_b, CMD_UNREGISTER, 0, 0, 0) == -XEN_ENOENT);
    CHECK(ask(&end_a, CMD_OFFER, 0, 1, OFFER) == 0 && ask(&end_b, CMD_OFFER, 0, 1, OFFER) == 0);
    CHECK(flip_one(end_a.id, 0, end_b.id, 0) == SLUICE_FLIP_to_busy);
    CHECK(ask(&end_b, CMD_REGISTER, 0, 0, 0) == 0);
    CHECK(ask(&end_b, CMD_REGISTER, 0, 0, 0) == -XEN_EEXIST);
    CHECK(flip_one(end_a.id, 0, end_b.id, 0) == SLUICE_FLIP_okay);
    CHECK(ask(&end_a, CMD_ACCEPT, 0, 1, 0) == 0 && ask(&end_b, CMD_ACCEPT, 0, 1, 0) == 0);
}

void back_run(void)
{
    struct sluice_flip_query q;

    CHECK(hc_flip(SLUICE_FLIP_query, &q, 1) == 0 && q.version == SLUICE_FLIP_VERSION);
    CHECK(hc_flip(SLUICE_FLIP_extent, NULL, 0) == SLUICE_FLIP_EXTENT);
    CHECK(hc_flip(SLUICE_FLIP_query, NULL, 1) == -XEN_EFAULT || hc_flip(99, &q, 1) == -XEN_ENOSYS);
    back_connect();
    test_third_party();
    test_own();
    test_contents();
    test_refused();
    test_extents();
    test_extent_refused();
}
