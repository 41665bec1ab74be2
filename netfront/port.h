/* SPDX-License-Identifier: MIT */
/*
 * port.h - netfront as a port of a bridge (runtime/port.h): what a guest with an IP stack of its own, or one that routes,
 * puts between that and its vif.
 */
#ifndef NETFRONT_PORT_H
#define NETFRONT_PORT_H

#include "runtime/port.h"

/* Opens vif `handle` and joins it to b as an uplink. 0 or a negative error. */
int netfront_port(unsigned int handle, struct bridge *b);

/* Is the vif connected? */
bool netfront_port_is_up(void);

/* The address that the vif is to use; after netfront_port(). */
void netfront_port_mac(uint8_t mac[6]);

#endif
