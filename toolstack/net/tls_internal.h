/* SPDX-License-Identifier: MIT */
/* tls_internal.h - between the files of TLS. */
#ifndef NET_TLS_INTERNAL_H
#define NET_TLS_INTERNAL_H

#include "lib/list.h"
#include "mbedtls/ssl.h"
#include "runtime/loop.h"
#include "runtime/time.h"
#include "toolstack/net/tls.h"

/* tls_setup.c: how connections are to be; after tls_server_init(). */
const mbedtls_ssl_config *tls_config(void);

/* tls_ration.c: a handshake that may have to wait for its turn to compute. link is an empty list at first. */
struct ration {
    struct list link;
    bool granted;               /* may compute the next step */
};

void ration_init(void (*fn)(struct ration *r));     /* fn: it is r's turn */
bool ration_allows(const struct ration *r);
void ration_wait(struct ration *r);
void ration_leave(struct ration *r);                /* it does not wait (any more) */
void ration_spent(uint64_t began);                  /* a step was computed from then until now */

typedef int (*tls_accept_fn)(void *arg, struct stream *s, struct stream_addr peer);

struct tls_listener {
    tls_accept_fn accept;
    void *arg;
};

enum tls_state {
    TLS_HANDSHAKE,
    TLS_OPEN,
    TLS_CLOSING,                /* its owner has left; what is left is being sent */
};

struct tls_stream {
    struct stream base;
    struct list link;           /* streams */
    struct ration ration;
    struct stream *raw;         /* NULL: gone */
    struct tls_listener *listener;
    struct stream_addr peer;
    enum tls_state state;
    uint64_t since;
    mbedtls_ssl_context ssl;
    const struct stream_events *ev;
    void *arg;
    struct timer timer;         /* of the handshake, then of closing */
    struct work work;           /* the owner resumed, or room came */
    char identity[32];
    uint8_t fingerprint[32];    /* of the certificate that says so */
    const uint8_t *in;          /* offered by the lower stream just now */
    size_t in_len;
    size_t handshake_bytes;
    uint8_t *left;              /* decrypted, not taken by the owner */
    size_t left_len;
    size_t owed;                /* bytes of a record that is not sent completely */
    unsigned int flags;         /* of the write under way */
    bool stopped, want_room, room;
    bool finished, finished_told;       /* the peer said that it sends no more */
    bool unread;                /* the lower stream keeps bytes that we did not take */
    bool in_call, gone;
};

static inline bool tls_is_wait(int rc)
{
    return rc == MBEDTLS_ERR_SSL_WANT_READ || rc == MBEDTLS_ERR_SSL_WANT_WRITE;
}

/* tls.c: the connection is of no use any more, through no act of the owner. */
void tls_fail(struct tls_stream *s, int rc);

/* tls_io.c */
void tls_read_on(struct tls_stream *s);             /* decrypts and hands on what is there */
bool tls_flush(struct tls_stream *s);               /* sends on what is left of a record; true: nothing is left */
size_t tls_room(struct tls_stream *s);
size_t tls_write(struct tls_stream *s, const void *data, size_t len, unsigned int flags);

#endif
