/* SPDX-License-Identifier: MIT */
/*
 * netif.c - lwIP's network interface and its address, and lwIP's clock on the run loop. What its frames
 * are made of: link.c, linkout.c.
 */
#include "lib/list.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/port.h"
#include "runtime/time.h"
#include "toolstack/net/internal.h"
#include "toolstack/net/net.h"
#include "lwip/dhcp.h"
#include "lwip/dns.h"
#include "lwip/etharp.h"
#include "lwip/init.h"
#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/timeouts.h"

static struct netif nif;
static struct port port;
static bool started, use_dhcp;
static char hostname[32];

static struct timer clocks[8];      /* as lwip_cyclic_timers; the first is TCP's and does not run always */

static void (*changed)(void *arg, const struct net_status *s);
static void *changed_arg;

static bool tcp_has_any(void)
{
    return tcp_active_pcbs || tcp_tw_pcbs;
}

static void clock_due(struct timer *t)
{
    const struct lwip_cyclic_timer *c = &lwip_cyclic_timers[t - clocks];
    uint64_t interval = c->interval_ms * NS_PER_MS, next = t->due + interval;

    c->handler();
    if (t == clocks)
        orphans_limit();
    if (t != clocks || tcp_has_any())
        timer_set(t, next > now_ns() ? next : now_ns() + interval);
}

/* From lwip_init(). lwIP's own timers take memory each time they are set, and without any they stop for ever. */
void sys_timeouts_init(void)
{
    BUG_ON(lwip_num_cyclic_timers > (int)ARRAY_SIZE(clocks));
    for (int i = 0; i < lwip_num_cyclic_timers; i++) {
        timer_init(&clocks[i], clock_due);
        if (i)
            timer_set_after(&clocks[i], lwip_cyclic_timers[i].interval_ms * NS_PER_MS);
    }
}

void net_tcp_clock(void)
{
    if (tcp_has_any() && !timer_is_set(&clocks[0]))
        timer_set_after(&clocks[0], lwip_cyclic_timers[0].interval_ms * NS_PER_MS);
}

/* The interface. */

static void fill_status(struct net_status *s)
{
    *s = (struct net_status){
        .started = started,
        .dhcp = use_dhcp,
        .ip = lwip_ntohl(netif_ip4_addr(&nif)->addr),
        .mask = lwip_ntohl(netif_ip4_netmask(&nif)->addr),
        .gateway = lwip_ntohl(netif_ip4_gw(&nif)->addr),
        .dns = lwip_ntohl(dns_getserver(0)->addr),
    };
    s->up = s->ip != 0;
    memcpy(s->mac, port.mac, sizeof(s->mac));
}

void net_get_status(struct net_status *s)
{
    fill_status(s);
}

void net_on_change(void (*fn)(void *arg, const struct net_status *s), void *arg)
{
    changed = fn;
    changed_arg = arg;
}

static void status_changed(struct netif *n)
{
    static uint32_t last;
    struct net_status s;
    char ip[16], gateway[16];

    fill_status(&s);
    if (s.ip == last)
        return;
    last = s.ip;
    if (s.up)
        log_info("net: address %s/%d, gateway %s%s", net_ip_text(s.ip, ip),
                 s.mask ? 32 - __builtin_ctz(s.mask) : 0, net_ip_text(s.gateway, gateway),
                 use_dhcp ? " (dhcp)" : "");
    else
        log_info("net: no address");
    if (changed)
        changed(changed_arg, &s);
}

static err_t init_interface(struct netif *n)
{
    n->name[0] = 'd';
    n->name[1] = '0';
    n->mtu = port.mtu;
    n->hwaddr_len = ETH_HWADDR_LEN;
    memcpy(n->hwaddr, port.mac, ETH_HWADDR_LEN);
    n->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
    n->output = link_output_ip;
    n->linkoutput = link_output;
    link_init(&port, n);
    n->hostname = hostname[0] ? hostname : NULL;
    return ERR_OK;
}

static void start_address(const struct net_config *c)
{
    ip4_addr_t ip = { lwip_htonl(c->ip) }, mask = { lwip_htonl(c->mask) };
    ip4_addr_t gateway = { lwip_htonl(c->gateway) };
    ip_addr_t dns;

    if (c->dhcp) {
        if (dhcp_start(&nif) != ERR_OK)
            log_error("net: cannot start DHCP");
        return;
    }
    dns.addr = lwip_htonl(c->dns);
    if (c->dns)
        dns_setserver(0, &dns);
    netif_set_addr(&nif, &ip, &mask, &gateway);
}

int net_start(struct bridge *b, const struct net_config *c)
{
    int rc;

    if (started)
        return -XEN_EEXIST;
    port = (struct port){
        .name = "dom0", .mtu = 1500, .caps = LINK_CAPS, .up = true, .send = link_input,
    };
    memcpy(port.mac, c->mac, sizeof(port.mac));
    strlcpy(hostname, c->hostname, sizeof(hostname));
    use_dhcp = c->dhcp;
    lwip_init();
    bigseg_init();
    if (!netif_add(&nif, NULL, NULL, NULL, NULL, init_interface, netif_input))
        return -XEN_ENOMEM;
    rc = port_join(&port, b);
    if (rc) {
        netif_remove(&nif);
        return rc;
    }
    started = true;
    netif_set_status_callback(&nif, status_changed);
    netif_set_default(&nif);
    netif_set_up(&nif);
    start_address(c);
    return 0;
}
