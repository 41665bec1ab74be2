/* SPDX-License-Identifier: MIT */
/*
 * netecho - boots in place of dom0 and sends back what it receives on TCP port 7, taking it in
 * odd pieces and with pauses, so that windows close and open; on port 9 it sends 4 MiB of a known
 * pattern and finishes.
 */
#include "netback/netback.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/pci.h"
#include "runtime/start.h"
#include "runtime/time.h"
#include "toolstack/net/net.h"

#define PATTERN_BYTES (4u << 20)

struct echo {
    struct stream *s;
    struct timer timer;             /* a pause before taking more */
    uint32_t rounds;
    uint32_t sent;                  /* port 9: bytes of the pattern */
    bool finished, waiting;         /* peer has finished; our send buffer is full */
};

static void end(struct echo *e)
{
    timer_cancel(&e->timer);
    stream_close(e->s);
    free(e);
}

static size_t echo_received(void *arg, const uint8_t *data, size_t len)
{
    struct echo *e = arg;
    size_t n = len;

    if (e->waiting || timer_is_set(&e->timer))
        return 0;
    e->rounds++;
    if (e->rounds % 7 == 0)
        n = 1 + n / 3;
    n = stream_write(e->s, data, n, 0);
    e->waiting = n == 0;
    if (e->rounds % 50 == 0)
        timer_set_after(&e->timer, 3 * NS_PER_MS);
    else if (n && n < len)
        stream_resume(e->s);
    return n;
}

static void go_on(struct timer *t)
{
    stream_resume(container_of(t, struct echo, timer)->s);
}

static void echo_writable(void *arg)
{
    struct echo *e = arg;

    e->waiting = false;
    stream_resume(e->s);
}

static void echo_finished(void *arg)
{
    end(arg);
}

static void closed(void *arg, int rc)
{
    struct echo *e = arg;

    log_info("netecho: connection ended: %d", rc);
    timer_cancel(&e->timer);
    free(e);
}

static const struct stream_events echo_events = {
    .received = echo_received, .writable = echo_writable, .finished = echo_finished,
    .closed = closed,
};

static struct echo *echo_new(struct stream *s)
{
    struct echo *e = calloc(1, sizeof(*e));

    if (!e)
        return NULL;
    e->s = s;
    timer_init(&e->timer, go_on);
    return e;
}

static int accept_echo(void *arg, struct stream *s, struct stream_addr peer)
{
    struct echo *e = echo_new(s);

    if (!e)
        return -XEN_ENOMEM;
    stream_set_events(s, &echo_events, e);
    return 0;
}

static void send_pattern(void *arg)
{
    struct echo *e = arg;

    while (e->sent < PATTERN_BYTES) {
        uint8_t piece[1000];
        size_t n = MIN(sizeof(piece), (size_t)(PATTERN_BYTES - e->sent)), took;

        for (size_t i = 0; i < n; i++)
            piece[i] = (uint8_t)((e->sent + i) * 7 + ((e->sent + i) >> 12));
        took = stream_write(e->s, piece, n, STREAM_MORE);
        e->sent += (uint32_t)took;
        if (took < n)
            return;
    }
    end(e);
}

static size_t ignore(void *arg, const uint8_t *data, size_t len)
{
    return len;
}

static const struct stream_events pattern_events = {
    .received = ignore, .writable = send_pattern, .closed = closed,
};

static int accept_pattern(void *arg, struct stream *s, struct stream_addr peer)
{
    struct echo *e = echo_new(s);

    if (!e)
        return -XEN_ENOMEM;
    stream_set_events(s, &pattern_events, e);
    send_pattern(e);
    return 0;
}

void pv_main(void)
{
    struct net_config c = { .dhcp = true, .mac = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 } };
    struct stream_net *net;

    pci_init();
    bridge_init();
    nic_init();
    BUG_ON(net_start(bridge_get(NULL), &c));
    net = net_streams();
    BUG_ON(net->listen(net->ctx, 7, accept_echo, NULL));
    BUG_ON(net->listen(net->ctx, 9, accept_pattern, NULL));
    log_info("netecho: listening");
    loop_run();
}
