/* SPDX-License-Identifier: MIT */
/* message.c - headers of frames, and those that are nothing but a message. */
#include "tests/guests/frames/frames.h"
#include "lib/string.h"

static void put16(uint8_t *p, unsigned int v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

unsigned int headers(uint8_t *h, const uint8_t *to, unsigned int len)
{
    bool tcp = len > FRAME_MTU;
    uint32_t sum = 0;

    memset(h, 0, TCP_MSG);
    memcpy(h, to, 6);
    memcpy(h + 6, mac, 6);
    put16(h + 12, 0x0800);
    h[14] = 0x45;
    put16(h + 16, len - 14);
    h[22] = 64;
    h[23] = tcp ? 6 : 17;
    h[26] = h[30] = 10;
    h[29] = mac[5];
    h[33] = to[5];
    for (unsigned int i = 14; i < 34; i += 2)
        sum += (uint32_t)(h[i] << 8 | h[i + 1]);
    sum = (sum & 0xffff) + (sum >> 16);
    put16(h + 24, ~(sum + (sum >> 16)) & 0xffff);
    put16(h + 34, 9);
    put16(h + 36, 9);
    if (!tcp) {
        put16(h + 38, len - 34);
        return UDP_MSG;
    }
    h[46] = 0x50;
    h[47] = 0x10;
    sum = 10 * 256 + mac[5] + 10 * 256 + to[5] + 6 + len - 34;
    sum = (sum & 0xffff) + (sum >> 16);
    put16(h + 50, sum);
    return TCP_MSG;
}

/* Headers of the last message stay for the next one to the same station. */
bool send_msg(const uint8_t *to, enum kind kind, uint32_t seq, uint32_t value)
{
    static uint8_t head[NETFRONT_HEAD_MAX] __aligned(8);
    static const struct netfront_frame f = { .head = head, .head_len = 64, .len = 64 };
    struct msg m = { .magic = MAGIC, .kind = (uint16_t)kind, .seq = seq, .value = value };

    if (memcmp(head, to, 6) != 0)
        (void)headers(head, to, 64);
    __builtin_memcpy(head + UDP_MSG, &m, sizeof(m));
    return netfront_send(nf, &f);
}

void put_pages(const struct netfront_frame *f)
{
    for (const struct netfront_frag *g = f->frag, *end = g + f->nr_frags; g != end; g++)
        netfront_page_put(nf, g->page);
}
