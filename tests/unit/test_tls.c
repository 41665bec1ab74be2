/* SPDX-License-Identifier: MIT */
/*
 * The TLS filter with mbedTLS's own client at the other end, over a stream in memory.
 * LINK: toolstack/net/tls.c toolstack/net/tls_io.c toolstack/net/tls_ration.c toolstack/net/tls_setup.c
 * LINK: toolstack/net/tls_platform.c toolstack/net/fair.c tests/unit/fakes/lower.c
 * LINK: lib/why.c lib/printf.c lib/strlcpy.c build/libmbedtls-host.a
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "mbedtls/ssl.h"
#include "mbedtls/platform_time.h"
#include "mbedtls/platform_util.h"
#include "lib/why.h"
#include "runtime/time.h"
#include "tests/unit/fakes/lower.h"
#include "tests/unit/fakes/pki.h"
#include "toolstack/net/tls.h"

/* ---- the owner of the accepted stream: what it saw, and how it behaves ---- */

static struct stream *accepted;
static char got[1 << 17];
static size_t got_len, takes;       /* takes: bytes a call may take at most */
static int finished, closed, writables, refuse;
static bool close_at_once, abort_in_receive;

static size_t on_received(void *arg, const uint8_t *data, size_t len)
{
    size_t n = MIN(len, takes);

    memcpy(got + got_len, data, n);
    got_len += n;
    if (abort_in_receive) {
        stream_abort(accepted);
        accepted = NULL;
    } else if (close_at_once) {
        stream_write(accepted, "bye", 3, 0);
        stream_close(accepted);
        accepted = NULL;
    }
    return n;
}

static void on_writable(void *arg)
{
    writables++;
}

static void on_finished(void *arg)
{
    finished++;
}

static void on_closed(void *arg, int rc)
{
    closed++;
    accepted = NULL;
}

static const struct stream_events owner = {
    .received = on_received, .writable = on_writable, .finished = on_finished, .closed = on_closed,
};

static int on_accept(void *arg, struct stream *s, struct stream_addr peer)
{
    if (refuse)
        return -1;
    accepted = s;
    stream_set_events(s, &owner, NULL);
    return 0;
}

/* ---- the client ---- */

static struct lower low;
static size_t read_at, step = 1 << 20;      /* step: bytes that go over at a time */

struct client {
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config conf;
    mbedtls_x509_crt ca, crt;
    mbedtls_pk_context key;
};

static struct client cl;

static int client_random(void *ctx, unsigned char *buf, size_t n)
{
    while (n--)
        *buf++ = (unsigned char)rand();
    return 0;
}

static int client_send(void *ctx, const unsigned char *buf, size_t len)
{
    for (size_t at = 0; at < len; at += step)
        lower_feed(&low, buf + at, MIN(step, len - at));
    return (int)len;
}

static int client_recv(void *ctx, unsigned char *buf, size_t len)
{
    size_t n = MIN(len, low.out_len - read_at);

    memcpy(buf, low.out + read_at, n);
    read_at += n;
    if (n)
        return (int)n;
    return low.closed ? 0 : MBEDTLS_ERR_SSL_WANT_READ;
}

static void client_start(const char *crt, const char *key)
{
    memset(&cl, 0, sizeof(cl));
    mbedtls_ssl_init(&cl.ssl);
    mbedtls_ssl_config_init(&cl.conf);
    mbedtls_x509_crt_init(&cl.ca);
    mbedtls_x509_crt_init(&cl.crt);
    mbedtls_pk_init(&cl.key);
    mbedtls_ssl_config_defaults(&cl.conf, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                MBEDTLS_SSL_PRESET_DEFAULT);
    mbedtls_ssl_conf_rng(&cl.conf, client_random, NULL);
    assert_int_equal(mbedtls_x509_crt_parse(&cl.ca, (const void *)pki_ca, sizeof(pki_ca)), 0);
    mbedtls_ssl_conf_ca_chain(&cl.conf, &cl.ca, NULL);
    if (crt) {
        assert_int_equal(mbedtls_x509_crt_parse(&cl.crt, (const void *)crt, strlen(crt) + 1), 0);
        assert_int_equal(mbedtls_pk_parse_key(&cl.key, (const void *)key, strlen(key) + 1, NULL, 0), 0);
        mbedtls_ssl_conf_own_cert(&cl.conf, &cl.crt, &cl.key);
    }
    mbedtls_ssl_setup(&cl.ssl, &cl.conf);
    mbedtls_ssl_set_hostname(&cl.ssl, "localhost");
    mbedtls_ssl_set_bio(&cl.ssl, NULL, client_send, client_recv, NULL);
}

