/* SPDX-License-Identifier: MIT */
/* syncookie.c - half-open connections without memory (see syncookie.h). */
#include "toolstack/net/syncookie.h"
#include "lib/hash.h"

#define OPT_END   0u
#define OPT_NOP   1u
#define OPT_MSS   2u
#define OPT_SCALE 3u

#define MSS_DEFAULT 536u /* of a peer that does not say */
#define OPTION_BITS 7u

static const uint16_t sizes[8] = { 64, 256, 536, 1024, 1220, 1360, 1440, 1460 };

static uint32_t size_index(uint16_t mss)
{
    uint32_t i = ARRAY_SIZE(sizes) - 1;

    while (i && sizes[i] > mss)
        i--;
    return i;
}

uint16_t syncookie_mss(uint16_t mss)
{
    return sizes[size_index(mss)];
}

void syn_parse_options(const uint8_t *options, size_t len, struct syn_options *o)
{
    *o = (struct syn_options){ .mss = MSS_DEFAULT, .scale = SYN_SCALE_NONE };
    for (size_t i = 0, n; i < len && options[i] != OPT_END; i += n) {
        const uint8_t *opt = options + i;

        n = 1;
        if (opt[0] == OPT_NOP)
            continue;
        if (len - i < 2 || opt[1] < 2 || opt[1] > len - i)
            return;
        n = opt[1];
        if (opt[0] == OPT_MSS && n == 4 && (opt[2] || opt[3]))
            o->mss = (uint16_t)(opt[2] << 8 | opt[3]);
        if (opt[0] == OPT_SCALE && n == 3)
            o->scale = (uint8_t)MIN(opt[2], SYN_SCALE_MOST);
    }
}

static uint32_t cookie_of(const uint64_t key[2], const struct syn_conn *c, uint32_t options,
                          uint64_t slot)
{
    struct {
        uint32_t local, remote, seq;
        uint16_t local_port, remote_port;
        uint64_t slot, options;
    } in = { c->local, c->remote, c->seq, c->local_port, c->remote_port, slot, options };

    return (uint32_t)(siphash(key, &in, sizeof(in)) << OPTION_BITS) | options;
}

uint32_t syncookie_make(const uint64_t key[2], const struct syn_conn *c,
                        const struct syn_options *o, uint64_t now_s)
{
    return cookie_of(key, c, size_index(o->mss) << 4 | o->scale, now_s / SYNCOOKIE_SLOT_S);
}

bool syncookie_check(const uint64_t key[2], const struct syn_conn *c, uint32_t cookie,
                     uint64_t now_s, struct syn_options *o)
{
    uint32_t options = cookie & ((1u << OPTION_BITS) - 1);
    uint64_t slot = now_s / SYNCOOKIE_SLOT_S;

    *o = (struct syn_options){ .mss = sizes[options >> 4], .scale = options & 15u };
    return cookie == cookie_of(key, c, options, slot) ||
           (slot && cookie == cookie_of(key, c, options, slot - 1));
}
