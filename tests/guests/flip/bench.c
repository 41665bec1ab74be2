/* SPDX-License-Identifier: MIT */
/*
 * bench.c - a backend that measures what an exchange costs, beside a copy and a transfer of the same.
 * Prints "flip bench: NAME NS OPERATIONS"; under -icount nanoseconds are instructions.
 */
#include "tests/guests/flip/test.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "runtime/time.h"

#define ROUNDS 16u

static struct sluice_flip_op ops[NR_SLOTS];
static struct gnttab_copy copies[NR_SLOTS];

static void report(const char *name, uint64_t ns, uint64_t n)
{
    log_info("flip bench: %s %lu %lu", name, ns, n);
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

static void bench_flips(uint32_t rounds)
{
    char name[32];

    CHECK(ask(&end_a, CMD_OFFER, 0, NR_SLOTS, OFFER) == 0 && ask(&end_b, CMD_OFFER, 0, NR_SLOTS, OFFER) == 0);
    (void)flip_all(&end_a, &end_b, NR_SLOTS);
    again();
    for (uint32_t batch = 1; batch <= NR_SLOTS; batch *= 2) {
        uint64_t sum = 0;

        for (uint32_t r = 0; r < rounds; r++) {
            sum += flip_all(&end_a, &end_b, batch);
            again();
        }
        (void)snprintf(name, sizeof(name), "page_%u", batch);
        report(name, sum, (uint64_t)NR_SLOTS * rounds);
    }
    /* b's frames have a's data in them; b gets them zeroed if it takes them for frames of its own. */
    {
        uint64_t sum = 0;

        for (uint32_t r = 0; r < rounds; r++) {
            sum += flip_all(r & 1 ? &end_a : &end_b, r & 1 ? &end_b : &end_a, 16);
            CHECK(ask(&end_a, CMD_FILL, 0, NR_SLOTS, r) == 0 && ask(&end_b, CMD_FILL, 0, NR_SLOTS, r) == 0);
            again();
        }
        report("scrubbed_16", sum, (uint64_t)NR_SLOTS * rounds);
    }
}

static void bench_copies(uint16_t len, uint32_t rounds)
{
    uint64_t sum = 0, cost = clock_cost();
    char name[32];

    for (uint32_t r = 0; r < rounds; r++) {
        uint64_t start;

        for (uint32_t i = 0; i < NR_SLOTS; i++) {
            copies[i] = (struct gnttab_copy){
                .flags = GNTCOPY_source_gref | GNTCOPY_dest_gref, .len = len,
            };
            grant_copy_ref(&copies[i].source, (domid_t)end_a.id, FIRST_REF + i, 0);
            grant_copy_ref(&copies[i].dest, (domid_t)end_b.id, FIRST_REF + i, 0);
        }
        start = now_ns();
        CHECK(hc_grant_table_op(GNTTABOP_copy, copies, 16) == 0);
        sum += now_ns() - start - cost;
        for (uint32_t i = 0; i < 16; i++)
            CHECK(copies[i].status == GNTST_okay);
    }
    (void)snprintf(name, sizeof(name), "copy_%u", len);
    report(name, sum, 16ul * rounds);
}

void bench_run(void)
{
    uint32_t rounds = (uint32_t)cmdline_get_u64("rounds", ROUNDS);

    back_connect();
    bench_flips(rounds);
    bench_copies(4096, rounds);
    bench_copies(1460, rounds);
    log_info("flip bench: end");
}
