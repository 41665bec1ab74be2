/* SPDX-License-Identifier: MIT */
/* loop.c - the run loop: events, work items, timers, idle. */
#include "runtime/loop.h"
#include "runtime/event.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/time.h"

static struct list works = LIST_INIT(works);
static struct list lasts = LIST_INIT(lasts);
static struct list checks = LIST_INIT(checks);
static struct loop_stats stats;

void work_queue(struct work *w)
{
    if (w->queued)
        return;
    w->queued = true;
    list_push_back(&works, &w->link);
}

void work_queue_last(struct work *w)
{
    if (w->queued)
        return;
    w->queued = true;
    list_push_back(&lasts, &w->link);
}

void work_cancel(struct work *w)
{
    if (!w->queued)
        return;
    w->queued = false;
    list_remove(&w->link);
}

static void run_work(struct work *w)
{
    list_remove(&w->link);
    w->queued = false;
    stats.works++;
    w->fn(w);
}

/* Several. One may cancel others, so what is to be run is a list of its own. */
static noinline void run_many(struct list *from)
{
    struct list now;
    struct work *w;

    list_insert_between(&now, from->prev, from);
    list_remove(from);
    while ((w = list_first(&now, struct work, link)) != NULL)
        run_work(w);
}

/* Runs what is on the list now; what is queued meanwhile waits for the next turn. */
static inline void run_list(struct list *from)
{
    if (list_empty(from))
        return;
    if (likely(from->next == from->prev))
        run_work(list_entry(from->next, struct work, link));
    else
        run_many(from);
}

/* Timers: a binary heap of pointers; slot 1 is due first. */

static struct timer **heap;
static uint32_t heap_len, heap_room;

static void heap_place(uint32_t slot, struct timer *t)
{
    heap[slot] = t;
    t->slot = slot;
}

static void heap_up(uint32_t slot)
{
    struct timer *t = heap[slot];

    for (; slot > 1 && heap[slot / 2]->due > t->due; slot /= 2)
        heap_place(slot, heap[slot / 2]);
    heap_place(slot, t);
}

static void heap_down(uint32_t slot)
{
    struct timer *t = heap[slot];

    for (;;) {
        uint32_t child = slot * 2;

        if (child > heap_len)
            break;
        if (child < heap_len && heap[child + 1]->due < heap[child]->due)
            child++;
        if (heap[child]->due >= t->due)
            break;
        heap_place(slot, heap[child]);
        slot = child;
    }
    heap_place(slot, t);
}

static void heap_make_room(void)
{
    uint32_t room = heap_room ? heap_room * 2 : 64;
    struct timer **bigger = realloc(heap, (room + 1) * sizeof(struct timer *));

    if (!bigger)
        panic("no memory for a timer");
    heap = bigger;
    heap_room = room;
}

void timer_set(struct timer *t, uint64_t due)
{
    uint64_t old = t->due;

    t->due = due;
    if (t->slot) {
        if (due < old)
            heap_up(t->slot);
        else
            heap_down(t->slot);
        return;
    }
    if (heap_len == heap_room)
        heap_make_room();
    heap_place(++heap_len, t);
    heap_up(heap_len);
}

void timer_set_after(struct timer *t, uint64_t ns)
{
    timer_set(t, now_ns() + ns);
}

void timer_cancel(struct timer *t)
{
    uint32_t slot = t->slot;
    struct timer *last;

    if (!slot)
        return;
    t->slot = 0;
    last = heap[heap_len--];
    if (last == t)
        return;
    heap_place(slot, last);
    heap_up(slot);
    heap_down(last->slot);
}

static uint64_t armed;      /* what the hypervisor's timer is set to; 0: not set */

/* now: the time, or a little before; 0: not known. What has become due since then is run in the next turn. */
static void run_timers(uint64_t now)
{
    if (!heap_len)
        return;
    /* The hypervisor has been told of the first one, and its event has not come: nothing is due. */
    if (!now && heap[1]->due == armed)
        return;
    if (!now)
        now = now_ns();
    while (heap_len && heap[1]->due <= now) {
        struct timer *t = heap[1];

        timer_cancel(t);
        stats.timers++;
        t->fn(t);
    }
}

/* Blocking. */

static bool can_wait;       /* the hypervisor has sluice_wait */
static evtchn_port_t owed;  /* an event to be sent before the loop looks for new ones; 0: none */

/* It only ends a block: run_timers() looks at the clock. */
static void timer_event(void *arg)
{
    armed = 0;
}

static void send_owed(void)
{
    evtchn_port_t port = owed;

    owed = 0;
    if (port)
        event_send(port);
}

void loop_send_last(evtchn_port_t port)
{
    if (owed != port)
        send_owed();
    owed = port;
}

/* Sends what is owed and sleeps until there is an event. */
static inline void wait(void)
{
    if (likely(can_wait)) {
        (void)hc_wait(owed);
        owed = 0;
        return;
    }
    send_owed();
    (void)hc_sched_op(SCHEDOP_block, NULL);
}

void loop_before_sleep(struct sleep_check *c)
{
    list_push_back(&checks, &c->link);
}

static bool work_after_all(void)
{
    struct sleep_check *c;
    bool any = false;

    list_for_each(c, &checks, link)
        any |= c->fn();
    return any;
}

/*
 * Upcalls are masked, so nothing can come between the last look and the block, which looks and sleeps in one step. A timer
 * that the hypervisor has been told of needs no look at the clock: if it is due, its event is there. Returns the time, 0
 * when it did not have to look.
 */
static uint64_t idle(void)
{
    uint64_t due = heap_len ? heap[1]->due : 0, now = 0;

    if (due != armed) {
        now = due ? now_ns() : 0;
        if (due && due <= now) {
            send_owed();
            return now;
        }
        (void)hc_set_timer_op(due);
        armed = due;
    }
    if (work_after_all()) {
        send_owed();
        return now;
    }
    stats.blocks++;
    wait();
    return 0;
}

static inline void turn(bool block)
{
    uint64_t now = 0;

    if (block && list_empty(&works) && list_empty(&lasts) && !event_any_pending())
        now = idle();
    else
        send_owed();
    stats.turns++;
    if (event_poll())
        stats.events++;
    run_list(&works);
    run_timers(now);
    run_list(&lasts);
}

/* The caller may do something else then, for long: owe nothing. */
void loop_turn(bool block)
{
    turn(block);
    send_owed();
}

void loop_until(const bool *done)
{
    while (!READ_ONCE(*done))
        turn(true);
    send_owed();
}

void loop_run(void)
{
    for (;;)
        turn(true);
}

static uint64_t executed_ns(void)
{
    struct vcpu_runstate_info r;

    return hc_vcpu_op(VCPUOP_get_runstate_info, 0, &r) ? 0 : r.time[RUNSTATE_running];
}

void loop_get_stats(struct loop_stats *s)
{
    *s = stats;
    s->busy_ns = executed_ns();
}

void loop_init(void)
{
    evtchn_port_t port;
    int rc = event_bind_virq(VIRQ_TIMER, timer_event, NULL, &port);

    if (rc)
        panic("cannot bind the timer: %d", rc);
    (void)hc_vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL);
    can_wait = hypercall(__HYPERVISOR_sluice_wait, SLUICE_WAIT_query, 0, 0, 0, 0) >= SLUICE_WAIT_VERSION;
}
