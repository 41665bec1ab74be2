/* SPDX-License-Identifier: MIT */
/*
 * net.h - dom0's own IP stack (lwIP): a bridge port with an address, and byte streams over TCP.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include "runtime/port.h"
#include "runtime/stream.h"

/* Addresses in host byte order; 0: none. */
struct net_config {
    uint8_t mac[6];             /* the port's */
    char hostname[32];          /* told to the DHCP server; "" : none */
    bool dhcp;                  /* else the fields below */
    uint32_t ip, mask, gateway, dns;
};

struct net_status {
    bool started, up;           /* up: has an address */
    bool dhcp;
    uint8_t mac[6];
    uint32_t ip, mask, gateway, dns;
};

/*
 * Reads "dhcp", "ADDR/BITS" or "ADDR/BITS,GATEWAY[,DNS]" into c. False when it is none of them.
 */
bool net_parse_config(const char *text, struct net_config *c);

/* Joins the bridge with a port named "dom0" and starts. Once. 0 or a negative error. */
int net_start(struct bridge *b, const struct net_config *c);

/* fn runs from the loop whenever an address comes, changes or goes. One caller. */
void net_on_change(void (*fn)(void *arg, const struct net_status *s), void *arg);

void net_get_status(struct net_status *s);

/* TCP connections: in use or on the way there; closed here, while the peer has not agreed; in TIME_WAIT. */
struct net_tcp_stats {
    unsigned int open, closing, waiting;
};

void net_get_tcp_stats(struct net_tcp_stats *s);

/* TCP; usable after net_start(), connections need an address. */
struct stream_net *net_streams(void);

/* "a.b.c.d"; buf holds at least 16 bytes. Returns buf. */
char *net_ip_text(uint32_t ip, char *buf);
bool net_parse_ip(const char *text, uint32_t *ip);

#endif
