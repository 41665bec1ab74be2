/* SPDX-License-Identifier: MIT */
/*
 * handshake.c - when many connections of a listener are half open, further ones are no longer
 * remembered.
 *
 * Their SYN is answered at once and forgotten: what must be known later is in the answer's sequence
 * number (syncookie.h). The segment that acknowledges it proves that somebody is there; then lwIP
 * gets a SYN made from the cookie, its own answer to that is dropped, and it gets the segment. So a
 * flood of SYNs costs time, but no memory and no place that anybody else wants. Cookies are neither
 * made nor taken in quiet times: lwIP repeats a lost answer, and an old segment that comes twice
 * opens nothing.
 *
 * lwIP's hook must not change TCP's state, so opening waits until lwIP has returned.
 */
#include "lib/string.h"
#include "runtime/time.h"
#include "toolstack/net/internal.h"
#include "toolstack/net/syncookie.h"
#include "lwip/ip4.h"
#include "lwip/netif.h"
#include "lwip/prot/tcp.h"
#include "lwip/tcp.h"

#define HALF_OPEN 16u     /* of a listener, remembered by lwIP */
#define WINDOW    0xffffu /* of our answer: as much as lwIP's without a scale */

/* One way of a connection, in network byte order where lwIP has it so. */
struct way {
    uint32_t from, to;
    uint16_t from_port, to_port;
};

/* An open connection that lwIP is to hear of. */
static struct {
    struct pbuf *syn, *segment;
    uint32_t isn;
} opening;

static enum { NOTHING, ITS_SYN, ITS_SEGMENT } injecting;
static uint64_t last_cookie_s; /* when one was given; 0: never */

static const uint64_t *secret(void)
{
    static uint64_t key[2];

    if (!key[0])
        random_bytes(key, sizeof(key));
    return key;
}

uint32_t net_tcp_isn(const struct ip4_addr *local, uint16_t local_port,
                     const struct ip4_addr *remote, uint16_t remote_port)
{
    return injecting == ITS_SYN ? opening.isn : net_new_isn(local, local_port, remote, remote_port);
}

/* IP and TCP header with options and room for payload; linkout.c completes the TCP checksum. */
static struct pbuf *segment_new(const struct way *w, const struct tcp_hdr *host_order,
                                const void *options, size_t options_len, size_t payload)
{
    size_t header = TCP_HLEN + options_len;
    struct pbuf *p = pbuf_alloc(PBUF_LINK, (u16_t)(IP_HLEN + header + payload), PBUF_RAM);
    struct ip_hdr *ip;
    struct tcp_hdr *tcp;

    if (!p)
        return NULL;
    ip = p->payload;
    tcp = (struct tcp_hdr *)(void *)((char *)p->payload + IP_HLEN);
    memset(ip, 0, IP_HLEN);
    IPH_VHL_SET(ip, 4, IP_HLEN / 4);
    IPH_LEN_SET(ip, lwip_htons(p->tot_len));
    IPH_TTL_SET(ip, TCP_TTL);
    IPH_PROTO_SET(ip, IP_PROTO_TCP);
    ip->src.addr = w->from;
    ip->dest.addr = w->to;
    *tcp = (struct tcp_hdr){
        .src = lwip_htons(w->from_port),
        .dest = lwip_htons(w->to_port),
        .seqno = lwip_htonl(host_order->seqno),
        .ackno = lwip_htonl(host_order->ackno),
        .wnd = lwip_htons(host_order->wnd),
        .urgp = host_order->urgp,
    };
    TCPH_HDRLEN_FLAGS_SET(tcp, header / 4, TCPH_FLAGS(host_order));
    memcpy(tcp + 1, options, options_len);
    return p;
}

/* Options that say mss and, if there is one, the window's scale. */
static size_t put_options(uint8_t out[8], uint16_t mss, uint8_t scale)
{
    const uint8_t all[8] = { 2, 4, (uint8_t)(mss >> 8), (uint8_t)mss, 1, 3, 3, scale };

    memcpy(out, all, sizeof(all));
    return scale == SYN_SCALE_NONE ? 4 : 8;
}

