/* SPDX-License-Identifier: MIT */
/*
 * tls.c - TLS as a filter between two streams (see tls.h).
 *
 * Bytes of the lower stream are looked at where they lie: mbedTLS reads them through its bio
 * callbacks while we are in our `received`, and what it did not want stays with the lower stream.
 * Here: handshakes, ends of life, what the lower stream tells. What an open stream carries: tls_io.c;
 * whose handshake goes on: tls_ration.c; keys: tls_setup.c.
 */
#include <stdlib.h>
#include "toolstack/net/tls_internal.h"
#include "lib/string.h"
#include "mbedtls/oid.h"
#include "mbedtls/sha256.h"
#include "runtime/log.h"
#include "toolstack/net/fair.h"
#include "xenabi.h"

static struct list streams = LIST_INIT(streams);
static struct tls_stats stats;
static unsigned int nr_streams;

static const struct stream_ops ops;

static struct tls_stream *of(struct stream *s)
{
    return container_of(s, struct tls_stream, base);
}

/* ------------------------------------------------------------------ ends of life */

static void release(struct tls_stream *s)
{
    if (s->in_call) {
        s->gone = true;
        return;
    }
    free(s);
}

/* Ends it: the lower stream too, orderly or not. No more callbacks. */
static void stop(struct tls_stream *s, bool abort)
{
    if (s->gone)
        return;
    if (s->raw && abort)
        stream_abort(s->raw);
    else if (s->raw)
        stream_close(s->raw);
    s->raw = NULL;
    if (s->state == TLS_HANDSHAKE)
        stats.half_open--;
    else if (s->state == TLS_OPEN)
        stats.open--;
    ration_leave(&s->ration);
    timer_cancel(&s->timer);
    work_cancel(&s->work);
    list_remove(&s->link);
    nr_streams--;
    mbedtls_ssl_free(&s->ssl);
    free(s->left);
    s->left = NULL;
    release(s);
}

/* The connection is of no use any more, through no act of the owner. */
void tls_fail(struct tls_stream *s, int rc)
{
    const struct stream_events *ev = s->ev;
    void *arg = s->arg;
    bool told = s->state == TLS_OPEN && ev;

    if (s->state == TLS_HANDSHAKE)
        stats.failed++;
    stop(s, false);         /* an alert may be on its way */
    if (told)
        ev->closed(arg, rc);
}

/* ------------------------------------------------------------------ bio */

static int bio_recv(void *ctx, unsigned char *buf, size_t len)
{
    struct tls_stream *s = ctx;
    size_t n = MIN(len, s->in_len);

    if (!n)
        return MBEDTLS_ERR_SSL_WANT_READ;
    memcpy(buf, s->in, n);
    s->in += n;
    s->in_len -= n;
    return (int)n;
}

static int bio_send(void *ctx, const unsigned char *buf, size_t len)
{
    struct tls_stream *s = ctx;
    size_t n = s->raw ? stream_write(s->raw, buf, len, s->flags) : 0;

    return n ? (int)n : MBEDTLS_ERR_SSL_WANT_WRITE;
}

/* ------------------------------------------------------------------ handshake */

/* The first organizational unit of the certificate's subject. */
static void note_identity(struct tls_stream *s)
{
    const mbedtls_x509_crt *crt = mbedtls_ssl_get_peer_cert(&s->ssl);

    for (const mbedtls_x509_name *n = crt ? &crt->subject : NULL; n; n = n->next) {
        if (MBEDTLS_OID_CMP(MBEDTLS_OID_AT_ORG_UNIT, &n->oid))
            continue;
        if (n->val.len < sizeof(s->identity) && !memchr(n->val.p, 0, n->val.len)) {
            if (mbedtls_sha256_ret(crt->raw.p, crt->raw.len, s->fingerprint, 0))
                return;
            memcpy(s->identity, n->val.p, n->val.len);
            s->identity[n->val.len] = '\0';
        }
        return;
    }
}

static void handshake_done(struct tls_stream *s)
{
    struct tls_listener *l = s->listener;

    /* Its use for clients is looked at after the chain, and "optional" forgives that. */
    if (mbedtls_ssl_get_peer_cert(&s->ssl) && mbedtls_ssl_get_verify_result(&s->ssl)) {
        (void)mbedtls_ssl_send_alert_message(&s->ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL,
                                             MBEDTLS_SSL_ALERT_MSG_ACCESS_DENIED);
        tls_fail(s, -XEN_ECONNRESET);
        return;
    }
    stats.half_open--;
    stats.open++;
    stats.handshakes++;
    s->state = TLS_OPEN;
    timer_cancel(&s->timer);
    note_identity(s);
    if (l->accept(l->arg, &s->base, s->peer) || !s->ev)
        stop(s, true);
}

