/* SPDX-License-Identifier: MIT */
/* netback.h - what dom0/main.c starts: bridge, NICs, virtual interfaces of guests. */
#ifndef NETBACK_NETBACK_H
#define NETBACK_NETBACK_H

#include "xenabi.h"

struct port;

/* The bridge; before any port joins. */
void bridge_init(void);

/* Finds NICs on the PCI bus (after pci_init) and joins them to the host's bridge as "nic0", ...
 * Returns how many. */
unsigned int nic_init(void);

/*
 * Serves the vifs whose backend directories appear in the store, which must be up. 0 or a negative
 * error. What it reads: in the backend directory frontend, frontend-id, and optionally bridge, ip
 * (addresses separated by blanks), rate (as in xl.cfg, or "BYTES,MICROSECONDS"); in the frontend's
 * mac. State 1 must be there in both.
 */
int netback_init(void);

/* The vif as a port, for its counters; NULL: none. Good until the caller returns to the loop. */
const struct port *netback_port(domid_t dom, uint32_t handle);

/* A domain can run no more: lets go of all of its that is mapped or bound, now. The vifs themselves
 * go with their backend directories. */
void netback_drop_domain(domid_t dom);

#endif
