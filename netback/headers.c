/* SPDX-License-Identifier: MIT */
/* headers.c - find the headers of a frame. Pure; see headers.h. */
#include "netback/headers.h"

#define IPV6_HLEN     40
#define EXTENSIONS_MAX 8        /* extension headers that we follow */

static void parse_ipv4(struct headers *h, const uint8_t *head, size_t head_len, size_t frame_len)
{
    const uint8_t *ip = head + h->l3;
    size_t room = head_len - h->l3, ihl, total;
    uint16_t frag;

    if (room < 20 || ip[0] >> 4 != 4)
        return;
    ihl = (ip[0] & 15) * 4;
    total = get_be16(ip + 2);
    if (ihl < 20 || ihl > room || total < ihl || total > frame_len - h->l3)
        return;
    h->version = 4;
    frag = get_be16(ip + 6);
    h->fragment = (frag & 0x1fff) != 0;
    h->first_fragment = !h->fragment && (frag & 0x2000);
    h->proto = ip[9];
    h->l4 = (uint16_t)(h->l3 + ihl);
    h->l4_len = (uint16_t)(total - ihl);
}

/* One extension header at `at`: its length, or 0 when it is cut off or no such header. */
static size_t extension(struct headers *h, uint8_t type, const uint8_t *at, size_t room)
{
    size_t len;

    if (room < 8)
        return 0;
    switch (type) {
    case IP_P_HOPOPTS:
    case IP_P_ROUTING:
    case IP_P_DSTOPTS:
        len = (at[1] + 1u) * 8u;
        break;
    case IP_P_AH:
        len = (at[1] + 2u) * 4u;
        break;
    case IP_P_FRAGMENT:
        len = 8;
        if (get_be16(at + 2) & 0xfff8)
            h->fragment = true;
        else if (get_be16(at + 2) & 1)
            h->first_fragment = true;
        break;
    default:
        return 0;
    }
    return len <= room ? len : 0;
}

static bool is_extension(uint8_t type)
{
    return type == IP_P_HOPOPTS || type == IP_P_ROUTING || type == IP_P_DSTOPTS ||
           type == IP_P_AH || type == IP_P_FRAGMENT;
}

static void parse_ipv6(struct headers *h, const uint8_t *head, size_t head_len, size_t frame_len)
{
    const uint8_t *ip = head + h->l3;
    size_t room = head_len - h->l3, payload, at = IPV6_HLEN;
    uint8_t next;

    if (room < IPV6_HLEN || ip[0] >> 4 != 6)
        return;
    payload = get_be16(ip + 4);
    if (payload + IPV6_HLEN > frame_len - h->l3)
        return;
    h->version = 6;
    next = ip[6];
    for (unsigned int i = 0; i < EXTENSIONS_MAX && is_extension(next) && !h->fragment; i++) {
        size_t len = extension(h, next, ip + at, room - at);

        if (!len)
            return;
        next = ip[at];
        at += len;
    }
    if ((is_extension(next) && !h->fragment) || at - IPV6_HLEN > payload)
        return;
    h->proto = next;
    h->l4 = (uint16_t)(h->l3 + at);
    h->l4_len = (uint16_t)(payload - (at - IPV6_HLEN));
}

bool headers_parse(struct headers *h, const uint8_t *head, size_t head_len, size_t frame_len)
{
    *h = (struct headers){ 0 };
    if (head_len < ETH_HLEN || frame_len < head_len)
        return false;
    h->type = get_be16(head + 12);
    h->l3 = ETH_HLEN;
    if (h->type == ETH_P_VLAN || h->type == ETH_P_QINQ) {
        h->vlan = true;
        if (head_len < ETH_HLEN + 4)
            return true;
        h->type = get_be16(head + 16);
        h->l3 = ETH_HLEN + 4;
    }
    if (h->type == ETH_P_IP)
        parse_ipv4(h, head, head_len, frame_len);
    else if (h->type == ETH_P_IPV6)
        parse_ipv6(h, head, head_len, frame_len);
    return true;
}

static uint32_t mix(uint32_t h, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i + 4 <= n; i += 4)
        h = (h ^ get_be32(p + i)) * 0x9e3779b1u;
    return h ^ h >> 15;
}

uint32_t headers_hash(const struct headers *h, const uint8_t *head, size_t head_len)
{
    uint32_t v = 0;

    if (!h->version)
        return mix(0, head, 12);
    if (h->version == 4)
        v = mix(v, head + h->l3 + 12, 8);
    else
        v = mix(v, head + h->l3 + 8, 32);
    /* All fragments of a packet must go the same way, and only the first has the ports. */
    if (h->l4 && !h->fragment && !h->first_fragment && h->l4 + 4u <= head_len &&
        (h->proto == IP_P_TCP || h->proto == IP_P_UDP))
        v = mix(v, head + h->l4, 4);
    return v;
}