/* One step after the other, as far as bytes and rations last. */
static void handshake(struct tls_stream *s)
{
    int rc = 0;

    while (!rc && s->ssl.state != MBEDTLS_SSL_HANDSHAKE_OVER) {
        uint64_t began = now_ns();

        if (!ration_allows(&s->ration)) {
            ration_wait(&s->ration);
            return;
        }
        ration_leave(&s->ration);
        s->ration.granted = false;
        rc = mbedtls_ssl_handshake_step(&s->ssl);
        ration_spent(began);
    }
    if (rc == 0)
        handshake_done(s);
    else if (!tls_is_wait(rc)) {
        log_debug("tls: handshake with %u.%u.%u.%u failed: -0x%04x", s->peer.ip >> 24,
                  s->peer.ip >> 16 & 255, s->peer.ip >> 8 & 255, s->peer.ip & 255,
                  (unsigned int)-rc);
        tls_fail(s, -XEN_ECONNRESET);
    }
}

/* ------------------------------------------------------------------ what its owner does */

/* The last bytes of a stream whose owner has left. */
static void finish_closing(struct tls_stream *s)
{
    if (!tls_flush(s))
        return;
    (void)mbedtls_ssl_close_notify(&s->ssl);
    stop(s, false);
}

static size_t op_room(struct stream *stream)
{
    return tls_room(of(stream));
}

static size_t op_write(struct stream *stream, const void *data, size_t len, unsigned int flags)
{
    return tls_write(of(stream), data, len, flags);
}

static void op_resume(struct stream *stream)
{
    struct tls_stream *s = of(stream);

    s->stopped = false;
    work_queue(&s->work);
}

static void op_close(struct stream *stream)
{
    struct tls_stream *s = of(stream);

    stats.open--;
    s->state = TLS_CLOSING;
    s->ev = NULL;
    timer_set_after(&s->timer, TLS_CLOSE_NS);
    finish_closing(s);
}

static void op_abort(struct stream *stream)
{
    stop(of(stream), true);
}

static void op_set_events(struct stream *stream, const struct stream_events *ev, void *arg)
{
    of(stream)->ev = ev;
    of(stream)->arg = arg;
}

static const char *op_identity(struct stream *stream)
{
    return of(stream)->identity;
}

static const uint8_t *op_fingerprint(struct stream *stream)
{
    struct tls_stream *s = of(stream);

    return s->identity[0] ? s->fingerprint : NULL;
}

static const struct stream_ops ops = {
    .write = op_write,
    .room = op_room,
    .resume = op_resume,
    .close = op_close,
    .abort = op_abort,
    .set_events = op_set_events,
    .identity = op_identity,
    .fingerprint = op_fingerprint,
};

/* ------------------------------------------------------------------ the lower stream */

static void enter(struct tls_stream *s)
{
    s->in_call = true;
}

/* False: s is gone. */
static bool leave(struct tls_stream *s)
{
    s->in_call = false;
    if (s->gone)
        free(s);
    else
        return true;
    return false;
}

static size_t on_received(void *arg, const uint8_t *data, size_t len)
{
    struct tls_stream *s = arg;
    size_t taken = len;

    if (s->state == TLS_CLOSING)
        return len;
    s->in = data;
    s->in_len = len;
    enter(s);
    if (s->state == TLS_HANDSHAKE)
        handshake(s);
    if (!s->gone && s->state == TLS_OPEN)
        tls_read_on(s);
    if (!s->gone) {
        taken = len - s->in_len;
        s->unread = s->in_len != 0;
        s->in_len = 0;
        if (s->state == TLS_HANDSHAKE) {
            s->handshake_bytes += taken;
            if (s->handshake_bytes > TLS_HANDSHAKE_BYTES)
                tls_fail(s, -XEN_ECONNRESET);
        }
    }
    (void)leave(s);
    return taken;
}

static void on_writable(void *arg)
{
    struct tls_stream *s = arg;

    enter(s);
    if (s->state == TLS_HANDSHAKE) {
        handshake(s);
    } else if (s->state == TLS_CLOSING) {
        finish_closing(s);
    } else if (tls_flush(s) && s->want_room) {
        s->want_room = false;
        if (s->ev->writable)
            s->ev->writable(s->arg);
    }
    (void)leave(s);
}

