/* SPDX-License-Identifier: MIT */
/*
 * linkout.c - what lwIP sends, as frames for the bridge.
 *
 * TCP's checksums are left to the bridge and the card behind it, as is the cutting of what is larger
 * than a packet (bigseg.c). Headers and data of our own are copied into the frame, as TCP may want them again when
 * the frame still waits. Pinned data (runtime/pinned.h) goes as it is, and stays pinned until both are done with it: if the frame goes to a card
 * that does the rest, else it is copied, too.
 */
#include "lib/string.h"
#include "runtime/pinned.h"
#include "toolstack/net/csum.h"
#include "toolstack/net/internal.h"
#include "lwip/etharp.h"
#include "lwip/prot/ethernet.h"
#include "lwip/prot/ip.h"
#include "lwip/prot/tcp.h"

#define CAPS_DMA (PORT_SG | PORT_DMA | PORT_CSUM)

#define ETH  14u
#define IP   20u                /* lwIP sends no options with TCP */
#define TCP  20u
#define HEADERS (ETH + IP + TCP)    /* of a segment with data */

static struct netif *nif;
static struct port *port;

static uint16_t be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, unsigned int v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)be16(p) << 16 | be16(p + 2);
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p + 2, v);
}

static void put_ip_csum(uint8_t *ip)
{
    uint16_t sum;

    memset(ip + 10, 0, sizeof(sum));
    sum = (uint16_t)~net_chksum(ip, IP);
    memcpy(ip + 10, &sum, sizeof(sum));
}

static bool is_tcp(const struct frame *f)
{
    const uint8_t *ip = f->head + ETH;

    return f->head_len >= ETH + IP + TCP && be16(f->head + 12) == ETHTYPE_IP && ip[0] == 0x45 &&
           ip[9] == IP_PROTO_TCP;
}

/* What lwIP has left out: the pseudo-header's sum. */
static void blank_csum(struct frame *f)
{
    uint8_t pseudo[12] = { [9] = IP_PROTO_TCP };
    uint16_t sum, len = lwip_htons((uint16_t)(f->len - ETH - IP));

    memcpy(pseudo, f->head + ETH + 12, 8);
    memcpy(pseudo + 10, &len, sizeof(len));
    sum = net_chksum(pseudo, sizeof(pseudo));
    memcpy(f->head + ETH + IP + 16, &sum, sizeof(sum));
    f->flags = FRAME_CSUM_BLANK;
}

/* Data of a packet of the connection that this frame's headers belong to; 0: there is none. */
static uint16_t segment_size(const uint8_t *head)
{
    const uint8_t *tcp = head + ETH + IP;
    uint32_t to;

    memcpy(&to, head + ETH + 16, sizeof(to));
    return bigseg_size(to, be16(tcp + 2), be16(tcp));
}

/* More than a packet: into how large ones it is to be cut. */
static bool plan(struct frame *f)
{
    if (f->len <= ETH + nif->mtu)
        return true;
    f->gso = GSO_TCPV4;
    f->gso_size = is_tcp(f) ? segment_size(f->head) : 0;
    return f->gso_size;
}

/* It must not leave: a part of it could not be read, now or when lwIP copied it. */
static bool is_mute(const struct frame *f)
{
    const uint8_t *tcp = f->head + ETH + IP;
    uint32_t to;

    memcpy(&to, f->head + ETH + 16, sizeof(to));
    return net_is_mute(to, be16(tcp + 2), be16(tcp));
}

static bool is_pinned(const struct pbuf *p)
{
    while (p && !pinned_is(p->payload))
        p = p->next;
    return p;
}

static void (*frame_done)(struct frame *f);     /* what frames are made with */

static void pinned_done(struct frame *f)
{
    for (unsigned int i = 0; i < f->nr_frags; i++)
        if (f->frags[i].kind == FRAG_DMA)
            (void)pinned_put(pinned_by_id(f->frags[i].pinned));
    f->nr_frags = 0;                /* the others are pieces of head's memory */
    frame_done(f);
}

/* Appends memory of our own, copied behind the head. False: no room. */
static bool add_own(struct frame *f, unsigned int *used, const void *data, unsigned int len)
{
    uint8_t *to = f->head + *used;

    if (*used + len > FRAME_ROOM || f->nr_frags == FRAME_FRAGS_MAX)
        return false;
    memcpy(to, data, len);
    *used += len;
    if (!f->nr_frags)
        f->head_len = (uint16_t)(f->head_len + len);
    else
        f->frags[f->nr_frags++] = (struct frag){ .kind = FRAG_MEM, .len = (uint16_t)len, .va = to };
    return true;
}

static bool add_pinned(struct frame *f, const char *data, unsigned int len)
{
    while (len) {
        uint32_t bytes;
        paddr_t maddr;
        struct pinned *set = pinned_find(data, &maddr, &bytes);

        if (f->nr_frags == FRAME_FRAGS_MAX)
            return false;
        bytes = MIN(bytes, len);
        pinned_get(set);
        f->frags[f->nr_frags++] = (struct frag){ .kind = FRAG_DMA, .pinned = set->id, .len = (uint16_t)bytes,
                                                 .maddr = maddr };
        data += bytes;
        len -= bytes;
    }
    return true;
}

