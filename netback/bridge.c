/* SPDX-License-Identifier: MIT */
/* bridge.c - learning bridges: forward, flood, wait; see bridge.h and runtime/port.h. */
#include "netback/bridge.h"
#include "netback/dma.h"
#include "netback/exchange.h"
#include "netback/fdb.h"
#include "netback/frame.h"
#include "netback/netback.h"
#include "netback/shape.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/time.h"

#define WAIT_FRAMES 64              /* most that wait for one port */
#define WAIT_FRAGS  160             /* ... and their fragments: at most part of a sender's ring */
#define WAIT_UPLINK 4               /* so many times that for a card: all guests' frames go there */
#define WAIT_NS     (1 * NS_PER_S)  /* no progress for so long: what waits is dropped */
#define WAIT_CHECK  (200 * NS_PER_MS)

#define VLAN_ROOM   18              /* Ethernet header and one tag, on top of the MTU */

struct bridge {
    struct list link;
    char name[32];
    struct list ports;
    struct fdb fdb;
};

static struct list bridges = LIST_INIT(bridges);
static struct list touched = LIST_INIT(touched);    /* ports to flush at the end of the turn */
static struct list shaped = LIST_INIT(shaped);      /* frames whose copies and pins are queued */
uint32_t bridge_changes;
static struct work flush_work;
static struct timer wait_timer;

static const char *const drop_names[DROP_REASONS] = {
    [DROP_MALFORMED] = "malformed", [DROP_SPOOFED] = "spoofed",     [DROP_NO_ROOM] = "no_room",
    [DROP_TOO_LONG] = "too_long",   [DROP_NO_TARGET] = "no_target", [DROP_COPY] = "copy_failed",
    [DROP_NO_MEMORY] = "no_memory", [DROP_DEVICE] = "device",
};

const char *port_drop_name(enum port_drop why)
{
    return why < DROP_REASONS ? drop_names[why] : "unknown";
}

/* Sending ---------------------------------------------------------------------------------- */

void port_touch(struct port *p)
{
    if (list_empty(&p->touched))
        list_push_back(&touched, &p->touched);
    work_queue_last(&flush_work);
}

static bool may_wait_at(const struct port *p, const struct frame *f)
{
    unsigned int times = p->caps & PORT_UPLINK ? WAIT_UPLINK : 1;

    return !p->stalled && p->nr_waiting < times * WAIT_FRAMES &&
           p->waiting_frags + f->nr_frags + 1u <= times * WAIT_FRAGS;
}

static void wait_at(struct port *p, struct frame *f)
{
    if (list_empty(&p->waiting))
        p->waiting_since = now_ns();
    if (!timer_is_set(&wait_timer))
        timer_set_after(&wait_timer, WAIT_CHECK);
    frame_get(f);
    list_push_back(&p->waiting, &f->link);
    p->nr_waiting++;
    p->waiting_frags = (uint16_t)(p->waiting_frags + f->nr_frags + 1);
}

/* Takes a frame off the list of those that wait; the reference is the caller's then. */
static void wait_over(struct port *p, struct frame *f)
{
    list_remove(&f->link);
    p->nr_waiting--;
    p->waiting_frags = (uint16_t)(p->waiting_frags - f->nr_frags - 1);
}

/* f is in a form that p takes. */
static void push(struct port *p, struct frame *f, bool may_wait)
{
    if (list_empty(&p->waiting) && p->send(p, f)) {
        port_touch(p);
        return;
    }
    if (may_wait && may_wait_at(p, f))
        wait_at(p, f);
    else
        port_count_tx_drop(p, DROP_NO_ROOM);
}

/* f fits, but others from before it are still brought into shape: it keeps its place behind them. */
static bool keep_behind(struct port *p, struct frame *f, bool may_wait)
{
    struct frame *nf = p->nr_shaping && !frame_share_used(f->from, 1) ? frame_new(f->from) : NULL;
    struct mem_frame *m;

    if (!nf)
        return false;
    m = mem_frame_of(nf);
    frame_shaping(m, p);
    m->way = WAY_BEHIND;
    m->may_wait = may_wait;
    m->source = f;
    frame_get(f);
    list_push_back(&shaped, &nf->link);
    return true;
}

static void bring_into_shape(struct port *p, struct frame *f, bool may_wait, struct list *list)
{
    enum port_drop why = shape(f, p, may_wait, list);

    if (why != DROP_REASONS)
        port_count_tx_drop(p, why);
}

