/* SPDX-License-Identifier: MIT */
/* filter.c - the spoofing filter of a vif. Pure; see filter.h. */
#include "netback/filter.h"
#include "netback/headers.h"
#include "lib/string.h"

#define ND_ROUTER_SOLICIT   133
#define ND_ROUTER_ADVERT    134
#define ND_NEIGH_SOLICIT    135
#define ND_NEIGH_ADVERT     136
#define ND_REDIRECT         137
#define MLD_QUERY           130
#define MLD_REPORT          131
#define MLD_DONE            132
#define MLD2_REPORT         143

#define ND_OPT_SOURCE_LL    1
#define ND_OPT_TARGET_LL    2

#define DHCP_CLIENT 68
#define DHCP_SERVER 67

/* Reading what people write ---------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool filter_parse_mac(uint8_t mac[6], const char *s)
{
    uint8_t m[6];

    for (unsigned int i = 0; i < 6; i++) {
        int hi = hex_digit(s[0]), lo = hi < 0 ? -1 : hex_digit(s[1]);

        if (lo < 0 || s[2] != (i < 5 ? ':' : '\0'))
            return false;
        m[i] = (uint8_t)(hi << 4 | lo);
        s += 3;
    }
    if (m[0] & 1 || !(m[0] | m[1] | m[2] | m[3] | m[4] | m[5]))
        return false;
    memcpy(mac, m, 6);
    return true;
}

static bool is_end(char c)
{
    return !c || c == ' ' || c == ',' || c == '\t';
}

static bool parse_ip4(uint32_t *ip, const char **s)
{
    uint32_t v = 0;

    for (unsigned int i = 0; i < 4; i++) {
        unsigned int n = 0, digits = 0;

        while (**s >= '0' && **s <= '9' && digits < 4) {
            n = n * 10 + (unsigned int)(*(*s)++ - '0');
            digits++;
        }
        if (!digits || digits > 3 || n > 255)
            return false;
        v = v << 8 | n;
        if (i < 3 && *(*s)++ != '.')
            return false;
    }
    *ip = v;
    return is_end(**s);
}

static bool parse_group(uint16_t *group, const char **s)
{
    unsigned int v = 0, digits = 0;
    int d;

    for (; (d = hex_digit(**s)) >= 0 && digits < 5; (*s)++, digits++)
        v = v << 4 | (unsigned int)d;
    *group = (uint16_t)v;
    return digits >= 1 && digits <= 4;
}

/* Hexadecimal groups and at most one "::"; no dotted form. */
static bool parse_ip6(uint8_t ip[16], const char **s)
{
    uint16_t group[8] = { 0 };
    unsigned int n = 0;
    int gap = -1;

    if ((*s)[0] == ':') {
        if ((*s)[1] != ':')
            return false;
        gap = 0;
        *s += 2;
    }
    while (!is_end(**s)) {
        if (n == 8 || !parse_group(&group[n++], s))
            return false;
        if (is_end(**s))
            break;
        if (*(*s)++ != ':')
            return false;
        if (**s == ':') {
            if (gap >= 0)
                return false;
            gap = (int)n;
            (*s)++;
        } else if (is_end(**s)) {
            return false;
        }
    }
    if (gap < 0 ? n != 8 : n > 7)
        return false;
    memset(ip, 0, 16);
    for (unsigned int i = 0; i < n; i++) {
        unsigned int at = gap >= 0 && i >= (unsigned int)gap ? 8 - n + i : i;

        put_be16(ip + at * 2, group[i]);
    }
    return true;
}

bool filter_parse_ips(struct filter *f, const char *s)
{
    struct filter new = *f;

    new.nr_ip4 = new.nr_ip6 = 0;
    for (;;) {
        const char *p;

        while (*s == ' ' || *s == ',' || *s == '\t')
            s++;
        if (!*s)
            break;
        p = s;
        if (new.nr_ip4 < FILTER_IPS_MAX && parse_ip4(&new.ip4[new.nr_ip4], &p)) {
            new.nr_ip4++;
        } else {
            p = s;
            if (new.nr_ip6 == FILTER_IPS_MAX || !parse_ip6(new.ip6[new.nr_ip6], &p))
                return false;
            new.nr_ip6++;
        }
        s = p;
    }
    new.by_ip = new.nr_ip4 || new.nr_ip6;
    *f = new;
    return true;
}

/* Judging a frame -------------------------------------------------------------------------- */

static bool own_mac(const struct filter *f, const uint8_t *mac)
{
    uint32_t lo, own_lo;
    uint16_t hi, own_hi;

    __builtin_memcpy(&lo, mac, 4);
    __builtin_memcpy(&own_lo, f->mac, 4);
    __builtin_memcpy(&hi, mac + 4, 2);
    __builtin_memcpy(&own_hi, f->mac + 4, 2);
    return lo == own_lo && hi == own_hi;
}

static bool own_ip4(const struct filter *f, uint32_t ip)
{
    for (unsigned int i = 0; i < f->nr_ip4; i++) {
        if (f->ip4[i] == ip)
            return true;
    }
    return false;
}

static bool ip6_is_zero(const uint8_t *ip)
{
    static const uint8_t zero[16];

    return memcmp(ip, zero, 16) == 0;
}

