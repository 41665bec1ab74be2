/* SPDX-License-Identifier: MIT */
/* auth.c - roles and tokens of the API (see auth.h). */
#include "toolstack/http/auth.h"
#include "lib/string.h"
#include "lib/why.h"
#include "mbedtls/sha256.h"
#include "xenabi.h"

enum api_role auth_role_by_name(const char *s, size_t n)
{
    if (n == 5 && !memcmp(s, "admin", 5))
        return ROLE_ADMIN;
    if (n == 6 && !memcmp(s, "reader", 6))
        return ROLE_READER;
    return ROLE_ANYBODY;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_hash(const char *s, size_t n, uint8_t hash[32])
{
    if (n != 64)
        return false;
    for (size_t i = 0; i < 32; i++) {
        int hi = hex_digit(s[2 * i]), lo = hex_digit(s[2 * i + 1]);

        if (hi < 0 || lo < 0)
            return false;
        hash[i] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}

/* The next word of a line [*s, end); its length, and *s behind it. */
static size_t word(const char **s, const char *end, const char **start)
{
    while (*s < end && (**s == ' ' || **s == '\t' || **s == '\r'))
        ++*s;
    *start = *s;
    while (*s < end && **s != ' ' && **s != '\t' && **s != '\r')
        ++*s;
    return (size_t)(*s - *start);
}

static int parse_line(struct auth_tokens *t, const char *s, const char *end, unsigned int line,
                      char *why)
{
    const char *role, *hash;
    size_t role_len = word(&s, end, &role), hash_len = word(&s, end, &hash);

    if (!role_len || *role == '#')
        return 0;
    if (t->n == AUTH_TOKENS)
        return why_set(why, -XEN_EINVAL, "api.tokens:%u: more than %u tokens", line, AUTH_TOKENS);
    t->token[t->n].role = auth_role_by_name(role, role_len);
    t->token[t->n].revoked = role_len == 7 && !memcmp(role, "revoked", 7);
    if (t->token[t->n].role == ROLE_ANYBODY && !t->token[t->n].revoked)
        return why_set(why, -XEN_EINVAL, "api.tokens:%u: the role must be admin or reader", line);
    if (!parse_hash(hash, hash_len, t->token[t->n].hash))
        return why_set(why, -XEN_EINVAL, "api.tokens:%u: a SHA-256 of 64 hexadecimal digits must "
                       "follow the role", line);
    t->n++;
    return 0;
}

int auth_parse_tokens(struct auth_tokens *t, const char *text, size_t len, char *why)
{
    const char *end = text + len;
    int rc = 0;

    memset(t, 0, sizeof(*t));
    for (unsigned int line = 1; text < end && !rc; line++) {
        const char *eol = memchr(text, '\n', (size_t)(end - text));

        eol = eol ? eol : end;
        rc = parse_line(t, text, eol, line, why);
        text = eol < end ? eol + 1 : end;
    }
    if (rc)
        t->n = 0;
    return rc;
}

enum api_role auth_token_role(const struct auth_tokens *t, const char *token)
{
    unsigned int role = ROLE_ANYBODY;
    uint8_t hash[32];

    if (!*token || mbedtls_sha256_ret((const unsigned char *)token, strlen(token), hash, 0))
        return ROLE_ANYBODY;
    for (uint32_t i = 0; i < t->n; i++) {
        unsigned int differ = 0;

        for (size_t k = 0; k < sizeof(hash); k++)
            differ |= (unsigned int)(hash[k] ^ t->token[i].hash[k]);
        /* All ones when they are equal; no branch. */
        role |= ((differ - 1) >> 8 & 3) & (unsigned int)t->token[i].role;
    }
    return role & ROLE_ADMIN ? ROLE_ADMIN : (enum api_role)role;
}

bool auth_revoked(const struct auth_tokens *t, const uint8_t hash[32])
{
    for (uint32_t i = 0; i < t->n; i++)
        if (t->token[i].revoked && !memcmp(t->token[i].hash, hash, 32))
            return true;
    return false;
}
