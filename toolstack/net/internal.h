/* SPDX-License-Identifier: MIT */
/* internal.h - between the files of this directory. */
#ifndef NET_INTERNAL_H
#define NET_INTERNAL_H

#include "runtime/port.h"
#include "lwip/netif.h"
#include "lwip/tcp.h"

/* lwIP may have its first TCP connection now: the clock for them runs until there are none. */
void net_tcp_clock(void);

/* link.c, linkout.c: frames between the bridge and lwIP. */
#define LINK_CAPS (PORT_CSUM | PORT_SG | PORT_TSO4)
void link_init(struct port *p, struct netif *n);
void link_out_init(struct port *p, struct netif *n);
bool link_input(struct port *p, struct frame *f);           /* port's send() */
err_t link_output_ip(struct netif *n, struct pbuf *p, const ip4_addr_t *to);   /* netif's output */
err_t link_output(struct netif *n, struct pbuf *p);         /* netif's linkoutput */

/* Would a card read data for that address (network byte order) where it is pinned? */
bool link_by_dma(uint32_t ip_be);

/* stream.c: has the connection of this TCP segment been told to say nothing any more? */
bool net_is_mute(uint32_t remote_ip_be, uint16_t remote_port, uint16_t local_port);

/*
 * bigseg.c: TCP segments larger than what the wire takes, which the bridge or the network card cuts.
 * bigseg_tune(): before something is written to a connection; it may have larger segments by now.
 * bigseg_recved(): tcp_recved().
 * bigseg_size(): payload of a packet of the connection that this TCP segment belongs to; 0: there is none.
 */
void bigseg_init(void);
void bigseg_tune(struct tcp_pcb *pcb);
void bigseg_recved(struct tcp_pcb *pcb, uint16_t bytes);
uint16_t bigseg_size(uint32_t remote_ip_be, uint16_t remote_port, uint16_t local_port);

/* A first sequence number that outsiders cannot guess (isn.c); ports in host order. */
uint32_t net_new_isn(const struct ip4_addr *local, uint16_t local_port,
                     const struct ip4_addr *remote, uint16_t remote_port);

/* orphans.c: from lwIP's clock for TCP. */
void orphans_limit(void);

/* handshake.c: lwIP is being told of a connection that is open already; what it sends meanwhile is
 * not wanted. */
bool net_injecting(void);
/* After lwIP has parsed a frame: the connection that was opened by a cookie, if one was. */
void net_open_kept(struct netif *nif);

#endif
