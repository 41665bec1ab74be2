/* SPDX-License-Identifier: MIT */
/*
 * tls_ration.c - who may compute when: a handshake's arithmetic takes milliseconds and cannot be interrupted, so while
 * others wait for their handshakes, three times as long as the last step took passes before the next.
 */
#include "toolstack/net/tls_internal.h"

#define CROWD    4u                     /* handshakes that wait before their time is rationed strictly */
#define SHARE    3u                     /* ... to one part in 1 + 3 */
#define CHEAP_NS (100 * NS_PER_US)      /* a step that is not worth rationing */

static struct list queue = LIST_INIT(queue);
static unsigned int nr_waiting;
static struct timer timer;
static uint64_t next_step_at, blocks_seen;
static void (*go_on)(struct ration *r);

void ration_leave(struct ration *r)
{
    if (!list_empty(&r->link)) {
        list_remove(&r->link);
        list_init(&r->link);
        nr_waiting--;
    }
}

static uint64_t loop_blocks(void)
{
    struct loop_stats l;

    loop_get_stats(&l);
    return l.blocks;
}

/*
 * May this handshake be computed now? Those that wait longer go first. When the loop has been idle
 * since the last one nobody else wanted the processor; a crowd waits in any case.
 */
bool ration_allows(const struct ration *r)
{
    if (r->granted)
        return true;
    if (!list_empty(&queue) && queue.next != &r->link)
        return false;
    if (now_ns() >= next_step_at)
        return true;
    return nr_waiting <= CROWD && loop_blocks() != blocks_seen;
}

void ration_spent(uint64_t began)
{
    uint64_t now = now_ns();

    if (now - began < CHEAP_NS)
        return;
    next_step_at = now + SHARE * (now - began);
    blocks_seen = loop_blocks();
}

static void set_timer(void)
{
    uint64_t soon = now_ns() + NS_PER_MS;

    timer_set(&timer, nr_waiting > CROWD ? next_step_at : MIN(next_step_at, soon));
}

void ration_wait(struct ration *r)
{
    if (list_empty(&r->link)) {
        list_push_back(&queue, &r->link);
        nr_waiting++;
    }
    if (!timer_is_set(&timer))
        set_timer();
}

/* The one that waits longest goes on. */
static void on_timer(struct timer *t)
{
    struct ration *r = list_first(&queue, struct ration, link);

    if (r && ration_allows(r)) {
        ration_leave(r);
        r->granted = true;
        go_on(r);
    }
    if (!list_empty(&queue))
        set_timer();
}

void ration_init(void (*fn)(struct ration *r))
{
    go_on = fn;
    timer_init(&timer, on_timer);
}
