/* SPDX-License-Identifier: MIT */
/*
 * link.c - frames between the bridge and lwIP: what comes in, and where what goes out goes to. linkout.c makes frames of that.
 *
 * In: headers are copied, because lwIP writes into what it parses and frames may be shared; small frames (and all that is not TCP)
 * are copied whole, big ones stay where they are until lwIP's reader is done with them. They are parsed from a
 * work item, so that an answer does not go back into the bridge while the bridge is still handing out the question.
 */
#include "lib/string.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "toolstack/net/internal.h"
#include "lwip/etharp.h"
#include "lwip/prot/ethernet.h"
#include "lwip/prot/ip.h"
#include "lwip/prot/tcp.h"
#include "netif/ethernet.h"

#define INPUT_MAX    512u       /* frames waiting to be parsed */
#define INPUT_SYNS   256u       /* of them, that ask for a connection: others get past a flood */
#define INPUT_BUDGET 64u        /* frames parsed in one turn */
#define HELD_MIN     512u       /* bytes of a frame with TCP's data that stays where it is; a smaller one is copied */
#define HELD_MAX     256u       /* frames that lwIP and its readers have; more are copied */
#define CSUM_OUT     (NETIF_CHECKSUM_ENABLE_ALL & ~NETIF_CHECKSUM_GEN_TCP)
#define CSUM_OURS    (CSUM_OUT & ~(NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_IP))
#define CSUM_CHECKED (CSUM_OUT & ~(NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_UDP))

#define ETH  14u
#define IP   20u                /* lwIP sends no options with TCP */
#define TCP  20u

static struct netif *nif;

/* Received and not yet parsed: a ring of buffers, with what is known of their checksums. */
static struct {
    struct pbuf *p;
    bool csum_valid, syn;
} input[INPUT_MAX];
static unsigned int input_first, input_count, input_syns, nr_held;
static struct work input_work;

/* Who sent the frame that is being parsed; ip 0: none is. */
static struct {
    ip4_addr_t ip;
    struct eth_addr mac;
} asker;

/* In -------------------------------------------------------------------------------------- */

static void note_asker(const struct pbuf *p)
{
    const uint8_t *h = p->payload;

    asker.ip.addr = IPADDR_ANY;
    if (p->len < 14 + 20 || h[12] != 0x08 || h[13] != 0x00 || (h[6] & 1))
        return;
    memcpy(&asker.mac, h + 6, sizeof(asker.mac));
    memcpy(&asker.ip.addr, h + 14 + 12, sizeof(asker.ip.addr));
}

static void parse_input(struct work *w)
{
    for (unsigned int n = 0; input_count && n < INPUT_BUDGET; n++) {
        struct pbuf *p = input[input_first].p;

        NETIF_SET_CHECKSUM_CTRL(nif, input[input_first].csum_valid ? CSUM_CHECKED : CSUM_OUT);
        input_syns -= input[input_first].syn;
        input_first = (input_first + 1) % INPUT_MAX;
        input_count--;
        note_asker(p);
        if (nif->input(p, nif) != ERR_OK)
            pbuf_free(p);
        NETIF_SET_CHECKSUM_CTRL(nif, CSUM_OURS);
        net_open_kept(nif);
    }
    asker.ip.addr = IPADDR_ANY;
    NETIF_SET_CHECKSUM_CTRL(nif, CSUM_OUT);
    if (input_count)
        work_queue(&input_work);
    net_tcp_clock();
}

static bool is_ip(const struct frame *f, uint8_t proto)
{
    const uint8_t *h = f->head;

    return f->head_len >= ETH + IP && h[12] == 0x08 && h[13] == 0x00 && h[ETH + 9] == proto;
}

/* An answer of a DHCP server. */
static bool is_dhcp_answer(const struct frame *f)
{
    const uint8_t *h = f->head;
    unsigned int ip_len;

    if (f->head_len < 14 + 20 || h[12] != 0x08 || h[13] != 0x00 || h[14 + 9] != IP_PROTO_UDP)
        return false;
    ip_len = (h[14] & 15u) * 4;
    return f->head_len >= 14 + ip_len + 4 && h[14 + ip_len + 2] == 0 && h[14 + ip_len + 3] == 68;
}

