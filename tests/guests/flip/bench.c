/* SPDX-License-Identifier: MIT */
/*
 * bench.c - a backend that measures what an exchange costs, beside a copy and a transfer of the same.
 * Prints "flip bench: NAME NS OPERATIONS"; under -icount nanoseconds are instructions. One round of each
 * stands between two marks (dom0/marks.c), with nothing else between them: "marked NAME, OPERATIONS".
 */
#include "tests/guests/flip/test.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "runtime/time.h"
#include "runtime/xs.h"

#define ROUNDS 16u

static struct sluice_flip_op ops[NR_SLOTS];
#define NR_COPIES 16u
static struct gnttab_copy copies[NR_COPIES];

static void report(const char *name, uint64_t ns, uint64_t n)
{
    log_info("flip bench: %s %lu %lu", name, ns, n);
}

static char marked[32];
static uint32_t marked_ops;

static void mark(const char *when, const char *name)
{
    char text[48];

    (void)snprintf(text, sizeof(text), "%s %s", when, name);
    CHECK(xs_write(0, "data/mark", text, strlen(text)) == 0);
    loop_turn(false);
}

/* The next round is marked. */
static void mark_begin(const char *name, uint32_t n)
{
    (void)strlcpy(marked, name, sizeof(marked));
    marked_ops = n;
    mark("begin", name);
}

static void mark_end(void)
{
    mark("end", marked);
    log_info("flip bench: marked %s, %u", marked, marked_ops);
}

/* Reading the clock twice. */
static uint64_t clock_cost(void)
{
    uint64_t start = now_ns();

    return now_ns() - start;
}

/* All slots of one to the other and so on, in batches of that size; only the calls are timed. */
static uint64_t flip_all(const struct end *from, const struct end *to, uint32_t batch)
{
    uint64_t sum = 0, cost = clock_cost();

    for (uint32_t i = 0; i < NR_SLOTS; i++)
        ops[i] = op_between(from->id, i, to->id, i);
    for (uint32_t i = 0; i < NR_SLOTS; i += batch) {
        uint64_t start = now_ns();

        CHECK(hc_flip(SLUICE_FLIP_exchange, &ops[i], MIN(batch, NR_SLOTS - i)) == 0);
        sum += now_ns() - start - cost;
    }
    for (uint32_t i = 0; i < NR_SLOTS; i++)
        CHECK(ops[i].status == SLUICE_FLIP_okay);
    return sum;
}

static void again(void)
{
    CHECK(ask(&end_a, CMD_AGAIN, 0, NR_SLOTS, OFFER) == 0);
    CHECK(ask(&end_b, CMD_AGAIN, 0, NR_SLOTS, OFFER) == 0);
}

static void flips_begin(void)
{
    CHECK(ask(&end_a, CMD_OFFER, 0, NR_SLOTS, OFFER) == 0 &&
          ask(&end_b, CMD_OFFER, 0, NR_SLOTS, OFFER) == 0);
    (void)flip_all(&end_a, &end_b, NR_SLOTS);
    again();
}

static void bench_flips(uint32_t batch, uint32_t rounds)
{
    uint64_t sum = 0;
    char name[32];

    (void)snprintf(name, sizeof(name), "page_%u", batch);
    flips_begin();
    for (uint32_t r = 0; r < rounds; r++) {
        if (r == 1)
            mark_begin(name, NR_SLOTS);
        sum += flip_all(&end_a, &end_b, batch);
        if (r == 1)
            mark_end();
        again();
    }
    report(name, sum, (uint64_t)NR_SLOTS * rounds);
}

