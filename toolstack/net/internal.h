/* SPDX-License-Identifier: MIT */
/* internal.h - between the files of this directory. */
#ifndef NET_INTERNAL_H
#define NET_INTERNAL_H

#include "runtime/port.h"
#include "lwip/netif.h"
#include "lwip/tcp.h"

/* lwIP was called and may have started or moved a timeout: look at its clock this turn. */
void net_touch(void);

/* link.c: frames between the bridge and lwIP. */
#define LINK_CAPS (PORT_CSUM | PORT_SG | PORT_TSO4)
void link_init(struct port *p, struct netif *n);
bool link_input(struct port *p, struct frame *f);           /* port's send() */
err_t link_output(struct netif *n, struct pbuf *p);         /* netif's linkoutput */

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

#endif