static void deliver(struct port *p, struct frame *f, bool may_wait)
{
    if (!p->up) {
        port_count_tx_drop(p, DROP_NO_ROOM);
    } else if (f->gso == GSO_NONE && f->len > p->mtu + VLAN_ROOM) {
        port_count_tx_drop(p, DROP_TOO_LONG);
    } else if (shape_fits(p->caps, f) || shape_in_place(p->caps, f)) {
        if (!keep_behind(p, f, may_wait))
            push(p, f, may_wait);
    } else {
        if (!dma_suits(p, f) || !dma_add(f, p, may_wait, &shaped))
            bring_into_shape(p, f, may_wait, &shaped);
        work_queue_last(&flush_work);
    }
}

void port_room(struct port *p)
{
    struct frame *f;

    p->stalled = false;
    while ((f = list_first(&p->waiting, struct frame, link)) != NULL) {
        if (!p->send(p, f))
            return;
        p->waiting_since = now_ns();
        wait_over(p, f);
        frame_put(f);
        port_touch(p);
    }
}

/* Ways ------------------------------------------------------------------------------------- */

/* To all (group addresses), or to where unknown stations may be. Nobody waits for a flood. */
static void flood(struct bridge *b, struct port *from, struct frame *f, uint32_t caps)
{
    struct port *p;

    f->flags &= (uint8_t)~FRAME_FLIP;       /* a page can go to one of them only */
    list_for_each(p, &b->ports, link) {
        if (p != from && (p->caps & caps) == caps)
            deliver(p, f, false);
    }
}

/* 01:80:c2:00:00:00 to 0f: bridges talk to each other; nothing for those behind us. */
static bool link_local_group(uint64_t mac)
{
    return (mac & 0xf0ffffffffffUL) == 0x000000c28001UL;
}

static void forward(struct bridge *b, struct port *from, struct frame *f, uint64_t now)
{
    uint64_t to = fdb_key(f->head);
    struct port *p;

    if (from->caps & PORT_UPLINK)
        fdb_learn(&b->fdb, fdb_key(f->head + 6), from, now);
    if (to & 1) {
        /* TCP has one receiver; cut for each of many, a guest's frame would cost what a hundred frames do. */
        if (f->gso != GSO_NONE && !(from->caps & PORT_UPLINK))
            port_count_rx_drop(from, DROP_MALFORMED);
        else if (!link_local_group(to))
            flood(b, from, f, 0);
        return;
    }
    p = fdb_find(&b->fdb, to, now);
    if (p == from)
        port_count_rx_drop(from, DROP_NO_TARGET);
    else if (p)
        deliver(p, f, true);
    else
        flood(b, from, f, PORT_UPLINK);
}

struct port *bridge_unicast(const struct port *from, const uint8_t *head, uint64_t now)
{
    struct port *p = fdb_find(&from->bridge->fdb, fdb_key(head), now);

    return p != from ? p : NULL;
}

uint32_t port_caps_to(const struct port *from, const uint8_t mac[6])
{
    const struct port *to = mac[0] & 1 || !from->bridge ? NULL : bridge_unicast(from, mac, now_ns());

    return to && to->up ? to->caps : 0;
}

void port_receive(struct port *p, struct frame **frames, unsigned int n)
{
    uint64_t now = now_ns();

    for (unsigned int i = 0; i < n; i++) {
        p->stats.rx_frames++;
        p->stats.rx_bytes += frames[i]->len;
        if (p->bridge)
            forward(p->bridge, p, frames[i], now);
    }
}

/* End of a turn ---------------------------------------------------------------------------- */

/* What could not be pinned is copied, into list again. */
static void copy_after_all(struct mem_frame *m, struct list *again)
{
    struct port *to = m->to;
    bool may_wait = m->may_wait;
    struct frame *source = dma_give_up(m);

    bring_into_shape(to, source, may_wait, again);
    frame_put(source);
}

static void send_one(struct mem_frame *m, struct list *again)
{
    switch (m->way) {
    case WAY_COPY:
        if (shape_finish(m))
            push(m->to, &m->f, m->may_wait);
        break;
    case WAY_DMA:
        if (unlikely(m->f.failed)) {
            copy_after_all(m, again);
            return;
        }
        push(m->to, &m->f, m->may_wait);
        break;
    case WAY_BEHIND:
        push(m->to, m->source, m->may_wait);
        frame_put(m->source);
        break;
    }
    frame_put(&m->f);
}

