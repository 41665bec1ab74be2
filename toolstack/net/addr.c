/* SPDX-License-Identifier: MIT */
/* addr.c - IPv4 addresses and the network configuration as text. Pure. */
#include "lib/printf.h"
#include "lib/string.h"
#include "toolstack/net/net.h"

/* Reads a decimal number below `limit`; moves *p behind it. */
static bool number(const char **p, uint32_t limit, uint32_t *value)
{
    uint32_t v = 0;
    const char *s = *p;

    while (*s >= '0' && *s <= '9' && s - *p < 4)
        v = v * 10 + (uint32_t)(*s++ - '0');
    if (s == *p || v >= limit)
        return false;
    *p = s;
    *value = v;
    return true;
}

static bool address(const char **p, uint32_t *ip)
{
    uint32_t v = 0, byte;

    for (unsigned int i = 0; i < 4; i++) {
        if ((i && *(*p)++ != '.') || !number(p, 256, &byte))
            return false;
        v = v << 8 | byte;
    }
    *ip = v;
    return true;
}

bool net_parse_ip(const char *text, uint32_t *ip)
{
    return address(&text, ip) && *text == '\0';
}

bool net_parse_config(const char *text, struct net_config *c)
{
    uint32_t bits;

    c->dhcp = strcmp(text, "dhcp") == 0;
    c->ip = c->mask = c->gateway = c->dns = 0;
    if (c->dhcp)
        return true;
    if (!address(&text, &c->ip) || *text++ != '/' || !number(&text, 33, &bits))
        return false;
    c->mask = bits ? ~0u << (32 - bits) : 0;
    if (*text == ',') {
        text++;
        if (!address(&text, &c->gateway))
            return false;
    }
    if (*text == ',') {
        text++;
        if (!address(&text, &c->dns))
            return false;
    }
    return *text == '\0' && c->ip;
}

char *net_ip_text(uint32_t ip, char *buf)
{
    (void)snprintf(buf, 16, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
    return buf;
}