static void client_free(void)
{
    mbedtls_ssl_free(&cl.ssl);
    mbedtls_ssl_config_free(&cl.conf);
    mbedtls_x509_crt_free(&cl.ca);
    mbedtls_x509_crt_free(&cl.crt);
    mbedtls_pk_free(&cl.key);
}

static int client_handshake(void)
{
    int rc = 0;

    for (int i = 0; i < 200; i++) {
        rc = mbedtls_ssl_handshake(&cl.ssl);
        if (rc != MBEDTLS_ERR_SSL_WANT_READ && rc != MBEDTLS_ERR_SSL_WANT_WRITE)
            return rc;
        fake_time(NS_PER_MS);
        if (low.aborted || (low.closed && read_at == low.out_len))
            return -1;
    }
    return rc;
}

static int begin(const char *crt, const char *key)
{
    got_len = 0;
    read_at = 0;
    takes = sizeof(got);
    finished = closed = writables = refuse = 0;
    close_at_once = abort_in_receive = false;
    accepted = NULL;
    assert_int_equal(lower_connect(&low, 1), 0);
    client_start(crt, key);
    return client_handshake();
}

static void end(void)
{
    struct tls_stats s;

    if (accepted)
        stream_abort(accepted);
    client_free();
    fake_time(60 * NS_PER_S);
    tls_get_stats(&s);
    assert_int_equal(s.open, 0);
    assert_int_equal(s.half_open, 0);
}

static void client_says(const char *text, size_t n)
{
    while (n) {
        int rc = mbedtls_ssl_write(&cl.ssl, (const void *)text, n);

        assert_true(rc > 0);
        text += rc;
        n -= (size_t)rc;
    }
}

static void client_hears(const char *text, size_t n)
{
    static char buf[1 << 17];
    size_t len = 0;

    for (int i = 0; len < n && i < 1000; i++) {
        int rc = mbedtls_ssl_read(&cl.ssl, (void *)(buf + len), sizeof(buf) - len);

        if (rc > 0)
            len += (size_t)rc;
        else
            assert_int_equal(rc, MBEDTLS_ERR_SSL_WANT_READ);
    }
    assert_int_equal(len, n);
    assert_memory_equal(buf, text, n);
}

/* ---- tests ---- */

static void both_ways(void **state)
{
    assert_int_equal(begin(NULL, NULL), 0);
    assert_non_null(accepted);
    assert_string_equal(stream_identity(accepted), "");
    client_says("hello", 5);
    assert_int_equal(got_len, 5);
    assert_memory_equal(got, "hello", 5);
    assert_int_equal(stream_write(accepted, "world", 5, 0), 5);
    client_hears("world", 5);
    end();
}

static void byte_by_byte(void **state)
{
    step = 1;
    assert_int_equal(begin(pki_admin_crt, pki_admin_key), 0);
    assert_string_equal(stream_identity(accepted), "admin");
    client_says("hello", 5);
    assert_memory_equal(got, "hello", 5);
    step = 1 << 20;
    end();
}

static void certificates(void **state)
{
    assert_int_equal(begin(pki_admin_crt, pki_admin_key), 0);
    assert_string_equal(stream_identity(accepted), "admin");
    end();
    assert_int_not_equal(begin(pki_expired_crt, pki_expired_key), 0);
    assert_null(accepted);
    end();
    assert_int_not_equal(begin(pki_stranger_crt, pki_stranger_key), 0);
    assert_null(accepted);
    end();
    /* A server's certificate is not meant for clients. The alert comes after our handshake. */
    begin(pki_server_crt, pki_server_key);
    assert_null(accepted);
    assert_true(low.closed);
    end();
}

