/* SPDX-License-Identifier: MIT */
/*
 * loop.h - the run loop: events, work items, timers, idle.
 *
 * One vCPU, one loop, run to completion. A turn: handlers of pending ports, then the work items
 * that were queued when the turn began (each once), then timers that are due; when nothing is
 * left, the vCPU blocks until the next event or timer. Who has more to do than its budget queues
 * its work item again and gets its next chance after everybody else had one.
 */
#ifndef RUNTIME_LOOP_H
#define RUNTIME_LOOP_H

#include "xenabi.h"
#include "lib/list.h"

struct work {
    struct list link;
    void (*fn)(struct work *w);     /* container_of() leads to the owner */
    bool queued;
};

static inline void work_init(struct work *w, void (*fn)(struct work *w))
{
    list_init(&w->link);
    w->fn = fn;
    w->queued = false;
}

/* Runs w->fn in the next turn; queueing it twice before it runs counts once. */
void work_queue(struct work *w);
void work_cancel(struct work *w);

/* Runs fn before each time the loop would look for new events: for end-of-turn batches (flush
 * queued copies, ring doorbells). Same struct, other list; stays until it is run, once. */
void work_queue_last(struct work *w);

/* event_send() at the end of the turn: together with going to sleep, which costs much less, if there is nothing
 * else to do then. For those who run last; a second port sends the first one's event at once. */
void loop_send_last(evtchn_port_t port);

struct timer {
    uint64_t due;                   /* system time in ns (now_ns) */
    void (*fn)(struct timer *t);
    uint32_t slot;                  /* place in the heap + 1; 0 = not set */
};

static inline void timer_init(struct timer *t, void (*fn)(struct timer *t))
{
    t->due = 0;
    t->fn = fn;
    t->slot = 0;
}

static inline bool timer_is_set(const struct timer *t)
{
    return t->slot != 0;
}

/* (Re)arms: fn runs once, not before due. From fn it may be set again. */
void timer_set(struct timer *t, uint64_t due);
void timer_set_after(struct timer *t, uint64_t ns);
void timer_cancel(struct timer *t);

/* Never returns. */
void loop_run(void) __noreturn;

/* One turn; with block set it first sleeps until there is something to do. For code that must
 * wait synchronously (while (!done) loop_turn(true);) and for tests. */
void loop_turn(bool block);
/* Such code for what becomes true by a handler: turns until *done is. */
void loop_until(const bool *done);

void loop_init(void);

/*
 * Looked at each time before the loop goes to sleep: true when there is work after all (it queued some).
 * For what could have come without an event. Stays for ever.
 */
struct sleep_check {
    struct list link;
    bool (*fn)(void);
};
void loop_before_sleep(struct sleep_check *c);

struct loop_stats {
    uint64_t turns, blocks, events, works, timers;
    uint64_t busy_ns;               /* time that our processor executed us, hypercalls included */
};

void loop_get_stats(struct loop_stats *s);

#endif