/* The same in extents, so many pages in one call. */
static void bench_extents(uint32_t batch, uint32_t rounds)
{
    const uint32_t n = SLUICE_FLIP_EXTENT;
    uint64_t sum = 0, cost = clock_cost();
    char name[32];

    (void)snprintf(name, sizeof(name), "extent_%u", batch);
    flips_begin();
    for (uint32_t r = 0; r < rounds; r++) {
        for (uint32_t i = 0; i < NR_SLOTS / n; i++) {
            ops[i] = op_between(end_a.id, i * n, end_b.id, i * n);
            ops[i].more = (uint16_t)(n - 1);
            CHECK(ask(&end_a, CMD_OFFER, i * n, 1, (uint32_t)(OFFER | SLUICE_GTF_flip_more(n - 1))) == 0);
            CHECK(ask(&end_b, CMD_OFFER, i * n, 1, (uint32_t)(OFFER | SLUICE_GTF_flip_more(n - 1))) == 0);
        }
        if (r == 1)
            mark_begin(name, NR_SLOTS);
        for (uint32_t i = 0; i < NR_SLOTS / n; i += batch / n) {
            uint64_t start = now_ns();

            CHECK(hc_flip(SLUICE_FLIP_exchange, &ops[i], batch / n) == 0);
            sum += now_ns() - start - cost;
        }
        if (r == 1)
            mark_end();
        for (uint32_t i = 0; i < NR_SLOTS / n; i++)
            CHECK(ops[i].status == SLUICE_FLIP_okay);
        again();
    }
    report(name, sum, (uint64_t)NR_SLOTS * rounds);
}

/* The receiver has written to its empty pages: each is zeroed on its way back. */
static void bench_scrubbed(uint32_t rounds)
{
    uint64_t sum = 0;

    flips_begin();
    for (uint32_t r = 0; r < rounds; r++) {
        CHECK(ask(&end_b, CMD_FILL, 0, NR_SLOTS, r) == 0);
        sum += flip_all(&end_a, &end_b, 16);
        again();
    }
    report("scrubbed_16", sum, (uint64_t)NR_SLOTS * rounds);
}

/* With the backend's own slots, which this very processor has used; the receiver has written to its empty pages, or not. */
static void bench_own(bool scrubbed, uint32_t rounds)
{
    const char *name = scrubbed ? "own_scrubbed_16" : "own_16";
    uint64_t sum = 0;
    struct end self = { .id = my_id };

    CHECK(slot_page || slots_init() == 0);
    flips_begin();
    for (uint32_t r = 0; r < rounds; r++) {
        for (uint32_t i = 0; i < NR_SLOTS; i++) {
            *(volatile char *)slot_addr(i) = (char)r;
            slot_offer(i, (domid_t)my_id, OFFER);
        }
        if (scrubbed)
            CHECK(ask(&end_b, CMD_FILL, 0, NR_SLOTS, r) == 0);
        if (r == 1)
            mark_begin(name, NR_SLOTS);
        sum += flip_all(&self, &end_b, 16);
        if (r == 1)
            mark_end();
        for (uint32_t i = 0; i < NR_SLOTS; i++)
            CHECK(slot_accept(i) == 0);
        CHECK(ask(&end_b, CMD_AGAIN, 0, NR_SLOTS, OFFER) == 0);
    }
    report(name, sum, (uint64_t)NR_SLOTS * rounds);
}

static void bench_transfers(uint32_t rounds)
{
    static struct gnttab_transfer op[NR_HOLES];
    uint64_t sum = 0, cost = clock_cost();

    for (uint32_t r = 0; r < rounds; r++) {
        uint64_t start;

        CHECK(ask(&end_a, CMD_HOLES, NR_HOLES, 0, 0) == 0);
        for (uint32_t i = 0; i < NR_HOLES; i++) {
            void *page = page_alloc();

            op[i] = (struct gnttab_transfer){
                .mfn = virt_to_mfn(page).v, .domid = (domid_t)end_a.id, .ref = HOLE_REF + i,
            };
            CHECK(p2m_replace(virt_to_pfn(page), MFN_INVALID) == 0);
        }
        if (r == 1)
            mark_begin("transfer_16", NR_HOLES);
        start = now_ns();
        CHECK(hc_grant_table_op(GNTTABOP_transfer, op, NR_HOLES) == 0);
        sum += now_ns() - start - cost;
        if (r == 1)
            mark_end();
        for (uint32_t i = 0; i < NR_HOLES; i++)
            CHECK(op[i].status == GNTST_okay);
        CHECK(ask(&end_a, CMD_FILL_HOLES, NR_HOLES, 0, 0) == 0);
    }
    report("transfer_16", sum, (uint64_t)NR_HOLES * rounds);
}

