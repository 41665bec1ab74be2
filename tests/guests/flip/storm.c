/* SPDX-License-Identifier: MIT */
/*
 * storm.c - ends and a backend that exchange frames without end and without a word to each other, while
 * any of them may die and another one come in its place.
 *
 * Half of an end's slots are for sending: each goes out as a page of words made from its sender's number;
 * what comes back must be nothing or the sender's own. The others are for receiving: what comes must be
 * a whole page of one sender.
 *
 * Of each eight slots, the first four are offered as one extent, in both halves; its backends take all of it, its first pages, or the
 * first by itself.
 *
 * Receivers poison every fourth page that they have got, so that there are extents with such pages and without. A second vCPU of a sender, the spy, reads the sending
 * slots all the time, through whatever its TLB remembers: it must never see poison.
 */
#include "tests/guests/flip/test.h"
#include "atomic.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/loop.h"
#include "runtime/pagetable.h"
#include "runtime/time.h"
#include "runtime/traps.h"
#include "runtime/xs.h"
#include "tests/attack/ap.h"

#define SENDING (NR_SLOTS / 2)      /* slots below */
#define PEERS   8u
#define GROUP   4u                  /* slots of an extent */

static uint32_t fills;
static uint64_t received, returned;
static uint64_t spied, poison_seen;

#define POISON 0xdeadbeefUL         /* upper half of word 1 */

static void spy(unsigned int cpu)
{
    (void)cpu;
    for (;;) {
        for (uint32_t i = 0; i < SENDING; i++) {
            uint64_t v;

            if (!try_read64((const volatile uint64_t *)(void *)slot_addr(i) + 1, &v))
                continue;
            spied++;
            if (v >> 32 == POISON)
                poison_seen++;
        }
        (void)hc_sched_op(SCHEDOP_yield, NULL);
    }
}

/* Word 0 of a page is its seed, with the sender's number in the upper half; slot_fill() makes it so. */
static uint32_t next_seed(void)
{
    return my_id << 20 | (fills++ & 0xfffffu);
}

static void fill(uint32_t i)
{
    uint32_t seed = next_seed();

    slot_fill(i, seed);
    ((uint32_t *)(void *)slot_addr(i))[0] = seed;
}

/* 0: all zero. Else the seed of a page that is whole; a page that is not ends the test. */
static uint32_t whole(uint32_t i)
{
    uint32_t seed = *(volatile uint32_t *)(void *)slot_addr(i);
    int at;

    if (slot_is_zero(i))
        return 0;
    at = slot_differs_behind(i, seed, 8);
    if (at >= 0)
        log_error("flip: FAILED: page in slot %u with seed %x differs at %d", i, seed, at);
    CHECK(at < 0);
    return seed;
}

/* A slot that is IDLE. */
static void look(uint32_t i)
{
    uint32_t seed;

    /* Back from an exchange; not new, nor taken back. */
    if (slot_entry(i)->domid && slot_entry(i)->frame != virt_to_mfn(slot_addr(i)).v) {
        CHECK(slot_accept(i) == 0);
        seed = whole(i);
        if (i < SENDING) {
            CHECK(!seed || seed >> 20 == my_id);
            returned++;
        } else {
            CHECK(seed && seed >> 20 != 0);
            received++;
            if ((i & 1) && (received & 8))
                ((volatile uint64_t *)(void *)slot_addr(i))[1] = POISON << 32 | my_id;
        }
    }
    if (i < SENDING)
        fill(i);
}

/* Slots [i, i + n), which are one extent, or one slot: when the first is IDLE, all are taken back and offered anew. */
static void serve(uint32_t i, uint32_t n, domid_t backend)
{
    if (load_acquire(&slot_entry(i)->flags))
        return;
    for (uint32_t k = 1; k < n; k++)
        while (!slot_withdraw(i + k))
            cpu_relax();
    for (uint32_t k = n; k-- > 0;) {
        look(i + k);
        slot_offer(i + k, backend, k ? OFFER : (uint16_t)(OFFER | SLUICE_GTF_flip_more(n - 1)));
    }
}