/* In the list, or the link-local address with the interface identifier of the vif's address. */
static bool own_ip6(const struct filter *f, const uint8_t *ip)
{
    const uint8_t *m = f->mac;
    const uint8_t local[16] = { 0xfe, 0x80, 0, 0, 0, 0, 0, 0, m[0] ^ 2, m[1], m[2], 0xff, 0xfe,
                                m[3], m[4], m[5] };

    for (unsigned int i = 0; i < f->nr_ip6; i++) {
        if (memcmp(f->ip6[i], ip, 16) == 0)
            return true;
    }
    return memcmp(ip, local, 16) == 0;
}

static bool pass_arp(const struct filter *f, const uint8_t *arp, size_t len)
{
    uint32_t sender;

    /* Ethernet and IPv4 is all that ARP is used for; anything else is not understood. */
    if (len < 28 || get_be16(arp) != 1 || get_be16(arp + 2) != ETH_P_IP || arp[4] != 6 ||
        arp[5] != 4)
        return false;
    if (!own_mac(f, arp + 8))
        return false;
    sender = get_be32(arp + 14);
    return !f->by_ip || sender == 0 || own_ip4(f, sender);
}

static bool pass_ipv4(const struct filter *f, const struct headers *h, const uint8_t *head,
                      size_t head_len)
{
    uint32_t source;

    if (!f->by_ip)
        return true;
    if (h->version != 4)
        return false;
    source = get_be32(head + h->l3 + 12);
    if (own_ip4(f, source))
        return true;
    return source == 0 && h->proto == IP_P_UDP && !h->fragment && !h->first_fragment &&
           h->l4 + 4u <= head_len && get_be16(head + h->l4) == DHCP_CLIENT &&
           get_be16(head + h->l4 + 2) == DHCP_SERVER;
}

/* Link-layer addresses in the options [opt, opt + len) are the vif's own. */
static bool pass_nd_options(const struct filter *f, const uint8_t *opt, size_t len)
{
    while (len) {
        size_t size;

        if (len < 8 || !opt[1])
            return false;
        size = opt[1] * 8u;
        if (size > len)
            return false;
        if ((opt[0] == ND_OPT_SOURCE_LL || opt[0] == ND_OPT_TARGET_LL) &&
            (size != 8 || !own_mac(f, opt + 2)))
            return false;
        opt += size;
        len -= size;
    }
    return true;
}

static bool is_nd(uint8_t type)
{
    return type >= ND_ROUTER_SOLICIT && type <= ND_REDIRECT;
}

/* at: the ICMPv6 header; len: what of the message is in head; whole: all of it is. */
static bool pass_nd(const struct filter *f, const uint8_t *at, size_t len, bool whole)
{
    size_t fixed = at[0] == ND_ROUTER_SOLICIT ? 8 : 24;

    if (at[0] == ND_ROUTER_ADVERT || at[0] == ND_REDIRECT)
        return !f->by_ip;
    if (!whole || len < fixed)
        return false;
    if (at[0] == ND_NEIGH_ADVERT && f->by_ip && !own_ip6(f, at + 8))
        return false;
    return pass_nd_options(f, at + fixed, len - fixed);
}

static bool pass_ipv6(const struct filter *f, const struct headers *h, const uint8_t *head,
                      size_t head_len)
{
    const uint8_t *source = head + h->l3 + 8;
    bool nobody;
    uint8_t type;
    size_t given;

    if (h->version != 6)
        return !f->by_ip;
    nobody = ip6_is_zero(source);
    if (f->by_ip && !nobody && !own_ip6(f, source))
        return false;
    /* A chain of headers that we cannot follow to its end might hide anything. */
    if (!h->l4)
        return !f->by_ip;
    if (h->proto != IP_P_ICMPV6)
        return !f->by_ip || !nobody;
    if (h->fragment)
        return true;            /* of a packet whose first part is judged below */
    if (h->l4 + 1u > head_len || !h->l4_len)
        return false;
    type = head[h->l4];
    given = MIN((size_t)h->l4_len, head_len - h->l4);
    if (is_nd(type))
        return !h->first_fragment && pass_nd(f, head + h->l4, given, given == h->l4_len);
    return !f->by_ip || !nobody || (type >= MLD_QUERY && type <= MLD_DONE) || type == MLD2_REPORT;
}

bool filter_pass(const struct filter *f, const uint8_t *head, size_t head_len, size_t frame_len)
{
    struct headers h;
    uint16_t type;

    if (head_len < ETH_HLEN || !own_mac(f, head + 6))
        return false;
    /* The usual case needs no more: no list, and a type that speaks for nobody else. */
    type = get_be16(head + 12);
    if (type == ETH_P_IP && !f->by_ip)
        return true;
    if (!headers_parse(&h, head, head_len, frame_len))
        return false;
    if (h.vlan && f->by_ip)
        return false;
    switch (h.type) {
    case ETH_P_ARP:
        return pass_arp(f, head + h.l3, head_len - h.l3);
    case ETH_P_IP:
        return pass_ipv4(f, &h, head, head_len);
    case ETH_P_IPV6:
        return pass_ipv6(f, &h, head, head_len);
    default:
        return !f->by_ip;
    }
}
