/* SPDX-License-Identifier: MIT */
/* csum.c - checksums and software segmentation. Pure; see csum.h. */
#include "netback/csum.h"
#include "netback/headers.h"
#include "lib/inetsum.h"
#include "lib/string.h"

#define TCP_FIN 0x01
#define TCP_PSH 0x08
#define TCP_CWR 0x80

uint64_t csum_add(uint64_t sum, const void *data, size_t len)
{
    return inetsum(sum, data, len);
}

uint16_t csum_fold(uint64_t sum)
{
    return inetsum_fold(sum);
}

static void put_csum(uint8_t *at, uint16_t v)
{
    __builtin_memcpy(at, &v, 2);
}

static uint64_t pseudo_header(const uint8_t *ip, unsigned int version, uint8_t proto,
                              uint32_t l4_len)
{
    uint8_t tail[8] = { 0, 0, 0, 0, 0, 0, 0, proto };

    put_be32(tail, l4_len);
    if (version == 4)
        return csum_add(csum_add(0, ip + 12, 8), tail, 8);
    return csum_add(csum_add(0, ip + 8, 32), tail, 8);
}

/* Offset of the checksum in the transport header; 0: none that we know. */
static unsigned int csum_offset(uint8_t proto)
{
    if (proto == IP_P_TCP)
        return 16;
    return proto == IP_P_UDP ? 6 : 0;
}

static unsigned int l4_header(uint8_t proto)
{
    return proto == IP_P_TCP ? 20 : 8;
}

/* Headers of a frame with a checksum that we know. */
static bool parse(struct headers *h, const uint8_t *head, size_t head_len, size_t frame_len)
{
    if (!headers_parse(h, head, head_len, frame_len) || !h->l4 || h->fragment ||
        h->first_fragment || !csum_offset(h->proto))
        return false;
    return h->l4_len >= l4_header(h->proto) && h->l4 + l4_header(h->proto) <= head_len;
}

bool csum_place(const uint8_t *head, size_t head_len, size_t frame_len, uint16_t *start,
                uint16_t *offset)
{
    struct headers h;

    if (!parse(&h, head, head_len, frame_len))
        return false;
    *start = h.l4;
    *offset = (uint16_t)csum_offset(h.proto);
    return true;
}

bool csum_complete(uint8_t *frame, size_t len)
{
    struct headers h;
    uint8_t *field;
    uint16_t sum;
    uint64_t acc;

    if (!parse(&h, frame, len, len))
        return false;
    field = frame + h.l4 + csum_offset(h.proto);
    put_csum(field, 0);
    acc = pseudo_header(frame + h.l3, h.version, h.proto, h.l4_len);
    sum = (uint16_t)~csum_fold(csum_add(acc, frame + h.l4, h.l4_len));
    /* For UDP, 0 would say "no checksum"; the other zero is the same number. */
    if (!sum && h.proto == IP_P_UDP)
        sum = 0xffff;
    put_csum(field, sum);
    return true;
}

bool gso_plan(struct gso *g, const uint8_t *head, size_t head_len, size_t frame_len,
              unsigned int version, uint16_t size)
{
    struct headers h;
    size_t tcp_len;

    if (!size || !headers_parse(&h, head, head_len, frame_len) || h.version != version ||
        !h.l4 || h.proto != IP_P_TCP || h.fragment || h.first_fragment)
        return false;
    if (h.l4 + 20u > head_len)
        return false;
    tcp_len = (head[h.l4 + 12] >> 4) * 4u;
    if (tcp_len < 20 || h.l4 + tcp_len > head_len || tcp_len > h.l4_len)
        return false;
    *g = (struct gso){ .headers = (uint16_t)(h.l4 + tcp_len), .l3 = h.l3, .l4 = h.l4,
                       .size = size, .version = h.version,
                       .payload = h.l4_len - (uint32_t)tcp_len };
    g->packets = g->payload ? (g->payload + size - 1) / size : 1;
    return true;
}

uint32_t gso_payload(const struct gso *g, uint32_t i, uint32_t *offset)
{
    *offset = i * g->size;
    return MIN((uint32_t)g->size, g->payload - *offset);
}

void gso_headers(const struct gso *g, const uint8_t *head, uint32_t i, uint8_t *out)
{
    uint32_t offset, n = gso_payload(g, i, &offset);
    uint32_t l4_len = g->headers - g->l4 + n;
    uint8_t *ip = out + g->l3, *tcp = out + g->l4;

    memcpy(out, head, g->headers);
    if (g->version == 4) {
        put_be16(ip + 2, (uint16_t)(g->l4 - g->l3 + l4_len));
        put_be16(ip + 4, (uint16_t)(get_be16(ip + 4) + i));
        put_csum(ip + 10, 0);
        put_csum(ip + 10, (uint16_t)~csum_fold(csum_add(0, ip, (size_t)(g->l4 - g->l3))));
    } else {
        put_be16(ip + 4, (uint16_t)(g->l4 - g->l3 - 40 + l4_len));
    }
    put_be32(tcp + 4, get_be32(tcp + 4) + offset);
    if (i + 1 < g->packets)
        tcp[13] &= (uint8_t)~(TCP_FIN | TCP_PSH);
    if (i)
        tcp[13] &= (uint8_t)~TCP_CWR;
    put_csum(tcp + 16, csum_fold(pseudo_header(ip, g->version, IP_P_TCP, l4_len)));
}