static void answer_syn(const struct syn_conn *c, const struct syn_options *o)
{
    struct way back = { c->local, c->remote, c->local_port, c->remote_port };
    struct tcp_hdr h = { .ackno = c->seq + 1, .wnd = WINDOW };
    uint8_t options[8];
    size_t n = put_options(options, TCP_MSS, o->scale == SYN_SCALE_NONE ? o->scale : TCP_RCV_SCALE);
    ip4_addr_t local = { c->local }, remote = { c->remote };
    struct pbuf *p;

    last_cookie_s = now_ns() / NS_PER_S + 1;
    h.seqno = syncookie_make(secret(), c, o, now_ns() / NS_PER_S);
    TCPH_FLAGS_SET(&h, TCP_SYN | TCP_ACK);
    p = segment_new(&back, &h, options, n, 0);
    if (!p)
        return;
    pbuf_remove_header(p, IP_HLEN);
    (void)ip4_output_if(p, &local, &remote, TCP_TTL, 0, IP_PROTO_TCP, ip_current_netif());
    pbuf_free(p);
}

/* Keeps what lwIP is to be told. Without memory the segment counts as lost. */
static void keep(const struct syn_conn *c, const struct syn_options *o, const struct tcp_hdr *h,
                 const uint8_t *options, size_t options_len, const struct pbuf *payload)
{
    size_t headers = IP_HLEN + TCP_HLEN + options_len;
    struct way here = { c->remote, c->local, c->remote_port, c->local_port };
    struct tcp_hdr first = { .seqno = c->seq, .wnd = h->wnd };
    uint8_t offered[8];
    size_t n = put_options(offered, o->mss, o->scale);

    TCPH_FLAGS_SET(&first, TCP_SYN);
    opening.isn = h->ackno - 1;
    opening.syn = segment_new(&here, &first, offered, n, 0);
    opening.segment = segment_new(&here, h, options, options_len, payload->tot_len);
    if (!opening.syn || !opening.segment) {
        if (opening.syn || opening.segment)
            pbuf_free(opening.syn ? opening.syn : opening.segment);
        opening.syn = opening.segment = NULL;
        return;
    }
    (void)pbuf_copy_partial(payload, (char *)opening.segment->payload + headers,
                            payload->tot_len, 0);
}

static bool cookies_are_out(uint64_t now_s)
{
    return last_cookie_s && now_s < last_cookie_s + 2 * SYNCOOKIE_SLOT_S;
}

bool net_listener_input(const struct tcp_pcb_listen *l, const struct tcp_hdr *h,
                        const uint8_t *options, uint16_t options_len, const struct pbuf *payload)
{
    unsigned int flags = TCPH_FLAGS(h) & (TCP_SYN | TCP_ACK | TCP_RST);
    uint64_t now_s = now_ns() / NS_PER_S;
    struct syn_options o;
    struct syn_conn c = {
        .local = ip4_current_dest_addr()->addr,
        .remote = ip4_current_src_addr()->addr,
        .local_port = h->dest,
        .remote_port = h->src,
        .seq = h->seqno,
    };

    if (injecting == ITS_SYN)
        return false;
    if (injecting == ITS_SEGMENT)
        return true;                /* there was no memory for its connection: as if it had been lost */
    if (flags == TCP_SYN) {
        if (l->accepts_pending < HALF_OPEN)
            return false;
        syn_parse_options(options, options_len, &o);
        answer_syn(&c, &o);
        return true;
    }
    c.seq = h->seqno - 1;
    if (flags != TCP_ACK || !cookies_are_out(now_s) ||
        !syncookie_check(secret(), &c, h->ackno - 1, now_s, &o))
        return false;               /* lwIP answers with a reset, or not at all */
    keep(&c, &o, h, options, options_len, payload);
    return true;
}

bool net_injecting(void)
{
    return injecting == ITS_SYN;
}

void net_open_kept(struct netif *nif)
{
    struct pbuf *syn = opening.syn, *segment = opening.segment;

    if (!syn)
        return;
    injecting = ITS_SYN;
    (void)ip4_input(syn, nif);
    injecting = ITS_SEGMENT;
    opening.syn = opening.segment = NULL;
    (void)ip4_input(segment, nif);
    injecting = NOTHING;
}
