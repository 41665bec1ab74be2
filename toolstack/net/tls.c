/* SPDX-License-Identifier: MIT */
/*
 * tls.c - TLS as a filter between two streams (see tls.h).
 *
 * Bytes of the lower stream are looked at where they lie: mbedTLS reads them through its bio
 * callbacks while we are in our `received`, and what it did not want stays with the lower stream.
 * A handshake's arithmetic takes milliseconds and cannot be interrupted, so it is rationed: while
 * others wait for their handshakes, three times as long as the last step took passes before the next.
 */
#include <stdlib.h>
#include "toolstack/net/tls.h"
#include "lib/list.h"
#include "lib/string.h"
#include "lib/why.h"
#include "mbedtls/entropy.h"
#include "mbedtls/hmac_drbg.h"
#include "mbedtls/oid.h"
#include "mbedtls/platform_util.h"
#include "mbedtls/sha256.h"
#include "mbedtls/ssl.h"
#include "runtime/entropy.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/time.h"
#include "toolstack/net/fair.h"
#include "xenabi.h"

#define RECORD_COST  64u        /* bytes that a record adds, at most */
#define RECORD_DATA  4000u
#define READ_SIZE    4096u
#define CROWD        4u         /* handshakes that wait before their time is rationed strictly */
#define SHARE        3u         /* ... to one part in 1 + 3 */
#define CHEAP_NS     (100 * NS_PER_US)      /* a step that is not worth rationing */

typedef int (*accept_fn)(void *arg, struct stream *s, struct stream_addr peer);

struct listener {
    accept_fn accept;
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
    struct list waiting;        /* in `queue`: for its turn to compute */
    struct stream *raw;         /* NULL: gone */
    struct listener *listener;
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
    bool granted;               /* may compute the next step */
    bool in_call, gone;
};

static struct list streams = LIST_INIT(streams);
static struct list queue = LIST_INIT(queue);
static struct timer ration_timer;
static uint64_t next_step_at, blocks_seen;
static struct tls_stats stats;
static unsigned int nr_streams, nr_waiting;

static mbedtls_ssl_config conf;
static mbedtls_x509_crt own_crt, ca_crt;
static mbedtls_pk_context own_key;
static mbedtls_entropy_context entropy;
static mbedtls_hmac_drbg_context drbg;

static const struct stream_ops ops;

static struct tls_stream *of(struct stream *s)
{
    return container_of(s, struct tls_stream, base);
}

/* ------------------------------------------------------------------ ends of life */

static void stop_waiting(struct tls_stream *s)
{
    if (!list_empty(&s->waiting)) {
        list_remove(&s->waiting);
        list_init(&s->waiting);
        nr_waiting--;
    }
}

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
    stop_waiting(s);
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
static void fail(struct tls_stream *s, int rc)
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

static bool is_wait(int rc)
{
    return rc == MBEDTLS_ERR_SSL_WANT_READ || rc == MBEDTLS_ERR_SSL_WANT_WRITE;
}

/* ------------------------------------------------------------------ handshake */

/* Called for each certificate of a chain: what is not in order ends the handshake. */
static int check_certificate(void *ctx, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    return *flags ? MBEDTLS_ERR_X509_FATAL_ERROR : 0;
}

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

static uint64_t loop_blocks(void)
{
    struct loop_stats l;

    loop_get_stats(&l);
    return l.blocks;
}

/*
 * May this handshake be computed now? Those that wait longer go first. When the loop has been idle
 * since the last one nobody else wanted the processor; a crowd waits in any case.
 */
static bool may_compute(const struct tls_stream *s)
{
    if (s->granted)
        return true;
    if (!list_empty(&queue) && queue.next != &s->waiting)
        return false;
    if (now_ns() >= next_step_at)
        return true;
    return nr_waiting <= CROWD && loop_blocks() != blocks_seen;
}

static void note_cost(uint64_t began)
{
    uint64_t now = now_ns();

    if (now - began < CHEAP_NS)
        return;
    next_step_at = now + SHARE * (now - began);
    blocks_seen = loop_blocks();
}

static void set_ration_timer(void)
{
    uint64_t soon = now_ns() + NS_PER_MS;

    timer_set(&ration_timer, nr_waiting > CROWD ? next_step_at : MIN(next_step_at, soon));
}

static void wait_for_turn(struct tls_stream *s)
{
    if (list_empty(&s->waiting)) {
        list_push_back(&queue, &s->waiting);
        nr_waiting++;
    }
    if (!timer_is_set(&ration_timer))
        set_ration_timer();
}

