/* SPDX-License-Identifier: MIT */
/*
 * filter.h - may this vif send this frame? Pure.
 *
 * Always: the Ethernet source, ARP's sender and the link-layer addresses in neighbour discovery
 * are the vif's own address. With a list of IP addresses (ip= in the configuration), also: the
 * IP source, ARP's sender address and what neighbour advertisements claim are in the list;
 * nothing but IPv4, ARP and IPv6 passes, no VLAN tags, no router advertisements or redirects.
 * What a host needs to get an address still passes: DHCP from 0.0.0.0, ARP probes, duplicate
 * address detection, MLD, and the IPv6 link-local address made from the vif's own address.
 */
#ifndef NETBACK_FILTER_H
#define NETBACK_FILTER_H

#include "compiler.h"

#define FILTER_IPS_MAX 8        /* of each version */

struct filter {
    uint8_t mac[6];
    bool by_ip;                         /* the lists count */
    uint8_t nr_ip4, nr_ip6;
    uint32_t ip4[FILTER_IPS_MAX];       /* as in the packet, read as big-endian */
    uint8_t ip6[FILTER_IPS_MAX][16];
};

/* "00:16:3e:12:34:56" as six bytes. False: not an address of one station. */
bool filter_parse_mac(uint8_t mac[6], const char *text);

/*
 * Sets f's lists from addresses that are separated by blanks or commas; "" turns the check by IP
 * off. False: one is no address, or too many; f is then as it was.
 */
bool filter_parse_ips(struct filter *f, const char *text);

/* head: the first head_len bytes, all the headers that the receiver could look at, of a frame of
 * frame_len bytes. True: it may pass. */
bool filter_pass(const struct filter *f, const uint8_t *head, size_t head_len, size_t frame_len);

/*
 * Bytes 6 to 13 of the frames that pass whatever else is in them, as one word: source and type of IPv4 from a vif
 * without a list of IP addresses. 0: each frame must be looked at.
 */
static inline uint64_t filter_plain(const struct filter *f)
{
    uint64_t plain = 0x0008000000000000UL;

    if (f->by_ip)
        return 0;
    __builtin_memcpy(&plain, f->mac, sizeof(f->mac));
    return plain;
}

#endif
