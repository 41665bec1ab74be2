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
    op.flags = 1;
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
    CHECK(hc_flip(SLUICE_FLIP_query, NULL, 1) == -XEN_EFAULT || hc_flip(99, &q, 1) == -XEN_ENOSYS);
    back_connect();
    test_third_party();
    test_own();
    test_contents();
    test_refused();
}
