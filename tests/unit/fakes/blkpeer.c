/* SPDX-License-Identifier: MIT */
/* blkpeer.c - see blkpeer.h. */
#include "tests/unit/fakes/blkpeer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRONT "device/vbd/51712"
#define BACK  "/local/domain/7/backend/vbd/9/51712"

struct blkpeer blkpeer;

/* The frontend's user ------------------------------------------------------------------------- */

static void changed(void *arg)
{
    blkpeer.gone = blkpeer.b && !blkfront_info(blkpeer.b);
}

/* Each request ends once, and its memory is the user's alone then. */
static void done(struct blkfront_req *r, int rc)
{
    struct blkpeer_req *q = container_of(r, struct blkpeer_req, r);

    if (!q->busy)
        abort();
    q->busy = false;
    q->rc = rc;
    blkpeer.ended++;
}

bool blkpeer_submit(unsigned int i, enum blkfront_op op, uint64_t sector, unsigned int sectors,
                    unsigned int offset)
{
    struct blkpeer_req *q = &blkpeer.req[i];

    if (q->busy)
        return false;
    q->r = (struct blkfront_req){ .op = op, .sector = sector, .sectors = sectors, .done = done,
                                  .data = (uint8_t *)q->r.user + offset, .user = q->r.user };
    q->busy = true;
    blkfront_submit(blkpeer.b, &q->r);
    blkfront_kick(blkpeer.b);
    return true;
}

unsigned int blkpeer_busy(void)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < BLKPEER_REQS; i++)
        n += blkpeer.req[i].busy;
    return n;
}

void blkpeer_init(void)
{
    fake_world_reset();
    fake_write(FRONT "/backend", BACK);
    fake_write(FRONT "/backend-id", "7");
    fake_write(FRONT "/state", "1");
    blkpeer_write("state", "1");
    for (unsigned int i = 0; i < BLKPEER_REQS; i++) {
        blkpeer.req[i].r.user = pages_alloc(4);
        if (!blkpeer.req[i].r.user)
            abort();
    }
    blkpeer.b = blkfront_open(51712, changed, NULL);
    if (!blkpeer.b)
        abort();
    fake_run();
}

/* Store -------------------------------------------------------------------------------------- */

void blkpeer_write(const char *key, const char *value)
{
    char path[128];

    snprintf(path, sizeof(path), BACK "/%s", key);
    fake_write(path, value);
}

void blkpeer_remove(const char *key)
{
    char path[128];

    snprintf(path, sizeof(path), BACK "/%s", key);
    fake_remove(path);
}

void blkpeer_state_to(const char *state)
{
    if (state)
        blkpeer_write("state", state);
    else
        blkpeer_remove("state");
    fake_run();
}

int blkpeer_state(void)
{
    return atoi(fake_read(FRONT "/state"));
}

/* Connecting ---------------------------------------------------------------------------------- */

void blkpeer_map(void)
{
    unsigned int order = (unsigned int)atoi(fake_read(FRONT "/ring-page-order"));
    char path[64];

    blkpeer.req_cons = blkpeer.rsp_prod = 0;
    for (unsigned int i = 0; i < 1u << order && i < RING_PAGES; i++) {
        snprintf(path, sizeof(path), order ? FRONT "/ring-ref%u" : FRONT "/ring-ref", i);
        blkpeer.mapped[i] = (grant_ref_t)atoi(fake_read(path));
        front_map(blkpeer.mapped[i], true);
    }
    blkpeer.ring = front_page(blkpeer.mapped[0]);
    blkpeer.size = __RD32((((unsigned int)PAGE_SIZE << order) - offsetof(struct blkif_sring, ring)) /
                          sizeof(blkpeer.ring->ring[0]));
}

void blkpeer_unmap(void)
{
    for (unsigned int i = 0; i < RING_PAGES; i++) {
        if (blkpeer.mapped[i])
            front_map(blkpeer.mapped[i], false);
        blkpeer.mapped[i] = GRANT_NONE;
    }
    blkpeer.ring = NULL;
}

bool blkpeer_connect(void)
{
    blkpeer_state_to("2");
    if (blkpeer_state() != XenbusStateInitialised)
        return false;
    blkpeer_map();
    blkpeer_state_to("4");
    return blkpeer_state() == XenbusStateConnected && blkfront_info(blkpeer.b);
}

