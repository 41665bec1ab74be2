/* SPDX-License-Identifier: MIT */
/*
 * fuzz_blkfront.c - a backend that writes anything onto the ring of a blkfront at any time, keeps what it is granted, and goes
 * from any state to any other. Each request ends once, and with its memory.
 */
/* LINK: blkfront/blkfront.c blkfront/ring.c runtime/grant.c runtime/xs.c runtime/xbdev.c runtime/loglimit.c lib/rate.c */
/* LINK: runtime/loop.c runtime/cmdline.c lib/strlcpy.c */
/* LINK: tests/unit/fakes/front.c tests/unit/fakes/world.c tests/unit/fakes/blkpeer.c */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/fakes/blkpeer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void submit(unsigned int a, unsigned int b)
{
    static const enum blkfront_op ops[] = { BLKFRONT_READ, BLKFRONT_WRITE, BLKFRONT_FLUSH, BLKFRONT_DISCARD };
    enum blkfront_op op = ops[a % 4];

    (void)blkpeer_submit(a / 4, op, b, op == BLKFRONT_FLUSH ? 0 : b % 120 + 1, b % 8 * 512);
}

static bool is_ring(grant_ref_t ref)
{
    for (unsigned int i = 0; i < RING_PAGES; i++) {
        if (blkpeer.mapped[i] == ref)
            return true;
    }
    return false;
}

/* Of the references that are in use, but not for the ring, in the order of the table. */
static grant_ref_t granted(unsigned int which)
{
    grant_ref_t found = GRANT_NONE;
    unsigned int n = 0;

    for (grant_ref_t ref = 0; ref < 2048 && n <= which; ref++) {
        if (front_entry(ref)->flags && !is_ring(ref)) {
            found = ref;
            n++;
        }
    }
    return found;
}

static void act(unsigned int kind, unsigned int a, unsigned int b)
{
    char text[8];

    switch (kind) {
    case 0:
        front_map(granted(a), b & 1);
        break;
    case 1:
        snprintf(text, sizeof(text), "%u", a % 10);
        blkpeer_state_to(text);
        break;
    case 2:
        blkpeer_unmap();
        break;
    case 3:
        fake_advance(10 * NS_PER_MS);
        break;
    case 4:
        if (blkpeer.ring)
            (void)blkpeer_serve();
        break;
    case 5:
        if (blkpeer.ring)
            blkpeer_answer(a, b, b % 4 ? 0 : -1);
        break;
    default:
        submit(a, b);
        break;
    }
}

/* Commands of four bytes: kind, two for whatever, length; then data. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;

    if (!started)
        blkpeer_init();
    started = true;
    fake_log[0] = '\0';
    if (!blkpeer_come_up())
        abort();
    while (size >= 4) {
        unsigned int kind = data[0] % 16, a = data[1], b = data[2], len = data[3];

        data += 4;
        size -= 4;
        if (kind < 10) {
            act(kind, a, b);
        } else if (blkpeer.ring) {
            unsigned int at = (a * 256u + b) * 4 % (2 * (unsigned int)PAGE_SIZE);

            len = len > size ? (unsigned int)size : len;
            len = len > 2 * PAGE_SIZE - at ? 2 * (unsigned int)PAGE_SIZE - at : len;
            memcpy((uint8_t *)blkpeer.ring + at, data, len);
            data += len;
            size -= len;
        }
        blkpeer_push();
    }
    blkpeer_close();
    if (!blkpeer_come_up() || !blkpeer_serve() || !blkpeer_serve() || blkpeer_busy() || !blkpeer_works())
        abort();
    blkpeer_close();
    if (front_grants() || front_pages() != BLKPEER_REQS * BLKPEER_PAGES)
        abort();
    return 0;
}
