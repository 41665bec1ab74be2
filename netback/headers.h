/* SPDX-License-Identifier: MIT */
/*
 * headers.h - where the headers of a frame lie: Ethernet, one VLAN tag, IPv4 or IPv6 with its
 * extension headers, TCP, UDP, ICMPv6. Pure; looks only at the bytes that it was given.
 */
#ifndef NETBACK_HEADERS_H
#define NETBACK_HEADERS_H

#include "compiler.h"

#define ETH_HLEN       14
#define ETH_P_IP       0x0800
#define ETH_P_ARP      0x0806
#define ETH_P_VLAN     0x8100
#define ETH_P_QINQ     0x88a8
#define ETH_P_IPV6     0x86dd

#define IP_P_HOPOPTS   0
#define IP_P_TCP       6
#define IP_P_UDP       17
#define IP_P_ROUTING   43
#define IP_P_FRAGMENT  44
#define IP_P_AH        51
#define IP_P_ICMPV6    58
#define IP_P_DSTOPTS   60

/* Big-endian fields at any alignment. */
static inline uint16_t get_be16(const uint8_t *p)
{
    uint16_t v;

    __builtin_memcpy(&v, p, 2);
    return __builtin_bswap16(v);
}

static inline uint32_t get_be32(const uint8_t *p)
{
    uint32_t v;

    __builtin_memcpy(&v, p, 4);
    return __builtin_bswap32(v);
}

static inline void put_be16(uint8_t *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    __builtin_memcpy(p, &v, 2);
}

static inline void put_be32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    __builtin_memcpy(p, &v, 4);
}

struct headers {
    uint16_t type;          /* Ethernet type, after the VLAN tag if there is one */
    uint16_t l3;            /* offset of what type says */
    uint16_t l4;            /* offset of the transport header; 0: none found */
    uint16_t l4_len;        /* bytes from l4 to the end of the IP packet; maybe not all given */
    uint8_t version;        /* 4 or 6: an IP header is there, whole and sane; else 0 */
    uint8_t proto;          /* transport protocol; valid with l4 */
    bool vlan;
    bool fragment;          /* part of a fragmented packet, not the first: no header at l4 */
    bool first_fragment;
};

/*
 * head: the first head_len bytes of a frame of frame_len bytes. False: shorter than an Ethernet
 * header. What cannot be understood leaves version or l4 at 0.
 */
bool headers_parse(struct headers *h, const uint8_t *head, size_t head_len, size_t frame_len);

/* A number that is equal for all frames of one flow. */
uint32_t headers_hash(const struct headers *h, const uint8_t *head, size_t head_len);

#endif