bool blkpeer_come_up(void)
{
    static const char *const keys[][2] = {
        { "sectors", "1000" }, { "sector-size", "512" }, { "physical-sector-size", "4096" }, { "info", "0" },
        { "feature-flush-cache", "1" }, { "feature-discard", "1" }, { "max-ring-page-order", "1" },
        { "feature-max-indirect-segments", "32" },
    };

    for (unsigned int i = 0; i < ARRAY_SIZE(keys); i++)
        blkpeer_write(keys[i][0], keys[i][1]);
    return blkpeer_connect();
}

void blkpeer_close(void)
{
    blkpeer_unmap();
    for (grant_ref_t ref = 0; front_entry(ref); ref++)
        front_map(ref, false);
    blkpeer_state_to("5");
    blkpeer_state_to("6");
    fake_advance(NS_PER_S);
    /* What was offered to one that comes and goes. */
    blkpeer_state_to("2");
    blkpeer_state_to("6");
    fake_advance(NS_PER_S);
}

/* The ring ----------------------------------------------------------------------------------- */

struct blkif_request *blkpeer_take(void)
{
    if (blkpeer.req_cons == load_acquire(&blkpeer.ring->req_prod))
        return NULL;
    return &blkpeer.ring->ring[blkpeer.req_cons++ & (blkpeer.size - 1)].req;
}

void blkpeer_answer(uint64_t id, int op, int status)
{
    blkpeer.ring->ring[blkpeer.rsp_prod++ & (blkpeer.size - 1)].rsp =
        (struct blkif_response){ .id = id, .operation = (uint8_t)op, .status = (int16_t)status };
}

void blkpeer_push(void)
{
    if (blkpeer.ring)
        store_release(&blkpeer.ring->rsp_prod, blkpeer.rsp_prod);
    fake_signal_port(blkpeer.b->port);
    fake_run();
}

static bool pages_are_granted(const struct blkif_request *r)
{
    const struct blkif_request_indirect *in = (const void *)r;
    bool indirect = r->operation == BLKIF_OP_INDIRECT;
    const struct blkif_request_segment *seg = indirect ? front_page(in->indirect_grefs[0]) : r->seg;
    unsigned int n = indirect ? in->nr_segments : r->operation == BLKIF_OP_DISCARD ? 0 : r->nr_segments;

    for (unsigned int i = 0; i < n; i++) {
        if (!seg || !front_page(seg[i].gref) || seg[i].first_sect > seg[i].last_sect || seg[i].last_sect > 7)
            return false;
        if ((indirect ? in->indirect_op : r->operation) == BLKIF_OP_READ)
            memset((uint8_t *)front_page(seg[i].gref) + seg[i].first_sect * 512, 0x77,
                   (size_t)(seg[i].last_sect - seg[i].first_sect + 1) * 512);
    }
    return true;
}

bool blkpeer_serve(void)
{
    struct blkif_request *r, copy;
    bool good = true;

    /* No more than fit: noise may have gone over the producer. */
    for (unsigned int n = 0; n < blkpeer.size && (r = blkpeer_take()) != NULL; n++) {
        const struct blkif_request_indirect *in = (const void *)&copy;

        copy = *r;
        good &= pages_are_granted(&copy);
        blkpeer_answer(copy.operation == BLKIF_OP_INDIRECT ? in->id : copy.id, copy.operation, BLKIF_RSP_OKAY);
    }
    blkpeer_push();
    return good;
}

bool blkpeer_works(void)
{
    bool good = true;

    for (unsigned int i = 0; i < BLKPEER_REQS; i++) {
        if (i % 4 == 3)
            (void)blkpeer_submit(i, BLKFRONT_FLUSH, 0, 0, 0);
        else
            (void)blkpeer_submit(i, i % 4 ? BLKFRONT_READ : BLKFRONT_WRITE, i, 1 + i % 100, i % 8 * 512);
    }
    for (unsigned int i = 0; i < 10; i++)
        good &= blkpeer_serve();
    for (unsigned int i = 0; i < BLKPEER_REQS; i++) {
        const uint8_t *data = (const uint8_t *)blkpeer.req[i].r.user + i % 8 * 512;

        good &= !blkpeer.req[i].busy && !blkpeer.req[i].rc;
        if (i % 4 == 1 || i % 4 == 2)
            good &= data[0] == 0x77 && data[(1 + i % 100) * 512 - 1] == 0x77;
    }
    return good;
}