/* Appends bytes [from, from + len) of what is in p. */
static bool add_range(struct frame *f, unsigned int *used, const struct pbuf *p, unsigned int from, unsigned int len)
{
    for (; p && len; p = p->next) {
        const char *data = (const char *)p->payload + from;
        unsigned int n;

        if (from >= p->len) {
            from -= p->len;
            continue;
        }
        n = MIN(p->len - from, len);
        if (!(pinned_is(data) ? add_pinned(f, data, n) : add_own(f, used, data, n)))
            return false;
        from = 0;
        len -= n;
    }
    return true;
}

/* A frame of the segment p with `len` bytes of its data from `from` on; pinned data as it is. NULL: it has too many pieces. */
static struct frame *frame_of_pinned(const struct pbuf *p, unsigned int from, unsigned int len)
{
    struct frame *f = frame_new(port);
    unsigned int used = 0;

    if (!f)
        return NULL;
    frame_done = f->done;
    f->done = pinned_done;
    f->len = (uint16_t)(HEADERS + len);
    if (add_range(f, &used, p, 0, HEADERS) && add_range(f, &used, p, HEADERS + from, len))
        return f;
    frame_put(f);
    return NULL;
}

/* Headers of the part of a segment that begins at its byte `from`; `packets` go before it. */
static void renumber(struct frame *f, unsigned int from, unsigned int packets, bool last)
{
    uint8_t *ip = f->head + ETH, *tcp = ip + IP;

    put16(ip + 2, f->len - ETH);
    put16(ip + 4, be16(ip + 4) + packets);
    put_ip_csum(ip);
    put32(tcp + 4, be32(tcp + 4) + from);
    if (!last)
        tcp[13] &= (uint8_t)~(TCP_FIN | TCP_PSH);
}

static void send_tcp(struct frame *f)
{
    blank_csum(f);
    if (f->done == pinned_done)
        f->flags |= FRAME_PINNED;
    if (plan(f) && !is_mute(f))
        port_receive(port, &f, 1);
    frame_put(f);
}

/* Sends a TCP segment without looking at the pinned data in it, in two parts if one frame cannot hold all pieces. False: it was
 * not sent. */
static bool send_pinned(const struct pbuf *p)
{
    unsigned int data = p->tot_len - HEADERS, packets, size;
    struct frame *f = frame_of_pinned(p, 0, data), *rest;

    if (f) {
        send_tcp(f);
        return true;
    }
    size = segment_size(p->payload);
    packets = size ? data / size / 2 : 0;
    if (!packets)
        return false;
    f = frame_of_pinned(p, 0, packets * size);
    rest = f ? frame_of_pinned(p, packets * size, data - packets * size) : NULL;
    if (!rest) {
        if (f)
            frame_put(f);
        return false;
    }
    renumber(f, 0, 0, false);
    renumber(rest, packets * size, packets, true);
    send_tcp(f);
    send_tcp(rest);
    return true;
}

/* Does a card take it as it is? */
static bool goes_by_dma(const struct pbuf *p)
{
    uint32_t need = CAPS_DMA | (p->tot_len > ETH + nif->mtu ? PORT_TSO4 : 0);

    return (port_caps_to(port, p->payload) & need) == need;
}

static struct frame *frame_of_copy(const struct pbuf *p)
{
    struct frame *f = p->tot_len <= FRAME_ROOM ? frame_new(port) : frame_new_big(port, p->tot_len);
    unsigned int at;

    if (!f)
        return NULL;
    if (p->tot_len <= FRAME_ROOM)
        f->head_len = f->len = p->tot_len;
    at = pbuf_copy_partial(p, f->head, f->head_len, 0);
    for (unsigned int i = 0; i < f->nr_frags; i++)
        at += pbuf_copy_partial(p, f->frags[i].va, f->frags[i].len, (u16_t)at);
    return f;
}

err_t link_output(struct netif *n, struct pbuf *p)
{
    struct frame *f;

    if (is_pinned(p) && goes_by_dma(p) && send_pinned(p))
        return ERR_OK;
    f = frame_of_copy(p);
    if (!f)
        return ERR_MEM;
    if (is_tcp(f)) {
        send_tcp(f);
        return ERR_OK;
    }
    if (plan(f))
        port_receive(port, &f, 1);
    frame_put(f);
    return ERR_OK;
}

/* lwIP copies what it cuts, probes a closed window with, or keeps until an address is known. */
void net_copy(void *to, const void *from, size_t n)
{
    if (unlikely(pinned_is(from)))
        (void)pinned_read(to, from, n);     /* if that fails, its owner mutes the stream */
    else
        memcpy(to, from, n);
}

bool link_by_dma(uint32_t ip_be)
{
    ip4_addr_t to = { ip_be };
    const ip4_addr_t *hop = ip4_addr_netcmp(&to, netif_ip4_addr(nif), netif_ip4_netmask(nif)) ? &to :
                                                                                              netif_ip4_gw(nif);
    const ip4_addr_t *known;
    struct eth_addr *mac;

    return etharp_find_addr(nif, hop, &mac, &known) >= 0 &&
           (port_caps_to(port, mac->addr) & (CAPS_DMA | PORT_TSO4)) == (CAPS_DMA | PORT_TSO4);
}

void link_out_init(struct port *p, struct netif *n)
{
    port = p;
    nif = n;
}