/* Everything that shaped frames waited for is done. */
static void send_shaped(void)
{
    struct list again = LIST_INIT(again);
    struct frame *f;

    while ((f = list_first(&shaped, struct frame, link)) != NULL) {
        list_remove(&f->link);
        frame_shaped(mem_frame_of(f));
        send_one(mem_frame_of(f), &again);
    }
    if (likely(list_empty(&again)))
        return;
    copy_run();
    while ((f = list_first(&again, struct frame, link)) != NULL) {
        list_remove(&f->link);
        frame_shaped(mem_frame_of(f));
        send_one(mem_frame_of(f), NULL);
    }
}

void bridge_flush(void)
{
    moves_run();
    dma_settle();
    send_shaped();
    dma_release();
    while (!list_empty(&touched)) {
        struct port *p = list_first(&touched, struct port, touched);

        list_remove(&p->touched);
        moves_run();            /* a flush() before may have made room and so have sent more */
        if (p->flush)
            p->flush(p);
        dma_release();          /* a NIC's may have found frames done: their senders are flushed, too */
    }
    /* Who was touched on the way has been flushed: a turn of its own for that would keep the loop awake. */
    if (list_empty(&shaped))
        work_cancel(&flush_work);
}

void bridge_flush_later(void)
{
    work_queue_last(&flush_work);
}

static void flush_work_fn(struct work *w)
{
    bridge_flush();
}

static void drop_waiting(struct port *p, const struct port *from, enum port_drop why)
{
    struct frame *f, *tmp;

    list_for_each_safe(f, tmp, &p->waiting, link) {
        if (from && f->from != from)
            continue;
        wait_over(p, f);
        port_count_tx_drop(p, why);
        frame_put(f);
    }
}

/* Whoever let others' frames wait for too long loses them, and the right to have any waiting. */
static void wait_check(struct timer *t)
{
    uint64_t now = now_ns();
    bool any = false;
    struct port *p;

    for (p = port_next(NULL); p; p = port_next(p)) {
        if (list_empty(&p->waiting))
            continue;
        if (now - p->waiting_since < WAIT_NS) {
            any = true;
            continue;
        }
        p->stalled = true;
        log_debug("%s: takes no frames, dropped %u", p->name, p->nr_waiting);
        drop_waiting(p, NULL, DROP_NO_ROOM);
    }
    if (any)
        timer_set_after(t, WAIT_CHECK);
}

/* Bridges and their ports ------------------------------------------------------------------- */

void bridge_init(void)
{
    work_init(&flush_work, flush_work_fn);
    timer_init(&wait_timer, wait_check);
    dma_init();
}

struct bridge *bridge_get(const char *name)
{
    struct bridge *b;

    if (!name || !*name)
        name = "xenbr0";
    list_for_each(b, &bridges, link) {
        if (strcmp(b->name, name) == 0)
            return b;
    }
    if (strlen(name) >= sizeof(b->name))
        return NULL;
    b = malloc(sizeof(*b));
    if (!b)
        return NULL;
    strlcpy(b->name, name, sizeof(b->name));
    list_init(&b->ports);
    fdb_init(&b->fdb, random_u32());
    list_push_back(&bridges, &b->link);
    return b;
}

int port_join(struct port *p, struct bridge *b)
{
    uint64_t mac = fdb_key(p->mac);
    int rc = mac && !(p->caps & PORT_UPLINK) ? fdb_add_static(&b->fdb, mac, p) : 0;

    if (rc)
        return rc;
    bridge_changes++;
    p->bridge = b;
    p->nr_waiting = p->waiting_frags = p->nr_shaping = p->nr_shaped_from = 0;
    p->stalled = false;
    list_init(&p->touched);
    list_init(&p->waiting);
    list_push_back(&b->ports, &p->link);
    return 0;
}

void port_leave(struct port *p)
{
    struct port *q;

    if (!p->bridge)
        return;
    bridge_flush();             /* nothing of it is under way any more; some may wait */
    drop_waiting(p, NULL, DROP_NO_ROOM);
    for (q = port_next(NULL); q; q = port_next(q))
        drop_waiting(q, p, DROP_NO_ROOM);
    bridge_changes++;
    fdb_remove_port(&p->bridge->fdb, p);
    list_remove(&p->link);
    list_remove(&p->touched);
    p->bridge = NULL;
}

static struct port *first_port(struct list *from)
{
    for (struct list *l = from; l != &bridges; l = l->next) {
        struct bridge *b = list_entry(l, struct bridge, link);

        if (!list_empty(&b->ports))
            return list_first(&b->ports, struct port, link);
    }
    return NULL;
}

struct port *port_next(struct port *p)
{
    if (!p)
        return first_port(bridges.next);
    if (p->link.next != &p->bridge->ports)
        return list_entry(p->link.next, struct port, link);
    return first_port(p->bridge->link.next);
}
