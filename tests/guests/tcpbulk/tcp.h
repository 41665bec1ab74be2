/* SPDX-License-Identifier: MIT */
/* tcp.h - one TCP connection at a time on netfront; see tcp.c. */
#ifndef TCPBULK_TCP_H
#define TCPBULK_TCP_H

#include "netfront/netfront.h"

struct tcp;

enum tcp_state {
    TCP_DOWN,               /* the link is */
    TCP_LISTEN,
    TCP_SYN_SENT,           /* or ARP was asked */
    TCP_SYN_RECEIVED,
    TCP_OPEN,
    TCP_FIN_SENT,           /* all is sent; FIN not acknowledged, or the other's not here */
    TCP_CLOSED,             /* both FINs are through, or it was reset */
};

struct tcp_user {
    /* Bytes [k, k + len) of what is sent; k is a multiple of 8. */
    void (*fill)(uint8_t *p, unsigned int len, uint64_t k);
    /* Bytes [k, k + len) came, in order. */
    void (*check)(const uint8_t *p, unsigned int len, uint64_t k);
};

/* Opens vif 0. drop: lose every so many segments that come; 0: none. NULL: no vif. */
struct tcp *bulk_open(unsigned int flags, uint32_t ip, unsigned int drop, const struct tcp_user *user);

/* Sends so many bytes and closes. */
void bulk_connect(struct tcp *t, uint32_t to, uint16_t port, uint64_t bytes);
void bulk_listen(struct tcp *t, uint16_t port);

enum tcp_state bulk_state(const struct tcp *t);
uint64_t bulk_acked(const struct tcp *t);        /* of what was sent */
uint64_t bulk_resent(const struct tcp *t);       /* segments */

#endif
