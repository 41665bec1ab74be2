/* SPDX-License-Identifier: MIT */
/* The run loop on a fake clock and fake events. */
/* LINK: runtime/loop.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include "runtime/event.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/time.h"

static uint64_t now = 1000, armed;
static unsigned int blocks, waits, sends, looks;
static evtchn_port_t sent;
static bool event_waiting;
static bool event_comes;            /* before the timer */
static bool has_wait;
static void (*on_event)(void);
static event_fn timer_fn;

uint64_t now_ns(void)
{
    looks++;
    return now;
}

void panic(const char *fmt, ...)
{
    abort();
}

int event_bind_virq(unsigned int virq, event_fn fn, void *arg, evtchn_port_t *port)
{
    timer_fn = fn;
    return 0;
}

bool event_poll(void)
{
    bool was = event_waiting;

    event_waiting = false;
    if (armed && armed <= now) {
        armed = 0;
        timer_fn(NULL);
    }
    if (was && on_event)
        on_event();
    return was;
}

bool event_any_pending(void)
{
    return event_waiting;
}

void event_send(evtchn_port_t port)
{
    sends++;
    sent = port;
}

/* Blocking lasts until the armed timer, or an event comes. */
static void sleep_now(void)
{
    assert_true(armed > now);
    if (event_comes)
        event_waiting = true;
    else
        now = armed;
    event_comes = false;
}

long hypercall(unsigned int nr, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    if (nr == __HYPERVISOR_set_timer_op)
        armed = a1;
    if (nr == __HYPERVISOR_sched_op && a1 == SCHEDOP_block) {
        blocks++;
        sleep_now();
    }
    if (nr == __HYPERVISOR_sluice_wait && a1 == SLUICE_WAIT_query)
        return has_wait ? SLUICE_WAIT_VERSION : -XEN_ENOSYS;
    if (nr == __HYPERVISOR_sluice_wait) {
        assert_int_equal(a1, SLUICE_WAIT_event);
        waits++;
        sent = (evtchn_port_t)a2;
        sleep_now();
    }
    return 0;
}

/* Timers against a plain list. */
#define N 200
static struct timer timers[N];
static uint64_t model[N];           /* due; 0: not set */
static uint64_t last_due;
static unsigned int fired;

static void on_timer(struct timer *t)
{
    unsigned int i = (unsigned int)(t - timers);

    assert_true(model[i] != 0);
    assert_true(t->due == model[i]);
    assert_true(t->due <= now && t->due >= last_due);
    assert_false(timer_is_set(t));
    last_due = t->due;
    model[i] = 0;
    fired++;
}

static void timers_fire_in_order(void **state)
{

    srand(1);
    for (unsigned int i = 0; i < N; i++)
        timer_init(&timers[i], on_timer);
    for (unsigned int round = 0; round < 3000; round++) {
        unsigned int i = (unsigned int)rand() % N;

        if (rand() % 4 == 0) {
            timer_cancel(&timers[i]);
            model[i] = 0;
        } else {
            model[i] = now + 1 + (unsigned int)rand() % 1000;
            timer_set(&timers[i], model[i]);
        }
        assert_int_equal(timer_is_set(&timers[i]), model[i] != 0);
        if (round % 50 == 0) {
            last_due = 0;
            now += 100;
            loop_turn(false);
            for (unsigned int k = 0; k < N; k++)
                assert_true(!model[k] || model[k] > now);
        }
    }
    last_due = 0;
    now += 2000;
    loop_turn(false);
    for (unsigned int k = 0; k < N; k++)
        assert_int_equal(model[k], 0);
    assert_true(fired > 100);
}

static unsigned int ran[3];
static struct work w[3];

static void busy(struct work *x)
{
    ran[0]++;
    work_queue(x);
}

static void plain(struct work *x)
{
    ran[x - w]++;
}

static void cancels_next(struct work *x)
{
    ran[x - w]++;
    work_cancel(&w[2]);
}

static void busy_work_lets_others_run(void **state)
{
    work_init(&w[0], busy);
    work_init(&w[1], plain);
    work_init(&w[2], plain);
    work_queue(&w[0]);
    work_queue(&w[1]);
    work_queue(&w[1]);
    loop_turn(true);
    loop_turn(true);
    assert_int_equal(ran[0], 2);
    assert_int_equal(ran[1], 1);
    work_cancel(&w[0]);
    loop_turn(false);
    assert_int_equal(ran[0], 2);
    assert_int_equal(blocks, 0);
}

static void work_may_be_cancelled_by_work(void **state)
{
    ran[1] = ran[2] = 0;
    work_init(&w[1], cancels_next);
    work_queue(&w[1]);
    work_queue(&w[2]);
    loop_turn(false);
    assert_int_equal(ran[1], 1);
    assert_int_equal(ran[2], 0);
    work_queue(&w[2]);
    loop_turn(false);
    assert_int_equal(ran[2], 1);
}

static void queue_last(void)
{
    work_queue_last(&w[1]);
    work_queue(&w[2]);
}