/* A TCP segment that asks for a connection. */
static bool is_syn(const struct frame *f)
{
    const uint8_t *h = f->head;
    unsigned int tcp;

    if (f->head_len < 14 + 20 || h[12] != 0x08 || h[13] != 0x00 || h[14 + 9] != IP_PROTO_TCP)
        return false;
    tcp = 14 + (h[14] & 15u) * 4;
    return f->head_len >= tcp + 14 && (h[tcp + 13] & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* A frame whose memory lwIP's buffers point into; each of them has a part in it. */
struct held {
    struct frame *f;
    unsigned int parts;
    struct held_part {
        struct pbuf_custom buf;
        struct held *held;
    } part[];
};

static void part_done(struct pbuf *p)
{
    struct held *h = container_of((struct pbuf_custom *)p, struct held_part, buf)->held;

    if (--h->parts)
        return;
    nr_held--;
    frame_put(h->f);
    free(h);
}

/* Puts a piece of the frame before what follows it. */
static struct pbuf *add_part(struct held *h, void *data, unsigned int len, struct pbuf *rest)
{
    struct held_part *part = &h->part[h->parts++];
    struct pbuf *p;

    part->held = h;
    part->buf.custom_free_function = part_done;
    p = pbuf_alloced_custom(PBUF_RAW, (u16_t)len, PBUF_REF, &part->buf, data, (u16_t)len);
    p->next = rest;
    p->tot_len = (u16_t)(len + (rest ? rest->tot_len : 0));
    return p;
}

/* How much of a frame lwIP parses and writes into: of TCP the headers with their options, and no data. */
static unsigned int headers_of(const struct frame *f)
{
    const uint8_t *ip = f->head + ETH;
    unsigned int most = MIN((unsigned int)f->head_len, (unsigned int)FRAME_HEAD_MAX), ip_len, len;

    if (!is_ip(f, IP_PROTO_TCP))
        return most;
    ip_len = (ip[0] & 15u) * 4;
    if (ip_len < IP || ETH + ip_len + TCP > most)
        return most;
    len = ETH + ip_len + MAX((ip[ip_len + 12] >> 4) * 4u, TCP);
    return MIN(len, most);
}

/* The frame as it lies there, but for its headers. NULL: no memory. */
static struct pbuf *hold(struct frame *f)
{
    unsigned int headers = headers_of(f);
    struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)headers, PBUF_RAM), *rest = NULL;
    struct held *h = p ? malloc(sizeof(*h) + (f->nr_frags + 1u) * sizeof(h->part[0])) : NULL;

    if (!h) {
        if (p)
            pbuf_free(p);
        return NULL;
    }
    frame_get(f);
    nr_held++;
    h->f = f;
    h->parts = 0;
    for (unsigned int i = f->nr_frags; i--;)
        rest = add_part(h, f->frags[i].va, f->frags[i].len, rest);
    if (f->head_len > headers)
        rest = add_part(h, f->head + headers, f->head_len - headers, rest);
    memcpy(p->payload, f->head, headers);
    p->next = rest;
    p->tot_len = f->len;
    return p;
}

static struct pbuf *copy(const struct frame *f)
{
    struct pbuf *p = pbuf_alloc(PBUF_RAW, f->len, PBUF_POOL);
    unsigned int at = f->head_len;

    if (!p)
        return NULL;
    (void)pbuf_take(p, f->head, f->head_len);
    for (unsigned int i = 0; i < f->nr_frags; i++) {
        (void)pbuf_take_at(p, f->frags[i].va, f->frags[i].len, (u16_t)at);
        at += f->frags[i].len;
    }
    return p;
}

static bool may_hold(const struct frame *f)
{
    return f->len >= HELD_MIN && nr_held < HELD_MAX && (f->len > FRAME_ROOM || is_ip(f, IP_PROTO_TCP));
}

/* The bridge sends us a frame, of our own memory (no PORT_GRANT). */
bool link_input(struct port *p, struct frame *f)
{
    unsigned int at = (input_first + input_count) % INPUT_MAX;
    bool syn = is_syn(f);
    struct pbuf *b = NULL;

    /* A guest does not tell the host its address: only servers on the wire do. */
    if (is_dhcp_answer(f) && f->from && !(f->from->caps & PORT_UPLINK)) {
        port_count_tx_drop(p, DROP_SPOOFED);
        return true;
    }
    if (input_count < INPUT_MAX && !(syn && input_syns == INPUT_SYNS))
        b = may_hold(f) ? hold(f) : copy(f);
    if (!b) {
        port_count_tx_drop(p, DROP_NO_ROOM);
        return true;
    }
    input[at].p = b;
    input[at].csum_valid = f->flags & (FRAME_CSUM_VALID | FRAME_CSUM_BLANK);
    input[at].syn = syn;
    input_syns += syn;
    input_count++;
    p->stats.tx_frames++;
    p->stats.tx_bytes += f->len;
    work_queue(&input_work);
    return true;
}

/* Out ------------------------------------------------------------------------------------- */

/*
 * lwIP keeps what it is to send until the address is known; but memory that was given by reference is its owner's again as soon
 * as the connection has ended, and keeping it does not end with that.
 */
static err_t resolve_first(struct netif *n, struct pbuf *p, const ip4_addr_t *to)
{
    struct pbuf *q = pbuf_clone(PBUF_LINK, PBUF_RAM, p);
    err_t e = q ? etharp_output(n, q, to) : ERR_MEM;

    if (q)
        pbuf_free(q);
    return e;
}

/*
 * An answer to the frame that is being parsed goes back to where that came from, when the address
 * is not known. So questions from made-up addresses do not push those out of the ARP table that
 * somebody answers for.
 */
err_t link_output_ip(struct netif *n, struct pbuf *p, const ip4_addr_t *to)
{
    bool on_link = ip4_addr_netcmp(to, netif_ip4_addr(n), netif_ip4_netmask(n));
    const ip4_addr_t *hop = on_link ? to : netif_ip4_gw(n), *known;
    struct eth_addr *mac;

    if (net_injecting())
        return ERR_OK;
    if (ip4_addr_isany_val(*hop) || ip4_addr_isbroadcast(to, n) || ip4_addr_ismulticast(to) ||
        etharp_find_addr(n, hop, &mac, &known) >= 0)
        return etharp_output(n, p, to);
    if (ip4_addr_isany_val(asker.ip) || !ip4_addr_cmp(to, &asker.ip))
        return resolve_first(n, p, to);
    return ethernet_output(n, p, (struct eth_addr *)n->hwaddr, &asker.mac, ETHTYPE_IP);
}

void link_init(struct port *p, struct netif *n)
{
    nif = n;
    link_out_init(p, n);
    work_init(&input_work, parse_input);
    NETIF_SET_CHECKSUM_CTRL(n, CSUM_OUT);
}
