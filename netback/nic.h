/* SPDX-License-Identifier: MIT */
/* nic.h - drivers of physical network cards, each in a file of drv/; nic.c tries them. */
#ifndef NETBACK_NIC_H
#define NETBACK_NIC_H

#include "runtime/pci.h"
#include "runtime/port.h"

#define NIC_TURN 64         /* frames that a driver takes from its card in one turn */

/*
 * A probe function: 0 when it took the device and its port can join; -XEN_ENODEV: not for this
 * driver; else it should have been, and why not was logged. name is what the port is to be called.
 */
int virtio_net_probe(struct pci_dev *pci, const char *name, struct port **port);
int e1000e_probe(struct pci_dev *pci, const char *name, struct port **port);

/* The card's link is up or down now. */
void nic_link(struct port *port, bool up);

#endif