static bool in_extent(uint32_t i)
{
    return i % (2 * GROUP) < GROUP;
}

void storm_end_run(void)
{
    char text[64];
    domid_t backend = 0;
    uint64_t said = now_ns();

    CHECK(slots_init() == 0);
    if (ap_count() > 1)
        CHECK(ap_start(1, spy) == 0);
    publish("data/storm", "1");
    for (;;) {
        domid_t now = (domid_t)await("data/stormback", text, sizeof(text));

        /* Another backend: what is on offer to the old one is taken back. */
        for (uint32_t i = 0; i < NR_SLOTS && now != backend; i++)
            while (!slot_withdraw(i))
                cpu_relax();
        backend = now;
        for (unsigned int turn = 0; turn < 200; turn++) {
            for (uint32_t i = 0; i < NR_SLOTS; i += in_extent(i) ? GROUP : 1)
                serve(i, in_extent(i) ? GROUP : 1, backend);
            loop_turn(false);
            (void)hc_sched_op(SCHEDOP_yield, NULL);
        }
        if (now_ns() - said > NS_PER_S / 2) {
            CHECK(!READ_ONCE(poison_seen));
            log_info("flip storm: %lu received, %lu returned, %lu spied", received, returned,
                     READ_ONCE(spied));
            said = now_ns();
        }
    }
}

/* ------------------------------------------------------------ the backend */

static uint32_t rnd(uint32_t n)
{
    static uint64_t s = 88172645463325252UL;

    s ^= s << 13;
    s ^= s >> 7;
    s ^= s << 17;
    return (uint32_t)(s >> 33) % n;
}

/* A slot of the first half that is not in the midst of an extent. */
static uint32_t pick(void)
{
    uint32_t i = rnd(SENDING);

    return in_extent(i) ? i - i % GROUP : i;
}

static uint32_t find_peers(uint32_t *peer)
{
    char path[64], text[8];
    uint32_t n = 0;

    for (uint32_t d = 1; d < 64 && n < PEERS; d++) {
        (void)snprintf(path, sizeof(path), "/local/domain/%u/data/storm", d);
        if (d != my_id && xs_read(0, path, text, sizeof(text)) > 0)
            peer[n++] = d;
    }
    return n;
}

void storm_back_run(void)
{
    static struct sluice_flip_op ops[40];
    uint32_t peer[PEERS], n = 0, now_from = 0, now_to = 0;
    uint64_t flips = 0, refused = 0, said = now_ns();

    publish("data/stormback", "1");
    for (unsigned int turn = 0;; turn++) {
        uint32_t k = 1 + rnd(ARRAY_SIZE(ops)), from, to;

        if (turn % 500 == 0 || n < 2)
            n = find_peers(peer);
        loop_turn(false);
        if (n < 2)
            continue;
        /* Mostly between the same two for a while, so that what comes back is what they have sent. */
        if (now_from >= n || now_to >= n || now_from == now_to || rnd(64) == 0) {
            now_from = rnd(n);
            now_to = (now_from + 1 + rnd(n - 1)) % n;
        }
        from = now_from;
        to = now_to;
        for (uint32_t i = 0; i < k; i++) {
            /* Never one domain with itself: it would see again what it has received. */
            if (rnd(32) == 0)
                to = (from + 1 + rnd(n - 1)) % n;
            ops[i] = op_between(peer[from], pick(), peer[to], SENDING + pick());
            if (rnd(2))
                ops[i].more = (uint16_t)rnd(GROUP);
        }
        CHECK(hc_flip(SLUICE_FLIP_exchange, ops, k) == 0);
        for (uint32_t i = 0; i < k; i++) {
            CHECK(ops[i].status <= 0 && ops[i].status > SLUICE_FLIP_bad_op);
            flips += ops[i].status == SLUICE_FLIP_okay;
            refused += ops[i].status != SLUICE_FLIP_okay;
        }
        (void)hc_sched_op(SCHEDOP_yield, NULL);
        if (now_ns() - said > NS_PER_S / 2) {
            log_info("flip stormback: %lu flips, %lu refused, %u ends", flips, refused, n);
            said = now_ns();
        }
    }
}