/* The owner takes a bit at a time: nothing is lost, and the sender is held back. */
static void slow_owner(void **state)
{
    static char text[60000];

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 7 + (i >> 8));
    assert_int_equal(begin(NULL, NULL), 0);
    takes = 100;
    client_says(text, sizeof(text));
    assert_int_equal(got_len, 100);
    assert_true(low.in_len > 30000);        /* waits below, not in memory of ours */
    for (int i = 0; i < 2000 && got_len < sizeof(text); i++) {
        stream_resume(accepted);
        fake_run();
    }
    assert_int_equal(got_len, sizeof(text));
    assert_memory_equal(got, text, sizeof(text));
    end();
}

/* The lower stream takes little at a time. */
static void slow_network(void **state)
{
    static char text[50000];
    size_t sent = 0;

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 5 + (i >> 9));
    assert_int_equal(begin(NULL, NULL), 0);
    low.room = 0;
    for (int i = 0; i < 5000 && sent < sizeof(text); i++) {
        int before = writables;

        sent += stream_write(accepted, text + sent, sizeof(text) - sent, 0);
        for (int k = 0; k < 100 && sent < sizeof(text) && writables == before; k++)
            lower_give_room(&low, 333);
    }
    assert_int_equal(sent, sizeof(text));
    for (int i = 0; i < 100; i++)
        lower_give_room(&low, 333);
    client_hears(text, sizeof(text));
    end();
}

/* The owner leaves while a record is half sent: the rest and the farewell still go out. */
static void close_with_a_rest(void **state)
{
    static char text[3000];

    memset(text, 'x', sizeof(text));
    assert_int_equal(begin(NULL, NULL), 0);
    low.room = 10;
    assert_int_equal(stream_write(accepted, text, sizeof(text), 0), sizeof(text));
    stream_close(accepted);
    accepted = NULL;
    assert_false(low.closed);
    lower_give_room(&low, 100000);
    assert_true(low.closed);
    client_hears(text, sizeof(text));
    assert_int_equal(mbedtls_ssl_read(&cl.ssl, (void *)text, 1), MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY);
    end();
}

/* ... and when it never goes out, that ends too. */
static void close_and_nobody_reads(void **state)
{
    static char text[3000];

    assert_int_equal(begin(NULL, NULL), 0);
    low.room = 10;
    stream_write(accepted, text, sizeof(text), 0);
    stream_close(accepted);
    accepted = NULL;
    fake_time(TLS_CLOSE_NS + 1);
    assert_true(low.aborted);
    end();
}

static void owner_ends_inside_callbacks(void **state)
{
    char buf[8];

    assert_int_equal(begin(NULL, NULL), 0);
    close_at_once = true;
    client_says("hello", 5);
    assert_true(low.closed);
    client_hears("bye", 3);
    assert_int_equal(mbedtls_ssl_read(&cl.ssl, (void *)buf, 8), MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY);
    end();
    assert_int_equal(begin(NULL, NULL), 0);
    abort_in_receive = true;
    client_says("hello", 5);
    assert_true(low.aborted);
    end();
}

static void peer_finishes(void **state)
{
    assert_int_equal(begin(NULL, NULL), 0);
    client_says("last", 4);
    mbedtls_ssl_close_notify(&cl.ssl);
    assert_int_equal(finished, 1);
    lower_finish(&low);
    assert_int_equal(finished, 1);
    assert_int_equal(closed, 0);
    assert_int_equal(stream_write(accepted, "answer", 6, 0), 6);    /* still goes out */
    end();
}

/* Whoever cuts the wire cannot make it look like the end of what was said. */
static void peer_is_cut_off(void **state)
{
    assert_int_equal(begin(NULL, NULL), 0);
    client_says("part", 4);
    lower_finish(&low);
    assert_int_equal(finished, 0);
    assert_int_equal(closed, 1);
    end();
    assert_int_equal(begin(NULL, NULL), 0);
    lower_reset(&low);
    assert_int_equal(closed, 1);
    end();
}

static void a_record_is_forged(void **state)
{
    assert_int_equal(begin(NULL, NULL), 0);
    lower_feed(&low, "\x17\x03\x03\x00\x20" "01234567890123456789012345678901", 37);
    assert_int_equal(closed, 1);
    assert_int_equal(got_len, 0);
    end();
}

