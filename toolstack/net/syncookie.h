/* SPDX-License-Identifier: MIT */
/*
 * syncookie.h - what a listener knows of a connection that is half open, kept in the sequence
 * number of its answer instead of in memory (RFC 4987, 3.6). Pure.
 *
 * Of the 32 bits 3 stand for the segment size, 4 for the window scale, and 25 are a keyed hash over
 * both, over the connection, over the peer's first sequence number and the time. Who cannot see the
 * answer cannot give it back.
 */
#ifndef NET_SYNCOOKIE_H
#define NET_SYNCOOKIE_H

#include "compiler.h"

#define SYN_SCALE_NONE   15u
#define SYN_SCALE_MOST   14u
#define SYNCOOKIE_SLOT_S 64u /* a cookie is good for one to two of these */

struct syn_conn {
    uint32_t local, remote; /* addresses and ports, any byte order that stays the same */
    uint16_t local_port, remote_port;
    uint32_t seq; /* the peer's first sequence number */
};

/* What the peer's SYN offered, as far as we use it. */
struct syn_options {
    uint16_t mss;
    uint8_t scale; /* 0..14, or SYN_SCALE_NONE */
};

/* From the options of a SYN's TCP header; what is broken ends them, as in lwIP. */
void syn_parse_options(const uint8_t *options, size_t len, struct syn_options *o);

/* The largest size that a cookie can stand for and that is not more than mss. */
uint16_t syncookie_mss(uint16_t mss);

/* The first sequence number of the answer at a time (seconds). */
uint32_t syncookie_make(const uint64_t key[2], const struct syn_conn *c,
                        const struct syn_options *o, uint64_t now_s);

/* Did we make that cookie for this connection, at most two slots ago? Then what the peer had
 * offered. */
bool syncookie_check(const uint64_t key[2], const struct syn_conn *c, uint32_t cookie,
                     uint64_t now_s, struct syn_options *o);

#endif