static void last_list_runs_last(void **state)
{
    ran[1] = ran[2] = 0;
    work_init(&w[1], cancels_next);     /* would cancel w[2] if it ran first */
    on_event = queue_last;
    event_waiting = true;
    loop_turn(true);
    assert_int_equal(ran[1], 1);
    assert_int_equal(ran[2], 1);
    on_event = NULL;
}

static void idle_blocks_until_the_next_timer(void **state)
{
    model[0] = now + 500;
    timer_set(&timers[0], model[0]);
    blocks = 0;
    fired = 0;
    last_due = 0;
    loop_turn(true);
    assert_int_equal(blocks, 1);
    assert_int_equal(fired, 1);
}

/* A turn for an event looks at the clock only if the hypervisor does not know the next timer. */
static void events_need_no_clock(void **state)
{
    model[0] = now + 500;
    timer_set(&timers[0], model[0]);
    fired = 0;
    last_due = 0;
    event_comes = true;
    loop_turn(true);
    looks = 0;
    event_comes = true;
    loop_turn(true);
    assert_int_equal(looks, 0);
    assert_int_equal(fired, 0);
    now = model[0];
    event_waiting = true;
    loop_turn(true);
    assert_int_equal(fired, 1);
}

static bool found;

static bool finds_work(void)
{
    bool was = found;

    if (found)
        work_queue(&w[2]);
    found = false;
    return was;
}

static void a_last_look_before_sleep(void **state)
{
    static struct sleep_check check = { .fn = finds_work };

    model[0] = now + 500;
    timer_set(&timers[0], model[0]);
    loop_before_sleep(&check);
    blocks = ran[2] = 0;
    found = true;
    loop_turn(true);
    assert_int_equal(blocks, 0);
    assert_int_equal(ran[2], 1);
    last_due = 0;
    loop_turn(true);
    assert_int_equal(blocks, 1);
}

static evtchn_port_t to_send[2];

static void sends_last(struct work *x)
{
    for (unsigned int i = 0; i < 2 && to_send[i]; i++)
        loop_send_last(to_send[i]);
}

static bool rang;

static void set_in_time(struct timer *t)
{
    rang = true;
}

/* By loop_until(), whose turns follow each other: one that sends, and one that sleeps until the timer. */
static void send_and_sleep(evtchn_port_t first, evtchn_port_t second)
{
    static struct timer t;

    to_send[0] = first;
    to_send[1] = second;
    work_init(&w[0], sends_last);
    work_queue_last(&w[0]);
    timer_init(&t, set_in_time);
    timer_set(&t, now + 500);
    blocks = waits = sends = sent = 0;
    rang = false;
    loop_until(&rang);
}

static void without_the_call_an_event_goes_before_sleep(void **state)
{
    send_and_sleep(7, 0);
    assert_int_equal(sends, 1);
    assert_int_equal(sent, 7);
    assert_int_equal(blocks, 1);
    assert_int_equal(waits, 0);
}

static void the_last_event_goes_with_sleep(void **state)
{
    has_wait = true;
    loop_init();
    send_and_sleep(7, 0);
    assert_int_equal(sends, 0);
    assert_int_equal(sent, 7);
    assert_int_equal(waits, 1);
    send_and_sleep(7, 7);
    assert_int_equal(sends, 0);
    assert_int_equal(waits, 1);
    send_and_sleep(7, 8);
    assert_int_equal(sends, 1);
    assert_int_equal(sent, 8);
    assert_int_equal(waits, 1);
    send_and_sleep(0, 0);
    assert_int_equal(sends, 0);
    assert_int_equal(sent, 0);
    assert_int_equal(waits, 1);
    assert_int_equal(blocks, 0);
}

static bool done;

/* In the turn after the one in which it was queued first. */
static void sets_done(struct work *x)
{
    done = sends == 1;
    if (!done)
        work_queue(x);
}

/* What is owed is sent when there is more to do, before the next events are looked for; and when the caller has the turn. */
static void an_event_does_not_wait_for_other_work(void **state)
{
    to_send[0] = 9;
    to_send[1] = 0;
    work_init(&w[0], sends_last);
    waits = sends = sent = 0;
    work_queue_last(&w[0]);
    loop_turn(true);
    assert_int_equal(sends, 1);
    assert_int_equal(sent, 9);
    assert_int_equal(waits, 0);

    work_init(&w[1], sets_done);
    done = false;
    sends = 0;
    work_queue_last(&w[0]);
    work_queue(&w[1]);
    loop_until(&done);
    assert_int_equal(sends, 1);
    assert_int_equal(waits, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_order),
        cmocka_unit_test(busy_work_lets_others_run),
        cmocka_unit_test(work_may_be_cancelled_by_work),
        cmocka_unit_test(last_list_runs_last),
        cmocka_unit_test(idle_blocks_until_the_next_timer),
        cmocka_unit_test(events_need_no_clock),
        cmocka_unit_test(a_last_look_before_sleep),
        cmocka_unit_test(without_the_call_an_event_goes_before_sleep),
        cmocka_unit_test(the_last_event_goes_with_sleep),
        cmocka_unit_test(an_event_does_not_wait_for_other_work),
    };

    loop_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
