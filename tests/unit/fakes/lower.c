/* SPDX-License-Identifier: MIT */
/* lower.c - a stream in memory and a loop by hand (see lower.h). */
#include "tests/unit/fakes/lower.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "runtime/entropy.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/time.h"

/* ---- the loop ---- */

static uint64_t now = 1000000000;
uint64_t fake_cost;
static struct list works = LIST_INIT(works);
static struct timer *timers[256];
static uint64_t blocks;

uint64_t now_ns(void)
{
    now += fake_cost;
    return now;
}

uint64_t wallclock(uint32_t *ns)
{
    return 1767225600 + now / 1000000000;       /* 2026 */
}

void loop_get_stats(struct loop_stats *s)
{
    memset(s, 0, sizeof(*s));
    s->blocks = blocks;
}

void work_queue(struct work *w)
{
    if (!w->queued)
        list_push_back(&works, &w->link);
    w->queued = true;
}

void work_cancel(struct work *w)
{
    if (w->queued)
        list_remove(&w->link);
    w->queued = false;
}

void timer_set(struct timer *t, uint64_t due)
{
    size_t i = t->slot;

    if (!i)
        for (i = 1; i < 256 && timers[i]; i++)
            continue;
    if (i == 256)
        abort();
    timers[i] = t;
    t->slot = (uint32_t)i;
    t->due = due;
}

void timer_set_after(struct timer *t, uint64_t ns)
{
    timer_set(t, now + ns);
}

void timer_cancel(struct timer *t)
{
    if (t->slot)
        timers[t->slot] = NULL;
    t->slot = 0;
}

void fake_run(void)
{
    while (!list_empty(&works)) {
        struct work *w = list_first(&works, struct work, link);

        work_cancel(w);
        w->fn(w);
    }
}

void fake_time(uint64_t ns)
{
    now += ns;
    blocks++;
    for (size_t i = 1; i < 256; i++) {
        struct timer *t = timers[i];

        if (t && t->due <= now) {
            timer_cancel(t);
            t->fn(t);
        }
    }
    fake_run();
}

void log_at(enum log_level level, const char *fmt, ...)
{
}

void entropy_bytes(void *buf, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)buf)[i] = (uint8_t)(i * 7 + 1);
}

bool entropy_is_good(void)
{
    return true;
}

/* ---- the stream ---- */

static struct lower *of(struct stream *s)
{
    return container_of(s, struct lower, base);
}

static void deliver(struct lower *l)
{
    while (l->ev && l->in_len && !l->stopped) {
        size_t n;

        l->stopped = true;
        n = l->ev->received(l->arg, l->in, l->in_len);
        if (!l->ev)
            return;
        if (n > l->in_len)
            abort();
        if (n == l->in_len)
            l->stopped = false;
        memmove(l->in, l->in + n, l->in_len - n);
        l->in_len -= n;
        if (n == 0)
            break;              /* when it was resumed meanwhile, our work comes back to it */
    }
    if (l->ev && l->fin && !l->in_len) {
        l->fin = false;
        if (l->ev->finished)
            l->ev->finished(l->arg);
    }
}

void lower_feed(struct lower *l, const void *data, size_t len)
{
    if (l->in_len + len > sizeof(l->in))
        abort();
    memcpy(l->in + l->in_len, data, len);
    l->in_len += len;
    deliver(l);
}

void lower_finish(struct lower *l)
{
    l->fin = true;
    deliver(l);
}

void lower_reset(struct lower *l)
{
    const struct stream_events *ev = l->ev;

    l->ev = NULL;
    work_cancel(&l->work);
    if (ev)
        ev->closed(l->arg, -104);
}

void lower_give_room(struct lower *l, size_t room)
{
    l->room = room;
    if (l->want_room && l->ev && l->ev->writable) {
        l->want_room = false;
        l->ev->writable(l->arg);
    }
}

static size_t op_write(struct stream *s, const void *data, size_t len, unsigned int flags)
{
    struct lower *l = of(s);
    size_t n = MIN(len, MIN(l->room, sizeof(l->out) - l->out_len));

    memcpy(l->out + l->out_len, data, n);
    l->out_len += n;
    l->room -= n;
    if (n < len)
        l->want_room = true;
    return n;
}

static size_t op_room(struct stream *s)
{
    return of(s)->room;
}

static void op_resume(struct stream *s)
{
    of(s)->stopped = false;
    work_queue(&of(s)->work);
}

static void op_close(struct stream *s)
{
    of(s)->closed = true;
    of(s)->ev = NULL;
    work_cancel(&of(s)->work);
}

static void op_abort(struct stream *s)
{
    of(s)->aborted = true;
    of(s)->ev = NULL;
    work_cancel(&of(s)->work);
}

static void op_set_events(struct stream *s, const struct stream_events *ev, void *arg)
{
    of(s)->ev = ev;
    of(s)->arg = arg;
}

static const struct stream_ops ops = {
    .write = op_write,
    .room = op_room,
    .resume = op_resume,
    .close = op_close,
    .abort = op_abort,
    .set_events = op_set_events,
};

static int (*accept_fn)(void *arg, struct stream *s, struct stream_addr peer);
static void *accept_arg;

static int net_listen(void *ctx, uint16_t port,
                      int (*accept)(void *arg, struct stream *s, struct stream_addr peer), void *arg)
{
    accept_fn = accept;
    accept_arg = arg;
    return 0;
}

struct stream_net lower_net = { .listen = net_listen };

static void on_work(struct work *w)
{
    deliver(container_of(w, struct lower, work));
}

int lower_connect(struct lower *l, uint32_t ip)
{
    struct stream_addr peer = { .ip = ip, .port = 1 };

    memset(l, 0, sizeof(*l));
    l->base.ops = &ops;
    work_init(&l->work, on_work);
    l->room = sizeof(l->out);
    return accept_fn(accept_arg, &l->base, peer) ? -1 : 0;
}
