/* SPDX-License-Identifier: MIT */
/*
 * isn.c - initial TCP sequence numbers: a clock of 4 us plus a keyed hash of the connection
 * (RFC 6528), so that nobody off the path can guess them.
 */
#include "lib/hash.h"
#include "runtime/time.h"
#include "toolstack/net/internal.h"
#include "lwip/ip4_addr.h"
#include "lwip/opt.h"

u32_t net_new_isn(const struct ip4_addr *local, u16_t local_port, const struct ip4_addr *remote,
                  u16_t remote_port)
{
    static uint64_t key[2];
    struct {
        uint32_t local, remote;
        uint16_t local_port, remote_port;
    } id = { local->addr, remote->addr, local_port, remote_port };

    if (!key[0])
        random_bytes(key, sizeof(key));
    return (u32_t)(now_ns() / 4000 + siphash(key, &id, sizeof(id)));
}
