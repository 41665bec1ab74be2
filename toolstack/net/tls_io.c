/* SPDX-License-Identifier: MIT */
/* tls_io.c - what an open TLS stream carries: decrypted bytes to its owner, the owner's as records to the lower stream. */
#include <stdlib.h>
#include "toolstack/net/tls_internal.h"
#include "lib/string.h"
#include "xenabi.h"

#define RECORD_COST 64u         /* bytes that a record adds, at most */
#define RECORD_DATA 4000u
#define READ_SIZE   4096u

/* Offers decrypted bytes; what is not taken is kept. False: no more now. */
static bool offer(struct tls_stream *s, const uint8_t *data, size_t len)
{
    size_t n;

    s->stopped = true;          /* unless all is taken, or the owner resumes meanwhile */
    n = s->ev->received(s->arg, data, len);
    if (s->gone || s->state != TLS_OPEN)
        return false;
    n = MIN(n, len);
    if (n == len) {
        s->stopped = false;
        return true;
    }
    s->left = malloc(len - n);
    if (!s->left) {
        tls_fail(s, -XEN_ENOMEM);
        return false;
    }
    memcpy(s->left, data + n, len - n);
    s->left_len = len - n;
    return !s->stopped;
}

static bool offer_left(struct tls_stream *s)
{
    uint8_t *left = s->left;
    size_t len = s->left_len;
    bool more;

    if (!left)
        return true;
    s->left = NULL;
    s->left_len = 0;
    more = offer(s, left, len);
    free(left);
    return more;
}

static void tell_finished(struct tls_stream *s)
{
    if (s->finished_told)
        return;
    s->finished_told = true;
    if (s->ev->finished)
        s->ev->finished(s->arg);
    else
        tls_fail(s, 0);
}

/* Decrypts and hands on what is there. */
void tls_read_on(struct tls_stream *s)
{
    static uint8_t plain[READ_SIZE];
    int n = 0;

    while (!s->gone && s->state == TLS_OPEN && !s->stopped) {
        if (s->left) {
            if (!offer_left(s))
                return;
            continue;
        }
        n = s->finished ? 0 : mbedtls_ssl_read(&s->ssl, plain, sizeof(plain));
        if (n == 0 || n == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) {
            s->finished = true;
            tell_finished(s);
            return;
        }
        if (tls_is_wait(n))
            return;
        if (n < 0) {
            tls_fail(s, -XEN_ECONNRESET);
            return;
        }
        (void)offer(s, plain, (size_t)n);
    }
}

/* Sends on what is left of a record. True: nothing is left. */
bool tls_flush(struct tls_stream *s)
{
    int rc;

    if (!s->owed)
        return true;
    /* With a record under way the data is not looked at. */
    rc = mbedtls_ssl_write(&s->ssl, (const unsigned char *)"", s->owed);
    if (rc > 0)
        s->owed = 0;
    return rc > 0;
}

size_t tls_room(struct tls_stream *s)
{
    size_t room;

    if (s->state != TLS_OPEN || s->owed || !s->raw)
        return 0;
    room = stream_room(s->raw);
    room -= MIN(room, (room / RECORD_DATA + 1) * RECORD_COST);
    return room;
}

size_t tls_write(struct tls_stream *s, const void *data, size_t len, unsigned int flags)
{
    size_t done = 0;

    while (s->raw && s->state == TLS_OPEN && done < len && tls_flush(s)) {
        size_t n = MIN(len - done, (size_t)RECORD_DATA);
        int rc;

        s->flags = done + n < len ? STREAM_MORE : flags;
        rc = mbedtls_ssl_write(&s->ssl, (const unsigned char *)data + done, n);
        s->flags = 0;
        if (rc == MBEDTLS_ERR_SSL_WANT_WRITE) {
            s->owed = n;        /* taken: the record is made, and part of it may be sent */
            rc = (int)n;
        }
        if (rc < 0)
            break;              /* the lower stream tells what is wrong */
        done += (size_t)rc;
    }
    if (done < len)
        s->want_room = true;
    return done;
}