/* From one guest to the other, or from own memory to one of them, as what came from a network card. */
static void bench_copies(uint16_t len, bool own, uint32_t rounds)
{
    char *page = page_alloc_zeroed();
    uint64_t sum = 0, cost = clock_cost();
    char name[32];

    (void)snprintf(name, sizeof(name), "copy_%s%u", own ? "own_" : "", len);
    CHECK(ask(&end_a, CMD_OFFER, 0, NR_SLOTS, OFFER) == 0 &&
          ask(&end_b, CMD_OFFER, 0, NR_SLOTS, OFFER) == 0);
    for (uint32_t r = 0; r < rounds; r++) {
        uint64_t start;

        for (uint32_t i = 0; i < NR_COPIES; i++) {
            copies[i] = (struct gnttab_copy){
                .flags = GNTCOPY_dest_gref | (own ? 0 : GNTCOPY_source_gref), .len = len,
            };
            if (own)
                grant_copy_own(&copies[i].source, page);
            else
                grant_copy_ref(&copies[i].source, (domid_t)end_a.id, FIRST_REF + i, 0);
            grant_copy_ref(&copies[i].dest, (domid_t)end_b.id, FIRST_REF + i, 0);
        }
        if (r == 1)
            mark_begin(name, NR_COPIES);
        start = now_ns();
        CHECK(hc_grant_table_op(GNTTABOP_copy, copies, NR_COPIES) == 0);
        sum += now_ns() - start - cost;
        if (r == 1)
            mark_end();
        for (uint32_t i = 0; i < NR_COPIES; i++)
            CHECK(copies[i].status == GNTST_okay);
    }
    report(name, sum, (uint64_t)NR_COPIES * rounds);
}

/* Pages for a device's DMA: granted, mapped nowhere, given back. */
static void bench_pins(uint32_t batch, uint32_t rounds)
{
    static struct gnttab_map_grant_ref map[NR_COPIES];
    static struct gnttab_unmap_grant_ref unmap[NR_COPIES];
    uint64_t sum = 0, cost = clock_cost();
    char name[32];

    (void)snprintf(name, sizeof(name), "pin_%u", batch);
    CHECK(ask(&end_a, CMD_OFFER, 0, NR_SLOTS, OFFER) == 0);
    for (uint32_t r = 0; r <= rounds; r++) {
        uint64_t start;

        if (r == 1)
            sum = 0;            /* the first makes room for handles */
        for (uint32_t i = 0; i < batch; i++)
            map[i] = (struct gnttab_map_grant_ref){ .flags = GNTMAP_device_map | GNTMAP_readonly,
                                                    .ref = FIRST_REF + i, .dom = (domid_t)end_a.id };
        start = now_ns();
        CHECK(hc_grant_table_op(GNTTABOP_map_grant_ref, map, batch) == 0);
        sum += now_ns() - start - cost;
        for (uint32_t i = 0; i < batch; i++) {
            CHECK(map[i].status == GNTST_okay);
            unmap[i] = (struct gnttab_unmap_grant_ref){ .dev_bus_addr = map[i].dev_bus_addr, .handle = map[i].handle };
        }
        start = now_ns();
        CHECK(hc_grant_table_op(GNTTABOP_unmap_grant_ref, unmap, batch) == 0);
        sum += now_ns() - start - cost;
        for (uint32_t i = 0; i < batch; i++)
            CHECK(unmap[i].status == GNTST_okay);
    }
    report(name, sum, (uint64_t)batch * rounds);
}

void bench_run(void)
{
    uint32_t rounds = (uint32_t)cmdline_get_u64("rounds", ROUNDS);

    back_connect();
    mark("begin", "nothing");
    mark("end", "nothing");
    for (uint32_t batch = 1; batch <= NR_SLOTS; batch *= 2)
        bench_flips(batch, rounds);
    for (uint32_t batch = SLUICE_FLIP_EXTENT; batch <= NR_SLOTS; batch *= 2)
        bench_extents(batch, rounds);
    bench_scrubbed(rounds);
    bench_own(false, rounds);
    bench_own(true, rounds);
    bench_copies(4096, false, rounds);
    bench_copies(1460, false, rounds);
    bench_copies(4096, true, rounds);
    bench_copies(1460, true, rounds);
    for (uint32_t batch = 16; batch; batch /= 4)
        bench_pins(batch, rounds);
    bench_transfers(rounds);
    log_info("flip bench: end");
}
