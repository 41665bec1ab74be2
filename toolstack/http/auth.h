/* SPDX-License-Identifier: MIT */
/*
 * auth.h - who may use the API: roles, the tokens that stand for them, certificates that do no more. A token is compared by its
 * SHA-256, so the file of tokens is no secret worth stealing. Pure.
 */
#ifndef HTTP_AUTH_H
#define HTTP_AUTH_H

#include "compiler.h"

enum api_role { ROLE_ANYBODY, ROLE_READER, ROLE_ADMIN };

#define AUTH_TOKENS   64        /* lines that say something */
#define AUTH_TEXT_MAX 16384     /* bytes of a list that is sent */

struct auth_tokens {
    uint32_t n;
    struct {
        uint8_t hash[32];
        enum api_role role;
        bool revoked;           /* the hash is of a certificate, which counts no more */
    } token[AUTH_TOKENS];
};

/*
 * Reads lines `ROLE SHA256-IN-HEX [comment]`, and `revoked SHA256-OF-CERTIFICATE [comment]`; empty ones and those that begin with # are skipped.
 * 0, or -XEN_EINVAL with one line in why; nobody is let in then.
 */
int auth_parse_tokens(struct auth_tokens *t, const char *text, size_t len, char *why);

/* What the token stands for; takes the same time whatever the token and wherever it is listed. */
enum api_role auth_token_role(const struct auth_tokens *t, const char *token);

/* Is a certificate listed as revoked? */
bool auth_revoked(const struct auth_tokens *t, const uint8_t hash[32]);

/* "admin", "reader"; ROLE_ANYBODY for everything else. */
enum api_role auth_role_by_name(const char *s, size_t n);

#endif