static void owner_refuses(void **state)
{
    begin(NULL, NULL);
    end();
    lower_connect(&low, 1);
    read_at = 0;
    client_start(NULL, NULL);
    refuse = 1;
    accepted = NULL;
    client_handshake();
    assert_true(low.aborted);
    end();
}

static void silence_ends(void **state)
{
    struct tls_stats s;

    lower_connect(&low, 1);
    accepted = NULL;
    lower_feed(&low, "\x16\x03\x01", 3);
    fake_time(TLS_HANDSHAKE_NS + 1);
    assert_true(low.aborted);
    tls_get_stats(&s);
    assert_int_equal(s.half_open, 0);
}

/* One peer with all the half-open handshakes pays with its own. */
static void crowd(void **state)
{
    static struct lower many[TLS_HANDSHAKES + 8], other;
    unsigned int gone = 0;
    struct tls_stats s;

    for (unsigned int i = 0; i < TLS_HANDSHAKES - 1; i++) {
        assert_int_equal(lower_connect(&many[i], 66), 0);
        fake_time(1);
    }
    assert_int_equal(lower_connect(&other, 7), 0);
    for (unsigned int i = TLS_HANDSHAKES - 1; i < TLS_HANDSHAKES + 8; i++) {
        assert_int_equal(lower_connect(&many[i], 66), 0);
        fake_time(1);
    }
    for (unsigned int i = 0; i < TLS_HANDSHAKES + 8; i++)
        gone += many[i].aborted;
    assert_int_equal(gone, 9);
    assert_false(other.aborted);
    tls_get_stats(&s);
    assert_int_equal(s.half_open, TLS_HANDSHAKES);
    fake_time(TLS_HANDSHAKE_NS + 1);
    tls_get_stats(&s);
    assert_int_equal(s.half_open, 0);
}

/* Arithmetic that takes long is followed by a pause; the handshake still comes to its end. */
static void rationed(void **state)
{
    fake_cost = 5 * NS_PER_MS;
    assert_int_equal(begin(pki_admin_crt, pki_admin_key), 0);
    fake_cost = 0;
    client_says("hello", 5);
    fake_time(NS_PER_MS);
    assert_memory_equal(got, "hello", 5);
    end();
}

static void calendar(void **state)
{
    static const long days[] = { 0, 1, 58, 59, 60, 364, 365, 789, 11016, 11017, 20512, 47482, 47541, 109571 };
    struct tm ours, theirs;

    for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++) {
        time_t t = days[i] * 86400 + 45296;

        gmtime_r(&t, &theirs);
        assert_non_null(mbedtls_platform_gmtime_r(&t, &ours));
        assert_int_equal(ours.tm_year, theirs.tm_year);
        assert_int_equal(ours.tm_mon, theirs.tm_mon);
        assert_int_equal(ours.tm_mday, theirs.tm_mday);
        assert_int_equal(ours.tm_hour, 12);
        assert_int_equal(ours.tm_min, 34);
        assert_int_equal(ours.tm_sec, 56);
    }
}

static int setup(void **state)
{
    char why[WHY_MAX];
    struct tls_text crt = { pki_server_crt, strlen(pki_server_crt) };
    struct tls_text key = { pki_server_key, strlen(pki_server_key) };
    struct tls_text ca = { pki_ca, strlen(pki_ca) };
    struct stream_net *net;

    if (tls_server_init(crt, key, ca, why)) {
        fprintf(stderr, "%s\n", why);
        return -1;
    }
    net = tls_streams(&lower_net);
    return net->listen(net->ctx, 443, on_accept, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways),
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(certificates),
        cmocka_unit_test(slow_owner),
        cmocka_unit_test(slow_network),
        cmocka_unit_test(close_with_a_rest),
        cmocka_unit_test(close_and_nobody_reads),
        cmocka_unit_test(owner_ends_inside_callbacks),
        cmocka_unit_test(peer_finishes),
        cmocka_unit_test(peer_is_cut_off),
        cmocka_unit_test(a_record_is_forged),
        cmocka_unit_test(owner_refuses),
        cmocka_unit_test(silence_ends),
        cmocka_unit_test(crowd),
        cmocka_unit_test(rationed),
        cmocka_unit_test(calendar),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
