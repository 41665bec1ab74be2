/* SPDX-License-Identifier: MIT */
/*
 * frames - packet source, sink and reflector on netfront. What arrives is checked.
 *
 *   role=sink                          checks frames, lets their source send on, counts
 *     hold                             and keeps their pages for a while, until the driver has none left
 *   role=reflect                       sends each frame back in the pages in which it came
 *   role=source peer=MAC sizes=A,B     sends frames of these sizes (bytes) to a sink or reflector
 *     count=N window=N                 how many of each, how many may be under way
 *     rr=N                             and so many round trips of one frame
 *   mode=flip|pages|copy|standard|plain    the channel; without extents; and copying; the standard protocol; that without offloads
 *     big=N                            how many of more than 1514 bytes (24 in extents, else 16)
 *   at=SECONDS                         begin at that system time
 *   back                               the source's frames come back from a reflector
 *
 * A frame is IPv4: UDP, or above 1514 bytes TCP to be cut. Behind the headers stands struct msg, then bytes that
 * follow from its number. Each size is sent twice: some frames of which the receiver checks each byte, then
 * those that are timed, of which it checks header, length, and the first and last word of each page.
 */
#include "lib/string.h"
#include "netback/filter.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/start.h"
#include "runtime/time.h"
#include "runtime/xenbus.h"
#include "tests/guests/frames/frames.h"

struct netfront *nf;
uint8_t *pool;
uint8_t mac[6], peer[6];
uint8_t out_head[NETFRONT_HEAD_MAX] __aligned(8);
bool comes_back;
static bool is_sink, is_reflect;

/* Pages that are kept: more than the driver can do without. */
static uint16_t held[NETFRONT_PAGES];
static unsigned int nr_held;
static bool holds;
static struct timer hold_timer;

static void let_go(struct timer *t)
{
    while (nr_held)
        netfront_page_put(nf, held[--nr_held]);
}

static void hold(const struct netfront_frame *f)
{
    for (unsigned int i = 0; i < f->nr_frags; i++)
        held[nr_held++] = f->frag[i].page;
    if (!timer_is_set(&hold_timer))
        timer_set_after(&hold_timer, 100 * NS_PER_MS);
}

/* A frame goes back in its own pages: addresses change places. */
static void reflect(const struct netfront_frame *f)
{
    struct netfront_frame r = *f;

    memcpy(out_head, f->head, f->head_len);
    memcpy(out_head, f->head + 6, 6);
    memcpy(out_head + 6, f->head, 6);
    r.head = out_head;
    if (!netfront_send(nf, &r))
        put_pages(f);           /* the source will miss it */
}

void receive(void *arg, const struct netfront_frame *f)
{
    unsigned int at = f->head[23] == 6 ? TCP_MSG : UDP_MSG;
    struct msg m;

    if (f->head_len >= at + sizeof(m))
        __builtin_memcpy(&m, f->head + at, sizeof(m));
    if (f->head_len < at + sizeof(m) || m.magic != MAGIC) {
        put_pages(f);
        return;
    }
    if (is_reflect) {
        reflect(f);
        return;
    }
    if (!is_sink) {
        hear(f, &m, at);
    } else if (m.kind == PING) {
        (void)send_msg(f->head + 6, PONG, m.seq, 0);
    } else if (m.kind == END) {
        struct source *s = source_of(f);

        settle(s);
        memcpy(s->mac, f->head + 6, 6);
        s->lost += m.value - s->next;
        s->tally_due = true;
        set_due(s);
    } else {
        count(source_of(f), f, &m, at);
    }
    if (holds)
        hold(f);
    else
        put_pages(f);
}

static void batch_end(void *arg)
{
    sink_tell();
}

static void room(void *arg)
{
    batch_end(arg);
    source_go();
}

static void link_changed(void *arg, bool up)
{
    log_info("frames: link %s%s", up ? "up" : "down", up && netfront_flips(nf) ? ", flips" : "");
    source_channel_changed();
}

static unsigned int mode(void)
{
    char text[16] = "flip";

    (void)cmdline_get("mode", text, sizeof(text));
    if (!strcmp(text, "pages"))
        return 0;
    if (!strcmp(text, "copy"))
        return NETFRONT_COPY;
    if (!strcmp(text, "standard"))
        return NETFRONT_NO_FLIP;
    if (!strcmp(text, "plain"))
        return NETFRONT_NO_FLIP | NETFRONT_NO_OFFLOAD;
    return NETFRONT_BIG;
}

void pv_main(void)
{
    static struct netfront_ops ops = { .receive = receive, .batch_end = batch_end, .room = room,
                                       .link = link_changed };
    char role[16] = "sink", text[24] = "";
    struct netfront_stats s;

    source_init();
    BUG_ON(xenbus_init());
    (void)cmdline_get("role", role, sizeof(role));
    is_sink = !strcmp(role, "sink");
    holds = cmdline_get("hold", text, sizeof(text));
    if (is_sink && !holds) {
        ops.receive_burst = receive_burst;
        ops.receive = receive_sink;
    }
    is_reflect = !strcmp(role, "reflect");
    comes_back = cmdline_get("back", text, sizeof(text));
    timer_init(&hold_timer, let_go);
    nf = netfront_open(0, mode(), &ops, NULL);
    if (!nf)
        domain_shutdown(SHUTDOWN_crash);
    netfront_mac(nf, mac);
    pool = netfront_page_va(nf, 0);
    if (strcmp(role, "source"))
        loop_run();
    if (!cmdline_get("peer", text, sizeof(text)) || !filter_parse_mac(peer, text)) {
        log_error("frames: peer=MAC is missing");
        domain_shutdown(SHUTDOWN_crash);
    }
    source_main();
    netfront_get_stats(nf, &s);
    log_info("frames: pages sent: %lu flipped, %lu copied; received: %lu flipped, %lu copied; "
             "lost %lu, bad %lu", s.tx_flipped, s.tx_copied, s.rx_flipped, s.rx_copied, s.rx_lost,
             s.bad);
    log_info("frames: end");
    if (cmdline_get("stay", text, sizeof(text)))
        loop_run();
}
