/* SPDX-License-Identifier: MIT */
/*
 * orphans.c - connections that their owner has closed, while lwIP still waits for the peer to take what was written or to
 * agree, and those that only remember that they were (TIME_WAIT).
 *
 * lwIP would keep the first for hours when the peer has made it believe in long round trips and is silent then, and each
 * of them a window of data. So there are not many of them, and not for long. Those that were heard of last stand in
 * front in lwIP's lists; others go first.
 */
#include "toolstack/net/internal.h"
#include "toolstack/net/net.h"
#include "lwip/priv/tcp_priv.h"

#define ORPHANS_MAX    256u
#define ORPHAN_TICKS   120u     /* lwIP's, of half a second, since its owner closed it */
#define TIME_WAITS_MAX 1024u

static bool is_orphan(const struct tcp_pcb *pcb)
{
    return pcb->state > ESTABLISHED && !pcb->callback_arg && (pcb->flags & TF_RXCLOSED);
}

void net_get_tcp_stats(struct net_tcp_stats *s)
{
    *s = (struct net_tcp_stats){ 0 };
    for (const struct tcp_pcb *pcb = tcp_active_pcbs; pcb; pcb = pcb->next) {
        if (is_orphan(pcb))
            s->closing++;
        else
            s->open++;
    }
    for (const struct tcp_pcb *pcb = tcp_tw_pcbs; pcb; pcb = pcb->next)
        s->waiting++;
}

void orphans_limit(void)
{
    unsigned int n = 0;
    struct tcp_pcb *next;

    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb; pcb = next) {
        next = pcb->next;
        if (is_orphan(pcb) && (++n > ORPHANS_MAX || tcp_ticks - pcb->tmr > ORPHAN_TICKS))
            tcp_abort(pcb);
    }
    n = 0;
    for (struct tcp_pcb *pcb = tcp_tw_pcbs; pcb; pcb = next) {
        next = pcb->next;
        if (++n > TIME_WAITS_MAX)
            tcp_abort(pcb);
    }
}