/* The lower stream ended without TLS saying so: what came may have been cut. */
static void on_finished(void *arg)
{
    struct tls_stream *s = arg;

    enter(s);
    if (s->state == TLS_CLOSING)
        stop(s, true);
    else if (!s->finished)
        tls_fail(s, -XEN_ECONNRESET);
    (void)leave(s);
}

static void on_closed(void *arg, int rc)
{
    struct tls_stream *s = arg;

    s->raw = NULL;
    enter(s);
    tls_fail(s, rc);
    (void)leave(s);
}

static const struct stream_events raw_events = {
    .received = on_received,
    .writable = on_writable,
    .finished = on_finished,
    .closed = on_closed,
};

/* The owner takes data again. */
static void on_work(struct work *w)
{
    struct tls_stream *s = container_of(w, struct tls_stream, work);

    enter(s);
    if (s->state == TLS_OPEN)
        tls_read_on(s);
    if (!s->gone && s->state == TLS_OPEN && !s->stopped && s->raw)
        stream_resume(s->raw);
    (void)leave(s);
}

/* It is the turn of one that waited. */
static void on_turn(struct ration *r)
{
    struct tls_stream *s = container_of(r, struct tls_stream, ration);

    if (s->unread) {
        stream_resume(s->raw);          /* on_received goes on */
        return;
    }
    enter(s);
    handshake(s);
    (void)leave(s);
}

static void on_timeout(struct timer *t)
{
    struct tls_stream *s = container_of(t, struct tls_stream, timer);

    if (!list_empty(&s->ration.link)) {     /* ours to be late */
        timer_set_after(t, TLS_HANDSHAKE_NS);
        return;
    }
    stats.failed += s->state == TLS_HANDSHAKE;
    stop(s, true);
}

/* ------------------------------------------------------------------ accepting */

/* Ends a half-open handshake so that one with this peer has a place. */
static bool make_room(struct stream_addr peer)
{
    struct fair_entry list[TLS_HANDSHAKES];
    struct tls_stream *all[TLS_HANDSHAKES], *s;
    size_t n = 0;
    int victim;

    list_for_each(s, &streams, link) {
        if (s->state != TLS_HANDSHAKE || n == TLS_HANDSHAKES)
            continue;
        list[n] = (struct fair_entry){ .ip = s->peer.ip, .since = s->since };
        all[n++] = s;
    }
    victim = fair_victim(list, n, peer.ip);
    if (victim < 0)
        return false;
    stats.failed++;
    stop(all[victim], true);
    return true;
}

static int on_accept(void *arg, struct stream *raw, struct stream_addr peer)
{
    struct tls_stream *s;

    if ((stats.half_open >= TLS_HANDSHAKES || nr_streams >= TLS_STREAMS) && !make_room(peer))
        return -XEN_EBUSY;
    s = calloc(1, sizeof(*s));
    if (!s)
        return -XEN_ENOMEM;
    s->base.ops = &ops;
    s->raw = raw;
    s->peer = peer;
    s->listener = arg;
    s->since = now_ns();
    list_init(&s->ration.link);
    timer_init(&s->timer, on_timeout);
    work_init(&s->work, on_work);
    mbedtls_ssl_init(&s->ssl);
    if (mbedtls_ssl_setup(&s->ssl, tls_config())) {
        mbedtls_ssl_free(&s->ssl);
        free(s);
        return -XEN_ENOMEM;
    }
    mbedtls_ssl_set_bio(&s->ssl, s, bio_send, bio_recv, NULL);
    list_push_back(&streams, &s->link);
    nr_streams++;
    stats.half_open++;
    timer_set_after(&s->timer, TLS_HANDSHAKE_NS);
    stream_set_events(raw, &raw_events, s);
    return 0;
}

static int tls_listen(void *ctx, uint16_t port, tls_accept_fn accept, void *arg)
{
    struct stream_net *under = ctx;
    struct tls_listener *l = malloc(sizeof(*l));
    int rc;

    if (!l)
        return -XEN_ENOMEM;
    *l = (struct tls_listener){ accept, arg };
    rc = under->listen(under->ctx, port, on_accept, l);
    if (rc)
        free(l);
    return rc;
}

struct stream_net *tls_streams(struct stream_net *under)
{
    static struct stream_net net = { .listen = tls_listen };

    net.ctx = under;
    ration_init(on_turn);
    return &net;
}

void tls_get_stats(struct tls_stats *s)
{
    *s = stats;
}
