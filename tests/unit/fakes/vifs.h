/* SPDX-License-Identifier: MIT */
/*
 * vifs.h - around netback: the store's nodes of guests' vifs (vif 0 of each domain, with address 00:16:3e:00:00:DOMID), the
 * frontend's steps, and a NIC on the bridge that keeps what it is sent.
 */
#ifndef FAKES_VIFS_H
#define FAKES_VIFS_H

#include "runtime/port.h"
#include "tests/unit/fakes/guest.h"

#define BACK  "/local/domain/0/backend/vif/%u/0/"
#define FRONT "/local/domain/%u/device/vif/0/"

/* A node of a vif: directory is BACK or FRONT. */
void vif_write(domid_t dom, const char *directory, const char *key, const char *value);
const char *vif_read(domid_t dom, const char *directory, const char *key);
int vif_state(domid_t dom);                     /* the backend's */

/* The toolstack's part: ip, rate as in the configuration, or NULL. */
void vif_make(domid_t dom, const char *ip, const char *rate);
void vif_remove(domid_t dom);
/* The frontend closes and begins again, as with a module that is loaded anew. */
void vif_begin_anew(domid_t dom);

/* Ethernet header between stations of these domains; to 0xff: to all. */
void vif_ether(uint8_t *p, unsigned int from, unsigned int to);

extern struct port fake_nic;
extern uint8_t fake_nic_frame[80][2048];
extern unsigned int fake_nic_len[80], fake_nic_got;
void fake_nic_join(void);

#endif
