/* SPDX-License-Identifier: MIT */
/*
 * tls.h - TLS over a byte stream: a filter that takes a runtime/stream.h and gives out another one.
 *
 * Server side, TLS 1.2 with ECDHE and AEAD ciphers. A client certificate is optional, but one that is
 * shown must be good: signed by our authority, valid now, meant for clients. Whoever accepts from
 * here sees a stream only after its handshake, with stream_identity() saying what the certificate
 * says. Half-open handshakes are bounded in number (fair.h), time, bytes, and in the processor time
 * that they may take from everything else in dom0.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "runtime/stream.h"

#define TLS_STREAMS         96u     /* at one time, open and half-open */
#define TLS_HANDSHAKES      32u     /* half-open ones */
#define TLS_HANDSHAKE_NS    (10 * 1000000000UL)
#define TLS_HANDSHAKE_BYTES 65536u
#define TLS_CLOSE_NS        (10 * 1000000000UL)     /* for what is left to be sent */

struct tls_text {
    const char *text;           /* PEM */
    size_t len;
};

/*
 * Sets the server up: its certificate (and those between it and the root), its key, and the
 * authority that signs clients' (len 0: none is asked for). Copies what it needs. 0, or a negative
 * error with one line in why. Once.
 */
int tls_server_init(struct tls_text crt, struct tls_text key, struct tls_text ca, char *why);

/* TLS streams over those of another; listen only. After tls_server_init(). */
struct stream_net *tls_streams(struct stream_net *under);

struct tls_stats {
    uint64_t handshakes, failed;    /* finished; given up or refused */
    uint32_t open, half_open;
};

void tls_get_stats(struct tls_stats *s);

#endif
