/* SPDX-License-Identifier: MIT */
/*
 * bigseg.c - TCP segments that are larger than what the wire takes.
 *
 * lwIP does the same work for a segment whatever its size. So a connection whose windows have grown is told that
 * its peer takes segments of many packets each, and the frames they become are cut where that is cheapest: by the
 * card, or at the end of the bridge. The size of a packet that both ends have agreed on is kept beside.
 *
 * A segment must always fit into the congestion window, or it would wait for ever. The window is never
 * less than lwIP's segment size, so what is queued must not be larger than that: the size grows with the
 * window, and is taken back only when nothing is queued.
 */
#include "lib/string.h"
#include "toolstack/net/internal.h"
#include "lwip/priv/tcp_priv.h"

#define BIG_MAX (44u * TCP_MSS)     /* a frame's length has 16 bits */

static uint8_t arg_id;

void bigseg_init(void)
{
    arg_id = tcp_ext_arg_alloc_id();
}

static uint16_t packet_of(const struct tcp_pcb *pcb)
{
    return (uint16_t)(uintptr_t)tcp_ext_arg_get(pcb, arg_id);
}

void bigseg_tune(struct tcp_pcb *pcb)
{
    uint32_t packet = packet_of(pcb), size;

    if (pcb->state < ESTABLISHED)
        return;
    if (!packet) {
        packet = pcb->mss;
        tcp_ext_arg_set(pcb, arg_id, (void *)(uintptr_t)packet);
    }
    size = MIN((uint32_t)pcb->cwnd / 2, BIG_MAX) / packet * packet;
    if (size > pcb->mss || (!pcb->unsent && !pcb->unacked))
        pcb->mss = (u16_t)MAX(size, packet);
}

void bigseg_recved(struct tcp_pcb *pcb, uint16_t bytes)
{
    uint16_t packet = packet_of(pcb), big = pcb->mss;

    /* The window that the peer is told of moves by segments: by those that it sends. */
    if (packet)
        pcb->mss = packet;
    tcp_recved(pcb, bytes);
    pcb->mss = big;
}

uint16_t bigseg_size(uint32_t remote_ip_be, uint16_t remote_port, uint16_t local_port)
{
    for (const struct tcp_pcb *pcb = tcp_active_pcbs; pcb; pcb = pcb->next) {
        if (pcb->remote_port == remote_port && pcb->local_port == local_port &&
            ip4_addr_get_u32(ip_2_ip4(&pcb->remote_ip)) == remote_ip_be)
            return packet_of(pcb);
    }
    return 0;
}
