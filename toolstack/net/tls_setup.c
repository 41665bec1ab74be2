/* SPDX-License-Identifier: MIT */
/* tls_setup.c - the server's certificate, key and authority, its generator, and what goes on the wire. */
#include <stdlib.h>
#include "toolstack/net/tls_internal.h"
#include "lib/string.h"
#include "lib/why.h"
#include "mbedtls/entropy.h"
#include "mbedtls/hmac_drbg.h"
#include "mbedtls/platform_util.h"
#include "runtime/entropy.h"
#include "runtime/log.h"
#include "xenabi.h"

static mbedtls_ssl_config conf;
static mbedtls_x509_crt own_crt, ca_crt;
static mbedtls_pk_context own_key;
static mbedtls_entropy_context entropy;
static mbedtls_hmac_drbg_context drbg;

const mbedtls_ssl_config *tls_config(void)
{
    return &conf;
}

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

/* Called for each certificate of a chain: what is not in order ends the handshake. */
static int check_certificate(void *ctx, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    return *flags ? MBEDTLS_ERR_X509_FATAL_ERROR : 0;
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
