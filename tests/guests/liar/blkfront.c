/* SPDX-License-Identifier: MIT */
/*
 * blkfront.c - the frontend of a vbd: requests without end. What a request's memory holds when it has ended is the user's: it is
 * filled then, and must be the same when the next request begins.
 */
#include "tests/guests/liar/liar.h"
#include "blkfront/blkfront.h"
#include "runtime/hypercall.h"
#include "runtime/mem.h"

#define REQS  40u
#define WORDS (16u * 512u)          /* of 16 pages */

static struct request {
    struct blkfront_req r;
    uint64_t *data;
    uint64_t seed;                  /* of what is in data while nobody has it */
    bool busy;
} req[REQS];
static struct blkfront *disk;
static uint64_t ended, failed, right, connections, fills;

static void fill(struct request *q)
{
    q->seed = ++fills << 16;
    for (unsigned int i = 0; i < WORDS; i++)
        q->data[i] = q->seed + i;
}

static void check(const struct request *q)
{
    for (unsigned int i = 0; i < WORDS; i++)
        CHECK(q->data[i] == q->seed + i);
}

static void done(struct blkfront_req *r, int rc)
{
    struct request *q = container_of(r, struct request, r);
    unsigned int words = (unsigned int)r->sectors * 64;
    bool good = rc == 0 && r->op == BLKFRONT_READ;

    CHECK(q->busy);
    q->busy = false;
    ended++;
    failed += rc != 0;
    for (unsigned int i = 0; i < words && good; i++)
        good = q->data[i] == word_on_disk(r->sector, i);
    right += good;
    fill(q);
}

static void submit(struct request *q)
{
    static const enum blkfront_op ops[] = { BLKFRONT_READ, BLKFRONT_READ, BLKFRONT_WRITE, BLKFRONT_FLUSH };
    enum blkfront_op op = ops[random_u32() % ARRAY_SIZE(ops)];

    check(q);
    q->r = (struct blkfront_req){ .op = op, .data = q->data, .done = done };
    if (op != BLKFRONT_FLUSH) {
        q->r.sector = random_u32() % 800;
        q->r.sectors = 1 + random_u32() % 80;
    }
    q->busy = true;
    blkfront_submit(disk, &q->r);
}

static void changed(void *arg)
{
    connections++;
}

void blkfront_run(void)
{
    struct blkfront_stats s;
    struct mem_stats m;
    uint64_t said = 0, begin;
    size_t least_free = 0;

    front_begin("device/vbd/51712");
    front_find_backend();
    for (unsigned int i = 0; i < REQS; i++) {
        req[i].data = pages_alloc(4);
        CHECK(req[i].data);
        fill(&req[i]);
    }
    disk = blkfront_open(51712, changed, NULL);
    CHECK(disk);
    begin = frames_owned();
    for (;;) {
        if (now_ns() - said > NS_PER_S / 4) {
            said = now_ns();
            blkfront_get_stats(disk, &s);
            log_info("liar blkfront: %lu connections, %lu ended, %lu failed, %lu right, %lu resubmitted, of domain %u",
                     connections, ended, failed, right, s.resubmitted, back_dom);
            CHECK(frames_owned() == begin);
            mem_get_stats(&m);
            if (connections < 10)
                least_free = connections < 2 || m.pages_free < least_free ? m.pages_free : least_free;
            else                    /* a ring, its slots' lists */
                CHECK(m.pages_free + 160 >= least_free);
            if (!front_has_backend())
                front_find_backend();
        }
        for (unsigned int i = 0; i < REQS; i++) {
            if (!req[i].busy && random_u32() % 4 == 0)
                submit(&req[i]);
        }
        blkfront_kick(disk);
        loop_turn(false);
        (void)hc_sched_op(SCHEDOP_yield, NULL);
    }
}