static void handshake_done(struct tls_stream *s)
{
    struct listener *l = s->listener;

    /* Its use for clients is looked at after the chain, and "optional" forgives that. */
    if (mbedtls_ssl_get_peer_cert(&s->ssl) && mbedtls_ssl_get_verify_result(&s->ssl)) {
        (void)mbedtls_ssl_send_alert_message(&s->ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL,
                                             MBEDTLS_SSL_ALERT_MSG_ACCESS_DENIED);
        fail(s, -XEN_ECONNRESET);
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

        if (!may_compute(s)) {
            wait_for_turn(s);
            return;
        }
        stop_waiting(s);
        s->granted = false;
        rc = mbedtls_ssl_handshake_step(&s->ssl);
        note_cost(began);
    }
    if (rc == 0)
        handshake_done(s);
    else if (!is_wait(rc)) {
        log_debug("tls: handshake with %u.%u.%u.%u failed: -0x%04x", s->peer.ip >> 24,
                  s->peer.ip >> 16 & 255, s->peer.ip >> 8 & 255, s->peer.ip & 255,
                  (unsigned int)-rc);
        fail(s, -XEN_ECONNRESET);
    }
}

/* ------------------------------------------------------------------ open: reading */

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
        fail(s, -XEN_ENOMEM);
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
        fail(s, 0);
}

/* Decrypts and hands on what is there. */
static void read_on(struct tls_stream *s)
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
        if (is_wait(n))
            return;
        if (n < 0) {
            fail(s, -XEN_ECONNRESET);
            return;
        }
        (void)offer(s, plain, (size_t)n);
    }
}

/* ------------------------------------------------------------------ open: writing */

/* Sends on what is left of a record. True: nothing is left. */
static bool flush(struct tls_stream *s)
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

/* The last bytes of a stream whose owner has left. */
static void finish_closing(struct tls_stream *s)
{
    if (!flush(s))
        return;
    (void)mbedtls_ssl_close_notify(&s->ssl);
    stop(s, false);
}

static size_t op_room(struct stream *stream)
{
    struct tls_stream *s = of(stream);
    size_t room;

    if (s->state != TLS_OPEN || s->owed || !s->raw)
        return 0;
    room = stream_room(s->raw);
    room -= MIN(room, (room / RECORD_DATA + 1) * RECORD_COST);
    return room;
}

