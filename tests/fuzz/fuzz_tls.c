/* SPDX-License-Identifier: MIT */
/*
 * TLS records from a hostile client. The first byte chooses: even, the rest is what the client sends,
 * in pieces; odd, a real client's handshake in which the rest says what to change: (place, place, mask).
 *
 * LINK: toolstack/net/tls.c toolstack/net/tls_io.c toolstack/net/tls_ration.c toolstack/net/tls_setup.c
 * LINK: toolstack/net/tls_platform.c toolstack/net/fair.c tests/unit/fakes/lower.c
 * LINK: lib/why.c lib/printf.c lib/strlcpy.c build/libmbedtls-host.a
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "mbedtls/ssl.h"
#include "lib/why.h"
#include "runtime/time.h"
#include "tests/unit/fakes/lower.h"
#include "tests/unit/fakes/pki.h"
#include "toolstack/net/tls.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct stream *accepted;
static struct lower low;
static const uint8_t *changes;
static size_t nr_changes, sent, read_at;

static size_t on_received(void *arg, const uint8_t *data, size_t len)
{
    stream_write(accepted, data, len, 0);
    return len;
}

static void on_closed(void *arg, int rc)
{
    accepted = NULL;
}

static const struct stream_events owner = { .received = on_received, .closed = on_closed };

static int on_accept(void *arg, struct stream *s, struct stream_addr peer)
{
    /* Only a certificate of the authority makes somebody of a client. */
    if (*stream_identity(s) && strcmp(stream_identity(s), "admin"))
        __builtin_trap();
    accepted = s;
    stream_set_events(s, &owner, NULL);
    return 0;
}

static int client_random(void *ctx, unsigned char *buf, size_t n)
{
    static uint32_t x = 1;

    while (n--)
        *buf++ = (unsigned char)((x = x * 1664525 + 1013904223) >> 24);
    return 0;
}

static int client_send(void *ctx, const unsigned char *buf, size_t len)
{
    uint8_t *copy = malloc(len);

    memcpy(copy, buf, len);
    for (size_t i = 0; i < nr_changes; i++) {
        size_t place = (size_t)changes[3 * i] << 8 | changes[3 * i + 1];

        if (place >= sent && place < sent + len)
            copy[place - sent] ^= changes[3 * i + 2];
    }
    sent += len;
    lower_feed(&low, copy, len);
    free(copy);
    return (int)len;
}

static int client_recv(void *ctx, unsigned char *buf, size_t len)
{
    size_t n = MIN(len, low.out_len - read_at);

    memcpy(buf, low.out + read_at, n);
    read_at += n;
    return n ? (int)n : MBEDTLS_ERR_SSL_WANT_READ;
}

static mbedtls_ssl_config conf;
static mbedtls_x509_crt crt;
static mbedtls_pk_context key;

static void handshake(void)
{
    mbedtls_ssl_context ssl;

    sent = read_at = 0;
    mbedtls_ssl_init(&ssl);
    mbedtls_ssl_setup(&ssl, &conf);
    mbedtls_ssl_set_bio(&ssl, NULL, client_send, client_recv, NULL);
    for (int i = 0; i < 40 && mbedtls_ssl_handshake(&ssl) == MBEDTLS_ERR_SSL_WANT_READ; i++)
        fake_time(10 * NS_PER_MS);
    if (ssl.state == MBEDTLS_SSL_HANDSHAKE_OVER)
        mbedtls_ssl_write(&ssl, (const void *)"hello", 5);
    mbedtls_ssl_free(&ssl);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct tls_text c = { pki_server_crt, strlen(pki_server_crt) };
    struct tls_text k = { pki_server_key, strlen(pki_server_key) };
    struct tls_text a = { pki_ca, strlen(pki_ca) };
    struct stream_net *net;
    char why[WHY_MAX];

    if (tls_server_init(c, k, a, why))
        __builtin_trap();
    net = tls_streams(&lower_net);
    net->listen(net->ctx, 443, on_accept, NULL);
    mbedtls_ssl_config_init(&conf);
    mbedtls_ssl_config_defaults(&conf, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                MBEDTLS_SSL_PRESET_DEFAULT);
    mbedtls_ssl_conf_rng(&conf, client_random, NULL);
    mbedtls_ssl_conf_authmode(&conf, MBEDTLS_SSL_VERIFY_NONE);
    mbedtls_x509_crt_parse(&crt, (const void *)pki_admin_crt, sizeof(pki_admin_crt));
    mbedtls_pk_parse_key(&key, (const void *)pki_admin_key, sizeof(pki_admin_key), NULL, 0);
    mbedtls_ssl_conf_own_cert(&conf, &crt, &key);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tls_stats s;

    if (!size || size > 60000)
        return 0;
    accepted = NULL;
    if (lower_connect(&low, 1))
        __builtin_trap();
    if (data[0] & 1) {
        changes = data + 1;
        nr_changes = MIN((size - 1) / 3, (size_t)16);
        handshake();
    } else {
        size_t step = data[0] ? data[0] * 4u : size;

        for (size_t at = 1; at < size && low.ev; at += step) {
            lower_feed(&low, data + at, MIN(step, size - at));
            fake_time(NS_PER_MS);
        }
    }
    if (low.ev)
        lower_finish(&low);
    if (accepted)
        stream_abort(accepted);
    fake_time(60 * NS_PER_S);
    tls_get_stats(&s);
    if (s.half_open || s.open || (!low.closed && !low.aborted))
        __builtin_trap();
    return 0;
}