static size_t op_write(struct stream *stream, const void *data, size_t len, unsigned int flags)
{
    struct tls_stream *s = of(stream);
    size_t done = 0;

    while (s->raw && s->state == TLS_OPEN && done < len && flush(s)) {
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
        read_on(s);
    if (!s->gone) {
        taken = len - s->in_len;
        s->unread = s->in_len != 0;
        s->in_len = 0;
        if (s->state == TLS_HANDSHAKE) {
            s->handshake_bytes += taken;
            if (s->handshake_bytes > TLS_HANDSHAKE_BYTES)
                fail(s, -XEN_ECONNRESET);
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
    } else if (flush(s) && s->want_room) {
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
        fail(s, -XEN_ECONNRESET);
    (void)leave(s);
}

static void on_closed(void *arg, int rc)
{
    struct tls_stream *s = arg;

    s->raw = NULL;
    enter(s);
    fail(s, rc);
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
        read_on(s);
    if (!s->gone && s->state == TLS_OPEN && !s->stopped && s->raw)
        stream_resume(s->raw);
    (void)leave(s);
}

/* The one that waits longest goes on. */
static void on_ration(struct timer *t)
{
    struct tls_stream *s;

    if (list_empty(&queue))
        return;
    s = container_of(queue.next, struct tls_stream, waiting);
    if (may_compute(s)) {
        stop_waiting(s);
        s->granted = true;
        if (s->unread) {
            stream_resume(s->raw);      /* on_received goes on */
        } else {
            enter(s);
            handshake(s);
            (void)leave(s);
        }
    }
    if (!list_empty(&queue))
        set_ration_timer();
}

static void on_timeout(struct timer *t)
{
    struct tls_stream *s = container_of(t, struct tls_stream, timer);

    if (!list_empty(&s->waiting)) {     /* ours to be late */
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
    list_init(&s->waiting);
    timer_init(&s->timer, on_timeout);
    work_init(&s->work, on_work);
    mbedtls_ssl_init(&s->ssl);
    if (mbedtls_ssl_setup(&s->ssl, &conf)) {
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

static int tls_listen(void *ctx, uint16_t port, accept_fn accept, void *arg)
{
    struct stream_net *under = ctx;
    struct listener *l = malloc(sizeof(*l));
    int rc;

    if (!l)
        return -XEN_ENOMEM;
    *l = (struct listener){ accept, arg };
    rc = under->listen(under->ctx, port, on_accept, l);
    if (rc)
        free(l);
    return rc;
}

struct stream_net *tls_streams(struct stream_net *under)
{
    static struct stream_net net = { .listen = tls_listen };

    net.ctx = under;
    timer_init(&ration_timer, on_ration);
    return &net;
}

void tls_get_stats(struct tls_stats *s)
{
    *s = stats;
}

/* ------------------------------------------------------------------ setting up */

/* mbedTLS wants PEM with its NUL. */
static char *copy_text(struct tls_text t)
{
    char *s = malloc(t.len + 1);

    if (s) {
        memcpy(s, t.text, t.len);
        s[t.len] = '\0';
    }
    return s;
}

static int parse_certificates(mbedtls_x509_crt *crt, struct tls_text t, const char *what, char *why)
{
    char *text = copy_text(t);
    int rc;

    mbedtls_x509_crt_init(crt);
    if (!text)
        return why_set(why, -XEN_ENOMEM, "%s: out of memory", what);
    rc = mbedtls_x509_crt_parse(crt, (const unsigned char *)text, t.len + 1);
    free(text);
    if (rc)
        return why_set(why, -XEN_EINVAL, "%s: no certificate in PEM, or a bad one (-0x%04x)", what,
                       (unsigned int)-rc);
    return 0;
}

static int parse_key(struct tls_text t, char *why)
{
    char *text = copy_text(t);
    int rc;

    mbedtls_pk_init(&own_key);
    if (!text)
        return why_set(why, -XEN_ENOMEM, "api.key: out of memory");
    rc = mbedtls_pk_parse_key(&own_key, (const unsigned char *)text, t.len + 1, NULL, 0);
    mbedtls_platform_zeroize(text, t.len);
    free(text);
    if (rc)
        return why_set(why, -XEN_EINVAL,
                       "api.key: no private key in PEM without a passphrase, or a bad one (-0x%04x)",
                       (unsigned int)-rc);
    if (mbedtls_pk_check_pair(&own_crt.pk, &own_key))
        return why_set(why, -XEN_EINVAL, "api.key: not the key of the certificate in api.crt");
    return 0;
}

static int seed(char *why)
{
    mbedtls_entropy_init(&entropy);
    mbedtls_hmac_drbg_init(&drbg);
    if (mbedtls_hmac_drbg_seed(&drbg, mbedtls_md_info_from_type(MBEDTLS_MD_SHA256),
                               mbedtls_entropy_func, &entropy, NULL, 0))
        return why_set(why, -XEN_EIO, "TLS: no randomness");
    if (!entropy_is_good())
        log_warn("tls: this machine has neither RDRAND nor a clock that jitters: keys of connections "
                 "can be guessed");
    return 0;
}

/* What goes on the wire, besides the ciphers of mbedtls_config.h. */
static void choose_protocol(void)
{
    static const mbedtls_ecp_group_id curves[] = {
        MBEDTLS_ECP_DP_SECP256R1, MBEDTLS_ECP_DP_CURVE25519, MBEDTLS_ECP_DP_SECP384R1,
        MBEDTLS_ECP_DP_NONE,
    };

    mbedtls_ssl_conf_min_version(&conf, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
    mbedtls_ssl_conf_curves(&conf, curves);
}

int tls_server_init(struct tls_text crt, struct tls_text key, struct tls_text ca, char *why)
{
    int rc = parse_certificates(&own_crt, crt, "api.crt", why);

    if (!rc)
        rc = parse_key(key, why);
    if (!rc && ca.len)
        rc = parse_certificates(&ca_crt, ca, "api.ca", why);
    if (!rc)
        rc = seed(why);
    if (rc)
        return rc;
    if (mbedtls_x509_time_is_past(&own_crt.valid_to) ||
        mbedtls_x509_time_is_future(&own_crt.valid_from))
        log_warn("api.crt: not valid today: clients will refuse it");
    mbedtls_ssl_config_init(&conf);
    if (mbedtls_ssl_config_defaults(&conf, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_TRANSPORT_STREAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT))
        return why_set(why, -XEN_ENOMEM, "TLS: out of memory");
    mbedtls_ssl_conf_rng(&conf, mbedtls_hmac_drbg_random, &drbg);
    choose_protocol();
    mbedtls_ssl_conf_authmode(&conf,
                              ca.len ? MBEDTLS_SSL_VERIFY_OPTIONAL : MBEDTLS_SSL_VERIFY_NONE);
    mbedtls_ssl_conf_verify(&conf, check_certificate, NULL);
    if (ca.len)
        mbedtls_ssl_conf_ca_chain(&conf, &ca_crt, NULL);
    if (mbedtls_ssl_conf_own_cert(&conf, &own_crt, &own_key))
        return why_set(why, -XEN_ENOMEM, "TLS: out of memory");
    return 0;
}
